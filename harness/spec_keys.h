/* SPDX-License-Identifier: MIT */
/*
 * spec_keys.h - the keys of spec files: one table for all that knows them
 *
 * It drives parsing, `qcowbench explain KEY` and the manual.  Image keys are
 * qemu-img's, run-time keys QEMU's, workload keys fio's; the rest is ours.
 */
#ifndef HARNESS_SPEC_KEYS_H
#define HARNESS_SPEC_KEYS_H

#include "harness/spec_lex.h"
#include "harness/suite.h"

enum spec_scope {
	SPEC_OF_SUITE,
	SPEC_OF_QUICK, /* in [quick] only */
	SPEC_OF_CONFIG,
	SPEC_OF_PASS,
};

enum spec_type {
	SPEC_ONE_OF,  /* a word of a list */
	SPEC_SIZE,    /* bytes; k m g t are binary */
	SPEC_COUNT,   /* a number */
	SPEC_SWITCH,  /* on or off */
	SPEC_SHARE,   /* percent of the image, or bytes */
	SPEC_PERCENT, /* "5%" */
	SPEC_NAME,    /* of a configuration, a pass or a key */
	SPEC_NAMES,   /* several */
	SPEC_TEXT,    /* the rest of the line */
	SPEC_URI,     /* of an NBD export; one, no list */
};

/* Where a key applies: targets of a configuration, kinds of a pass. */
enum spec_where {
	SPEC_RAW = 1,
	SPEC_QCOW2 = 2,
	SPEC_NULL = 4,
	SPEC_NBD = 8,
	SPEC_QEMU_RAW = 16, /* target=qemu with state= */
	SPEC_QEMU_QCOW2 = 32,
	SPEC_RAWS = SPEC_RAW | SPEC_QEMU_RAW,
	SPEC_QCOW2S = SPEC_QCOW2 | SPEC_QEMU_QCOW2,
	SPEC_FILES = SPEC_RAWS | SPEC_QCOW2S,
	SPEC_LOCAL = SPEC_FILES | SPEC_NULL,
	SPEC_TARGETS = SPEC_LOCAL | SPEC_NBD,
	SPEC_STREAMS = 64,   /* passes with requests */
	SPEC_SEQ = 128,      /* of these, also those in order */
	SPEC_OTHER_OP = 256, /* passes that make images */
	SPEC_REQUESTS = SPEC_STREAMS | SPEC_SEQ,
	SPEC_PASSES = SPEC_REQUESTS | SPEC_OTHER_OP,
};

struct spec_key {
	const char *name;
	enum spec_scope scope;
	enum spec_type type;
	unsigned applies; /* enum spec_where, for configurations and passes */
	const char *const *words; /* SPEC_ONE_OF */
	uint64_t least, most;     /* of numbers */
	uint64_t multiple;        /* a number is one of it; 0: any */
	bool power;               /* a number is a power of two */
	const char *usual;        /* value if it is not said; NULL: see below */
	const char *otherwise;    /* what happens if it is not said, in words */
	const char *whose;        /* qemu-img, QEMU, fio, qcowbench */
	bool in_cell_id;          /* other values are another cell */
	const char *help;
};

#define SPEC_KEYS_MAX 64

size_t spec_keys_count(void);
const struct spec_key *spec_keys_at(size_t i);

/* Of that name, where - is as good as _; or NULL.  scopes: a bit each. */
#define SPEC_SCOPE(scope) (1U << (scope))
#define SPEC_ANY_SCOPE    (~0U)
const struct spec_key *spec_keys_find(const char *name, unsigned scopes);
const char *spec_keys_nearest(const char *name, unsigned scopes);
size_t spec_keys_index(const struct spec_key *key);

/* A value that has been understood. */
struct spec_value {
	bool set;
	bool percent; /* n is one; a hundredth of it for SPEC_PERCENT */
	uint64_t n;   /* a number; index of a word; 1 or 0 of a switch */
	const char *text;
	struct spec_pos pos;
};

/* One value, no list.  The message names key, value and what there is. */
int spec_value_parse(const struct spec_key *key, const struct spec_word *word,
		     struct spec_value *ret, struct q2_err *err);

/* "64k": the shortest text of a number of bytes. */
const char *spec_size_text(struct spec_mem *mem, uint64_t bytes);

/* "target=raw and target=qemu with state=": what has a key that applies there;
 * NULL: all of its scope. */
const char *spec_where_text(unsigned applies);

/* enum spec_where of a target, by its name; raw: it has a raw_state. */
unsigned spec_where_of(const char *target, bool raw);

/* "off, metadata, falloc or full", "512 to 2m, a power of two": what a key
 * takes. */
void spec_key_values(const struct spec_key *key, char *buf, size_t size);

#endif
