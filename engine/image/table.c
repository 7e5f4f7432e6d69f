/* SPDX-License-Identifier: MIT */
#include "engine/image/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/image/slice.h"

int
table_init(struct table *t, uint32_t n, uint64_t host, uint64_t cluster_size)
{
	*t = (struct table){
		.n = n,
		.host = host,
		.bytes = (uint64_t)n * 8,
		/* Never across the end of the table's last cluster. */
		.piece_bytes = (uint32_t)min_u64(PIECE_BYTES, cluster_size),
	};
	t->n_pieces = (uint32_t)div_up(t->bytes, t->piece_bytes);
	t->entries = calloc(n + 1, sizeof(*t->entries));
	t->child = calloc(n + 1, sizeof(*t->child));
	t->dirty = calloc(t->n_pieces + 1, sizeof(*t->dirty));
	if (t->entries && t->child && t->dirty)
		return 0;
	table_done(t);
	return -ENOMEM;
}

void
table_done(struct table *t)
{
	free(t->entries);
	free(t->child);
	free(t->dirty);
	*t = (struct table){0};
}

int
table_init_longer(struct table *t, const struct table *old, uint32_t n,
		  uint64_t host, uint64_t cluster_size)
{
	int r = table_init(t, n, host, cluster_size);

	assert(n >= old->n);
	if (r == 0)
		memcpy(t->entries, old->entries, old->n * sizeof(*t->entries));
	return r;
}

void
table_decode(struct table *t, const void *bytes)
{
	for (uint32_t i = 0; i < t->n; i++)
		t->entries[i] = load_be64((const char *)bytes + 8 * (size_t)i);
}

void
table_encode(const struct table *t, uint32_t first, uint32_t count, void *bytes)
{
	assert(first + count <= t->n);
	for (uint32_t i = 0; i < count; i++)
		store_be64((char *)bytes + 8 * (size_t)i,
			   t->entries[first + i]);
}

void
table_set(struct table *t, uint32_t index, uint64_t entry)
{
	uint32_t piece = (uint32_t)((uint64_t)index * 8 / t->piece_bytes);

	assert(index < t->n);
	t->entries[index] = entry;
	if (t->dirty[piece] & PIECE_DIRTY)
		return;
	t->dirty[piece] |= PIECE_DIRTY;
	t->n_dirty++;
}

void
table_set_new(struct table *t, uint32_t index, uint64_t entry)
{
	table_set(t, index, entry);
	if (t->child[index] == CHILD_NEW)
		return;
	assert(t->child[index] != CHILD_SEALED);
	t->child[index] = CHILD_NEW;
	t->n_new++;
}
