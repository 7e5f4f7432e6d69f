/* SPDX-License-Identifier: MIT */
#include "harness/guard.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/clock.h"
#include "harness/env_sys.h"

#define LOOK_S        0.2 /* before the canary */
#define LOOK_NODISK_S 0.1
#define PAUSE_S       0.02

/* MAD times this estimates a normal distribution's standard deviation. */
#define MAD_TO_SD 1.4826

/* ---- counters ---------------------------------------------------------- */

bool
guard_parse_stat(const char *line, struct cpu_count *ret)
{
	uint64_t v[8];

	/* user nice system idle iowait irq softirq steal; guests are in
	 * user. */
	if (sscanf(line,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		return false;
	ret->busy = v[0] + v[1] + v[2] + v[5] + v[6];
	ret->steal = v[7];
	ret->all = ret->busy + v[3] + v[4] + v[7];
	return true;
}

static double
own_cpu_s(void)
{
	static const int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
	struct rusage u;
	double s = 0;

	for (size_t i = 0; i < ARRAY_SIZE(who); i++) {
		if (getrusage(who[i], &u) == 0)
			s += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
			     (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) *
				     1e-6;
	}
	return s;
}

struct moment {
	double at_s, own_s;
	bool has_disk, has_cpu;
	struct disk_count disk;
	struct cpu_count cpu;
};

static void
note(const struct guard *g, struct moment *m)
{
	char line[256];

	m->has_cpu = sys_line(g->root, "/proc/stat", line, sizeof(line)) >= 0 &&
		     guard_parse_stat(line, &m->cpu);
	m->has_disk = disk_stat_read(g->disks, &m->disk);
	m->own_s = own_cpu_s();
	m->at_s = clock_s();
}

/* ---- a window ---------------------------------------------------------- */

void
guard_init(struct guard *g, const struct disks *disks, const char *dir,
	   unsigned cpus)
{
	static const struct disks none = {.n = 0};

	*g = (struct guard){
		.disks = dir ? disks : &none,
		.root = "",
		.cpus = cpus > 0 ? cpus : 1,
	};
	/* Memory has no canary of its own: it is the processor's. */
	canary_init(&g->canary, g->disks->n > 0 ? dir : NULL);
}

void
guard_done(struct guard *g)
{
	canary_done(&g->canary);
}

static void
stay_idle(double seconds, const volatile bool *stop)
{
	const struct timespec pause = {.tv_nsec = (long)(PAUSE_S * 1e9)};
	double end = clock_s() + seconds;

	while (!*stop && clock_s() < end)
		(void)nanosleep(&pause, NULL);
}

double
guard_look_s(bool disk)
{
	return (disk ? LOOK_S : LOOK_NODISK_S) + canary_sing_s(disk);
}

double
guard_begin_s(bool disk)
{
	return canary_init_s(disk) + guard_look_s(disk);
}

static uint64_t
less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

struct guard_window
guard_look(struct guard *g, const volatile bool *stop)
{
	double tick_s = 1.0 / (double)sysconf(_SC_CLK_TCK), busy_s;
	struct moment from, to;
	struct guard_window w = {0};

	note(g, &from);
	stay_idle(g->disks->n > 0 ? LOOK_S : LOOK_NODISK_S, stop);
	w.canary = canary_sing(&g->canary);
	note(g, &to);
	w.seconds = to.at_s - from.at_s;
	w.has_disk = from.has_disk && to.has_disk;
	w.has_cpu = from.has_cpu && to.has_cpu;
	if (w.has_disk) {
		w.ops = less(to.disk.ops - from.disk.ops,
			     g->canary.fd >= 0 ? g->canary.reads : 0);
		w.bytes = less(to.disk.bytes - from.disk.bytes,
			       canary_bytes(&g->canary));
	}
	if (w.has_cpu) {
		w.steal_ticks = (double)less(to.cpu.steal, from.cpu.steal);
		w.all_ticks = (double)less(to.cpu.all, from.cpu.all);
		busy_s = (double)less(to.cpu.busy, from.cpu.busy) * tick_s -
			 (to.own_s - from.own_s);
		w.foreign_cpu = busy_s > 0 ? busy_s / w.seconds : 0;
	}
	return w;
}

/* ---- judgement --------------------------------------------------------- */

static void
blame(struct guard_verdict *v, const char *text)
{
	size_t used = strlen(v->why);

	v->contaminated = true;
	(void)snprintf(v->why + used, sizeof(v->why) - used, "%s%.80s",
		       used ? ", " : "", text);
}

/* Time against the median; the ratio further from 1 stays. */
static void
judge_canary(double s, const struct canary_norm *norm, const char *what,
	     struct guard_verdict *v, bool *blamed)
{
	double ratio, limit;
	char text[96];

	if (s <= 0 || norm->median_s <= 0)
		return;
	ratio = s / norm->median_s;
	if (fabs(log(ratio)) > fabs(log(v->canary_ratio)))
		v->canary_ratio = ratio;
	limit = 3 * MAD_TO_SD * norm->mad_s / norm->median_s;
	if (limit < GUARD_CANARY)
		limit = GUARD_CANARY;
	if (fabs(log(ratio)) <= log(1 + limit) || *blamed)
		return;
	*blamed = true;
	/* From twice on, a factor is easier to hear than a percentage. */
	if (ratio >= 2)
		(void)snprintf(text, sizeof(text),
			       "%s %.1f times as slow as usual", what, ratio);
	else
		(void)snprintf(text, sizeof(text), "%s %.0f %% %s than usual",
			       what, fabs(ratio - 1) * 100,
			       ratio > 1 ? "slower" : "faster");
	blame(v, text);
}

static void
judge_disk(const struct guard_window *w, const struct guard_usual *usual,
	   struct guard_verdict *v, bool *blamed)
{
	double share = disk_share(w->ops, w->bytes, w->seconds,
				  usual->rates.iops, usual->rates.bytes_per_s);
	char text[96];

	if (!w->has_disk)
		return;
	v->has_disk = true;
	v->foreign_bytes += w->bytes;
	if (share <= QUIET_SHARE || *blamed)
		return;
	*blamed = true;
	(void)snprintf(text, sizeof(text),
		       "others used %.0f %% of the disk (%.1f MiB/s by %.0f "
		       "requests/s)",
		       fmin(share, 1) * 100,
		       (double)w->bytes / w->seconds / MiB,
		       (double)w->ops / w->seconds);
	blame(v, text);
}

static void
judge_cpu(const struct guard_window *w, const struct guard_usual *usual,
	  struct guard_verdict *v, bool *blamed)
{
	double limit = usual->cpus * 0.25;
	char text[96];

	if (limit < GUARD_FOREIGN_CPU)
		limit = GUARD_FOREIGN_CPU;
	if (!w->has_cpu || w->foreign_cpu <= limit || *blamed)
		return;
	*blamed = true;
	(void)snprintf(text, sizeof(text), "others used %.1f of %u CPUs",
		       w->foreign_cpu, usual->cpus);
	blame(v, text);
}

void
guard_judge(const struct guard_window *before, const struct guard_window *after,
	    const struct guard_usual *usual, struct guard_verdict *ret)
{
	const struct guard_window *const windows[] = {before, after};
	bool disk = false, cpu = false, spin = false, reads = false;
	double steal = 0, all = 0;
	char text[64];

	*ret = (struct guard_verdict){.canary_ratio = 1};
	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		const struct guard_window *w = windows[i];

		judge_disk(w, usual, ret, &disk);
		judge_cpu(w, usual, ret, &cpu);
		judge_canary(w->canary.cpu_s, &usual->cpu, "the processor was",
			     ret, &spin);
		judge_canary(w->canary.io_s, &usual->io, "the disk was", ret,
			     &reads);
		if (w->has_cpu) {
			steal += w->steal_ticks;
			all += w->all_ticks;
		}
	}
	ret->has_cpu = all > 0;
	if (all > 0)
		ret->steal_pct = 100 * steal / all;
	if (ret->steal_pct > GUARD_STEAL_PCT) {
		(void)snprintf(text, sizeof(text),
			       "the hypervisor stole %.1f %%", ret->steal_pct);
		blame(ret, text);
	}
}

void
guard_round(const struct guard *g, const struct disk_rates *rates,
	    const struct guard_window *before, const struct guard_window *after,
	    struct guard_verdict *ret)
{
	struct guard_usual usual = {.rates = *rates, .cpus = g->cpus};

	canary_norms(&g->canary, &usual.cpu, &usual.io);
	guard_judge(before, after, &usual, ret);
}

uint64_t
guard_redo_most(uint64_t rounds)
{
	return max_u64(1, rounds / 6);
}
