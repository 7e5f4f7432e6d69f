/* SPDX-License-Identifier: MIT */
/*
 * trials.h - made-up trials with known effects, for tests of cells, table,
 * advice and plots
 *
 * A world says how fast each configuration is in each pass, as a factor of a
 * plain file, and how noisy rounds and trials are; trials_make() plays it.
 * The noise has a fixed seed: the same world gives the same trials.
 */
#ifndef TESTS_TRIALS_H
#define TESTS_TRIALS_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "results/record.h"

enum world_config {
	RAW_SPARSE,
	RAW_WRITTEN,
	OFF,
	METADATA,
	FALLOC,
	FULL,
	OWN_OFF,
	WORLD_CONFIGS
};

static const struct {
	const char *label, *format, *state, *zero;
} world_configs[] = {
	{"raw-sparse", "raw", "sparse", NULL},
	{"raw-written", "raw", "written", NULL},
	{"qcow2-off", "qcow2", "off", "range"},
	{"qcow2-metadata", "qcow2", "metadata", "range"},
	{"qcow2-falloc", "qcow2", "falloc", "range"},
	{"qcow2-full", "qcow2", "full", "range"},
	{"own-off", "qcow2", "off", "hole"},
};

struct world {
	unsigned rounds;
	double first_write[WORLD_CONFIGS]; /* 1: as raw-written; 0: left out */
	double create_s[WORLD_CONFIGS];
	double noise;       /* sd of a trial's log, paired sd is sqrt(2) x */
	double round_noise; /* shared by all of a round */
	double bytes_per_s; /* of creation of full */
	const char *filesystem, *medium, *cache, *discard;
	bool modelled;
	uint64_t seed;
};

/* A disk on which full is worth it. */
static const struct world world_usual = {
	.rounds = 6,
	.first_write = {0.7, 1, 0.55, 0.62, 0.64, 0.97},
	.create_s = {0.002, 1.1, 0.003, 0.004, 0.006, 1.2},
	.noise = 0.01,
	.round_noise = 0.1,
	.filesystem = "ext4",
	.medium = "ssd",
	.cache = "none",
	.discard = "ignore",
	.seed = 1,
};

/* About normal, sd 1. */
static inline double
world_noise(struct rng *rng)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += (double)(rng_next(rng) >> 11) * 0x1p-53;
	return sum;
}

static const struct world_pass {
	const char *name, *rw;
	double iops;
	uint32_t bs, depth;
	uint64_t ops;
} world_passes[] = {
	{"create", NULL, 0, 0, 0, 0},
	{"first-write", "randwrite", 18000, 4096, 32, 8192},
	{"rewrite", "randwrite", 21000, 4096, 32, 8192},
	{"read", "randread", 48000, 4096, 32, 8192},
	{"seq-write", "write", 900, 1 << 20, 8, 128},
	{"seq-read", "read", 1900, 1 << 20, 8, 128},
};

#define WORLD_SIZE (640 * MiB)

static inline void
world_identity(struct record *rec, const struct world *w, unsigned config,
	       unsigned round)
{
	char id[20];

	record_set_text(rec, TRIAL_run_id, "0123456789ab");
	record_set_int(rec, TRIAL_session, 1);
	(void)snprintf(id, sizeof(id), "%06u%06u", round % 1000000, config);
	record_set_text(rec, TRIAL_trial_id, id);
	record_set_text(rec, TRIAL_suite, "preallocation");
	record_set_text(rec, TRIAL_group_id, "aaaaaaaaaaaa");
	record_set_text(rec, TRIAL_label, world_configs[config].label);
	record_set_int(rec, TRIAL_round, round);
	record_set_int(rec, TRIAL_attempt, 1);
	record_set_int(rec, TRIAL_create_order, 1 + (config + round) % 6);
	record_set_text(rec, TRIAL_machine, "bbbbbbbbbbbb");
	record_set_text(rec, TRIAL_env_fp, "cccccccccccc");
	record_set_text(rec, TRIAL_program_version, "0.1.0");
	record_set_int(rec, TRIAL_seed, w->seed);
	record_set_text(rec, TRIAL_device,
			w->modelled ? "model:ssd-ext4" : "file");
	record_set_bool(rec, TRIAL_modelled, w->modelled);
	record_set_text(rec, TRIAL_medium, w->medium);
	record_set_text(rec, TRIAL_filesystem, w->filesystem);
	record_set_text(rec, TRIAL_aio, "io_uring");
	record_set_text(rec, TRIAL_aio_effective, "io_uring");
	record_set_text(rec, TRIAL_cache_mode, w->cache);
	record_set_text(rec, TRIAL_cache_mode_effective, w->cache);
	record_set_text(rec, TRIAL_discard_mode, w->discard);
}

static inline void
world_image(struct record *rec, unsigned config)
{
	bool raw = strcmp(world_configs[config].format, "raw") == 0;

	record_set_text(rec, TRIAL_target, world_configs[config].format);
	record_set_text(rec, TRIAL_image_format, world_configs[config].format);
	record_set_int(rec, TRIAL_virtual_bytes, WORLD_SIZE);
	record_set_text(rec, raw ? TRIAL_raw_state : TRIAL_preallocation,
			world_configs[config].state);
	record_set_text(rec, TRIAL_zero_policy, world_configs[config].zero);
	if (!raw)
		record_set_int(rec, TRIAL_cluster_bytes, 65536);
}

static inline void
world_result(struct record *rec, const struct world *w, unsigned config,
	     const struct world_pass *pass, double factor)
{
	bool all = config == RAW_WRITTEN || config == FALLOC || config == FULL;
	double seconds;

	record_set_int(rec, TRIAL_alloc_bytes,
		       all                  ? WORLD_SIZE + 340 * KiB
		       : config == METADATA ? 340 * KiB
		       : config == OFF      ? 196 * KiB
					    : 0);
	if (!pass->rw) {
		record_set_real(rec, TRIAL_duration_s,
				w->create_s[config] * factor);
		record_set_real(rec, TRIAL_create_s,
				w->create_s[config] * factor);
		return;
	}
	if (strcmp(pass->name, "first-write") == 0)
		factor *= w->first_write[config];
	seconds = (double)pass->ops / (pass->iops * factor);
	record_set_text(rec, TRIAL_rw, pass->rw);
	record_set_int(rec, TRIAL_bs_bytes, pass->bs);
	record_set_int(rec, TRIAL_stride_bytes, 64 * KiB);
	record_set_int(rec, TRIAL_iodepth, pass->depth);
	record_set_int(rec, TRIAL_ops, pass->ops);
	record_set_int(rec, TRIAL_bytes, pass->ops * pass->bs);
	record_set_real(rec, TRIAL_duration_s, seconds);
	record_set_real(rec, TRIAL_flush_s, seconds / 20);
	record_set_real(rec, TRIAL_iops, (double)pass->ops / seconds);
	record_set_real(rec, TRIAL_bw_bytes_per_s,
			(double)(pass->ops * pass->bs) / seconds);
}

static inline void
trials_make(const struct world *w, struct rows *rows)
{
	struct rng rng = {.state = w->seed};

	for (unsigned round = 1; round <= w->rounds; round++) {
		for (unsigned k = 0; k < WORLD_CONFIGS * 6; k++) {
			unsigned config = (k + round) % WORLD_CONFIGS;
			unsigned p = k / WORLD_CONFIGS;
			/* the round's noise is the same for all its trials */
			struct rng shared = {.state = w->seed + 1000 * round +
						      p};
			double factor = exp(w->round_noise *
						    world_noise(&shared) +
					    w->noise * world_noise(&rng));
			struct record *rec;
			char id[16];

			if (w->first_write[config] <= 0)
				continue;
			rec = record_new(&table_trials);
			world_identity(rec, w, config, round);
			(void)snprintf(id, sizeof(id), "%06u%06u", config, p);
			record_set_text(rec, TRIAL_cell_id, id);
			record_set_text(rec, TRIAL_pass, world_passes[p].name);
			record_set_text(rec, TRIAL_workload,
					world_passes[p].name);
			record_set_int(rec, TRIAL_pass_index, p + 1);
			record_set_int(rec, TRIAL_slices, 1);
			world_image(rec, config);
			world_result(rec, w, config, &world_passes[p], factor);
			rows_add(rows, rec);
		}
	}
}

#endif
