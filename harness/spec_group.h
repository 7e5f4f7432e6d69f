/* SPDX-License-Identifier: MIT */
/*
 * spec_group.h - the items that are compared with each other, and whether they
 * fit together
 */
#ifndef HARNESS_SPEC_GROUP_H
#define HARNESS_SPEC_GROUP_H

#include "harness/spec_form.h"

struct spec_group {
	const struct spec_form *form;
	const char *name; /* "cluster_size=64k", or NULL: the only one */
	const struct spec_item *configs[SUITE_CONFIGS_MAX];
	size_t nconfigs;
	const struct spec_item *passes[SUITE_PASSES_MAX];
	size_t npasses;
};

/* Mark what [quick] drops. */
int spec_drop(struct spec_form *form, struct q2_err *err);

/* The values of split, in order; ret->key NULL: no split. */
int spec_split_values(const struct spec_form *form, struct spec_axis *ret,
		      struct q2_err *err);

/* Those of a value, NULL for all; too many are an error. */
int spec_group_make(struct spec_group *group, const struct spec_form *form,
		    const struct spec_key *split,
		    const struct spec_value *value, struct q2_err *err);

/* spec_check.c: labels, names in [suite], image keys that exclude each other,
 * the order of passes and where they work. */
int spec_check(const struct spec_group *group, struct q2_err *err);

/* spec_judge.c: what is judged, and the axis of its plot. */
int spec_check_judge(const struct spec_group *group, struct q2_err *err);
void spec_build_judge(const struct spec_group *group, struct suite *suite);

/* spec_check_content.c: what images hold before the first pass, and passes that
 * are neither creation nor requests. */
int spec_check_content(const struct spec_group *group, struct q2_err *err);
/* Is there something to read everywhere, before anybody has written? */
bool spec_has_content(const struct spec_group *group);

/* Index of a pass or configuration in the group, or -1. */
int spec_group_pass(const struct spec_group *group, const char *name);
int spec_group_config(const struct spec_group *group, const char *label);
/* Behind "there is no pass NAME": the nearest of the first n passes, or else all
 * of these, cut to what buf has room for.  Returns buf. */
const char *spec_group_hint(const struct spec_group *group, const char *name,
			    size_t n, char *buf, size_t size);

#endif
