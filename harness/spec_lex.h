/* SPDX-License-Identifier: MIT */
/*
 * spec_lex.h - the INI dialect of spec files, cut into words with places
 *
 *	[section]             # comments, also at the end of a line
 *	key = word word \
 *	      word            # goes on after a backslash
 *	include other.ini
 *
 * Knows nothing of what keys mean.  Text is UTF-8 without control characters.
 * Used by spec_file.c.
 */
#ifndef HARNESS_SPEC_LEX_H
#define HARNESS_SPEC_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"
#include "harness/spec_mem.h"

/* Where something was said.  line 0: not in a file; `file` says where then. */
struct spec_pos {
	const char *file;
	unsigned line, col; /* from 1, in bytes */
};

struct spec_word {
	const char *text;
	struct spec_pos pos;
};

enum spec_line_kind {
	SPEC_SECTION, /* key is the name */
	SPEC_ENTRY,   /* key = words; there may be none */
	SPEC_INCLUDE, /* words[0] */
};

struct spec_line {
	enum spec_line_kind kind;
	struct spec_word key;
	struct spec_word *words;
	size_t nwords;
};

struct spec_lexer {
	struct spec_mem *mem;
	const char *text;
	size_t len, at;
	struct spec_pos pos;
};

/* text and file must outlive the words, which are taken from mem.  -EINVAL if
 * it is not text. */
int spec_lex_init(struct spec_lexer *lex, struct spec_mem *mem,
		  const char *file, const char *text, size_t len,
		  struct q2_err *err);

/* 1: a line; 0: the end; or -EINVAL. */
int spec_lex_next(struct spec_lexer *lex, struct spec_line *ret,
		  struct q2_err *err);

/* Words of a text that is not in a file, such as the value of --set. */
size_t spec_lex_words(struct spec_mem *mem, const char *text,
		      struct spec_pos pos, struct spec_word **ret);

/* -EINVAL, with the place before the text. */
int spec_fail(const struct spec_pos *pos, struct q2_err *err, const char *fmt,
	      ...) __attribute__((format(printf, 3, 4)));

/* As much of a text as belongs into a message. */
#define SPEC_CUT 48
const char *spec_cut(const char *text, char buf[SPEC_CUT]);

/* Names are the same when they differ in - and _ only. */
bool spec_same(const char *a, const char *b);

#endif
