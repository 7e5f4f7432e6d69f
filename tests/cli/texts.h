/* SPDX-License-Identifier: MIT */
/*
 * texts.h - the parts of test_texts.c
 *
 * A case is a line of tests/golden/texts/cases.jsonl; the README there says what
 * its fields are.  It runs in the folder w of texts_root.
 */
#ifndef TESTS_CLI_TEXTS_H
#define TESTS_CLI_TEXTS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#define TEXTS_NOBODY 65534

/* ---- texts_rules.c ----------------------------------------------------- */

/* The words of a list of strings (or of lists of them), joined by spaces,
 * behind what out holds. */
void texts_join(const json_t *list, char *out, size_t size);
bool texts_matches(const char *pattern, const char *text);
/* An array of the lines of a file; exits if it cannot be read. */
json_t *texts_load(const char *path);
/* Print the cases of a full capture that apply, after a line that counts the
 * others by reason.  The status for main(). */
int texts_select(const char *path);
/* That line, for people. */
void texts_print_head(const json_t *head);

/* ---- texts_filter.c ---------------------------------------------------- */

/* text without times, rates, and what depends on the file system; the caller
 * frees it. */
char *texts_filtered(const char *text);

/* ---- texts_run.c ------------------------------------------------------- */

extern char texts_root[PATH_MAX]; /* our folder */

/* What a program left behind. */
struct texts_outcome {
	char *out, *err;
	int status; /* 128 + n after signal n */
};

/* A program of QEMU that keeps the image open meanwhile. */
struct texts_holder {
	pid_t pid;
	int input;
};

/* The path of name in texts_root; the fourth call from now reuses it. */
const char *texts_path(const char *name);
/* A whole file, with a zero behind it, or NULL; the caller frees it. */
char *texts_slurp(const char *path, size_t *ret_len);
/* tested: run our program in its place; low: without privileges. */
struct texts_outcome texts_run(const json_t *argv, const char *input,
			       bool tested, bool low);
void texts_outcome_done(struct texts_outcome *o);
struct texts_holder texts_hold(const json_t *argv, bool low);
void texts_let_go(struct texts_holder *h);

/* ---- texts_files.c ----------------------------------------------------- */

extern bool texts_failed; /* something differs in this case */

/* Say what differs, and that the case has failed. */
void texts_differ(const char *what, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void texts_remove_tree(const char *path);
/* looks: nobody wrote, so that each byte is compared. */
void texts_compare_files(const json_t *c, bool looks);

/* ---- texts_setup.c ------------------------------------------------------ */

/* Make the folder w as these steps leave it; low: without privileges. */
void texts_set_up(const json_t *steps, bool low);

#endif
