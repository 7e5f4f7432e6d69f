/* SPDX-License-Identifier: MIT */
/*
 * help_dump.c - all options, keys and columns, for the scripts that make man pages
 * and completions (docs/man/)
 *
 * Lines of fields with tabs between them:
 *
 *	command NAME OPERANDS BRIEF
 *	option NAME -LETTER --LONG VALUE WORDS HELP	("" for what is not)
 *	example NAME COMMAND-LINE WHAT
 *	more LINE
 *	topic NAME BRIEF
 *	key SECTION NAME VALUES DEFAULT HELP WHERE OTHERWISE
 *	column FILE NAME TYPE UNIT MEANING EMPTY
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/help_texts.h"
#include "harness/spec_keys.h"
#include "harness/verb.h"
#include "results/column.h"

/* Values that are names of files. */
static const char *
words_kind(const struct option_spec *opt)
{
	static const char *const files[] = {"DIR", "OUT", "FILE"};

	for (size_t i = 0; opt->value && i < ARRAY_SIZE(files); i++) {
		if (strcmp(opt->value, files[i]) == 0)
			return "FILE";
	}
	return "";
}

static void
dump_option(const char *verb, const struct option_spec *opt)
{
	printf("option\t%s\t\t--%s\t%s\t%s", verb, opt->name,
	       opt->value ? opt->value : "", words_kind(opt));
	for (size_t i = 0; opt->words && opt->words[i]; i++)
		printf("%s%s", i ? " " : "", opt->words[i]);
	printf("\t%s", opt->help);
	for (size_t i = 0; opt->words && opt->words[i]; i++)
		printf("%s%s", i ? ", " : ": ", opt->words[i]);
	printf("\n");
}

static void
dump_verb(const struct verb *verb)
{
	const struct help_example *example;
	const char *line = verb->more;

	if (!verb->help)
		return;
	printf("command\t%s\t%s\t%s\n", verb->name, verb->operands, verb->help);
	for (size_t i = 0; (example = help_example_at(i)); i++) {
		if (strcmp(example->verb, verb->name) == 0)
			printf("example\t%s\t%s\t%s\n", verb->name,
			       example->command, example->what);
	}
	for (size_t i = 0; i < verb->options.n; i++)
		dump_option(verb->name, &verb->options.v[i]);
	while (line && *line) {
		size_t len = strcspn(line, "\n");

		printf("more\t%.*s\n", (int)len, line);
		line += len;
		line += *line == '\n';
	}
}

static const char *
section_name(const struct spec_key *key)
{
	switch (key->scope) {
	case SPEC_OF_SUITE:
		return "suite";
	case SPEC_OF_QUICK:
		return "quick";
	case SPEC_OF_CONFIG:
		return "configurations";
	case SPEC_OF_PASS:
		return "passes";
	}
	return "";
}

/* OTHERWISE is what happens without a value where there is no DEFAULT. */
static void
dump_key(const struct spec_key *key)
{
	const char *where = spec_where_text(key->applies);
	char values[256];

	spec_key_values(key, values, sizeof(values));
	printf("key\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", section_name(key),
	       key->name, values, key->usual ? key->usual : "", key->help,
	       where ? where : "", key->otherwise ? key->otherwise : "");
}

static void
dump_columns(const struct table *table)
{
	for (size_t i = 0; i < table->ncolumns; i++) {
		const struct column *col = &table->columns[i];

		printf("column\t%s\t%s\t%s\t%s\t%s\t%s\n", table->file,
		       col->name, column_type_name(col->type), col->unit,
		       col->meaning, col->empty_means);
	}
}

void
help_dump(void)
{
	static const struct table *const tables[] = {
		&table_trials, &table_cells, &table_series, &table_hist};
	const struct help_topic *topic;
	const struct verb *verb;

	for (size_t i = 0; (verb = verbs_at(i)); i++)
		dump_verb(verb);
	for (size_t i = 0; (topic = help_topic_at(i)); i++)
		printf("topic\t%s\t%s\n", topic->name, topic->brief);
	for (size_t i = 0; i < spec_keys_count(); i++)
		dump_key(spec_keys_at(i));
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		dump_columns(tables[i]);
}
