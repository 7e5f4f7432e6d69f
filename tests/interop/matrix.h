/* SPDX-License-Identifier: MIT */
/*
 * matrix.h - kinds of images: the factors that test_matrix.c crosses
 *
 * The data file is called t.data, wherever one works.
 */
#ifndef TESTS_INTEROP_MATRIX_H
#define TESTS_INTEROP_MATRIX_H

#include <stdbool.h>

#include "tests/interop/pairwise.h"

enum matrix_factor {
	MATRIX_MAKER,
	MATRIX_VERSION,
	MATRIX_CLUSTER,
	MATRIX_WIDTH,
	MATRIX_LAYOUT,
	MATRIX_BACKING,
	MATRIX_PREALLOC,
	MATRIX_ENCRYPTION,
	MATRIX_COMPRESSION,
	MATRIX_EXTRA,
	MATRIX_FACTORS
};

enum matrix_extra {
	MATRIX_NOTHING,
	MATRIX_SNAPSHOT,
	MATRIX_BITMAP,
	MATRIX_EXTRAS
};

enum side {
	OURS,
	QEMUS,
	SIDES
};

/* A row in plain words. */
struct matrix_kind {
	enum side maker;
	unsigned version, cluster, width; /* bytes, bits */
	const char *layout;               /* options, or "" */
	bool is_extended, has_raw_data_file;
	const char *backing; /* its format, or NULL */
	int backing_longer;  /* than the image; 0: equal, -1: shorter */
	const char *prealloc;
	const char *encryption;  /* options, with key secret s; or "" */
	const char *compression; /* options; "": nothing is compressed */
	enum matrix_extra extra;
};

/* For pairwise_rows(). */
extern const struct pairwise matrix_factors;

struct matrix_kind matrix_kind(const struct pairwise_row *row);

/* Can value a of factor f not be in an image with value b of g? */
bool matrix_in_conflict(unsigned f, unsigned a, unsigned g, unsigned b);

#endif
