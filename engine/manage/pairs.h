/* SPDX-License-Identifier: MIT */
/*
 * pairs.h - options as a flat list of names and values
 *
 * Both forms of text end here: "driver=qcow2,file.filename=a" as it is, and
 * {"driver": "qcow2", "file": {"filename": "a"}} with its nesting as dots.
 * Numbers and booleans of JSON become text, so that one parser of values
 * serves both.
 */
#ifndef Q2_MANAGE_PAIRS_H
#define Q2_MANAGE_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/q2.h"

struct pair {
	char *key;
	char *value; /* NULL: null in JSON */
	bool used;
};

struct pairs {
	struct pair *v;
	size_t n;
};

/* Add the items of a list; a first one without "=" is the value of implied.
 * A later setting of a name replaces an earlier one. */
int pairs_add_list(struct pairs *p, const char *text, const char *implied,
		   struct q2_err *err);
/* Add what a JSON object says; single quotes are taken too, as QEMU does. */
int pairs_add_json(struct pairs *p, const char *text, struct q2_err *err);
int pairs_set(struct pairs *p, const char *key, const char *value,
	      struct q2_err *err);

/* The pair, now marked as used; NULL if there is none. */
struct pair *pairs_take(struct pairs *p, const char *key);
/* Its value; NULL if there is none, or null. */
const char *pairs_value(struct pairs *p, const char *key);
bool pairs_has(const struct pairs *p, const char *key);
/* Does a name begin so? */
bool pairs_has_prefix(const struct pairs *p, const char *prefix);

/* The pair, not marked; NULL if there is none. */
const struct pair *pairs_find(struct pairs *p, const char *key);

/* What has the prefix takes the place of "driver" and of all that is used: it
 * loses the prefix.  What has no name stays. */
void pairs_lift(struct pairs *p, const char *prefix);

void pairs_done(struct pairs *p);

#endif
