/* SPDX-License-Identifier: MIT */
/*
 * verb_trial.c - the child process; its language is in trial.h
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "harness/hists.h"
#include "harness/trial.h"
#include "harness/verb.h"

/* One line out; the reader may be waiting for it. */
static void
answer(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15));

	json_decref(json);
	(void)puts(text);
	(void)fflush(stdout);
	free(text);
}

static json_t *
ok(void)
{
	json_t *json = json_object();

	(void)json_object_set_new(json, "ok", json_true());
	return json;
}

static void
answer_error(const struct q2_err *err)
{
	json_t *json = json_object();

	(void)json_object_set_new(json, "ok", json_false());
	(void)json_object_set_new(json, "error", json_string(err->text));
	(void)json_object_set_new(json, "code", json_integer(err->code));
	answer(json);
}

static int
read_json(json_t **ret, struct q2_err *err)
{
	json_error_t why;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	n = getline(&line, &size, stdin);
	if (n <= 0) {
		free(line);
		return q2_fail(err, -ENODATA, "nothing more on stdin");
	}
	*ret = json_loads(line, 0, &why);
	free(line);
	if (!*ret)
		return q2_fail(err, -EINVAL, "column %d: %s", why.column,
			       why.text);
	return 0;
}

/* ---- by command -------------------------------------------------------- */

static int
end_pass(struct trial *t, json_t *reply, struct q2_err *err)
{
	json_t *array = json_array();
	json_t *hists = json_array();
	struct rows series = {0};
	struct record *rec;
	int r;

	/* A pass has one kind of request. */
	if (t->hist.count > 0)
		(void)json_array_append_new(
			hists,
			hists_json_of(&t->hist,
				      t->spec->passes[t->pass].stream.write
					      ? "write"
					      : "read",
				      "submit"));
	r = trial_end(t, &rec, &series, err);
	if (r >= 0) {
		(void)json_object_set_new(reply, "record", record_to_json(rec));
		record_free(rec);
	}
	for (size_t i = 0; i < series.n; i++)
		(void)json_array_append_new(array, record_to_json(series.v[i]));
	rows_done(&series);
	(void)json_object_set_new(reply, "series", array);
	(void)json_object_set_new(reply, "hists", hists);
	return r;
}

static int
obey(struct trial *t, const json_t *command, json_t *reply, struct q2_err *err)
{
	const char *what = json_string_value(json_object_get(command, "do"));
	json_int_t pass = json_integer_value(json_object_get(command, "pass"));
	double seconds;
	int r;

	if (!what)
		return q2_fail(err, -EINVAL, "a command without \"do\"");
	if (strcmp(what, "begin") == 0) {
		if (pass < 0 || (size_t)pass >= t->spec->npasses)
			return q2_fail(err, -EINVAL, "no such pass");
		return trial_begin(t, (size_t)pass, err);
	}
	if (strcmp(what, "end") == 0)
		return end_pass(t, reply, err);
	if (strcmp(what, "turn") == 0)
		r = trial_turn(t, &seconds, err);
	else
		return q2_fail(err, -EINVAL, "'%s' is no command", what);
	(void)json_object_set_new(reply, "seconds", json_real(seconds));
	return r;
}

static int
by_command(struct trial *t, struct q2_err *err)
{
	json_t *command, *reply;
	const char *what;
	bool quit = false;
	int r = 0;

	answer(ok());
	while (!quit) {
		r = read_json(&command, err);
		if (r < 0)
			return r;
		what = json_string_value(json_object_get(command, "do"));
		quit = what && strcmp(what, "quit") == 0;
		reply = ok();
		if (!quit)
			r = obey(t, command, reply, err);
		json_decref(command);
		if (r < 0) {
			json_decref(reply);
			return r;
		}
		answer(reply);
	}
	return 0;
}

/* ---- all at once ------------------------------------------------------- */

static int
whole_pass(struct trial *t, size_t pass, struct q2_err *err)
{
	struct rows series = {0};
	struct record *rec;
	double seconds;
	int r;

	r = trial_begin(t, pass, err);
	for (uint64_t i = 0; r >= 0 && i < t->spec->passes[pass].cut.turns; i++)
		r = trial_turn(t, &seconds, err);
	if (r >= 0)
		r = trial_end(t, &rec, &series, err);
	if (r >= 0) {
		answer(record_to_json(rec));
		record_free(rec);
	}
	rows_done(&series);
	return r;
}

static int
all_at_once(struct trial *t, struct q2_err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < t->spec->npasses; i++)
		r = whole_pass(t, i, err);
	return r;
}

/* ---- the verb ---------------------------------------------------------- */

/* A child belongs to its coordinator: it ends with it, and the keyboard is the
 * coordinator's. */
static void
become_child(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
}

static enum bench_exit
run_trial(int argc, char **argv, struct q2_err *err)
{
	struct trial_spec spec = {0};
	struct trial trial = {0};
	bool told = false;
	json_t *json = NULL;
	int r;

	if (options_parse(&verb_trial.options, argc, argv, NULL,
			  (struct operands){0}, err) < 0)
		return BENCH_USAGE;
	if (read_json(&json, err) < 0)
		return BENCH_USAGE;
	r = trial_spec_parse(json, &spec, err);
	json_decref(json);
	if (r < 0)
		return BENCH_USAGE;
	if (spec.turns)
		become_child();
	r = trial_init(&trial, &spec, err);
	if (r >= 0)
		r = spec.turns ? by_command(&trial, err)
			       : all_at_once(&trial, err);
	if (r < 0 && spec.turns) {
		answer_error(err);
		told = true;
	}
	trial_done(&trial);
	trial_spec_done(&spec);
	/* The coordinator prints the reason; nobody needs it twice. */
	if (told)
		err->text[0] = '\0';
	return r < 0 ? BENCH_TRIAL : BENCH_OK;
}

const struct verb verb_trial = {
	.name = "trial",
	.operands = "",
	.help = "one trial: its spec as JSON on stdin, a record a pass on "
		"stdout",
	.run = run_trial,
};
