/* SPDX-License-Identifier: MIT */
/*
 * rank.h - medians, paired ratios, and their exact intervals
 *
 * Distribution-free: nothing is assumed about the shape of the noise, only
 * that rounds are independent.  With few rounds the reachable confidence
 * levels are discrete: an interval is the narrowest that covers at least 95 %,
 * `coverage` says what it does cover (6 rounds: 96.9 %), and with fewer than
 * 6 there is none, never a narrower promise.  Intervals are not adjusted for
 * the number of comparisons.  Pure; used by cells.c, advice.c.
 */
#ifndef HARNESS_STATS_RANK_H
#define HARNESS_STATS_RANK_H

#include <stdbool.h>
#include <stddef.h>

#define RANK_ALPHA 0.05
#define RANK_MAX   4096 /* values in one estimate */

/* Two logs of ratios nearer than this are equal, and one this near to 0 is 0:
 * rounding, not measurement. */
#define RANK_TIE 1e-12

/* The middle value, or the mean of the middle two; n > 0. */
double rank_median(const double *x, size_t n);

/* Median of |x - median|, not scaled. */
double rank_mad(const double *x, size_t n);

/*
 * Rank k such that [x(k), x(n+1-k)] covers the median with at least 1 - alpha:
 * the largest k with 2 P(Bin(n, 1/2) <= k-1) <= alpha, 0 if there is none
 * (David and Nagaraja, Order Statistics, 7.1).  *ret_coverage is what it
 * covers; written if k > 0.
 */
size_t rank_median_k(size_t n, double alpha, double *ret_coverage);

/* The same for the Walsh averages: W(k) .. W(N+1-k) of N = n(n+1)/2, from the
 * exact distribution of Wilcoxon's signed-rank sum (Hollander, Wolfe and
 * Chicken, Nonparametric Statistical Methods, 3.3). */
size_t rank_walsh_k(size_t n, double alpha, double *ret_coverage);

struct rank_median {
	size_t n;
	double median, mad, min, max;
	bool has_interval;
	double lo, hi, coverage;
};

/* n > 0 */
void rank_median_of(const double *x, size_t n, struct rank_median *ret);

/* Log-ratios: a difference of 0.05 is a factor of exp(0.05). */
struct rank_shift {
	size_t n;
	double hl; /* Hodges-Lehmann: the median of the Walsh averages */
	double sd; /* standard deviation, n-1; 0 if n < 2 */
	double min, max;
	bool has_interval;
	double lo, hi, coverage;
	double p; /* two-sided, <= 0.05 exactly when the interval excludes 0 */
};

/* Centre of x with the exact signed-rank interval; n > 0.  Ties and zeros stay
 * in, so the closed interval covers at least its nominal share. */
void rank_shift_of(const double *x, size_t n, struct rank_shift *ret);

/* The same for ln(contender[i]) - ln(baseline[i]), pairs of one round; all
 * values > 0. */
void rank_ratio_of(const double *baseline, const double *contender, size_t n,
		   struct rank_shift *ret);

#endif
