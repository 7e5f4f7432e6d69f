/* SPDX-License-Identifier: MIT */
#include "harness/turns.h"

#include <assert.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"

struct turns_cut
turns_cut(uint64_t ops, double ops_per_s, double turn_s, uint64_t least_ops)
{
	struct turns_cut cut = {.turns = 1, .slice_ops = ops};
	double want = ops_per_s > 0 ? (double)ops / (ops_per_s * turn_s) : 1;
	uint64_t most = ops / max_u64(least_ops, 1);

	assert(ops > 0);
	if (ops_per_s > 0 && want < TURNS_LEAST)
		want = TURNS_LEAST;
	if (want > (double)most)
		want = (double)most;
	if (want < 1.5)
		return cut;
	/* The nearest even number, at least 2. */
	cut.turns = max_u64(2, 2 * (uint64_t)(want / 2 + 0.5));
	cut.slice_ops = div_up(ops, cut.turns);
	/* Rounding up may leave nothing for the last turn. */
	cut.turns = div_up(ops, cut.slice_ops);
	return cut;
}

struct turns_cut
turns_cut_into(uint64_t ops, uint64_t turns)
{
	struct turns_cut cut;

	assert(ops > 0 && turns > 0);
	cut.slice_ops = div_up(ops, min_u64(turns, ops));
	/* Rounding up may leave nothing for the last ones. */
	cut.turns = div_up(ops, cut.slice_ops);
	return cut;
}

void
turns_init(struct turns *t, unsigned n, uint64_t turns, uint64_t seed)
{
	assert(n > 0 && n <= TURNS_MAX);
	*t = (struct turns){.n = n, .seed = seed, .left = turns * n};
}

static void
begin_cycle(struct turns *t)
{
	struct rng rng = {rng_derive(t->seed, t->cycle)};
	unsigned tmp, j;

	if (t->cycle & 1) {
		for (unsigned i = 0; i < t->n / 2; i++) {
			tmp = t->order[i];
			t->order[i] = t->order[t->n - 1 - i];
			t->order[t->n - 1 - i] = tmp;
		}
		return;
	}
	for (unsigned i = 0; i < t->n; i++)
		t->order[i] = i;
	for (unsigned i = t->n - 1; i > 0; i--) {
		j = (unsigned)rng_below(&rng, i + 1);
		tmp = t->order[i];
		t->order[i] = t->order[j];
		t->order[j] = tmp;
	}
}

bool
turns_next(struct turns *t, unsigned *ret_who)
{
	if (t->left == 0)
		return false;
	if (t->at == 0)
		begin_cycle(t);
	*ret_who = t->order[t->at];
	t->left--;
	if (++t->at == t->n) {
		t->at = 0;
		t->cycle++;
	}
	return true;
}
