/* SPDX-License-Identifier: MIT */
#include "harness/workdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/num.h"

/* A round has no more images. */
#define REMOVALS_MAX 16

int
workdir_check(const char *dir, struct q2_err *err)
{
	struct stat st;
	int r;

	if (stat(dir, &st) < 0) {
		r = -errno;
		if (r == -ENOENT)
			return q2_fail(err, r,
				       "%s: no such directory; make it, or "
				       "name another with --dir",
				       dir);
		return q2_fail(err, r, "%s: %s", dir, strerror(-r));
	}
	if (!S_ISDIR(st.st_mode))
		return q2_fail(err, -ENOTDIR,
			       "%s is not a directory; name one with --dir",
			       dir);
	if (access(dir, W_OK | X_OK) < 0) {
		r = -errno;
		return q2_fail(err, r,
			       "%s: cannot write there (%s); name another "
			       "directory with --dir",
			       dir, strerror(-r));
	}
	return 0;
}

/* When process pid began, in clock ticks since boot; 0: no such process. */
static unsigned long long
process_start(long pid)
{
	unsigned long long start = 0;
	char path[64], text[1024];
	const char *p;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* The name in brackets may hold blanks: count from its end. */
	if (fgets(text, sizeof(text), f)) {
		p = strrchr(text, ')');
		if (!p || sscanf(p,
				 ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
				 "%*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
				 &start) != 1)
			start = 0;
	}
	(void)fclose(f);
	return start;
}

static int
write_marker(struct workdir *work, struct q2_err *err)
{
	char path[WORKDIR_PATH + 32];

	(void)snprintf(path, sizeof(path), "%s/" WORKDIR_MARKER, work->path);
	work->marker = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (work->marker < 0)
		return q2_fail(err, -errno, "%s: %s", path, strerror(errno));
	/* A file system without locks leaves the number alone to tell. */
	(void)flock(work->marker, LOCK_EX | LOCK_NB);
	if (dprintf(work->marker, "%ld %llu\n", (long)getpid(),
		    process_start(getpid())) < 0)
		return q2_fail(err, -errno, "%s: cannot be written: %s", path,
			       strerror(errno));
	return 0;
}

int
workdir_make(struct workdir *work, const char *dir, struct q2_err *err)
{
	int n = snprintf(work->path, sizeof(work->path),
			 "%s/" WORKDIR_PREFIX "XXXXXX", dir);
	int r;

	if (n < 0 || (size_t)n >= sizeof(work->path)) {
		work->path[0] = '\0';
		return q2_fail(err, -ENAMETOOLONG,
			       "the name of %.200s... is "
			       "too long",
			       dir);
	}
	if (!mkdtemp(work->path)) {
		r = -errno;
		work->path[0] = '\0';
		return q2_fail(err, r, "%s: cannot make a directory there: %s",
			       dir, strerror(-r));
	}
	r = write_marker(work, err);
	if (r < 0)
		workdir_done(work, false);
	return r;
}

struct removal {
	pthread_t thread;
	int dir;
	char name[NAME_MAX + 1];
};

static void *
remove_one(void *arg)
{
	const struct removal *r = arg;

	(void)unlinkat(r->dir, r->name, 0);
	return NULL;
}

/* All at the same time: a file of thousands of extents on a file system that
 * discards as it frees waits for as many discards, one after the other. */
static void
remove_together(struct removal *v, size_t n)
{
	bool started[REMOVALS_MAX] = {false};

	for (size_t i = 0; i < n; i++)
		started[i] = pthread_create(&v[i].thread, NULL, remove_one,
					    &v[i]) == 0;
	for (size_t i = 0; i < n; i++) {
		if (started[i])
			(void)pthread_join(v[i].thread, NULL);
		else
			(void)remove_one(&v[i]);
	}
}

/* Remove plain files, but for the marker; nobody makes folders in here. */
static void
remove_files(const char *path)
{
	struct removal v[REMOVALS_MAX];
	DIR *d = opendir(path);
	struct dirent *e;
	size_t n = 0;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, WORKDIR_MARKER) == 0)
			continue;
		v[n].dir = dirfd(d);
		(void)snprintf(v[n].name, sizeof(v[n].name), "%s", e->d_name);
		if (++n == REMOVALS_MAX) {
			remove_together(v, n);
			n = 0;
		}
	}
	remove_together(v, n);
	(void)closedir(d);
}

void
workdir_empty(const struct workdir *work)
{
	if (work->path[0])
		remove_files(work->path);
}

void
workdir_done(struct workdir *work, bool keep)
{
	char marker[WORKDIR_PATH + 32];

	if (!work->path[0])
		return;
	(void)snprintf(marker, sizeof(marker), "%s/" WORKDIR_MARKER,
		       work->path);
	/* The marker last: by it the next run finds images that are still there
	 * if this process is killed meanwhile. */
	if (!keep)
		remove_files(work->path);
	(void)unlink(marker);
	if (!keep)
		(void)rmdir(work->path);
	if (work->marker >= 0)
		(void)close(work->marker);
	work->path[0] = '\0';
}

/* A process that is killed as it makes the folder, or as it has removed all that
 * was in it, leaves nothing, or a marker without a word; one that lives does so
 * for a moment only. */
#define MOMENT_S 60

static bool
is_old(const struct stat *st)
{
	return time(NULL) - st->st_ctime > MOMENT_S;
}

/* But for its marker. */
static bool
has_nothing_else(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	bool empty = d;

	if (!d)
		return false;
	while (empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 ||
			strcmp(e->d_name, "..") == 0 ||
			strcmp(e->d_name, WORKDIR_MARKER) == 0;
	(void)closedir(d);
	return empty;
}

/* Does the folder bear the marker of a process that is gone? */
static bool
is_stale(const char *path)
{
	unsigned long long start;
	char marker[PATH_MAX + 64], text[64] = "";
	bool stale = false;
	struct stat st;
	ssize_t n;
	long pid;
	int fd;

	/* Not through a link to somebody's folder. */
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return false;
	(void)snprintf(marker, sizeof(marker), "%s/" WORKDIR_MARKER, path);
	fd = open(marker, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT && is_old(&st) && has_nothing_else(path);
	n = read(fd, text, sizeof(text) - 1);
	if (n > 0 && sscanf(text, "%ld %llu", &pid, &start) == 2)
		stale = process_start(pid) != start;
	else
		stale = n == 0 && is_old(&st);
	stale &= flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK;
	(void)close(fd);
	return stale;
}

int
workdir_remove_stale(const char *path, struct q2_err *err)
{
	char marker[PATH_MAX + 64];
	int r = 0;

	if (!is_stale(path))
		return q2_fail(err, -EBUSY,
			       "%s: its owner is not gone, or it has no marker",
			       path);
	remove_files(path);
	(void)snprintf(marker, sizeof(marker), "%s/" WORKDIR_MARKER, path);
	/* What could not be removed is to be found again. */
	if (!has_nothing_else(path))
		r = -ENOTEMPTY;
	else if ((unlink(marker) < 0 && errno != ENOENT) || rmdir(path) < 0)
		r = -errno;
	return r < 0 ? q2_fail(err, r, "%s: cannot be removed: %s", path,
			       strerror(-r))
		     : 0;
}

size_t
workdir_stale(const char *dir, void (*found)(void *arg, const char *path),
	      void *arg)
{
	DIR *d = opendir(dir);
	char path[PATH_MAX];
	struct dirent *e;
	size_t count = 0;
	int n;

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, WORKDIR_PREFIX,
			    strlen(WORKDIR_PREFIX)) != 0)
			continue;
		n = snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (n > 0 && (size_t)n < sizeof(path) && is_stale(path)) {
			found(arg, path);
			count++;
		}
	}
	(void)closedir(d);
	return count;
}

int
workdir_free_bytes(const char *dir, uint64_t *ret_bytes, struct q2_err *err)
{
	struct statvfs st;

	if (statvfs(dir, &st) < 0)
		return q2_fail(err, -errno, "%s: %s", dir, strerror(errno));
	/* A file system that does not know its size, such as ramfs. */
	*ret_bytes = st.f_blocks ? (uint64_t)st.f_bavail * st.f_frsize
				 : (uint64_t)INT64_MAX;
	return 0;
}
