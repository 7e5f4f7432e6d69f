/* SPDX-License-Identifier: MIT */
#include "harness/spec_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/options.h"

const char *const spec_section_names[SPEC_SECTIONS + 1] = {
	"suite", "defaults", "configurations", "passes", "quick", NULL};

/* A file that is being read, and those that include it. */
struct source {
	const char *name;
	const struct source *by;
	struct spec_pos at; /* of the include */
	unsigned depth;
};

static int read_source(struct spec_file *file, const struct source *source,
		       struct q2_err *err);

bool
spec_is_path(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') ||
	       (len > 4 && strcmp(name + len - 4, ".ini") == 0);
}

/* ---- entries ----------------------------------------------------------- */

struct spec_entry *
spec_find(const struct spec_section *section, const char *key)
{
	for (size_t i = 0; i < section->n; i++) {
		if (spec_same(section->v[i].key.text, key))
			return &section->v[i];
	}
	return NULL;
}

static void
append(struct spec_file *file, struct spec_section *section,
       const struct spec_entry *entry)
{
	section->v = spec_grow(file->mem, section->v, section->n, &section->cap,
			       sizeof(*section->v));
	section->v[section->n++] = *entry;
}

void
spec_replace(struct spec_file *file, enum spec_section_id id,
	     const struct spec_entry *entry)
{
	struct spec_section *section = &file->sections[id];
	struct spec_entry *old = spec_find(section, entry->key.text);

	section->there = true;
	if (old)
		*old = *entry;
	else
		append(file, section, entry);
}

/* The length of the key in a word "key=value", or 0. */
static size_t
key_len(const struct spec_word *word)
{
	const char *eq = strchr(word->text, '=');

	return eq ? (size_t)(eq - word->text) : 0;
}

/* Words of `over` take the place of those of the same key in `under`. */
static void
merge_words(struct spec_file *file, const struct spec_entry *over,
	    struct spec_entry *under)
{
	size_t n = 0, len;
	struct spec_word *v = spec_alloc(
		file->mem, (over->nwords + under->nwords) * sizeof(*v));

	for (size_t i = 0; i < under->nwords; i++) {
		bool replaced = false;

		len = key_len(&under->words[i]);
		for (size_t j = 0; j < over->nwords; j++)
			replaced |= key_len(&over->words[j]) == len &&
				    strncmp(over->words[j].text,
					    under->words[i].text, len) == 0;
		if (!replaced)
			v[n++] = under->words[i];
	}
	for (size_t j = 0; j < over->nwords; j++)
		v[n++] = over->words[j];
	under->words = v;
	under->nwords = n;
	under->key = over->key;
	under->depth = over->depth;
}

static int
add_entry(struct spec_file *file, enum spec_section_id id,
	  const struct spec_entry *entry, struct q2_err *err)
{
	struct spec_section *section = &file->sections[id];
	struct spec_entry *old = spec_find(section, entry->key.text);
	bool lines = id == SPEC_IN_CONFIGS || id == SPEC_IN_PASSES;
	struct spec_entry over;
	char buf[SPEC_CUT];

	if (!old) {
		append(file, section, entry);
		return 0;
	}
	if (old->depth == entry->depth)
		return spec_fail(&entry->key.pos, err,
				 "'%s' a second time in [%s]; the first is at "
				 "%s:%u:%u",
				 spec_cut(entry->key.text, buf),
				 spec_section_names[id], old->key.pos.file,
				 old->key.pos.line, old->key.pos.col);
	if (!lines) {
		if (entry->depth < old->depth)
			*old = *entry;
		return 0;
	}
	over = entry->depth < old->depth ? *entry : *old;
	if (entry->depth > old->depth)
		*old = *entry;
	merge_words(file, &over, old);
	return 0;
}

/* ---- lines ------------------------------------------------------------- */

static const char *
section_at(const void *arg, size_t i)
{
	(void)arg;
	return spec_section_names[i];
}

static int
find_section(const struct spec_word *name, enum spec_section_id *ret,
	     struct q2_err *err)
{
	const char *near;
	char buf[SPEC_CUT];

	for (int i = 0; i < SPEC_SECTIONS; i++) {
		if (strcmp(spec_section_names[i], name->text) == 0) {
			*ret = (enum spec_section_id)i;
			return 0;
		}
	}
	near = options_nearest(name->text, SPEC_SECTIONS, section_at, NULL);
	if (near)
		return spec_fail(&name->pos, err,
				 "unknown section [%s]; did you mean [%s]?",
				 spec_cut(name->text, buf), near);
	return spec_fail(&name->pos, err,
			 "unknown section [%s]; there are [suite], [defaults], "
			 "[configurations], [passes] and [quick]",
			 spec_cut(name->text, buf));
}

/* Relative to the including file; a suite's name is that. */
static const char *
included_name(struct spec_file *file, const struct source *by, const char *name)
{
	const char *slash = strrchr(by->name, '/');

	if (!spec_is_path(name) || name[0] == '/' || !slash)
		return name;
	return spec_format(file->mem, "%.*s/%s", (int)(slash - by->name),
			   by->name, name);
}

static int
include(struct spec_file *file, const struct source *by,
	const struct spec_word *word, struct q2_err *err)
{
	struct source source = {
		.name = included_name(file, by, word->text),
		.by = by,
		.at = word->pos,
		.depth = by->depth + 1,
	};
	char buf[SPEC_CUT];

	for (const struct source *s = by; s; s = s->by) {
		if (strcmp(s->name, source.name) == 0)
			return spec_fail(&word->pos, err,
					 "'%s' is included by itself",
					 spec_cut(source.name, buf));
	}
	if (source.depth > SPEC_DEPTH_MAX)
		return spec_fail(&word->pos, err,
				 "includes in includes: more than %d deep",
				 SPEC_DEPTH_MAX);
	if (file->nfiles == SPEC_FILES_MAX)
		return spec_fail(&word->pos, err,
				 "more than %d files are included",
				 SPEC_FILES_MAX);
	return read_source(file, &source, err);
}

/* ---- files ------------------------------------------------------------- */

static int
parse(struct spec_file *file, const struct source *source, const char *text,
      size_t len, struct q2_err *err)
{
	enum spec_section_id id = SPEC_SECTIONS;
	struct spec_lexer lex;
	struct spec_line line;
	char buf[SPEC_CUT];
	int r;

	file->nfiles++;
	r = spec_lex_init(&lex, file->mem, source->name, text, len, err);
	while (r >= 0 && (r = spec_lex_next(&lex, &line, err)) > 0) {
		struct spec_entry entry = {line.key, line.words, line.nwords,
					   source->depth};

		if (line.kind == SPEC_INCLUDE) {
			r = include(file, source, &line.words[0], err);
		} else if (line.kind == SPEC_SECTION) {
			r = find_section(&line.key, &id, err);
			if (r >= 0)
				file->sections[id].there = true;
		} else if (id == SPEC_SECTIONS) {
			r = spec_fail(&line.key.pos, err,
				      "'%s' before the first [section]",
				      spec_cut(line.key.text, buf));
		} else {
			r = add_entry(file, id, &entry, err);
		}
	}
	return r;
}

static int
too_large(const struct source *source, struct q2_err *err)
{
	return q2_fail(err, -EINVAL,
		       "%.200s: spec files are at most %d bytes in all",
		       source->name, SPEC_BYTES_MAX);
}

/* All of it, with room in mem; -errno without a reason. */
static int
slurp(struct spec_file *file, int fd, char **ret_text, size_t *ret_len)
{
	size_t room = SPEC_BYTES_MAX - file->bytes + 1, len = 0;
	char *text = spec_alloc(file->mem, room + 1);
	ssize_t n;

	do {
		n = read(fd, text + len, room - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	*ret_text = text;
	*ret_len = len;
	return n < 0 ? -errno : 0;
}

static int
cannot_read(const struct source *source, int code, struct q2_err *err)
{
	if (source->by)
		return spec_fail(&source->at, err, "cannot read '%.200s': %s",
				 source->name, strerror(-code));
	return q2_fail(err, -EINVAL, "cannot read the spec file %.200s: %s",
		       source->name, strerror(-code));
}

/* A file that two others include is there once. */
static void
keep_text(struct spec_file *file, const char *name, const char *text)
{
	for (size_t i = 0; i < file->ntexts; i++) {
		if (strcmp(file->texts[i].name, name) == 0)
			return;
	}
	if (file->ntexts < SPEC_FILES_MAX + 1)
		file->texts[file->ntexts++] = (struct suite_text){name, text};
}

static int
parse_counted(struct spec_file *file, const struct source *source,
	      const char *text, size_t len, struct q2_err *err)
{
	if (len > SPEC_BYTES_MAX - file->bytes)
		return too_large(source, err);
	file->bytes += len;
	keep_text(file, source->name, text);
	return parse(file, source, text, len, err);
}

static int
read_path(struct spec_file *file, const struct source *source,
	  struct q2_err *err)
{
	/* A FIFO without a writer must not stop us. */
	int fd = open(source->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text;
	size_t len;
	int r;

	if (fd < 0)
		return cannot_read(source, -errno, err);
	if (fstat(fd, &st) == 0 && st.st_size > SPEC_BYTES_MAX) {
		(void)close(fd);
		return too_large(source, err);
	}
	r = slurp(file, fd, &text, &len);
	(void)close(fd);
	if (r < 0)
		return cannot_read(source, r, err);
	return parse_counted(file, source, text, len, err);
}

static int
read_kept(struct spec_file *file, const struct source *source,
	  struct q2_err *err)
{
	const struct suite_texts *kept = file->kept;

	for (size_t i = 0; i < kept->n; i++) {
		const char *text = kept->v[i].text;

		if (strcmp(kept->v[i].name, source->name) != 0)
			continue;
		text = spec_text(file->mem, text, strlen(text));
		return parse_counted(file, source, text, strlen(text), err);
	}
	return cannot_read(source, -ENOENT, err);
}

static int
read_source(struct spec_file *file, const struct source *source,
	    struct q2_err *err)
{
	const char *text;

	if (file->kept)
		return read_kept(file, source, err);
	if (spec_is_path(source->name))
		return read_path(file, source, err);
	text = suites_text(source->name);
	if (!text)
		return cannot_read(source, -ENOENT, err);
	return parse_counted(file, source, text, strlen(text), err);
}

int
spec_file_read(struct spec_file *file, struct spec_mem *mem, const char *name,
	       const struct suite_texts *kept, struct q2_err *err)
{
	struct source source = {
		.name = spec_text(mem, name, strlen(name)),
	};

	*file = (struct spec_file){
		.mem = mem, .name = source.name, .kept = kept};
	return read_source(file, &source, err);
}

int
spec_file_parse(struct spec_file *file, struct spec_mem *mem, const char *name,
		const char *text, size_t len, struct q2_err *err)
{
	struct source source = {.name = spec_text(mem, name, strlen(name))};

	*file = (struct spec_file){.mem = mem, .name = source.name};
	return parse_counted(file, &source, text, len, err);
}
