/* SPDX-License-Identifier: MIT */
/*
 * bitmaps.h - the persistent dirty bitmaps of an open image
 *
 * A bit of a bitmap stands for a range of the disk, and says that the guest has
 * changed it since somebody cleared the bit.  The bits are kept in memory while
 * the image is open and stored when it is closed (manage/bitmap_store.c).  So
 * before the first change the file is made to say that the bitmap is in use:
 * whoever finds it so after a crash knows that it does not tell everything, and
 * does not use it.  Until then the file is as it was.
 */
#ifndef Q2_IMAGE_BITMAPS_H
#define Q2_IMAGE_BITMAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/co/sync.h"
#include "engine/format/bitmap.h"

struct image;
struct q2_err;

struct dirty_bitmap {
	char *name; /* terminated; that does not count for its length */
	uint16_t name_len;
	unsigned granularity_bits; /* log2 of the bytes that a bit stands for */
	bool enabled;              /* the guest's changes are noted */
	bool inconsistent; /* was in use at a crash: can only be removed */
	bool marked;       /* the file says that it is in use, by us */
	bool changed;      /* the bits are not those of the file */
	uint8_t *bits;     /* bits.h; NULL: not read yet */
	uint64_t n_bits;
	uint64_t table_offset; /* in the file; 0: nowhere yet */
	uint32_t table_entries;
};

struct bitmaps {
	struct dirty_bitmap *v; /* as in the file's directory */
	uint32_t n;
	bool noting;           /* some are to note what the guest changes */
	bool marked;           /* the file says so */
	struct co_mutex mutex; /* for marking */
};

void bitmaps_init(struct bitmaps *b);
void bitmaps_done(struct bitmaps *b);

/* Read the directory that the header names.  0, or a negative errno with
 * qemu-img's text. */
int Q2_CO bitmaps_load(struct image *img, struct q2_err *err);
/* The bits of one, if they are not there yet, or of all that note changes. */
int Q2_CO bitmaps_read(struct image *img, struct dirty_bitmap *d,
		       struct q2_err *err);
int Q2_CO bitmaps_read_noting(struct image *img, struct q2_err *err);

/* -1: there is none of that name. */
int bitmaps_find(const struct bitmaps *b, const char *name);
/* For operations, which then make the directory the same. Put one behind the
 * others, all clear; -ENOMEM.  Take one out; the caller frees it. */
int bitmaps_append(struct image *img, const char *name,
		   unsigned granularity_bits);
struct dirty_bitmap bitmaps_take(struct bitmaps *b, uint32_t index);
/* Put it back; there is room for it. */
void bitmaps_put_back(struct bitmaps *b, uint32_t index,
		      const struct dirty_bitmap *d);
void bitmaps_free(struct dirty_bitmap *d);
/* Memory for the bits of one, all clear; NULL: none. */
uint8_t *bitmaps_new_bits(const struct image *img, unsigned granularity_bits);
/* After a change of what is enabled. */
void bitmaps_update(struct bitmaps *b);
/* The disk has another size now: what is new is clear.  All bits have been
 * read.  -ENOMEM, and nothing has changed. */
int bitmaps_resize(struct image *img);

/* May the guest's data be changed, as far as the file is concerned? */
static inline bool
bitmaps_ready(const struct bitmaps *b)
{
	return !b->noting || b->marked;
}

/* Make it so, durably: in use are those that note changes, or all. */
int Q2_CO bitmaps_mark(struct image *img, bool all);

/* These bytes of the disk may change from now on. */
void bitmaps_note(struct image *img, uint64_t off, uint64_t len);

/* Nothing in memory has yet to go into the file. */
bool bitmaps_are_stored(const struct bitmaps *b);

#endif
