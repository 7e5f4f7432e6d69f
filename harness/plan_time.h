/* SPDX-License-Identifier: MIT */
/*
 * plan_time.h - how long a run takes: its rounds, and all that is around them
 *
 * After a round its files are removed, the disk settles and the guard looks;
 * before the first one there are a probe, two warm-up trials and the canary's
 * beginning; behind the last one QEMU is asked too, and results are written and
 * drawn.  What a wait takes is said where it is waited (settle.h, guard.h).
 *
 * Pure, as plan.h.
 */
#ifndef HARNESS_PLAN_TIME_H
#define HARNESS_PLAN_TIME_H

#include "harness/plan.h"

/* A quick run is planned to take no longer, all in all. */
#define PLAN_QUICK_S 165.0
/* Of it, results and plots at the end. */
#define PLAN_FINISH_S 5.0

/* The rounds through QEMU: the fewest that have a 95 % interval; raw, and two
 * policies. */
#define PLAN_QEMU_ROUNDS  6
#define PLAN_QEMU_CONFIGS 3

/* What one of them takes, where creation and first write take so long in
 * process. */
double plan_qemu_round_s(double create_s, double write_s);

/* Between two rounds: settling and looking. */
double plan_between_s(bool disk);

struct plan_time {
	double probe_s;
	double warm_up_s; /* two trials, and the canary's beginning */
	double round_s;   /* with what is between it and the next */
	double qemu_s;    /* all rounds through QEMU; 0: there are none */
	double finish_s;
	double seconds;    /* of the whole run */
	unsigned halvings; /* that round_s and qemu_s have in them */
};

/*
 * By the probe.  qemu: it is installed, and is asked where the suite wants that.
 * may_halve: the number of rounds was not asked for, so that a quick run that
 * would take too long makes its sizes smaller.
 */
struct plan_time plan_time(const struct plan *plan, const struct probe *probe,
			   bool qemu, bool may_halve);

/*
 * How often image and requests are halved until `rounds` rounds are predicted
 * to fit into budget_s, where round_s is what one round of the plan takes and
 * same_s of it does not depend on the sizes.  0: fits.
 */
unsigned plan_halvings(double round_s, double same_s, uint64_t rounds,
		       double budget_s);

/* Halve them so often, but for those that the user has asked for. */
int plan_halve(struct plan *plan, unsigned halvings, bool image, bool requests,
	       struct q2_err *err);

#endif
