/* SPDX-License-Identifier: MIT */
/*
 * help_texts.h - what the help says beyond the tables of the verbs: what each
 * verb is for, examples, groups of options, topics
 *
 * tests/harness/help.sh fails for a verb that has no task or no example,
 * and for one with many options of which one has no group.
 */
#ifndef HARNESS_HELP_TEXTS_H
#define HARNESS_HELP_TEXTS_H

#include <stdio.h>

#define HELP_NAMES 16 /* in one row */

/* Verbs by what they are for. */
struct help_task {
	const char *title;
	const char *verbs[HELP_NAMES]; /* NULL-terminated */
};
const struct help_task *help_task_at(size_t i); /* NULL after the last */

struct help_example {
	const char *verb, *what, *command;
};
const struct help_example *help_example_at(size_t i);

/* Options of any verb by what they change. */
struct help_group {
	const char *title;
	const char *options[HELP_NAMES]; /* NULL-terminated */
};
const struct help_group *help_group_at(size_t i);

/* As many as can be read without groups. */
#define HELP_UNGROUPED 6

struct help_topic {
	const char *name, *brief;
	void (*print)(FILE *f);
};
const struct help_topic *help_topic_at(size_t i);

#endif
