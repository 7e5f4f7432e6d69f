/* SPDX-License-Identifier: MIT */
/*
 * suites.c - the suites that are part of the program, and those of files
 *
 * The assembler reads suites/NAME.ini, from the root of the project; the
 * Makefile knows that this object depends on them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/options.h"
#include "harness/spec_file.h"
#include "harness/spec_suite.h"

#define EMBED_AS(name, file)                        \
	__asm__(".pushsection .rodata, \"a\"\n"     \
		".global suite_" #name "\n"         \
		".hidden suite_" #name "\n"         \
		"suite_" #name ":\n"                \
		".incbin \"suites/" file ".ini\"\n" \
		".byte 0\n"                         \
		".popsection\n");                   \
	extern const char suite_##name[]
#define EMBED(name) EMBED_AS(name, #name)

EMBED(preallocation);
EMBED_AS(cluster_size, "cluster-size");
EMBED_AS(cache_size, "cache-size");
EMBED(compression);
EMBED(encryption);
EMBED(chain);
EMBED_AS(snapshot_internal, "snapshot-internal");
EMBED(aa);
EMBED(aa6);
EMBED(overhead);

static const struct {
	const char *name, *text;
} embedded[] = {
	{"preallocation", suite_preallocation},
	{"cluster-size", suite_cluster_size},
	{"cache-size", suite_cache_size},
	{"compression", suite_compression},
	{"encryption", suite_encryption},
	{"chain", suite_chain},
	{"snapshot-internal", suite_snapshot_internal},
	{"aa", suite_aa},
	{"aa6", suite_aa6},
	{"overhead", suite_overhead},
};

size_t
suites_count(void)
{
	return ARRAY_SIZE(embedded);
}

const char *
suites_name(size_t i)
{
	return embedded[i].name;
}

const char *
suites_text(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(embedded); i++) {
		if (strcmp(embedded[i].name, name) == 0)
			return embedded[i].text;
	}
	return NULL;
}

const struct suite *
suites_at(size_t i)
{
	static struct suite *loaded[ARRAY_SIZE(embedded)];
	struct q2_err err;

	if (!loaded[i] &&
	    suites_load(embedded[i].name, NULL, &loaded[i], &err) < 0) {
		/* A mistake of ours, which no test has let pass. */
		(void)fprintf(stderr, "qcowbench: %s\n", err.text);
		abort();
	}
	return loaded[i];
}

const struct suite *
suites_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(embedded); i++) {
		if (strcmp(embedded[i].name, name) == 0)
			return suites_at(i);
	}
	return NULL;
}

static const char *
name_at(const void *arg, size_t i)
{
	(void)arg;
	return embedded[i].name;
}

static int
unknown(const char *name, struct q2_err *err)
{
	const char *near = options_nearest(name, ARRAY_SIZE(embedded), name_at,
					   NULL);
	char list[256] = "";

	if (near)
		return q2_fail(err, -EINVAL,
			       "unknown suite '%s'; did you mean '%s'?", name,
			       near);
	for (size_t i = 0; i < ARRAY_SIZE(embedded); i++)
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list),
			       "%s%s", i ? ", " : "", embedded[i].name);
	return q2_fail(err, -EINVAL,
		       "unknown suite '%s'; there are %s (a file of your own "
		       "ends in .ini)",
		       name, list);
}

static int
load(const struct spec_source *source, struct suite **ret, struct q2_err *err)
{
	struct spec_mem *mem = calloc(1, sizeof(*mem));
	int r;

	if (!mem)
		return q2_fail(err, -ENOMEM, "no memory");
	r = spec_suite_read(mem, source, ret, err);
	if (r < 0) {
		spec_mem_done(mem);
		free(mem);
	}
	return r;
}

int
suites_load(const char *name, const struct suite_sets *sets, struct suite **ret,
	    struct q2_err *err)
{
	struct spec_source source = {.name = name, .sets = sets};

	if (!spec_is_path(name) && !suites_text(name))
		return unknown(name, err);
	return load(&source, ret, err);
}

int
suites_load_kept(const char *name, const struct suite_texts *texts,
		 const struct suite_sets *sets, struct suite **ret,
		 struct q2_err *err)
{
	struct spec_source source = {.name = name, .sets = sets, .kept = texts};

	return load(&source, ret, err);
}

void
suites_free(struct suite *suite)
{
	struct spec_mem *mem = suite ? suite->mem : NULL;

	if (mem) {
		spec_mem_done(mem);
		free(mem);
	}
}
