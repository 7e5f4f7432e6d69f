/* SPDX-License-Identifier: MIT */
/*
 * image_check.h - count the references in an image file
 *
 * A reference of its own for what the engine and its checker say: it reads the
 * file and knows of the engine only what an entry looks like.
 */
#ifndef TESTS_IMAGE_CHECK_H
#define TESTS_IMAGE_CHECK_H

#include <stdint.h>

#include "engine/aio/aio.h"

struct image_check {
	uint64_t corruptions;  /* refcount below references, and the like */
	uint64_t leaks;        /* clusters with a refcount too high */
	uint64_t copied_clear; /* COPIED clear though the refcount is 1 */
	uint64_t references;
	uint64_t compressed; /* clusters */
	unsigned snapshots, bitmaps;
	bool dirty;    /* refcounts may be stale (lazy_refcounts) */
	char why[160]; /* the first corruption, or "" */
};

/* Not from a coroutine; the image may be open, after a flush and while nothing
 * is in flight.  0 or a negative errno. */
int image_check(struct loop *loop, const char *name, struct image_check *ret);

#endif
