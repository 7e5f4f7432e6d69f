/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - run programs without a shell, a few at a time
 *
 * What number SLOT prints, of both kinds, goes to the file out.SLOT of the
 * working directory.  Failures of the system are failures of the test: not
 * from a coroutine.
 */
#ifndef TESTS_INTEROP_SPAWN_H
#define TESTS_INTEROP_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SPAWN_WORDS 160

struct words {
	const char *word[SPAWN_WORDS]; /* a NULL behind the last */
	unsigned n;
};

/* Append any number of strings, which are not copied. */
#define WORDS_ADD(w, ...)                                      \
	words_add(w, (const char *const[]){__VA_ARGS__},       \
		  sizeof((const char *const[]){__VA_ARGS__}) / \
			  sizeof(const char *))

void words_add(struct words *w, const char *const *words, size_t n);

/* -1: there is no such program. */
pid_t spawn(const struct words *w, unsigned slot);

/* Its exit status; 128 and more: killed; -1: it was not started. */
int spawn_wait(pid_t pid);

/* Words with one blank each between them, run and waited for. */
__attribute__((format(printf, 2, 3))) int spawn_line(unsigned slot,
						     const char *fmt, ...);

/* What it printed; the caller frees it. */
char *spawn_output(unsigned slot);

/* All of a file, and a null byte; the caller frees it.  ret_len may be NULL. */
char *file_content(const char *path, uint64_t *ret_len);

#endif
