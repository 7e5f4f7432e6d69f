/* SPDX-License-Identifier: MIT */
/*
 * verb_help.c - help and version
 *
 * In layers: a hint without a command; all commands by task; one command, in
 * short (-h) or with examples and groups of options (--help); topics.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/help_texts.h"
#include "harness/verb.h"
#include "harness/wrap.h"

#define INDENT 20 /* of what a command does */

void
help_usage(FILE *f)
{
	(void)fprintf(f, "usage: qcowbench COMMAND [OPTION...]\n"
			 "To begin with: qcowbench run preallocation --quick\n"
			 "All commands: qcowbench help\n");
}

/* ---- all --------------------------------------------------------------- */

static void
print_brief(const struct verb *verb)
{
	char head[64];

	(void)snprintf(head, sizeof(head), "%s %s", verb->name, verb->operands);
	wrap_entry(stdout, head, INDENT, verb->help);
}

/* The task that a verb is in, or NULL. */
static const struct help_task *
task_of(const char *name)
{
	const struct help_task *task;

	for (size_t i = 0; (task = help_task_at(i)); i++) {
		for (size_t v = 0; task->verbs[v]; v++) {
			if (strcmp(task->verbs[v], name) == 0)
				return task;
		}
	}
	return NULL;
}

/* Those of a task, NULL for the rest. */
static void
print_task(const struct help_task *task)
{
	const struct verb *verb;
	bool any = false;

	for (size_t i = 0; (verb = verbs_at(i)); i++) {
		if (!verb->help || task_of(verb->name) != task)
			continue;
		if (!any)
			printf("\n%s:\n", task ? task->title : "More");
		any = true;
		print_brief(verb);
	}
}

void
help_all(void)
{
	const struct help_task *task;
	const struct help_topic *topic;

	printf("usage: qcowbench COMMAND [OPTION...]\n\n"
	       "Measures disk images: which qcow2 preallocation is right on "
	       "this disk?\n\n"
	       "  qcowbench run preallocation --quick\n\n"
	       "takes under three minutes in the current directory and ends "
	       "with a table,\n"
	       "a sentence, and a folder with CSV files and plots.\n");
	for (size_t i = 0; (task = help_task_at(i)); i++)
		print_task(task);
	print_task(NULL);
	printf("\nTopics:\n");
	for (size_t i = 0; (topic = help_topic_at(i)); i++)
		wrap_entry(stdout, topic->name, INDENT, topic->brief);
	printf("\n'qcowbench help NAME' says more of a command or a topic, "
	       "'man qcowbench' all.\n");
}

/* ---- one command ------------------------------------------------------- */

static void
print_head(const struct verb *verb)
{
	printf("usage: qcowbench %s%s%s%s\n\n", verb->name,
	       verb->operands[0] ? " " : "", verb->operands,
	       verb->options.n ? " [OPTION...]" : "");
	if (verb->help) {
		(void)putchar(toupper((unsigned char)verb->help[0]));
		wrap_words(stdout, verb->help + 1, 1, 0);
	}
}

void
help_verb_short(const struct verb *verb)
{
	print_head(verb);
	if (verb->options.n) {
		printf("\n");
		options_help(&verb->options, stdout);
	}
	printf("\n'qcowbench help %s' has examples.\n", verb->name);
}

static void
print_examples(const struct verb *verb)
{
	const struct help_example *example;
	bool any = false;

	for (size_t i = 0; (example = help_example_at(i)); i++) {
		if (strcmp(example->verb, verb->name) != 0)
			continue;
		printf("%s  # %s\n  %s\n", any ? "\n" : "\nExamples:\n",
		       example->what, example->command);
		any = true;
	}
}

static bool
is_in(const struct help_group *group, const char *option)
{
	for (size_t i = 0; group->options[i]; i++) {
		if (strcmp(group->options[i], option) == 0)
			return true;
	}
	return false;
}

static bool
is_in_any(const char *option)
{
	const struct help_group *group;

	for (size_t i = 0; (group = help_group_at(i)); i++) {
		if (is_in(group, option))
			return true;
	}
	return false;
}

/* Those of a group, NULL for the rest. */
static void
print_group(const struct options *options, const struct help_group *group)
{
	bool any = false;

	for (size_t i = 0; i < options->n; i++) {
		const struct option_spec *opt = &options->v[i];
		const struct options one = {opt, 1};

		if (group ? !is_in(group, opt->name) : is_in_any(opt->name))
			continue;
		if (!any)
			printf("\n%s:\n", group ? group->title : "More");
		any = true;
		options_help(&one, stdout);
	}
}

static void
print_options(const struct options *options)
{
	const struct help_group *group;

	if (options->n > 0 && options->n <= HELP_UNGROUPED) {
		printf("\nOptions:\n");
		options_help(options, stdout);
		return;
	}
	for (size_t i = 0; (group = help_group_at(i)); i++)
		print_group(options, group);
	print_group(options, NULL);
}

void
help_verb(const struct verb *verb)
{
	print_head(verb);
	print_examples(verb);
	print_options(&verb->options);
	if (verb->more)
		printf("\n%s", verb->more);
}

/* ---- help -------------------------------------------------------------- */

struct help_args {
	bool dump;
};

static const struct option_spec help_options[] = {
	{"dump", OPTION_FLAG, offsetof(struct help_args, dump), NULL, NULL,
	 "all options, keys and columns, with tabs between them, for scripts"},
};

static const struct help_topic *
find_topic(const char *name)
{
	const struct help_topic *topic;

	for (size_t i = 0; (topic = help_topic_at(i)); i++) {
		if (strcmp(topic->name, name) == 0)
			return topic;
	}
	return NULL;
}

/* Commands, then topics. */
static const char *
name_at(const void *arg, size_t i)
{
	size_t nverbs = *(const size_t *)arg;

	return i < nverbs ? verbs_at(i)->name : help_topic_at(i - nverbs)->name;
}

static enum bench_exit
help_name(const char *name, struct q2_err *err)
{
	const struct help_topic *topic = find_topic(name);
	size_t nverbs = 0, ntopics = 0;
	const char *near;

	if (topic) {
		topic->print(stdout);
		return BENCH_OK;
	}
	for (; verbs_at(nverbs); nverbs++) {
		if (strcmp(verbs_at(nverbs)->name, name) != 0)
			continue;
		help_verb(verbs_at(nverbs));
		return BENCH_OK;
	}
	while (help_topic_at(ntopics))
		ntopics++;
	near = options_nearest(name, nverbs + ntopics, name_at, &nverbs);
	(void)q2_fail(err, -EINVAL,
		      "'%s' is neither a command nor a topic; %s%s%s", name,
		      near ? "did you mean '" : "'qcowbench help' lists them",
		      near ? near : "", near ? "'?" : "");
	return BENCH_USAGE;
}

static enum bench_exit
run_help(int argc, char **argv, struct q2_err *err)
{
	const char *name[1];
	struct help_args args = {0};
	int n = options_parse(&verb_help.options, argc, argv, &args,
			      (struct operands){name, 1}, err);

	if (n < 0)
		return BENCH_USAGE;
	if (args.dump)
		help_dump();
	else if (n == 0)
		help_all();
	else
		return help_name(name[0], err);
	return BENCH_OK;
}

const struct verb verb_help = {
	.name = "help",
	.operands = "[NAME]",
	.help = "all commands, or more of one, or of a topic",
	.options = {help_options, ARRAY_SIZE(help_options)},
	.run = run_help,
};

static enum bench_exit
run_version(int argc, char **argv, struct q2_err *err)
{
	if (options_parse(&verb_version.options, argc, argv, NULL,
			  (struct operands){0}, err) < 0)
		return BENCH_USAGE;
	printf("qcowbench %s\n", q2_version());
	return BENCH_OK;
}

const struct verb verb_version = {
	.name = "version",
	.operands = "",
	.help = "the version",
	.run = run_version,
};
