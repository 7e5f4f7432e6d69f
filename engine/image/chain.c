/* SPDX-License-Identifier: MIT */
#include "engine/image/chain.h"

#include "engine/base/num.h"
#include "engine/image/holes.h"
#include "engine/image/image.h"
#include "engine/image/owners.h"
#include "engine/image/raw.h"

static bool
falls_through(enum cluster_kind kind)
{
	return kind == CLUSTER_UNALLOCATED || kind == CLUSTER_UNALLOCATED_AT;
}

/* A plain file maps every byte to itself. */
static void
raw_extent(uint64_t off, uint64_t len, struct map_extent *ret_ext)
{
	*ret_ext = (struct map_extent){
		.kind = CLUSTER_NORMAL,
		.copied = true,
		.host = off,
		.len = len,
	};
}

bool
chain_is_zero(const struct chain_extent *c)
{
	return !c->found || c->ext.kind == CLUSTER_ZERO_PLAIN ||
	       c->ext.kind == CLUSTER_ZERO_ALLOC;
}

/*
 * c->ext is what c->layer has at off.  True: that is the answer.  False: the
 * layer below, which c names now, must be asked for c->ext.len bytes.
 */
static bool
is_answer(struct chain_extent *c, uint64_t off)
{
	struct image *next = c->layer->backing;

	c->found = !falls_through(c->ext.kind);
	/* Behind the end of a disk is the state of its machine. */
	if (c->found || !next || off >= next->size || off >= c->layer->size)
		return true;
	c->layer = next;
	c->depth++;
	c->ext.len = min_u64(c->ext.len, next->size - off);
	return false;
}

/* The top has not got it, and c names the layer below: name the one that is
 * known to have it.  Those between fall through there. */
static void
skip_layers(const struct image *img, struct chain_extent *c, uint64_t off)
{
	struct owner o;

	if (c->depth != 1 || !owners_find(img, off, c->ext.len, &o))
		return;
	c->layer = o.layer;
	c->depth = o.depth;
	c->ext.len = min_u64(o.len, o.layer->size - off);
}

int Q2_CO
chain_lookup(struct image *img, uint64_t off, uint64_t len,
	     struct chain_extent *ret)
{
	*ret = (struct chain_extent){.layer = img, .ext.len = len};
	do {
		int r = 0;

		skip_layers(img, ret, off);

		if (image_is_qcow2(ret->layer))
			r = map_lookup(ret->layer, off, ret->ext.len,
				       &ret->ext);
		else
			raw_extent(off, ret->ext.len, &ret->ext);
		if (r < 0)
			return r;
	} while (!is_answer(ret, off));
	owners_learn(img, off, ret->ext.len, ret->depth);
	return 0;
}

bool
chain_peek(struct image *img, uint64_t off, uint64_t len,
	   struct chain_extent *ret)
{
	*ret = (struct chain_extent){.layer = img, .ext.len = len};
	do {
		skip_layers(img, ret, off);
		if (!image_is_qcow2(ret->layer))
			raw_extent(off, ret->ext.len, &ret->ext);
		else if (!map_peek(ret->layer, off, ret->ext.len, &ret->ext))
			return false;
	} while (!is_answer(ret, off));
	owners_learn(img, off, ret->ext.len, ret->depth);
	return true;
}

int Q2_CO
chain_reads_zero(struct image *img, uint64_t off, uint64_t len)
{
	struct chain_extent c;

	while (len > 0) {
		int r = chain_lookup(img, off, len, &c);

		if (r < 0)
			return r;
		if (!chain_is_zero(&c))
			return 0;
		off += c.ext.len;
		len -= c.ext.len;
	}
	return 1;
}

/* ---- holes ------------------------------------------------------------- */

struct question {
	const struct aio_file *file;
	uint64_t off, len;
};

static int
ask(void *arg)
{
	struct question *q = arg;

	return holes_at(q->file, q->off, q->len, &q->len);
}

/* Is c, which is at off, a hole of its file?  Shortens it to what is in one
 * state. */
static bool Q2_CO
is_hole(struct chain_extent *c, uint64_t off)
{
	struct image *layer = c->layer;
	struct question q = {layer->file, off, c->ext.len};
	bool is_hole;

	if (image_is_qcow2(layer)) {
		/* What is there is not what the guest sees, or is packed. */
		if (layer->header.crypt_method ||
		    c->ext.kind != CLUSTER_NORMAL || !holes_expected(layer))
			return false;
		q.file = layer->data;
		q.off = c->ext.host;
	}
	is_hole = q.file && loop_offload(layer->loop, ask, &q) > 0;
	c->ext.len = q.len;
	return is_hole;
}

bool Q2_CO
chain_seems_zero(struct image *img, uint64_t off, uint64_t len)
{
	struct chain_extent c;

	while (len > 0) {
		if (chain_lookup(img, off, len, &c) < 0 ||
		    (!chain_is_zero(&c) && !is_hole(&c, off)))
			return false;
		off += c.ext.len;
		len -= c.ext.len;
	}
	return true;
}

/* ---- q2_map() ---------------------------------------------------------- */

/* What q2_map() says of the extent at off; len is set by the caller. */
static int Q2_CO
describe(const struct chain_extent *c, uint64_t off, struct q2_extent *ret)
{
	enum cluster_kind kind = c->ext.kind;
	int r;

	if (!c->found) {
		*ret = (struct q2_extent){.zero = true, .depth = c->depth};
		/* A host cluster that no subcluster uses yet. */
		ret->allocated = kind == CLUSTER_UNALLOCATED_AT;
	} else if (!image_is_qcow2(c->layer)) {
		r = raw_map(c->layer, off, c->ext.len, ret);
		if (r < 0)
			return r;
		ret->depth = c->depth;
		ret->file = c->layer->path;
		return 0;
	} else {
		*ret = (struct q2_extent){
			.present = true,
			.allocated = kind != CLUSTER_ZERO_PLAIN,
			.zero = chain_is_zero(c),
			.data = !chain_is_zero(c),
			.compressed = kind == CLUSTER_COMPRESSED,
			.depth = c->depth,
		};
	}
	ret->file = c->layer->data->name;
	/* What is there is not what the guest sees, if it is encrypted. */
	ret->has_host = kind_has_host(kind) && !c->layer->header.crypt_method;
	ret->host = ret->has_host ? c->ext.host : 0;
	ret->off = off;
	ret->len = c->ext.len;
	if (ret->data && ret->has_host && holes_expected(c->layer))
		ret->zero = holes_at(c->layer->data, c->ext.host, c->ext.len,
				     &ret->len);
	return 0;
}

static bool
same_state(const struct q2_extent *a, const struct q2_extent *b)
{
	return a->present == b->present && a->allocated == b->allocated &&
	       a->zero == b->zero && a->data == b->data && !a->compressed &&
	       !b->compressed && a->depth == b->depth &&
	       a->has_host == b->has_host &&
	       (!a->has_host || b->host == a->host + a->len);
}

int Q2_CO
chain_map(struct image *img, uint64_t off, uint64_t len,
	  struct q2_extent *ret_ext)
{
	struct q2_extent all = {0}, next = {0};
	struct chain_extent c;

	while (all.len < len) {
		int r = chain_lookup(img, off + all.len, len - all.len, &c);

		if (r == 0)
			r = describe(&c, off + all.len, &next);
		if (r < 0)
			return r;
		if (all.len && !same_state(&all, &next))
			break;
		if (all.len)
			all.len += next.len;
		else
			all = next;
	}
	*ret_ext = all;
	return 0;
}
