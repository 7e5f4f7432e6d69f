/* SPDX-License-Identifier: MIT */
/* verdict.c - from an interval and a margin to a word; see verdict.h */
#include "harness/stats/verdict.h"

#include <assert.h>
#include <math.h>

#include "engine/base/num.h"

static const struct {
	const char *word, *plain;
} words[] = {
	[VERDICT_REGRESSION] = {"regression", "slower"},
	[VERDICT_IMPROVEMENT] = {"improvement", "faster"},
	[VERDICT_SAME] = {"same", "same"},
	[VERDICT_MINOR] = {"minor", "different, perhaps by less"},
	[VERDICT_CANNOT_TELL] = {"cannot_tell", "cannot tell"},
};

const char *
verdict_word(enum verdict v)
{
	return words[v].word;
}

const char *
verdict_plain(enum verdict v)
{
	return words[v].plain;
}

enum verdict
verdict_of(double lo, double hi, double margin, bool lower_is_better)
{
	double low = expm1(lower_is_better ? -hi : lo);
	double high = expm1(lower_is_better ? -lo : hi);

	/* An end that touches a limit has not crossed it, whatever the last
	 * bit of the logarithm says. */
	if (high < -margin - RANK_TIE)
		return VERDICT_REGRESSION;
	if (low > margin + RANK_TIE)
		return VERDICT_IMPROVEMENT;
	if (low >= -margin - RANK_TIE && high <= margin + RANK_TIE)
		return VERDICT_SAME;
	if (low > RANK_TIE || high < -RANK_TIE)
		return VERDICT_MINOR;
	return VERDICT_CANNOT_TELL;
}

enum verdict
verdict_of_shift(const struct rank_shift *shift, double margin,
		 bool lower_is_better)
{
	if (!shift->has_interval)
		return VERDICT_CANNOT_TELL;
	return verdict_of(shift->lo, shift->hi, margin, lower_is_better);
}

/* c of 1 - (1 - margin) exp(-c sd), from 100,000 simulated runs for each n.
 * Between them linear in 1 / sqrt(n - 2), as the width of the interval is. */
static double
mde_factor(size_t n)
{
	static const struct {
		double n, c;
	} known[] = {{6, 1.79}, {8, 1.25}, {10, 1.02}, {12, 0.93}, {20, 0.68}};
	size_t i = 1;
	double x = 1 / sqrt((double)n - 2), x0, x1;

	if (n >= 20)
		return known[4].c * x * sqrt(18);
	while (known[i].n < (double)n)
		i++;
	x0 = 1 / sqrt(known[i - 1].n - 2);
	x1 = 1 / sqrt(known[i].n - 2);
	return known[i].c +
	       (known[i - 1].c - known[i].c) * (x - x1) / (x0 - x1);
}

double
verdict_mde(size_t n, double sd, double margin)
{
	assert(n >= 6);
	return 1 - (1 - margin) * exp(-mde_factor(n) * sd);
}

size_t
verdict_rounds_for(double sd, double diff)
{
	double n;

	assert(diff > 0);
	n = ceil(7.85 * (sd / diff) * (sd / diff) + 2);
	if (n < 6)
		return 6;
	return n > 1e6 ? 1000000 : (size_t)n;
}

double
stall_share(const double *turn_s, size_t n)
{
	double middle = rank_median(turn_s, n), total = 0, lost = 0;

	for (size_t i = 0; i < n; i++) {
		total += turn_s[i];
		if (turn_s[i] > 3 * middle)
			lost += turn_s[i] - middle;
	}
	return total > 0 ? lost / total : 0;
}
