/* SPDX-License-Identifier: MIT */
/*
 * run_args.h - what `run` and `plan` are asked for
 */
#ifndef HARNESS_RUN_ARGS_H
#define HARNESS_RUN_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/options.h"
#include "harness/plan.h"
#include "harness/verbosity.h"

/* 0, NULL or false: not said. */
struct run_args {
	struct suite *loaded;      /* all groups; run_args_done() frees it */
	const struct suite *suite; /* the group at work */
	const char *name;          /* of the suite or its file */
	bool is_next;              /* a group before it is on stdout */
	bool quick, keep, probe, no_qemu, strict_env, remove_stale;
	bool quiet, verbose;
	enum verbosity verbosity; /* what the two say */
	struct option_list sets;
	const char *dir, *out, *aio, *cache, *format, *color;
	const char *disk;   /* that a plan is made for, instead of dir's */
	const char *resume; /* the folder of the run to go on with */
	uint64_t rounds, seed, size, image_size, requests, slices;
	bool has_seed; /* it was said */
};

extern const char *const run_args_aio[];

/* The options that `run` and `plan` share, for their tables. */
#define RUN_ARG(field) offsetof(struct run_args, field)
#define RUN_ARGS_COMMON                                                       \
	{"quick", OPTION_FLAG, RUN_ARG(quick),                                \
	 NULL,    NULL,        "the short form, under three minutes"},        \
		{"set",                                                       \
		 OPTION_LIST,                                                 \
		 RUN_ARG(sets),                                               \
		 "K=V",                                                       \
		 NULL,                                                        \
		 "another value: KEY=V, NAME.KEY=V, SECTION.KEY=V (see "      \
		 "explain)"},                                                 \
		{"dir",                                                       \
		 OPTION_TEXT,                                                 \
		 RUN_ARG(dir),                                                \
		 "DIR",                                                       \
		 NULL,                                                        \
		 "measure the disk of this directory (default: here)"},       \
		{"size",                                                      \
		 OPTION_SIZE,                                                 \
		 RUN_ARG(size),                                               \
		 "N",                                                         \
		 NULL,                                                        \
		 "size of the disk that you want, such as 40g (default 64g, " \
		 "less where there is less room)"},                           \
		{"image-size",                                                \
		 OPTION_SIZE,                                                 \
		 RUN_ARG(image_size),                                         \
		 "N",                                                         \
		 NULL,                                                        \
		 "size of the images that are measured (default: what the "   \
		 "disk can do)"},                                             \
		{"requests",                                                  \
		 OPTION_COUNT,                                                \
		 RUN_ARG(requests),                                           \
		 "N",                                                         \
		 NULL,                                                        \
		 "requests of a random pass (default: what the disk can "     \
		 "do)"},                                                      \
		{"rounds",                                                    \
		 OPTION_COUNT,                                                \
		 RUN_ARG(rounds),                                             \
		 "N",                                                         \
		 NULL,                                                        \
		 "rounds; fewer than 6 give no verdict"},                     \
		{"slices",                                                    \
		 OPTION_COUNT,                                                \
		 RUN_ARG(slices),                                             \
		 "N",                                                         \
		 NULL,                                                        \
		 "turns of each pass; 1: whole passes, one after the other "  \
		 "(default: turns of at most 100 ms)"},                       \
		{"seed",                                                      \
		 OPTION_NUMBER,                                               \
		 RUN_ARG(seed),                                               \
		 "N",                                                         \
		 NULL,                                                        \
		 "repeat the operations of the run with this seed"},          \
		{"aio",                                                       \
		 OPTION_WORD,                                                 \
		 RUN_ARG(aio),                                                \
		 "X",                                                         \
		 run_args_aio,                                                \
		 "how the kernel is asked (default: the first of these that " \
		 "works)"},                                                   \
	{                                                                     \
		"cache", OPTION_WORD, RUN_ARG(cache), "X", plan_cache_names,  \
			"QEMU's cache mode (default none, that is O_DIRECT)"  \
	}

/* The words after `run` or `plan`; opts is the verb's own table. -EINVAL with a
 * reason. */
int run_args_parse(const struct options *opts, int argc, char **argv,
		   struct run_args *ret, struct q2_err *err);

/* The suite of that name, as the options want it; from texts, or from files if
 * they are NULL. */
int run_args_load(struct run_args *args, const char *name,
		  const struct suite_texts *texts, struct q2_err *err);
void run_args_done(struct run_args *args);

/* The part that the plan wants. */
struct wishes run_args_wishes(const struct run_args *args);

#endif
