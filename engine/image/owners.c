/* SPDX-License-Identifier: MIT */
#include "engine/image/owners.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"

/* With fewer layers below the top, asking them costs less than remembering. */
#define LAYERS_MIN 3

/* The table takes this part of what the top's L2 cache may take. */
#define CACHE_PART 4

/* One answer is noted for no more granules at once. */
#define LEARN_MAX 64

struct slot {
	uint64_t granule; /* its number + 1; 0: empty */
	uint32_t depth;
};

struct owners {
	unsigned bits; /* of a granule */
	unsigned n_layers;
	struct image **layers; /* [0] is the top */
	uint64_t mask;
	struct slot slots[];
};

static unsigned
granule_bits(const struct image *top)
{
	unsigned bits = 63;

	for (const struct image *i = top->backing; i; i = i->backing)
		if (image_is_qcow2(i) && i->geom.sub_bits < bits)
			bits = i->geom.sub_bits;
	/* All of them are raw: only the last one can be. */
	return bits == 63 ? 16 : bits;
}

static uint64_t
slots_for(const struct image *top, unsigned bits)
{
	uint64_t room = (uint64_t)top->l2.n_slots * top->l2.slice_bytes /
			CACHE_PART / sizeof(struct slot);
	uint64_t need = (top->size >> bits) + 1, n = 64;

	while (n < need && 2 * n <= room)
		n *= 2;
	return n;
}

static unsigned
count_layers(const struct image *top)
{
	unsigned n = 0;

	for (const struct image *i = top; i; i = i->backing)
		n++;
	return n;
}

void
owners_init(struct image *top)
{
	unsigned n = count_layers(top), bits, k = 0;
	struct owners *o;
	uint64_t slots;

	assert(top);
	if (n <= LAYERS_MIN)
		return;
	bits = granule_bits(top);
	slots = slots_for(top, bits);
	o = calloc(1, sizeof(*o) + slots * sizeof(o->slots[0]));
	if (!o)
		return;
	o->layers = calloc(n, sizeof(struct image *));
	if (!o->layers) {
		free(o);
		return;
	}
	for (struct image *i = top; i; i = i->backing)
		o->layers[k++] = i;
	o->bits = bits;
	o->n_layers = n;
	o->mask = slots - 1;
	top->owners = o;
}

void
owners_done(struct image *top)
{
	if (top->owners)
		free(top->owners->layers);
	free(top->owners);
	top->owners = NULL;
}

/* Neighbours stay neighbours: a long read looks at few cache lines. */
static struct slot *
slot_of(struct owners *o, uint64_t granule)
{
	return &o->slots[granule & o->mask];
}

bool
owners_find(const struct image *img, uint64_t off, uint64_t len,
	    struct owner *ret)
{
	struct owners *o = img->owners;
	uint64_t granule, end;
	const struct slot *s;

	if (!o)
		return false;
	granule = off >> o->bits;
	s = slot_of(o, granule);
	if (s->granule != granule + 1)
		return false;
	ret->depth = s->depth;
	ret->layer = o->layers[s->depth];
	/* As far as the next ones have the same owner. */
	for (end = granule + 1; end << o->bits < off + len; end++) {
		s = slot_of(o, end);
		if (s->granule != end + 1 || s->depth != ret->depth)
			break;
	}
	ret->len = min_u64(len, (end << o->bits) - off);
	return true;
}

/* Every layer above depth reaches to end. */
static bool
all_reach(const struct owners *o, unsigned depth, uint64_t end)
{
	for (unsigned i = 1; i <= depth; i++)
		if (o->layers[i]->size < end)
			return false;
	return true;
}

void
owners_learn(struct image *img, uint64_t off, uint64_t len, unsigned depth)
{
	struct owners *o = img->owners;
	uint64_t first, end;

	if (!o || depth < LAYERS_MIN - 1)
		return;
	/* Each has one state in each layer, also if only a part was asked for,
	 * unless a layer ends in it. */
	first = off >> o->bits;
	end = min_u64(div_up(off + len, UINT64_C(1) << o->bits),
		      first + LEARN_MAX);
	if (!all_reach(o, depth, end << o->bits))
		return;
	for (; first < end; first++)
		*slot_of(o, first) = (struct slot){.granule = first + 1,
						   .depth = depth};
}
