/* SPDX-License-Identifier: MIT */
/*
 * plan.h - from a suite, the user's wishes and a probe to exact work
 *
 * Pure: sizes and counts only.  The numbers of the quick form come from what
 * the probe has measured, so that a run takes under three minutes on a fast
 * drive and on a slow one:
 *
 *	S, the image: the largest of 1280, 640, 320, 160, 80 MiB that is
 *	   written in 0.9 s (0.45 s where images are filled before) and for
 *	   which there is space;
 *	N, the requests of a random pass: the largest power of two up to 16384
 *	   that takes 0.45 s, at least 128.
 */
#ifndef HARNESS_PLAN_H
#define HARNESS_PLAN_H

#include "harness/suite.h"
#include "harness/turns.h"

#define PLAN_TURN_S 0.1

/* What the probe says about a disk. */
struct probe {
	double iops;        /* 4k random writes at depth 32, flush included */
	double bytes_per_s; /* sequential writes, flush included */
	double duration_s;  /* of the probe itself */
	/* Removing a file, for each of its extents: many, where the file system
	 * discards as it frees.  0: not known. */
	double removal_s;
};

/* What the user asked for; 0 or NULL: not said. */
struct wishes {
	const struct suite *suite; /* in its standard form */
	bool quick;
	uint64_t rounds, seed;
	uint64_t image_bytes, requests, disk_bytes;
	uint64_t slices; /* turns of each pass; 0: by the length of a turn */
	const char *aio, *cache;
};

struct plan_pass {
	const struct pass *pass;
	int touch; /* index of the pass whose bytes are used again, or -1 */
	/* All but the seed, and touch: see plan_streams(). */
	struct stream_spec stream;
	uint64_t wished_ops; /* 0: as many as there are places */
	struct turns_cut cut;
};

struct plan {
	const struct suite *suite;
	bool quick;
	const struct config *configs[SUITE_CONFIGS_MAX];
	size_t nconfigs;
	struct plan_pass passes[SUITE_PASSES_MAX];
	size_t npasses;
	uint64_t rounds, seed;
	uint64_t image_bytes, requests;
	uint64_t disk_bytes; /* that the user wants to make */
	bool disk_wished;    /* has the user said so? */
	const char *aio;     /* NULL: the best there is */
	enum q2_cache cache;
	bool sliced;                   /* passes are cut into turns */
	uint64_t slices;               /* so many; 0: by their length */
	double ops_per_s, bytes_per_s; /* of the probe, for the turns */
	/* Tables of a disk of the user's size: what has more is not made (0:
	 * whatever it takes). */
	uint64_t disk_most;
};

/* "none" ... and back; NULL for no such mode. */
extern const char *const plan_cache_names[];
const char *plan_cache_name(enum q2_cache cache);
/* Q2_CACHE_NONE for what is no mode. */
enum q2_cache plan_cache_mode(const char *name);
const char *plan_prealloc_name(enum q2_prealloc prealloc);
const char *plan_zero_name(enum q2_zero zero);

/* Of images; less cannot be asked for. */
#define PLAN_IMAGE_SMALLEST (16 * MiB)

/* S and N of the quick form.  space: free bytes that may be used. */
uint64_t plan_quick_image(const struct probe *probe, const struct plan *plan,
			  uint64_t space);
uint64_t plan_quick_requests(const struct probe *probe);

/* Configurations and passes of this form of the suite; no sizes yet.  quick is
 * for suites that have that form. */
void plan_init(struct plan *plan, const struct wishes *wishes);

/* Settle the sizes: areas, streams, turns.  -EINVAL if they do not fit each
 * other. */
int plan_resolve(struct plan *plan, uint64_t image_bytes, uint64_t requests,
		 struct q2_err *err);

/*
 * Choose image and requests, as wished (0: not said), by the form of the suite,
 * by the probe and by the free space, and resolve them.  -ENOSPC if it does not
 * fit into space: then it is resolved all the same, and can be shown.  -EINVAL
 * if the sizes do not fit each other.
 */
int plan_sizes(struct plan *plan, uint64_t image_bytes, uint64_t requests,
	       const struct probe *probe, uint64_t space, struct q2_err *err);

#define PLAN_NOTES     2
#define PLAN_NOTE_SIZE 256
/* Where the plan is not what was wished for, in words; returns their number.
 * requests_wished: by an option. */
size_t plan_notes(const struct plan *plan, bool requests_wished,
		  char notes[PLAN_NOTES][PLAN_NOTE_SIZE]);

/* Are the sizes those of images that can be made?  0 or -EINVAL. */
int plan_check_images(const struct plan *plan, struct q2_err *err);
/* Passes of that kind. */
unsigned plan_count(const struct plan *plan, enum pass_op op);

/* Disks at which the sizes of the quick form end. */
extern const struct probe plan_slow_disk, plan_fast_disk;
/* What a probe would find on an assumed disk of that kind: "hdd" ...; the first
 * and the last are the two above. */
extern const char *const plan_disk_names[];
const struct probe *plan_disk(const char *name);

/* Bytes that the images of one round take, with a tenth to spare. */
uint64_t plan_space(const struct plan *plan, uint64_t image_bytes,
		    uint64_t requests);

/*
 * The streams of a round: seeds that follow from the run's seed, the round and
 * the pass alone, so that all configurations get the same operations.
 * specs[i].touch points into specs.
 */
void plan_streams(const struct plan *plan, uint64_t round,
		  struct stream_spec specs[SUITE_PASSES_MAX]);

/* What a resolved plan costs; plan_time.h has how long it takes. */
struct plan_cost {
	size_t cells;     /* configurations times passes */
	uint64_t trials;  /* configurations times rounds */
	uint64_t space;   /* bytes of disk in use at once */
	uint64_t written; /* bytes written over the whole run */
};
struct plan_cost plan_cost(const struct plan *plan);

/* Seconds of one pass of one configuration in one round, by the probe alone:
 * what first writes cost over rewrites is not known before they are
 * measured. */
double plan_cell_s(const struct plan *plan, size_t config, size_t pass,
		   const struct probe *probe);

/* Has any configuration a file?  null has none, and what nbd has is not of our
 * making. */
bool plan_has_files(const struct plan *plan);
bool plan_config_has_file(const struct config *config);

/* Another cache mode for all that have none of their own; before sizes are
 * resolved. */
void plan_set_cache(struct plan *plan, enum q2_cache cache);

/* Its own, or what all others have. */
enum q2_cache plan_config_cache(const struct plan *plan,
				const struct config *config);
const char *plan_config_aio(const struct plan *plan,
			    const struct config *config);
uint64_t plan_config_bytes(const struct plan *plan,
			   const struct config *config);

/* Tables of an image of that size in which nothing is missing: what
 * preallocation=metadata writes. */
uint64_t plan_metadata_bytes(const struct config *config,
			     uint64_t virtual_bytes);

/* Percent of the data that is converted; 0: nothing is, or all is random. */
unsigned plan_compressible(const struct plan *plan);
/* What is written before the passes: data, the source of a conversion. */
uint64_t plan_prepare_bytes(const struct plan *plan,
			    const struct config *config);

/* Does its creation write the whole image? */
bool plan_writes_all(const struct config *config);

/* Does this configuration do this pass? */
bool plan_does(const struct plan *plan, size_t config, size_t pass);

/* A configuration whose disk of the user's size is not made, because its tables
 * are too large to be written in each round; or NULL. */
const struct config *plan_left_out(const struct plan *plan);

#endif
