/* SPDX-License-Identifier: MIT */
/*
 * env_sys.h - reading /proc and /sys below a root
 *
 * The root is "" on a real machine; tests give a folder with a tree of their
 * own.  Every reader returns 0 or more, or a negative errno.
 */
#ifndef HARNESS_ENV_SYS_H
#define HARNESS_ENV_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/env_facts.h"

/* The first line, without its end.  On an error text is "". */
int sys_line(const char *root, const char *path, char *text, size_t size);
int sys_int(const char *root, const char *path, uint64_t *ret);

/* The first line into a field; times: the number there is in units of so many
 * bytes (0: it is no number). */
void sys_fact(struct env_facts *facts, enum env_field field, const char *root,
	      const char *path);
void sys_bytes(struct env_facts *facts, enum env_field field, const char *root,
	       const char *path, uint64_t unit);
/* 0 and 1 as two words. */
void sys_switch(struct env_facts *facts, enum env_field field, const char *root,
		const char *path, const char *off, const char *on);

/* The word in brackets, as in "none [mq-deadline]"; the whole text if there are
 * no brackets. */
void sys_chosen(char *text);

/* Value of a line "KEY: value" or "KEY<blanks>value" of a file, without the
 * colon and blanks; false if there is no such line. */
bool sys_keyed(const char *root, const char *path, const char *key, char *text,
	       size_t size);

/* "0-3,8": how many, and the next after i (-1 to begin); -1 after the last. */
unsigned sys_list_count(const char *list);
int sys_list_next(const char *list, int i);

#endif
