/* SPDX-License-Identifier: MIT */
/*
 * pairwise.c - covering arrays, greedily
 *
 * Of all valid rows the one is taken in which most pairs meet that have not
 * met yet, until there is none; of equals one by chance.  Of a few tries the
 * shortest is kept.  The product of all factors is small enough to be looked
 * at as a whole.
 */
#include "tests/interop/pairwise.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"

#define TRIES  4
#define VALUES (PAIRWISE_FACTORS * PAIRWISE_VALUES)

/* Which pairs have met; each value of each factor has a bit. */
struct met {
	uint64_t with[VALUES];
};

static_assert(VALUES <= 64, "a value has a bit of a word");

static unsigned
index_of(const struct pairwise_row *row, unsigned factor)
{
	return factor * PAIRWISE_VALUES + row->value[factor];
}

static unsigned
count_new(const struct pairwise *p, const struct met *met,
	  const struct pairwise_row *row)
{
	uint64_t all = 0;
	unsigned n = 0;

	for (unsigned f = 0; f < p->factors; f++)
		all |= UINT64_C(1) << index_of(row, f);
	for (unsigned f = 0; f < p->factors; f++) {
		unsigned at = index_of(row, f);

		/* with each value but itself; so each pair counts twice */
		n += (unsigned)__builtin_popcountll(all & ~met->with[at] &
						    ~(UINT64_C(1) << at));
	}
	return n / 2;
}

static void
meet(const struct pairwise *p, struct met *met, const struct pairwise_row *row)
{
	for (unsigned f = 0; f < p->factors; f++)
		for (unsigned g = 0; g < p->factors; g++)
			met->with[index_of(row, f)] |= UINT64_C(1)
						       << index_of(row, g);
}

/* To the next row of the product; false after the last. */
static bool
step(const struct pairwise *p, struct pairwise_row *row)
{
	for (unsigned f = p->factors; f-- > 0;) {
		if (++row->value[f] < p->values[f])
			return true;
		row->value[f] = 0;
	}
	return false;
}

static struct pairwise_row *
valid_rows(const struct pairwise *p, size_t *ret_n)
{
	struct pairwise_row row = {0}, *rows;
	size_t all = 1, n = 0;

	for (unsigned f = 0; f < p->factors; f++)
		all *= p->values[f];
	rows = calloc(all, sizeof(*rows));
	if (!rows)
		return NULL;
	do {
		if (p->is_valid(&row))
			rows[n++] = row;
	} while (step(p, &row));
	*ret_n = n;
	return rows;
}

static void
swap(struct pairwise_row *a, struct pairwise_row *b)
{
	struct pairwise_row old = *a;

	*a = *b;
	*b = old;
}

/* Moves the chosen rows, which it counts, to the front. */
static size_t
choose(const struct pairwise *p, struct pairwise_row *rows, size_t n)
{
	struct met met = {0};
	size_t chosen = 0;

	while (chosen < n) {
		unsigned most = 0;
		size_t best = 0;

		for (size_t i = chosen; i < n; i++) {
			unsigned k = count_new(p, &met, &rows[i]);

			if (k > most) {
				most = k;
				best = i;
			}
		}
		if (most == 0)
			break;
		meet(p, &met, &rows[best]);
		swap(&rows[best], &rows[chosen++]);
	}
	return chosen;
}

struct pairwise_row *
pairwise_rows(const struct pairwise *p, size_t *ret_n)
{
	struct rng rng = {.state = 1};
	struct pairwise_row *rows, *least;
	size_t n = 0, few = SIZE_MAX;

	rows = valid_rows(p, &n);
	least = calloc(n + 1, sizeof(*least));
	if (!rows || !least) {
		free(rows);
		free(least);
		return NULL;
	}
	for (unsigned try = 0; try < TRIES; try++) {
		size_t chosen;

		for (size_t i = n; i > 1; i--)
			swap(&rows[i - 1], &rows[rng_below(&rng, i)]);
		chosen = choose(p, rows, n);
		if (chosen >= few)
			continue;
		few = chosen;
		memcpy(least, rows, few * sizeof(*rows));
	}
	free(rows);
	*ret_n = few;
	return least;
}

size_t
pairwise_count(const struct pairwise_row *rows, size_t n, const unsigned f[2],
	       const unsigned value[2])
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += rows[i].value[f[0]] == value[0] &&
			 rows[i].value[f[1]] == value[1];
	return count;
}
