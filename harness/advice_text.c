/* SPDX-License-Identifier: MIT */
/* advice_text.c - the sentence and its notes; see advice_text.h */
#include "harness/advice_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/stats/verdict.h"
#include "harness/table.h"

/* More rounds than anyone waits for. */
#define ROUNDS_MANY 100

static void note(struct advice *ret, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
note(struct advice *ret, const char *fmt, ...)
{
	va_list ap;

	if (ret->nnotes == ADVICE_NOTES)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(ret->notes[ret->nnotes++], sizeof(ret->notes[0]), fmt,
			ap);
	va_end(ap);
}

/* snprintf() whose result nobody needs: every text here has ample room. */
static void put(char *text, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void
put(char *text, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, size, fmt, ap);
	va_end(ap);
}

/* ---- phrases ---------------------------------------------------------------- */

static struct phrase
percent(double ratio)
{
	double change = 100 * fabs(ratio - 1);
	struct phrase p = {""};

	put(p.text, sizeof(p.text), "%.*f", change < 9.95 ? 1 : 0, change);
	return p;
}

/* From twice on, a factor is easier to hear than a percentage. */
#define TWICE 2.0

static bool
is_equal(double ratio)
{
	return fabs(ratio - 1) < 0.0005;
}

static struct phrase
change_in_percent(double ratio)
{
	struct phrase p = {""};

	if (is_equal(ratio))
		put(p.text, sizeof(p.text), "equally fast");
	else
		put(p.text, sizeof(p.text), "%s %% %s", percent(ratio).text,
		    ratio > 1 ? "faster" : "slower");
	return p;
}

struct phrase
advice_change(double ratio)
{
	struct phrase p = {""};

	if (ratio < TWICE)
		return change_in_percent(ratio);
	put(p.text, sizeof(p.text), "%.1f times as fast", ratio);
	return p;
}

/* "76 % faster than with off" */
static struct phrase
change_from_off(double ratio)
{
	struct phrase p = {""};

	put(p.text, sizeof(p.text), "%s %s with off", advice_change(ratio).text,
	    ratio >= TWICE || is_equal(ratio) ? "as" : "than");
	return p;
}

struct phrase
advice_range(double ratio, double lo, double hi)
{
	struct phrase p = {""};

	if (ratio >= TWICE)
		put(p.text, sizeof(p.text), "%.*f to %.1f times",
		    lo < 0.1 ? 2 : 1, lo, hi);
	else if (hi < 1)
		put(p.text, sizeof(p.text), "%s to %s %%", percent(hi).text,
		    percent(lo).text);
	else if (lo > 1)
		put(p.text, sizeof(p.text), "%s to %s %%", percent(lo).text,
		    percent(hi).text);
	else
		put(p.text, sizeof(p.text), "from %s to %s",
		    change_in_percent(lo).text, change_in_percent(hi).text);
	return p;
}

static struct phrase
seconds(double s)
{
	struct phrase p = {""};

	table_seconds(s, p.text, sizeof(p.text));
	return p;
}

static struct phrase
bytes(double b)
{
	struct phrase p = {""};

	table_bytes(b, p.text, sizeof(p.text));
	return p;
}

/* "in a burst of 8192 first writes" or "in first writes" */
static struct phrase
work(const struct advice_case *c)
{
	struct phrase p = {""};

	if (c->opts->quick)
		put(p.text, sizeof(p.text), "in a burst of %llu first writes",
		    (unsigned long long)c->ops);
	else
		put(p.text, sizeof(p.text), "in first writes");
	return p;
}

/* ---- sentences --------------------------------------------------------------- */

/* Less of the disk is not worth a number. */
#define VERY_FIRST 0.001

/* Of the disk's first writes, so many bytes. */
static struct phrase
after(const struct advice_case *c, double first_bytes)
{
	double share = first_bytes / c->first_bytes;
	struct phrase p = {""};

	if (share < VERY_FIRST)
		put(p.text, sizeof(p.text), "by the very first writes");
	else
		put(p.text, sizeof(p.text),
		    "after %s of first writes (%.*f %% of the disk's)",
		    bytes(first_bytes).text, share < 0.0995 ? 1 : 0,
		    100 * share);
	return p;
}

static struct phrase
paid_back(const struct advice_case *c, const struct advice *ret)
{
	struct phrase p = {""};
	char against[32] = "";

	if (ret->break_even_gib < 0)
		return p;
	if (c->against != ADVICE_OFF)
		put(against, sizeof(against), " against %s",
		    advice_policy_name(c->against));
	if (ret->never_pays)
		put(p.text, sizeof(p.text),
		    ", which takes longer than all its first writes save%s",
		    against);
	else
		put(p.text, sizeof(p.text), ", paid back%s %s", against,
		    after(c, ret->break_even_gib * (double)GiB).text);
	return p;
}

void
advice_price(const struct advice_case *c, char *ret_text, size_t size)
{
	char computed[64] = "";

	ret_text[0] = '\0';
	if (c->price_computed)
		put(computed, sizeof(computed), "computed from %s; ",
		    bytes((double)c->image_bytes).text);
	if (isfinite(c->price_s) && isfinite(c->price_bytes))
		put(ret_text, size,
		    "; creating a %s disk then takes %s%s (%soff: %s) "
		    "and %s of space at once",
		    bytes((double)c->disk_bytes).text,
		    c->price_at_most ? "at most "
		    : computed[0]    ? "about "
				     : "",
		    seconds(c->price_s).text, computed, seconds(c->off_s).text,
		    bytes(c->price_bytes).text);
}

static void
say_better(const struct advice_case *c, struct advice *ret)
{
	char price[256];

	advice_price(c, price, sizeof(price));
	/* Who never gets the price back is told first what it is for. */
	put(ret->sentence, sizeof(ret->sentence),
	    "%s preallocation=%s: first writes are %s (%s, %zu rounds)%s%s.",
	    ret->never_pays ? "For the guest's speed use" : "Use",
	    advice_policy_name(ret->policy), change_from_off(ret->ratio).text,
	    advice_range(ret->ratio, ret->ratio_lo, ret->ratio_hi).text,
	    ret->rounds, price, price[0] ? paid_back(c, ret).text : "");
}

static void
say_no_difference(const struct advice_case *c, struct advice *ret)
{
	put(ret->sentence, sizeof(ret->sentence),
	    "Use preallocation=off, the cheapest: %s there is no difference, every other "
	    "policy is within %g %% of it (%zu rounds).",
	    work(c).text, 100 * c->margin, ret->rounds);
}

static void
say_not_worth(const struct advice_case *c, struct advice *ret)
{
	enum advice_policy best = ADVICE_OFF;

	for (int p = ADVICE_METADATA; p < ADVICE_POLICIES; p++) {
		if (c->of[p].label &&
		    (best == ADVICE_OFF ||
		     c->of[p].shift.hl > c->of[best].shift.hl))
			best = (enum advice_policy)p;
	}
	put(ret->sentence, sizeof(ret->sentence),
	    "Use preallocation=off, the cheapest: %s no other policy is more "
	    "than %g %% faster (the best, %s, is %s, %s, "
	    "%zu rounds).",
	    work(c).text, 100 * c->margin, advice_policy_name(best),
	    advice_change(exp(c->of[best].shift.hl)).text,
	    advice_range(exp(c->of[best].shift.hl), exp(c->of[best].shift.lo),
			 exp(c->of[best].shift.hi))
		    .text,
	    ret->rounds);
}

static void
say_cannot_tell(const struct advice_case *c, struct advice *ret)
{
	const struct advice_found *found = &c->of[c->doubtful];
	bool in_most = expm1(found->shift.lo) > c->margin;
	char rounds[128];

	if (in_most)
		put(rounds, sizeof(rounds),
		    "but more than %g %% in only %zu of %zu rounds; "
		    "run it again on a quiet machine",
		    100 * c->margin, found->beyond, found->shift.n);
	else if (ret->rounds_needed > ROUNDS_MANY)
		put(rounds, sizeof(rounds),
		    "%zu rounds; it would take more than %d to tell",
		    ret->rounds, ROUNDS_MANY);
	else if (c->opts->round_s > 0)
		put(rounds, sizeof(rounds),
		    "%zu rounds; about %zu rounds would tell, in "
		    "%s",
		    ret->rounds, ret->rounds_needed,
		    seconds(c->opts->round_s * (double)ret->rounds_needed)
			    .text);
	else
		put(rounds, sizeof(rounds), "%zu rounds; about %zu would tell",
		    ret->rounds, ret->rounds_needed);
	put(ret->sentence, sizeof(ret->sentence),
	    "Cannot tell whether %s beats off by %g %%: first "
	    "writes are %s (%s, %s); until then use off, the "
	    "cheapest.",
	    advice_policy_name(c->doubtful), 100 * c->margin,
	    advice_change(ret->ratio).text,
	    advice_range(ret->ratio, ret->ratio_lo, ret->ratio_hi).text,
	    rounds);
}

static void
say_no_disk(const struct advice_case *c, struct advice *ret)
{
	const char *fs = c->filesystem;
	const char *why = "is across a network, not your disk";

	if (strcmp(fs, "tmpfs") == 0 || strcmp(fs, "ramfs") == 0) {
		why = "is memory, not your disk";
	} else if (strcmp(c->medium, "ram") == 0) {
		fs = "this device";
		why = "is memory, not your disk";
	} else if (strncmp(fs, "overlay", 7) == 0) {
		why = "lies over another file system and is no place for disk "
		      "images";
	} else if (strncmp(fs, "fuse", 4) == 0) {
		why = "is a program, not your disk";
	}
	put(ret->sentence, sizeof(ret->sentence),
	    "No advice: %s %s; name a folder on the disk itself with --dir.",
	    fs, why);
}

static void
say(const struct advice_case *c, struct advice *ret)
{
	const char *text = "";

	switch (ret->kind) {
	case ADVICE_NONE_MEDIUM:
		say_no_disk(c, ret);
		return;
	case ADVICE_BETTER:
		say_better(c, ret);
		return;
	case ADVICE_NO_DIFFERENCE:
		say_no_difference(c, ret);
		return;
	case ADVICE_NOT_WORTH:
		say_not_worth(c, ret);
		return;
	case ADVICE_CANNOT_TELL:
		say_cannot_tell(c, ret);
		return;
	case ADVICE_NONE_MODEL:
		text = "No advice: the times are those of a simulated device, "
		       "not of your disk.";
		break;
	case ADVICE_NONE_CACHE:
		text = "No advice: with cache=unsafe nothing has to reach the "
		       "disk; take another --cache.";
		break;
	case ADVICE_NONE_DATA:
		text = "No advice: it takes off and a dearer policy, with "
		       "zero=range, in a pass first-write.";
		break;
	case ADVICE_TOO_FEW:
		break;
	}
	put(ret->sentence, sizeof(ret->sentence), "%s", text);
}

/* ---- notes -------------------------------------------------------------------- */

static void
note_discard(const struct advice_case *c, struct advice *ret)
{
	const char *mode = record_text(c->any, TRIAL_discard_mode);

	if (strcmp(mode, "unmap") == 0)
		note(ret, "With discard=unmap, as here, the guest's mkfs or "
			  "fstrim gives space back and so undoes falloc and "
			  "full.");
	else
		note(ret, "This holds for discard=ignore: with discard=unmap "
			  "the guest's mkfs or fstrim undoes falloc and full.");
}

/* Where the winner is not the dearest, one that is dearer still may be better
 * yet. */
static void
note_dearer(const struct advice_case *c, struct advice *ret)
{
	const struct rank_shift *won = &c->of[ret->policy].shift;

	for (int p = (int)ret->policy + 1; p < ADVICE_POLICIES; p++) {
		const struct rank_shift *shift = &c->of[p].shift;

		if (c->of[p].label && shift->hl > won->hl + log1p(c->margin))
			note(ret,
			     "%s may be better still (%s), but not in every "
			     "round.",
			     advice_policy_name((enum advice_policy)p),
			     change_from_off(exp(shift->hl)).text);
	}
}

/* The fastest for the guest may be slow in sum. */
static void
note_payer(const struct advice_case *c, struct advice *ret)
{
	char why[192] = "";

	if (!ret->never_pays)
		return;
	if (c->payer != ADVICE_OFF)
		put(why, sizeof(why), ", %s and paid back %s",
		    change_from_off(exp(c->of[c->payer].shift.hl)).text,
		    after(c, c->payer_bytes).text);
	note(ret,
	     "Creation and first writes of the whole disk together take least "
	     "time with %s%s: use it where disks are often created.",
	     advice_policy_name(c->payer), why);
}

static void
note_winner(const struct advice_case *c, struct advice *ret)
{
	const struct advice_found *won = &c->of[ret->policy];

	note_payer(c, ret);
	note_dearer(c, ret);
	if (won->slower_elsewhere && strcmp(c->medium, "hdd") != 0)
		note(ret, "But %s is slower than off in %s: see the table.",
		     advice_policy_name(ret->policy), won->slower_pass);
	ret->nwinner = ret->nnotes;
	note(ret, "A restore, a move to other storage, a linked clone or the "
		  "first internal snapshot undoes the policy: preallocate "
		  "again then.");
}

/* What the passes are called is not what every reader takes it for. */
static void
note_first_write(const struct advice_case *c, struct advice *ret)
{
	if (c->stride_bytes > c->bs_bytes)
		note(ret,
		     "A first write is the first into its %s of the disk; what "
		     "goes there later counts as a rewrite.",
		     bytes((double)c->stride_bytes).text);
}

static void
note_storage(const struct advice_case *c, struct advice *ret)
{
	const struct advice_found *full = &c->of[ADVICE_FULL];

	if (full->label && isfinite(full->alloc_bytes) &&
	    full->alloc_bytes < 0.99 * (double)c->image_bytes)
		note(ret,
		     "This storage keeps zeroes as holes: full takes only %s "
		     "of %s, so here it is no more than metadata.",
		     bytes(full->alloc_bytes).text,
		     bytes((double)c->image_bytes).text);
	if (c->of[ADVICE_FALLOC].emulated)
		note(ret, "falloc is emulated on this file system: it writes "
			  "zeroes and costs what full costs.");
	if (strcmp(c->medium, "hdd") == 0 && c->opts->quick)
		note(ret, "A rotating disk, and its drive cache: only "
			  "first-write with its flush, create and bytes count "
			  "here; use the standard form (without --quick) for "
			  "the rest.");
}

/* A few are what intervals are for. */
static void
note_disturbed(const struct advice_case *c, struct advice *ret)
{
	if (2 * c->opts->disturbed > ret->rounds)
		note(ret,
		     "Others disturbed %zu of the %zu rounds: run it again "
		     "when the machine is quiet.",
		     c->opts->disturbed, ret->rounds);
}

void
advice_write(const struct advice_case *c, struct advice *ret)
{
	say(c, ret);
	if (ret->kind == ADVICE_TOO_FEW)
		note(ret,
		     "No advice from %zu whole round%s: it takes 6. run "
		     "--resume goes on with a run that was stopped; --rounds "
		     "makes more.",
		     ret->rounds, ret->rounds == 1 ? "" : "s");
	if (ret->kind < ADVICE_BETTER)
		return;
	if (ret->kind == ADVICE_BETTER)
		note_winner(c, ret);
	note_disturbed(c, ret);
	note_storage(c, ret);
	note_first_write(c, ret);
	note_discard(c, ret);
}
