/* SPDX-License-Identifier: MIT */
/*
 * test_workdir.c - the folder of the images: what a kill leaves is found
 */
#include "harness/workdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* More than are removed at the same time. */
#define IMAGES 40

static char dir[256];

/* Nobody can make a folder old: the harness is told that it is later. */
static time_t later_s;

time_t
time(time_t *timer)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	if (timer)
		*timer = now.tv_sec + later_s;
	return now.tv_sec + later_s;
}

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%.200s/q2-workdir.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void
make_file(const char *folder, const char *name, const char *text)
{
	char path[WORKDIR_PATH + 64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* The names that were removed, in order; the last one into `last`. */
static unsigned
count_removed(int fd, char last[256])
{
	char buf[16384] __attribute__((aligned(8)));
	unsigned removed = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n;) {
			const struct inotify_event *e = (void *)at;

			if (e->mask & IN_DELETE) {
				(void)snprintf(last, 256, "%s", e->name);
				removed++;
			}
			at += sizeof(*e) + e->len;
		}
	}
	return removed;
}

/* Killed at any moment, it leaves no image without a marker: the next run would
 * not know whose they are, and name nothing. */
static void
test_marker_goes_last(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char name[32], last[256] = "";
	struct workdir work;
	struct q2_err err;

	(void)state;
	assert_int_equal(workdir_make(&work, dir, &err), 0);
	for (int i = 0; i < IMAGES; i++) {
		(void)snprintf(name, sizeof(name), "%d.qcow2", i);
		make_file(work.path, name, "x");
	}
	assert_true(inotify_add_watch(fd, work.path, IN_DELETE) >= 0);
	workdir_done(&work, false);
	assert_int_equal(count_removed(fd, last), IMAGES + 1);
	assert_string_equal(last, WORKDIR_MARKER);
	assert_int_equal(close(fd), 0);
}

static void
count(void *arg, const char *path)
{
	(void)path;
	++*(unsigned *)arg;
}

static unsigned
count_stale(void)
{
	unsigned n = 0;
	size_t found = workdir_stale(dir, count, &n);

	assert_int_equal(found, n);
	return n;
}

/* A dead process's, with images. */
static void
test_left_is_found(void **state)
{
	char path[300];
	struct q2_err err;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" WORKDIR_PREFIX "a", dir);
	assert_int_equal(mkdir(path, 0777), 0);
	make_file(path, "image", "x");
	assert_int_equal(count_stale(), 0); /* whose? */
	make_file(path, WORKDIR_MARKER, "999999999 5\n");
	assert_int_equal(count_stale(), 1);
	assert_int_equal(workdir_remove_stale(path, &err), 0);
	assert_int_equal(count_stale(), 0);
}

/* A folder in it is none of ours: the rest goes, and it is named again. */
static void
test_what_cannot_be_removed_is_found_again(void **state)
{
	char path[300], other[350];
	struct q2_err err;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" WORKDIR_PREFIX "e", dir);
	(void)snprintf(other, sizeof(other), "%s/other", path);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(mkdir(other, 0777), 0);
	make_file(path, "image", "x");
	make_file(path, WORKDIR_MARKER, "999999999 5\n");
	assert_int_equal(workdir_remove_stale(path, &err), -ENOTEMPTY);
	assert_int_equal(count_stale(), 1);
	assert_int_equal(rmdir(other), 0);
	assert_int_equal(workdir_remove_stale(path, &err), 0);
}

/* A living one's, and one that is just being made. */
static void
test_of_the_living_is_not(void **state)
{
	struct workdir work;
	char path[300];
	struct q2_err err;

	(void)state;
	assert_int_equal(workdir_make(&work, dir, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/" WORKDIR_PREFIX "b", dir);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(count_stale(), 0);
	make_file(path, WORKDIR_MARKER, "");
	assert_int_equal(count_stale(), 0);
	assert_int_equal(workdir_remove_stale(path, &err), -EBUSY);
	(void)snprintf(path, sizeof(path),
		       "%s/" WORKDIR_PREFIX "b/" WORKDIR_MARKER, dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/" WORKDIR_PREFIX "b", dir);
	assert_int_equal(rmdir(path), 0);
	workdir_done(&work, false);
}

/* Killed before it had written its marker, or after that was removed. */
static void
test_empty_and_old_is_found(void **state)
{
	char path[300];
	struct q2_err err;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" WORKDIR_PREFIX "d", dir);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mkdir(path, 0777), 0);
		if (i == 1)
			make_file(path, WORKDIR_MARKER, "");
		assert_int_equal(count_stale(), 0);
		later_s = 1000;
		assert_int_equal(count_stale(), 1);
		assert_int_equal(workdir_remove_stale(path, &err), 0);
		later_s = 0;
	}
	/* What is in it is somebody's, however old. */
	assert_int_equal(mkdir(path, 0777), 0);
	make_file(path, "image", "x");
	later_s = 1000;
	assert_int_equal(count_stale(), 0);
	later_s = 0;
	make_file(path, WORKDIR_MARKER, "999999999 5\n");
	assert_int_equal(workdir_remove_stale(path, &err), 0);
}

/* A pipe of the marker's name is not waited for. */
static void
test_pipe_for_marker(void **state)
{
	char path[300], marker[350];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" WORKDIR_PREFIX "c", dir);
	(void)snprintf(marker, sizeof(marker), "%s/" WORKDIR_MARKER, path);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(mkfifo(marker, 0666), 0);
	(void)alarm(10);
	assert_int_equal(count_stale(), 0);
	(void)alarm(0);
	assert_int_equal(unlink(marker), 0);
	assert_int_equal(rmdir(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marker_goes_last),
		cmocka_unit_test(test_left_is_found),
		cmocka_unit_test(test_what_cannot_be_removed_is_found_again),
		cmocka_unit_test(test_of_the_living_is_not),
		cmocka_unit_test(test_empty_and_old_is_found),
		cmocka_unit_test(test_pipe_for_marker),
	};

	return cmocka_run_group_tests_name("workdir", tests, make_dir,
					   remove_dir);
}
