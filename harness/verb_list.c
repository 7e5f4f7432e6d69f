/* SPDX-License-Identifier: MIT */
/*
 * verb_list.c - the suites: what is asked, compared and done
 */
#include <stdio.h>

#include "harness/suite.h"
#include "harness/verb.h"

static void
list_suite(const struct suite *suite)
{
	printf("%s: %s\n  configurations", suite->name, suite->question);
	for (size_t i = 0; i < suite->nconfigs; i++)
		printf("%s %s%s", i ? "," : ":", suite->configs[i].label,
		       suite->configs[i].not_quick ? " (not quick)" : "");
	printf("\n  passes");
	for (size_t i = 0; i < suite->npasses; i++)
		printf("%s %s%s", i ? "," : ":", suite->passes[i].name,
		       suite->passes[i].not_quick ? " (not quick)" : "");
	printf("\n  rounds: %u, quick %u\n", suite->rounds,
	       suite->quick_rounds);
}

static enum bench_exit
run_list(int argc, char **argv, struct q2_err *err)
{
	if (options_parse(&verb_list.options, argc, argv, NULL,
			  (struct operands){0}, err) < 0)
		return BENCH_USAGE;
	for (size_t i = 0; i < suites_count(); i++) {
		if (i)
			printf("\n");
		list_suite(suites_at(i));
	}
	return BENCH_OK;
}

const struct verb verb_list = {
	.name = "list",
	.operands = "",
	.help = "the suites: what they ask, compare and do",
	.run = run_list,
};
