/* SPDX-License-Identifier: MIT */
/*
 * verb_env.c - what this machine is, what of it disturbs, and what differs from
 * another
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/env.h"
#include "harness/env_diff.h"
#include "harness/env_warn.h"
#include "harness/verb.h"

struct env_args {
	bool json;
	const char *dir;
};

static const struct option_spec env_options[] = {
	{"json", OPTION_FLAG, offsetof(struct env_args, json), NULL, NULL,
	 "as in run.json, with the warnings"},
	{"dir", OPTION_TEXT, offsetof(struct env_args, dir), "DIR", NULL,
	 "tell of the disk of this directory (default: here)"},
};

/* ---- env --------------------------------------------------------------- */

static json_t *
warnings_json(const struct env_warning *v, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(
			array, json_pack("{s:s, s:s}", "what", v[i].what,
					 "remedy", v[i].remedy));
	return array;
}

static void
print_json(const struct env *env, const struct env_warning *v, size_t n)
{
	json_t *json = env_json(env);

	(void)json_object_set_new(json, "warnings", warnings_json(v, n));
	(void)json_dumpf(json, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(json);
}

static void
print_text(const struct env *env, const struct env_warning *v, size_t n)
{
	const char *topic = "";
	char text[ENV_VALUE];

	for (size_t i = 0; i < n; i++)
		printf("warning: %s\n  remedy: %s\n", v[i].what, v[i].remedy);
	printf("%smachine %s, fingerprint %s\n", n ? "\n" : "", env->machine,
	       env->fingerprint);
	for (size_t i = 0; i < ENV_FIELDS; i++) {
		if (strcmp(env_info[i].topic, topic) != 0) {
			topic = env_info[i].topic;
			printf("\n%s\n", topic);
		}
		printf("  %-22s %s\n", env_info[i].name,
		       facts_show(&env->facts, (enum env_field)i, text,
				  sizeof(text)));
	}
}

static enum bench_exit
show_env(const struct env_args *args, struct q2_err *err)
{
	struct env_warning v[ENV_WARNINGS];
	struct env env;
	size_t n;
	int r = env_read(&env, args->dir, err);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? BENCH_USAGE
						     : BENCH_ENVIRONMENT;
	n = env_warnings(&env.facts, v);
	if (args->json)
		print_json(&env, v, n);
	else
		print_text(&env, v, n);
	return BENCH_OK;
}

/* ---- env diff ---------------------------------------------------------- */

static void
print_difference(void *arg, const struct env_difference *diff)
{
	static const char *const heads[] = {
		[ENV_PERF] = "changes performance",
		[ENV_INFO] = "does not change performance",
		[ENV_STATE] = "varies from minute to minute",
	};
	int *class = arg;

	if (*class != (int)diff->class)
		printf("\n%s\n", heads[diff->class]);
	*class = (int)diff->class;
	printf("  %-30s %s\n  %-30s %s\n", diff->name, diff->a, "", diff->b);
}

static const char *
answer(int same)
{
	return same < 0 ? "not known" : same ? "yes" : "no";
}

static enum bench_exit
show_diff(const char *path_a, const char *path_b, struct q2_err *err)
{
	json_t *a = NULL, *b = NULL;
	int class = -1, r;
	size_t n;

	r = env_load(path_a, &a, err);
	if (r >= 0)
		r = env_load(path_b, &b, err);
	if (r >= 0) {
		printf("same machine? %s\nsame performance fields? %s\n",
		       answer(env_same_machine(a, b)),
		       answer(env_same_fingerprint(a, b)));
		n = env_diff(a, b, print_difference, &class);
		if (n == 0)
			printf("\nnothing differs\n");
	}
	json_decref(a);
	json_decref(b);
	return r < 0 ? BENCH_USAGE : BENCH_OK;
}

/* ---- the verb ---------------------------------------------------------- */

static enum bench_exit
run_env(int argc, char **argv, struct q2_err *err)
{
	struct env_args args = {.dir = "."};
	const char *words[3];
	int n = options_parse(&verb_env.options, argc, argv, &args,
			      (struct operands){words, ARRAY_SIZE(words)}, err);

	if (n < 0)
		return BENCH_USAGE;
	if (n == 0)
		return show_env(&args, err);
	if (strcmp(words[0], "diff") != 0) {
		(void)q2_fail(err, -EINVAL,
			      "env: unknown word '%s'; did you mean 'diff'?",
			      words[0]);
		return BENCH_USAGE;
	}
	if (n != 3) {
		(void)q2_fail(err, -EINVAL,
			      "env diff: which two? Name folders of runs, or "
			      "files of 'qcowbench env --json'");
		return BENCH_USAGE;
	}
	return show_diff(words[1], words[2], err);
}

const struct verb verb_env = {
	.name = "env",
	.operands = "[diff A B]",
	.help = "the machine and its disk, and what disturbs measuring",
	.options = {env_options, ARRAY_SIZE(env_options)},
	.more = "Writes nothing.  Each field is a value, absent, or not "
		"permitted to read.\n"
		"The fingerprint is over the fields that change performance.\n\n"
		"  qcowbench env --dir /var/lib/libvirt\n"
		"  qcowbench env diff RUN1 RUN2      what differs, first line: "
		"same machine?\n",
	.run = run_env,
};
