/* SPDX-License-Identifier: MIT */
/*
 * verb_list.c - the suites: what is asked, compared and done, and how long that
 * takes
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/plan_time.h"
#include "harness/probe_store.h"
#include "harness/table.h"
#include "harness/targets/qemu.h"
#include "harness/verb.h"

/* More than any disk has: what does not fit is for `plan` to say. */
#define SPACE_ANY (UINT64_C(1) << 60)

/* Where it is installed, suites with advice ask it too, and take longer. */
static bool
has_qemu(void)
{
	static enum {
		UNKNOWN,
		YES,
		NO
	} has;
	char version[TARGET_VERSION];
	struct q2_err ignored;

	if (has == UNKNOWN)
		has = qemu_check(version, &ignored) == 0 ? YES : NO;
	return has == YES;
}

static double
seconds_on(const struct suite *suite, bool quick, const struct probe *probe)
{
	struct wishes wishes = {.suite = suite, .quick = quick};
	struct q2_err ignored;
	struct plan plan;

	plan_init(&plan, &wishes);
	if (plan_sizes(&plan, 0, 0, probe, SPACE_ANY, &ignored) < 0)
		return 0;
	return plan_time(&plan, probe, has_qemu(), true).seconds;
}

/* "about 61 s here", if the disk is known; else from a fast one to a slow one.
 */
static void
time_text(const struct suite *suite, bool quick, char *text, size_t size)
{
	struct wishes wishes = {.suite = suite, .quick = quick};
	struct probe probe;
	struct plan plan;
	char fast[32], slow[32];
	double age_s;

	plan_init(&plan, &wishes);
	table_seconds(seconds_on(suite, quick, &plan_fast_disk), fast,
		      sizeof(fast));
	if (!plan_has_files(&plan)) {
		(void)snprintf(text, size, "about %s", fast);
		return;
	}
	if (probe_store_get(".", plan.cache, &probe, &age_s)) {
		table_seconds(seconds_on(suite, quick, &probe), fast,
			      sizeof(fast));
		(void)snprintf(text, size, "about %s here", fast);
		return;
	}
	table_seconds(seconds_on(suite, quick, &plan_slow_disk), slow,
		      sizeof(slow));
	(void)snprintf(text, size, "%s (fast disk) to %s (slow disk)", fast,
		       slow);
}

static void
list_form(const struct suite *suite, bool quick)
{
	const struct suite *form = quick ? suite->quick : suite;
	char text[96];

	time_text(suite, quick, text, sizeof(text));
	printf("  %s: %zu configuration%s, %zu passes, %u rounds: %s\n",
	       quick ? "--quick " : "standard", form->nconfigs,
	       form->nconfigs == 1 ? "" : "s", form->npasses, form->rounds,
	       text);
}

static bool
has_config(const struct suite *suite, const char *label)
{
	for (size_t i = 0; i < suite->nconfigs; i++) {
		if (strcmp(suite->configs[i].label, label) == 0)
			return true;
	}
	return false;
}

static bool
has_pass(const struct suite *suite, const char *name)
{
	for (size_t i = 0; i < suite->npasses; i++) {
		if (strcmp(suite->passes[i].name, name) == 0)
			return true;
	}
	return false;
}

static void
list_suite(const struct suite *suite)
{
	const struct suite *quick = suite->quick;

	printf("%s: %s\n", suite->name, suite->question);
	list_form(suite, false);
	if (quick)
		list_form(suite, true);
	printf("  configurations");
	for (size_t i = 0; i < suite->nconfigs; i++)
		printf("%s %s%s", i ? "," : ":", suite->configs[i].label,
		       quick && !has_config(quick, suite->configs[i].label)
			       ? " (not quick)"
			       : "");
	printf("\n  passes");
	for (size_t i = 0; i < suite->npasses; i++)
		printf("%s %s%s", i ? "," : ":", suite->passes[i].name,
		       quick && !has_pass(quick, suite->passes[i].name)
			       ? " (not quick)"
			       : "");
	printf("\n");
}

struct list_args {
	bool names;
};

static const struct option_spec list_options[] = {
	{"names", OPTION_FLAG, offsetof(struct list_args, names), NULL, NULL,
	 "their names only, a line each"},
};

static enum bench_exit
run_list(int argc, char **argv, struct q2_err *err)
{
	struct list_args args = {0};

	if (options_parse(&verb_list.options, argc, argv, &args,
			  (struct operands){0}, err) < 0)
		return BENCH_USAGE;
	for (size_t i = 0; args.names && i < suites_count(); i++)
		printf("%s\n", suites_name(i));
	if (args.names)
		return BENCH_OK;
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
	.options = {list_options, ARRAY_SIZE(list_options)},
	.help = "the suites: what they ask, compare and do, and how long",
	.more = "A suite of your own is a file that ends in .ini: 'qcowbench "
		"help spec'.\n",
	.run = run_list,
};
