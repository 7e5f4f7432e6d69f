/* SPDX-License-Identifier: MIT */
/*
 * Would the crash test notice?  Each canary breaks one rule of
 * docs/ordering.md from outside, in the same random runs that test_crash.c
 * makes, with seeds that were not chosen for it; the runs must find it within
 * 50000 states.
 *
 * Rules about what comes before what are broken by a sync that does not cover
 * what it should (sim.h); the next one does, so that a flush still makes
 * durable what it acknowledges, and only the order is wrong.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "tests/crash/power.h"
#include "tests/env.h"

#define STATES_MAX 50000

#define CLASS(cls) (1U << (cls))

/* ---- where the engine is ----------------------------------------------- */

static struct {
	struct image *img;
	unsigned phase;   /* of the running commit: 1, 2, 3; 0: none */
	bool maps;        /* it changes tables in use, or L1 */
	bool new_l2;      /* it writes new L2 tables */
	bool new_blocks;  /* likewise, refcount blocks */
	bool table_grows; /* a new refcount table is being written */
	bool flags;       /* COPIED flags have been written, without a sync */
	bool switches;    /* a snapshot operation writes the header */
	bool goes_dirty;  /* it is the first that leaves refcounts out */
} now;

static bool
will_map(const struct image *img)
{
	if (img->l1.n_dirty)
		return true;
	list_for_each (el, &img->l2.dirty) {
		const struct slice *s = container_of(el, struct slice,
						     dirty_link);

		if (img->l1.child[s->owner] != CHILD_NEW)
			return true;
	}
	return false;
}

static int
watch(void *arg, enum point point)
{
	const struct image *img = arg;

	switch (point) {
	case POINT_commit_seal:
		now.phase = 1;
		now.maps = will_map(img);
		now.new_l2 = img->l1.n_new > 0;
		now.goes_dirty = img->lazy &&
				 !(img->header.incompatible & INCOMPAT_DIRTY);
		now.new_blocks = img->reftable.n_new > 0;
		break;
	case POINT_commit_reftable:
		now.phase = 2;
		break;
	case POINT_commit_l2:
		now.phase = 3;
		break;
	case POINT_commit_done:
		now.phase = 0;
		break;
	case POINT_flags_write:
		now.flags = true;
		break;
	case POINT_snapshot_switch:
		now.switches = true;
		break;
	case POINT_reftable_grow:
		now.table_grows = true;
		break;
	default:
		break;
	}
	return 0;
}

static void
start_watching(struct image *img)
{
	memset(&now, 0, sizeof(now));
	now.img = img;
	img->points.hook = watch;
	img->points.hook_arg = img;
}

/* Is op the sync at the end of phase 1? */
static bool
ends_phase_1(const struct aio_op *op)
{
	return op->kind == AIO_SYNC && now.phase == 1;
}

/* ---- the rules --------------------------------------------------------- */

static unsigned
data_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	return ends_phase_1(op) && now.maps ? CLASS(AIO_DATA) | CLASS(AIO_COW)
					    : 0;
}

static unsigned
refcounts_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	return ends_phase_1(op) && now.maps && !now.new_blocks
		       ? CLASS(AIO_REFCOUNT)
		       : 0;
}

static unsigned
l2_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	return ends_phase_1(op) && now.new_l2 ? CLASS(AIO_L2) : 0;
}

static unsigned
blocks_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	return ends_phase_1(op) && now.new_blocks ? CLASS(AIO_REFCOUNT) : 0;
}

static unsigned
table_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	if (op->kind != AIO_SYNC || now.phase != 0 || !now.table_grows)
		return 0;
	now.table_grows = false;
	return CLASS(AIO_REFCOUNT);
}

/* Refcounts of what a snapshot shares are raised before flags are clear. */
static unsigned
flags_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	if (op->kind != AIO_SYNC || !now.flags)
		return 0;
	now.flags = false;
	return CLASS(AIO_L2) | CLASS(AIO_L1);
}

/* Refcounts are lowered before what had the references is gone. */
static unsigned
switch_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	if (op->kind != AIO_SYNC || !now.switches)
		return 0;
	now.switches = false;
	return CLASS(AIO_HEADER);
}

/* Guest data in a file of its own. */
static unsigned
data_file_late(struct image *img, const struct aio_op *op)
{
	return ends_phase_1(op) && now.maps && img->data != img->file &&
			       op->file == img->data
		       ? CLASS(AIO_DATA) | CLASS(AIO_COW)
		       : 0;
}

/* Neither the sync of its own nor the next, before entries are written. */
static unsigned
dirty_bit_late(struct image *img, const struct aio_op *op)
{
	(void)img;
	return ends_phase_1(op) && now.goes_dirty ? CLASS(AIO_HEADER) : 0;
}

/* Phase 3 writes what the L2 slices hold by now, not what was sealed. */
static unsigned
live_slices(struct image *img, const struct aio_op *op)
{
	uint64_t at = op->off, step = img->l2.slice_bytes;

	if (op->kind != AIO_WRITE || op->cls != AIO_L2 || now.phase != 3)
		return 0;
	for (int i = 0; i < op->iovcnt; i++) {
		uint8_t *bytes = op->iov[i].iov_base;

		for (uint64_t k = 0; k < op->iov[i].iov_len; k += step) {
			const struct slice *s = slice_peek(&img->l2, at + k);

			if (s)
				memcpy(bytes + k, s->data, step);
		}
		at += op->iov[i].iov_len;
	}
	return 0;
}

/* Limbo believes that every unlink is durable. */
static void
limbo_is_durable(struct image *img)
{
	img->commits.durable = UINT64_MAX;
	limbo_kick(img);
}

/* Limbo believes that no request is in flight. */
static void
limbo_is_drained(struct image *img)
{
	img->limbo.oldest = img->limbo.current + 1;
	limbo_kick(img);
}

/* The engine believes that the file was empty when it was opened. */
static void
all_is_virgin(struct image *img)
{
	img->alloc.opened_bytes = 0;
	img->alloc.can_be_virgin = true;
}

/* More compressed bytes go into a host cluster that limbo has got. */
static uint64_t shared_at;

static void
shares_nothing_yet(struct image *img)
{
	(void)img;
	shared_at = 0;
}

static void
shares_what_is_freed(struct image *img)
{
	if (img->compress.at)
		shared_at = img->compress.at;
	else if (geom_in_cluster(&img->geom, shared_at))
		img->compress.at = shared_at;
	img->compress.seal = img->commits.sealed;
}

/* A read-modify-write is not alone with its block. */
static void
unlock_blocks(struct image *img)
{
	struct list *el;

	while ((el = list_pop(&img->file->locked)))
		list_init(el);
	co_queue_wake_all(&img->file->lock_wait);
}

static const struct canary canaries[] = {
	{"W1", "data reaches the disk after the entry", 1, start_watching,
	 data_late, NULL},
	{"W1", "a refcount reaches the disk after the entry", 1, start_watching,
	 refcounts_late, NULL},
	{"W2", "an L2 table reaches the disk after its entry", 1,
	 start_watching, l2_late, NULL},
	{"W3", "a refcount block reaches the disk after its entry", 13,
	 start_watching, blocks_late, NULL},
	{"W4", "a refcount table reaches the disk after the header", 6,
	 start_watching, table_late, NULL},
	{"X1", "data in a data file reaches the disk after the entry", 7,
	 start_watching, data_file_late, NULL},
	{"D1", "the dirty bit reaches the disk after a lazy link", 1,
	 start_watching, dirty_bit_late, NULL},
	{"S1", "refcounts are raised before COPIED is clear", 3, start_watching,
	 flags_late, NULL},
	{"S2", "refcounts are lowered before the header is durable", 3,
	 start_watching, switch_late, NULL},
	{"E1", "phase 3 writes live slices", 1, start_watching, live_slices,
	 NULL},
	{"F1", "a cluster is free before its unlink is durable", 2, NULL, NULL,
	 limbo_is_durable},
	{"I1", "a cluster is free while requests know it", 806, NULL, NULL,
	 limbo_is_drained},
	{"Z1", "space below the old end of file counts as zero", 1,
	 all_is_virgin, NULL, NULL},
	{"P2", "compressed bytes share a cluster that was freed", 3,
	 shares_nothing_yet, NULL, shares_what_is_freed},
	{"A1", "blocks are not locked", 3, NULL, NULL, unlock_blocks},
};

/* ---- the test ---------------------------------------------------------- */

static char why[64 * 1024];

/* States until the runs find c; 0 if they do not. */
static uint64_t
states_to_find(const struct canary *c, uint64_t seed)
{
	struct power_counts counts = {0};
	uint64_t left = STATES_MAX;

	for (; left > 0; seed++) {
		if (power_run(seed, c, left, &counts, why, sizeof(why)) < 0)
			return max_u64(counts.states, 1);
		left = STATES_MAX - min_u64(STATES_MAX, counts.states);
	}
	return 0;
}

static void
test_every_broken_rule_is_found(void **state)
{
	uint64_t seed = test_seed(0);
	const char *only = getenv("Q2_CANARY");
	unsigned lost = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(canaries); i++) {
		const struct canary *c = &canaries[i];
		uint64_t n;

		if (only && strcmp(only, c->rule) != 0)
			continue;
		n = states_to_find(c, seed ? seed : c->seed);
		print_message("%s: %s: ", c->rule, c->text);
		if (n)
			print_message("found after %" PRIu64 " states\n", n);
		else
			print_message("NOT FOUND in %d states\n", STATES_MAX);
		if (only)
			print_message("%s\n", why);
		lost += !n;
	}
	assert_int_equal(lost, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_broken_rule_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
