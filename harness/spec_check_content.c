/* SPDX-License-Identifier: MIT */
/*
 * spec_check_content.c - what images hold before the first pass
 *
 * Data, files below, snapshots, encryption, compression: which of them go
 * together, and with which passes.
 */
#include <string.h>

#include "engine/base/num.h"
#include "harness/spec_group.h"

static const struct spec_pos *
place_of(const struct spec_item *item, const char *key)
{
	const struct spec_value *v = spec_item_value(item, key);

	return v->set ? &v->pos : &item->line->key.pos;
}

static bool
is_op(const struct spec_item *pass, enum pass_op op)
{
	return spec_item_value(pass, "op")->n == (uint64_t)op;
}

/* A pass of that kind, or NULL. */
static const struct spec_item *
find_op(const struct spec_group *group, enum pass_op op)
{
	for (size_t i = 0; i < group->npasses; i++) {
		if (is_op(group->passes[i], op))
			return group->passes[i];
	}
	return NULL;
}

/* qcow2 by our own engine, which has these keys. */
static bool
is_ours(const struct spec_item *config)
{
	return spec_item_value(config, "fill")->set;
}

static bool
is_export(const struct spec_item *config)
{
	return spec_item_value(config, "overwrite")->set;
}

/* A raw file that holds zeros counts as data: they are read from it. */
static bool
has_data(const struct spec_item *config)
{
	const struct spec_value *state = spec_item_value(config, "state");

	return is_export(config) || spec_item_value(config, "fill")->n ||
	       (state->set && strcmp(state->text, "written") == 0);
}

bool
spec_has_content(const struct spec_group *group)
{
	if (find_op(group, PASS_CONVERT))
		return true;
	for (size_t i = 0; i < group->nconfigs; i++) {
		if (!has_data(group->configs[i]))
			return false;
	}
	return true;
}

/* ---- configurations ------------------------------------------------------ */

/* Key a cannot be had together with key b. */
static int
excludes(const struct spec_item *config, const char *a, const char *b,
	 const char *remedy, struct q2_err *err)
{
	const struct spec_value *v = spec_item_value(config, a);

	if (!v->n || !spec_item_value(config, b)->n)
		return 0;
	return spec_fail(place_of(config, a), err, "%s: %s=%s with %s=%s; %s",
			 config->label, a, v->text, b,
			 spec_item_value(config, b)->text, remedy);
}

/* Each snapshot counts in the refcount of what it shares. */
static int
check_snapshots(const struct spec_item *config, bool one_more,
		struct q2_err *err)
{
	uint64_t bits = spec_item_value(config, "refcount_bits")->n;
	uint64_t n = spec_item_value(config, "snapshots")->n + one_more;

	if (n == 0 || bits >= 16 || n + 1 < UINT64_C(1) << bits)
		return 0;
	return spec_fail(place_of(config, "refcount_bits"), err,
			 "%s: refcount_bits=%llu counts to %llu, too few for "
			 "%llu snapshot%s; take 16",
			 config->label, (unsigned long long)bits,
			 (unsigned long long)((UINT64_C(1) << bits) - 1),
			 (unsigned long long)n, n == 1 ? "" : "s");
}

static int
check_config(const struct spec_group *group, const struct spec_item *config,
	     struct q2_err *err)
{
	bool converted = find_op(group, PASS_CONVERT);
	int r;

	if (spec_item_value(config, "compress")->n && !converted)
		return spec_fail(place_of(config, "compress"), err,
				 "%s: compress=on is for a pass with "
				 "op=convert, and there is none",
				 config->label);
	if (converted && spec_item_value(config, "fill")->n)
		return spec_fail(place_of(config, "fill"), err,
				 "%s: op=convert fills the image; leave fill "
				 "out",
				 config->label);
	if (converted && spec_item_value(config, "chain_depth")->n)
		return spec_fail(place_of(config, "chain_depth"), err,
				 "%s: op=convert makes an image without files "
				 "below; leave chain_depth out",
				 config->label);
	r = excludes(config, "encryption", "chain_depth",
		     "only images without files below are encrypted here", err);
	if (r >= 0)
		r = excludes(config, "encryption", "compress",
			     "what is encrypted is not compressed", err);
	if (r >= 0)
		r = excludes(config, "preallocation", "chain_depth",
			     "preallocation is for images without files below",
			     err);
	return r < 0 ? r
		     : check_snapshots(config, find_op(group, PASS_SNAPSHOT),
				       err);
}

/* ---- passes -------------------------------------------------------------- */

/* Snapshots are deleted in the order of the passes: one for each taken. */
static int
check_deletions(const struct spec_group *group, struct q2_err *err)
{
	size_t taken = 0;

	for (size_t i = 0; i < group->npasses; i++) {
		const struct spec_item *pass = group->passes[i];

		taken += is_op(pass, PASS_SNAPSHOT);
		if (!is_op(pass, PASS_SNAPSHOT_DELETE))
			continue;
		if (taken == 0)
			return spec_fail(&pass->line->key.pos, err,
					 "'%s' deletes a snapshot that no pass "
					 "has taken; put op=snapshot before it",
					 pass->label);
		taken--;
	}
	return 0;
}

/* Can each configuration do the pass? */
static int
check_targets(const struct spec_group *group, const struct spec_item *pass,
	      struct q2_err *err)
{
	bool convert = is_op(pass, PASS_CONVERT);

	if (!convert && !is_op(pass, PASS_SNAPSHOT) &&
	    !is_op(pass, PASS_SNAPSHOT_DELETE))
		return 0;
	for (size_t i = 0; i < group->nconfigs; i++) {
		const struct spec_item *config = group->configs[i];
		const struct spec_key *key = spec_keys_find("target",
							    SPEC_ANY_SCOPE);
		const char *target =
			key->words[spec_item_value(config, "target")->n];

		if (is_ours(config) || (convert && strcmp(target, "raw") == 0))
			continue;
		return spec_fail(
			place_of(pass, "op"), err,
			"'%s': op=%s is not for target=%s of '%s'; it takes "
			"target=qcow2%s",
			pass->label, spec_item_value(pass, "op")->text, target,
			config->label, convert ? " or target=raw" : "");
	}
	return 0;
}

int
spec_check_content(const struct spec_group *group, struct q2_err *err)
{
	static const char share[] = "buffer_compress_percentage";
	int r = check_deletions(group, err);

	for (size_t i = 0; i < group->npasses && r >= 0; i++) {
		const struct spec_item *pass = group->passes[i];

		if (spec_item_value(pass, share)->n &&
		    !is_op(pass, PASS_CONVERT))
			return spec_fail(place_of(pass, share), err,
					 "%s: %s is of op=convert", pass->label,
					 share);
		r = check_targets(group, pass, err);
	}
	for (size_t i = 0; i < group->nconfigs && r >= 0; i++) {
		if (is_ours(group->configs[i]))
			r = check_config(group, group->configs[i], err);
	}
	return r;
}
