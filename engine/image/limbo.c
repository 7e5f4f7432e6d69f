/* SPDX-License-Identifier: MIT */
#include "engine/image/limbo.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/num.h"
#include "engine/image/damage.h"
#include "engine/image/image.h"

/* More than this waiting starts a commit, since space must come back, and holds
 * back requests that could add more, since items are memory. */
#define LIMBO_MAX LIMBO_STEP

struct item {
	struct list link;
	uint64_t host, clusters;
	uint64_t commit;     /* the first that carries the unlink */
	uint64_t generation; /* the last that may know the old mapping */
	bool punch;          /* out of the file, too */
};

void
limbo_init(struct limbo *l)
{
	*l = (struct limbo){0};
	list_init(&l->items);
	co_queue_init(&l->idle);
	co_queue_init(&l->room);
}

void
limbo_done(struct limbo *l)
{
	struct list *el;

	assert(!l->working);
	while ((el = list_pop(&l->items)))
		free(container_of(el, struct item, link));
}

uint64_t
limbo_enter(struct limbo *l)
{
	l->running[l->current % GENERATIONS]++;
	return l->current;
}

static void
skip_drained(struct limbo *l)
{
	while (l->oldest < l->current && !l->running[l->oldest % GENERATIONS])
		l->oldest++;
}

void
limbo_leave(struct image *img, uint64_t generation)
{
	struct limbo *l = &img->limbo;

	assert(l->running[generation % GENERATIONS] > 0);
	if (--l->running[generation % GENERATIONS] == 0 &&
	    !list_empty(&l->items))
		limbo_kick(img);
}

/* The generation of an unlink that happens now; later requests are of another
 * one. */
static uint64_t
end_generation(struct limbo *l)
{
	uint64_t g = l->current;

	skip_drained(l);
	if (l->running[g % GENERATIONS] && g + 1 - l->oldest < GENERATIONS)
		l->current++;
	return g;
}

static void
commit_for_space(void *arg)
{
	(void)cache_commit(arg);
}

void
limbo_add(struct image *img, uint64_t host, uint64_t clusters, bool request)
{
	struct limbo *l = &img->limbo;
	struct item *item;
	bool was_small = l->bytes <= LIMBO_MAX;

	if (!is_aligned(host, img->geom.cluster_size)) {
		damage_note(img, "Cannot free unaligned cluster %#" PRIx64,
			    host);
		return;
	}
	compress_close(img, host, clusters);
	item = malloc(sizeof(*item));
	if (!item)
		return;
	*item = (struct item){
		.host = host,
		.clusters = clusters,
		.commit = img->commits.sealed + 1,
		.generation = end_generation(l),
		.punch = request ? img->punch_request : img->punch_other,
	};
	list_append(&l->items, &item->link);
	l->bytes += clusters << img->geom.cluster_bits;
	if (was_small && l->bytes > LIMBO_MAX)
		(void)co_start(&img->loop->sched, commit_for_space, img);
}

void
limbo_add_entry(struct image *img, const struct l2_entry *e, bool request)
{
	const struct geom *g = &img->geom;
	uint64_t start = geom_cluster_start(g, e->host);

	/* In a data file a cluster's place stays its own. */
	if (!e->host || g->external_data)
		return;
	if (e->kind == CLUSTER_COMPRESSED)
		limbo_add(img, start,
			  div_up(e->host + e->len - start, g->cluster_size),
			  request);
	else
		limbo_add(img, e->host, 1, request);
}

/* Or it was durable already when the item came. */
static bool
is_durable(const struct image *img, const struct item *item)
{
	return item->commit <= img->commits.durable || cache_is_clean(img);
}

/* The first item if it may be freed.  They become ready in order. */
static struct item *
take_ready(struct image *img)
{
	struct limbo *l = &img->limbo;
	struct item *item;

	skip_drained(l);
	if (list_empty(&l->items))
		return NULL;
	item = container_of(l->items.next, struct item, link);
	if (!is_durable(img, item))
		return NULL;
	if (item->generation > l->oldest ||
	    (item->generation == l->oldest &&
	     l->running[item->generation % GENERATIONS]))
		return NULL;
	list_remove(&item->link);
	l->bytes -= item->clusters << img->geom.cluster_bits;
	return item;
}

/* Is it of use to those that wait for room to try again? */
static bool
may_shrink(const struct image *img, bool freed)
{
	const struct limbo *l = &img->limbo;

	return freed || list_empty(&l->items) ||
	       !is_durable(img, container_of(l->items.next, struct item, link));
}

static void
work(void *arg)
{
	struct image *img = arg;
	struct limbo *l = &img->limbo;
	struct item *item;
	bool freed = false;

	while ((item = take_ready(img))) {
		freed = true;
		compress_forget(img, item->host, item->clusters);
		/* A failure leaks, which harms nothing. */
		(void)alloc_release(img, item->host, item->clusters,
				    item->punch);
		l->freed += item->clusters;
		free(item);
	}
	l->working = false;
	co_queue_wake_all(&l->idle);
	/* Not each time: they would wake each other for ever. */
	if (may_shrink(img, freed))
		co_queue_wake_all(&l->room);
}

void
limbo_kick(struct image *img)
{
	struct limbo *l = &img->limbo;

	if (l->working || list_empty(&l->items))
		return;
	l->working = true;
	if (co_start(&img->loop->sched, work, img) < 0)
		l->working = false;
}

/* Free what can be.  Here, not in a coroutine of its own: there may be no memory
 * for one. */
static void Q2_CO
work_now(struct image *img)
{
	struct limbo *l = &img->limbo;

	if (!l->working) {
		l->working = true;
		work(img);
	}
	while (l->working)
		co_queue_wait(&l->idle);
}

/* One attempt to have less in limbo. */
static int Q2_CO
shrink(struct image *img)
{
	struct limbo *l = &img->limbo;
	int r = cache_commit(img);

	if (r < 0)
		return r;
	work_now(img);
	/* What is left waits for requests, the last of which lets it go; or for
	 * another commit. */
	if (l->bytes > LIMBO_MAX && cache_is_clean(img))
		co_queue_wait(&l->room);
	return 0;
}

int Q2_CO
limbo_wait(struct image *img, uint64_t *generation)
{
	struct limbo *l = &img->limbo;
	int r = 0;

	if (l->bytes <= LIMBO_MAX)
		return 0;
	/* Else it would wait for itself. */
	limbo_leave(img, *generation);
	while (r == 0 && l->bytes > LIMBO_MAX)
		r = shrink(img);
	*generation = limbo_enter(l);
	return r;
}

bool Q2_CO
limbo_make_room(struct image *img, uint64_t *generation, uint64_t freed)
{
	struct limbo *l = &img->limbo;

	if (!list_empty(&l->items)) {
		limbo_leave(img, *generation);
		if (cache_commit(img) == 0)
			work_now(img);
		*generation = limbo_enter(l);
	}
	/* The last items may be on their way out already. */
	while (l->working)
		co_queue_wait(&l->idle);
	return l->freed != freed;
}

int Q2_CO
limbo_drain(struct image *img)
{
	struct limbo *l = &img->limbo;
	int r = 0;

	while (r == 0 &&
	       (l->working || !list_empty(&l->items) || !cache_is_clean(img))) {
		/* Damage that is found in freeing stops writing; what has
		 * been written is not lost by that. */
		if (!cache_is_clean(img))
			r = cache_commit(img);
		if (r == 0)
			work_now(img);
	}
	/* Also those that it does not wait for must have ended. */
	while (l->working)
		co_queue_wait(&l->idle);
	return r;
}
