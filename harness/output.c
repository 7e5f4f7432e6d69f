/* SPDX-License-Identifier: MIT */
#include "harness/output.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "results/jsonl.h"
#include "results/newfile.h"

#define FILE_PATH (OUTPUT_PATH + 64)

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Folders of one suite that were begun in the same second. */
#define SAME_MOST 100

static void
default_name(struct output *out, const char *suite)
{
	time_t now = time(NULL);
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&now, &tm))
		(void)strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &tm);
	(void)snprintf(out->path, sizeof(out->path), "qcowbench-%s-%s", suite,
		       when);
	for (int i = 2; exists(out->path) && i < SAME_MOST; i++)
		(void)snprintf(out->path, sizeof(out->path),
			       "qcowbench-%s-%s-%d", suite, when, i);
}

/* Can a folder be made beside it? */
static int
check_parent(const char *path, struct q2_err *err)
{
	char parent[OUTPUT_PATH];
	size_t len = strlen(path);
	int r;

	(void)strcpy(parent, path);
	while (len > 1 && parent[len - 1] == '/')
		parent[--len] = '\0';
	while (len > 0 && parent[len - 1] != '/')
		len--;
	parent[len] = '\0';
	if (access(len ? parent : ".", W_OK | X_OK) == 0)
		return 0;
	r = -errno;
	return q2_fail(err, r,
		       "cannot make the folder %s for the results: %s; name "
		       "another with --out",
		       path, strerror(-r));
}

int
output_name(struct output *out, const char *asked, const char *suite,
	    struct q2_err *err)
{
	*out = (struct output){.jsonl = -1, .lock = -1};
	if (!asked) {
		out->suite = suite;
		default_name(out, suite);
		return check_parent(out->path, err);
	}
	if (strlen(asked) >= sizeof(out->path))
		return q2_fail(err, -ENAMETOOLONG,
			       "--out: the name is too "
			       "long");
	(void)strcpy(out->path, asked);
	if (exists(asked))
		return q2_fail(err, -EEXIST,
			       "%s exists; results go into a new folder: "
			       "name another with --out",
			       asked);
	return check_parent(asked, err);
}

/* ---- one writer --------------------------------------------------------- */

static void
lock_path(const struct output *out, char path[FILE_PATH])
{
	(void)snprintf(path, FILE_PATH, "%s/lock", out->path);
}

static int
say_who(const struct output *out, int fd, struct q2_err *err)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	if (pid > 0)
		return q2_fail(err, -EBUSY,
			       "%s: process %ld is writing there; wait until "
			       "it has ended",
			       out->path, pid);
	return q2_fail(err, -EBUSY,
		       "%s: another process is writing there; wait until it "
		       "has ended",
		       out->path);
}

/* Is the name still that of the open file?  Whoever had the lock may have
 * removed it. */
static bool
still_there(const char *path, int fd)
{
	struct stat named, opened;

	return stat(path, &named) == 0 && fstat(fd, &opened) == 0 &&
	       named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

static int
lock_folder(struct output *out, struct q2_err *err)
{
	char path[FILE_PATH], text[32];
	int fd, n;

	lock_path(out, path);
	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			  0666);
		if (fd < 0 && errno == ELOOP)
			return q2_fail(err, -ELOOP,
				       "%s is a link, which no run makes; "
				       "remove it",
				       path);
		if (fd < 0)
			return q2_fail(err, -errno, "cannot write %s: %s", path,
				       strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
			n = say_who(out, fd, err);
			(void)close(fd);
			return n;
		}
		/* A file system without locks cannot keep others away. */
		if (still_there(path, fd))
			break;
		(void)close(fd);
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	/* For messages only: a full disk is no reason to stop. */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		(void)ftruncate(fd, 0);
	out->lock = fd;
	return 0;
}

static void
unlock_folder(struct output *out)
{
	char path[FILE_PATH];

	if (out->lock < 0)
		return;
	lock_path(out, path);
	if (still_there(path, out->lock))
		(void)unlink(path);
	(void)close(out->lock);
	out->lock = -1;
}

/* ---- the folder --------------------------------------------------------- */

static int
open_jsonl(struct output *out, struct q2_err *err)
{
	char path[FILE_PATH];

	(void)snprintf(path, sizeof(path), "%s/trials.jsonl", out->path);
	out->jsonl = jsonl_open(path, err);
	return out->jsonl < 0 ? out->jsonl : 0;
}

static void
sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)fsync(fd);
	(void)close(fd);
}

/* A name that nobody asked for may be taken by now: jobs that begin in the same
 * second find the same one. */
static int
make_folder(struct output *out)
{
	int r = mkdir(out->path, 0777) < 0 ? -errno : 0;

	for (int i = 0; r == -EEXIST && out->suite && i < SAME_MOST; i++) {
		default_name(out, out->suite);
		r = mkdir(out->path, 0777) < 0 ? -errno : 0;
	}
	return r;
}

int
output_make(struct output *out, struct q2_err *err)
{
	char parent[OUTPUT_PATH + 8];
	int r = make_folder(out);

	if (r < 0)
		return q2_fail(err, r,
			       "cannot make the folder %s for the results: "
			       "%s; name another with --out",
			       out->path, strerror(-r));
	out->made = true;
	(void)snprintf(parent, sizeof(parent), "%s/..", out->path);
	sync_folder(parent);
	r = lock_folder(out, err);
	return r < 0 ? r : open_jsonl(out, err);
}

/* ", but NAME-... NAME-... are there": the folders of groups of a run that was
 * called so. */
static void
list_groups(const char *path, char *text, size_t size)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char parent[OUTPUT_PATH], file[FILE_PATH + 256];
	struct dirent **v = NULL;
	size_t used = 0;
	int n;

	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(name - path),
		       path);
	n = *name ? scandir(*parent ? parent : ".", &v, NULL, alphasort) : 0;
	for (int i = 0; i < n; i++) {
		size_t len = strlen(name);

		(void)snprintf(file, sizeof(file), "%s%s/run.json", parent,
			       v[i]->d_name);
		if (strncmp(v[i]->d_name, name, len) == 0 &&
		    v[i]->d_name[len] == '-' && used < size && exists(file))
			used += (size_t)snprintf(text + used, size - used,
						 "%s%s%s",
						 used ? ", " : "; there are ",
						 parent, v[i]->d_name);
		free(v[i]);
	}
	free((void *)v);
}

int
output_check(const char *path, struct q2_err *err)
{
	char groups[512] = "";
	struct stat st;

	if (strlen(path) >= OUTPUT_PATH)
		return q2_fail(err, -ENAMETOOLONG,
			       "the name %.60s... is too "
			       "long",
			       path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	list_groups(path, groups, sizeof(groups));
	return q2_fail(err, -ENOENT,
		       "%.400s: no such folder; name one that a run has "
		       "left%s",
		       path, groups);
}

int
output_open(struct output *out, const char *path, bool append,
	    struct q2_err *err)
{
	int r;

	*out = (struct output){.jsonl = -1, .lock = -1};
	r = output_check(path, err);
	if (r < 0)
		return r;
	(void)strcpy(out->path, path);
	r = lock_folder(out, err);
	out->in_use = true;
	return r < 0 || !append ? r : open_jsonl(out, err);
}

void
output_done(struct output *out)
{
	char path[FILE_PATH];

	if (out->jsonl >= 0)
		(void)close(out->jsonl);
	out->jsonl = -1;
	unlock_folder(out);
	if (!out->made || out->in_use)
		return;
	/* Nothing was measured: leave nothing. */
	(void)snprintf(path, sizeof(path), "%s/trials.jsonl", out->path);
	(void)unlink(path);
	(void)rmdir(out->path);
}

static int
write_json(const char *path, const json_t *json)
{
	int fd = newfile_open(path);
	int r = 0;

	if (fd < 0)
		return fd;
	errno = EIO; /* the library does not always say */
	if (json_dumpfd(json, fd, JSON_INDENT(2)) < 0 ||
	    write(fd, "\n", 1) != 1 || fsync(fd) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

/* Beside it, synced, and renamed over it: never half a file. */
int
output_run_json(const struct output *out, const json_t *json,
		struct q2_err *err)
{
	char path[FILE_PATH], tmp[FILE_PATH + 8];
	int r;

	(void)snprintf(path, sizeof(path), "%s/run.json", out->path);
	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	r = write_json(tmp, json);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(tmp);
		return q2_fail(err, r, "cannot write %s: %s", path,
			       strerror(-r));
	}
	sync_folder(out->path);
	return 0;
}

/* ---- trials.jsonl ------------------------------------------------------ */

static void
set_int(json_t *json, const char *key, uint64_t value)
{
	(void)json_object_set_new(json, key, json_integer((json_int_t)value));
}

/* A line's head: what kind it is, and of which round. */
static json_t *
new_line(const char *kind, const struct output_lines *lines)
{
	json_t *line = json_object();

	set_int(line, "schema", RESULTS_SCHEMA);
	(void)json_object_set_new(line, "kind", json_string(kind));
	set_int(line, "session", lines->session);
	set_int(line, "round", lines->round);
	if (lines->part)
		(void)json_object_set_new(line, "part",
					  json_string(lines->part));
	return line;
}

static json_t *
rows_of(const struct rows *rows, int id_col, const char *id)
{
	json_t *array = json_array();

	for (size_t i = 0; i < rows->n; i++) {
		if (strcmp(record_text(rows->v[i], id_col), id) == 0)
			(void)json_array_append_new(array,
						    record_to_json(rows->v[i]));
	}
	return array;
}

static json_t *
hists_of(const struct hists *hists, const char *id)
{
	json_t *array = json_array();

	for (size_t i = 0; i < hists->n; i++) {
		if (strcmp(record_text(hists->v[i].key, HIST_trial_id), id) ==
		    0)
			(void)json_array_append_new(
				array, hists_part_json(&hists->v[i]));
	}
	return array;
}

bool
output_is_first(const struct rows *trials, size_t i)
{
	const char *id = record_text(trials->v[i], TRIAL_trial_id);

	for (size_t j = i; j-- > 0;) {
		if (strcmp(record_text(trials->v[j], TRIAL_trial_id), id) == 0)
			return false;
	}
	return true;
}

json_t *
output_trial_json(const struct output_lines *lines, const struct record *rec)
{
	const char *id = record_text(rec, TRIAL_trial_id);
	json_t *line = new_line("trial", lines);

	(void)json_object_set_new(line, "trial", json_string(id));
	(void)json_object_set_new(line, "label",
				  json_string(record_text(rec, TRIAL_label)));
	(void)json_object_set_new(line, "partial",
				  json_boolean(lines->partial));
	(void)json_object_set_new(line, "records",
				  rows_of(lines->trials, TRIAL_trial_id, id));
	(void)json_object_set_new(line, "series",
				  rows_of(lines->series, SERIES_trial_id, id));
	(void)json_object_set_new(line, "hists", hists_of(lines->hists, id));
	return line;
}

/* The last line of a round. */
static json_t *
closing_line(const struct output_lines *lines, size_t ntrials)
{
	json_t *line = new_line(lines->partial ? "stopped" : "round", lines);

	if (!lines->partial) {
		set_int(line, "trials", ntrials);
		(void)json_object_set_new(line, "seconds",
					  json_real(lines->seconds));
	} else if (lines->redone) {
		(void)json_object_set_new(line, "redone", json_true());
	}
	if (lines->partial && lines->why)
		(void)json_object_set_new(line, "why", json_string(lines->why));
	/* Last: the short facts are found by eye. */
	if (lines->state)
		(void)json_object_set(line, "state", lines->state);
	return line;
}

int
output_round(const struct output *out, const struct output_lines *lines,
	     struct q2_err *err)
{
	json_t *array = json_array();
	size_t ntrials;
	int r;

	for (size_t i = 0; i < lines->trials->n; i++) {
		if (output_is_first(lines->trials, i))
			(void)json_array_append_new(
				array,
				output_trial_json(lines, lines->trials->v[i]));
	}
	ntrials = json_array_size(array);
	(void)json_array_append_new(array, closing_line(lines, ntrials));
	r = jsonl_append(out->jsonl, array, err);
	json_decref(array);
	return r < 0 ? err_prefix(err, r, "%s/trials.jsonl", out->path) : 0;
}

int
output_cut(const struct output *out, const struct output_lines *lines,
	   uint64_t trials, struct q2_err *err)
{
	json_t *array = json_array(), *line = new_line("stopped", lines);
	int r;

	set_int(line, "partial_trials", trials);
	(void)json_object_set_new(
		line, "why",
		json_string("the run ended before the round was whole"));
	(void)json_array_append_new(array, line);
	r = jsonl_append(out->jsonl, array, err);
	json_decref(array);
	return r < 0 ? err_prefix(err, r, "%s/trials.jsonl", out->path) : 0;
}
