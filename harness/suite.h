/* SPDX-License-Identifier: MIT */
/*
 * suite.h - named comparisons: which configurations do which passes
 *
 * A suite is read from a spec file (docs/spec-format.md); those of suites/ are
 * part of the program.  Sizes may be shares of the image, so that the probe can
 * choose the image (plan.h).
 */
#ifndef HARNESS_SUITE_H
#define HARNESS_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/q2.h"
#include "harness/cells.h"
#include "harness/fill.h"
#include "harness/spec_mem.h"
#include "workloads/stream.h"

#define SUITE_CONFIGS_MAX 16
#define SUITE_PASSES_MAX  16
#define SUITE_GROUPS_MAX  64

/* A target with its image factors.  What is 0 or NULL is not said: then it is
 * the plan's (cache, aio, image_bytes) or the engine's default. */
struct config {
	const char *label;
	const char *target;    /* raw, qcow2, null, nbd, qemu (targets/) */
	const char *raw_state; /* sparse, falloc, written; NULL: not raw */
	/* qcow2 only */
	enum q2_prealloc prealloc;
	enum q2_zero zero;
	uint32_t cluster_size; /* never 0 */
	bool extended_l2;
	unsigned compat; /* 2, or 0 for 3 */
	unsigned refcount_bits;
	bool lazy_refcounts;
	uint64_t l2_cache_size, l2_cache_entry_size, refcount_cache_size;
	unsigned cache_clean_interval; /* seconds; UINT_MAX: never */
	/* What is done before the first pass (prepare.h). */
	enum fill fill;         /* of the file at the bottom */
	unsigned chain_depth;   /* files below the image */
	unsigned snapshots;     /* that it has */
	bool compress;          /* op=convert: compressed clusters */
	bool zstd;              /* compression_type; else zlib */
	const char *encryption; /* aes, luks; NULL: none */
	unsigned iter_time;     /* of luks, milliseconds */
	/* nbd only */
	const char *uri; /* the export */
	bool overwrite;  /* what is there now may be destroyed */
	/* how it is opened */
	enum q2_cache cache;
	const char *aio;
	bool unmap; /* discard=unmap */
	enum q2_detect_zeroes detect_zeroes;
	uint64_t image_bytes; /* if it is not that of all others */
	/* Bytes that the file takes when the image is filled, or only where it
	 * was written: for the check of free space. */
	bool takes_all;
};

enum pass_op {
	PASS_CREATE,          /* make the image */
	PASS_CREATE_DISK,     /* make one of the user's size beside it */
	PASS_CONVERT,         /* make the image out of a raw file with data */
	PASS_SNAPSHOT,        /* take an internal snapshot */
	PASS_SNAPSHOT_DELETE, /* delete the last one */
	PASS_STREAM,          /* requests */
};

/* A place or a length in an image. */
struct share {
	bool percent; /* of the image; else bytes */
	uint64_t n;
};

/* A metric of a pass that verdicts are given for: findings.h. */
struct judged {
	const char *pass, *metric;
};

/* A spec file as it was when it was read. */
struct suite_text {
	const char *name; /* as suites_load() takes it */
	const char *text;
};

struct suite_texts {
	const struct suite_text *v;
	size_t n;
};

/* One kind of work. */
struct pass {
	const char *name;
	enum pass_op op;
	/* PASS_CREATE_DISK: what would write that much is left out. */
	enum stream_order order;
	enum stream_place place;
	bool write;
	uint32_t bs_bytes;
	uint32_t iodepth;
	uint64_t stride_bytes; /* 0: the stream's default */
	struct share area_off, area_size;
	/* As many, or 0: each place once.  scaled: in proportion to what the
	 * plan makes of the suite's number. */
	uint64_t requests;
	bool scaled;
	uint64_t slices; /* turns of each configuration; 0: the plan decides */
	unsigned compressible; /* PASS_CONVERT: percent of the data */
	const char *touch;     /* pass whose bytes are used again, or NULL */
};

/*
 * One comparison group in one form.  Everything it points at is its own, or of
 * the suite that it hangs on.
 */
struct suite {
	const char *name;
	const char *question;
	const char *group; /* "cluster_size=64k", or NULL: the only group */
	const struct config *configs;
	size_t nconfigs;
	const struct pass *passes; /* in this order, on one image per trial */
	size_t npasses;
	const char *reference; /* 100 % in tables; may be NULL */
	const char *baseline;  /* policies are ranked against it; may be NULL */
	const struct cells_contrast *contrasts;
	size_t ncontrasts;
	bool advice; /* ends with the sentence about preallocation */
	const struct judged *judged; /* what the findings are about */
	size_t njudged;
	const char *sweep;  /* key of the axis of their plot, or NULL */
	bool sweep_is_pass; /* it is one of passes, not of configurations */
	double margin;
	unsigned rounds;
	uint64_t image_bytes, requests;
	/* Chosen by the probe instead. */
	bool probe_image, probe_requests;
	enum q2_cache cache; /* Q2_CACHE_DEFAULT: not said */
	const char *aio;     /* NULL: not said */
	struct suite *quick; /* the quick form of this group, or NULL */
	struct suite *next;  /* group, or NULL */
	/* Only in the first group: */
	struct spec_mem *mem;     /* owner of all groups and forms */
	struct suite_texts texts; /* all files that they come from */
};

/* What the user puts in place of what the file says. */
struct suite_sets {
	const char *const *v; /* "key=value" */
	size_t n;
};

/*
 * Read a suite: its name, or the name of a file, which has a slash or ends in
 * .ini.  -EINVAL with file:line:column and the remedy.  sets may be NULL.
 */
int suites_load(const char *name, const struct suite_sets *sets,
		struct suite **ret, struct q2_err *err);
/* The same from these texts alone, which are copied: no file is read. */
int suites_load_kept(const char *name, const struct suite_texts *texts,
		     const struct suite_sets *sets, struct suite **ret,
		     struct q2_err *err);
void suites_free(struct suite *suite);

/* Those of suites/, as they were when the program was built; never freed. */
size_t suites_count(void);
const char *suites_name(size_t i);
const struct suite *suites_at(size_t i);
const struct suite *suites_find(const char *name);

#endif
