/* SPDX-License-Identifier: MIT */
/*
 * measured_load.c - read run.json and trials.jsonl, and check all they say
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/measured.h"
#include "harness/measured_check.h"
#include "results/jsonl.h"

/* run.json has a few KiB; what is so much larger is none. */
#define RUN_JSON_MOST (16 * MiB)

/* What to do about a line that is wrong. */
#define REMEDY                                                       \
	"restore the file from a copy, or remove the lines of that " \
	"round: 'qcowbench run --resume' measures it again"

/* Put a remedy behind a reason that lacks it. */
static int
add_remedy(int r, const char *remedy, struct q2_err *err)
{
	size_t n = strlen(err->text);

	(void)snprintf(err->text + n, sizeof(err->text) - n, "; %s", remedy);
	return r;
}

static int
with_remedy(int r, struct q2_err *err)
{
	return add_remedy(r, REMEDY, err);
}

/* ---- run.json ----------------------------------------------------------- */

static int
check_schema(const json_t *json, struct q2_err *err)
{
	const json_t *schema = json_object_get(json, "schema");

	if (!json_is_object(json))
		return q2_fail(err, -EINVAL, "not a JSON object; " REMEDY);
	if (!json_is_integer(schema))
		return q2_fail(err, -EINVAL,
			       "no schema number; this was not written by "
			       "qcowbench, or was changed: restore it from a "
			       "copy");
	if (json_integer_value(schema) == RESULTS_SCHEMA)
		return 0;
	return q2_fail(err, -EINVAL,
		       "schema is %lld, this program knows %d; use the "
		       "version of qcowbench that wrote it",
		       (long long)json_integer_value(schema), RESULTS_SCHEMA);
}

/* Members that everyone relies on, with their types. */
static int
check_run(const json_t *run, struct q2_err *err)
{
	static const struct {
		const char *key;
		json_type type;
	} plan_members[] = {
		{"suite", JSON_STRING},       {"rounds", JSON_INTEGER},
		{"image_size", JSON_INTEGER}, {"requests", JSON_INTEGER},
		{"size", JSON_INTEGER},       {"configurations", JSON_ARRAY},
		{"passes", JSON_ARRAY},       {"margin", JSON_REAL},
	};
	const json_t *plan = json_object_get(run, "plan"), *value;
	int r = check_schema(run, err);

	if (r < 0)
		return r;
	if (measured_check_texts(run, err) < 0)
		return add_remedy(-EINVAL, "restore the file from a copy", err);
	value = json_object_get(plan, "seed");
	if (!json_is_string(json_object_get(run, "run_id")) ||
	    (!json_is_integer(value) && !json_is_string(value)))
		return q2_fail(err, -EINVAL,
			       "no member run_id, or no plan with a seed; "
			       "restore the file from a copy");
	if (measured_int(run, "session") > MEASURED_SESSIONS_MOST)
		return q2_fail(err, -EINVAL,
			       "member session is %" PRIu64
			       ", and no run is taken up so often; restore "
			       "the file from a copy",
			       measured_int(run, "session"));
	for (size_t i = 0; i < ARRAY_SIZE(plan_members); i++) {
		value = json_object_get(plan, plan_members[i].key);
		if (!value || json_typeof(value) != plan_members[i].type)
			return q2_fail(err, -EINVAL,
				       "member plan.%s is missing or of "
				       "another type; restore the file from a "
				       "copy",
				       plan_members[i].key);
	}
	return 0;
}

/* Is there anything of ours beside run.json? */
static bool
has_trials(const char *run_json)
{
	const char *slash = strrchr(run_json, '/');
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.*strials.jsonl",
		       slash ? (int)(slash + 1 - run_json) : 0, run_json);
	return access(path, F_OK) == 0;
}

static int
load_run(struct measured *m, const char *path, struct q2_err *err)
{
	json_error_t why;
	struct stat st;
	int r;

	if (stat(path, &st) < 0) {
		r = -errno;
		if (r == -ENOENT && !has_trials(path))
			return q2_fail(err, r,
				       "%s: no such file: its folder is not "
				       "one that a run has made; name that "
				       "(run says 'results: ...')",
				       path);
		return q2_fail(err, r,
			       "%s: %s; without it nothing was measured here "
			       "yet: if no run is at work there, remove the "
			       "folder and run anew",
			       path, strerror(-r));
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > RUN_JSON_MOST)
		return q2_fail(err, -EINVAL,
			       "%s:1: no plain file of at most %u MiB; restore "
			       "it from a copy",
			       path, (unsigned)(RUN_JSON_MOST / MiB));
	m->run = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (!m->run)
		return q2_fail(
			err, -EINVAL,
			"%s:%d:%d: not JSON: %s; restore the file from a "
			"copy",
			path, why.line, why.column, why.text);
	r = check_run(m->run, err);
	return r < 0 ? err_prefix(err, r, "%s:1", path) : 0;
}

/* ---- trials.jsonl ------------------------------------------------------- */

struct loader {
	struct measured *m;
	/* Lines whose round is not closed yet. */
	struct rows trials, series;
	struct hists hists;
	uint64_t open, round, session;
	enum measured_part part;
	json_t *ids;                    /* trial -> line */
	json_t *closed[MEASURED_PARTS]; /* round -> line */
};

static void
loader_done(struct loader *l)
{
	rows_done(&l->trials);
	rows_done(&l->series);
	hists_done(&l->hists);
	json_decref(l->ids);
	for (int i = 0; i < MEASURED_PARTS; i++)
		json_decref(l->closed[i]);
}

/* They belong to a round that was cut. */
static void
drop_open(struct loader *l)
{
	l->m->partial += l->open;
	l->open = 0;
	rows_done(&l->trials);
	rows_done(&l->series);
	hists_done(&l->hists);
}

static int
get_number(const json_t *line, const char *key, uint64_t *ret,
	   struct q2_err *err)
{
	const json_t *value = json_object_get(line, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return q2_fail(err, -EINVAL,
			       "member %s is missing, or not an unsigned "
			       "integer; " REMEDY,
			       key);
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

/* A row of any table from its JSON, with all that must be there. */
static int
get_row(const struct table *table, const json_t *json, struct record **ret,
	struct q2_err *err)
{
	const char *name = record_unknown(table, json);
	int r;

	if (name)
		return q2_fail(err, -EINVAL, "'%s' is no column of %s; " REMEDY,
			       name, table->file);
	r = record_from_json(table, json, ret, err);
	if (r < 0)
		return with_remedy(r, err);
	name = record_missing(*ret);
	if (!name && record_int(*ret, 0) != RESULTS_SCHEMA)
		name = "schema of this version";
	if (!name)
		return 0;
	record_free(*ret);
	return q2_fail(err, -EINVAL, "a row of %s has no %s; " REMEDY,
		       table->file, name);
}

struct line {
	const char *trial, *run_id;
	uint64_t round, session;
	enum measured_part part;
	bool partial;
};

static int
get_part(const json_t *line, enum measured_part *ret, struct q2_err *err)
{
	const char *name = measured_text(line, "part");

	*ret = MEASURED_SUITE;
	if (!json_object_get(line, "part"))
		return 0;
	*ret = MEASURED_QEMU;
	if (strcmp(name, measured_part_names[MEASURED_QEMU]) == 0)
		return 0;
	return q2_fail(
		err, -EINVAL,
		"part '%s' is not known: qemu, or no such member; " REMEDY,
		name);
}

/* Does the row say the same as its line? */
static int
check_row(const struct line *line, const char *trial, uint64_t round,
	  struct q2_err *err)
{
	if (strcmp(trial, line->trial) == 0 && round == line->round)
		return 0;
	return q2_fail(err, -EINVAL,
		       "a row is of trial %s, round %" PRIu64
		       ", its line of %s, round %" PRIu64 "; " REMEDY,
		       trial, round, line->trial, line->round);
}

static bool
names_pass(const json_t *passes, const char *name)
{
	const json_t *pass;
	size_t i;

	json_array_foreach(passes, i, pass)
	{
		if (strcmp(measured_text(pass, "name"), name) == 0)
			return true;
	}
	return false;
}

static bool
names_label(const json_t *labels, const char *name)
{
	const json_t *label;
	size_t i;

	json_array_foreach(labels, i, label)
	{
		const char *text = json_string_value(label);

		if (text && strcmp(text, name) == 0)
			return true;
	}
	return false;
}

/* Is the row of the plan?  What QEMU is asked has labels of its own. */
static int
check_names(const struct loader *l, const struct line *line,
	    const struct record *rec, struct q2_err *err)
{
	const json_t *plan = json_object_get(l->m->run, "plan");
	const char *label = record_text(rec, TRIAL_label);
	const char *pass = record_text(rec, TRIAL_pass);

	if (line->part != MEASURED_SUITE)
		return 0;
	if (!names_label(json_object_get(plan, "configurations"), label))
		return q2_fail(
			err, -EINVAL,
			"label '%s' is no configuration of run.json; " REMEDY,
			label);
	if (!names_pass(json_object_get(plan, "passes"), pass))
		return q2_fail(err, -EINVAL,
			       "pass '%s' is no pass of run.json; " REMEDY,
			       pass);
	return 0;
}

static int
get_records(struct loader *l, const struct line *line, const json_t *array,
	    struct q2_err *err)
{
	struct record *rec = NULL;
	json_t *json;
	size_t i;
	int r;

	if (json_array_size(array) == 0)
		return q2_fail(err, -EINVAL,
			       "a trial without records; " REMEDY);
	json_array_foreach(array, i, json)
	{
		r = get_row(&table_trials, json, &rec, err);
		if (r < 0)
			return r;
		rows_add(&l->trials, rec);
		r = measured_check_trial(rec, err);
		if (r < 0)
			return with_remedy(r, err);
		r = check_row(line, record_text(rec, TRIAL_trial_id),
			      record_int(rec, TRIAL_round), err);
		if (r >= 0)
			r = check_names(l, line, rec, err);
		if (r < 0)
			return r;
		if (strcmp(record_text(rec, TRIAL_run_id), line->run_id) != 0)
			return q2_fail(
				err, -EINVAL,
				"a row is of run %s, run.json of %s: the "
				"files do not belong together; restore "
				"them from a copy",
				record_text(rec, TRIAL_run_id), line->run_id);
	}
	return 0;
}

static int
get_series(struct loader *l, const struct line *line, const json_t *array,
	   struct q2_err *err)
{
	struct record *rec = NULL;
	const struct record *before = NULL;
	json_t *json;
	size_t i;
	int r;

	json_array_foreach(array, i, json)
	{
		r = get_row(&table_series, json, &rec, err);
		if (r < 0)
			return r;
		rows_add(&l->series, rec);
		r = measured_check_series(rec, before, err);
		if (r < 0)
			return with_remedy(r, err);
		before = rec;
		r = check_row(line, record_text(rec, SERIES_trial_id),
			      record_int(rec, SERIES_round), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
get_hists(struct loader *l, const struct line *line, const json_t *array,
	  struct q2_err *err)
{
	const struct record *key;
	json_t *json;
	size_t i;
	int r;

	json_array_foreach(array, i, json)
	{
		r = hists_add(&l->hists, json, err);
		if (r < 0)
			return with_remedy(r, err);
		key = l->hists.v[l->hists.n - 1].key;
		r = check_row(line, record_text(key, HIST_trial_id),
			      record_int(key, HIST_round), err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Each trial is there once. */
static int
check_new(json_t *seen, const char *what, const char *key, unsigned long number,
	  struct q2_err *err)
{
	const json_t *before = json_object_get(seen, key);

	if (before)
		return q2_fail(err, -EINVAL,
			       "%s %s is there already, in line %lld; remove "
			       "one of the two",
			       what, key,
			       (long long)json_integer_value(before));
	(void)json_object_set_new(seen, key, json_integer((json_int_t)number));
	return 0;
}

static int
read_head(const struct loader *l, const json_t *json, struct line *line,
	  struct q2_err *err)
{
	int r;

	line->trial = measured_text(json, "trial");
	line->run_id = measured_text(l->m->run, "run_id");
	line->partial = json_is_true(json_object_get(json, "partial"));
	r = get_number(json, "round", &line->round, err);
	if (r >= 0)
		r = get_number(json, "session", &line->session, err);
	return r < 0 ? r : get_part(json, &line->part, err);
}

static int
trial_line(struct loader *l, unsigned long number, const json_t *json,
	   struct q2_err *err)
{
	struct line line = {0};
	int r = read_head(l, json, &line, err);

	if (r < 0)
		return r;
	if (l->open && (line.partial || line.round != l->round ||
			line.session != l->session || line.part != l->part))
		drop_open(l);
	r = check_new(l->ids, "trial", line.trial, number, err);
	if (r >= 0)
		r = get_records(l, &line, json_object_get(json, "records"),
				err);
	if (r >= 0)
		r = get_series(l, &line, json_object_get(json, "series"), err);
	if (r >= 0)
		r = get_hists(l, &line, json_object_get(json, "hists"), err);
	if (r < 0)
		return r;
	l->round = line.round;
	l->session = line.session;
	l->part = line.part;
	l->open++;
	if (line.partial)
		drop_open(l);
	return 0;
}

/* All that did a pass have done the same. */
static int
check_operations(const struct loader *l, struct q2_err *err)
{
	const struct rows *rows = &l->trials;

	for (size_t i = 1; i < rows->n; i++) {
		const struct record *rec = rows->v[i], *first = NULL;
		const char *pass = record_text(rec, TRIAL_pass);

		for (size_t k = 0; k < i && !first; k++) {
			if (strcmp(record_text(rows->v[k], TRIAL_pass), pass) ==
			    0)
				first = rows->v[k];
		}
		if (!first ||
		    (strcmp(record_text(first, TRIAL_stream_hash),
			    record_text(rec, TRIAL_stream_hash)) == 0 &&
		     record_int(first, TRIAL_ops) ==
			     record_int(rec, TRIAL_ops)))
			continue;
		return q2_fail(err, -EBADE,
			       "round %" PRIu64 ", pass %s: %s and %s have "
			       "done different operations, so nothing can be "
			       "compared; " REMEDY,
			       l->round, pass, record_text(first, TRIAL_label),
			       record_text(rec, TRIAL_label));
	}
	return 0;
}

/* Its trials are those of the lines before. */
static int
check_round(const struct loader *l, const struct line *line, uint64_t trials,
	    struct q2_err *err)
{
	if (trials > 0 && trials == l->open && line->round == l->round &&
	    line->session == l->session && line->part == l->part)
		return 0;
	return q2_fail(err, -EINVAL,
		       "round %" PRIu64 " ends here with %" PRIu64
		       " trials, but %" PRIu64
		       " are in the lines before; " REMEDY,
		       line->round, trials, l->open);
}

static void
move_round(struct loader *l, enum measured_part part, double seconds)
{
	struct measured_rounds *to = measured_count_round(l->m, part,
							  &l->trials, seconds);

	/* Those before it are gone. */
	if (part == MEASURED_SUITE)
		(void)json_object_clear(l->closed[MEASURED_QEMU]);
	rows_move(&l->trials, &to->trials);
	rows_move(&l->series, &to->series);
	hists_move(&l->hists, &to->hists);
	l->open = 0;
}

static int
round_line(struct loader *l, unsigned long number, const json_t *json,
	   struct q2_err *err)
{
	struct line line = {0};
	uint64_t trials = 0;
	char key[24];
	int r = read_head(l, json, &line, err);

	if (r >= 0)
		r = get_number(json, "trials", &trials, err);
	if (r >= 0)
		r = check_round(l, &line, trials, err);
	if (r < 0)
		return r;
	(void)snprintf(key, sizeof(key), "%" PRIu64, line.round);
	r = check_new(l->closed[line.part], "round", key, number, err);
	if (r >= 0)
		r = check_operations(l, err);
	if (r < 0)
		return r;
	move_round(l, line.part,
		   json_number_value(json_object_get(json, "seconds")));
	return 0;
}

static int
take_line(void *arg, unsigned long number, const json_t *json,
	  struct q2_err *err)
{
	struct loader *l = arg;
	const char *kind = measured_text(json, "kind");
	uint64_t session = 0;
	int r = check_schema(json, err);

	if (r < 0)
		return r;
	if (measured_check_texts(json, err) < 0)
		return with_remedy(-EINVAL, err);
	r = get_number(json, "session", &session, err);
	if (r < 0)
		return r;
	if (session > MEASURED_SESSIONS_MOST)
		return q2_fail(err, -EINVAL,
			       "session is %" PRIu64
			       ", and no run is taken up so often; " REMEDY,
			       session);
	l->m->session = max_u64(l->m->session, session);
	if (strcmp(kind, "trial") == 0)
		return trial_line(l, number, json, err);
	if (strcmp(kind, "round") == 0)
		return round_line(l, number, json, err);
	if (strcmp(kind, "stopped") == 0) {
		l->m->redone += json_is_true(json_object_get(json, "redone"));
		drop_open(l);
		return 0;
	}
	return q2_fail(
		err, -EINVAL,
		"kind '%s' is not known: trial, round or stopped; " REMEDY,
		kind);
}

int
measured_load(struct measured *m, const char *out, struct q2_err *err)
{
	struct loader l = {
		.m = m,
		.ids = json_object(),
		.closed = {json_object(), json_object()},
	};
	struct jsonl_sink sink = {.line = take_line, .arg = &l};
	char path[PATH_MAX];
	int r;

	*m = (struct measured){0};
	(void)snprintf(path, sizeof(path), "%s/run.json", out);
	r = load_run(m, path, err);
	(void)snprintf(path, sizeof(path), "%s/trials.jsonl", out);
	if (r >= 0) {
		r = jsonl_each(path, &sink, &m->torn, err);
		if (r == -Q2_ECORRUPT || r == -EFBIG)
			r = with_remedy(r, err);
	}
	if (l.open) {
		m->cut_round = l.round;
		m->cut_session = l.session;
		m->cut_trials = l.open;
		m->cut_part = l.part;
	}
	drop_open(&l);
	loader_done(&l);
	return r;
}
