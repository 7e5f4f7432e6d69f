/* SPDX-License-Identifier: MIT */
/*
 * verb_explain.c - what a key of a spec file means
 */
#include <stdio.h>
#include <string.h>

#include "harness/spec_keys.h"
#include "harness/verb.h"
#include "harness/wrap.h"

#define INDENT 12 /* of what is said of a key */

static const struct {
	enum spec_scope scope;
	const char *name;
} scopes[] = {
	{SPEC_OF_SUITE, "[suite]"},
	{SPEC_OF_CONFIG, "configurations, [defaults]"},
	{SPEC_OF_PASS, "passes, [defaults]"},
	{SPEC_OF_QUICK, "[quick]"},
};

static const char *
scope_name(enum spec_scope scope)
{
	for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
		if (scopes[i].scope == scope)
			return scopes[i].name;
	}
	return "";
}

static void
explain(const struct spec_key *key)
{
	/* If not to all in its scope. */
	const char *applies = spec_where_text(key->applies);
	char values[256];

	spec_key_values(key, values, sizeof(values));
	printf("%s: ", key->name);
	wrap_words(stdout, key->help, (unsigned)strlen(key->name) + 2, 2);
	wrap_entry(stdout, "values", INDENT, values);
	if (key->usual)
		wrap_entry(stdout, "default", INDENT, key->usual);
	else
		wrap_entry(stdout, "otherwise", INDENT, key->otherwise);
	(void)snprintf(values, sizeof(values), "%s%s%s%s",
		       scope_name(key->scope), applies ? " (" : "",
		       applies ? applies : "", applies ? ")" : "");
	wrap_entry(stdout, "stands in", INDENT, values);
	printf("  name      %s's\n", key->whose);
	if (key->scope == SPEC_OF_CONFIG || key->scope == SPEC_OF_PASS)
		printf("  cell_id   another value is %s cell\n",
		       key->in_cell_id ? "another" : "the same");
}

static void
list_all(void)
{
	for (size_t s = 0; s < sizeof(scopes) / sizeof(scopes[0]); s++) {
		printf("%s%s\n", s ? "\n" : "", scopes[s].name);
		for (size_t i = 0; i < spec_keys_count(); i++) {
			const struct spec_key *key = spec_keys_at(i);
			char values[256];

			if (key->scope != scopes[s].scope)
				continue;
			spec_key_values(key, values, sizeof(values));
			(void)snprintf(values + strlen(values),
				       sizeof(values) - strlen(values), "%s%s",
				       key->usual ? "; default " : "",
				       key->usual ? key->usual : "");
			wrap_entry(stdout, key->name, 23, values);
		}
	}
	printf("\n'qcowbench explain KEY' says more of one.  In configurations "
	       "and passes a value\n"
	       "may be a list (4k,64k) or a range (1..64*2, 1..9+2); k, m, g "
	       "and t are binary;\n"
	       "- is as good as _ in names.\n");
}

static enum bench_exit
run_explain(int argc, char **argv, struct q2_err *err)
{
	const char *name = NULL, *near;
	const struct spec_key *key;

	if (options_parse(&verb_explain.options, argc, argv, NULL,
			  (struct operands){&name, 1}, err) < 0)
		return BENCH_USAGE;
	if (!name) {
		list_all();
		return BENCH_OK;
	}
	key = spec_keys_find(name, SPEC_ANY_SCOPE);
	if (key) {
		explain(key);
		return BENCH_OK;
	}
	near = spec_keys_nearest(name, SPEC_ANY_SCOPE);
	if (near)
		(void)q2_fail(err, -EINVAL,
			      "unknown key '%s'; did you mean '%s'?", name,
			      near);
	else
		(void)q2_fail(err, -EINVAL,
			      "unknown key '%s'; 'qcowbench explain' lists "
			      "them",
			      name);
	return BENCH_USAGE;
}

const struct verb verb_explain = {
	.name = "explain",
	.operands = "[KEY]",
	.help = "what a key of a suite means, its values, its default",
	.run = run_explain,
};
