/* SPDX-License-Identifier: MIT */
/*
 * spec_judge.c - judge = PASS.METRIC ..., and sweep = KEY
 *
 * PASS is a label or a line as it is written: read-${bs} is all of its passes.
 * Passes that [quick] drops are left out.
 */
#include <string.h>

#include "harness/cells.h"
#include "harness/options.h"
#include "harness/spec_group.h"

/* The pass of "first-write.iops", or NULL: there is no dot. */
static const char *
pass_of(const struct spec_group *group, const struct spec_word *word,
	const char **ret_metric)
{
	const char *dot = strrchr(word->text, '.');

	if (!dot || dot == word->text)
		return NULL;
	*ret_metric = dot + 1;
	return spec_text(group->form->mem, word->text,
			 (size_t)(dot - word->text));
}

static bool
is_called(const struct spec_item *pass, const char *name)
{
	return spec_same(pass->label, name) ||
	       spec_same(pass->line->key.text, name);
}

static bool
is_dropped(const struct spec_group *group, const char *name)
{
	const struct spec_items *passes = &group->form->passes;

	for (size_t i = 0; i < passes->n; i++) {
		if (passes->v[i].dropped && is_called(&passes->v[i], name))
			return true;
	}
	return false;
}

static size_t
count_passes(const struct spec_group *group, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < group->npasses; i++)
		n += is_called(group->passes[i], name);
	return n;
}

static const char *
metric_at(const void *arg, size_t i)
{
	(void)arg;
	return cells_metric_at(i);
}

static int
no_such_pass(const struct spec_group *group, const struct spec_word *word,
	     const char *name, struct q2_err *err)
{
	char buf[SPEC_CUT], hint[256];

	return spec_fail(&word->pos, err, "judge: there is no pass '%s'%s",
			 spec_cut(name, buf),
			 spec_group_hint(group, name, group->npasses, hint,
					 sizeof(hint)));
}

static int
no_such_metric(const struct spec_word *word, const char *metric,
	       struct q2_err *err)
{
	const char *near = options_nearest(metric, cells_metrics(), metric_at,
					   NULL);
	char buf[SPEC_CUT];

	/* It is known, and neither way is better. */
	if (near && strcmp(near, metric) == 0)
		near = NULL;
	return spec_fail(&word->pos, err,
			 "judge: '%s' is no metric with a better and a worse"
			 "%s%s%s",
			 spec_cut(metric, buf), near ? "; did you mean '" : "",
			 near ? near : "", near ? "'?" : "; iops is one");
}

static int
check_word(const struct spec_group *group, const struct spec_word *word,
	   struct q2_err *err)
{
	const char *metric = NULL, *name = pass_of(group, word, &metric);
	char buf[SPEC_CUT];

	if (!name)
		return spec_fail(&word->pos, err,
				 "judge: '%s' is not PASS.METRIC, such as "
				 "read.iops",
				 spec_cut(word->text, buf));
	if (count_passes(group, name) == 0 && !is_dropped(group, name))
		return no_such_pass(group, word, name, err);
	if (cells_metric_better(metric) == CELLS_NONE)
		return no_such_metric(word, metric, err);
	return 0;
}

static int
check_sweep(const struct spec_group *group, struct q2_err *err)
{
	const struct spec_entry *entry = spec_form_entry(group->form, "sweep");
	const unsigned scopes = SPEC_SCOPE(SPEC_OF_CONFIG) |
				SPEC_SCOPE(SPEC_OF_PASS);

	if (!entry || spec_keys_find(entry->words[0].text, scopes))
		return 0;
	return spec_unknown_key(&entry->words[0], entry->words[0].text, scopes,
				err);
}

int
spec_check_judge(const struct spec_group *group, struct q2_err *err)
{
	const struct spec_entry *entry = spec_form_entry(group->form, "judge");
	int r = 0;

	if (entry && !spec_form_entry(group->form, "reference"))
		return spec_fail(&entry->key.pos, err,
				 "judge: there is nothing to judge against; "
				 "add reference=");
	for (size_t i = 0; entry && i < entry->nwords && r >= 0; i++)
		r = check_word(group, &entry->words[i], err);
	return r < 0 ? r : check_sweep(group, err);
}

void
spec_build_judge(const struct spec_group *group, struct suite *suite)
{
	const struct spec_entry *entry = spec_form_entry(group->form, "judge");
	const struct spec_entry *sweep = spec_form_entry(group->form, "sweep");
	size_t most = entry ? entry->nwords * group->npasses : 0;
	struct judged *v = spec_alloc(group->form->mem, most * sizeof(*v));

	suite->judged = v;
	for (size_t i = 0; entry && i < entry->nwords; i++) {
		const char *metric = NULL;
		const char *name = pass_of(group, &entry->words[i], &metric);

		for (size_t p = 0; p < group->npasses; p++) {
			if (is_called(group->passes[p], name))
				v[suite->njudged++] = (struct judged){
					group->passes[p]->label, metric};
		}
	}
	if (sweep) {
		const struct spec_key *key = spec_keys_find(
			sweep->words[0].text,
			SPEC_SCOPE(SPEC_OF_CONFIG) | SPEC_SCOPE(SPEC_OF_PASS));

		suite->sweep = key->name;
		suite->sweep_is_pass = key->scope == SPEC_OF_PASS;
	}
}
