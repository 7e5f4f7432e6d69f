/* SPDX-License-Identifier: MIT */
/*
 * qcowbench.c - main(): which verb, and how it ends
 *
 * The one place that prints the reason of a failure.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/std.h"
#include "harness/verb.h"

static const struct verb *const verbs[] = {
	&verb_run,     &verb_report, &verb_plan, &verb_list,    &verb_show,
	&verb_explain, &verb_env,    &verb_help, &verb_version, &verb_trial};

const struct verb *
verbs_at(size_t i)
{
	return i < ARRAY_SIZE(verbs) ? verbs[i] : NULL;
}

static const char *
name_at(const void *arg, size_t i)
{
	(void)arg;
	return verbs[i]->name;
}

const struct verb *
verbs_find(const char *name, struct q2_err *err)
{
	const char *near;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	}
	near = options_nearest(name, ARRAY_SIZE(verbs), name_at, NULL);
	if (near)
		(void)q2_fail(err, -EINVAL,
			      "unknown command '%s'; did you mean '%s'?", name,
			      near);
	else
		(void)q2_fail(err, -EINVAL,
			      "unknown command '%s'; 'qcowbench help' lists "
			      "them",
			      name);
	return NULL;
}

static bool
is_short(const char *word)
{
	return strcmp(word, "-h") == 0;
}

static bool
asks_for_help(const char *word)
{
	return strcmp(word, "--help") == 0 || is_short(word);
}

static enum bench_exit
dispatch(int argc, char **argv, struct q2_err *err)
{
	const struct verb *verb;

	if (asks_for_help(argv[0])) {
		if (is_short(argv[0]))
			help_usage(stdout);
		else
			help_all();
		return BENCH_OK;
	}
	if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0)
		return verb_version.run(0, NULL, err);
	verb = verbs_find(argv[0], err);
	if (!verb)
		return BENCH_USAGE;
	for (int i = 1; i < argc; i++) {
		if (!asks_for_help(argv[i]))
			continue;
		if (is_short(argv[i]))
			help_verb_short(verb);
		else
			help_verb(verb);
		return BENCH_OK;
	}
	return verb->run(argc - 1, argv + 1, err);
}

int
main(int argc, char **argv)
{
	struct q2_err err = {0};
	enum bench_exit code;

	std_guard();
	if (argc < 2) {
		help_usage(stderr);
		return BENCH_USAGE;
	}
	code = dispatch(argc - 1, argv + 1, &err);
	/* stdout is data: what has not been written has not been done. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "qcowbench: cannot write to stdout\n");
		if (code == BENCH_OK)
			code = BENCH_ENVIRONMENT;
	}
	if (err.text[0])
		(void)fprintf(stderr, "qcowbench: %s\n", err.text);
	return (int)code;
}
