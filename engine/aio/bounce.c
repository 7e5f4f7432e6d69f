/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "engine/aio/loop_priv.h"
#include "engine/base/mem.h"

/* Kept of each size; more in use at once is rare, and they are freed. */
#define BOUNCE_KEEP 16

void
bounce_init(struct bounce *b)
{
	list_init(&b->small);
	list_init(&b->big);
	b->n_small = b->n_big = 0;
}

static void
drain(struct list *l)
{
	struct list *el;

	while ((el = list_pop(l)))
		free(el);
}

void
bounce_done(struct bounce *b)
{
	drain(&b->small);
	drain(&b->big);
}

void *
bounce_get(struct bounce *b, size_t bytes)
{
	bool small = bytes <= BOUNCE_SMALL;
	struct list *el = list_pop(small ? &b->small : &b->big);

	if (!el)
		return mem_aligned(small ? BOUNCE_SMALL : BOUNCE_BIG);
	if (small)
		b->n_small--;
	else
		b->n_big--;
	return el;
}

void
bounce_put(struct bounce *b, void *buf, size_t bytes)
{
	bool small = bytes <= BOUNCE_SMALL;
	unsigned *n = small ? &b->n_small : &b->n_big;

	if (!buf)
		return;
	if (*n >= BOUNCE_KEEP) {
		free(buf);
		return;
	}
	list_append(small ? &b->small : &b->big, buf);
	(*n)++;
}
