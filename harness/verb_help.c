/* SPDX-License-Identifier: MIT */
/*
 * verb_help.c - help and version
 */
#include <stdbool.h>
#include <stdio.h>

#include "engine/base/num.h"
#include "harness/verb.h"

static const struct {
	enum bench_exit code;
	const char *meaning;
} codes[] = {
	{BENCH_OK, "done"},
	{BENCH_USAGE, "unknown command, option or value; no such directory; "
		      "the output exists"},
	{BENCH_TRIAL, "a trial failed: I/O error, or its process ended early"},
	{BENCH_INCONCLUSIVE, "nothing could be judged"},
	{BENCH_NOTHING, "nothing measured, or different operations in one "
			"round"},
	{BENCH_ENVIRONMENT,
	 "refused: no space, read-only, or --aio or O_DIRECT "
	 "asked for and not to be had"},
	{BENCH_INTERRUPTED, "interrupted; finished rounds are kept"},
};

void
help_usage(FILE *f)
{
	(void)fprintf(f, "usage: qcowbench COMMAND [OPTION...]\n"
			 "To begin with: qcowbench run preallocation --quick\n"
			 "All commands: qcowbench help\n");
}

void
help_all(void)
{
	const struct verb *verb;

	printf("qcowbench measures disk images: which qcow2 preallocation is "
	       "right on this disk?\n\n"
	       "  qcowbench run preallocation --quick\n\n"
	       "takes under three minutes in the current directory and ends "
	       "with a table,\n"
	       "a sentence, and a folder with CSV files and plots.\n\n"
	       "Commands:\n");
	for (size_t i = 0; (verb = verbs_at(i)); i++) {
		if (verb->help)
			printf("  %-8s %-12s %s\n", verb->name, verb->operands,
			       verb->help);
	}
	printf("\n'qcowbench help COMMAND' shows the options of one.\n\n"
	       "Exit codes:\n");
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		printf("  %3d  %s\n", (int)codes[i].code, codes[i].meaning);
}

void
help_verb(const struct verb *verb)
{
	printf("usage: qcowbench %s%s%s%s\n\n%s\n", verb->name,
	       verb->operands[0] ? " " : "", verb->operands,
	       verb->options.n ? " [OPTION...]" : "",
	       verb->help ? verb->help : "");
	if (verb->options.n) {
		printf("\nOptions:\n");
		options_help(&verb->options, stdout);
	}
	if (verb->more)
		printf("\n%s", verb->more);
}

struct help_args {
	bool dump;
};

static const struct option_spec help_options[] = {
	{"dump", OPTION_FLAG, offsetof(struct help_args, dump), NULL, NULL,
	 "all options and columns, with tabs between them, for scripts"},
};

static enum bench_exit
run_help(int argc, char **argv, struct q2_err *err)
{
	const char *name[1];
	struct help_args args = {0};
	const struct verb *verb;
	int n = options_parse(&verb_help.options, argc, argv, &args,
			      (struct operands){name, 1}, err);

	if (n < 0)
		return BENCH_USAGE;
	if (args.dump) {
		help_dump();
		return BENCH_OK;
	}
	if (n == 0) {
		help_all();
		return BENCH_OK;
	}
	verb = verbs_find(name[0], err);
	if (!verb)
		return BENCH_USAGE;
	help_verb(verb);
	return BENCH_OK;
}

const struct verb verb_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.help = "this list, or the options of a command",
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
