/* SPDX-License-Identifier: MIT */
#include "harness/spec_suite.h"

#include <assert.h>
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/options.h"
#include "harness/plan.h"
#include "harness/spec_group.h"

static const struct spec_value *
value(const struct spec_item *item, const char *key)
{
	return spec_item_value(item, key);
}

static uint64_t
number(const struct spec_item *item, const char *key)
{
	return value(item, key)->n;
}

static bool
is_own(const struct spec_item *item, const char *key)
{
	return item->own[spec_keys_index(spec_keys_find(key, SPEC_ANY_SCOPE))];
}

/* ---- configurations ---------------------------------------------------- */

static void
build_qcow2(const struct spec_item *item, struct config *c)
{
	uint64_t interval = number(item, "cache_clean_interval");

	c->prealloc = (enum q2_prealloc)number(item, "preallocation");
	c->zero = (enum q2_zero)number(item, "zero");
	c->cluster_size = (uint32_t)number(item, "cluster_size");
	c->extended_l2 = number(item, "extended_l2");
	/* 0.10, 1.1, v2, v3 */
	c->compat = number(item, "compat") % 2 ? 0 : 2;
	c->refcount_bits = (unsigned)number(item, "refcount_bits");
	c->lazy_refcounts = number(item, "lazy_refcounts");
	c->l2_cache_size = number(item, "l2_cache_size");
	c->l2_cache_entry_size = number(item, "l2_cache_entry_size");
	c->refcount_cache_size = number(item, "refcount_cache_size");
	c->cache_clean_interval = interval ? (unsigned)interval : UINT_MAX;
	/* Defaults are not said, so that they do not change ids. */
	if (c->refcount_bits == 16)
		c->refcount_bits = 0;
	if (c->cache_clean_interval == 600)
		c->cache_clean_interval = 0;
	c->takes_all = c->prealloc == Q2_PREALLOC_FALLOC ||
		       c->prealloc == Q2_PREALLOC_FULL;
}

static void
build_content(const struct spec_item *item, struct config *c)
{
	static const char *const encryptions[] = {NULL, "aes", "luks"};

	c->fill = (enum fill)number(item, "fill");
	c->chain_depth = (unsigned)number(item, "chain_depth");
	c->snapshots = (unsigned)number(item, "snapshots");
	c->encryption = encryptions[number(item, "encryption")];
	c->iter_time = c->encryption ? (unsigned)number(item, "iter_time") : 0;
	c->compress = number(item, "compress");
	c->zstd = number(item, "compression_type");
	c->takes_all |= c->fill && !c->chain_depth;
}

static void
build_config(const struct spec_item *item, struct config *c)
{
	static const char *const states[] = {"sparse", "falloc", "written"};
	const struct spec_key *target = spec_keys_find("target",
						       SPEC_ANY_SCOPE);

	c->label = item->label;
	c->target = target->words[number(item, "target")];
	if (value(item, "uri")->set)
		c->uri = value(item, "uri")->text;
	c->overwrite = number(item, "overwrite");
	if (value(item, "state")->set) {
		c->raw_state = states[number(item, "state")];
		c->takes_all = number(item, "state") > 0;
	}
	if (value(item, "preallocation")->set)
		build_qcow2(item, c);
	if (value(item, "fill")->set)
		build_content(item, c);
	c->unmap = number(item, "discard");
	c->detect_zeroes = (enum q2_detect_zeroes)number(item, "detect_zeroes");
	c->image_bytes = number(item, "image_size");
	if (value(item, "cache")->set)
		c->cache = (enum q2_cache)(Q2_CACHE_NONE +
					   number(item, "cache"));
	if (value(item, "aio")->set)
		c->aio = value(item, "aio")->text;
}

/* Is it the same for all that have it, and nobody's own? */
static bool
is_common(const struct spec_group *group, const char *key)
{
	const struct spec_value *first = NULL;

	for (size_t i = 0; i < group->nconfigs; i++) {
		const struct spec_value *v = value(group->configs[i], key);

		if (!v->set)
			continue;
		if (is_own(group->configs[i], key) ||
		    (first && first->n != v->n))
			return false;
		first = v;
	}
	return first;
}

/* What all have in common is the suite's, so that the user or the file system
 * may change it. */
static void
lift_common(const struct spec_group *group, struct config *configs,
	    struct suite *suite)
{
	bool cache = is_common(group, "cache"), aio = is_common(group, "aio");

	suite->image_bytes = UINT64_MAX;
	for (size_t i = 0; i < group->nconfigs; i++) {
		struct config *c = &configs[i];

		suite->image_bytes = min_u64(suite->image_bytes,
					     c->image_bytes);
		if (cache && c->cache) {
			suite->cache = c->cache;
			c->cache = Q2_CACHE_DEFAULT;
		}
		if (aio && c->aio) {
			suite->aio = c->aio;
			c->aio = NULL;
		}
	}
	for (size_t i = 0; i < group->nconfigs; i++) {
		if (configs[i].image_bytes == suite->image_bytes)
			configs[i].image_bytes = 0;
	}
}

/* ---- passes ------------------------------------------------------------ */

static struct share
share_of(const struct spec_item *item, const char *key)
{
	return (struct share){value(item, key)->percent, number(item, key)};
}

/* Where nothing has been said of a random pass, the stream knows it: 64k, or bs
 * if that is more. */
static uint64_t
stride_of(const struct spec_item *item)
{
	uint64_t stride = number(item, "stride"), bs = number(item, "bs");

	if (!is_own(item, "stride"))
		stride = max_u64(stride, bs);
	return stride == max_u64(bs, STREAM_STRIDE_DEFAULT) ? 0 : stride;
}

static void
build_stream(const struct spec_group *group, const struct spec_item *item,
	     struct pass *p)
{
	const char *touch = value(item, "touch")->text;
	int of = spec_group_pass(group, touch);

	/* read, write, randread, randwrite */
	p->order = number(item, "rw") < 2 ? STREAM_SEQ : STREAM_ONCE;
	p->write = number(item, "rw") % 2;
	p->bs_bytes = (uint32_t)number(item, "bs");
	p->iodepth = (uint32_t)number(item, "iodepth");
	p->requests = number(item, "requests");
	p->slices = number(item, "slices");
	if (strcmp(touch, "first") != 0) {
		p->touch = group->passes[of]->label;
		return;
	}
	p->area_off = share_of(item, "offset");
	p->area_size = share_of(item, "size");
	if (p->order != STREAM_ONCE)
		return;
	p->stride_bytes = value(item, "stride")->set ? stride_of(item) : 0;
	p->place = (enum stream_place)number(item, "place");
}

static void
build_pass(const struct spec_group *group, const struct spec_item *item,
	   struct pass *p)
{
	p->name = item->label;
	p->op = (enum pass_op)number(item, "op");
	p->compressible = (unsigned)number(item, "buffer_compress_percentage");
	if (p->op == PASS_STREAM)
		build_stream(group, item, p);
}

/* ---- probe ------------------------------------------------------------- */

static int
probe_requests(const struct spec_group *group, const struct spec_word *word,
	       struct pass *passes, struct q2_err *err)
{
	const char *dot = strrchr(word->text, '.');
	char buf[SPEC_CUT];
	int i;

	if (!dot || strcmp(dot, ".requests") != 0)
		return spec_fail(&word->pos, err,
				 "probe: '%s' is neither image_size nor "
				 "PASS.requests",
				 spec_cut(word->text, buf));
	i = spec_group_pass(group, spec_text(group->form->mem, word->text,
					     (size_t)(dot - word->text)));
	if (i < 0)
		return spec_fail(
			&word->pos, err,
			"probe: there is no pass "
			"'%s'",
			spec_cut(spec_text(group->form->mem, word->text,
					   (size_t)(dot - word->text)),
				 buf));
	if (passes[i].requests == 0)
		return spec_fail(&word->pos, err,
				 "probe: '%s' has no requests= that could be "
				 "chosen",
				 passes[i].name);
	passes[i].scaled = true;
	return 0;
}

/* Which sizes the probe chooses; without it, all requests are in proportion to
 * the user's --requests. */
static int
build_probe(const struct spec_group *group, struct pass *passes,
	    struct suite *suite, struct q2_err *err)
{
	const struct spec_entry *entry = spec_form_entry(group->form, "probe");
	int r = 0;

	for (size_t i = 0; entry && i < entry->nwords && r >= 0; i++) {
		const struct spec_word *word = &entry->words[i];

		if (spec_same(word->text, "image_size")) {
			suite->probe_image = true;
			for (size_t c = 0; c < suite->nconfigs && r >= 0; c++) {
				if (suite->configs[c].image_bytes)
					r = spec_fail(
						&word->pos, err,
						"probe: image_size differs "
						"between configurations");
			}
			continue;
		}
		r = probe_requests(group, word, passes, err);
		suite->probe_requests = true;
	}
	for (size_t i = 0; i < suite->npasses; i++) {
		struct pass *p = &passes[i];

		if (!suite->probe_requests)
			p->scaled = p->requests > 0;
		if (p->scaled)
			suite->requests = max_u64(suite->requests, p->requests);
	}
	return r;
}

/* ---- [suite] ----------------------------------------------------------- */

static const char *
one_name(const struct spec_group *group, const char *key)
{
	const struct spec_entry *entry = spec_form_entry(group->form, key);

	if (!entry)
		return NULL;
	/* As the configuration is written, not as it is named here. */
	return group->configs[spec_group_config(group, entry->words[0].text)]
		->label;
}

/* Pairs of which both are there. */
static void
build_contrasts(const struct spec_group *group, struct suite *suite)
{
	const struct spec_entry *entry = spec_form_entry(group->form,
							 "contrast");
	struct cells_contrast *v;

	if (!entry)
		return;
	v = spec_alloc(group->form->mem, entry->nwords * sizeof(*v));
	suite->contrasts = v;
	for (size_t i = 0; i < entry->nwords; i++) {
		const char *text = entry->words[i].text;
		const char *slash = strchr(text, '/');
		int a = spec_group_config(group,
					  spec_text(group->form->mem, text,
						    (size_t)(slash - text)));
		int b = spec_group_config(group, slash + 1);

		if (a >= 0 && b >= 0)
			v[suite->ncontrasts++] = (struct cells_contrast){
				group->configs[a]->label,
				group->configs[b]->label};
	}
}

/* All words, with one blank between them. */
static const char *
question(const struct spec_group *group)
{
	const struct spec_entry *entry = spec_form_entry(group->form,
							 "question");
	size_t bytes = 1, at = 0;
	char *text;

	for (size_t i = 0; entry && i < entry->nwords; i++)
		bytes += strlen(entry->words[i].text) + 1;
	text = spec_alloc(group->form->mem, bytes);
	for (size_t i = 0; entry && i < entry->nwords; i++) {
		size_t len = strlen(entry->words[i].text);

		if (i)
			text[at++] = ' ';
		memcpy(text + at, entry->words[i].text, len);
		at += len;
	}
	return text;
}

/* "mine" of "dir/mine.ini"; it becomes part of file names and of JSON. */
static const char *
suite_name(struct spec_mem *mem, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	size_t len = strlen(base);
	char *name;

	if (len > 4 && strcmp(base + len - 4, ".ini") == 0)
		len -= 4;
	name = spec_text(mem, base, len);
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) &&
		    !strchr("-_.+", name[i]))
			name[i] = '_';
	}
	return name;
}

static int
build_suite(const struct spec_group *group, struct suite *suite,
	    struct q2_err *err)
{
	struct spec_mem *mem = group->form->mem;
	struct config *configs = spec_alloc(mem,
					    group->nconfigs * sizeof(*configs));
	struct pass *passes = spec_alloc(mem, group->npasses * sizeof(*passes));

	for (size_t i = 0; i < group->nconfigs; i++)
		build_config(group->configs[i], &configs[i]);
	for (size_t i = 0; i < group->npasses; i++)
		build_pass(group, group->passes[i], &passes[i]);
	suite->name = suite_name(mem, group->form->file->name);
	suite->question = question(group);
	suite->group = group->name;
	suite->configs = configs;
	suite->nconfigs = group->nconfigs;
	suite->passes = passes;
	suite->npasses = group->npasses;
	suite->reference = one_name(group, "reference");
	suite->baseline = one_name(group, "baseline");
	suite->advice = spec_form_value(group->form, "advice")->n;
	suite->margin = (double)spec_form_value(group->form, "margin")->n /
			10000;
	suite->rounds = (unsigned)spec_form_value(group->form, "rounds")->n;
	build_contrasts(group, suite);
	spec_build_judge(group, suite);
	lift_common(group, configs, suite);
	return build_probe(group, passes, suite, err);
}

/* ---- groups and forms -------------------------------------------------- */

static int
one_group(const struct spec_form *form, const struct spec_axis *split,
	  const struct spec_value *value, struct suite **ret,
	  struct q2_err *err)
{
	struct spec_group group;
	int r;

	r = spec_group_make(&group, form, split->key, value, err);
	if (r >= 0)
		r = spec_check(&group, err);
	if (r < 0)
		return r;
	*ret = spec_alloc(form->mem, sizeof(**ret));
	return build_suite(&group, *ret, err);
}

static struct suite_texts
texts_of(struct spec_mem *mem, const struct spec_file *file)
{
	struct suite_text *v = spec_alloc(mem, file->ntexts * sizeof(*v));

	memcpy(v, file->texts, file->ntexts * sizeof(*v));
	return (struct suite_texts){v, file->ntexts};
}

/* One form of all groups, as a list. */
static int
one_form(struct spec_mem *mem, const struct spec_source *source, bool quick,
	 struct suite **ret, bool *ret_has_quick, struct q2_err *err)
{
	struct suite **first = ret;
	struct spec_file file;
	struct spec_form form;
	struct spec_axis split;
	int r;

	if (source->text)
		r = spec_file_parse(&file, mem, source->name, source->text,
				    source->len, err);
	else
		r = spec_file_read(&file, mem, source->name, source->kept, err);
	if (r >= 0)
		r = spec_form_make(&form, &file, quick, source->sets, err);
	if (r >= 0)
		r = spec_drop(&form, err);
	if (r >= 0)
		r = spec_split_values(&form, &split, err);
	if (r < 0)
		return r;
	*ret_has_quick = file.sections[SPEC_IN_QUICK].there;
	if (!split.key)
		r = one_group(&form, &split, NULL, ret, err);
	for (size_t i = 0; i < split.n && r >= 0; i++) {
		r = one_group(&form, &split, &split.v[i], ret, err);
		if (r >= 0)
			ret = &(*ret)->next;
	}
	if (r < 0)
		return r;
	assert(*first);
	(*first)->texts = texts_of(mem, &file);
	return 0;
}

/* The quick form of a group: that of the same name. */
static void
marry(struct suite *standard, struct suite *quick)
{
	for (struct suite *s = standard; s; s = s->next) {
		for (struct suite *q = quick; q; q = q->next) {
			if (!s->group || strcmp(s->group, q->group) == 0)
				s->quick = q;
		}
	}
}

int
spec_suite_read(struct spec_mem *mem, const struct spec_source *source,
		struct suite **ret, struct q2_err *err)
{
	struct suite *standard = NULL, *quick = NULL;
	bool has_quick = false;
	int r = one_form(mem, source, false, &standard, &has_quick, err);

	if (r >= 0 && has_quick)
		r = one_form(mem, source, true, &quick, &has_quick, err);
	if (r < 0)
		return r;
	assert(standard); /* there is a group, or an error */
	marry(standard, quick);
	standard->mem = mem;
	*ret = standard;
	return 0;
}
