/* SPDX-License-Identifier: MIT */
/*
 * cmd_amend.c - qcowimg amend: other properties of an image that exists
 *
 * Output, messages and exit status are those of qemu-img amend.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/create_opts.h"
#include "engine/img/msg.h"
#include "engine/img/progress.h"

enum {
	OPT_FORCE = OPT_FIRST_OWN
};

struct amend_args {
	struct cmd_common common;
	const char *filename;
	char *options; /* all -o, joined by commas; owned */
	bool progress, force;
};

/* ---- -o ---------------------------------------------------------------- */

#define OPT(n, t, h)                                  \
	{                                             \
		.name = (n), .type = (t), .help = (h) \
	}

static const struct opt all[] = {
	OPT("encrypt.state", OPT_STRING,
	    "active adds a passphrase, inactive erases some"),
	OPT("encrypt.new-secret", OPT_STRING,
	    "the --object secret that has the new passphrase"),
	OPT("encrypt.old-secret", OPT_STRING,
	    "erase the slots that this secret opens"),
	OPT("encrypt.keyslot", OPT_NUMBER,
	    "the slot, 0 to 7; else the first free one, or all that match"),
	OPT("encrypt.iter-time", OPT_NUMBER,
	    "milliseconds that trying the new passphrase takes (2000)"),
	OPT("size", OPT_SIZE, "length of the disk"),
	OPT("compat", OPT_STRING, "version: v3 (also 1.1) or v2 (also 0.10)"),
	OPT("backing_file", OPT_STRING, "cannot be changed here: rebase"),
	OPT("backing_fmt", OPT_STRING, "cannot be changed here: rebase"),
	OPT("data_file", OPT_STRING, "file that has the data now"),
	OPT("data_file_raw", OPT_BOOL,
	    "off: the data file need not be a raw image any more"),
	OPT("lazy_refcounts", OPT_BOOL,
	    "write refcounts late; needs a repair after a crash"),
	OPT("refcount_bits", OPT_NUMBER,
	    "bits of a refcount, 1 to 64, a power of two"),
};

/* An option that create has and amend has not: QEMU's second line. */
static int
complain_option(const struct q2_err *err)
{
	struct create_opts create;
	char text[128];

	(void)complain("%s", err->text);
	if (create_opts_init(&create, "qcow2", NULL) < 0)
		return 1;
	for (size_t i = 0; i < create.table.n; i++) {
		(void)snprintf(text, sizeof(text), "Invalid parameter '%s'",
			       create.opts[i].name);
		if (strcmp(text, err->text) == 0)
			talk("This option is only supported for image "
			     "creation");
	}
	create_opts_done(&create);
	return 1;
}

static int
take_compat(const struct opt_table *t, struct q2_amend_opts *o)
{
	const char *text = opt_find(t, "compat")->value;

	if (!text)
		return 0;
	if (strcmp(text, "0.10") == 0 || strcmp(text, "v2") == 0)
		o->compat = 2;
	else if (strcmp(text, "1.1") == 0 || strcmp(text, "v3") == 0)
		o->compat = 3;
	else
		return complain("Unknown compatibility level %s", text);
	return 0;
}

/* 1: on, -1: off, 0: not given. */
static int
tristate(const struct opt_table *t, const char *name)
{
	const struct opt *o = opt_find(t, name);

	return !o->value ? 0 : o->number ? 1 : -1;
}

static int
take_refcount_bits(const struct opt_table *t, struct q2_amend_opts *o)
{
	const struct opt *bits = opt_find(t, "refcount_bits");

	if (!bits->value)
		return 0;
	if (!bits->number || bits->number > 64)
		return complain("Refcount width must be a power of two and may "
				"not exceed 64 bits");
	o->refcount_bits = (unsigned)bits->number;
	return 0;
}

/* Who names it must name what it is, with its format. */
static bool
is_given(const struct opt_table *t, const char *name, const char *now)
{
	const char *text = opt_find(t, name)->value;

	return strcmp(text ? text : "", now ? now : "") == 0;
}

static int
judge_backing(const struct opt_table *t, const struct q2_info *info)
{
	if (!opt_find(t, "backing_file")->value &&
	    !opt_find(t, "backing_fmt")->value)
		return 0;
	if (is_given(t, "backing_file", info->backing_file) &&
	    is_given(t, "backing_fmt", info->backing_format))
		return 0;
	(void)complain("Cannot amend the backing file");
	talk("You can use 'qemu-img rebase' instead.");
	return 1;
}

/* From the table to the engine's options: 0 or a status. */
static int
take_table(const struct opt_table *t, const struct q2_info *info,
	   struct q2_amend_opts *o)
{
	int status = take_compat(t, o);

	if (status == 0)
		status = judge_backing(t, info);
	if (status == 0)
		status = take_refcount_bits(t, o);
	o->lazy_refcounts = tristate(t, "lazy_refcounts");
	o->data_file_raw = tristate(t, "data_file_raw");
	o->virtual_size = opt_find(t, "size")->number;
	o->data_file = opt_find(t, "data_file")->value;
	return status;
}

/* ---- key slots --------------------------------------------------------- */

static bool
has_encryption(const struct opt_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->opts[i].value &&
		    strncmp(t->opts[i].name, "encrypt.", 8) == 0)
			return true;
	return false;
}

static const void *
find_secret(const char *id, size_t *ret_len)
{
	return id && cmd_secrets() ? q2_secrets_find(cmd_secrets(), id, ret_len)
				   : NULL;
}

static int
take_state(const struct opt_table *t, struct q2_keyslot_opts *o)
{
	const char *state = opt_find(t, "encrypt.state")->value;

	if (!state)
		return complain("Parameter 'state' is missing");
	o->erase = strcmp(state, "inactive") == 0;
	return o->erase || strcmp(state, "active") == 0
		       ? 0
		       : complain("Parameter 'state' does not accept value "
				  "'%s'",
				  state);
}

static int
take_number(const struct opt_table *t, const char *name, bool *ret_has,
	    uint64_t *ret)
{
	const struct opt *o = opt_find(t, name);

	*ret_has = o->value != NULL;
	*ret = o->number;
	return *ret > INT64_MAX
		       ? complain("Parameter '%s' expects integer", name)
		       : 0;
}

static int
change_keyslots(const struct opt_table *t, struct file *file, bool force)
{
	struct q2_keyslot_opts o = {.size = sizeof(o), .force = force};
	uint64_t slot = 0;
	struct q2_err err;
	int status = take_state(t, &o);

	if (status == 0)
		status = take_number(t, "encrypt.keyslot", &o.has_keyslot,
				     &slot);
	if (status == 0)
		status = take_number(t, "encrypt.iter-time", &o.has_iter_time,
				     &o.iter_time);
	if (status != 0)
		return status;
	/* What is too large stays so. */
	o.keyslot = (unsigned)min_u64(slot, UINT_MAX);
	o.key = find_secret(file->spec.key_secret, &o.key_len);
	o.new_secret = opt_find(t, "encrypt.new-secret")->value;
	o.new_key = find_secret(o.new_secret, &o.new_key_len);
	o.old_secret = opt_find(t, "encrypt.old-secret")->value;
	o.old_key = find_secret(o.old_secret, &o.old_key_len);
	return q2_change_keyslots(file->img, &o, &err) < 0 ? complain_err(&err)
							   : 0;
}

/* ---- the command line -------------------------------------------------- */

static const struct manual_option options[] = {
	{'o', NULL, "NAME=VALUE,...", NULL,
	 "what is to change; -o help lists them"},
	MANUAL_SHORT_FORMAT,
	{'t', NULL, "CACHE", MANUAL_CACHES, "how FILE is written (writeback)"},
	{OPT_FORCE, "force", NULL, NULL,
	 "also what makes an encrypted image unreadable"},
	{'p', NULL, NULL, NULL, "show progress"},
	MANUAL_QUIET,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_amend = {
	.name = "amend",
	.operands = "FILE",
	.brief =
		"change the version, refcounts, size, data file or passphrases",
	.text = "Change properties of a qcow2 image, -o compat, lazy_refcounts, refcount_bits, size, data_file, data_file_raw; or who can open an encrypted one, -o encrypt.*.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Examples:\n"
		"  amend -o compat=0.10 disk.qcow2\n"
		"  amend --object secret,id=now,file=now.txt --object secret,id=new,file=new.txt \\\n"
		"    -o encrypt.state=active,encrypt.new-secret=new \\\n"
		"    --image-opts driver=qcow2,encrypt.key-secret=now,file.filename=disk.qcow2\n"
		"Exit status: 0, or 1 for an error; changes that were done before it stay.\n",
};

static int
take_option(int c, char **argv, struct amend_args *args)
{
	switch (c) {
	case 'o':
		return create_opts_join(optarg, &args->options) ? 1 : CMD_GO_ON;
	case 't':
		if (!file_parse_cache(optarg, &args->common.file.open.cache))
			return complain("Invalid cache option: %s", optarg);
		return CMD_GO_ON;
	case OPT_FORCE:
		args->force = true;
		return CMD_GO_ON;
	case 'p':
		args->progress = true;
		return CMD_GO_ON;
	default:
		return cmd_common_option(c, argv, &args->common);
	}
}

static int
refuse_format(const char *format)
{
	return complain("Format driver '%s' does not support option amendment",
			format);
}

static int
print_help(const char *format)
{
	struct opt copy[ARRAY_SIZE(all)];
	struct opt_table t = {copy, ARRAY_SIZE(copy), NULL};

	if (strcmp(format, "qcow2") != 0)
		return refuse_format(format);
	memcpy(copy, all, sizeof(all));
	say("Amend options for '%s':\n", format);
	opt_print_help(&t);
	return 0;
}

static int
parse(int argc, char **argv, struct amend_args *ret)
{
	const char *format;
	int c, status;

	while ((c = manual_next(&manual_amend, argc, argv)) != -1) {
		status = take_option(c, argv, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	if (!ret->options)
		return complain_usage("Must specify options (-o)");
	format = ret->common.file.format;
	if (format && opt_wants_help(ret->options))
		return print_help(format);
	return cmd_one_file(argc, argv, &ret->filename);
}

/* ---- doing it ---------------------------------------------------------- */

static int
run(const struct amend_args *args, struct file *file,
    const struct q2_amend_opts *opts)
{
	struct q2_amend_opts o = *opts;
	unsigned bitmaps = q2_bitmap_count(file->img);
	struct progress progress;
	struct q2_err err;
	int r;

	o.size = sizeof(o);
	o.progress = progress_update;
	o.arg = &progress;
	interrupt_catch();
	progress_begin(&progress, args->progress && !args->common.quiet,
		       PROGRESS_FINE);
	r = q2_amend(file->img, &o, &err);
	progress_end(&progress, r == 0);
	if (r == 0 && q2_bitmap_count(file->img) < bitmaps)
		note("version 2 has no bitmaps: %u deleted", bitmaps);
	return r < 0 ? complain_err(&err) : 0;
}

static int
amend(const struct amend_args *args, struct file *file)
{
	struct opt copy[ARRAY_SIZE(all)];
	struct opt_table t = {copy, ARRAY_SIZE(copy), NULL};
	struct q2_amend_opts o = {0};
	struct q2_info info;
	struct q2_err err;
	int status;

	if (q2_info(file->img, &info, &err) < 0)
		return complain("%s", err.text);
	if (opt_wants_help(args->options))
		return print_help(info.driver);
	if (strcmp(info.driver, "qcow2") != 0)
		return refuse_format(info.driver);
	memcpy(copy, all, sizeof(all));
	if (opt_parse(&t, args->options, &err) < 0)
		status = complain_option(&err);
	else
		status = take_table(&t, &info, &o);
	if (status == 0 && has_encryption(&t))
		status = change_keyslots(&t, file, args->force);
	if (status == 0)
		status = run(args, file, &o);
	opt_free(&t);
	return status;
}

int
cmd_amend(int argc, char **argv)
{
	struct amend_args args = {0};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status == CMD_GO_ON) {
		status = file_open_or_complain(args.filename, &args.common.file,
					       &file);
		if (status == 0)
			status = file_end(&file, amend(&args, &file));
		interrupt_release();
	}
	free(args.options);
	return status;
}
