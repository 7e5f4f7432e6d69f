/* SPDX-License-Identifier: MIT */
#include "harness/prepare.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "harness/job.h"
#include "workloads/content.h"

#define SEQ_BYTES  (1024 * 1024u)
#define RAND_BYTES (64 * 1024u)
#define DEPTH      8

/* ---- data ---------------------------------------------------------------- */

/* Write the whole disk. */
static int
fill_disk(const struct prepare *p, struct disk *disk, enum fill how,
	  unsigned compressible, struct q2_err *err)
{
	struct stream_spec spec = {
		.order = how == FILL_RAND ? STREAM_ONCE : STREAM_SEQ,
		.write = true,
		.bs_bytes = how == FILL_RAND ? RAND_BYTES : SEQ_BYTES,
		.area_bytes = p->image->virtual_bytes,
		.seed = p->seed,
	};
	struct hist ignored;
	struct job_turn turn;
	struct job job;
	double seconds;
	int r;

	hist_init(&ignored);
	r = job_init(&job, disk, &spec, DEPTH, err);
	if (r < 0)
		return r;
	job.compressible = compressible;
	r = job_turn(&job, stream_ops(&job.stream), 0, &ignored, &turn, err);
	if (r >= 0)
		r = job_flush(&job, &seconds, err);
	job_done(&job);
	return r;
}

static int
fill_file(const struct prepare *p, const char *path,
	  const struct q2_open_opts *opts, enum fill how, unsigned compressible,
	  struct q2_err *err)
{
	struct q2_image *img;
	struct q2_err ignored;
	struct disk disk;
	int r = q2_open(p->loop, path, opts, &img, err);

	if (r < 0)
		return r;
	disk_of_image(&disk, p->loop, img);
	r = fill_disk(p, &disk, how, compressible, err);
	if (r < 0)
		(void)disk_close(&disk, &ignored);
	else
		r = disk_close(&disk, err);
	return r;
}

/* ---- files below --------------------------------------------------------- */

void
prepare_backing_name(const char *path, unsigned depth, char name[PREPARE_PATH])
{
	const char *slash = strrchr(path, '/');

	(void)snprintf(name, PREPARE_PATH, "%.4000s.%u",
		       slash ? slash + 1 : path, depth);
}

static int
make_layer(const struct prepare *p, unsigned depth, struct q2_err *err)
{
	struct target_image image = *p->image;
	char path[PREPARE_PATH], below[PREPARE_PATH];
	bool bottom = depth == p->image->chain_depth;
	struct q2_create_opts create;
	struct q2_open_opts open;
	int r;

	(void)snprintf(path, sizeof(path), "%.4000s.%u", p->path, depth);
	prepare_backing_name(p->path, depth + 1, below);
	create = p->target->create_opts(&image);
	create.backing_file = bottom ? NULL : below;
	create.backing_format = bottom ? NULL : "qcow2";
	r = q2_create(p->loop, path, &create, NULL, err);
	if (r >= 0 && bottom && image.fill) {
		open = p->target->open_opts(&image);
		r = fill_file(p, path, &open, image.fill, 0, err);
	}
	return r < 0 ? err_prefix(err, r, "preparing %s", path) : 0;
}

int
prepare_below(const struct prepare *p, struct q2_err *err)
{
	int r = 0;

	for (unsigned d = p->image->chain_depth; d > 0 && r >= 0; d--)
		r = make_layer(p, d, err);
	return r;
}

/* ---- content of the image itself ----------------------------------------- */

bool
prepare_has_content(const struct target_image *image)
{
	return (image->fill && !image->chain_depth) || image->snapshots;
}

static int
take_snapshots(const struct prepare *p, struct q2_err *err)
{
	struct q2_open_opts open = p->target->open_opts(p->image);
	struct q2_image *img;
	struct q2_err ignored;
	char name[24];
	int r = q2_open(p->loop, p->path, &open, &img, err);

	if (r < 0)
		return r;
	for (unsigned i = 1; i <= p->image->snapshots && r >= 0; i++) {
		struct q2_snapshot_opts opts = {.size = sizeof(opts),
						.name = name};

		(void)snprintf(name, sizeof(name), "before-%u", i);
		r = q2_snapshot_create(img, &opts, err);
	}
	if (r < 0)
		(void)q2_close(img, &ignored);
	else
		r = q2_close(img, err);
	return r;
}

int
prepare_content(const struct prepare *p, struct q2_err *err)
{
	struct q2_open_opts open = p->target->open_opts(p->image);
	int r = 0;

	if (p->image->fill && !p->image->chain_depth)
		r = fill_file(p, p->path, &open, p->image->fill, 0, err);
	if (r >= 0 && p->image->snapshots)
		r = take_snapshots(p, err);
	return r < 0 ? err_prefix(err, r, "preparing %s", p->path) : 0;
}

/* ---- conversion ---------------------------------------------------------- */

void
prepare_source_path(const struct prepare *p, char path[PREPARE_PATH])
{
	(void)snprintf(path, PREPARE_PATH, "%.4000s.source", p->path);
}

static struct q2_open_opts
source_opts(const struct prepare *p)
{
	return (struct q2_open_opts){
		.size = sizeof(struct q2_open_opts),
		.driver = "raw",
		.cache = p->image->cache,
	};
}

int
prepare_source(const struct prepare *p, struct q2_err *err)
{
	struct q2_create_opts create = {
		.size = sizeof(create),
		.driver = "raw",
		.virtual_size = p->image->virtual_bytes,
		.cache = p->image->cache,
	};
	struct q2_open_opts open = source_opts(p);
	char path[PREPARE_PATH];
	int r;

	prepare_source_path(p, path);
	r = q2_create(p->loop, path, &create, NULL, err);
	if (r >= 0)
		r = fill_file(p, path, &open, FILL_SEQ, p->image->compressible,
			      err);
	return r < 0 ? err_prefix(err, r, "preparing %s", path) : 0;
}

/* Open both, copy, close both. */
static int
copy(const struct prepare *p, const char *from, uint64_t *ret_compressed_bytes,
     struct q2_err *err)
{
	struct q2_open_opts source_open = source_opts(p);
	struct q2_open_opts target_open = p->target->open_opts(p->image);
	struct q2_convert_opts opts = {
		.size = sizeof(opts),
		.compressed = p->image->compress,
		.target_is_new = true,
	};
	struct q2_image *source, *target;
	struct q2_stats stats;
	struct q2_err ignored;
	int r;

	source_open.flags |= Q2_RDONLY;
	r = q2_open(p->loop, from, &source_open, &source, err);
	if (r < 0)
		return r;
	r = q2_open(p->loop, p->path, &target_open, &target, err);
	if (r >= 0) {
		r = q2_convert(&source, 1, target, &opts, err);
		q2_stats(target, &stats);
		*ret_compressed_bytes = stats.compressed_bytes;
		if (r < 0)
			(void)q2_close(target, &ignored);
		else
			r = q2_close(target, err);
	}
	(void)q2_close(source, &ignored);
	return r;
}

int
prepare_convert(const struct prepare *p, struct q2_create_result *ret,
		uint64_t *ret_compressed_bytes, struct q2_err *err)
{
	char from[PREPARE_PATH];
	int r;

	prepare_source_path(p, from);
	r = target_create(p->target, p->loop, p->path, p->image, ret, err);
	return r < 0 ? r : copy(p, from, ret_compressed_bytes, err);
}
