/* SPDX-License-Identifier: MIT */
/*
 * fields.h - every field of a qcow2 file with a value that cannot be right, and
 * what must come of it
 */
#ifndef TESTS_FAULT_FIELDS_H
#define TESTS_FAULT_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/q2.h"

/*
 * The good image.  Its file, by clusters: header, refcount table, refcount
 * block, L1, two L2 tables, data of guest clusters 0 to 3, the one that 5 has,
 * data of the first of the second table.  Guest cluster 4 is a zero cluster,
 * 5 one with a place, all others are empty.
 */
enum field_base {
	V3,       /* 4 KiB clusters */
	V2,       /* the same */
	EXTENDED, /* 16 KiB clusters, extended L2 entries */
	FIELD_BASES
};
#define FIELD_PATH_MAX 300

/* What is in it. */
enum field_at {
	NOTHING,
	HEADER,
	REFTABLE,
	REFBLOCK,
	L1,
	L2,
};

/* Byte `off` of one of these becomes a big-endian value. */
struct field_poke {
	enum field_at at;
	unsigned bytes;
	uint64_t off, value;
};

/* Guest clusters that nobody can know any more. */
enum field_lost {
	LOST_NONE,
	LOST_FIRST, /* 0 */
	LOST_PAIR,  /* 0 and 1 */
	LOST_TABLE, /* all of the first L2 table */
	LOST_ALL,
};

/*
 * The operations, each on a fresh copy, with a flush after it:
 *
 *	r  read all that is not lost
 *	w  write a part of guest cluster 0	f  write all of it
 *	n  write guest cluster 8, which is empty
 *	d  discard guest cluster 0
 *	z  write zeroes to it			u  the same, and unmap
 */
#define FIELD_OPS "rwfndzu"

struct field_row {
	const char *name;
	enum field_base base;
	struct field_poke poke[3];
	/* Opening for writing is refused in these words; NULL: it is not. */
	const char *refused;
	/* What is told in use, and by which operations; the others tell
	 * nothing. */
	struct {
		const char *ops, *words;
	} told[4];
	/* Operations that fail, and that leave the corrupt bit; NULL: none. */
	const char *fails, *marks;
	enum field_lost lost;
	/* qemu-img check's status, and after check -r all. */
	int check, repaired;
	/* Where QEMU does something else, and why that is not followed. */
	struct {
		const char *why;
		const char *marks;   /* "-": none; NULL: the same */
		int open;            /* 1: refuses, -1: opens, 0: the same */
		int check, repaired; /* 0: the same, -1: 0 */
		bool not_run;        /* it crashes or hangs */
	} qemu;
};

extern const struct field_row field_rows[];
extern const unsigned n_field_rows;

/* Bytes of a cluster of base. */
uint64_t field_cluster(enum field_base base);
/* The first guest cluster of the second L2 table. */
uint64_t field_second_table(enum field_base base);
/* What a guest reads from guest cluster c. */
void field_content(enum field_base base, uint64_t c, uint8_t *buf);

/* Make the good image of base in file path; a negative errno if not. */
int field_make(struct q2_loop *loop, const char *path, enum field_base base);
/* Do the row's pokes to file path; a negative errno if not. */
int field_harm(const char *path, const struct field_row *row);

#endif
