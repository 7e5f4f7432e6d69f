/* SPDX-License-Identifier: MIT */
#include "tests/aa/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/num.h"
#include "harness/probe.h"
#include "harness/settle.h"
#include "harness/stop.h"

void
die(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("aa: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	session_end(s);
	exit(stop_requested ? BENCH_INTERRUPTED : BENCH_ENVIRONMENT);
}

static void
look(struct session *s)
{
	char path[WORKDIR_PATH + 16];
	struct probe_opts opts = {.path = path, .cache = Q2_CACHE_NONE};
	struct q2_err err;

	(void)snprintf(path, sizeof(path), "%s/probe", s->work.path);
	if (workdir_free_bytes(s->work.path, &opts.most_bytes, &err) < 0 ||
	    probe_disk(&opts, &s->probe, &err) < 0)
		die(s, "%s", err.text);
}

void
session_begin(struct session *s, const struct session_opts *opts)
{
	struct q2_err err;

	*s = (struct session){.opts = *opts};
	if (stop_install(&err) < 0 || env_read(&s->env, opts->dir, &err) < 0 ||
	    workdir_make(&s->work, opts->dir, &err) < 0)
		die(s, "%s", err.text);
	if (!probe_has_direct(s->work.path))
		die(s, "%s has no O_DIRECT: name a disk with --dir", opts->dir);
	look(s);
}

void
session_end(struct session *s)
{
	workdir_done(&s->work, false);
}

void
design_init(struct session *s, struct design *d, const char *suite,
	    uint64_t slices, uint64_t seed)
{
	struct wishes wishes = {
		.suite = suites_find(suite),
		.quick = true,
		.seed = seed,
		.slices = slices,
	};
	struct q2_err err;
	uint64_t space;

	*d = (struct design){.trials = {0}};
	plan_init(&d->plan, &wishes);
	if (workdir_free_bytes(s->work.path, &space, &err) < 0 ||
	    plan_sizes(&d->plan, s->opts.image_size, s->opts.requests,
		       &s->probe, space, &err) < 0 ||
	    (s->opts.half && plan_resolve(&d->plan, d->plan.image_bytes / 2,
					  d->plan.requests / 2, &err) < 0))
		die(s, "%s", err.text);
	rounds_init(&d->rounds, &d->plan, &s->env, s->work.path);
	d->rounds.program = s->opts.program;
}

void
design_done(struct design *d)
{
	rows_done(&d->trials);
}

void
design_round(struct session *s, struct design *d, uint64_t number)
{
	enum bench_exit code;
	const struct disk_rates rates = {s->probe.iops, s->probe.bytes_per_s};
	struct round round;
	struct q2_err err;

	rounds_order(&d->plan, number ? number : 1, &round);
	round.number = number;
	round.settled = settle(s->work.path, &s->env.disks, &rates,
			       &stop_requested);
	code = round_run(&d->rounds, &round, &err);
	workdir_empty(&s->work);
	if (code != BENCH_OK) {
		round_done(&round);
		die(s, "%s", err.text);
	}
	for (size_t i = 0; number && i < round.trials.n; i++)
		rows_add(&d->trials, round.trials.v[i]);
	if (number)
		round.trials.n = 0;
	round_done(&round);
}
