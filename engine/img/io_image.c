/* SPDX-License-Identifier: MIT */
/*
 * io_image.c - io commands about the image: open, close, reopen, truncate,
 * length, map, alloc, info
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/img/cmd_info.h"
#include "engine/img/io.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"

/* ---- open and close ---------------------------------------------------- */

static int
open_file(struct io *io, const char *filename, const struct file_opts *opts,
	  struct q2_err *err)
{
	unsigned flags = opts->open.flags;
	const char *notice;
	int r;

	if ((flags & Q2_FORCE_SHARE) && !(flags & Q2_RDONLY))
		return q2_fail(err, -EINVAL,
			       "force-share=on can only be used with read-only "
			       "images");
	if (opts->copy_on_read && (flags & Q2_RDONLY))
		return q2_fail(err, -EINVAL,
			       "Can't use copy-on-read on read-only device");
	r = file_open(filename, opts, &io->file, err);
	if (r < 0)
		return r;
	io->probed_raw = file_was_probed_raw(&io->file);
	if (io->probed_raw && !(flags & Q2_RDONLY))
		file_warn_probed(&io->file);
	notice = q2_loop_notice(io->file.loop);
	if (notice)
		note("%s", notice);
	return 0;
}

/* Open what the session's own strings name. */
static int
open_named(struct io *io, const struct file_opts *opts)
{
	struct file_opts o = *opts;
	struct q2_err err;

	o.image_opts = io->image_opts && io->filename;
	o.extra = io->extra;
	if (open_file(io, io->filename, &o, &err) == 0) {
		io->opts = *opts;
		return 0;
	}
	if (io->file.loop)
		(void)file_close(&io->file, NULL);
	if (io->filename && !o.image_opts)
		(void)complain_why(&err, "can't open device %s", io->filename);
	else
		(void)complain_why(&err, "can't open");
	return -EINVAL;
}

static void
forget_names(struct io *io)
{
	free(io->filename);
	free(io->extra);
	io->filename = NULL;
	io->extra = NULL;
}

int
io_open(struct io *io, const char *filename, const struct file_opts *opts)
{
	int r;

	io->filename = filename ? strdup(filename) : NULL;
	io->extra = opts->extra ? strdup(opts->extra) : NULL;
	if ((filename && !io->filename) || (opts->extra && !io->extra)) {
		(void)complain("no memory for a file name");
		r = -ENOMEM;
	} else {
		r = open_named(io, opts);
	}
	if (r < 0)
		forget_names(io);
	return r;
}

/* What qemu-io says when tables cannot be written; nothing of an image that is
 * known to be corrupt. */
static void
tell_unwritten(int r, bool corrupt)
{
	if (corrupt)
		return;
	(void)complain("Failed to flush the L2 table cache: %s", strerror(-r));
	(void)complain("Failed to flush the refcount block cache: %s",
		       strerror(-r));
}

static int
close_named(struct io *io)
{
	struct q2_info info = {0};
	struct q2_err err;
	int r;

	if (!io->file.img)
		return 0;
	io_drain(io);
	(void)q2_info(io->file.img, &info, NULL);
	r = file_close(&io->file, &err);
	if (r < 0 && msg_role() == ROLE_QEMU_IO &&
	    strcmp(err.text, "Could not write the metadata") == 0)
		tell_unwritten(r, info.corrupt);
	else if (r < 0)
		(void)complain_why(&err, "could not close '%s'",
				   io->filename ? io->filename : "it");
	return r;
}

int
io_close(struct io *io)
{
	int r = close_named(io);

	forget_names(io);
	return r;
}

int
io_cmd_close(struct io *io, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return io_close(io);
}

static int
bad_value(const char *what, const char *value)
{
	(void)complain("Invalid %s option: %s", what, value);
	return -EINVAL;
}

/* An option of `open`; returns 0, or -EINVAL after having said why. */
static int
open_option(int c, struct file_opts *opts)
{
	if (c == 'r')
		opts->open.flags |= Q2_RDONLY;
	else if (c == 'U')
		opts->open.flags |= Q2_FORCE_SHARE;
	else if (c == 'n')
		opts->open.cache = Q2_CACHE_NONE;
	else if (c == 'k')
		opts->aio = "native";
	else if (c == 't' && !file_parse_cache(optarg, &opts->open.cache))
		return bad_value("cache", optarg);
	else if (c == 'd' && !file_parse_discard(optarg, &opts->open.flags))
		return bad_value("discard", optarg);
	else if (c == 'i' && !(opts->aio = file_parse_aio(optarg)))
		return bad_value("aio", optarg);
	else if (c == 's')
		opts->overlay = true;
	else if (c == 'C')
		opts->copy_on_read = true;
	return c == '?' ? io_usage("open") : 0;
}

int
io_cmd_open(struct io *io, int argc, char **argv)
{
	struct file_opts opts = IO_OPTS_DEFAULT;
	int c;

	while ((c = getopt(argc, argv, "snCrki:t:d:o:U")) != -1)
		if (c == 'o')
			opts.extra = optarg;
		else if (open_option(c, &opts) < 0)
			return -EINVAL;
	if (io->file.img) {
		(void)complain("file open already, try 'help close'");
		return -EINVAL;
	}
	if (optind < argc - 1 || (optind == argc && !opts.extra))
		return io_usage("open");
	return io_open(io, argv[optind], &opts);
}

/* Add a list to the options of the open image. */
static int
add_extra(struct io *io, const char *list)
{
	char *joined;

	if (!list)
		return 0;
	if (asprintf(&joined, "%s%s%s", io->extra ? io->extra : "",
		     io->extra ? "," : "", list) < 0) {
		(void)complain("no memory for the options");
		return -ENOMEM;
	}
	free(io->extra);
	io->extra = joined;
	return 0;
}

/* Close and open again; only the options change. */
static int
open_anew(struct io *io, const struct file_opts *opts)
{
	int r = close_named(io);

	if (r == 0)
		r = add_extra(io, opts->extra);
	if (r == 0)
		r = open_named(io, opts);
	if (r < 0)
		forget_names(io);
	return r;
}

/* Is there such a key in a list of options? */
static bool
has_option(const char *list, const char *key)
{
	size_t n = strlen(key);

	while (list) {
		if (strncmp(list, key, n) == 0 &&
		    (!list[n] || list[n] == '=' || list[n] == ','))
			return true;
		list = strchr(list, ',');
		/* A comma that is doubled is one of a value. */
		while (list && list[1] == ',')
			list = strchr(list + 2, ',');
		list = list ? list + 1 : NULL;
	}
	return false;
}

/* A letter and an option would say the same, or not. */
static int
judge_both(const char *list, bool has_mode, bool has_cache)
{
	if (has_mode && has_option(list, "read-only")) {
		(void)complain("Cannot set both -r/-w and 'read-only'");
		return -EINVAL;
	}
	if (has_cache && (has_option(list, "cache.direct") ||
			  has_option(list, "cache.no-flush"))) {
		(void)complain("Cannot set both -c and the cache options");
		return -EINVAL;
	}
	return 0;
}

static int
parse_reopen(int argc, char **argv, struct file_opts *opts)
{
	bool has_mode = false, has_cache = false;
	int c;

	while ((c = getopt(argc, argv, "c:o:rw")) != -1) {
		if (c == '?')
			return io_usage("reopen");
		if (c == 'c' && !file_parse_cache(optarg, &opts->open.cache))
			return bad_value("cache", optarg);
		has_cache |= c == 'c';
		if (c == 'o')
			opts->extra = optarg;
		if ((c == 'r' || c == 'w') && has_mode) {
			(void)complain("Only one -r/-w option may be given");
			return -EINVAL;
		}
		has_mode |= c == 'r' || c == 'w';
		if (c == 'r')
			opts->open.flags |= Q2_RDONLY;
		else if (c == 'w')
			opts->open.flags &= ~(unsigned)Q2_RDONLY;
	}
	if (optind != argc)
		return io_usage("reopen");
	return judge_both(opts->extra, has_mode, has_cache);
}

/* Nothing is closed for options that cannot be had. */
static int
check_reopen(const struct io *io, const struct file_opts *opts)
{
	struct file_opts o = *opts;
	struct q2_info info = {0};
	struct q2_err err;
	int r = q2_info(io->file.img, &info, &err);

	o.format = info.driver;
	if (r == 0)
		r = file_check_reopen(&io->file, &o, opts->extra, &err);
	if (r < 0)
		(void)complain_err(&err);
	return r;
}

int
io_cmd_reopen(struct io *io, int argc, char **argv)
{
	struct file_opts opts = io->opts;

	opts.extra = NULL;
	if (opts.overlay) {
		(void)complain("an image that was opened with -s cannot be "
			       "reopened: what was written would be lost");
		return -EINVAL;
	}
	if (parse_reopen(argc, argv, &opts) < 0)
		return -EINVAL;
	if (opts.extra && check_reopen(io, &opts) < 0)
		return -EINVAL;
	return open_anew(io, &opts);
}

/* ---- another length ---------------------------------------------------- */

int
io_cmd_truncate(struct io *io, int argc, char **argv)
{
	struct q2_resize_opts opts = {.size = sizeof(opts), .shrink = true};
	struct q2_err err;
	uint64_t off;
	int c, r;

	while ((c = getopt(argc, argv, "m:")) != -1) {
		if (c != 'm')
			return io_usage("truncate");
		if (!file_parse_prealloc(optarg, &opts.preallocation)) {
			(void)complain("Invalid preallocation mode '%s'",
				       optarg);
			return -EINVAL;
		}
	}
	if (optind >= argc)
		return io_usage("truncate");
	if (io_number(argv[optind], &off) < 0)
		return -EINVAL;
	r = q2_resize(io->file.img, off, &opts, &err);
	if (r < 0)
		(void)complain_err(&err);
	return r;
}

/* ---- looking ----------------------------------------------------------- */

int
io_cmd_length(struct io *io, int argc, char **argv)
{
	char text[SIZE_TEXT_MAX];

	(void)argc;
	(void)argv;
	size_io((double)q2_size(io->file.img), text);
	say("%s\n", text);
	return 0;
}

/* From off on, how many of len bytes are all in this image, or all not? */
static int
run_of(struct io *io, uint64_t off, uint64_t len, uint64_t *ret_len,
       bool *ret_is_here)
{
	struct q2_extent e;
	uint64_t at = off, end = off + len;
	bool is_here = false;
	struct q2_err err;

	while (at < end) {
		bool here;

		if (q2_map(io->file.img, at, end - at, &e, &err) < 0) {
			say("Failed to query allocation status: %s\n",
			    err.text);
			return -EIO;
		}
		here = e.present && e.depth == 0;
		if (at != off && here != is_here)
			break;
		is_here = here;
		at = e.off + e.len;
	}
	*ret_len = at - off;
	*ret_is_here = is_here;
	return 0;
}

int
io_cmd_map(struct io *io, int argc, char **argv)
{
	uint64_t size = q2_size(io->file.img), len;

	(void)argc;
	(void)argv;
	for (uint64_t off = 0; off < size; off += len) {
		char len_text[SIZE_TEXT_MAX], off_text[SIZE_TEXT_MAX];
		bool is_here;
		int r = run_of(io, off, size - off, &len, &is_here);

		if (r < 0)
			return r;
		size_io((double)len, len_text);
		size_io((double)off, off_text);
		say("%s (0x%" PRIx64
		    ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n",
		    len_text, len, is_here ? "   " : "not", off_text, off);
	}
	return 0;
}

int
io_cmd_alloc(struct io *io, int argc, char **argv)
{
	uint64_t off, len = IO_SECTOR, size = q2_size(io->file.img);
	uint64_t sum = 0, n;
	char text[SIZE_TEXT_MAX];

	if (io_number(argv[1], &off) < 0 ||
	    (argc == 3 && io_number(argv[2], &len) < 0))
		return -EINVAL;
	len = off < size ? min_u64(len, size - off) : 0;
	for (uint64_t at = 0; at < len; at += n) {
		bool is_here;
		int r = run_of(io, off + at, len - at, &n, &is_here);

		if (r < 0)
			return r;
		sum += is_here ? n : 0;
	}
	size_io((double)off, text);
	say("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", sum, len,
	    text);
	return 0;
}

/* Where the state of a virtual machine would begin: behind what whole L2
 * tables can map. */
static uint64_t
vm_state_offset(const struct q2_info *info)
{
	uint64_t entry = info->extended_l2 ? 16 : 8, reach;

	if (!info->cluster_size)
		return 0;
	reach = info->cluster_size / entry * info->cluster_size;
	return div_up(info->virtual_bytes, reach) * reach;
}

int
io_cmd_info(struct io *io, int argc, char **argv)
{
	char text[SIZE_TEXT_MAX];
	struct q2_info info = {0};
	struct q2_err err;

	(void)argc;
	(void)argv;
	if (q2_info(io->file.img, &info, &err) < 0) {
		say("info failed: %s\n", err.text);
		return -EIO;
	}
	if (strcmp(info.driver, "null") == 0) {
		/* Once as a format and once as a protocol. */
		say("format name: null-co\nformat name: null-co\n");
		return -ENOTSUP;
	}
	say("format name: %s\n", info.driver);
	size_io(info.cluster_size, text);
	say("cluster size: %s\n", text);
	size_io((double)vm_state_offset(&info), text);
	say("vm state offset: %s\n", text);
	info_print_specific(&info, io->file.img);
	return 0;
}
