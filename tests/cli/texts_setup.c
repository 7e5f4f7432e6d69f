/* SPDX-License-Identifier: MIT */
/*
 * texts_setup.c - the files that a case begins with
 *
 * A hundred ways to begin serve all cases, and most begin alike: create an
 * image, write to it.  Starting QEMU's tools is dear, so what the first steps
 * of a set-up left is kept in a folder root/made-N, and a case gets a copy of
 * the longest beginning that is there.
 */
#include "tests/cli/texts.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- copies ------------------------------------------------------------- */

static const char *copy_to;
static size_t copy_prefix; /* length of the path that is copied from */

static const char *
copy_path(const char *path)
{
	static char to[PATH_MAX + 64];

	(void)snprintf(to, sizeof(to), "%s%s", copy_to, path + copy_prefix);
	return to;
}

/* Holes stay holes: map prints them. */
static void
copy_data(int in, int out, off_t size)
{
	static char buf[65536];
	off_t at = 0, end = 0;

	while ((at = lseek(in, end, SEEK_DATA)) >= 0) {
		end = lseek(in, at, SEEK_HOLE);
		assert_true(end > at);
		while (at < end) {
			size_t n = sizeof(buf);

			if ((off_t)n > end - at)
				n = (size_t)(end - at);
			assert_int_equal(pread(in, buf, n, at), n);
			assert_int_equal(pwrite(out, buf, n, at), n);
			at += (off_t)n;
		}
	}
	assert_int_equal(ftruncate(out, size), 0);
}

static void
copy_file(const char *path, const struct stat *st)
{
	int in = open(path, O_RDONLY | O_CLOEXEC);
	int out = open(copy_path(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		       0600);

	assert_true(in >= 0 && out >= 0);
	copy_data(in, out, st->st_size);
	if (geteuid() == 0)
		assert_int_equal(fchown(out, st->st_uid, st->st_gid), 0);
	assert_int_equal(fchmod(out, st->st_mode & 07777), 0);
	(void)close(in);
	(void)close(out);
}

static int
copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_D) {
		assert_int_equal(mkdir(copy_path(path), 0700), 0);
	} else {
		assert_true(type == FTW_F && S_ISREG(st->st_mode));
		copy_file(path, st);
	}
	return 0;
}

/* Behind what is in the folder: it may be one that nobody may write to. */
static int
finish_folder(const char *path, const struct stat *st, int type,
	      struct FTW *ftw)
{
	const char *to = copy_path(path);

	(void)ftw;
	if (type != FTW_DP)
		return 0;
	if (geteuid() == 0)
		assert_int_equal(chown(to, st->st_uid, st->st_gid), 0);
	assert_int_equal(chmod(to, st->st_mode & 07777), 0);
	return 0;
}

static void
copy_tree(const char *from, const char *to)
{
	copy_to = to;
	copy_prefix = strlen(from);
	assert_int_equal(nftw(from, copy_one, 16, FTW_PHYS), 0);
	assert_int_equal(nftw(from, finish_folder, 16, FTW_PHYS | FTW_DEPTH),
			 0);
}

/* ---- steps -------------------------------------------------------------- */

static json_t *made; /* the folder of each beginning */

/* The first n steps as a key of made; the caller frees it. */
static char *
beginning(const json_t *steps, size_t n, bool low)
{
	json_t *list = json_array();
	char *text;

	(void)json_array_append_new(list, json_boolean(low));
	for (size_t i = 0; i < n; i++)
		(void)json_array_append(list, json_array_get(steps, i));
	text = json_dumps(list, JSON_COMPACT);
	assert_non_null(text);
	json_decref(list);
	return text;
}

/* w as the longest beginning that is there has left it; how many steps. */
static size_t
take(const json_t *steps, bool low)
{
	for (size_t n = json_array_size(steps); n; n--) {
		char *key = beginning(steps, n, low);
		const char *name = json_string_value(
			json_object_get(made, key));

		free(key);
		if (!name)
			continue;
		copy_tree(texts_path(name), texts_path("w"));
		return n;
	}
	assert_int_equal(mkdir(texts_path("w"), 0755), 0);
	if (low && geteuid() == 0)
		assert_int_equal(
			chown(texts_path("w"), TEXTS_NOBODY, TEXTS_NOBODY), 0);
	return 0;
}

static void
keep(const json_t *steps, size_t n, bool low)
{
	char *key = beginning(steps, n, low), name[32];

	(void)snprintf(name, sizeof(name), "made-%zu", json_object_size(made));
	copy_tree(texts_path("w"), texts_path(name));
	(void)json_object_set_new(made, key, json_string(name));
	free(key);
}

/* What chmod has closed, root alone can read. */
static bool
can_be_copied(const json_t *step)
{
	const char *program = json_string_value(json_array_get(step, 0));

	return geteuid() == 0 || strcmp(program, "chmod") != 0;
}

/* QEMU measures PBKDF2 when it makes a LUKS image, which fails at times on a
 * busy machine. */
#define CREATE_TRIES 10

static struct texts_outcome
run_step(const json_t *step, bool low)
{
	struct texts_outcome o = texts_run(step, "", false, low);

	for (int i = 1; i < CREATE_TRIES && o.status != 0 &&
			strstr(o.err, "accurate CPU usage");
	     i++) {
		texts_outcome_done(&o);
		o = texts_run(step, "", false, low);
	}
	return o;
}

void
texts_set_up(const json_t *steps, bool low)
{
	texts_remove_tree(texts_path("w"));
	if (!made)
		made = json_object();
	for (size_t i = take(steps, low); i < json_array_size(steps); i++) {
		struct texts_outcome o = run_step(json_array_get(steps, i),
						  low);

		if (o.status != 0)
			fail_msg("set-up step %zu: status %d: %s", i, o.status,
				 o.err);
		texts_outcome_done(&o);
		if (can_be_copied(json_array_get(steps, i)))
			keep(steps, i + 1, low);
	}
}
