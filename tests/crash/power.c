/* SPDX-License-Identifier: MIT */
#include "tests/crash/power.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/backend.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/crash/power_config.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"
#include "tests/sim/sim.h"

#define DEPTH_MAX 10
/* Turns without a completed request before a run counts as hung. */
#define HUNG 100000

/* Requests of a first and of a second run. */
#define OPS_FIRST  40
#define OPS_SECOND 24

/* Requests between operations on snapshots, about, and how many there are. */
#define SNAPSHOT_EVERY 8
#define SNAPSHOTS_MAX  3

struct run {
	uint64_t seed;
	const struct canary *canary;
	uint64_t states_left;
	struct power_counts *counts;
	struct power_config cfg;
	struct rng rng, snapshot_rng;
	struct loop *plain; /* where states are looked at */
	uint8_t *buf;       /* a region */
	char *why;
	size_t why_bytes;
	bool bad;
};

/* A file on the recorder, and the image on it. */
struct session {
	struct run *run;
	struct sim_log log;
	struct oracle oracle;
	struct loop *loop;
	struct image *img;
	unsigned running;
	uint64_t start; /* tick: crashes begin here */
};

struct request {
	struct q2_req rq;
	struct iovec iov;
	struct session *s;
	size_t index; /* in the oracle */
	uint8_t *buf;
};

/* ---- reports ----------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3)))
complain(struct run *run, const char *fmt, ...)
{
	char config[512];
	va_list ap;
	int n;

	if (run->bad)
		return;
	run->bad = true;
	power_describe(&run->cfg, config, sizeof(config));
	n = snprintf(run->why, run->why_bytes,
		     "Q2_SEED=%" PRIu64 " replays it: %s\n", run->seed, config);
	va_start(ap, fmt);
	(void)vsnprintf(run->why + n, run->why_bytes - (size_t)n, fmt, ap);
	va_end(ap);
}

static unsigned
on_op(void *arg, const struct aio_op *op)
{
	struct session *s = arg;
	const struct canary *c = s->run->canary;

	return s->img && c && c->on_op ? c->on_op(s->img, op) : 0;
}

static struct sim_opts
quiet_opts(struct session *s)
{
	return (struct sim_opts){
		.log = &s->log, .on_op = on_op, .on_op_arg = s};
}

static int
start_loop(struct session *s)
{
	struct sim_opts opts = quiet_opts(s);
	struct q2_err err;

	sim_log_init(&s->log);
	opts.seed = rng_next(&s->run->rng);
	return loop_new_backend(sim_new(backend_memory_new(1, &err), &opts),
				NULL, &s->loop, &err);
}

static void
end_loop(struct session *s)
{
	loop_free(s->loop);
	sim_log_done(&s->log);
	oracle_done(&s->oracle);
}

static int
open_image(struct run *run, struct loop *loop, unsigned flags,
	   struct image **ret_img)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = "qcow2",
		.zero = run->cfg.zero,
		.cache = run->cfg.cache,
		.flags = flags | (run->cfg.unmap ? Q2_UNMAP : 0),
		.lazy_refcounts = run->cfg.lazy ? 1 : 0,
		.discard_no_unref = run->cfg.no_unref,
		.compress = run->cfg.compress,
		/* Two slices of each kind. */
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
		.refcount_cache_size = 1024,
		.key = run->cfg.crypt_method ? IMAGE_KEY : NULL,
		.key_len = strlen(IMAGE_KEY),
	};
	struct q2_image *img;
	struct q2_err err = {0};
	int r = q2_open((struct q2_loop *)loop, POWER_DISK, &opts, &img, &err);

	if (r < 0)
		complain(run, "the image does not open: %s", err.text);
	else
		*ret_img = (struct image *)img;
	return r;
}

static int
open_session(struct session *s)
{
	struct run *run = s->run;
	struct sim_opts opts = quiet_opts(s);
	int r;

	opts.delay_max = (unsigned)rng_below(&run->rng, 5);
	opts.linger = run->cfg.churn ? 40 : 150;
	opts.align = run->cfg.align;
	opts.is_block = run->cfg.device == DEVICE_BLOCK;
	s->start = s->log.now;
	sim_set_chances(s->loop, &opts);
	r = open_image(run, s->loop, 0, &s->img);
	if (r == 0 && run->canary && run->canary->opened)
		run->canary->opened(s->img);
	return r;
}

static void
add_stats(struct power_counts *c, const struct q2_stats *n)
{
	c->fast += n->fast_requests;
	c->slow += n->slow_requests;
	c->joins += n->alloc_join;
	c->copies += n->cow_write;
	c->freed += n->clusters_freed;
	c->table_grows += n->reftable_grow;
	c->blocks_made += n->refblock_alloc;
	c->evictions += n->l2_evictions;
	c->l2_made += n->l2_alloc;
}

static void
close_session(struct session *s)
{
	struct q2_err err = {0};
	struct image *img = s->img;

	add_stats(s->run->counts, &img->points.n);
	if (q2_close((struct q2_image *)img, &err) < 0)
		complain(s->run, "close: %s", err.text);
	s->img = NULL;
	oracle_closed(&s->oracle, s->log.now);
}

/* ---- requests ---------------------------------------------------------- */

static void
check_read(struct request *q)
{
	struct session *s = q->s;
	struct oracle *o = &s->oracle;
	struct view view = {.live = true, .seq = o->ops[q->index].seq_start};
	char why[4096];

	for (uint64_t at = 0; at < q->rq.len; at += CELL) {
		size_t cell = oracle_cell(o, q->rq.off + at);
		uint32_t id;

		if (!oracle_decode(q->buf + at, cell, &id))
			complain(s->run,
				 "a read found foreign bytes at 0x%" PRIx64,
				 q->rq.off + at);
		else if (!oracle_allows(o, cell, id, &view, why, sizeof(why)))
			complain(s->run, "a read: %s", why);
	}
}

static void
request_done(struct q2_req *rq)
{
	struct request *q = container_of(rq, struct request, rq);
	struct session *s = q->s;
	bool full = s->run->cfg.device == DEVICE_BLOCK && rq->result == -ENOSPC;
	/* A compressed cluster cannot take another's place. */
	bool taken = (rq->flags & Q2_COMPRESSED) && rq->result == -EIO;

	oracle_end(&s->oracle, q->index, rq->result, s->log.now);
	if (rq->result < 0 && !full && !taken)
		complain(s->run, "request %zu (op %d) failed: %s", q->index,
			 rq->op, strerror(-rq->result));
	s->run->counts->compressed += (rq->flags & Q2_COMPRESSED) &&
				      rq->result == 0;
	if (rq->op == Q2_READ && rq->result == 0)
		check_read(q);
	s->running--;
	free(q->buf);
	free(q);
}

/* Somewhere in a region: mostly small, on borders that some layer has. */
static void
choose_range(struct session *s, struct guest_op *op)
{
	static const uint64_t units[] = {CELL, 512, 512, 4096, 4096, 0};
	const struct regions *g = &s->run->cfg.regions;
	struct rng *rng = &s->run->rng;
	uint64_t unit = units[rng_below(rng, ARRAY_SIZE(units))];
	uint64_t max, at;

	/* Often where something was done just now, or still is. */
	if (s->oracle.n && rng_below(rng, 2)) {
		uint64_t back = rng_below(rng, min_u64(s->oracle.n, 6));
		const struct guest_op *old =
			&s->oracle.ops[s->oracle.n - 1 - back];

		if (old->len) {
			op->off = old->off;
			op->len = old->len;
			return;
		}
	}

	if (!unit)
		unit = UINT64_C(1) << s->run->cfg.cluster_bits;
	max = max_u64(1, min_u64(8, g->bytes / 2 / unit));
	op->len = (1 + rng_below(rng, max)) * unit;
	at = rng_below(rng, g->bytes / unit) * unit;
	op->len = min_u64(op->len, g->bytes - at);
	/* To the very end, now and then. */
	if (rng_below(rng, 16) == 0)
		at = g->bytes - op->len;
	op->off = rng_below(rng, g->n) * g->stride + at;
}

/* Whole clusters, or the end of the disk. */
static void
choose_clusters(struct session *s, struct guest_op *op)
{
	const struct power_config *cfg = &s->run->cfg;
	uint64_t cluster = UINT64_C(1) << cfg->cluster_bits;
	struct rng *rng = &s->run->rng;
	uint64_t n = cfg->regions.bytes / cluster;
	uint64_t region = rng_below(rng, cfg->regions.n);
	uint64_t at = rng_below(rng, n);

	op->off = region * cfg->regions.stride + at * cluster;
	op->len = (1 + rng_below(rng, min_u64(n - at, 4))) * cluster;
	if (rng_below(rng, 16) == 0) {
		op->off = (cfg->regions.n - 1) * cfg->regions.stride +
			  n * cluster;
		op->len = cfg->disk_bytes - op->off;
	}
	op->flags = Q2_COMPRESSED;
}

static struct guest_op
choose_op(struct session *s)
{
	struct rng *rng = &s->run->rng;
	uint64_t dice = rng_below(rng, 100);
	struct guest_op op = {.op = Q2_WRITE};

	if (dice < 10)
		return (struct guest_op){.op = Q2_FLUSH};
	choose_range(s, &op);
	if (dice < 18)
		op.op = Q2_READ;
	else if (dice < 30)
		op.op = Q2_ZERO;
	else if (dice < 36 || (s->run->cfg.churn && dice < 60))
		op.op = Q2_DISCARD;
	if (op.op == Q2_WRITE && !s->run->cfg.data_file &&
	    !s->run->cfg.crypt_method && rng_below(rng, 5) == 0)
		choose_clusters(s, &op);
	if (op.op == Q2_ZERO && rng_below(rng, 2))
		op.flags |= Q2_MAY_UNMAP;
	if ((op.op == Q2_WRITE || op.op == Q2_ZERO) && rng_below(rng, 12) == 0)
		op.flags |= Q2_FUA;
	return op;
}

static void
count_op(struct power_counts *c, const struct guest_op *op)
{
	c->reads += op->op == Q2_READ;
	c->writes += op->op == Q2_WRITE;
	c->zeroes += op->op == Q2_ZERO;
	c->discards += op->op == Q2_DISCARD;
	c->flushes += op->op == Q2_FLUSH;
	c->fua += (op->flags & Q2_FUA) != 0;
}

static void
start_request(struct session *s)
{
	struct guest_op op = choose_op(s), noted;
	struct request *q = calloc(1, sizeof(*q));

	assert(q);
	count_op(s->run->counts, &op);
	q->s = s;
	q->buf = mem_aligned(op.len + 1);
	q->iov = (struct iovec){q->buf, op.len};
	noted = op;
	/* Write-through: done means durable. */
	if (s->run->cfg.cache == Q2_CACHE_WRITETHROUGH &&
	    (op.op == Q2_WRITE || op.op == Q2_ZERO))
		noted.flags |= Q2_FUA;
	q->index = oracle_begin(&s->oracle, &noted, s->log.now);
	if (op.op == Q2_WRITE)
		oracle_fill(&s->oracle, q->index, q->buf);
	q->rq = (struct q2_req){
		.op = op.op,
		.flags = op.flags,
		.off = op.off,
		.len = op.len,
		.done = request_done,
	};
	if (op.op == Q2_WRITE || op.op == Q2_READ) {
		q->rq.iov = &q->iov;
		q->rq.iovcnt = 1;
	}
	s->running++;
	q2_submit((struct q2_image *)s->img, &q->rq);
}

/* Turn the loop until at most max requests are running. */
static void
turn(struct session *s, unsigned max)
{
	const struct canary *c = s->run->canary;
	unsigned n = 0;

	do {
		unsigned before = s->running;

		(void)loop_run(s->loop, 0, 0);
		if (c && c->turned)
			c->turned(s->img);
		n = s->running == before ? n + 1 : 0;
		/* Nothing can be undone: the requests are in there. */
		if (n > HUNG) {
			(void)fprintf(stderr, "hung: Q2_SEED=%" PRIu64 "\n",
				      s->run->seed);
			abort();
		}
	} while (s->running > max);
}

/* ---- snapshots --------------------------------------------------------- */

/* Of an operation on snapshots; requests in flight have ended. */
static bool
snapshot_done(struct session *s, int r, const char *what,
	      const struct q2_err *err)
{
	bool full = s->run->cfg.device == DEVICE_BLOCK && r == -ENOSPC;

	if (r < 0 && !full)
		complain(s->run, "%s: %s", what, err->text);
	return r == 0;
}

/* One more, and perhaps back to it at once: the disk stays what it is. */
static void
take_snapshot(struct session *s, bool back)
{
	struct q2_image *img = (struct q2_image *)s->img;
	struct q2_snapshot_opts opts = {
		.size = sizeof(opts), .name = "snapshot", .date_ns = 1};
	struct q2_err err = {0};

	if (!snapshot_done(s, q2_snapshot_create(img, &opts, &err), "create",
			   &err))
		return;
	s->run->counts->snapshots++;
	if (back &&
	    snapshot_done(
		    s, q2_snapshot_apply(img, q2_snapshot_count(img) - 1, &err),
		    "apply", &err))
		s->run->counts->applied++;
}

static void
change_snapshots(struct session *s)
{
	struct q2_image *img = (struct q2_image *)s->img;
	struct rng *rng = &s->run->snapshot_rng;
	unsigned n = q2_snapshot_count(img), dice;
	struct q2_err err = {0};

	if (!s->run->cfg.snapshots || rng_below(rng, SNAPSHOT_EVERY))
		return;
	dice = (unsigned)rng_below(rng, 4);
	if (n && (dice == 0 || n == SNAPSHOTS_MAX)) {
		if (snapshot_done(
			    s,
			    q2_snapshot_delete(img, (unsigned)rng_below(rng, n),
					       &err),
			    "delete", &err))
			s->run->counts->deleted++;
	} else {
		take_snapshot(s, dice == 1);
	}
}

static void
work(struct session *s, unsigned n)
{
	struct rng *rng = &s->run->rng;
	unsigned depth = 1 + (unsigned)rng_below(rng, DEPTH_MAX);

	while (n-- > 0 && !s->run->bad) {
		/* The one that is held long stays behind. */
		if (s->running >= depth)
			turn(s, depth - 1);
		start_request(s);
		change_snapshots(s);
	}
	turn(s, 0);
}

/* ---- states ------------------------------------------------------------ */

static bool
read_region(struct run *run, struct image *img, unsigned region)
{
	const struct regions *g = &run->cfg.regions;
	int r = q2_pread((struct q2_image *)img, run->buf, g->bytes,
			 region * g->stride);

	if (r < 0)
		complain(run, "reading the image: %s", strerror(-r));
	return r == 0;
}

/* Compare all cells with what the oracle allows; their ids go to ret_ids,
 * unless NULL. */
static void
check_cells(struct run *run, struct image *img, const struct oracle *o,
	    const struct view *view, uint32_t *ret_ids)
{
	size_t per_region = run->cfg.regions.bytes / CELL;
	char why[4096];

	for (unsigned g = 0; g < run->cfg.regions.n; g++) {
		if (!read_region(run, img, g))
			return;
		for (size_t i = 0; i < per_region; i++) {
			size_t cell = g * per_region + i;
			uint32_t id = 0;

			if (!oracle_decode(run->buf + i * CELL, cell, &id)) {
				complain(run,
					 "offset 0x%" PRIx64
					 " holds foreign bytes: %02x %02x",
					 oracle_offset(o, cell),
					 run->buf[i * CELL],
					 run->buf[i * CELL + 1]);
				return;
			}
			if (!oracle_allows(o, cell, id, view, why,
					   sizeof(why))) {
				complain(run, "%s", why);
				return;
			}
			if (ret_ids)
				ret_ids[cell] = id;
		}
	}
}

static void
check_file(struct run *run, struct loop *loop)
{
	struct image_check c;
	int r = image_check(loop, POWER_DISK, &c);

	if (r < 0)
		complain(run, "checking: %s", strerror(-r));
	else if (c.corruptions && !c.dirty)
		complain(run, "%" PRIu64 " corruptions: %s", c.corruptions,
			 c.why);
	run->counts->leaky_states += c.leaks > 0;
}

/* The image in loop, that nobody has open, after a crash. */
static void
check_state(struct run *run, struct loop *loop, const struct oracle *o,
	    const struct view *view, uint32_t *ret_ids)
{
	struct image *img;
	struct q2_err err = {0};

	check_file(run, loop);
	if (run->bad || open_image(run, loop, Q2_RDONLY, &img) < 0)
		return;
	check_cells(run, img, o, view, ret_ids);
	if (q2_close((struct q2_image *)img, &err) < 0)
		complain(run, "close: %s", err.text);
}

/* What happened around the crash, behind the complaint. */
static void
append_log(struct run *run, const struct session *s,
	   const struct sim_crash *crash)
{
	static const char *const losses[] = {"some", "nothing", "all"};
	size_t n = strlen(run->why);

	n += (size_t)snprintf(run->why + n, run->why_bytes - n,
			      "\n  crash at tick %" PRIu64 ", losing %s, "
			      "seed %" PRIu64 "; the log begins at %" PRIu64,
			      crash->at, losses[crash->loss], crash->seed,
			      s->start);
	for (size_t i = 0; i < s->log.n && n + 256 < run->why_bytes; i++) {
		const struct sim_rec *rec = &s->log.v[i];
		char text[160];

		if (rec->submitted < s->start || rec->submitted > crash->at)
			continue;
		sim_rec_text(&s->log, rec, text, sizeof(text));
		n += (size_t)snprintf(run->why + n, run->why_bytes - n,
				      "\n    %s", text);
	}
}

static void second_run(struct session *first, const struct sim_crash *crash);

/* Two files crash together, and lose what they lose independently. */
static int
restore(const struct session *s, const struct sim_crash *crash,
	struct loop *loop)
{
	struct sim_crash other = *crash;
	int r = sim_restore(&s->log, crash, POWER_DISK, loop);

	other.seed = mix64(crash->seed);
	if (r == 0 && s->run->cfg.data_file)
		r = sim_restore(&s->log, &other, POWER_DATA, loop);
	return r;
}

static void
crash_once(struct session *s, const struct sim_crash *crash)
{
	struct run *run = s->run;
	struct view view = {.tick = crash->at};
	int r;

	if (run->bad || run->states_left == 0)
		return;
	run->states_left--;
	run->counts->states++;
	r = restore(s, crash, run->plain);
	if (r < 0)
		complain(run, "restoring: %s", strerror(-r));
	else
		check_state(run, run->plain, &s->oracle, &view, NULL);
	if (run->bad)
		append_log(run, s, crash);
}

/* Every moment of a first run. */
static void
crash_everywhere(struct session *s)
{
	struct rng *rng = &s->run->rng;

	for (uint64_t at = s->start; at <= s->log.now && !s->run->bad; at++) {
		static const enum sim_loss losses[] = {
			SIM_KEEP, SIM_DROP, SIM_SOME, SIM_SOME, SIM_SOME};

		for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
			struct sim_crash crash = {.at = at,
						  .seed = rng_next(rng),
						  .loss = losses[i]};

			crash_once(s, &crash);
			if (rng_below(rng, 40) == 0)
				second_run(s, &crash);
		}
	}
}

/* Open what a crash has left, go on, and crash again. */
static void
second_run(struct session *first, const struct sim_crash *crash)
{
	struct run *run = first->run;
	struct session s = {.run = run};
	struct view view = {.tick = crash->at};
	uint32_t *ids = calloc(first->oracle.n_cells, sizeof(*ids));

	if (run->bad || run->states_left == 0 || !ids || start_loop(&s) < 0) {
		free(ids);
		return;
	}
	run->counts->second_runs++;
	if (restore(first, crash, s.loop) < 0 ||
	    power_make_base(&run->cfg, s.loop) < 0)
		complain(run, "restoring");
	check_state(run, s.loop, &first->oracle, &view, ids);
	oracle_init(&s.oracle, &run->cfg.regions,
		    oracle_next_id(&first->oracle), ids);
	free(ids);
	if (!run->bad && open_session(&s) == 0) {
		work(&s, OPS_SECOND);
		close_session(&s);
		view = (struct view){.live = true, .seq = s.oracle.seq};
		check_state(run, s.loop, &s.oracle, &view, NULL);
		if (run->bad)
			append_log(run, &s,
				   &(struct sim_crash){.at = s.log.now});
	}
	for (unsigned i = 0; i < 12 && !run->bad; i++) {
		uint64_t n = s.log.now - s.start + 1;
		struct sim_crash again = {
			.at = s.start + rng_below(&run->rng, n),
			.seed = rng_next(&run->rng),
			.loss = i % 4 ? SIM_SOME : SIM_DROP,
		};

		run->counts->second_states++;
		crash_once(&s, &again);
	}
	end_loop(&s);
}

/* ---- a run ------------------------------------------------------------- */

static void
first_run(struct run *run)
{
	struct session s = {.run = run};
	struct view view;
	uint32_t *ids;

	if (start_loop(&s) < 0)
		abort();
	if (power_make(&run->cfg, s.loop) < 0 ||
	    power_make_base(&run->cfg, s.loop) < 0 ||
	    power_make_base(&run->cfg, run->plain) < 0)
		abort();
	ids = power_base_ids(&run->cfg);
	oracle_init(&s.oracle, &run->cfg.regions, POWER_BASE_ID + 1, ids);
	free(ids);
	if (open_session(&s) == 0) {
		work(&s, OPS_FIRST);
		close_session(&s);
		view = (struct view){.live = true, .seq = s.oracle.seq};
		check_state(run, s.loop, &s.oracle, &view, NULL);
		if (run->bad)
			append_log(run, &s,
				   &(struct sim_crash){.at = s.log.now});
		crash_everywhere(&s);
	}
	end_loop(&s);
}

int
power_run(uint64_t seed, const struct canary *canary, uint64_t max_states,
	  struct power_counts *counts, char *why, size_t why_bytes)
{
	struct run run = {
		.seed = seed,
		.canary = canary,
		.states_left = max_states,
		.counts = counts,
		.rng.state = mix64(seed),
		.snapshot_rng.state = rng_derive(seed, 2),
		.why_bytes = why_bytes,
	};
	struct q2_err err;

	test_keep_memory();
	counts->runs++;
	run.why = why;
	run.cfg = power_choose(seed, &run.rng);
	run.buf = mem_aligned(run.cfg.regions.bytes);
	if (!run.buf || loop_new_backend(backend_memory_new(1, &err), NULL,
					 &run.plain, &err) < 0)
		abort();
	first_run(&run);
	loop_free(run.plain);
	free(run.buf);
	return run.bad ? -1 : 0;
}
