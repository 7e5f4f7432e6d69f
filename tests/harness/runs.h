/* SPDX-License-Identifier: MIT */
/*
 * runs.h - start the real program, tiny and on tmpfs, and look at what it left
 *
 * For tests of whole runs.  Everything is below one folder of the test's own.
 */
#ifndef TESTS_HARNESS_RUNS_H
#define TESTS_HARNESS_RUNS_H

#include <stddef.h>
#include <sys/types.h>

#include "results/record.h"

/* cmocka set-up and tear-down of a group: the folder, runs_dir. */
int runs_set_up(void **state);
int runs_tear_down(void **state);
extern char runs_dir[64];

/* runs_dir/NAME; the result stays valid. */
const char *runs_path(const char *name);

/* Words of `qcowbench`, NULL at the end; stdout and stderr go to files "out"
 * and "err".  It finds no other program, thus draws nothing.  runs_program()
 * waits and returns the exit status, or 128 and the signal. */
pid_t runs_start(const char *const *words);
int runs_wait(pid_t pid);
int runs_program(const char *const *words);

/* The words of a run of two configurations of 16 MiB into runs_dir/OUT. */
#define RUNS_TINY(out, rounds)                                                 \
	(const char *const[])                                                  \
	{                                                                      \
		"run", "aa", "--quick", "--image-size", "16m", "--requests",   \
			"64", "--size", "1g", "--seed", "7", "--dir",          \
			runs_dir, "--rounds", rounds, "--out", runs_path(out), \
			NULL                                                   \
	}

/* A file as '\0'-terminated memory, which the caller frees. */
char *runs_get(const char *name, size_t *ret_size);
void runs_put(const char *name, const char *data, size_t size);
/* Copy the folder's run.json, and the first `size` bytes of its trials.jsonl
 * (0: all), into a new folder. */
void runs_copy(const char *from, const char *to, size_t size);
void runs_remove(const char *name);

/* Wait until text is in the file at least n times; fails after a minute. */
void runs_await(const char *name, const char *text, unsigned n);

/* All four CSV files of runs_dir/OUT against tests/golden/columns.csv: names,
 * order, types, words of enums, what is never empty. */
void runs_check_csv(const char *out);

/* Each of `rounds` rounds is in trials.csv exactly once, with the same
 * operations for all configurations, which are those of runs_dir/SAME unless
 * that is NULL. */
void runs_check_rounds(const char *out, unsigned rounds, const char *same);

#endif
