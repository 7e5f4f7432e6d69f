/* SPDX-License-Identifier: MIT */
/*
 * suite.h - named comparisons: which configurations do which passes
 *
 * A suite is data: suites.c holds the table.  suites/NAME.ini says the same in
 * the words of a spec file, and a test compares the two.  Sizes are shares of
 * the image, so that the probe can choose the image (plan.h).
 */
#ifndef HARNESS_SUITE_H
#define HARNESS_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/q2.h"
#include "harness/cells.h"
#include "workloads/stream.h"

#define SUITE_CONFIGS_MAX 16
#define SUITE_PASSES_MAX  16

/* A target with its image factors. */
struct config {
	const char *label;
	const char *target;    /* raw, qcow2, null, nbd, qemu (targets/) */
	const char *raw_state; /* sparse, falloc, written; NULL: not raw */
	enum q2_prealloc prealloc;
	enum q2_zero zero;     /* qcow2 only */
	uint32_t cluster_size; /* qcow2 only */
	const char *uri;       /* nbd only: the export */
	bool overwrite; /* nbd only: what is there now may be destroyed */
	bool not_quick; /* only in the standard form */
	/* Bytes that the file takes when the image is filled, or only where it
	 * was written: for the check of free space. */
	bool takes_all;
};

enum pass_op {
	PASS_CREATE,      /* make the image */
	PASS_CREATE_DISK, /* make one of the user's size beside it */
	PASS_STREAM,      /* requests */
};

/* One kind of work. */
struct pass {
	const char *name;
	enum pass_op op;
	/* PASS_CREATE_DISK: what would write that much is left out. */
	enum stream_order order;
	bool write;
	uint32_t bs_bytes;
	uint32_t iodepth;
	unsigned area_from, area_share; /* percent of the image */
	/* in quick runs, if quick_share is not 0 */
	unsigned quick_from, quick_share;
	bool requests;     /* as many as the plan says, else each place once */
	const char *touch; /* pass whose bytes are used again, or NULL */
	bool not_quick;
};

struct suite {
	const char *name;
	const char *question;
	const struct config *configs;
	size_t nconfigs;
	const struct pass *passes; /* in this order, on one image per trial */
	size_t npasses;
	const char *reference; /* 100 % in tables; may be NULL */
	const char *baseline;  /* policies are ranked against it; may be NULL */
	const struct cells_contrast *contrasts;
	size_t ncontrasts;
	bool advice; /* ends with the sentence about preallocation */
	unsigned rounds, quick_rounds;
	uint64_t image_bytes, requests; /* standard form; quick: the probe */
};

size_t suites_count(void);
const struct suite *suites_at(size_t i);
const struct suite *suites_find(const char *name);

#endif
