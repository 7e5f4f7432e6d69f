/* SPDX-License-Identifier: MIT */
/*
 * debug.c - rules, events and held requests of blkdebug
 */
#include "engine/aio/debug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/loop_priv.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

#define SECTOR 512

/* What part of a commit the engine is in, by its points. */
enum phase {
	PHASE_NONE,
	PHASE_REFCOUNTS,
	PHASE_REFTABLE,
	PHASE_L2,
};

struct rule {
	struct list link;   /* on debug.rules */
	struct list active; /* on debug.active, or alone */
	struct debug_rule r;
};

/* A breakpoint, which becomes a request that is held. */
struct stop {
	struct list link;  /* on debug.stops, then .reached, then .held */
	struct aio_op *op; /* held */
	enum debug_event event;
	char *tag;
};

struct debug {
	struct list rules;   /* the last one first */
	struct list active;  /* the errors that are on now */
	struct list stops;   /* breakpoints */
	struct list reached; /* those that hold the next request */
	struct list held;
	uint64_t state;
	enum phase phase;
	bool is_growing; /* a refcount table */
	bool l1_grows;
	bool is_packed; /* the next data is compressed, which is told */
	bool is_format;
	bool is_disk;        /* not for a file */
	bool reads_reftable; /* the next read of refcounts is of the table */
	const struct aio_file *file;
	uint32_t align;
	q2_finding_fn said;
};

/* A write whose end is an event. */
struct ending {
	struct debug *d;
	void (*done)(struct aio_op *op);
	void *user;
};

/* ---- names ------------------------------------------------------------- */

static const char *const events[] = {
#define EVENT(name) #name,
#include "engine/aio/debug_events.def"
#undef EVENT
};

static int
find(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -1;
}

int
debug_find_event(const char *name)
{
	return find(events, ARRAY_SIZE(events), name);
}

int
debug_find_iotype(const char *name)
{
	static const char *const names[] = {"read",    "write", "write-zeroes",
					    "discard", "flush", "block-status"};

	return find(names, ARRAY_SIZE(names), name);
}

/* ---- making ------------------------------------------------------------ */

struct debug *
debug_new(void)
{
	struct debug *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	list_init(&d->rules);
	list_init(&d->active);
	list_init(&d->stops);
	list_init(&d->reached);
	list_init(&d->held);
	d->state = 1;
	return d;
}

static void
insert_first(struct list *head, struct list *el)
{
	list_append(head->next, el);
}

int
debug_add(struct debug *d, const struct debug_rule *rule)
{
	struct rule *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->r = *rule;
	list_init(&r->active);
	insert_first(&d->rules, &r->link);
	return 0;
}

static void
free_rule(struct rule *r)
{
	list_remove(&r->active);
	list_remove(&r->link);
	free(r);
}

static void
free_stop(struct stop *s)
{
	list_remove(&s->link);
	free(s->tag);
	free(s);
}

void
debug_free(struct debug *d)
{
	if (!d)
		return;
	while (!list_empty(&d->rules))
		free_rule(container_of(d->rules.next, struct rule, link));
	while (!list_empty(&d->stops))
		free_stop(container_of(d->stops.next, struct stop, link));
	while (!list_empty(&d->reached))
		free_stop(container_of(d->reached.next, struct stop, link));
	free(d);
}

/* ---- events ------------------------------------------------------------ */

/* All errors of one event are on together, in the place of those before. */
static void
set_errors(struct debug *d, enum debug_event event)
{
	bool is_first = true;

	list_for_each (el, &d->rules) {
		struct rule *r = container_of(el, struct rule, link);

		if (r->r.action != DEBUG_INJECT || r->r.event != event ||
		    (r->r.state && r->r.state != d->state))
			continue;
		while (is_first && !list_empty(&d->active))
			(void)list_pop(&d->active);
		is_first = false;
		insert_first(&d->active, &r->active);
	}
}

static void
happens(struct debug *d, enum debug_event event)
{
	uint64_t state = d->state;
	struct list *el, *next;

	set_errors(d, event);
	list_for_each (at, &d->rules) {
		const struct rule *r = container_of(at, struct rule, link);

		if (r->r.action == DEBUG_SET_STATE && r->r.event == event &&
		    (!r->r.state || r->r.state == d->state))
			state = r->r.new_state;
	}
	d->state = state;
	for (el = d->stops.next; el != &d->stops; el = next) {
		struct stop *s = container_of(el, struct stop, link);

		next = el->next;
		if (s->event == event) {
			list_remove(el);
			list_append(&d->reached, el);
		}
	}
}

/* ---- errors ------------------------------------------------------------ */

static unsigned
iotype_of(const struct aio_op *op)
{
	switch (op->kind) {
	case AIO_READ:
		return 1U << DEBUG_IO_READ;
	case AIO_WRITE:
		return 1U << DEBUG_IO_WRITE;
	case AIO_ZERO:
		return 1U << DEBUG_IO_WRITE_ZEROES;
	case AIO_DISCARD:
		return 1U << DEBUG_IO_DISCARD;
	case AIO_SYNC:
		return 1U << DEBUG_IO_FLUSH;
	default:
		return 0;
	}
}

static bool
is_for(const struct debug_rule *r, const struct aio_op *op)
{
	uint64_t off = r->sector * SECTOR;

	if (!(r->iotypes & iotype_of(op)))
		return false;
	return !r->has_sector || (off >= op->off && off - op->off < op->len);
}

/* The first rule that is on and fits. */
static int
judge(struct debug *d, const struct aio_op *op)
{
	list_for_each (el, &d->active) {
		struct rule *r = container_of(el, struct rule, active);
		int error = r->r.error;

		if (!is_for(&r->r, op))
			continue;
		if (error && r->r.once)
			free_rule(r);
		return -error;
	}
	return 0;
}

/* What makes no request: an error that event has chosen for any. */
static int
judge_any(struct debug *d, enum debug_event event)
{
	list_for_each (el, &d->active) {
		struct rule *r = container_of(el, struct rule, active);
		int error = r->r.error;

		if (r->r.event != event || r->r.has_sector ||
		    r->r.iotypes != DEBUG_IO_ALL)
			continue;
		if (error && r->r.once)
			free_rule(r);
		return -error;
	}
	return 0;
}

/* ---- points ------------------------------------------------------------ */

/* What a point is to QEMU; DEBUG_none where it is nothing. */
static enum debug_event
event_of(enum point point)
{
	switch (point) {
	case POINT_l2_load:
		return DEBUG_l2_load;
	case POINT_refcount_load:
		return DEBUG_refblock_load;
	case POINT_l2_copy:
		return DEBUG_l2_alloc_cow_read;
	case POINT_refblock_alloc:
	case POINT_clusters_alloc: /* QEMU asks for its block here */
		return DEBUG_refblock_alloc;
	case POINT_reftable_grow:
		return DEBUG_reftable_grow;
	case POINT_cow_read:
		return DEBUG_cow_read;
	case POINT_cow_write:
		return DEBUG_cow_write;
	case POINT_alloc_begin:
		return DEBUG_cluster_alloc;
	case POINT_l1_grow:
		return DEBUG_l1_grow_alloc_table;
	case POINT_compressed_alloc:
		return DEBUG_cluster_alloc_bytes;
	case POINT_clusters_freed:
		return DEBUG_cluster_free;
	case POINT_compressed_read:
		return DEBUG_read_compressed;
	case POINT_compressed_write:
		return DEBUG_write_compressed;
	case POINT_compressed_link:
		return DEBUG_l2_update_compressed;
	case POINT_backing_read:
		return DEBUG_read_backing_aio;
	case POINT_vmstate_read:
		return DEBUG_vmstate_load;
	case POINT_vmstate_write:
		return DEBUG_vmstate_save;
	case POINT_commit_seal:
		return DEBUG_flush_to_os;
	default:
		return DEBUG_none;
	}
}

static void
follow_commit(struct debug *d, enum point point)
{
	if (point == POINT_commit_refcounts)
		d->phase = PHASE_REFCOUNTS;
	else if (point == POINT_commit_reftable)
		d->phase = PHASE_REFTABLE;
	else if (point == POINT_commit_l2)
		d->phase = PHASE_L2;
	else if (point == POINT_commit_done)
		d->phase = PHASE_NONE;
	else if (point == POINT_reftable_grow)
		d->is_growing = true;
	else if (point == POINT_l1_grow)
		d->l1_grows = true;
	else if (point == POINT_refcount_load)
		d->reads_reftable = false;
	else if (point == POINT_compressed_read ||
		 point == POINT_compressed_write)
		d->is_packed = true;
}

/* The hook of the points.  1: debug_submit() is to look at the request. */
static int
at_point(void *arg, enum point point)
{
	struct debug *d = arg;
	enum debug_event event = event_of(point);

	if (point >= POINT_host_reads && point <= POINT_fdatasyncs)
		return 1;
	if (!d->is_format)
		return 0;
	follow_commit(d, point);
	if (event != DEBUG_none)
		happens(d, event);
	/* It would be told by the refcounts, which are known here. */
	return point == POINT_alloc_begin ? judge_any(d, event) : 0;
}

/* ---- events of requests ------------------------------------------------ */

static void
refcounts_written(struct debug *d)
{
	if (d->is_growing) {
		happens(d, DEBUG_refblock_alloc_write_blocks);
		happens(d, DEBUG_refblock_alloc_write_table);
	} else if (d->phase == PHASE_REFTABLE) {
		happens(d, DEBUG_refblock_alloc_hookup);
	} else {
		happens(d, DEBUG_refblock_alloc_write);
		happens(d, DEBUG_refblock_update_part);
	}
}

static void
tables_written(struct debug *d, const struct aio_op *op)
{
	switch (op->cls) {
	case AIO_DATA:
		if (!d->is_packed)
			happens(d, DEBUG_write_aio);
		d->is_packed = false;
		break;
	case AIO_L1:
		happens(d, d->l1_grows ? DEBUG_l1_grow_write_table
				       : DEBUG_l1_update);
		break;
	case AIO_L2:
		happens(d, d->phase == PHASE_REFCOUNTS ? DEBUG_l2_alloc_write
						       : DEBUG_l2_update);
		break;
	case AIO_REFCOUNT:
		refcounts_written(d);
		break;
	case AIO_HEADER:
		if (d->is_growing)
			happens(d, DEBUG_refblock_alloc_switch_table);
		if (d->l1_grows)
			happens(d, DEBUG_l1_grow_activate_table);
		d->is_growing = d->l1_grows = false;
		break;
	default:
		break;
	}
}

static void
about_to(struct debug *d, const struct aio_op *op)
{
	switch (op->kind) {
	case AIO_READ:
		if (op->cls == AIO_DATA && !d->is_packed)
			happens(d, DEBUG_read_aio);
		d->is_packed = false;
		if (d->is_format && op->cls == AIO_REFCOUNT &&
		    d->reads_reftable)
			happens(d, DEBUG_reftable_load);
		break;
	case AIO_WRITE:
		tables_written(d, op);
		happens(d, DEBUG_pwritev);
		break;
	case AIO_ZERO:
		happens(d, DEBUG_pwritev_zero);
		break;
	case AIO_SYNC:
		if (d->is_format && d->phase == PHASE_NONE)
			happens(d, DEBUG_flush_to_os);
		happens(d, DEBUG_flush_to_disk);
		break;
	default:
		break;
	}
}

/* ---- requests ---------------------------------------------------------- */

static void
say(const struct debug *d, const char *what, const char *tag)
{
	char text[256];

	if (!d->said)
		return;
	(void)snprintf(text, sizeof(text), "%s request '%.200s'", what, tag);
	d->said(NULL, text);
}

static bool
hold(struct debug *d, struct aio_op *op)
{
	struct list *el;

	if (list_empty(&d->reached))
		return false;
	while ((el = list_pop(&d->reached))) {
		struct stop *s = container_of(el, struct stop, link);

		s->op = op;
		list_append(&d->held, el);
		say(d, "Suspended", s->tag);
		/* Who waits for this waits by loop_run(). */
		op->file->loop->requests_done++;
	}
	return true;
}

static void
write_ended(struct aio_op *op)
{
	struct ending *e = op->user;
	struct debug *d = e->d;

	op->done = e->done;
	op->user = e->user;
	free(e);
	happens(d, DEBUG_pwritev_done);
	op->done(op);
}

static bool
has_orders(const struct debug *d, enum debug_event event)
{
	list_for_each (el, &d->rules)
		if (container_of(el, struct rule, link)->r.event == event)
			return true;
	list_for_each (el, &d->stops)
		if (container_of(el, struct stop, link)->event == event)
			return true;
	return false;
}

/* Without memory the end of this write is no event. */
static void
watch_end(struct debug *d, struct aio_op *op)
{
	struct ending *e;

	if (op->kind != AIO_WRITE || !has_orders(d, DEBUG_pwritev_done))
		return;
	e = malloc(sizeof(*e));
	if (!e)
		return;
	*e = (struct ending){.d = d, .done = op->done, .user = op->user};
	op->done = write_ended;
	op->user = e;
}

struct debug *
debug_of(const struct aio_file *file)
{
	const struct points *p = file->points;

	return p->hook == at_point ? p->hook_arg : NULL;
}

int
debug_submit(struct aio_op *op)
{
	struct debug *d = debug_of(op->file);

	if (!d || op->file != d->file)
		return 0;
	about_to(d, op);
	watch_end(d, op);
	return hold(d, op) ? 1 : judge(d, op);
}

int
debug_attach(struct debug *d, struct aio_file *file, bool is_format,
	     q2_finding_fn said, struct q2_err *err)
{
	if (d->file)
		return q2_fail(err, -EINVAL,
			       "blkdebug is for one file at a time");
	d->file = file;
	d->is_format = is_format;
	d->reads_reftable = is_format;
	d->said = said;
	file->align = (uint32_t)max_u64(file->align, d->align);
	file->range_align = (uint32_t)max_u64(file->range_align, file->align);
	file->points->hook = at_point;
	file->points->hook_arg = d;
	happens(d, DEBUG_none);
	return 0;
}

void
debug_attach_disk(struct debug *d, struct points *points, q2_finding_fn said)
{
	d->said = said;
	d->is_disk = true;
	points->hook = at_point;
	points->hook_arg = d;
}

int
debug_copies(const struct points *points, uint64_t off, uint64_t len)
{
	struct debug *d = points->hook == at_point ? points->hook_arg : NULL;
	struct aio_op op = {.kind = AIO_WRITE, .off = off, .len = len};

	if (!d)
		return 0;
	happens(d, DEBUG_cor_write);
	return d->is_disk ? judge(d, &op) : 0;
}

bool
debug_is_only_of(const struct debug *d, enum debug_event event)
{
	list_for_each (el, &d->rules) {
		if (container_of(el, struct rule, link)->r.event != event)
			return false;
	}
	return true;
}

void
debug_set_align(struct debug *d, uint32_t align)
{
	d->align = align;
}

/* ---- breakpoints ------------------------------------------------------- */

int
debug_break(struct debug *d, const char *event, const char *tag)
{
	int number = debug_find_event(event);
	struct stop *s;

	if (number < 0)
		return -ENOENT;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->event = (enum debug_event)number;
	s->tag = strdup(tag);
	if (!s->tag) {
		free(s);
		return -ENOMEM;
	}
	list_append(&d->stops, &s->link);
	return 0;
}

static struct stop *
find_stop(const struct list *head, const char *tag)
{
	list_for_each (el, head) {
		struct stop *s = container_of(el, struct stop, link);

		if (strcmp(s->tag, tag) == 0)
			return s;
	}
	return NULL;
}

/* The request goes on, if no other stop holds it. */
static void
let_go(struct debug *d, struct stop *s)
{
	struct aio_op *op = s->op;
	int r;

	say(d, "Resuming", s->tag);
	free_stop(s);
	list_for_each (el, &d->held) {
		if (container_of(el, struct stop, link)->op == op)
			return;
	}
	r = judge(d, op);
	if (r == 0)
		list_append(&op->file->loop->queued, &op->link);
	else
		aio_end(op, r);
}

int
debug_resume(struct debug *d, const char *tag)
{
	struct stop *s = find_stop(&d->held, tag);

	if (!s)
		return -ENOENT;
	let_go(d, s);
	return 0;
}

int
debug_remove_break(struct debug *d, const char *tag)
{
	struct list *const lists[] = {&d->stops, &d->reached};
	struct stop *s;
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		while ((s = find_stop(lists[i], tag))) {
			free_stop(s);
			r = 0;
		}
	}
	while (debug_resume(d, tag) == 0)
		r = 0;
	return r;
}

bool
debug_is_held(const struct debug *d, const char *tag)
{
	return find_stop(&d->held, tag) != NULL;
}

const char *
debug_held(const struct debug *d)
{
	if (list_empty(&d->held))
		return NULL;
	return container_of(d->held.next, struct stop, link)->tag;
}

void
debug_let_go(struct debug *d)
{
	while (!list_empty(&d->stops))
		free_stop(container_of(d->stops.next, struct stop, link));
	while (!list_empty(&d->reached))
		free_stop(container_of(d->reached.next, struct stop, link));
	while (!list_empty(&d->held))
		let_go(d, container_of(d->held.next, struct stop, link));
}
