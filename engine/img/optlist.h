/* SPDX-License-Identifier: MIT */
/*
 * optlist.h - lists such as "cluster_size=64k,lazy_refcounts", as in -o
 *
 * A comma within a value is written twice.  A name alone means on, "no" before
 * it means off.  The last of several settings counts.
 */
#ifndef Q2_IMG_OPTLIST_H
#define Q2_IMG_OPTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/q2.h"

enum opt_type {
	OPT_STRING,
	OPT_NUMBER,
	OPT_SIZE,
	OPT_BOOL
};

struct opt {
	const char *name;
	enum opt_type type;
	const char *standard; /* as text; NULL: shown only if set */
	const char *help;
	/* set by opt_parse(): */
	char *value;     /* as given; NULL: not set */
	uint64_t number; /* of a number, size or bool */
};

struct opt_table {
	struct opt *opts; /* in the order in which they are printed */
	size_t n;
	const char *unknown; /* error about other names; NULL: QEMU's of -o */
};

/* Is text a list at all: not empty, no comma too many at either end? */
bool opt_is_list(const char *text);

/* Does the list ask for help ("help" or "?")? */
bool opt_wants_help(const char *text);

/* Take text into the table; -EINVAL with QEMU's message. */
int opt_parse(struct opt_table *t, const char *text, struct q2_err *err);
/* Set one option. */
int opt_set(struct opt_table *t, const char *name, const char *value,
	    struct q2_err *err);

/* The option, which must be in the table. */
const struct opt *opt_find(const struct opt_table *t, const char *name);

/* " name=value" of all that are set or have a standard value. */
void opt_print(const struct opt_table *t);
/* The table as help, by name. */
void opt_print_help(const struct opt_table *t);

void opt_free(struct opt_table *t);

#endif
