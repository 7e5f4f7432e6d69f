/* SPDX-License-Identifier: MIT */
#include "engine/image/inflight.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/base/num.h"

void
inflight_init(struct inflight_table *t)
{
	list_init(&t->ranges);
	list_init(&t->free);
}

void
inflight_done(struct inflight_table *t)
{
	struct list *el;

	assert(list_empty(&t->ranges));
	while ((el = list_pop(&t->free)))
		free(container_of(el, struct inflight, link));
}

struct inflight *
inflight_find(struct inflight_table *t, uint64_t sub)
{
	list_for_each (el, &t->ranges) {
		struct inflight *f = container_of(el, struct inflight, link);

		if (sub >= f->first && sub - f->first < f->n)
			return f;
	}
	return NULL;
}

uint64_t
inflight_next(const struct inflight_table *t, uint64_t first, uint64_t n)
{
	uint64_t end = first + n;

	list_for_each (el, &t->ranges) {
		struct inflight *f = container_of(el, struct inflight, link);

		if (ranges_overlap(first, end - first, f->first, f->n))
			end = max_u64(first, f->first);
		if (end == first)
			break;
	}
	return end;
}

struct inflight *
inflight_add(struct inflight_table *t, uint64_t first, uint64_t n)
{
	struct list *el = list_pop(&t->free);
	struct inflight *f;

	assert(inflight_next(t, first, n) == first + n);
	f = el ? container_of(el, struct inflight, link) : malloc(sizeof(*f));
	if (!f)
		return NULL;
	*f = (struct inflight){.first = first, .n = n, .refs = 1};
	co_queue_init(&f->wait);
	list_append(&t->ranges, &f->link);
	return f;
}

void
inflight_end(struct inflight *f, int result)
{
	assert(!f->linked && !f->writers);
	f->open = false;
	f->linked = true;
	f->result = result;
	list_remove(&f->link);
	co_queue_wake_all(&f->wait);
}

void
inflight_ref(struct inflight *f)
{
	f->refs++;
}

void
inflight_put(struct inflight_table *t, struct inflight *f)
{
	assert(f->refs > 0);
	if (--f->refs == 0)
		list_append(&t->free, &f->link);
}
