/* SPDX-License-Identifier: MIT */
/*
 * verb.h - the verbs of qcowbench and how they end
 *
 * One file a verb.  A verb gets the words after its name, prints its data on
 * stdout and its talk on stderr, and returns an exit code.  Reasons of failure
 * go into *err: main() prints them, once.
 */
#ifndef HARNESS_VERB_H
#define HARNESS_VERB_H

#include "engine/base/err.h"
#include "harness/exit.h"
#include "harness/options.h"

struct verb {
	const char *name;
	const char *operands; /* "SUITE", or "" */
	const char *help;     /* one line; NULL: not listed */
	struct options options;
	const char *more; /* help: what else to know; NULL for nothing */
	enum bench_exit (*run)(int argc, char **argv, struct q2_err *err);
};

extern const struct verb verb_run, verb_report, verb_plan, verb_list, verb_show,
	verb_explain, verb_trial, verb_env, verb_help, verb_version;

/* All of them, in the order of the help; qcowbench.c. */
const struct verb *verbs_at(size_t i); /* NULL after the last */

/* The verb of that name; else NULL, and err names the nearest. */
const struct verb *verbs_find(const char *name, struct q2_err *err);

/* verb_help.c: everything, or one verb, on stdout; or a reminder. */
void help_all(void);
void help_verb(const struct verb *verb);
void help_verb_short(const struct verb *verb); /* for -h */
void help_usage(FILE *f);

/* help_dump.c: all options, keys and columns, for scripts, on stdout. */
void help_dump(void);

#endif
