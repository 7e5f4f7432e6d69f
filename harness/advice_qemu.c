/* SPDX-License-Identifier: MIT */
#include "harness/advice_qemu.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/advice_text.h"
#include "harness/cells.h"
#include "harness/stats/verdict.h"

#define FIRST_WRITE "first-write"

static const char *
label_of(const struct rows *trials, enum advice_policy p)
{
	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];

		if (strcmp(record_text(t, TRIAL_target), "qemu") == 0 &&
		    strcmp(record_text(t, TRIAL_preallocation),
			   advice_policy_name(p)) == 0)
			return record_text(t, TRIAL_label);
	}
	return NULL;
}

/* Above 0: the policy is faster than its rival. */
static bool
compare(const struct rows *trials, const struct advice *own,
	struct rank_shift *ret)
{
	struct cells_pair pair = {
		.base = label_of(trials, own->rival),
		.other = label_of(trials, own->policy),
		.pass = FIRST_WRITE,
		.col = TRIAL_duration_s,
	};
	Q2_AUTO_FREE double *rival = calloc(RANK_MAX, sizeof(*rival));
	Q2_AUTO_FREE double *policy = calloc(RANK_MAX, sizeof(*policy));
	size_t n = 0;

	if (!rival || !policy)
		abort();
	if (pair.base && pair.other)
		n = cells_pairs(trials, &pair, rival, policy, RANK_MAX);
	for (size_t i = 0; i < n; i++) {
		if (rival[i] <= 0 || policy[i] <= 0)
			return false;
	}
	/* The same work for both: less time is more speed. */
	if (n)
		rank_ratio_of(policy, rival, n, ret);
	return n > 0;
}

static enum advice_qemu_kind
judge(const struct rank_shift *shift, double margin, bool is_dearer)
{
	enum verdict verdict;

	if (!shift->has_interval)
		return ADVICE_QEMU_TOO_FEW;
	verdict = verdict_of_shift(shift, margin, false);
	if (verdict == VERDICT_IMPROVEMENT)
		return ADVICE_QEMU_AGREES;
	if (verdict == VERDICT_REGRESSION)
		return ADVICE_QEMU_DIFFERS;
	if (is_dearer && expm1(shift->hi) <= margin + RANK_TIE)
		return ADVICE_QEMU_NO_BETTER;
	return verdict == VERDICT_SAME ? ADVICE_QEMU_SAME
				       : ADVICE_QEMU_CANNOT_TELL;
}

/* The word after a change: "as" behind "equally fast" and "2.1 times as
 * fast". */
static const char *
than(double ratio)
{
	struct phrase change = advice_change(ratio);

	return strstr(change.text, "fast") && !strstr(change.text, "faster")
		       ? "as"
		       : "than";
}

#define SAY(text, ...) (void)snprintf(text, sizeof(text), __VA_ARGS__)

/* What stands against QEMU's order. */
static void
say_own(const struct advice *own, char *ret_text, size_t size)
{
	const char *policy = advice_policy_name(own->policy);

	if (own->kind == ADVICE_BETTER)
		(void)snprintf(ret_text, size,
			       "Our own engine alone would say %s; QEMU is "
			       "what will write, so its order counts.",
			       policy);
	else
		(void)snprintf(ret_text, size,
			       "With our own engine alone %s; QEMU is what "
			       "will write, so its order counts.",
			       own->kind == ADVICE_CANNOT_TELL
				       ? "it cannot be told"
				       : "it makes no difference");
}

/* Turned over: the rival's speed against the policy. */
static void
say_differs(const struct advice *own, const char *version,
	    struct advice_qemu *ret)
{
	ret->policy = own->rival;
	SAY(ret->sentence,
	    "Use preallocation=%s: through %s, first writes are %s %s with %s "
	    "(%s, %zu rounds)%s.",
	    advice_policy_name(own->rival), version,
	    advice_change(1 / ret->ratio).text, than(1 / ret->ratio),
	    advice_policy_name(own->policy),
	    advice_range(1 / ret->ratio, 1 / ret->hi, 1 / ret->lo).text,
	    ret->rounds, own->rival_price);
	say_own(own, ret->note, sizeof(ret->note));
}

/* "full is no more than 5 % faster than metadata (2.0 % slower, from 9.0 %
 * slower to 4.0 % faster, 6 rounds)" */
static void
say_gain(const struct advice *own, const struct advice_qemu *ret, double margin,
	 char *ret_text, size_t size)
{
	(void)snprintf(
		ret_text, size,
		"%s is no more than %g %% faster than %s (%s, %s, %zu "
		"rounds)",
		advice_policy_name(own->policy), 100 * margin,
		advice_policy_name(own->rival), advice_change(ret->ratio).text,
		advice_range(ret->ratio, ret->lo, ret->hi).text, ret->rounds);
}

/* The cheapest that nothing dearer beats: that rule holds for QEMU, too. */
static void
say_no_better(const struct advice *own, const struct advice *cheaper,
	      const char *version, double margin, struct advice_qemu *ret)
{
	const char *rival = advice_policy_name(own->rival);
	char gain[256];

	say_gain(own, ret, margin, gain, sizeof(gain));
	ret->use_cheaper = own->rival != ADVICE_OFF &&
			   cheaper->kind == ADVICE_BETTER;
	if (own->rival != ADVICE_OFF && !ret->use_cheaper) {
		/* The rival against off is another question. */
		SAY(ret->note,
		    "Through %s, %s: there %s, the cheaper, does as well.",
		    version, gain, rival);
		return;
	}
	ret->policy = ret->use_cheaper ? cheaper->policy : ADVICE_OFF;
	if (!ret->use_cheaper)
		SAY(ret->sentence,
		    "Use preallocation=off, the cheapest: through %s, %s.",
		    version, gain);
	SAY(ret->note,
	    "Our own engine alone would say %s, %s %s off%s%s%s%s; QEMU is "
	    "what will write.",
	    advice_policy_name(own->policy), advice_change(own->ratio).text,
	    than(own->ratio), ret->use_cheaper ? "; but through " : "",
	    ret->use_cheaper ? version : "", ret->use_cheaper ? ", " : "",
	    ret->use_cheaper ? gain : "");
}

static void
say(const struct advice *own, const struct advice *cheaper, const char *version,
    double margin, struct advice_qemu *ret)
{
	const char *policy = advice_policy_name(own->policy);
	const char *rival = advice_policy_name(own->rival);

	switch (ret->kind) {
	case ADVICE_QEMU_DIFFERS:
		say_differs(own, version, ret);
		return;
	case ADVICE_QEMU_AGREES:
		SAY(ret->note,
		    "%s confirms it: through it, %s is %s %s %s (%s, %zu "
		    "rounds).",
		    version, policy, advice_change(ret->ratio).text,
		    than(ret->ratio), rival,
		    advice_range(ret->ratio, ret->lo, ret->hi).text,
		    ret->rounds);
		return;
	case ADVICE_QEMU_SAME:
		SAY(ret->note,
		    "Through %s, %s and %s are within %g %% of each other "
		    "(%zu rounds).",
		    version, policy, rival, 100 * margin, ret->rounds);
		return;
	case ADVICE_QEMU_NO_BETTER:
		say_no_better(own, cheaper, version, margin, ret);
		return;
	case ADVICE_QEMU_CANNOT_TELL:
		SAY(ret->note,
		    "Through %s it cannot be told whether %s and %s differ by "
		    "%g %%: round by round, %s is %s (%s, %zu rounds).",
		    version, policy, rival, 100 * margin, policy,
		    advice_change(ret->ratio).text,
		    advice_range(ret->ratio, ret->lo, ret->hi).text,
		    ret->rounds);
		return;
	case ADVICE_QEMU_TOO_FEW:
		break;
	}
	SAY(ret->note,
	    "Not confirmed through %s: %zu whole rounds of it, and it takes "
	    "6.",
	    version, ret->rounds);
}

void
advice_qemu_of(const struct rows *trials, const struct advice *own,
	       const struct advice *cheaper, const char *version, double margin,
	       struct advice_qemu *ret)
{
	struct rank_shift shift = {0};

	*ret = (struct advice_qemu){
		.policy = own->policy, .ratio = 1, .lo = 1, .hi = 1};
	if (compare(trials, own, &shift)) {
		ret->rounds = shift.n;
		ret->ratio = exp(shift.hl);
		ret->kind = judge(&shift, margin, own->policy > own->rival);
	}
	if (shift.has_interval) {
		ret->lo = exp(shift.lo);
		ret->hi = exp(shift.hi);
	}
	say(own, cheaper, version, margin, ret);
}
