/* SPDX-License-Identifier: MIT */
#include "harness/advice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/advice_price.h"
#include "harness/advice_text.h"
#include "harness/cells.h"
#include "harness/stats/verdict.h"

#define FIRST_WRITE "first-write"
#define CREATE      "create"

/* Fewer rounds have no 95 % interval. */
#define ROUNDS_MIN 6

const char *
advice_policy_name(enum advice_policy p)
{
	static const char *const names[] = {"off", "metadata", "falloc",
					    "full"};

	return names[p];
}

static bool
has_text(const struct record *rec, int col, const char *text)
{
	return strcmp(record_text(rec, col), text) == 0;
}

static bool
is_policy(const struct record *trial, enum advice_policy p)
{
	return has_text(trial, TRIAL_image_format, "qcow2") &&
	       has_text(trial, TRIAL_zero_policy, "range") &&
	       has_text(trial, TRIAL_preallocation, advice_policy_name(p));
}

/* ---- what was measured ---------------------------------------------------- */

/* Median of a column over the trials of a label in a pass; NAN: none. */
static double
median_in(const struct rows *trials, const char *label, const char *pass,
	  int col)
{
	/* The pairs of a label with itself are its trials that count. */
	struct cells_pair pair = {label, label, pass, col};
	Q2_AUTO_FREE double *v = calloc(trials->n + 1, sizeof(*v));
	Q2_AUTO_FREE double *w = calloc(trials->n + 1, sizeof(*w));
	size_t n;

	if (!v || !w)
		abort();
	n = cells_pairs(trials, &pair, v, w, trials->n);
	return n ? rank_median(v, n) : NAN;
}

/* Ratios of two labels in a pass, as speeds: above 0 is faster. */
static bool
speed_ratio(const struct advice_case *c, const char *pass, const char *base,
	    const char *other, struct rank_shift *ret, size_t *ret_beyond)
{
	struct cells_pair pair = {base, other, pass, TRIAL_duration_s};
	Q2_AUTO_FREE double *b = calloc(RANK_MAX, sizeof(*b));
	Q2_AUTO_FREE double *o = calloc(RANK_MAX, sizeof(*o));
	size_t n;

	if (!b || !o)
		abort();
	/* A round has the same work for all: less time is more speed. */
	n = cells_pairs(c->trials, &pair, b, o, RANK_MAX);
	*ret_beyond = 0;
	for (size_t i = 0; i < n; i++) {
		if (b[i] <= 0 || o[i] <= 0)
			return false;
		*ret_beyond += b[i] / o[i] > 1 + c->margin + RANK_TIE;
	}
	if (n)
		rank_ratio_of(o, b, n, ret);
	return n > 0;
}

static void
find_label(struct advice_case *c, enum advice_policy p)
{
	struct advice_found *found = &c->of[p];

	for (size_t i = 0; i < c->trials->n; i++) {
		const struct record *t = c->trials->v[i];

		if (!is_policy(t, p) || record_has(t, TRIAL_error))
			continue;
		if (has_text(t, TRIAL_pass, CREATE) &&
		    record_has_flag(t, TRIAL_flags, "emulated"))
			found->emulated = true;
		if (!found->label && has_text(t, TRIAL_pass, FIRST_WRITE))
			found->label = record_text(t, TRIAL_label);
		if (p != ADVICE_OFF || !has_text(t, TRIAL_pass, FIRST_WRITE))
			continue;
		c->any = t;
		c->image_bytes = record_int(t, TRIAL_virtual_bytes);
		c->ops = record_int(t, TRIAL_ops);
		c->write_bytes = record_int(t, TRIAL_bytes);
		c->stride_bytes = record_int(t, TRIAL_stride_bytes);
		c->bs_bytes = record_int(t, TRIAL_bs_bytes);
	}
}

/* The first pass in which the policy is slower than off beyond doubt. */
static void
find_slower(struct advice_case *c, struct advice_found *found)
{
	static const char *const skip[] = {CREATE, "create-disk", FIRST_WRITE};
	const char *off = c->of[ADVICE_OFF].label;

	for (size_t i = 0; i < c->trials->n && !found->slower_elsewhere; i++) {
		const struct record *t = c->trials->v[i];
		const char *pass = record_text(t, TRIAL_pass);
		struct rank_shift shift;
		size_t ignored;
		bool look = has_text(t, TRIAL_label, off) &&
			    record_int(t, TRIAL_round) == 1;

		for (size_t k = 0; k < ARRAY_SIZE(skip); k++)
			look &= strcmp(pass, skip[k]) != 0;
		if (!look ||
		    !speed_ratio(c, pass, off, found->label, &shift, &ignored))
			continue;
		if (verdict_of_shift(&shift, c->margin, false) !=
		    VERDICT_REGRESSION)
			continue;
		found->slower_elsewhere = true;
		(void)snprintf(found->slower_pass, sizeof(found->slower_pass),
			       "%s", pass);
	}
}

/* True if off and something dearer can be compared. */
static bool
look_at_policies(struct advice_case *c)
{
	const char *off;
	bool dearer = false;

	for (int p = 0; p < ADVICE_POLICIES; p++) {
		if (!(c->opts->without & 1U << p))
			find_label(c, (enum advice_policy)p);
	}
	off = c->of[ADVICE_OFF].label;
	if (!off)
		return false;
	for (int p = 0; p < ADVICE_POLICIES; p++) {
		struct advice_found *found = &c->of[p];

		if (!found->label)
			continue;
		found->create_s = median_in(c->trials, found->label, CREATE,
					    TRIAL_duration_s);
		found->alloc_bytes = median_in(c->trials, found->label, CREATE,
					       TRIAL_alloc_bytes);
		found->write_s = median_in(c->trials, found->label, FIRST_WRITE,
					   TRIAL_duration_s);
		if (p == ADVICE_OFF)
			continue;
		if (!speed_ratio(c, FIRST_WRITE, off, found->label,
				 &found->shift, &found->beyond))
			found->label = NULL;
		else
			dearer = true;
	}
	return dearer;
}

/* Every paired ratio beyond the margin. */
static bool
beats(const struct advice_case *c, enum advice_policy p, enum advice_policy q)
{
	struct rank_shift shift;
	size_t beyond;

	if (p == q || !c->of[p].label || !c->of[q].label)
		return false;
	return speed_ratio(c, FIRST_WRITE, c->of[q].label, c->of[p].label,
			   &shift, &beyond) &&
	       beyond == shift.n;
}

static void
compare_all(struct advice_case *c)
{
	for (int p = 0; p < ADVICE_POLICIES; p++) {
		for (int q = 0; q < ADVICE_POLICIES; q++)
			c->of[p].beats[q] = beats(c, (enum advice_policy)p,
						  (enum advice_policy)q);
	}
}

/* ---- where no advice is given ---------------------------------------------- */

/* What is measured there is memory, another file system or the network.  A
 * block device across a network (rbd, nbd) is somebody's disk. */
static bool
is_no_disk(const struct advice_case *c)
{
	static const char *const types[] = {
		"tmpfs", "ramfs",    "overlay", "overlayfs", "nfs",
		"nfs4",  "cifs",     "smb3",    "9p",        "ceph",
		"afs",   "virtiofs", "lustre",  "gpfs",      "glusterfs"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(c->filesystem, types[i]) == 0)
			return true;
	}
	/* fuse.sshfs and its kin, but fuseblk is a disk's own (ntfs-3g):
	 * through a program all the same. */
	return strncmp(c->filesystem, "fuse", 4) == 0 ||
	       strcmp(c->medium, "ram") == 0;
}

static bool
refuse(struct advice_case *c, struct advice *ret)
{
	if (!c->any) {
		ret->kind = ADVICE_NONE_DATA;
		return true;
	}
	c->filesystem = record_text(c->any, TRIAL_filesystem);
	c->medium = record_text(c->any, TRIAL_medium);
	if (record_bool(c->any, TRIAL_modelled))
		ret->kind = ADVICE_NONE_MODEL;
	else if (is_no_disk(c))
		ret->kind = ADVICE_NONE_MEDIUM;
	else if (has_text(c->any, TRIAL_cache_mode_effective, "unsafe"))
		ret->kind = ADVICE_NONE_CACHE;
	else
		return false;
	return true;
}

/* ---- the decision ---------------------------------------------------------- */

/* Nothing beats off: is that certain? */
static enum advice_kind
kind_without_winner(struct advice_case *c)
{
	bool same = true, doubt = false;

	for (int p = ADVICE_METADATA; p < ADVICE_POLICIES; p++) {
		const struct rank_shift *shift = &c->of[p].shift;

		if (!c->of[p].label)
			continue;
		same &= verdict_of_shift(shift, c->margin, false) ==
			VERDICT_SAME;
		if (expm1(shift->hi) <= c->margin + RANK_TIE)
			continue;
		if (!doubt || shift->hl > c->of[c->doubtful].shift.hl)
			c->doubtful = (enum advice_policy)p;
		doubt = true;
	}
	return same    ? ADVICE_NO_DIFFERENCE
	       : doubt ? ADVICE_CANNOT_TELL
		       : ADVICE_NOT_WORTH;
}

/* How many rounds would find out on which side of the margin the doubtful
 * ones are: at least twice as many as there were. */
static size_t
rounds_needed(const struct advice_case *c, size_t rounds)
{
	size_t most = 2 * rounds, n;

	for (int p = ADVICE_METADATA; p < ADVICE_POLICIES; p++) {
		const struct rank_shift *shift = &c->of[p].shift;
		double diff = fabs(shift->hl - log1p(c->margin));

		if (!c->of[p].label || expm1(shift->hi) <= c->margin + RANK_TIE)
			continue;
		n = verdict_rounds_for(shift->sd, fmax(diff, 1e-6));
		most = n > most ? n : most;
	}
	return most;
}

/* Off itself has a ratio of 1. */
static enum advice_policy
fastest_but(const struct advice_case *c, enum advice_policy but)
{
	enum advice_policy best = but == ADVICE_OFF ? ADVICE_POLICIES
						    : ADVICE_OFF;
	double most = best == ADVICE_OFF ? 0 : -INFINITY;

	for (int p = ADVICE_METADATA; p < ADVICE_POLICIES; p++) {
		if (p == (int)but || !c->of[p].label ||
		    c->of[p].shift.hl <= most)
			continue;
		best = (enum advice_policy)p;
		most = c->of[p].shift.hl;
	}
	return best;
}

/* It may be the one to take in the end, if QEMU's order is another. */
static void
find_rival(const struct advice_case *c, struct advice *ret)
{
	struct advice_case rival = *c;

	ret->rival = fastest_but(c, ret->policy);
	if (ret->rival == ADVICE_OFF || ret->rival == ADVICE_POLICIES)
		return;
	advice_set_price(&rival, ret->rival);
	advice_price(&rival, ret->rival_price, sizeof(ret->rival_price));
}

static void
decide(struct advice_case *c, struct advice *ret)
{
	const struct rank_shift *shift;

	for (int p = ADVICE_METADATA; p < ADVICE_POLICIES; p++) {
		if (c->of[p].beats[ret->policy])
			ret->policy = (enum advice_policy)p;
	}
	if (ret->policy != ADVICE_OFF) {
		ret->kind = ADVICE_BETTER;
		shift = &c->of[ret->policy].shift;
		ret->ratio = exp(shift->hl);
		ret->ratio_lo = exp(shift->lo);
		ret->ratio_hi = exp(shift->hi);
		advice_find_price(c, ret);
	} else {
		ret->kind = kind_without_winner(c);
	}
	find_rival(c, ret);
	ret->decided = ret->kind != ADVICE_CANNOT_TELL;
	if (ret->decided)
		return;
	ret->rounds_needed = rounds_needed(c, ret->rounds);
	shift = &c->of[c->doubtful].shift;
	ret->ratio = exp(shift->hl);
	ret->ratio_lo = exp(shift->lo);
	ret->ratio_hi = exp(shift->hi);
}

/* Has no policy at all got a verdict? */
static bool
nothing_judged(const struct advice_case *c)
{
	for (int p = ADVICE_METADATA; p < ADVICE_POLICIES; p++) {
		if (c->of[p].label &&
		    verdict_of_shift(&c->of[p].shift, c->margin, false) !=
			    VERDICT_CANNOT_TELL)
			return false;
	}
	return true;
}

void
advice_of(const struct rows *trials, const struct advice_opts *opts,
	  struct advice *ret)
{
	struct advice_case c = {
		.trials = trials,
		.opts = opts,
		.margin = opts->margin > 0 ? opts->margin : 0.05,
		.filesystem = "",
		.medium = "",
	};
	bool comparable = look_at_policies(&c);

	compare_all(&c);

	*ret = (struct advice){
		.ratio = 1, .ratio_lo = 1, .ratio_hi = 1, .break_even_gib = -1};
	ret->rounds = cells_whole_rounds(trials, FIRST_WRITE);
	if (!c.any && trials->n)
		c.any = trials->v[0];
	if (refuse(&c, ret)) {
		advice_write(&c, ret);
		return;
	}
	if (!comparable) {
		ret->kind = ADVICE_NONE_DATA;
	} else if (ret->rounds < ROUNDS_MIN) {
		ret->kind = ADVICE_TOO_FEW;
		ret->exit_code = 4; /* nothing could be judged */
	} else {
		decide(&c, ret);
		for (int p = ADVICE_METADATA; p < ADVICE_POLICIES; p++) {
			if (c.of[p].label)
				find_slower(&c, &c.of[p]);
		}
		if (ret->kind == ADVICE_CANNOT_TELL && nothing_judged(&c))
			ret->exit_code = 4;
	}
	advice_write(&c, ret);
}
