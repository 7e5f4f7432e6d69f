/* SPDX-License-Identifier: MIT */
#include "harness/output.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "results/csv.h"
#include "results/jsonl.h"

#define FILE_PATH (OUTPUT_PATH + 64)

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

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
	for (int i = 2; exists(out->path) && i < 100; i++)
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
	*out = (struct output){.jsonl = -1};
	if (!asked) {
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

int
output_make(struct output *out, struct q2_err *err)
{
	char path[FILE_PATH];
	int r;

	if (mkdir(out->path, 0777) < 0) {
		r = -errno;
		return q2_fail(err, r,
			       "cannot make the folder %s for the results: "
			       "%s; name another with --out",
			       out->path, strerror(-r));
	}
	out->made = true;
	(void)snprintf(path, sizeof(path), "%s/trials.jsonl", out->path);
	out->jsonl = jsonl_open(path, err);
	return out->jsonl < 0 ? out->jsonl : 0;
}

void
output_done(struct output *out)
{
	char path[FILE_PATH];

	if (out->jsonl >= 0)
		(void)close(out->jsonl);
	out->jsonl = -1;
	if (!out->made || out->in_use)
		return;
	/* Nothing was measured: leave nothing. */
	(void)snprintf(path, sizeof(path), "%s/trials.jsonl", out->path);
	(void)unlink(path);
	(void)rmdir(out->path);
}

/* Beside it, synced, and renamed over it: never half a file. */
int
output_run_json(const struct output *out, json_t *json, struct q2_err *err)
{
	char path[FILE_PATH], tmp[FILE_PATH + 8];
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/run.json", out->path);
	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		r = -errno;
	if (r == 0 && (json_dumpfd(json, fd, JSON_INDENT(2)) < 0 ||
		       write(fd, "\n", 1) != 1 || fsync(fd) < 0))
		r = errno ? -errno : -EIO;
	if (fd >= 0)
		(void)close(fd);
	json_decref(json);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(tmp);
		return q2_fail(err, r, "cannot write %s: %s", path,
			       strerror(-r));
	}
	return 0;
}

/* ---- trials.jsonl ------------------------------------------------------ */

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

static bool
seen_before(const struct rows *trials, size_t i)
{
	const char *id = record_text(trials->v[i], TRIAL_trial_id);

	for (size_t j = 0; j < i; j++) {
		if (strcmp(record_text(trials->v[j], TRIAL_trial_id), id) == 0)
			return true;
	}
	return false;
}

static int
append(const struct output *out, json_t *json, struct q2_err *err)
{
	int r = jsonl_append(out->jsonl, json, err);

	json_decref(json);
	return r < 0 ? err_prefix(err, r, "%s/trials.jsonl", out->path) : 0;
}

static json_t *
trial_line(const struct rows *trials, const struct rows *series,
	   const struct record *rec, bool partial)
{
	const char *id = record_text(rec, TRIAL_trial_id);
	json_t *line = json_object();

	(void)json_object_set_new(line, "trial", json_string(id));
	(void)json_object_set_new(
		line, "round",
		json_integer((json_int_t)record_int(rec, TRIAL_round)));
	(void)json_object_set_new(line, "label",
				  json_string(record_text(rec, TRIAL_label)));
	(void)json_object_set_new(line, "partial", json_boolean(partial));
	(void)json_object_set_new(line, "records",
				  rows_of(trials, TRIAL_trial_id, id));
	(void)json_object_set_new(line, "series",
				  rows_of(series, SERIES_trial_id, id));
	return line;
}

int
output_round(const struct output *out, const struct rows *trials,
	     const struct rows *series, bool partial, const char *why,
	     struct q2_err *err)
{
	json_t *line;
	int r = 0;

	for (size_t i = 0; r == 0 && i < trials->n; i++) {
		if (!seen_before(trials, i))
			r = append(out,
				   trial_line(trials, series, trials->v[i],
					      partial),
				   err);
	}
	if (r == 0 && why) {
		line = json_object();
		(void)json_object_set_new(line, "stopped", json_string(why));
		r = append(out, line, err);
	}
	return r;
}

int
output_csv(const struct output *out, const char *file,
	   const struct table *table, const struct rows *rows,
	   struct q2_err *err)
{
	char path[FILE_PATH];

	(void)snprintf(path, sizeof(path), "%s/%s", out->path, file);
	return csv_write_file(path, table, rows, err);
}
