/* SPDX-License-Identifier: MIT */
#include "harness/run_qemu.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/advice_qemu.h"
#include "harness/cells.h"
#include "harness/clock.h"
#include "harness/stop.h"
#include "harness/table.h"
#include "harness/targets/qemu.h"

/* The fewest that have a 95 % interval. */
#define ROUNDS 6

/* Against the engine in process: a socket, two more processes, a cold start. */
#define SLOWER 1.5

/* Of each configuration: qemu-img, qemu-nbd, and our process. */
#define PROCESSES_S 0.2

/* When the rounds of a quick run have to be over: what is written and drawn
 * after them fits into three minutes. */
#define QUICK_S (RUN_QUICK_S + 5)

#define MARGIN 0.05

#define CONFIGS 3
#define RAW     "qemu-raw-written"

/* A suite that is put together at run time; the plan points into it. */
struct qemu_suite {
	char labels[2][32];
	struct config configs[CONFIGS];
	struct pass passes[2];
	struct suite suite;
	struct plan plan;
};

/* ---- whether ----------------------------------------------------------- */

void
run_qemu_look(struct run *run)
{
	struct run_qemu *q = &run->qemu;
	struct q2_err err;

	if (!run->plan.suite->advice || run->plan.rounds < ROUNDS)
		return;
	if (run->args.no_qemu) {
		(void)snprintf(q->why_not, sizeof(q->why_not), "--no-qemu");
		return;
	}
	if (qemu_check(q->version, &err) == 0)
		q->wanted = true;
	else
		(void)snprintf(q->why_not, sizeof(q->why_not), "%s", err.text);
	if (!q->version[0])
		(void)snprintf(q->version, sizeof(q->version), "QEMU");
}

static const struct pass *
find_pass(const struct plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->npasses; i++) {
		if (strcmp(plan->passes[i].pass->name, name) == 0)
			return plan->passes[i].pass;
	}
	return NULL;
}

/* Of what two passes took the slowest configuration, for all of them. */
static double
worst_round_s(const struct rows *trials)
{
	double create_s = 0, write_s = 0;

	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];
		double s = record_real(t, TRIAL_duration_s);
		const char *pass = record_text(t, TRIAL_pass);

		if (strcmp(pass, "create") == 0 && s > create_s)
			create_s = s;
		if (strcmp(pass, "first-write") == 0 && s > write_s)
			write_s = s;
	}
	return SETTLE_QUIET_S +
	       CONFIGS * (create_s + write_s * SLOWER + PROCESSES_S);
}

double
run_qemu_round_s(const struct run *run, const struct rows *warm_up)
{
	return run->qemu.wanted ? worst_round_s(warm_up) : 0;
}

/* ---- the suite --------------------------------------------------------- */

static struct config
policy_config(enum advice_policy p, char label[32])
{
	static const enum q2_prealloc preallocs[] = {
		Q2_PREALLOC_OFF, Q2_PREALLOC_METADATA, Q2_PREALLOC_FALLOC,
		Q2_PREALLOC_FULL};

	(void)snprintf(label, 32, "qemu-%s", advice_policy_name(p));
	return (struct config){
		.label = label,
		.target = "qemu",
		.prealloc = preallocs[p],
		.cluster_size = 64 * KiB,
		.takes_all = p >= ADVICE_FALLOC,
	};
}

/* The cheaper of the two is what the other is compared with. */
static void
make_suite(struct qemu_suite *s, const struct plan *plan,
	   const struct advice *own)
{
	bool swap = own->rival < own->policy;

	s->configs[0] = (struct config){.label = RAW,
					.target = "qemu",
					.raw_state = "written",
					.takes_all = true};
	s->configs[1] = policy_config(swap ? own->rival : own->policy,
				      s->labels[0]);
	s->configs[2] = policy_config(swap ? own->policy : own->rival,
				      s->labels[1]);
	s->passes[0] = *find_pass(plan, "create");
	s->passes[1] = *find_pass(plan, "first-write");
	s->suite = (struct suite){
		.name = plan->suite->name,
		.question = plan->suite->question,
		.configs = s->configs,
		.nconfigs = CONFIGS,
		.passes = s->passes,
		.npasses = ARRAY_SIZE(s->passes),
		.reference = RAW,
		.margin = plan->suite->margin,
		.rounds = ROUNDS,
		.image_bytes = plan->suite->image_bytes,
		.requests = plan->suite->requests,
		.quick = &s->suite,
	};
}

static int
make_plan(struct qemu_suite *s, const struct run *run, const struct advice *own,
	  struct q2_err *err)
{
	const struct plan *plan = &run->plan;
	struct wishes wishes = {
		.suite = &s->suite,
		.quick = plan->quick,
		.seed = plan->seed,
		.disk_bytes = plan->disk_bytes,
		.slices = plan->slices,
		.aio = plan->aio,
		.cache = plan_cache_name(plan->cache),
	};

	if (!find_pass(plan, "create") || !find_pass(plan, "first-write"))
		return q2_fail(
			err, -EINVAL,
			"the suite has no pass create, or no first-write");
	make_suite(s, plan, own);
	plan_init(&s->plan, &wishes);
	s->plan.ops_per_s = plan->ops_per_s;
	s->plan.bytes_per_s = plan->bytes_per_s;
	return plan_resolve(&s->plan, plan->image_bytes, plan->requests, err);
}

/* ---- its rounds -------------------------------------------------------- */

static void
move_rows(struct rows *from, struct rows *to)
{
	for (size_t i = 0; i < from->n; i++)
		rows_add(to, from->v[i]);
	from->n = 0;
}

/* No rounds of QEMU is a reason to lose those that are done. */
static enum bench_exit
keep(struct run *run, struct round *round, enum bench_exit code,
     struct q2_err *err)
{
	struct run_qemu *q = &run->qemu;
	struct q2_err ignored;

	if (code != BENCH_OK) {
		(void)output_round(&run->out, &round->trials, &round->series,
				   true, err->text, &ignored);
		(void)snprintf(q->why_not, sizeof(q->why_not), "%.*s",
			       (int)sizeof(q->why_not) - 1, err->text);
		return code;
	}
	if (output_round(&run->out, &round->trials, &round->series, false, NULL,
			 err) < 0)
		return BENCH_ENVIRONMENT;
	progress_trials(&run->progress, &round->trials);
	move_rows(&round->trials, &q->trials);
	move_rows(&round->series, &run->series);
	return BENCH_OK;
}

/* A quick run has promised to be over soon. */
static bool
has_time(const struct run *run, double round_s, uint64_t rounds)
{
	return !run->plan.quick || run->args.rounds ||
	       clock_s() - run->began_s + round_s * (double)rounds < QUICK_S;
}

static enum bench_exit
do_rounds(struct run *run, const struct rounds *rounds, double round_s,
	  struct q2_err *err)
{
	enum bench_exit code = BENCH_OK;
	double began_s = clock_s();
	struct round round;

	run->progress.rounds = ROUNDS;
	run->progress.round_s = round_s;
	for (uint64_t i = 1; code == BENCH_OK && i <= ROUNDS; i++) {
		if (!has_time(run, round_s, ROUNDS - i + 1)) {
			(void)snprintf(run->qemu.why_not,
				       sizeof(run->qemu.why_not),
				       "no time is left for it in a quick run; "
				       "leave out --quick");
			break;
		}
		rounds_order(rounds->plan, i, &round);
		round.settled = run_settle(run);
		progress_round(&run->progress, i);
		code = round_run(rounds, &round, err);
		code = keep(run, &round, code, err);
		round_done(&round);
		workdir_empty(&run->work);
		round_s = (clock_s() - began_s) / (double)i;
	}
	return code;
}

enum bench_exit
run_qemu_rounds(struct run *run, struct q2_err *err)
{
	struct run_qemu *q = &run->qemu;
	struct advice_opts opts = {.margin = MARGIN, .quick = run->plan.quick};
	struct qemu_suite suite;
	struct rounds rounds;
	struct advice own;
	enum bench_exit code;
	struct q2_err why;

	if (!q->wanted)
		return BENCH_OK;
	if (run->kept) {
		(void)snprintf(q->why_not, sizeof(q->why_not),
			       "--keep leaves no room for it");
		return BENCH_OK;
	}
	advice_of(&run->trials, &opts, &own);
	if (own.kind < ADVICE_BETTER)
		return BENCH_OK;
	if (make_plan(&suite, run, &own, &why) < 0) {
		(void)snprintf(q->why_not, sizeof(q->why_not), "%s", why.text);
		return BENCH_OK;
	}
	progress_say(&run->progress, "through %s: %s and %s", q->version,
		     suite.labels[0], suite.labels[1]);
	rounds_init(&rounds, &suite.plan, &run->env, run->work.path);
	memcpy(rounds.run_id, run->rounds.run_id, sizeof(rounds.run_id));
	rounds.cache_asked = run->cache_asked;
	rounds.at_pass = run->rounds.at_pass;
	rounds.arg = run->rounds.arg;
	code = do_rounds(run, &rounds, worst_round_s(&run->trials), &why);
	if (code == BENCH_OK || code == BENCH_TRIAL || code == BENCH_NOTHING)
		return BENCH_OK;
	*err = why;
	return code;
}

/* ---- what comes of it -------------------------------------------------- */

void
run_qemu_cells(const struct run *run, struct rows *cells)
{
	struct cells_opts opts = {.reference = RAW, .margin = MARGIN};

	if (run->qemu.trials.n)
		cells_compute(&run->qemu.trials, &opts, cells);
}

void
run_qemu_table(const struct run *run, FILE *f)
{
	struct table_opts opts = {0};
	struct rows cells = {0};

	if (!run->qemu.trials.n)
		return;
	table_opts_for(f, &opts);
	run_qemu_cells(run, &cells);
	(void)fprintf(f,
		      "\nThrough %s (qemu-nbd on a private socket; compare "
		      "with each other only):\n",
		      run->qemu.version);
	table_print(f, &cells, &opts);
	rows_done(&cells);
}

void
run_qemu_advise(const struct run *run, struct advice *advice)
{
	const struct run_qemu *q = &run->qemu;
	struct advice_qemu a;
	char *note;

	if (advice->kind < ADVICE_BETTER || advice->nnotes == ADVICE_NOTES)
		return;
	note = advice->notes[advice->nnotes];
	if (q->why_not[0]) {
		(void)snprintf(note, sizeof(advice->notes[0]),
			       "Not confirmed through QEMU: %.400s.",
			       q->why_not);
		advice->nnotes++;
		return;
	}
	if (!q->wanted)
		return;
	advice_qemu_of(&q->trials, advice, q->version, MARGIN, &a);
	(void)snprintf(note, sizeof(advice->notes[0]), "%s", a.note);
	advice->nnotes++;
	if (!a.sentence[0])
		return;
	/* QEMU's order is beyond doubt: so much could be judged. */
	advice->exit_code = BENCH_OK;
	(void)snprintf(advice->sentence, sizeof(advice->sentence), "%s",
		       a.sentence);
}
