/* SPDX-License-Identifier: MIT */
/*
 * damage.h - images with something wrong in them, for tests of repair
 */
#ifndef TESTS_DAMAGE_H
#define TESTS_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/aio/aio.h"
#include "engine/q2.h"

#define DAMAGE_FILE "disk.qcow2"

struct damaged {
	unsigned cluster_bits, refcount_order;
	uint64_t bytes;                           /* virtual */
	uint64_t l1, l2, reftable, refblock, end; /* offsets in the file */
	uint8_t *content;                         /* what a guest reads */
};

struct damage {
	const char *name;
	void (*fn)(struct loop *loop, const struct damaged *d);
	bool snapshots; /* it has some then */
	bool dirty;
};

extern const struct damage damages[];
extern const unsigned n_damages;

/* What a repair is done by. */
enum repairer {
	BY_LEAKS,
	BY_ALL,
	BY_OPENING,
	REPAIRERS
};

/* Make DAMAGE_FILE in loop and harm it; 0 or a negative errno. */
int damage_make(struct loop *loop, const struct damage *damage,
		unsigned cluster_bits, unsigned refcount_order,
		struct damaged *ret);
void damage_done(struct damaged *d);

/* Repair; what remains goes to *ret. */
int damage_repair(struct loop *loop, enum repairer by, struct q2_check *ret);

/* What a check finds. */
struct damage_found {
	struct q2_check check;
	unsigned lost; /* clusters with a refcount below their references */
};
int damage_check(struct loop *loop, struct damage_found *ret);

/* Does a guest read what it did, and is there the snapshot that there was?
 * Only after a repair the whole disk can be read. */
bool damage_content_is_same(struct loop *loop, const struct damage *damage,
			    const struct damaged *d, bool whole);

#endif
