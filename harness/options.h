/* SPDX-License-Identifier: MIT */
/*
 * options.h - command lines by table: parsing, help, and near misses
 *
 * A verb has one table of options.  Each entry says where in the verb's
 * argument struct its value goes:
 *
 *	struct args { uint64_t rounds; bool keep; const char *dir; };
 *	static const struct option_spec options[] = {
 *		{"rounds", OPTION_COUNT, offsetof(struct args, rounds), "N",
 *		 NULL, "rounds to measure"},
 *		...
 *	};
 *
 * Both --rounds 6 and --rounds=6 are understood.  Errors name the option and
 * the value, and the nearest known name where there is one.
 */
#ifndef HARNESS_OPTIONS_H
#define HARNESS_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/err.h"

enum option_kind {
	OPTION_FLAG,   /* bool, set to true */
	OPTION_TEXT,   /* const char *, not empty */
	OPTION_WORD,   /* const char *, one of words */
	OPTION_COUNT,  /* uint64_t, at least 1 */
	OPTION_NUMBER, /* uint64_t, any; decimal or 0x */
	OPTION_SIZE,   /* uint64_t bytes, k m g t are binary; at least 1 */
	OPTION_LIST,   /* struct option_list: may be given several times */
};

#define OPTION_LIST_MAX 64

struct option_list {
	const char *v[OPTION_LIST_MAX];
	size_t n;
};

struct option_spec {
	const char *name; /* without dashes */
	enum option_kind kind;
	size_t offset;     /* of the value in the argument struct */
	const char *value; /* how help calls the value; NULL for a flag */
	const char *const *words; /* OPTION_WORD: NULL-terminated */
	const char *help;
};

struct options {
	const struct option_spec *v;
	size_t n;
};

/* Where words that are no options go: room for max of them. */
struct operands {
	const char **v;
	int max;
};

/*
 * Parse argv[0 .. argc) into *args.  Words that are no options go to operands,
 * in order.  Returns the number of operands, or -EINVAL
 * with a reason.
 */
int options_parse(const struct options *opts, int argc, char **argv, void *args,
		  struct operands operands, struct q2_err *err);

/* Two columns: options and what they mean, wrapped (wrap.h). */
void options_help(const struct options *opts, FILE *f);

/* "20g", "64K", "512" -> bytes. */
int options_size(const char *text, uint64_t *ret_bytes, struct q2_err *err);

/* The name among n that word was probably meant to be, or NULL if none is
 * near.  name(arg, i) gives the i-th. */
const char *options_nearest(const char *word, size_t n,
			    const char *(*name)(const void *arg, size_t i),
			    const void *arg);

#endif
