/* SPDX-License-Identifier: MIT */
/*
 * help_dump.c - all options and columns, for the scripts that make man pages
 * and completions (docs/man/)
 *
 * Lines of fields with tabs between them:
 *
 *	command NAME OPERANDS BRIEF
 *	option NAME -LETTER --LONG VALUE WORDS HELP	("" for what is not)
 *	more LINE
 *	column FILE NAME TYPE UNIT MEANING EMPTY
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
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
	const char *line = verb->more;

	if (!verb->help)
		return;
	printf("command\t%s\t%s\t%s\n", verb->name, verb->operands, verb->help);
	for (size_t i = 0; i < verb->options.n; i++)
		dump_option(verb->name, &verb->options.v[i]);
	while (line && *line) {
		size_t len = strcspn(line, "\n");

		printf("more\t%.*s\n", (int)len, line);
		line += len;
		line += *line == '\n';
	}
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
	const struct verb *verb;

	for (size_t i = 0; (verb = verbs_at(i)); i++)
		dump_verb(verb);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		dump_columns(tables[i]);
}
