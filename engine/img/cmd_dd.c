/* SPDX-License-Identifier: MIT */
/*
 * cmd_dd.c - qcowimg dd: copy a part of an image into a new one
 *
 * Operands and messages are those of qemu-img dd.  Blocks are units of counting
 * only: bytes are moved in pieces of our own size, whatever bs is.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/create_opts.h"
#include "engine/img/msg.h"
#include "engine/img/progress.h"
#include "engine/img/size.h"

#define PIECE (UINT64_C(2) << 20)

struct dd_args {
	struct cmd_common common;
	const char *out_format; /* -O */
	const char *in, *out;
	uint64_t bs, count, skip;
	bool has_count;
};

/* ---- the command line -------------------------------------------------- */

static int
take_bs(const char *value, struct dd_args *args)
{
	if (size_argument("bs", value, &args->bs) < 0)
		return 1;
	if (args->bs < 1 || args->bs > INT_MAX)
		return complain("Invalid bs specified. Must be between 1 and "
				"%d.",
				INT_MAX);
	return CMD_GO_ON;
}

static int
take_operand(const char *text, struct dd_args *args)
{
	const char *value = strchr(text, '=');
	size_t len = value ? (size_t)(value - text) : 0;

	if (!value)
		return complain("unrecognized operand %s", text);
	value++;
	if (len == 2 && strncmp(text, "if", len) == 0)
		args->in = value;
	else if (len == 2 && strncmp(text, "of", len) == 0)
		args->out = value;
	else if (len == 2 && strncmp(text, "bs", len) == 0)
		return take_bs(value, args);
	else if (len == 4 && strncmp(text, "skip", len) == 0)
		return size_argument("skip", value, &args->skip) < 0
			       ? 1
			       : CMD_GO_ON;
	else if (len == 5 && strncmp(text, "count", len) == 0) {
		args->has_count = true;
		return size_argument("count", value, &args->count) < 0
			       ? 1
			       : CMD_GO_ON;
	} else {
		return complain("unrecognized operand %.*s", (int)len, text);
	}
	return CMD_GO_ON;
}

static const struct manual_option options[] = {
	{'f', NULL, "FORMAT", "qcow2 raw",
	 "of the source; default: as its first bytes say"},
	{'O', NULL, "FORMAT", "qcow2 raw",
	 "of the target: raw (the default) or qcow2"},
	MANUAL_SHARE,
	MANUAL_OBJECT,
	{OPT_IMAGE_OPTS, "image-opts", NULL, NULL,
	 "SOURCE is options: driver=qcow2,file.filename=..."},
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_dd = {
	.name = "dd",
	.operands = "if=SOURCE of=TARGET [bs=SIZE] [count=N] [skip=N]",
	.brief = "copy a part of an image into a new one",
	.text = "Copy blocks of bs (512) bytes into TARGET, which is made: the first count ones but the first skip ones (QEMU counts skipped blocks, too).",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error.\n",
};

static int
parse(int argc, char **argv, struct dd_args *ret)
{
	int c, status = CMD_GO_ON;

	ret->bs = 512;
	while ((c = manual_next(&manual_dd, argc, argv)) != -1) {
		if (c == 'O')
			ret->out_format = optarg;
		else
			status = cmd_common_option(c, argv, &ret->common);
		if (status != CMD_GO_ON)
			return status;
	}
	for (; optind < argc; optind++) {
		status = take_operand(argv[optind], ret);
		if (status != CMD_GO_ON)
			return status;
	}
	if (!ret->in || !ret->out)
		return complain("Must specify both input and output files");
	return CMD_GO_ON;
}

/* ---- what is copied ---------------------------------------------------- */

struct range {
	uint64_t off, len;
};

/*
 * The part of the source that skip and count mean, which is all zeros at first;
 * 0, or 1 after a complaint.
 * As in QEMU count is where the source ends: skipped blocks are counted too.
 */
static int
range_of(const struct dd_args *args, const struct file *in, struct range *ret)
{
	uint64_t end = q2_size(in->img), bytes;

	if (args->has_count && !mul_overflows(args->count, args->bs, &bytes))
		end = min_u64(end, bytes);
	if (mul_overflows(args->skip, args->bs, &ret->off) || ret->off > end) {
		(void)complain("%s: cannot skip to specified offset", args->in);
		ret->off = end;
		/* qemu-img goes on, and makes an empty image. */
		return msg_role() == ROLE_QCOWIMG;
	}
	ret->len = end > ret->off ? end - ret->off : 0;
	return 0;
}

static int
copy(const struct dd_args *args, const struct range *range,
     const struct file *in, const struct file *out)
{
	void *buf = q2_buf_alloc(in->loop, PIECE);
	struct progress quiet;
	uint64_t at = 0;
	int r = buf ? 0 : -ENOMEM;

	progress_begin(&quiet, false, PROGRESS_FINE);
	while (r == 0 && at < range->len) {
		uint64_t n = min_u64(PIECE, range->len - at);

		r = q2_pread(in->img, buf, n, range->off + at);
		if (r < 0) {
			(void)complain("error while reading from input image "
				       "file: %s",
				       strerror(-r));
			break;
		}
		r = q2_pwrite(out->img, buf, n, at);
		at += n;
		if (r < 0)
			(void)complain("error while writing to output image "
				       "file: %s",
				       strerror(-r));
		else if (!progress_update(&quiet, at, range->len))
			r = -ECANCELED;
	}
	if (!buf)
		(void)complain("no memory for %s", args->out);
	q2_buf_free(in->loop, buf);
	return r < 0;
}

/* ---- the new image ----------------------------------------------------- */

static int
make(const char *path, struct create_opts *c, const struct file *in,
     uint64_t bytes, struct q2_open_opts *ret_open, struct q2_err *err)
{
	struct q2_create_opts o = {.size = sizeof(o)};
	char text[SIZE_TEXT_MAX];
	struct stat a, b;
	int r;

	(void)snprintf(text, sizeof(text), "%" PRIu64, bytes);
	r = opt_set(&c->table, "size", text, err);
	if (r == 0)
		r = create_opts_take(c, &o, err);
	ret_open->key = o.key;
	ret_open->key_len = o.key_len;
	/* Making it would empty the source. */
	if (r == 0 && stat(path, &a) == 0 && stat(in->name, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		r = q2_fail(err, -EAGAIN,
			    "Failed to get \"write\" lock\n"
			    "Is another process using the image [%s]?",
			    in->name);
	return r == 0 ? q2_create(in->loop, path, &o, NULL, err) : r;
}

static int
copy_to_new(const struct dd_args *args, const struct range *range,
	    const struct file *in, struct create_opts *c)
{
	struct file_opts opts = {.format = c->format, .loop = in->loop};
	struct file out = {0};
	struct q2_err err;
	const char *path;
	struct stat st;
	bool existed;
	int status;

	if (file_path(args->out, &path, &err) < 0)
		return complain_why(&err, "%s", args->out);
	existed = lstat(path, &st) == 0;

	if (make(path, c, in, range->len, &opts.open, &err) < 0)
		return complain_why(&err,
				    "%s: error while creating output "
				    "image of type '%s'",
				    args->out, c->format);
	interrupt_catch();
	status = file_open_or_complain(args->out, &opts, &out);
	if (status == 0)
		status = file_end(&out, copy(args, range, in, &out));
	/* A part of a copy is no copy. */
	if (status != 0 && !existed && unlink(path) == 0)
		note("'%s' was removed", path);
	else if (status != 0)
		note("'%s' holds a part of the data", args->out);
	interrupt_release();
	return status;
}

int
cmd_dd(int argc, char **argv)
{
	struct dd_args args = {0};
	struct create_opts create;
	struct range range = {0};
	struct file in;
	struct q2_err err;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	if (create_opts_init(&create, args.out_format ? args.out_format : "raw",
			     &err) < 0)
		return complain("Unknown file format");
	args.common.file.open.flags |= Q2_RDONLY;
	status = file_open_or_complain(args.in, &args.common.file, &in);
	if (status == 0) {
		status = range_of(&args, &in, &range);
		if (status == 0)
			status = copy_to_new(&args, &range, &in, &create);
		status = file_end(&in, status);
	}
	create_opts_done(&create);
	return status;
}
