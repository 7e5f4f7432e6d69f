/* SPDX-License-Identifier: MIT */
/*
 * spec_file.h - a spec file with all that it includes, as sections of entries
 *
 * What an included file says is replaced, key by key, by what the including
 * one says, wherever the include stands.  A key twice in one section of one
 * file is an error.  Used by spec_form.c.
 */
#ifndef HARNESS_SPEC_FILE_H
#define HARNESS_SPEC_FILE_H

#include "harness/spec_lex.h"
#include "harness/suite.h"

/* Of all files together: what reads them takes at most fifty times that. */
#define SPEC_BYTES_MAX (256 * 1024)
#define SPEC_DEPTH_MAX 8  /* of includes in includes */
#define SPEC_FILES_MAX 32 /* all of them */

enum spec_section_id {
	SPEC_IN_SUITE,
	SPEC_IN_DEFAULTS,
	SPEC_IN_CONFIGS,
	SPEC_IN_PASSES,
	SPEC_IN_QUICK,
	SPEC_SECTIONS
};

extern const char *const spec_section_names[SPEC_SECTIONS + 1];

struct spec_entry {
	struct spec_word key;
	struct spec_word *words;
	size_t nwords;
	unsigned depth; /* of includes */
};

struct spec_section {
	struct spec_entry *v;
	size_t n, cap;
	bool there;
};

struct spec_file {
	struct spec_mem *mem;
	const char *name; /* as it was given */
	struct spec_section sections[SPEC_SECTIONS];
	size_t nfiles, bytes;
	const struct suite_texts *kept;              /* see spec_file_read() */
	struct suite_text texts[SPEC_FILES_MAX + 1]; /* what was read */
	size_t ntexts;
};

/* A suite that is part of the program: name, text, or NULL; suites.c. */
const char *suites_text(const char *name);

/*
 * name: that of a suite, or of a file, which has a slash or ends in .ini.
 * kept: texts of these and all that they include, instead of files; or NULL.
 * -EINVAL with file:line:column, or -errno of reading.
 */
int spec_file_read(struct spec_file *file, struct spec_mem *mem,
		   const char *name, const struct suite_texts *kept,
		   struct q2_err *err);

/* The same from memory; includes are looked for as if name were its file. */
int spec_file_parse(struct spec_file *file, struct spec_mem *mem,
		    const char *name, const char *text, size_t len,
		    struct q2_err *err);

/* Is it the name of a file, and not of a suite? */
bool spec_is_path(const char *name);

/* The entry of that key, or NULL. */
struct spec_entry *spec_find(const struct spec_section *section,
			     const char *key);

/* Give an entry other words, or add it. */
void spec_replace(struct spec_file *file, enum spec_section_id id,
		  const struct spec_entry *entry);

#endif
