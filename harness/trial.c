/* SPDX-License-Identifier: MIT */
#include "harness/trial.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/cache_mode.h"
#include "harness/clock.h"
#include "harness/prepare.h"

int
trial_init(struct trial *t, const struct trial_spec *spec, struct q2_err *err)
{
	struct q2_loop_opts opts = {.size = sizeof(opts), .aio = spec->aio};

	*t = (struct trial){.spec = spec, .create_s = -1};
	t->turns = calloc(TRIAL_TURNS_MAX, sizeof(*t->turns));
	if (!t->turns)
		return q2_fail(err, -ENOMEM, "no memory");
	if (spec->target->version)
		spec->target->version(t->version);
	return q2_loop_new(&opts, &t->loop, err);
}

void
trial_done(struct trial *t)
{
	struct q2_err err;

	/* After a failure requests may be in flight. */
	(void)disk_close(&t->disk, &err);
	job_done(&t->job);
	if (t->loop)
		q2_loop_free(t->loop);
	free(t->turns);
}

static void
count(struct trial *t, struct trial_counters *to)
{
	*to = (struct trial_counters){0};
	if (t->disk.img)
		q2_stats_chain(t->disk.img, &to->stats);
	q2_loop_syscalls(t->loop, &to->syscalls, &to->sqes);
	(void)getrusage(RUSAGE_SELF, &to->usage);
}

static int
open_disk(struct trial *t, struct q2_err *err)
{
	const struct trial_spec *spec = t->spec;
	double start = clock_s();
	int r;

	r = target_open(spec->target, t->loop, spec->path, &spec->image,
			&t->disk, err);
	if (r < 0)
		return r;
	t->open_s = clock_s() - start;
	t->cache = cache_mode_effective(spec->path, spec->image.cache);
	if (t->cache != spec->image.cache)
		return q2_fail(err, -ENOTSUP,
			       "%s: cache=%s was asked for, and the kernel has "
			       "it as %s",
			       spec->path, plan_cache_name(spec->image.cache),
			       plan_cache_name(t->cache));
	return 0;
}

/* ---- before a pass ----------------------------------------------------- */

static struct prepare
preparation(const struct trial *t)
{
	return (struct prepare){
		.target = t->spec->target,
		.loop = t->loop,
		.path = t->spec->path,
		.image = &t->spec->image,
		.seed = t->spec->round, /* equal for all of a round */
	};
}

/* What the pass stands on; time that is nobody's pass. */
static int
prepare(struct trial *t, enum pass_op op, struct q2_err *err)
{
	const struct target_image *image = &t->spec->image;
	struct prepare p = preparation(t);
	double start = clock_s();
	int r = 0;

	if (op == PASS_CONVERT) {
		r = prepare_source(&p, err);
	} else if (op == PASS_CREATE && image->chain_depth) {
		r = prepare_below(&p, err);
	} else if (op >= PASS_SNAPSHOT && !t->has_content &&
		   prepare_has_content(image)) {
		t->has_content = true;
		r = prepare_content(&p, err);
	} else {
		return 0;
	}
	t->prepare_s = clock_s() - start;
	return r;
}

static void
reset(struct trial *t, size_t pass)
{
	t->pass = pass;
	t->work_s = t->flush_s = 0;
	t->open_s = t->close_s = t->prepare_s = -1;
	t->ops = t->bytes = t->compressed_bytes = 0;
	t->nturns = 0;
	t->fdatasyncs = 0;
	t->flushed = t->emulated_falloc = false;
	t->snapshots = 0;
	hist_init(&t->hist);
}

int
trial_begin(struct trial *t, size_t pass, struct q2_err *err)
{
	const struct trial_pass *p = &t->spec->passes[pass];
	int r;

	/* Others of the group may. */
	if (p->op != PASS_STREAM && !t->spec->target->has_file)
		return q2_fail(err, -EINVAL,
			       "pass %s: target %s makes no image", p->name,
			       t->spec->target->name);
	reset(t, pass);
	r = prepare(t, p->op, err);
	if (r >= 0 && p->op >= PASS_SNAPSHOT && !disk_is_open(&t->disk))
		r = open_disk(t, err);
	if (r >= 0 && p->op == PASS_STREAM)
		r = job_init(&t->job, &t->disk, &p->stream, p->iodepth, err);
	if (r < 0)
		return r;
	if (t->disk.img)
		t->snapshots = q2_snapshot_count(t->disk.img);
	t->started_at_s = clock_wall_s();
	count(t, &t->before);
	return 0;
}

/* ---- creation ---------------------------------------------------------- */

/* Whatever the engine has synced or not: a creation ends when its file is
 * durable. */
static int
sync_file(const char *path, double *ret_seconds, struct q2_err *err)
{
	double start = clock_s();
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int r;

	r = fd < 0 ? -errno : fdatasync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		(void)close(fd);
	*ret_seconds = clock_s() - start;
	if (r < 0)
		return q2_fail(err, r, "%s: the sync failed: %s", path,
			       strerror(-r));
	return 0;
}

/* The path of the image of the user's size, beside the trial's own. */
static void
disk_path(const struct trial *t, char *path, size_t size)
{
	(void)snprintf(path, size, "%s.disk", t->spec->path);
}

static int
create(struct trial *t, struct q2_err *err)
{
	bool disk = t->spec->passes[t->pass].op == PASS_CREATE_DISK;
	struct target_image image = t->spec->image;
	struct q2_create_result result = {0};
	char path[4096], below[PREPARE_PATH];
	double start;
	int r;

	(void)snprintf(path, sizeof(path), "%s", t->spec->path);
	if (disk) {
		disk_path(t, path, sizeof(path));
		image.virtual_bytes = t->spec->disk_bytes;
	}
	if (image.chain_depth && !disk) {
		prepare_backing_name(path, 1, below);
		image.backing_file = below;
	}
	start = clock_s();
	if (t->spec->passes[t->pass].op == PASS_CONVERT) {
		struct prepare p = preparation(t);

		r = prepare_convert(&p, &result, &t->compressed_bytes, err);
	} else {
		r = target_create(t->spec->target, t->loop, path, &image,
				  &result, err);
	}
	t->work_s = clock_s() - start;
	if (r >= 0)
		r = sync_file(path, &t->flush_s, err);
	if (r < 0)
		return err_prefix(err, r, "creation of %s", path);
	t->fdatasyncs = result.fdatasyncs + 1;
	t->emulated_falloc = result.emulated_falloc;
	t->flushed = true;
	if (!disk)
		t->create_s = t->work_s + t->flush_s;
	return 0;
}

/* ---- snapshots --------------------------------------------------------- */

#define SNAPSHOT "measured"

/* Durable when it returns. */
static int
snapshot(struct trial *t, struct q2_err *err)
{
	bool deletes = t->spec->passes[t->pass].op == PASS_SNAPSHOT_DELETE;
	struct q2_snapshot_opts opts = {.size = sizeof(opts), .name = SNAPSHOT};
	double start = clock_s();
	int r;

	if (deletes) {
		r = q2_snapshot_find(t->disk.img, NULL, SNAPSHOT);
		if (r < 0)
			return q2_fail(err, r, "%s has no snapshot to delete",
				       t->spec->path);
		r = q2_snapshot_delete(t->disk.img, (unsigned)r, err);
	} else {
		r = q2_snapshot_create(t->disk.img, &opts, err);
	}
	t->work_s = clock_s() - start;
	return r;
}

/* ---- streams ----------------------------------------------------------- */

static void
keep_turn(struct trial *t, const struct job_turn *turn,
	  const struct q2_stats *was, const struct q2_stats *is)
{
	struct trial_turn *kept;
	const struct hist *h = &t->turn_hist;

	if (t->nturns == TRIAL_TURNS_MAX)
		return;
	kept = &t->turns[t->nturns++];
	*kept = (struct trial_turn){
		.seconds = turn->seconds,
		.ops = turn->ops,
		.bytes = turn->bytes,
		.has_p50 = hist_printable(h, 50000),
		.has_p99 = hist_printable(h, 99000),
		.max_us = h->count ? (double)h->max / 1e3 : 0,
		.host_write_bytes =
			is->host_write_data_bytes - was->host_write_data_bytes +
			is->host_write_l1_bytes - was->host_write_l1_bytes +
			is->host_write_l2_bytes - was->host_write_l2_bytes +
			is->host_write_refcount_bytes -
			was->host_write_refcount_bytes +
			is->host_write_header_bytes -
			was->host_write_header_bytes +
			is->host_write_cow_bytes - was->host_write_cow_bytes,
		.clusters_alloc = is->clusters_alloc - was->clusters_alloc,
		.l2_misses = is->l2_misses - was->l2_misses,
	};
	if (kept->has_p50)
		kept->p50_us = hist_quantile(h, 50000) / 1e3;
	if (kept->has_p99)
		kept->p99_us = hist_quantile(h, 99000) / 1e3;
}

/*
 * A turn that writes ends with a flush.  A disk's cache is one for all files:
 * whoever flushed first after everybody's turns would pay for what all of them
 * have written.
 */
static int
stream_turn(struct trial *t, struct q2_err *err)
{
	const struct trial_pass *p = &t->spec->passes[t->pass];
	struct q2_stats was = {0}, is = {0};
	struct job_turn turn;
	double flush_s = 0;
	int r;

	hist_init(&t->turn_hist);
	if (t->disk.img)
		q2_stats_chain(t->disk.img, &was);
	r = job_turn(&t->job, p->cut.slice_ops, 0, &t->turn_hist, &turn, err);
	if (r >= 0 && p->stream.write)
		r = job_flush(&t->job, &flush_s, err);
	if (r < 0) {
		disk_explain(&t->disk, err);
		return r;
	}
	t->flushed = p->stream.write;
	t->flush_s += flush_s;
	if (t->disk.img)
		q2_stats_chain(t->disk.img, &is);
	hist_merge(&t->hist, &t->turn_hist);
	t->work_s += turn.seconds;
	t->ops += turn.ops;
	t->bytes += turn.bytes;
	turn.seconds += flush_s;
	keep_turn(t, &turn, &was, &is);
	return 0;
}

int
trial_turn(struct trial *t, double *ret_seconds, struct q2_err *err)
{
	double was = t->work_s + t->flush_s;
	int r;

	switch (t->spec->passes[t->pass].op) {
	case PASS_STREAM:
		r = stream_turn(t, err);
		break;
	case PASS_SNAPSHOT:
	case PASS_SNAPSHOT_DELETE:
		r = snapshot(t, err);
		break;
	default:
		r = create(t, err);
		break;
	}
	*ret_seconds = t->work_s + t->flush_s - was;
	return r;
}

/* ---- the end of a pass ------------------------------------------------- */

static void
series_rows(const struct trial *t, struct rows *series)
{
	uint64_t all = t->ops;
	double at = 0;
	uint64_t ops = 0;

	for (size_t i = 0; i < t->nturns; i++) {
		const struct trial_turn *turn = &t->turns[i];
		struct record *row = record_new(&table_series);

		at += turn->seconds;
		ops += turn->ops;
		record_set_int(row, SERIES_interval, i + 1);
		record_set_real(row, SERIES_t_s, at);
		record_set_real(row, SERIES_interval_s, turn->seconds);
		record_set_real(row, SERIES_progress_pct,
				100.0 * (double)ops / (double)all);
		record_set_bool(row, SERIES_measured, true);
		record_set_int(row, SERIES_ops, turn->ops);
		record_set_int(row, SERIES_bytes, turn->bytes);
		if (turn->has_p50)
			record_set_real(row, SERIES_lat_p50_us, turn->p50_us);
		if (turn->has_p99)
			record_set_real(row, SERIES_lat_p99_us, turn->p99_us);
		if (turn->ops)
			record_set_real(row, SERIES_lat_max_us, turn->max_us);
		if (t->disk.img)
			record_set_int(row, SERIES_host_write_bytes,
				       turn->host_write_bytes);
		if (t->spec->target == &target_qcow2) {
			record_set_int(row, SERIES_clusters_alloc,
				       turn->clusters_alloc);
			record_set_int(row, SERIES_l2_misses, turn->l2_misses);
		}
		rows_add(series, row);
	}
}

static int
close_disk(struct trial *t, struct q2_err *err)
{
	double start = clock_s();
	int r = disk_close(&t->disk, err);

	t->close_s = clock_s() - start;
	return r < 0 ? err_prefix(err, r, "closing %s", t->spec->path) : 0;
}

int
trial_end(struct trial *t, struct record **ret_record, struct rows *series,
	  struct q2_err *err)
{
	bool last = t->pass + 1 == t->spec->npasses;
	struct record *rec = record_new(&table_trials);
	char path[4096];
	int r;

	count(t, &t->after);
	r = trial_record(t, rec, err);
	series_rows(t, series);
	job_done(&t->job);
	if (t->spec->passes[t->pass].op == PASS_CREATE_DISK) {
		disk_path(t, path, sizeof(path));
		(void)unlink(path);
	}
	if (t->spec->passes[t->pass].op == PASS_CONVERT) {
		struct prepare p = preparation(t);

		prepare_source_path(&p, path);
		(void)unlink(path);
	}
	if (r >= 0 && last && disk_is_open(&t->disk)) {
		r = close_disk(t, err);
		record_set_real(rec, TRIAL_close_s, t->close_s);
	}
	if (r < 0) {
		record_free(rec);
		return r;
	}
	*ret_record = rec;
	return 0;
}
