/* SPDX-License-Identifier: MIT */
#include "harness/advice_price.h"

#include <math.h>

#include "engine/base/num.h"

/* Was creation measured at the size that the user wants? */
static bool
is_measured(const struct advice_case *c, enum advice_policy p)
{
	return c->disk_bytes == c->image_bytes ||
	       (c->opts->user_bytes && c->opts->create_user_s[p] >= 0);
}

static double
in_proportion(const struct advice_case *c, double of_image)
{
	return of_image * (double)c->disk_bytes / (double)c->image_bytes;
}

/* Creation of the disk that the user wants: measured, or in proportion. */
static double
create_seconds(const struct advice_case *c, enum advice_policy p)
{
	if (c->opts->user_bytes && c->opts->create_user_s[p] >= 0)
		return c->opts->create_user_s[p];
	return in_proportion(c, c->of[p].create_s);
}

/* The bytes that such a disk takes when it has been created: likewise. */
static double
alloc_bytes(const struct advice_case *c, enum advice_policy p)
{
	if (c->opts->user_bytes && c->opts->alloc_user_bytes[p] > 0)
		return c->opts->alloc_user_bytes[p];
	return in_proportion(c, c->of[p].alloc_bytes);
}

static double
seconds_per_byte(const struct advice_case *c, enum advice_policy p)
{
	return c->of[p].write_s / (double)c->write_bytes;
}

/* To create the disk and to write all of it for the first time. */
static double
sum_seconds(const struct advice_case *c, enum advice_policy p)
{
	return create_seconds(c, p) + seconds_per_byte(c, p) * c->first_bytes;
}

/* Bytes of first writes after which p has saved what its creation took longer
 * than that of the cheaper one; negative: not known, or it saves nothing. */
static double
break_even_bytes(const struct advice_case *c, enum advice_policy p,
		 enum advice_policy cheaper)
{
	double extra_s = create_seconds(c, p) - create_seconds(c, cheaper);
	double saved = seconds_per_byte(c, cheaper) - seconds_per_byte(c, p);

	if (!(saved > 0) || !isfinite(extra_s))
		return -1;
	return fmax(extra_s, 0) / saved;
}

void
advice_set_price(struct advice_case *c, enum advice_policy p)
{
	c->disk_bytes = c->opts->user_bytes ? c->opts->user_bytes
					    : c->image_bytes;
	c->first_bytes = (double)c->disk_bytes;
	/* one request to a stride */
	if (c->stride_bytes)
		c->first_bytes *= (double)c->bs_bytes / (double)c->stride_bytes;
	c->off_s = create_seconds(c, ADVICE_OFF);
	c->price_s = create_seconds(c, p);
	c->price_computed = !is_measured(c, p);
	/* fallocate takes about as long for any size: in proportion is a
	 * bound. */
	c->price_at_most = c->price_computed && p == ADVICE_FALLOC &&
			   !c->of[p].emulated;
	c->price_bytes = alloc_bytes(c, p);
}

/* Of off and the policies that are faster than it beyond doubt, the one with
 * the least time in all. */
static void
find_payer(struct advice_case *c, enum advice_policy dearest)
{
	c->payer = ADVICE_OFF;
	for (int p = ADVICE_METADATA; p < (int)dearest; p++) {
		if (c->of[p].beats[ADVICE_OFF] &&
		    sum_seconds(c, (enum advice_policy)p) <
			    sum_seconds(c, c->payer))
			c->payer = (enum advice_policy)p;
	}
	c->payer_bytes = break_even_bytes(c, c->payer, ADVICE_OFF);
}

void
advice_find_price(struct advice_case *c, struct advice *ret)
{
	enum advice_policy won = ret->policy;
	double most = -1;

	advice_set_price(c, won);
	for (int p = ADVICE_OFF; p < (int)won; p++) {
		double bytes;

		if (!c->of[won].beats[p])
			continue;
		bytes = break_even_bytes(c, won, (enum advice_policy)p);
		if (bytes <= most)
			continue;
		most = bytes;
		c->against = (enum advice_policy)p;
	}
	if (most >= 0)
		ret->break_even_gib = most / (double)GiB;
	ret->never_pays = most > c->first_bytes;
	if (ret->never_pays)
		find_payer(c, won);
}
