/* SPDX-License-Identifier: MIT */
#include "harness/probe.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/clock.h"
#include "harness/job.h"

#define SEQ_S     1.5
#define SEQ_MOST  (1280 * MiB)
#define SEQ_LEAST (8 * MiB)
#define RANDOM_S  1.0
/* Creation and flushes. */
#define REST_S 1.0

/* Of the file that is removed: enough to be timed, and gone at once where each
 * takes 5 ms. */
#define PIECES 64

/* Far more than any disk does in RANDOM_S: the time ends it. */
#define RANDOM_OPS 10000000

/* One stream, timed with its flush. */
static int
timed(struct disk *disk, const struct stream_spec *spec, uint32_t iodepth,
      double limit_s, struct job_turn *ret, struct q2_err *err)
{
	double flush_s = 0;
	struct hist hist;
	struct job job;
	int r;

	r = job_init(&job, disk, spec, iodepth, err);
	if (r < 0)
		return r;
	hist_init(&hist);
	r = job_turn(&job, spec->ops, limit_s, &hist, ret, err);
	if (r >= 0)
		r = job_flush(&job, &flush_s, err);
	ret->seconds += flush_s;
	job_done(&job);
	return r;
}

static int
measure(struct disk *disk, uint64_t bytes, double share, struct probe *ret,
	struct q2_err *err)
{
	struct stream_spec seq = {
		.order = STREAM_SEQ,
		.write = true,
		.bs_bytes = MiB,
		.area_bytes = bytes,
		.ops = bytes / MiB,
		.seed = 1,
	};
	struct stream_spec random = {
		.order = STREAM_UNIFORM,
		.write = true,
		.bs_bytes = 4096,
		.ops = RANDOM_OPS,
		.seed = 2,
	};
	struct job_turn turn;
	int r;

	r = timed(disk, &seq, 8, SEQ_S * share, &turn, err);
	if (r < 0)
		return r;
	ret->bytes_per_s = (double)turn.bytes / turn.seconds;
	random.area_bytes = turn.bytes;
	r = timed(disk, &random, 32, RANDOM_S * share, &turn, err);
	if (r < 0)
		return r;
	ret->iops = (double)turn.ops / turn.seconds;
	return 0;
}

/* A new raw file. */
static int
make(struct q2_loop *loop, const struct probe_opts *opts, uint64_t bytes,
     struct disk *ret, struct q2_err *err)
{
	struct q2_create_opts create = {
		.size = sizeof(create),
		.driver = "raw",
		.virtual_size = bytes,
		.cache = opts->cache,
	};
	struct q2_open_opts open_opts = {
		.size = sizeof(open_opts),
		.driver = "raw",
		.cache = opts->cache,
	};
	struct q2_image *img;
	int r;

	r = q2_create(loop, opts->path, &create, NULL, err);
	if (r < 0)
		return r;
	r = q2_open(loop, opts->path, &open_opts, &img, err);
	if (r >= 0)
		disk_of_image(ret, loop, img);
	else
		(void)unlink(opts->path);
	return r;
}

static int
probe_on(struct q2_loop *loop, const struct probe_opts *opts, uint64_t bytes,
	 struct probe *ret, struct q2_err *err)
{
	struct disk disk;
	int r, closed;

	r = make(loop, opts, bytes, &disk, err);
	if (r < 0)
		return r;
	r = measure(&disk, bytes, opts->brief ? 0.1 : 1, ret, err);
	closed = disk_close(&disk, r < 0 ? NULL : err);
	if (r >= 0)
		r = closed;
	(void)unlink(opts->path);
	return r;
}

/*
 * What it takes to remove a file in many pieces, for each of them.  A file
 * system that discards as it frees waits for each: seconds between two rounds,
 * of which the speed of the disk tells nothing.  Without an answer it is 0.
 */
static void
probe_removal(struct q2_loop *loop, const struct probe_opts *opts,
	      struct probe *ret)
{
	const struct stream_spec pieces = {
		.order = STREAM_ONCE,
		.place = STREAM_PLACE_START,
		.write = true,
		.bs_bytes = 4096,
		.stride_bytes = 64 * KiB,
		.area_bytes = PIECES * 64 * KiB,
		.ops = PIECES,
		.seed = 3,
	};
	struct job_turn turn;
	struct q2_err ignored;
	struct disk disk;
	double start;
	bool ok;

	if (make(loop, opts, pieces.area_bytes, &disk, &ignored) < 0)
		return;
	ok = timed(&disk, &pieces, 32, 0, &turn, &ignored) >= 0;
	ok &= disk_close(&disk, NULL) >= 0;
	start = clock_s();
	ok &= unlink(opts->path) == 0;
	if (ok)
		ret->removal_s = (clock_s() - start) / PIECES;
}

double
probe_usual_s(void)
{
	return SEQ_S + RANDOM_S + REST_S;
}

int
probe_disk(const struct probe_opts *opts, struct probe *ret, struct q2_err *err)
{
	struct q2_loop_opts loop_opts = {.size = sizeof(loop_opts),
					 .aio = opts->aio};
	uint64_t bytes = align_down(min_u64(opts->most_bytes, SEQ_MOST), MiB);
	double start = clock_s();
	struct q2_loop *loop;
	int r;

	if (bytes < SEQ_LEAST)
		return q2_fail(err, -ENOSPC, "the probe needs %llu bytes",
			       (unsigned long long)SEQ_LEAST);
	r = q2_loop_new(&loop_opts, &loop, err);
	if (r < 0)
		return r;
	*ret = (struct probe){.removal_s = 0};
	r = probe_on(loop, opts, bytes, ret, err);
	if (r >= 0 && !opts->brief)
		probe_removal(loop, opts, ret);
	q2_loop_free(loop);
	ret->duration_s = clock_s() - start;
	return r < 0 ? err_prefix(err, r, "the probe of the disk failed") : 0;
}

/* A new empty file in dir, without a name; -1 if there can be none. */
static int
nameless_file(const char *dir)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/trying", dir);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

bool
probe_has_direct(const char *dir)
{
	int fd = nameless_file(dir);
	bool has;

	if (fd < 0)
		return false;
	has = fcntl(fd, F_SETFL, O_DIRECT) == 0;
	(void)close(fd);
	return has;
}

int
probe_length(const char *dir, uint64_t bytes)
{
	int fd = nameless_file(dir), r = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}
