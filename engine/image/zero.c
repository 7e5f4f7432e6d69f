/* SPDX-License-Identifier: MIT */
/*
 * zero.c - write zeroes and discard: mappings change, few bytes move
 *
 * Whole subclusters are marked as zeros.  A cluster that has a host cluster
 * keeps it, so that a later write finds its place again (and a preallocated
 * image stays one), unless the guest gives it up.  A subcluster at an end of a
 * request, covered in part, is marked too if nothing was written into it and
 * the rest of it reads as zeros; else zeros are written.  So what a guest has
 * made zero is the image's own, whatever its backing file holds one day.
 *
 * Version 2 has no zero flag.  There a cluster is unlinked where nothing can
 * shine through from a backing file, else zeros are written.
 */
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/chain.h"
#include "engine/image/cow.h"
#include "engine/image/data.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

static int Q2_CO
write_zeros(struct image *img, uint64_t off, uint64_t len)
{
	int r = 0;

	while (r == 0 && len > 0) {
		/* iovec has no const; a write does not change it. */
		struct iovec iov = {(void *)(uintptr_t)mem_zeros,
				    min_u64(len, MEM_ZEROS_BYTES)};

		r = image_write(img, iov_iter_init(&iov, 1), off);
		off += iov.iov_len;
		len -= iov.iov_len;
	}
	return r;
}

/* ---- entries ----------------------------------------------------------- */

/* What happens to whole subclusters. */
enum change {
	KEEP,    /* read as zeros, keep the host cluster */
	UNMAP,   /* read as zeros, give the host cluster up */
	DISCARD, /* give it up; what was never written stays so, where nothing
		    shines through */
};

/* A cluster and the subclusters of it, as bits, that change. */
struct target {
	enum change change;
	uint32_t subs;
};

static bool
keeps_host(const struct image *img, const struct target *t)
{
	return t->change == KEEP || img->keep_clusters ||
	       (img->geom.subs > 1 && t->subs != SUBS_ALL);
}

/* The entry of an unlinked cluster, which reads as zeros. */
static struct l2_entry
unlinked_entry(const struct image *img)
{
	if (img->geom.subs > 1)
		return (struct l2_entry){.sub_zero = SUBS_ALL};
	if (img->header.version < 3)
		return (struct l2_entry){.kind = CLUSTER_UNALLOCATED};
	return (struct l2_entry){.kind = CLUSTER_ZERO_PLAIN};
}

/* With extended L2: mark the subclusters. */
static bool
mark_subs(struct l2_entry *e, uint32_t subs)
{
	if ((e->sub_zero & subs) == subs)
		return false;
	e->sub_zero |= subs;
	e->sub_alloc &= ~subs;
	return true;
}

/* Does nothing of the cluster need to change: is it what the change makes? */
static bool
is_done(const struct image *img, const struct target *t,
	const struct l2_entry *e)
{
	bool has_host = e->kind == CLUSTER_NORMAL ||
			e->kind == CLUSTER_ZERO_ALLOC ||
			e->kind == CLUSTER_COMPRESSED;

	if (has_host)
		return false;
	if (img->geom.subs > 1 ? (e->sub_zero & t->subs) == t->subs
			       : e->kind == CLUSTER_ZERO_PLAIN)
		return true;
	/* Discarding what was never written allocates nothing. */
	return !img->backing &&
	       (t->change == DISCARD || img->header.version < 3);
}

/* A new entry for the cluster, or false if it stays as it is. */
static bool
changed_entry(const struct image *img, const struct target *t,
	      struct l2_entry *e)
{
	bool has_host = e->kind == CLUSTER_NORMAL ||
			e->kind == CLUSTER_ZERO_ALLOC;

	/* All of the cluster changes, by check_entries(): what is wrong goes,
	 * and is not freed (limbo.c). */
	if (!map_entry_is_valid(img, e)) {
		*e = unlinked_entry(img);
		return true;
	}
	if (is_done(img, t, e))
		return false;
	if (has_host && keeps_host(img, t)) {
		if (img->geom.subs > 1)
			return mark_subs(e, t->subs);
		if (e->kind == CLUSTER_ZERO_ALLOC)
			return false;
		e->kind = CLUSTER_ZERO_ALLOC;
		return true;
	}
	if (img->geom.subs > 1 && t->subs != SUBS_ALL)
		return mark_subs(e, t->subs);
	*e = unlinked_entry(img);
	return true;
}

/* ---- clusters ---------------------------------------------------------- */

/* Runs of host clusters that are given up, passed on as few as possible. */
struct freed {
	struct image *img;
	uint64_t host, n;
};

static void
freed_end(struct freed *f)
{
	/* In a data file a cluster's place stays its own. */
	if (f->n && !f->img->geom.external_data)
		limbo_add(f->img, f->host, f->n, true);
	f->n = 0;
}

static void
freed_add(struct freed *f, uint64_t host)
{
	if (!f->n || host != f->host + (f->n << f->img->geom.cluster_bits)) {
		freed_end(f);
		f->host = host;
	}
	f->n++;
}

/* The subclusters of guest cluster `cluster` within [first, first + n). */
static uint32_t
subs_within(const struct geom *g, uint64_t cluster, uint64_t first, uint64_t n)
{
	uint64_t start = cluster * g->subs;
	uint64_t from = max_u64(first, start) - start;
	uint64_t to = min_u64(first + n, start + g->subs) - start;

	if (to - from == 32)
		return SUBS_ALL;
	return ((UINT32_C(1) << (to - from)) - 1) << from;
}

/* Change the entries of [first, first + n) subclusters, from index of s on. */
static void
change_entries(struct image *img, struct slice *s, uint32_t index,
	       uint64_t first, uint64_t n, enum change change)
{
	const struct geom *g = &img->geom;
	uint64_t begin = first / g->subs, end = div_up(first + n, g->subs);
	struct freed freed = {.img = img};

	for (uint64_t c = begin; c < end; c++) {
		uint32_t i = index + (uint32_t)(c - begin);
		struct l2_entry e = map_entry(img, s, i);
		struct target t = {change, subs_within(g, c, first, n)};
		struct l2_entry old = e;

		if (!changed_entry(img, &t, &e))
			continue;
		map_set_entry(img, s, i, &e);
		if (old.kind == CLUSTER_COMPRESSED)
			limbo_add_entry(img, &old, true);
		else if (old.host && !e.host)
			freed_add(&freed, old.host);
	}
	freed_end(&freed);
}

/*
 * Is there an entry among those of [first, first + n) subclusters that cannot
 * be changed, since only a part of it would be?  1 for a compressed one,
 * -EUCLEAN and the guest cluster for one that contradicts itself, else 0.
 */
static int
check_entries(const struct image *img, const struct slice *s, uint32_t index,
	      uint64_t first, uint64_t n, uint64_t *ret_cluster)
{
	const struct geom *g = &img->geom;
	uint64_t begin = first / g->subs, end = div_up(first + n, g->subs);

	for (uint64_t c = begin; c < end; c++) {
		struct l2_entry e = map_entry(img, s,
					      index + (uint32_t)(c - begin));

		if (g->subs == 1 || subs_within(g, c, first, n) == SUBS_ALL)
			continue;
		if (!map_entry_is_valid(img, &e)) {
			*ret_cluster = c;
			return -Q2_ECORRUPT;
		}
		if (e.kind == CLUSTER_COMPRESSED)
			return 1;
	}
	return 0;
}

/* Without an L2 table: would the change alter anything?  If not, none is made.
 * 1, 0 or -errno. */
static int Q2_CO
would_change(struct image *img, uint64_t first, enum change change)
{
	struct target t = {change, SUBS_ALL};
	struct l2_entry none = {.kind = CLUSTER_UNALLOCATED};
	struct slice *s;
	uint32_t index;
	int r;

	r = map_get(img, first << img->geom.sub_bits, &s, &index);
	if (r < 0)
		return r;
	if (s) {
		slice_put(&img->l2, s);
		return 1;
	}
	return !is_done(img, &t, &none);
}

/* Whole subclusters within one slice, which nobody else is changing.  1, and
 * nothing has changed, if they are a part of a compressed cluster. */
static int Q2_CO
change_held(struct image *img, uint64_t first, uint64_t n, enum change change)
{
	const struct geom *g = &img->geom;
	uint64_t guest = first << g->sub_bits;
	uint64_t wrong = 0;
	struct l2_entry e = {0};
	struct slice *s;
	uint32_t index;
	int r;

	r = would_change(img, first, change);
	if (r <= 0)
		return r;
	r = map_get_for_change(img, guest, &s, &index);
	if (r < 0)
		return r;
	r = check_entries(img, s, index, first, n, &wrong);
	if (r == 0)
		change_entries(img, s, index, first, n, change);
	else if (r == -Q2_ECORRUPT)
		e = map_entry(img, s,
			      index + (uint32_t)(wrong - first / g->subs));
	slice_put(&img->l2, s);
	return r == -Q2_ECORRUPT ? map_tell(img, wrong << g->cluster_bits, &e)
				 : r;
}

/* May the file forget the bytes of clusters that keep their place?  Not in an
 * encrypted image: until the entries are durable, and to readers under way,
 * zeros of the file would be bytes that nobody wrote. */
static bool
gives_bytes_up(const struct image *img, enum change change)
{
	return change != KEEP && img->punch_request &&
	       !img->header.crypt_method &&
	       (img->geom.external_data || img->keep_clusters);
}

/*
 * Where clusters keep their place, the file is told before the entries change
 * that their bytes are not needed, or, in a data file that is also read
 * directly, made zero: nobody else can use the place.
 */
static int Q2_CO
change_host(struct image *img, uint64_t first, uint64_t n, enum change change)
{
	uint64_t off = first << img->geom.sub_bits, end;
	bool punches = gives_bytes_up(img, change);
	bool is_raw = image_data_is_raw(img);
	struct map_extent ext;
	int r = 0;

	if (!punches && !is_raw)
		return 0;
	end = min_u64((first + n) << img->geom.sub_bits, img->size);
	for (; r == 0 && off < end; off += ext.len) {
		r = map_lookup(img, off, end - off, &ext);
		if (r < 0)
			return r;
		/* Zeros must be there, whatever the entries say. */
		if (is_raw && !punches)
			r = cow_zero_host(
				img, &(struct data_place){ext.len, off, off});
		else if (is_raw && change != DISCARD)
			r = file_punch(img->data, ext.len, off);
		else if (ext.kind == CLUSTER_NORMAL && ext.copied &&
			 (img->data != img->file ||
			  !meta_hit(img, ext.host, ext.len)))
			r = is_raw ? file_punch(img->data, ext.len, ext.host)
				   : file_discard(img->data, ext.len, ext.host);
		cache_data_written(img);
	}
	return r;
}

/* Change whole subclusters that f holds, and let go.  As change_held(). */
static int Q2_CO
change_and_end(struct image *img, struct inflight *f, enum change change)
{
	int r = change_host(img, f->first, f->n, change);

	if (r == 0)
		r = change_held(img, f->first, f->n, change);
	inflight_end(f, r < 0 ? r : 0);
	inflight_put(&img->inflight, f);
	return r;
}

/* Wait for the end of f, which somebody else holds. */
static void Q2_CO
wait_for(struct image *img, struct inflight *f)
{
	(void)POINT_HIT(&img->points, alloc_wait);
	inflight_ref(f);
	co_queue_wait(&f->wait);
	inflight_put(&img->inflight, f);
}

/* Hold as many of the subclusters as are free and in one slice, and change
 * them; none if somebody holds the first: then wait for that.  As change_held(). */
static int Q2_CO
change_some(struct image *img, uint64_t first, uint64_t n, enum change change,
	    uint64_t *ret_n)
{
	unsigned bits = img->geom.sub_bits;
	struct inflight *f = inflight_find(&img->inflight, first);

	*ret_n = n;
	/* Behind the end of the disk there is nothing to change. */
	if (first << bits >= img->size)
		return 0;
	*ret_n = 0;
	if (f) {
		wait_for(img, f);
		return 0;
	}
	n = min_u64(n, (map_slice_end(img, first << bits) >> bits) - first);
	n = inflight_next(&img->inflight, first, n) - first;
	f = inflight_add(&img->inflight, first, n);
	if (!f)
		return -ENOMEM;
	*ret_n = n;
	return change_and_end(img, f, change);
}

/* How much of [first, last) to change at once: whole clusters, or a part of
 * one. */
static uint64_t
step(const struct geom *g, uint64_t first, uint64_t last)
{
	uint64_t next = align_down(first, g->subs) + g->subs;

	if (first & (g->subs - 1) || last < next)
		return min_u64(next, last) - first;
	return align_down(last, g->subs) - first;
}

static int Q2_CO
change_all(struct image *img, uint64_t first, uint64_t last, enum change change)
{
	unsigned bits = img->geom.sub_bits;
	int r = 0;

	while (r == 0 && first < last) {
		uint64_t n;

		r = change_some(img, first, step(&img->geom, first, last),
				change, &n);
		/* A part of a compressed cluster has no state of its own. */
		if (r == 1)
			r = write_zeros(img, first << bits,
					min_u64(n << bits,
						img->size - (first << bits)));
		first += n;
	}
	return r;
}

/* ---- ends of a request ------------------------------------------------- */

/* May a held subcluster be marked for the sake of [off, off + len), a part of
 * it?  1, 0 or -errno. */
static int Q2_CO
may_mark(struct image *img, uint64_t off, uint64_t len)
{
	uint64_t start = align_down(off, img->geom.sub_size);
	uint64_t end = min_u64(start + img->geom.sub_size, img->size);
	struct map_extent ext;
	int r = map_lookup(img, start, end - start, &ext);

	if (r < 0)
		return r;
	/* Bytes of its own could be read by somebody right now. */
	if (ext.kind == CLUSTER_NORMAL || ext.kind == CLUSTER_COMPRESSED)
		return 0;
	return chain_seems_zero(img, start, off - start) &&
	       chain_seems_zero(img, off + len, end - (off + len));
}

/*
 * Make [off, off + len), a part of one subcluster, read as zeros.  It is held
 * from before the look at it until it is marked, so that nobody writes into it
 * between the two.
 */
static int Q2_CO
zero_edge(struct image *img, uint64_t off, uint64_t len, enum change change)
{
	uint64_t sub = off >> img->geom.sub_bits;
	struct inflight *f;
	int r;

	if (!len)
		return 0;
	while ((f = inflight_find(&img->inflight, sub)))
		wait_for(img, f);
	f = inflight_add(&img->inflight, sub, 1);
	if (!f)
		return -ENOMEM;
	r = may_mark(img, off, len);
	if (r > 0)
		return change_and_end(img, f, change);
	inflight_end(f, r);
	inflight_put(&img->inflight, f);
	return r < 0 ? r : write_zeros(img, off, len);
}

/* ---- requests ---------------------------------------------------------- */

/*
 * The whole subclusters of [off, off + len): [*ret_first, *ret_last), maybe
 * none.  The last one of an image is whole if all of it is meant, though the
 * image ends within it.
 */
static void
whole_subs(const struct image *img, uint64_t off, uint64_t len,
	   uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t size = img->geom.sub_size;
	uint64_t end = off + len;

	*ret_first = div_up(off, size);
	*ret_last = end == img->size ? div_up(end, size) : end / size;
	/* Behind the end nothing is left of the last cluster. */
	if (end == img->size)
		*ret_last = align_up(*ret_last, img->geom.subs);
}

/* What a request to write zeros does to whole subclusters. */
static enum change
zero_change(const struct image *img, bool unmap)
{
	if (img->header.version < 3)
		return DISCARD;
	return unmap && img->unmap ? UNMAP : KEEP;
}

int Q2_CO
image_zero(struct image *img, uint64_t off, uint64_t len, bool unmap)
{
	enum change change = zero_change(img, unmap);
	uint64_t size = img->geom.sub_size, end = off + len;
	uint64_t first, last, head_end;
	int r;

	if (img->header.version < 3 && img->backing)
		return write_zeros(img, off, len);
	whole_subs(img, off, len, &first, &last);
	head_end = min_u64(first * size, end);
	r = zero_edge(img, off, head_end - off, change);
	if (r == 0 && last >= first && last * size < end)
		r = zero_edge(img, last * size, end - last * size, change);
	if (r == 0 && first < last)
		r = change_all(img, first, last, change);
	return r;
}

int Q2_CO
image_discard(struct image *img, uint64_t off, uint64_t len)
{
	uint64_t first, last;

	/* What shines through would come back in version 2. */
	if (!img->unmap || (img->header.version < 3 && img->backing))
		return 0;
	whole_subs(img, off, len, &first, &last);
	return first < last ? change_all(img, first, last, DISCARD) : 0;
}
