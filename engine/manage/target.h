/* SPDX-License-Identifier: MIT */
/*
 * target.h - a file that is being made: its length, its bytes in large pieces,
 * the space it needs
 *
 * Used by create.c for the image and for an external data file.  The order of
 * what becomes durable is the user's; nothing here syncs unless it says so.
 */
#ifndef Q2_MANAGE_TARGET_H
#define Q2_MANAGE_TARGET_H

#include "engine/aio/aio.h"
#include "engine/q2.h"

struct plan;

/* The first part is set by the user, before target_look(). */
struct target {
	struct loop *loop;
	const char *path;
	struct q2_err *err;
	const struct plan *plan; /* of its metadata; NULL: it has none */
	enum q2_prealloc mode;
	uint64_t file_bytes;   /* length wanted */
	uint64_t data, data_n; /* bytes that are preallocated */
	uint64_t needed;       /* bytes that will be taken from the disk */

	struct aio_file *file; /* NULL: not open */
	struct points points;
	bool emulated_falloc;
	/* of the path, before anything was done */
	bool is_host; /* the backend has its files in the file system */
	bool existed;
	uint64_t free_bytes; /* UINT64_MAX: not known */
	uint64_t given_back; /* ... and those that it has now */
	uint64_t device;     /* that they are on */
};

/* Fill the last part, for target_check_space() and target_undo(). */
int Q2_CO target_look(struct target *t);
/* -ENOSPC if the disk has no room for it, and for `other` (may be NULL) where
 * that is on the same. */
int target_check_space(const struct target *t, const struct target *other);

int Q2_CO target_set_length(struct target *t);
/* The metadata, but for the magic; and the sector with the magic. */
int Q2_CO target_write_metadata(struct target *t);
int Q2_CO target_write_magic(struct target *t);
/* The LUKS header, as far as it is not zeros. */
int Q2_CO target_write_crypto(struct target *t, const uint8_t *area,
			      size_t bytes);
int Q2_CO target_preallocate(struct target *t);
int Q2_CO target_sync(struct target *t);
int Q2_CO target_sync_dir(struct target *t);

/* An error about the file: "Could not WHAT 'PATH': REASON". */
int target_fail(const struct target *t, int r, const char *what);

/* Leave nothing that looks like an image: a file that we have made goes, one
 * that was there stays, empty. */
void Q2_CO target_undo(struct target *t);

#endif
