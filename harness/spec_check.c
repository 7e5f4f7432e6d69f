/* SPDX-License-Identifier: MIT */
/*
 * spec_check.c - do the items of a group fit together?
 *
 * What depends on the size of the image in bytes is judged by the plan.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/options.h"
#include "harness/spec_group.h"

/* ---- labels ------------------------------------------------------------ */

/* A key in which two items of one line differ, or NULL. */
static const struct spec_key *
difference(const struct spec_item *a, const struct spec_item *b)
{
	for (size_t i = 0; i < spec_keys_count(); i++) {
		if (a->line == b->line && a->v[i].set && b->v[i].set &&
		    strcmp(a->v[i].text, b->v[i].text) != 0)
			return spec_keys_at(i);
	}
	return NULL;
}

static int
check_labels(const struct spec_item *const *v, size_t n, struct q2_err *err)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct spec_pos *pos = &v[i]->line->key.pos;
			const struct spec_pos *first = &v[j]->line->key.pos;
			const struct spec_key *key = difference(v[j], v[i]);

			if (!spec_same(v[i]->label, v[j]->label))
				continue;
			if (key)
				return spec_fail(pos, err,
						 "several are called '%s'; add "
						 "${%s} to the label",
						 v[i]->label, key->name);
			return spec_fail(pos, err,
					 "'%s' is called like that of %s:%u:%u",
					 v[i]->label, first->file, first->line,
					 first->col);
		}
	}
	return 0;
}

/* ---- names in [suite] -------------------------------------------------- */

/* About a line of names. */
#define REMEDY 160

static const char *
config_at(const void *arg, size_t i)
{
	return ((const struct spec_group *)arg)->configs[i]->label;
}

/* The names that there are, as far as they fit into a line. */
static void
remedy_of(const struct spec_group *group, char *text, size_t size)
{
	static const char end[] = "; or leave it out";
	size_t room = size - sizeof(end), used;

	used = (size_t)snprintf(text, room, "name one of");
	for (size_t i = 0; i < group->nconfigs; i++) {
		const char *label = group->configs[i]->label;

		if (used + strlen(label) + 8 > room) {
			used += (size_t)snprintf(text + used, room - used,
						 " ...");
			break;
		}
		used += (size_t)snprintf(text + used, room - used, "%s %s",
					 i ? "," : "", label);
	}
	(void)strcpy(text + used, end);
}

/* The name is a configuration of the group; or one that is dropped, if that
 * may be. */
static int
check_config(const struct spec_group *group, const char *key,
	     const struct spec_word *word, bool may_drop, struct q2_err *err)
{
	const struct spec_item *item = spec_items_find(&group->form->configs,
						       word->text);
	char buf[SPEC_CUT], remedy[REMEDY];
	const char *near;

	if (spec_group_config(group, word->text) >= 0 ||
	    (may_drop && item && item->dropped))
		return 0;
	if (item && item->dropped)
		return spec_fail(&word->pos, err,
				 "%s: '%s' is dropped in "
				 "[quick]",
				 key, item->label);
	near = options_nearest(word->text, group->nconfigs, config_at, group);
	if (near)
		(void)snprintf(remedy, sizeof(remedy), "did you mean '%s'?",
			       near);
	else
		remedy_of(group, remedy, sizeof(remedy));
	return spec_fail(
		&word->pos, err, "%s: '%s' is no configuration%s%s; %s", key,
		spec_cut(word->text, buf), group->name ? " of the group " : "",
		group->name ? group->name : "", remedy);
}

static int
check_contrast(const struct spec_group *group, const struct spec_word *word,
	       struct q2_err *err)
{
	const char *slash = strchr(word->text, '/');
	struct spec_word one = *word;
	char buf[SPEC_CUT];
	int r;

	if (!slash || slash == word->text || !slash[1])
		return spec_fail(&word->pos, err,
				 "contrast: '%s' is not a pair A/B",
				 spec_cut(word->text, buf));
	one.text = spec_text(group->form->mem, word->text,
			     (size_t)(slash - word->text));
	r = check_config(group, "contrast", &one, true, err);
	if (r < 0)
		return r;
	one.text = slash + 1;
	if (word->pos.line)
		one.pos.col += (unsigned)(slash + 1 - word->text);
	return check_config(group, "contrast", &one, true, err);
}

static int
check_names(const struct spec_group *group, struct q2_err *err)
{
	static const char *const names[] = {"reference", "baseline"};
	const struct spec_entry *contrast = spec_form_entry(group->form,
							    "contrast");
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && r >= 0; i++) {
		const struct spec_entry *entry = spec_form_entry(group->form,
								 names[i]);

		if (entry)
			r = check_config(group, names[i], &entry->words[0],
					 false, err);
	}
	for (size_t i = 0; contrast && i < contrast->nwords && r >= 0; i++)
		r = check_contrast(group, &contrast->words[i], err);
	return r;
}

/* ---- image keys -------------------------------------------------------- */

/* Where to point at: the key, if it has been said. */
static const struct spec_pos *
place_of(const struct spec_item *item, const char *key)
{
	const struct spec_value *v = spec_item_value(item, key);

	return v->set ? &v->pos : &item->line->key.pos;
}

/* QEMU takes whole pieces, and a few of them at least, without a word; a number
 * that stands in a suite is one that is used. */
static int
check_cache(const struct spec_group *group, const struct spec_item *item,
	    const char *key, uint64_t piece, unsigned least, struct q2_err *err)
{
	const struct spec_value *v = spec_item_value(item, key);
	uint64_t takes = max_u64(least * piece, align_down(v->n, piece));
	struct spec_mem *mem = group->form->mem;

	if (!v->set || v->n == takes)
		return 0;
	return spec_fail(
		&v->pos, err,
		"%s: %s: %s is not at least %s, a multiple of %s; "
		"QEMU would use %s",
		item->label, key, v->text, spec_size_text(mem, least * piece),
		spec_size_text(mem, piece), spec_size_text(mem, takes));
}

static int
check_caches(const struct spec_group *group, const struct spec_item *item,
	     struct q2_err *err)
{
	const struct spec_value *size = spec_item_value(item, "cluster_size");
	const struct spec_value *entry = spec_item_value(item,
							 "l2_cache_entry_size");
	uint64_t piece = entry->set ? entry->n : min_u64(size->n, 4 * KiB);
	int r;

	if (entry->n > size->n)
		return spec_fail(place_of(item, "l2_cache_entry_size"), err,
				 "%s: l2_cache_entry_size %s is more than a "
				 "cluster of %s",
				 item->label, entry->text, size->text);
	r = check_cache(group, item, "l2_cache_size", piece, 2, err);
	return r < 0 ? r
		     : check_cache(group, item, "refcount_cache_size", size->n,
				   4, err);
}

static int
check_image(const struct spec_group *group, const struct spec_item *item,
	    struct q2_err *err)
{
	uint64_t cluster = spec_item_value(item, "cluster_size")->n;
	bool v2 = spec_item_value(item, "compat")->n % 2 == 0;
	static const char *const v3_only[] = {"extended_l2", "lazy_refcounts"};

	if (spec_item_value(item, "detect_zeroes")->n == Q2_DETECT_UNMAP &&
	    !spec_item_value(item, "discard")->n)
		return spec_fail(place_of(item, "detect_zeroes"), err,
				 "%s: detect_zeroes=unmap takes discard=unmap",
				 item->label);
	if (!spec_item_value(item, "preallocation")->set) /* not qcow2 */
		return 0;
	if (spec_item_value(item, "extended_l2")->n && cluster < 16 * KiB)
		return spec_fail(place_of(item, "extended_l2"), err,
				 "%s: extended_l2 takes clusters of at least "
				 "16k, not %s",
				 item->label,
				 spec_item_value(item, "cluster_size")->text);
	for (size_t i = 0; v2 && i < ARRAY_SIZE(v3_only); i++) {
		if (spec_item_value(item, v3_only[i])->n)
			return spec_fail(place_of(item, v3_only[i]), err,
					 "%s: %s takes compat=1.1", item->label,
					 v3_only[i]);
	}
	if (v2 && spec_item_value(item, "refcount_bits")->n != 16)
		return spec_fail(
			place_of(item, "refcount_bits"), err,
			"%s: compat=0.10 has refcounts of 16 bits only",
			item->label);
	return check_caches(group, item, err);
}

/* ---- order of passes --------------------------------------------------- */

static bool
is_op(const struct spec_item *pass, enum pass_op op)
{
	return spec_item_value(pass, "op")->n == (uint64_t)op;
}

static bool
writes(const struct spec_item *pass)
{
	return is_op(pass, PASS_STREAM) &&
	       spec_item_value(pass, "rw")->n % 2 == 1;
}

static bool
touches_first(const struct spec_item *pass)
{
	return strcmp(spec_item_value(pass, "touch")->text, "first") == 0;
}

static const char *
target_of(const struct spec_item *config)
{
	return spec_keys_find("target", SPEC_ANY_SCOPE)
		->words[spec_item_value(config, "target")->n];
}

static bool
is_export(const struct spec_item *config)
{
	return spec_item_value(config, "overwrite")->set;
}

/* An image is made once, before anything is done with it. */
static int
check_creation(const struct spec_group *group, struct q2_err *err)
{
	bool files = false;
	size_t made = 0;

	for (size_t i = 0; i < group->nconfigs; i++)
		files |= !is_export(group->configs[i]) &&
			 strcmp(target_of(group->configs[i]), "null") != 0;
	for (size_t i = 0; i < group->npasses && files; i++) {
		const struct spec_item *pass = group->passes[i];

		made += is_op(pass, PASS_CREATE) || is_op(pass, PASS_CONVERT);
		if (made > 1)
			return spec_fail(&pass->line->key.pos, err,
					 "'%s' makes the image a second time",
					 pass->label);
		if (made == 0)
			return spec_fail(&pass->line->key.pos, err,
					 "'%s' has no image yet; the first "
					 "pass is create = op=create",
					 pass->label);
	}
	return 0;
}

/* touch=NAME of pass i is no pass of the group. */
static int
no_such_pass(const struct spec_group *group, size_t i, struct q2_err *err)
{
	const struct spec_value *touch = spec_item_value(group->passes[i],
							 "touch");
	const struct spec_item *item = spec_items_find(&group->form->passes,
						       touch->text);
	char buf[SPEC_CUT], hint[256];

	if (item && item->dropped)
		return spec_fail(&touch->pos, err,
				 "touch: '%s' is dropped in [quick]; drop '%s' "
				 "too",
				 item->label, group->passes[i]->label);
	return spec_fail(
		&touch->pos, err, "touch: there is no pass '%s' before it%s",
		spec_cut(touch->text, buf),
		spec_group_hint(group, touch->text, i, hint, sizeof(hint)));
}

static int
check_touched(const struct spec_group *group, size_t i, struct q2_err *err)
{
	static const char *const keys[] = {"size", "offset", "stride", "place"};
	const struct spec_item *pass = group->passes[i];
	const struct spec_value *touch = spec_item_value(pass, "touch");
	int of = spec_group_pass(group, touch->text);
	const struct spec_item *touched = of < 0 ? NULL : group->passes[of];

	if (!touched)
		return no_such_pass(group, i, err);
	if ((size_t)of >= i)
		return spec_fail(&touch->pos, err,
				 "touch: '%s' does not come before '%s'",
				 touched->label, pass->label);
	if (!writes(touched) &&
	    (!is_op(touched, PASS_STREAM) || !spec_has_content(group)))
		return spec_fail(&touch->pos, err, "touch: '%s' writes nothing",
				 touched->label);
	if (!touches_first(touched))
		return spec_fail(&touch->pos, err,
				 "touch: '%s' uses the bytes of '%s' itself; "
				 "name that one",
				 touched->label,
				 spec_item_value(touched, "touch")->text);
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		const struct spec_key *key = spec_keys_find(
			keys[k], SPEC_SCOPE(SPEC_OF_PASS));

		if (pass->own[spec_keys_index(key)])
			return spec_fail(place_of(pass, keys[k]), err,
					 "%s: '%s' works where '%s' did; %s is "
					 "for touch=first",
					 keys[k], pass->label, touched->label,
					 keys[k]);
	}
	return 0;
}

/* ---- where passes work ------------------------------------------------- */

/* Do two areas in the same unit share a place? */
static bool
overlap(const struct spec_item *a, const struct spec_item *b)
{
	const struct spec_value *ao = spec_item_value(a, "offset");
	const struct spec_value *as = spec_item_value(a, "size");
	const struct spec_value *bo = spec_item_value(b, "offset");
	const struct spec_value *bs = spec_item_value(b, "size");
	/* Nothing is in any unit. */
	bool a_percent = ao->n ? ao->percent : as->percent;
	bool b_percent = bo->n ? bo->percent : bs->percent;

	return as->percent == a_percent && bs->percent == b_percent &&
	       a_percent == b_percent &&
	       ranges_overlap(ao->n, as->n, bo->n, bs->n);
}

static int
check_area(const struct spec_group *group, size_t i, struct q2_err *err)
{
	const struct spec_item *pass = group->passes[i];
	const struct spec_value *off = spec_item_value(pass, "offset");
	const struct spec_value *size = spec_item_value(pass, "size");

	if (off->percent && size->percent && off->n + size->n > 100)
		return spec_fail(off->n ? &off->pos : &size->pos, err,
				 "'%s' ends at %" PRIu64
				 "%%, beyond the image: offset=%" PRIu64
				 "%% and size=%" PRIu64 "%%",
				 pass->label, off->n + size->n, off->n,
				 size->n);
	if (!writes(pass) && !spec_has_content(group))
		return spec_fail(place_of(pass, "rw"), err,
				 "'%s' reads what nobody has written; name a "
				 "writing pass with touch=",
				 pass->label);
	for (size_t j = 0; j < i; j++) {
		const struct spec_item *other = group->passes[j];

		if (is_op(other, PASS_STREAM) && touches_first(other) &&
		    overlap(other, pass))
			return spec_fail(
				&pass->line->key.pos, err,
				"'%s' is no first touch: it works where '%s' "
				"has %s; move it with offset=, or use touch=%s",
				pass->label, other->label,
				writes(other) ? "written" : "read",
				other->label);
	}
	return 0;
}

static int
check_pass(const struct spec_group *group, size_t i, struct q2_err *err)
{
	const struct spec_item *pass = group->passes[i];
	const struct spec_value *slices = spec_item_value(pass, "slices");

	if (!is_op(pass, PASS_STREAM))
		return 0;
	if (slices->set && slices->n > 1 && slices->n % 2)
		return spec_fail(&slices->pos, err,
				 "slices: %s is odd; turns come in pairs, or "
				 "there is one",
				 slices->text);
	return touches_first(pass) ? check_area(group, i, err)
				   : check_touched(group, i, err);
}

/* ---- exports ----------------------------------------------------------- */

/* What somebody else made is lost only if they say so. */
static int
check_overwrite(const struct spec_group *group, const struct spec_item *config,
		struct q2_err *err)
{
	char buf[SPEC_CUT];

	for (size_t i = 0; i < group->npasses; i++) {
		const struct spec_item *pass = group->passes[i];

		if (writes(pass) && !spec_item_value(config, "overwrite")->n)
			return spec_fail(
				place_of(config, "overwrite"), err,
				"%s: pass '%s' would overwrite what is in %s; "
				"if that may be lost, add overwrite=on",
				config->label, pass->label,
				spec_cut(spec_item_value(config, "uri")->text,
					 buf));
	}
	return 0;
}

static int
check_export(const struct spec_group *group, size_t i, struct q2_err *err)
{
	const struct spec_item *config = group->configs[i];
	const struct spec_value *uri = spec_item_value(config, "uri");

	if (!is_export(config))
		return 0;
	if (!uri->set)
		return spec_fail(&config->line->key.pos, err,
				 "'%s' has no uri; add uri=nbd://HOST/EXPORT",
				 config->label);
	/* All of a group are open at once: a server that takes one client would
	 * let the second one wait for ever. */
	for (size_t j = 0; j < i; j++) {
		const struct spec_value *other = spec_item_value(
			group->configs[j], "uri");

		if (other->set && strcmp(other->text, uri->text) == 0)
			return spec_fail(&uri->pos, err,
					 "%s: '%s' has the same uri, and both "
					 "would use it at once",
					 config->label,
					 group->configs[j]->label);
	}
	return check_overwrite(group, config, err);
}

int
spec_check(const struct spec_group *group, struct q2_err *err)
{
	int r = check_labels(group->configs, group->nconfigs, err);

	if (r >= 0)
		r = check_labels(group->passes, group->npasses, err);
	for (size_t i = 0; i < group->nconfigs && r >= 0; i++)
		r = check_image(group, group->configs[i], err);
	for (size_t i = 0; i < group->nconfigs && r >= 0; i++)
		r = check_export(group, i, err);
	if (r >= 0)
		r = check_creation(group, err);
	if (r >= 0)
		r = spec_check_content(group, err);
	for (size_t i = 0; i < group->npasses && r >= 0; i++)
		r = check_pass(group, i, err);
	if (r >= 0)
		r = check_names(group, err);
	return r < 0 ? r : spec_check_judge(group, err);
}
