/* SPDX-License-Identifier: MIT */
/*
 * pairwise.c - covering arrays, greedily
 *
 * A row begins with a pair that has not met yet.  Its other factors get their
 * values in an order by chance, each the one that meets most of the values
 * chosen before for the first time; what leads to no valid row is taken back.
 * Of a few such rows the one with most new pairs is taken, and of a few arrays
 * the shortest (Cohen and others, 1997).
 */
#include "tests/interop/pairwise.h"

#include <stdlib.h>
#include <string.h>

#define ARRAYS     20
#define CANDIDATES 50

/* Every pair of values of two factors. */
#define PAIRS                                                              \
	(PAIRWISE_FACTORS * (PAIRWISE_FACTORS - 1) / 2 * PAIRWISE_VALUES * \
	 PAIRWISE_VALUES)

struct pair {
	uint8_t f, a, g, b; /* value a of factor f, and b of g */
};

struct maker {
	const struct pairwise *p;
	struct rng *rng;
	bool met[PAIRWISE_FACTORS][PAIRWISE_VALUES][PAIRWISE_FACTORS]
		[PAIRWISE_VALUES];
	struct pair missing[PAIRS];
	size_t n_missing;
};

/* Pairs of factor f with the other factors' values that are new. */
static unsigned
count_new(const struct maker *m, const struct pairwise_row *row, unsigned f)
{
	unsigned n = 0;

	for (unsigned g = 0; g < m->p->factors; g++)
		n += g != f && row->value[g] != PAIRWISE_ANY &&
		     !m->met[f][row->value[f]][g][row->value[g]];
	return n;
}

/* One of the factors that have no value yet; all have: the number of them. */
static unsigned
pick_factor(const struct maker *m, const struct pairwise_row *row)
{
	unsigned open = 0, f = 0;
	uint64_t skip;

	for (unsigned i = 0; i < m->p->factors; i++)
		open += row->value[i] == PAIRWISE_ANY;
	if (open == 0)
		return m->p->factors;
	skip = rng_below(m->rng, open);
	while (row->value[f] != PAIRWISE_ANY || skip-- > 0)
		f++;
	return f;
}

/* The values of factor f, those with most new pairs first, equals by chance. */
static void
rank_values(const struct maker *m, const struct pairwise_row *row, unsigned f,
	    uint8_t values[PAIRWISE_VALUES])
{
	struct pairwise_row with = *row;
	uint64_t rank[PAIRWISE_VALUES];

	for (unsigned v = 0; v < m->p->values[f]; v++) {
		unsigned at = v;
		uint64_t r;

		with.value[f] = (uint8_t)v;
		r = (uint64_t)count_new(m, &with, f) << 32 |
		    (rng_next(m->rng) >> 32);
		for (; at > 0 && rank[at - 1] < r; at--) {
			rank[at] = rank[at - 1];
			values[at] = values[at - 1];
		}
		rank[at] = r;
		values[at] = (uint8_t)v;
	}
}

/* Give values to all factors that have none; false: it cannot be, and the row
 * is as it was. */
static bool
complete(struct maker *m, struct pairwise_row *row)
{
	unsigned f = pick_factor(m, row);
	uint8_t values[PAIRWISE_VALUES] = {0};

	if (f == m->p->factors)
		return m->p->is_valid(row);
	rank_values(m, row, f, values);
	for (unsigned i = 0; i < m->p->values[f]; i++) {
		row->value[f] = values[i];
		if (m->p->is_valid(row) && complete(m, row))
			return true;
	}
	row->value[f] = PAIRWISE_ANY;
	return false;
}

static struct pairwise_row
empty_row(void)
{
	struct pairwise_row row;

	memset(row.value, PAIRWISE_ANY, sizeof(row.value));
	return row;
}

/* With one of the missing pairs.  If there can be none, the pair is no longer
 * missed. */
static bool
candidate(struct maker *m, struct pairwise_row *ret_row)
{
	size_t i = (size_t)rng_below(m->rng, m->n_missing);
	const struct pair *pair = &m->missing[i];
	struct pairwise_row row = empty_row();

	row.value[pair->f] = pair->a;
	row.value[pair->g] = pair->b;
	if (!m->p->is_valid(&row) || !complete(m, &row)) {
		m->missing[i] = m->missing[--m->n_missing];
		return false;
	}
	*ret_row = row;
	return true;
}

static void
meet(struct maker *m, const struct pairwise_row *row)
{
	size_t left = 0;

	for (unsigned f = 0; f < m->p->factors; f++)
		for (unsigned g = 0; g < m->p->factors; g++)
			m->met[f][row->value[f]][g][row->value[g]] = true;
	for (size_t i = 0; i < m->n_missing; i++) {
		struct pair pair = m->missing[i];

		if (!m->met[pair.f][pair.a][pair.g][pair.b])
			m->missing[left++] = pair;
	}
	m->n_missing = left;
}

static void
miss_all(struct maker *m)
{
	const struct pairwise *p = m->p;

	memset(m->met, 0, sizeof(m->met));
	m->n_missing = 0;
	for (uint8_t f = 0; f < p->factors; f++)
		for (uint8_t g = f + 1; g < p->factors; g++)
			for (uint8_t a = 0; a < p->values[f]; a++)
				for (uint8_t b = 0; b < p->values[g]; b++)
					m->missing[m->n_missing++] =
						(struct pair){f, a, g, b};
}

/* Returns how many; at most PAIRS. */
static size_t
make_array(struct maker *m, struct pairwise_row *rows)
{
	size_t n = 0;

	miss_all(m);
	while (m->n_missing > 0) {
		unsigned most = 0;

		for (unsigned i = 0; i < CANDIDATES && m->n_missing > 0; i++) {
			struct pairwise_row row;
			unsigned k = 0;

			if (!candidate(m, &row))
				continue;
			for (unsigned f = 0; f < m->p->factors; f++)
				k += count_new(m, &row, f);
			if (k > most) {
				most = k;
				rows[n] = row;
			}
		}
		if (most > 0)
			meet(m, &rows[n++]);
	}
	return n;
}

struct pairwise_row *
pairwise_rows(const struct pairwise *p, size_t *ret_n)
{
	struct rng rng = {.state = 1};
	struct maker *m = calloc(1, sizeof(*m));
	struct pairwise_row *rows = calloc(PAIRS, sizeof(*rows));
	struct pairwise_row *least = calloc(PAIRS, sizeof(*least));
	size_t few = PAIRS + 1;

	if (!m || !rows || !least) {
		free(m);
		free(rows);
		free(least);
		return NULL;
	}
	m->p = p;
	m->rng = &rng;
	for (unsigned i = 0; i < ARRAYS; i++) {
		size_t n = make_array(m, rows);

		if (n >= few)
			continue;
		few = n;
		memcpy(least, rows, n * sizeof(*rows));
	}
	free(m);
	free(rows);
	*ret_n = few;
	return least;
}

bool
pairwise_random(const struct pairwise *p, struct rng *rng,
		struct pairwise_row *ret_row)
{
	struct maker m = {.p = p, .rng = rng};
	struct pairwise_row row = empty_row();

	/* Where all pairs are new, the choice is by chance. */
	if (!complete(&m, &row))
		return false;
	*ret_row = row;
	return true;
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
