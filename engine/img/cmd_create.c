/* SPDX-License-Identifier: MIT */
/*
 * cmd_create.c - qcowimg create: a new image
 *
 * Output and messages are those of qemu-img create.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/optlist.h"
#include "engine/img/size.h"

struct create_args {
	struct cmd_common common;
	const char *filename;
	char *options; /* all -o, joined by commas; owned */
	const char *backing;
	bool has_size;
	uint64_t size;
};

/* ---- the command line -------------------------------------------------- */

static int
take_options(const char *text, struct create_args *args)
{
	size_t have = args->options ? strlen(args->options) + 1 : 0;
	char *joined;

	if (!opt_is_list(text))
		return complain("Invalid option list: %s", text);
	joined = realloc(args->options, have + strlen(text) + 1);
	if (!joined)
		return complain("no memory for the options");
	if (have)
		joined[have - 1] = ',';
	strcpy(joined + have, text);
	args->options = joined;
	return CMD_GO_ON;
}

static int
take_cache(const char *text, struct create_args *args)
{
	if (!file_parse_cache(text, &args->common.file.open.cache))
		return complain("Invalid cache option: %s (" FILE_CACHES ")",
				text);
	return CMD_GO_ON;
}

static int
take_operands(int argc, char **argv, struct create_args *ret)
{
	if (optind < argc)
		ret->filename = argv[optind++];
	if (ret->options && opt_wants_help(ret->options))
		return CMD_GO_ON;
	if (!ret->filename)
		return complain_usage("Expecting image file name");
	if (optind < argc) {
		if (size_argument("image size", argv[optind++], &ret->size) < 0)
			return 1;
		ret->has_size = true;
	}
	if (optind < argc)
		return complain_usage("Unexpected argument: %s", argv[optind]);
	return CMD_GO_ON;
}

static int
parse(int argc, char **argv, struct create_args *ret)
{
	static const struct option options[] = {
		CMD_HELP,
		CMD_OBJECT,
		CMD_AIO,
		{"cache", required_argument, NULL, 't'},
		CMD_END};
	int c, status = CMD_GO_ON;

	while ((c = getopt_long(argc, argv, ":F:b:f:ho:qt:u", options, NULL)) !=
	       -1) {
		if (c == 'o')
			status = take_options(optarg, ret);
		else if (c == 't')
			status = take_cache(optarg, ret);
		else if (c == 'b' || c == 'F')
			ret->backing = optarg;
		else if (c != 'u')
			status = cmd_common_option(c, argv, &ret->common);
		if (status != CMD_GO_ON)
			return status;
	}
	return take_operands(argc, argv, ret);
}

/* ---- options of the formats -------------------------------------------- */

#define HELP_SIZE            "length of the disk"
#define HELP_PREALLOC(modes) "what is allocated in advance (" modes ")"

/*
 * Names and order are QEMU's.  What it has besides is in refused[].
 */
#define OPT(n, t, s, h)                                                \
	{                                                              \
		.name = (n), .type = (t), .standard = (s), .help = (h) \
	}

static const struct opt qcow2_opts[] = {
	OPT("cluster_size", OPT_SIZE, "65536",
	    "unit of allocation, 512 to 2M, a power of two"),
	OPT("extended_l2", OPT_BOOL, "off", "subclusters (not supported yet)"),
	OPT("preallocation", OPT_STRING, NULL,
	    HELP_PREALLOC("off, metadata, falloc, full")),
	OPT("compression_type", OPT_STRING, "zlib",
	    "for compressed clusters (zlib; zstd is not supported yet)"),
	OPT("size", OPT_SIZE, NULL, HELP_SIZE),
	OPT("compat", OPT_STRING, NULL,
	    "version: v3 (also 1.1) or v2 (also 0.10)"),
	OPT("lazy_refcounts", OPT_BOOL, "off",
	    "write refcounts late; needs a repair after a crash"),
	OPT("refcount_bits", OPT_NUMBER, "16",
	    "bits of a refcount, 1 to 64, a power of two"),
};

static const struct opt raw_opts[] = {
	OPT("size", OPT_SIZE, NULL, HELP_SIZE),
	OPT("preallocation", OPT_STRING, NULL,
	    HELP_PREALLOC("off, falloc, full")),
};

/* Options of QEMU that are known and not there yet. */
static const char *const refused[] = {
	"backing_file", "backing_fmt", "data_file", "data_file_raw",
	"encryption",   "encrypt.",    "nocow",     "extent_size_hint",
};

#define OPTS_MAX ARRAY_SIZE(qcow2_opts)

static int
refuse_unsupported(const char *options, struct q2_err *err)
{
	for (const char *at = options; at && *at; at = strchr(at, ',')) {
		at += *at == ',';
		for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
			size_t len = strlen(refused[i]);

			if (strncmp(at, refused[i], len) != 0)
				continue;
			len += strcspn(at + len, "=,");
			return q2_fail(err, -ENOTSUP,
				       "option '%.*s' is not supported yet",
				       (int)len, at);
		}
	}
	return 0;
}

/* The table of a format; opts is the memory for it. */
static int
make_table(const char *format, struct opt opts[OPTS_MAX], struct opt_table *ret,
	   struct q2_err *err)
{
	static_assert(ARRAY_SIZE(raw_opts) <= OPTS_MAX, "room for both");

	if (strcmp(format, "qcow2") == 0) {
		memcpy(opts, qcow2_opts, sizeof(qcow2_opts));
		*ret = (struct opt_table){opts, ARRAY_SIZE(qcow2_opts), NULL};
	} else if (strcmp(format, "raw") == 0) {
		memcpy(opts, raw_opts, sizeof(raw_opts));
		*ret = (struct opt_table){opts, ARRAY_SIZE(raw_opts), NULL};
	} else {
		return q2_fail(err, -EINVAL, "Unknown file format '%s'",
			       format);
	}
	return 0;
}

static void
print_help(const struct opt_table *t, const char *format)
{
	say("Supported %s options:\n", format);
	opt_print_help(t);
}

/* ---- from options to the engine's -------------------------------------- */

/* The place of value among n words, or an error with QEMU's text. */
static int
find_word(const char *parameter, const char *value, const char *const *words,
	  struct q2_err *err)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(value, words[i]) == 0)
			return i;
	return q2_fail(err, -EINVAL,
		       "Parameter '%s' does not accept value '%s'", parameter,
		       value);
}

static int
take_prealloc(const struct opt_table *t, struct q2_create_opts *o,
	      struct q2_err *err)
{
	static const char *const words[] = {"off", "metadata", "falloc", "full",
					    NULL};
	const char *value = opt_find(t, "preallocation")->value;
	int i = value ? find_word("preallocation", value, words, err) : 0;

	if (i < 0)
		return i;
	o->preallocation = (enum q2_prealloc)i;
	return 0;
}

static int
take_compat(const struct opt_table *t, struct q2_create_opts *o,
	    struct q2_err *err)
{
	static const char *const words[] = {"0.10", "v2", "1.1", "v3", NULL};
	const char *value = opt_find(t, "compat")->value;
	int i = value ? find_word("version", value, words, err) : 2;

	if (i < 0)
		return i;
	o->compat = i < 2 ? 2 : 3;
	return 0;
}

static int
take_compression(const struct opt_table *t, struct q2_err *err)
{
	static const char *const words[] = {"zlib", "zstd", NULL};
	const char *value = opt_find(t, "compression_type")->value;
	int i = value ? find_word("compression-type", value, words, err) : 0;

	if (i == 1)
		return q2_fail(err, -ENOTSUP,
			       "compression_type=zstd is not supported yet");
	return i;
}

/* The engine takes 0 for the default, so 0 itself must be refused here. */
static int
take_numbers(const struct opt_table *t, struct q2_create_opts *o,
	     struct q2_err *err)
{
	const struct opt *cluster = opt_find(t, "cluster_size");
	const struct opt *bits = opt_find(t, "refcount_bits");

	if (cluster->value &&
	    (cluster->number == 0 || cluster->number > UINT32_MAX))
		return q2_fail(err, -EINVAL,
			       "Cluster size must be a power of two between "
			       "512 and 2048k");
	if (bits->value && (bits->number == 0 || bits->number > 64))
		return q2_fail(err, -EINVAL,
			       "Refcount width must be a power of two and may "
			       "not exceed 64 bits");
	o->cluster_size = (uint32_t)cluster->number;
	o->refcount_bits = (unsigned)bits->number;
	return 0;
}

static int
take_qcow2(const struct opt_table *t, struct q2_create_opts *o,
	   struct q2_err *err)
{
	int r;

	r = take_compat(t, o, err);
	if (r == 0)
		r = take_numbers(t, o, err);
	if (r == 0)
		r = take_compression(t, err);
	if (r == 0 && opt_find(t, "extended_l2")->number)
		r = q2_fail(err, -ENOTSUP,
			    "extended_l2=on is not supported yet");
	o->lazy_refcounts = opt_find(t, "lazy_refcounts")->number;
	return r;
}

/* ---- creating ---------------------------------------------------------- */

/* What must be right before the "Formatting" line: -o, and the size. */
static int
take_table(const struct create_args *args, struct opt_table *t,
	   struct q2_err *err)
{
	int r = 0;

	if (args->backing)
		return q2_fail(err, -ENOTSUP,
			       "backing files (-b, -F) are not supported yet");
	if (args->options)
		r = refuse_unsupported(args->options, err);
	if (r == 0 && args->options)
		r = opt_parse(t, args->options, err);
	if (r < 0)
		return r;
	if (args->has_size && opt_find(t, "size")->value)
		return q2_fail(err, -EINVAL,
			       "The image size must be specified only once");
	if (!args->has_size && !opt_find(t, "size")->value)
		return q2_fail(err, -EINVAL,
			       "Image creation needs a size parameter");
	return 0;
}

static void
print_formatting(const struct create_args *args, struct opt_table *t,
		 const char *format)
{
	say("Formatting '%s', fmt=%s", args->filename, format);
	opt_print(t);
	say("\n");
}

static int
create(const struct create_args *args, const char *path,
       const struct q2_create_opts *o, struct q2_err *err)
{
	struct q2_loop_opts loop_opts = {
		.size = sizeof(loop_opts),
		.aio = args->common.file.aio,
	};
	struct q2_create_result result = {0};
	struct q2_loop *loop;
	const char *notice;
	int r;

	r = q2_loop_new(&loop_opts, &loop, err);
	if (r < 0)
		return r;
	r = q2_create(loop, path, o, &result, err);
	notice = q2_loop_notice(loop);
	if (r == 0 && notice && !args->common.quiet)
		note("%s", notice);
	if (r == 0 && result.emulated_falloc)
		note("preallocation was emulated: this file system cannot "
		     "allocate space without writing, so zeros were written");
	q2_loop_free(loop);
	return r;
}

/* Set the size, say what is done, and do it. */
static int
create_from_table(const struct create_args *args, const char *path,
		  struct opt_table *t, const char *format, struct q2_err *err)
{
	struct q2_create_opts o = {
		.size = sizeof(o),
		.driver = format,
		.cache = args->common.file.open.cache,
	};
	char text[SIZE_TEXT_MAX];
	int r = 0;

	if (args->has_size) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, args->size);
		r = opt_set(t, "size", text, err);
	}
	if (r < 0)
		return r;
	o.virtual_size = opt_find(t, "size")->number;
	if (!args->common.quiet)
		print_formatting(args, t, format);
	if (strcmp(format, "qcow2") == 0)
		r = take_qcow2(t, &o, err);
	if (r == 0)
		r = take_prealloc(t, &o, err);
	return r == 0 ? create(args, path, &o, err) : r;
}

static int
run(const struct create_args *args)
{
	const char *path, *format = args->common.file.format;
	struct opt opts[OPTS_MAX];
	struct opt_table table;
	struct q2_err err;
	int r;

	if (!format)
		format = "raw";
	r = make_table(format, opts, &table, &err);
	if (r == 0 && args->options && opt_wants_help(args->options)) {
		print_help(&table, format);
		return 0;
	}
	if (r == 0) {
		r = file_path(args->filename, &path, &err);
		if (r == 0)
			r = take_table(args, &table, &err);
		if (r == 0)
			r = create_from_table(args, path, &table, format, &err);
		opt_free(&table);
	}
	if (r < 0)
		return complain_why(&err, "%s",
				    args->filename ? args->filename : format);
	return 0;
}

int
cmd_create(int argc, char **argv)
{
	struct create_args args = {0};
	int status;

	status = parse(argc, argv, &args);
	if (status == CMD_GO_ON)
		status = run(&args);
	free(args.options);
	return status;
}
