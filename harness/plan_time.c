/* SPDX-License-Identifier: MIT */
#include "harness/plan_time.h"

#include <string.h>

#include "engine/base/num.h"
#include "harness/guard.h"
#include "harness/probe.h"
#include "harness/settle.h"

/* Besides what the probe tells: a process and a file for each trial. */
#define TRIAL_S 0.1

/* The first write of a block, against the next: 1.3 times (metadata) to 4 times
 * (off, and sparse files) as long on the disks that were measured. */
#define FIRST_WRITE 2.0

/* Through QEMU, against the engine in process: a socket, a cold start; and for
 * each configuration qemu-img, qemu-nbd, and our process. */
#define QEMU_SLOWER      1.5
#define QEMU_PROCESSES_S 0.2

/* What the warm-up may make of the sizes of a quick run. */
#define HALVED_REQUESTS_LEAST 32
#define HALVED_IMAGE_LEAST    (20 * MiB)
#define HALVINGS_MOST         3

double
plan_qemu_round_s(double create_s, double write_s)
{
	return SETTLE_QUIET_S +
	       PLAN_QEMU_CONFIGS *
		       (create_s + write_s * QEMU_SLOWER + QEMU_PROCESSES_S);
}

double
plan_between_s(bool disk)
{
	return SETTLE_QUIET_S + guard_look_s(disk);
}

/* ---- a round ----------------------------------------------------------- */

static bool
is_first_write(const struct plan *plan, size_t pass)
{
	const struct plan_pass *pp = &plan->passes[pass];

	return pp->pass->op == PASS_STREAM && pp->stream.write &&
	       pp->stream.order != STREAM_SEQ && pp->touch < 0;
}

/* Does it write blocks for the first time that its creation has not written? */
static bool
fills_holes(const struct plan *plan, size_t config, size_t pass)
{
	const struct config *c = plan->configs[config];

	return is_first_write(plan, pass) && plan_config_has_file(c) &&
	       !plan_writes_all(c);
}

static double
cell_s(const struct plan *plan, size_t config, size_t pass,
       const struct probe *probe)
{
	double s = plan_cell_s(plan, config, pass, probe);

	return fills_holes(plan, config, pass) ? s * FIRST_WRITE : s;
}

static double
trial_s(const struct plan *plan, size_t config, const struct probe *probe)
{
	double s = TRIAL_S +
		   (double)plan_prepare_bytes(plan, plan->configs[config]) /
			   probe->bytes_per_s;

	for (size_t p = 0; p < plan->npasses; p++)
		s += cell_s(plan, config, p, probe);
	return s;
}

/* Files are removed all at the same time: the one in most pieces takes as long
 * as all of them. */
static double
removal_s(const struct plan *plan, const struct probe *probe)
{
	uint64_t most = 0;

	for (size_t c = 0; c < plan->nconfigs; c++) {
		uint64_t extents = 0;

		for (size_t p = 0; p < plan->npasses; p++) {
			if (fills_holes(plan, c, p))
				extents += plan->passes[p].stream.ops;
		}
		most = max_u64(most, extents);
	}
	return (double)most * probe->removal_s;
}

/* Of a round, what does not depend on the sizes. */
static double
fixed_s(const struct plan *plan, const struct probe *probe)
{
	double s = plan_between_s(plan_has_files(plan)) +
		   TRIAL_S * (double)plan->nconfigs;

	for (size_t c = 0; c < plan->nconfigs; c++) {
		for (size_t p = 0; p < plan->npasses; p++) {
			if (plan->passes[p].pass->op == PASS_CREATE_DISK)
				s += cell_s(plan, c, p, probe);
		}
	}
	return s;
}

/* ---- all around -------------------------------------------------------- */

/* Two trials: one that writes the whole image and one that does not, so two of
 * the mean. */
static double
warm_up_s(const struct plan *plan, const struct probe *probe)
{
	bool disk = plan_has_files(plan);
	double all = 0, n = (double)plan->nconfigs;

	for (size_t c = 0; c < plan->nconfigs; c++)
		all += trial_s(plan, c, probe);
	return all / n * (n < 2 ? n : 2) + removal_s(plan, probe) +
	       SETTLE_QUIET_S + guard_begin_s(disk);
}

/* One round through QEMU, as if each of the three were the slowest. */
static double
qemu_round_s(const struct plan *plan, const struct probe *probe, double share)
{
	double create_s = 0, write_s = 0;

	for (size_t c = 0; c < plan->nconfigs; c++) {
		for (size_t p = 0; p < plan->npasses; p++) {
			const char *name = plan->passes[p].pass->name;
			double s = cell_s(plan, c, p, probe) * share;

			if (strcmp(name, "create") == 0 && s > create_s)
				create_s = s;
			if (strcmp(name, "first-write") == 0 && s > write_s)
				write_s = s;
		}
	}
	return plan_qemu_round_s(create_s, write_s) +
	       removal_s(plan, probe) * share;
}

struct plan_time
plan_time(const struct plan *plan, const struct probe *probe, bool qemu,
	  bool may_halve)
{
	bool files = plan_has_files(plan);
	bool asks = qemu && plan->suite->advice &&
		    plan->rounds >= PLAN_QEMU_ROUNDS;
	double fixed = fixed_s(plan, probe), share;
	struct plan_time t = {
		.probe_s = !files                  ? 0
			   : probe->duration_s > 0 ? probe->duration_s
						   : probe_usual_s(),
		.warm_up_s = warm_up_s(plan, probe),
		.round_s = plan_between_s(files) + removal_s(plan, probe),
		.finish_s = PLAN_FINISH_S,
	};

	for (size_t c = 0; c < plan->nconfigs; c++)
		t.round_s += trial_s(plan, c, probe);
	if (plan->quick && may_halve)
		t.halvings = plan_halvings(
			t.round_s + (asks ? qemu_round_s(plan, probe, 1) : 0),
			fixed, plan->rounds,
			PLAN_QUICK_S - PLAN_FINISH_S - t.probe_s - t.warm_up_s);
	share = 1.0 / (double)(1U << t.halvings);
	t.round_s = fixed + (t.round_s - fixed) * share;
	if (asks)
		t.qemu_s = PLAN_QEMU_ROUNDS * qemu_round_s(plan, probe, share);
	t.seconds = t.probe_s + t.warm_up_s + t.round_s * (double)plan->rounds +
		    t.qemu_s + t.finish_s;
	return t;
}

/* ---- halving ----------------------------------------------------------- */

unsigned
plan_halvings(double round_s, double same_s, uint64_t rounds, double budget_s)
{
	unsigned n = 0;

	while (n < HALVINGS_MOST && (double)rounds * round_s > budget_s) {
		round_s = same_s + (round_s - same_s) / 2;
		n++;
	}
	return n;
}

int
plan_halve(struct plan *plan, unsigned halvings, bool image, bool requests,
	   struct q2_err *err)
{
	uint64_t bytes = plan->image_bytes, n = plan->requests;

	/* What the probe has not chosen stays. */
	if (image && plan->suite->probe_image)
		bytes = max_u64(bytes >> halvings,
				min_u64(bytes, HALVED_IMAGE_LEAST));
	if (requests && plan->suite->probe_requests)
		n = max_u64(n >> halvings, min_u64(n, HALVED_REQUESTS_LEAST));
	return plan_resolve(plan, bytes, n, err);
}
