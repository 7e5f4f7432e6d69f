/* SPDX-License-Identifier: MIT */
/*
 * matrix_image.h - one image of the matrix, what it holds, and whom to blame
 *
 * It is the file t.qcow2 of the working directory.
 */
#ifndef TESTS_INTEROP_MATRIX_IMAGE_H
#define TESTS_INTEROP_MATRIX_IMAGE_H

#include "engine/base/rng.h"
#include "engine/q2.h"
#include "tests/interop/matrix.h"
#include "tests/interop/qio.h"
#include "tests/interop/script.h"
#include "tests/interop/spawn.h"

/* The name of a snapshot or a bitmap. */
#define MATRIX_EXTRA_NAME "s"

struct image {
	/* Of the test: our program, a running qemu-io. */
	const char *program;
	struct qio *qio;
	struct q2_loop *loop;

	char again[120]; /* the command that plays this image alone */
	struct matrix_kind kind;
	char options[400]; /* of create */
	struct rng rng;
	struct disk disk;
	uint64_t base_size;
	char *base; /* the backing file as it was made; NULL: none */
	uint64_t base_bytes;
	bool was_started;     /* our program */
	struct script script; /* of this turn */
	char turn[120];       /* who plays it, and how */
	char extra[80];       /* the last thing done to snapshots or bitmaps */

	/* There is a snapshot or a bitmap, of that side. */
	bool has_extra;
	enum side extra_side;
	uint8_t *snapshot; /* what it holds, while there is one */
};

/* Names for people. */
extern const char *const matrix_sides[SIDES];

/* Why it failed, and how to see it again; does not return. */
__attribute__((noreturn)) void blame(const struct image *img, const char *what,
				     const char *text);

/* A status that is not 0, and out.0: the image is to blame. */
void must_be_zero(const struct image *img, const struct words *w, int status);

/* Run it alone. */
void must(const struct image *img, const struct words *w);

/* Our program, with a name, the subcommand, --object and a text in front:
 * started for the first time in the life of this image, later within the
 * test. */
void must_ours(struct image *img, int (*command)(int argc, char **argv),
	       const struct words *w);

/* What qemu-io was told went without a word. */
void must_qio(const struct image *img, const char *what);

/* The options by which qemu-io opens it. */
const char *image_how_to_open(const struct image *img);

/* Its name as the last words of a command; with options even where a format
 * would do. */
void image_add_name(struct words *w, const struct image *img);
void image_add_options(struct words *w, const struct image *img);

/* By our engine, to be read. */
struct q2_image *image_open_ours(const struct image *img);

/* What was read of the disk, or of a snapshot, is what it must be. */
void image_same_bytes(const struct image *img, const char *what,
		      const uint8_t *bytes, const uint8_t *right);

#endif
