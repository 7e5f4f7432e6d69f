/* SPDX-License-Identifier: MIT */
/* rank.c - medians, paired ratios, and their exact intervals; see rank.h */
#include "harness/stats/rank.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

static int
compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Memory for n doubles; a harness without memory has nothing to report. */
static double *
doubles_new(size_t n)
{
	double *v = calloc(n, sizeof(*v));

	if (!v)
		abort();
	return v;
}

static double *
sorted_copy(const double *x, size_t n)
{
	double *v = doubles_new(n);

	memcpy(v, x, n * sizeof(*v));
	qsort(v, n, sizeof(*v), compare_double);
	return v;
}

static double
median_of_sorted(const double *v, size_t n)
{
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double
rank_median(const double *x, size_t n)
{
	Q2_AUTO_FREE double *v = NULL;

	assert(n > 0);
	v = sorted_copy(x, n);
	return median_of_sorted(v, n);
}

double
rank_mad(const double *x, size_t n)
{
	Q2_AUTO_FREE double *dev = doubles_new(n);
	double middle = rank_median(x, n);

	for (size_t i = 0; i < n; i++)
		dev[i] = fabs(x[i] - middle);
	return rank_median(dev, n);
}

/*
 * Largest k with 2 P(S <= k-1) <= alpha, where prob[s] = P(S = s); 0 if there
 * is none.  prob holds the exact binary fractions for n up to 53 and is good
 * to the last digits beyond.
 */
static size_t
tail_rank(const double *prob, size_t size, double alpha, double *ret_coverage)
{
	double sum = 0;
	size_t k = 0;

	while (k < size && 2 * (sum + prob[k]) <= alpha)
		sum += prob[k++];
	if (k)
		*ret_coverage = 1 - 2 * sum;
	return k;
}

/* Add one more weight, taken or not with probability 1/2, to the distribution
 * of a sum that so far reaches top. */
static void
convolve_half(double *prob, size_t top, size_t weight)
{
	for (size_t s = top + weight + 1; s-- > 0;) {
		double with = s >= weight ? prob[s - weight] : 0;
		double without = s <= top ? prob[s] : 0;

		prob[s] = (with + without) / 2;
	}
}

size_t
rank_median_k(size_t n, double alpha, double *ret_coverage)
{
	Q2_AUTO_FREE double *prob = doubles_new(n + 1);

	assert(n <= RANK_MAX);
	prob[0] = 1;
	for (size_t i = 0; i < n; i++)
		convolve_half(prob, i, 1);
	return tail_rank(prob, n + 1, alpha, ret_coverage);
}

/*
 * P(V = s) of Wilcoxon's signed-rank sum of n values: V adds each of 1 .. n or
 * not.  The last one is kept, because all metrics of a run have the same n and
 * it takes n^3 steps.  Valid until the
 * thread's next call.
 */
static const double *
signed_rank_distribution(size_t n)
{
	static _Thread_local double *prob;
	static _Thread_local size_t kept;
	size_t top = 0;

	if (prob && kept == n)
		return prob;
	free(prob);
	prob = doubles_new(n * (n + 1) / 2 + 1);
	kept = n;
	prob[0] = 1;
	for (size_t w = 1; w <= n; w++) {
		convolve_half(prob, top, w);
		top += w;
	}
	return prob;
}

size_t
rank_walsh_k(size_t n, double alpha, double *ret_coverage)
{
	assert(n <= RANK_MAX);
	return tail_rank(signed_rank_distribution(n), n * (n + 1) / 2 + 1,
			 alpha, ret_coverage);
}

void
rank_median_of(const double *x, size_t n, struct rank_median *ret)
{
	Q2_AUTO_FREE double *v = NULL;
	size_t k;

	assert(n > 0);
	memset(ret, 0, sizeof(*ret));
	v = sorted_copy(x, n);
	ret->n = n;
	ret->median = median_of_sorted(v, n);
	ret->mad = rank_mad(x, n);
	ret->min = v[0];
	ret->max = v[n - 1];
	k = rank_median_k(n, RANK_ALPHA, &ret->coverage);
	if (k == 0)
		return;
	ret->has_interval = true;
	ret->lo = v[k - 1];
	ret->hi = v[n - k];
}

/* All (x[i] + x[j]) / 2 with i <= j, sorted.  The caller frees it. */
static double *
walsh_averages(const double *x, size_t n)
{
	size_t count = n * (n + 1) / 2, at = 0;
	double *w = doubles_new(count);

	for (size_t i = 0; i < n; i++)
		for (size_t j = i; j < n; j++)
			w[at++] = (x[i] + x[j]) / 2;
	qsort(w, count, sizeof(*w), compare_double);
	return w;
}

/*
 * min(1, 2 P(V <= min(#W > 0, #W < 0) + #W = 0)) over the Walsh averages W:
 * the p value that is at most alpha exactly when the interval excludes 0.
 */
static double
walsh_p(const double *w, size_t count, const double *prob)
{
	size_t above = 0, below = 0, at;
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		above += w[i] > RANK_TIE;
		below += w[i] < -RANK_TIE;
	}
	at = (above < below ? above : below) + (count - above - below);
	for (size_t s = 0; s <= at; s++)
		sum += prob[s];
	return 2 * sum < 1 ? 2 * sum : 1;
}

static double
standard_deviation(const double *x, size_t n)
{
	double mean = 0, squares = 0;

	if (n < 2)
		return 0;
	for (size_t i = 0; i < n; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	return sqrt(squares / (double)(n - 1));
}

void
rank_shift_of(const double *x, size_t n, struct rank_shift *ret)
{
	Q2_AUTO_FREE double *w = NULL;
	const double *prob;
	size_t count = n * (n + 1) / 2, k;

	assert(n > 0 && n <= RANK_MAX);
	memset(ret, 0, sizeof(*ret));
	w = walsh_averages(x, n);
	prob = signed_rank_distribution(n);
	ret->n = n;
	ret->hl = median_of_sorted(w, count);
	ret->sd = standard_deviation(x, n);
	ret->min = w[0];
	ret->max = w[count - 1];
	ret->p = walsh_p(w, count, prob);
	k = tail_rank(prob, count + 1, RANK_ALPHA, &ret->coverage);
	if (k == 0)
		return;
	ret->has_interval = true;
	ret->lo = w[k - 1];
	ret->hi = w[count - k];
}

void
rank_ratio_of(const double *baseline, const double *contender, size_t n,
	      struct rank_shift *ret)
{
	Q2_AUTO_FREE double *x = doubles_new(n ? n : 1);

	/* The difference of logs is exactly antisymmetric; the log of the
	 * ratio is not. */
	for (size_t i = 0; i < n; i++) {
		assert(baseline[i] > 0 && contender[i] > 0);
		x[i] = log(contender[i]) - log(baseline[i]);
	}
	rank_shift_of(x, n, ret);
}
