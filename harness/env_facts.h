/* SPDX-License-Identifier: MIT */
/*
 * env_facts.h - a table of what is known of a machine
 *
 * Each field of env_fields.def is a value, absent here, or not permitted to
 * read.  As JSON an object for each topic; "absent" and "not permitted" are
 * the words for the other two states.
 */
#ifndef HARNESS_ENV_FACTS_H
#define HARNESS_ENV_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "results/id.h"

enum env_field {
#define ENV(topic, name, kind, class, meaning) ENV_##topic##_##name,
#include "harness/env_fields.def"
#undef ENV
	ENV_FIELDS
};

enum env_kind {
	ENV_TEXT,
	ENV_COUNT,
	ENV_BYTES,
	ENV_PCT
};
enum env_class {
	ENV_PERF,
	ENV_INFO,
	ENV_STATE
};

struct env_info {
	const char *topic, *name;
	enum env_kind kind;
	enum env_class class;
	const char *meaning;
};

extern const struct env_info env_info[ENV_FIELDS];

enum env_known {
	ENV_IS_ABSENT,
	ENV_NOT_PERMITTED,
	ENV_IS_VALUE
};

/* Longest value; what is longer is cut. */
#define ENV_VALUE 256

struct env_fact {
	enum env_known known;
	char text[ENV_VALUE]; /* "" unless there is a value */
};

/* Initialise with {0}: all absent. */
struct env_facts {
	struct env_fact v[ENV_FIELDS];
};

/* "" and blanks leave the field absent; bytes that are not UTF-8 become '?'. */
void facts_text(struct env_facts *facts, enum env_field field,
		const char *text);
void facts_int(struct env_facts *facts, enum env_field field, uint64_t value);
void facts_pct(struct env_facts *facts, enum env_field field, double value);

/* What reading it has given: -EACCES and -EPERM are not permitted, any other
 * error is absent, 0 or more is `text`. */
void facts_read(struct env_facts *facts, enum env_field field, int r,
		const char *text);

/* "" or 0 unless there is a value. */
const char *facts_get(const struct env_facts *facts, enum env_field field);
uint64_t facts_get_int(const struct env_facts *facts, enum env_field field);
double facts_get_real(const struct env_facts *facts, enum env_field field);
bool facts_has(const struct env_facts *facts, enum env_field field);

/* As people read it: "12.0 GiB", "absent". Returns text. */
const char *facts_show(const struct env_facts *facts, enum env_field field,
		       char *text, size_t size);

/* Object of topics; the caller owns it. */
json_t *facts_json(const struct env_facts *facts);

/* Over the fields of class ENV_PERF that are not absent: a field that a later
 * version adds changes it only where it is there. */
void facts_fingerprint(const struct env_facts *facts, char id[ID_SIZE]);

/* The field of that name, such as "cpu" "model"; ENV_FIELDS if none. */
enum env_field facts_find(const char *topic, const char *name);

#endif
