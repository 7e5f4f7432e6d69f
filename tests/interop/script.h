/* SPDX-License-Identifier: MIT */
/*
 * script.h - random commands of qemu-io, and what a disk reads as after them
 *
 * The disk is a plain array of bytes, to which every command is done as it is
 * made up, so that nothing of an engine is needed to know the content.
 */
#ifndef TESTS_INTEROP_SCRIPT_H
#define TESTS_INTEROP_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/rng.h"

/* As many lines as a script has at most, and as long as they get. */
#define SCRIPT_LINES 64
#define SCRIPT_LINE  80

enum script_kind {
	SCRIPT_WRITE,
	SCRIPT_WRITEV,
	SCRIPT_WRITE_FUA,
	SCRIPT_WRITE_ASYNC, /* a few at once, side by side */
	SCRIPT_ZERO,
	SCRIPT_ZERO_UNMAP,
	SCRIPT_DISCARD,
	SCRIPT_READ,
	SCRIPT_VERIFY, /* a read that checks what the last write wrote */
	SCRIPT_FLUSH,
	SCRIPT_COMPRESS,
	SCRIPT_KINDS
};

/* Names for people. */
extern const char *const script_kinds[SCRIPT_KINDS];

#define DISK_SECTOR 512 /* sizes are a multiple of it */

/* What happened to a sector. */
enum disk_mark {
	DISK_TOUCHED = 1, /* its cluster may have a place in the file */
	DISK_CHANGED = 2, /* a bitmap must have noted it */
	DISK_MAYBE = 4    /* a bitmap may have noted it */
};

struct disk {
	uint64_t size, cluster; /* cluster: of the image */
	uint64_t grain;         /* whole ones of that size can be discarded */
	uint8_t *bytes;         /* the owner's, size of them */
	uint8_t *marks;         /* of each sector, the owner's too; or NULL */
};

/* What becomes of whole grains that are discarded; the rest stays. */
enum script_discard {
	SCRIPT_NO_DISCARD, /* there shall be none in the script */
	SCRIPT_DISCARD_STAYS,
	SCRIPT_DISCARD_ZEROES,
};

/* When clusters that nobody touched are written compressed. */
enum script_compress {
	SCRIPT_NOT_COMPRESSED,
	SCRIPT_COMPRESS_FIRST, /* before all else */
	SCRIPT_COMPRESS_ANYTIME
};

struct script_how {
	enum script_discard discard;
	enum script_compress compress; /* needs the disk's marks */
};

struct script {
	unsigned n;
	char line[SCRIPT_LINES][SCRIPT_LINE];
	unsigned counts[SCRIPT_KINDS];
};

/* Make up about that many commands and do them to the disk. */
void script_make(struct script *s, struct disk *d, struct rng *rng,
		 unsigned commands, struct script_how how);

#endif
