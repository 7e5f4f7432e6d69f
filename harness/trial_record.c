/* SPDX-License-Identifier: MIT */
/*
 * trial_record.c - one row of trials.csv: all that the child knows
 *
 * The coordinator adds what only it knows: ids, order, environment, settling.
 */
#include "harness/trial.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/num.h"
#include "harness/commit.h"
#include "harness/stats/verdict.h"
#include "harness/targets/target.h"

/* QEMU's default, which is the engine's. */
#define CLEAN_INTERVAL_S 600

static void
set_target(const struct trial *t, struct record *rec)
{
	const struct trial_spec *spec = t->spec;
	const char *cache = plan_cache_name(spec->image.cache);
	const char *effective = q2_loop_aio(t->loop);
	char aio[32];

	(void)snprintf(aio, sizeof(aio), "%s",
		       spec->aio ? spec->aio : effective);
	aio[strcspn(aio, "-")] = '\0';
	if (spec->target->aio)
		effective = spec->target->aio(effective);
	record_set_text(rec, TRIAL_program_version, q2_version());
	record_set_text(rec, TRIAL_git_commit, commit_built_from);
	record_set_text(rec, TRIAL_target, spec->target->name);
	record_set_text(rec, TRIAL_target_version, t->version);
	record_set_text(rec, TRIAL_device, "file");
	record_set_bool(rec, TRIAL_modelled, false);
	record_set_text(rec, TRIAL_aio, aio);
	record_set_text(rec, TRIAL_aio_effective, effective);
	record_set_text(rec, TRIAL_cache_mode, cache);
	/* Creation opens and closes its file: what cannot be had fails there. */
	record_set_text(rec, TRIAL_cache_mode_effective,
			t->cache ? plan_cache_name(t->cache) : cache);
	record_set_text(rec, TRIAL_discard_mode,
			spec->image.unmap ? "unmap" : "ignore");
	record_set_text(rec, TRIAL_image_format,
			target_format(spec->target, &spec->image));
	record_set_text(rec, TRIAL_raw_state,
			spec->image.raw_state ? spec->image.raw_state : NULL);
	if (strcmp(target_format(spec->target, &spec->image), "qcow2") != 0)
		return;
	record_set_text(rec, TRIAL_preallocation,
			plan_prealloc_name(spec->image.prealloc));
	record_set_int(rec, TRIAL_cluster_bytes, spec->image.cluster_size);
}

static bool
is_qcow2(const struct trial *t)
{
	return strcmp(target_format(t->spec->target, &t->spec->image),
		      "qcow2") == 0;
}

static bool
in_process(const struct trial *t)
{
	return !t->spec->target->open_disk;
}

/* Seconds; 0: never. */
static double
clean_interval(const struct target_image *image)
{
	if (image->cache_clean_interval == UINT_MAX)
		return 0;
	return image->cache_clean_interval ? image->cache_clean_interval
					   : CLEAN_INTERVAL_S;
}

static void
set_qcow2(const struct trial *t, struct record *rec, const struct q2_info *info)
{
	const struct target_image *image = &t->spec->image;
	char compat[8];

	(void)snprintf(compat, sizeof(compat), "v%u", info->compat);
	record_set_int(rec, TRIAL_cluster_bytes, info->cluster_size);
	record_set_bool(rec, TRIAL_extended_l2, info->extended_l2);
	record_set_text(rec, TRIAL_compat, compat);
	record_set_int(rec, TRIAL_refcount_bits, info->refcount_bits);
	record_set_bool(rec, TRIAL_lazy_refcounts, info->lazy_refcounts);
	/* How a foreign program goes about it is not ours to tell. */
	if (!in_process(t))
		return;
	record_set_text(rec, TRIAL_zero_policy,
			plan_zero_name(t->spec->image.zero));
	record_set_bool(rec, TRIAL_discard_no_unref, false);
	record_set_int(rec, TRIAL_l2_cache_bytes, info->l2_cache_size);
	record_set_int(rec, TRIAL_l2_entry_bytes, info->l2_cache_entry_size);
	record_set_int(rec, TRIAL_refcount_cache_bytes,
		       info->refcount_cache_size);
	record_set_real(rec, TRIAL_cache_clean_interval_s,
			clean_interval(&t->spec->image));
	record_set_text(rec, TRIAL_compression,
			!image->compress ? "none"
			: image->zstd    ? "zstd"
					 : "zlib");
	record_set_text(rec, TRIAL_encryption,
			info->encryption ? info->encryption : "none");
	record_set_int(rec, TRIAL_chain_depth, image->chain_depth);
	record_set_text(rec, TRIAL_backing,
			!image->chain_depth ? "none"
			: image->fill       ? "full"
					    : "sparse");
	record_set_text(rec, TRIAL_data_file, "none");
	record_set_int(rec, TRIAL_snapshots, t->snapshots);
	if (t->has_content && image->fill)
		record_set_text(rec, TRIAL_fill_order,
				image->fill == FILL_RAND ? "rand" : "seq");
}

/* What the file is now; img is open. */
static int
set_layout(const struct trial *t, struct q2_image *img, struct record *rec,
	   struct q2_err *err)
{
	struct q2_layout layout;
	struct q2_info info;
	int r;

	r = q2_info(img, &info, err);
	if (r >= 0 && is_qcow2(t))
		set_qcow2(t, rec, &info);
	if (r >= 0)
		r = q2_layout(img, &layout, err);
	if (r < 0)
		return err_prefix(err, r, "looking at %s", t->spec->path);
	record_set_int(rec, TRIAL_virtual_bytes, layout.virtual_bytes);
	record_set_int(rec, TRIAL_file_bytes, layout.file_bytes);
	record_set_int(rec, TRIAL_alloc_bytes, layout.alloc_bytes);
	if (is_qcow2(t))
		record_set_int(rec, TRIAL_metadata_bytes,
			       layout.metadata_bytes);
	if (layout.has_fiemap)
		record_set_int(rec, TRIAL_extents, layout.extents);
	return 0;
}

/* A creation has no image open: open it for a look. */
static int
set_created(const struct trial *t, struct record *rec, struct q2_err *err)
{
	const struct target *target = t->spec->target;
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = target_format(target, &t->spec->image),
	};
	bool disk = t->spec->passes[t->pass].op == PASS_CREATE_DISK;
	struct q2_image *img;
	struct q2_err ignored;
	char path[4096];
	int r;

	(void)snprintf(path, sizeof(path), "%s%s", t->spec->path,
		       disk ? ".disk" : "");
	if (in_process(t))
		opts = target->open_opts(&t->spec->image);
	opts.flags |= Q2_RDONLY;
	r = q2_open(t->loop, path, &opts, &img, err);
	if (r < 0)
		return err_prefix(err, r, "cannot open %s", path);
	r = set_layout(t, img, rec, err);
	(void)q2_close(img, r < 0 ? &ignored : err);
	if (in_process(t))
		record_set_int(rec, TRIAL_fdatasyncs, t->fdatasyncs);
	if (in_process(t) && is_qcow2(t))
		record_set_int(rec, TRIAL_compressed_bytes,
			       t->compressed_bytes);
	if (t->emulated_falloc)
		record_add_flag(rec, TRIAL_flags, "emulated");
	return r;
}

/* Of a file that a foreign program has open. */
static void
set_file(const struct trial *t, struct record *rec)
{
	struct stat st;

	if (stat(t->spec->path, &st) < 0)
		return;
	record_set_int(rec, TRIAL_file_bytes, (uint64_t)st.st_size);
	record_set_int(rec, TRIAL_alloc_bytes, (uint64_t)st.st_blocks * 512);
}

static void
set_latency(const struct trial *t, struct record *rec)
{
	static const struct {
		int col;
		unsigned q;
	} quantiles[] = {
		{TRIAL_lat_p50_us, 50000},   {TRIAL_lat_p90_us, 90000},
		{TRIAL_lat_p99_us, 99000},   {TRIAL_lat_p999_us, 99900},
		{TRIAL_lat_p9999_us, 99990},
	};
	const struct hist *h = &t->hist;

	record_set_text(rec, TRIAL_lat_from, "submit");
	if (h->count == 0)
		return;
	record_set_real(rec, TRIAL_lat_min_us, (double)h->min / 1e3);
	record_set_real(rec, TRIAL_lat_mean_us, hist_mean(h) / 1e3);
	record_set_real(rec, TRIAL_lat_max_us, (double)h->max / 1e3);
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++) {
		if (hist_printable(h, quantiles[i].q))
			record_set_real(rec, quantiles[i].col,
					hist_quantile(h, quantiles[i].q) / 1e3);
	}
}

static void
set_stalls(const struct trial *t, struct record *rec)
{
	double seconds[TRIAL_TURNS_MAX];

	if (t->nturns < 2)
		return;
	for (size_t i = 0; i < t->nturns; i++)
		seconds[i] = t->turns[i].seconds;
	record_set_real(rec, TRIAL_stall_share,
			stall_share(seconds, t->nturns));
}

static void
set_work(const struct trial *t, struct record *rec)
{
	const struct trial_pass *p = &t->spec->passes[t->pass];
	bool seq = p->stream.order == STREAM_SEQ;
	char hash[20];

	(void)snprintf(hash, sizeof(hash), "%016" PRIx64,
		       stream_hash(&t->job.stream));
	record_set_text(rec, TRIAL_stream_hash, hash);
	record_set_text(rec, TRIAL_rw,
			p->stream.write ? (seq ? "write" : "randwrite")
					: (seq ? "read" : "randread"));
	record_set_int(rec, TRIAL_bs_bytes, p->stream.bs_bytes);
	record_set_int(rec, TRIAL_stride_bytes, stream_stride(&p->stream));
	record_set_text(rec, TRIAL_touch,
			p->touch < 0 ? "first"
				     : t->spec->passes[p->touch].name);
	record_set_text(rec, TRIAL_dist, "random");
	record_set_int(rec, TRIAL_iodepth, p->iodepth);
	record_set_int(rec, TRIAL_jobs, 1);
	record_set_int(rec, TRIAL_requests, p->requests);
	record_set_int(rec, TRIAL_area_bytes,
		       p->touch < 0
			       ? p->stream.area_bytes
			       : t->spec->passes[p->touch].stream.area_bytes);
	if (p->stream.write) {
		record_set_real(rec, TRIAL_compressible_pct, 0);
		record_set_real(rec, TRIAL_dedupe_pct, 0);
	}
}

static void
set_result(const struct trial *t, struct record *rec)
{
	const struct trial_pass *p = &t->spec->passes[t->pass];
	double duration = t->work_s + t->flush_s;
	uint64_t reads = p->stream.write ? 0 : t->ops;
	uint64_t writes = p->stream.write ? t->ops : 0;

	record_set_int(rec, TRIAL_ops, t->ops);
	record_set_int(rec, TRIAL_bytes, t->bytes);
	record_set_real(rec, TRIAL_iops, (double)t->ops / duration);
	record_set_real(rec, TRIAL_bw_bytes_per_s, (double)t->bytes / duration);
	record_set_int(rec, TRIAL_read_ops, reads);
	record_set_int(rec, TRIAL_write_ops, writes);
	record_set_int(rec, TRIAL_discard_ops, 0);
	record_set_int(rec, TRIAL_flush_ops, 0);
	record_set_int(rec, TRIAL_read_bytes, reads ? t->bytes : 0);
	record_set_int(rec, TRIAL_write_bytes, writes ? t->bytes : 0);
	set_latency(t, rec);
	set_stalls(t, rec);
}

#define DIFF(name) (t->after.stats.name - t->before.stats.name)

static void
set_host(const struct trial *t, struct record *rec)
{
	uint64_t read = DIFF(host_read_data_bytes) + DIFF(host_read_l1_bytes) +
			DIFF(host_read_l2_bytes) +
			DIFF(host_read_refcount_bytes) +
			DIFF(host_read_header_bytes) +
			DIFF(host_read_cow_bytes);
	uint64_t write = DIFF(host_write_data_bytes) +
			 DIFF(host_write_l1_bytes) + DIFF(host_write_l2_bytes) +
			 DIFF(host_write_refcount_bytes) +
			 DIFF(host_write_header_bytes) +
			 DIFF(host_write_cow_bytes);
	bool writes = t->spec->passes[t->pass].stream.write;

#define SAME(name) record_set_int(rec, TRIAL_##name, DIFF(name))
	SAME(host_reads);
	SAME(host_writes);
	SAME(host_discards);
	SAME(host_zeroes);
	SAME(fdatasyncs);
	SAME(host_read_data_bytes);
	SAME(host_read_l1_bytes);
	SAME(host_read_l2_bytes);
	SAME(host_read_refcount_bytes);
	SAME(host_read_header_bytes);
	SAME(host_read_cow_bytes);
	SAME(host_write_data_bytes);
	SAME(host_write_l1_bytes);
	SAME(host_write_l2_bytes);
	SAME(host_write_refcount_bytes);
	SAME(host_write_header_bytes);
	SAME(host_write_cow_bytes);
	SAME(host_discard_bytes);
	SAME(host_zero_bytes);
	record_set_int(rec, TRIAL_host_read_bytes, read);
	record_set_int(rec, TRIAL_host_write_bytes, write);
	if (writes && t->bytes)
		record_set_real(rec, TRIAL_write_amp,
				(double)write / (double)t->bytes);
	if (!writes && t->bytes)
		record_set_real(rec, TRIAL_read_amp,
				(double)read / (double)t->bytes);
	if (!is_qcow2(t))
		return;
	record_set_int(rec, TRIAL_l2_lookups, DIFF(l2_hits) + DIFF(l2_misses));
	SAME(l2_hits);
	SAME(l2_misses);
	SAME(l2_evictions);
	SAME(refcount_hits);
	SAME(refcount_misses);
	SAME(refcount_evictions);
	SAME(clusters_alloc);
	SAME(clusters_freed);
	SAME(compressed_bytes);
	SAME(encrypted_bytes);
#undef SAME
}

static double
timeval_s(const struct timeval *after, const struct timeval *before)
{
	return (double)(after->tv_sec - before->tv_sec) +
	       (double)(after->tv_usec - before->tv_usec) * 1e-6;
}

static void
set_cost(const struct trial *t, struct record *rec)
{
	const struct rusage *a = &t->after.usage, *b = &t->before.usage;

	record_set_real(rec, TRIAL_cpu_user_s,
			timeval_s(&a->ru_utime, &b->ru_utime));
	record_set_real(rec, TRIAL_cpu_sys_s,
			timeval_s(&a->ru_stime, &b->ru_stime));
	record_set_int(rec, TRIAL_rss_peak_bytes, (uint64_t)a->ru_maxrss * KiB);
	if (!in_process(t))
		return;
	record_set_int(rec, TRIAL_syscalls,
		       t->after.syscalls - t->before.syscalls);
	if (t->after.sqes > 0)
		record_set_int(rec, TRIAL_sqes, t->after.sqes - t->before.sqes);
}

/* A read of a hole is fast and says nothing. */
static int
check_read(const struct trial *t, struct q2_err *err)
{
	const struct trial_pass *p = &t->spec->passes[t->pass];

	if (p->stream.write || !t->spec->target->has_file || !in_process(t) ||
	    DIFF(host_read_data_bytes) >= t->bytes)
		return 0;
	/* Each byte has been unpacked, perhaps by an earlier request. */
	if (t->spec->image.compress && DIFF(host_read_data_bytes) > 0)
		return 0;
	return q2_fail(err, -EIO,
		       "pass %s has read %" PRIu64 " bytes of the guest but "
		       "only %" PRIu64 " of the file: it read holes",
		       p->name, t->bytes, DIFF(host_read_data_bytes));
}

int
trial_record(struct trial *t, struct record *rec, struct q2_err *err)
{
	const struct trial_pass *p = &t->spec->passes[t->pass];
	int r = 0;

	record_set_text(rec, TRIAL_label, t->spec->label);
	record_set_text(rec, TRIAL_pass, p->name);
	record_set_text(rec, TRIAL_workload, p->name);
	record_set_int(rec, TRIAL_pass_index, t->pass + 1);
	record_set_int(rec, TRIAL_round, t->spec->round);
	record_set_int(rec, TRIAL_virtual_bytes, t->spec->image.virtual_bytes);
	record_set_real(rec, TRIAL_started_at_s, t->started_at_s);
	record_set_int(rec, TRIAL_slices, p->cut.turns);
	if (p->cut.turns > 1)
		record_set_int(rec, TRIAL_slice_ops, p->cut.slice_ops);
	record_set_real(rec, TRIAL_duration_s, t->work_s + t->flush_s);
	if (t->flushed)
		record_set_real(rec, TRIAL_flush_s, t->flush_s);
	if (t->prepare_s >= 0)
		record_set_real(rec, TRIAL_prepare_s, t->prepare_s);
	if (t->create_s >= 0)
		record_set_real(rec, TRIAL_create_s, t->create_s);
	if (t->open_s >= 0)
		record_set_real(rec, TRIAL_open_s, t->open_s);
	set_target(t, rec);
	set_cost(t, rec);
	if (p->op == PASS_SNAPSHOT || p->op == PASS_SNAPSHOT_DELETE) {
		set_host(t, rec);
		return set_layout(t, t->disk.img, rec, err);
	}
	if (p->op != PASS_STREAM)
		return set_created(t, rec, err);
	set_work(t, rec);
	set_result(t, rec);
	if (t->spec->target->has_file && in_process(t)) {
		set_host(t, rec);
		r = set_layout(t, t->disk.img, rec, err);
	} else if (t->spec->target->has_file) {
		set_file(t, rec);
	}
	return r < 0 ? r : check_read(t, err);
}
