/* SPDX-License-Identifier: MIT */
#include "tests/snapshot_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "tests/image_check.h"
#include "tests/image_make.h"
#include "tests/snapshot_files.h"

const struct snapshot_disk snapshot_disks[] = {
	/* Tables of several clusters. */
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .snaps = 3,
	 .name_bytes = 230,
	 .target = 1},
	/* A block counts 64 clusters: new ones are needed all the time. */
	{.cluster_bits = 9, .refcount_order = 6, .snaps = 2, .packed = true},
	{.cluster_bits = 12, .refcount_order = 3, .snaps = 1, .lazy = true},
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .version = 2,
	 .snaps = 2,
	 .target = 1},
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .version = 2,
	 .snaps = 2,
	 .old_table = true},
	{.cluster_bits = 9, .refcount_order = 4, .snaps = 3, .below = true},
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .snaps = 2,
	 .other_sizes = true},
	{.cluster_bits = 14,
	 .refcount_order = 4,
	 .snaps = 2,
	 .extended_l2 = true,
	 .packed = true},
};
const unsigned n_snapshot_disks = ARRAY_SIZE(snapshot_disks);

bool
snapshot_disk_can(const struct snapshot_disk *d, enum snapshot_disk_op op)
{
	return op != OP_AMEND || d->version == 2 ||
	       (d->refcount_order == 4 && !d->extended_l2 && !d->other_sizes);
}

const char *
snapshot_disk_text(const struct snapshot_disk *d)
{
	static const char *const ops[] = {"create", "apply", "delete", "amend"};
	static char text[256];

	(void)snprintf(text, sizeof(text),
		       "%s %u, cluster bits %u, order %u, version %u, lazy %d, "
		       "packed %d, other sizes %d, below %d, old table %d, "
		       "seed %" PRIu64,
		       ops[d->op], d->target, d->cluster_bits,
		       d->refcount_order, d->version, d->lazy, d->packed,
		       d->other_sizes, d->below, d->old_table, d->seed);
	return text;
}

/* ---- contents ---------------------------------------------------------- */

/* More than one L2 table with small clusters. */
static uint64_t
room(const struct snapshot_disk *d)
{
	uint64_t clusters = d->cluster_bits == 9 ? 150 : 24;

	return clusters << d->cluster_bits;
}

static int
copy_content(const struct snapshot_disk *d, struct disk_content *to,
	     const struct disk_content *from)
{
	to->size = from->size;
	if (!to->bytes)
		to->bytes = malloc(room(d));
	if (!to->bytes)
		return -ENOMEM;
	memcpy(to->bytes, from->bytes, room(d));
	return 0;
}

static int
copy_state(const struct snapshot_disk *d, struct disk_state *to,
	   const struct disk_state *from)
{
	int r = copy_content(d, &to->disk, &from->disk);

	for (unsigned i = 0; i < from->n && r == 0; i++) {
		r = copy_content(d, &to->snaps[i], &from->snaps[i]);
		strcpy(to->names[i], from->names[i]);
	}
	to->n = from->n;
	to->version = from->version;
	return r;
}

static void
state_done(struct disk_state *s)
{
	free(s->disk.bytes);
	for (unsigned i = 0; i < SNAPSHOTS_MAX; i++)
		free(s->snaps[i].bytes);
	memset(s, 0, sizeof(*s));
}

static void
set_name(const struct snapshot_disk *d, struct disk_state *s, unsigned i,
	 char first)
{
	memset(s->names[i], 'n', d->name_bytes + 2);
	s->names[i][0] = first;
	s->names[i][d->name_bytes + 2] = 0;
}

/* What the operation does to it. */
static int
operate(const struct snapshot_disk *d, struct disk_state *s)
{
	struct disk_content gone = {0};

	if (d->op == OP_CREATE) {
		set_name(d, s, s->n, 'X');
		return copy_content(d, &s->snaps[s->n++], &s->disk);
	}
	if (d->op == OP_APPLY)
		return copy_content(d, &s->disk, &s->snaps[d->target]);
	if (d->op == OP_AMEND) {
		s->version = s->version == 2 ? 3 : 2;
		return 0;
	}
	gone = s->snaps[d->target];
	s->n--;
	for (unsigned i = d->target; i < s->n; i++) {
		s->snaps[i] = s->snaps[i + 1];
		strcpy(s->names[i], s->names[i + 1]);
	}
	s->snaps[s->n] = gone;
	return 0;
}

/* ---- making it --------------------------------------------------------- */

int
snapshot_disk_open(struct loop *loop, struct q2_image **ret_img, char *why,
		   size_t why_bytes)
{
	struct q2_open_opts opts = {.size = sizeof(opts),
				    .driver = "qcow2",
				    .flags = Q2_UNMAP,
				    .l2_cache_size = 1024,
				    .l2_cache_entry_size = 512};
	struct q2_err err = {0};
	int r = q2_open((struct q2_loop *)loop, SNAPSHOT_DISK, &opts, ret_img,
			&err);

	if (r < 0)
		(void)snprintf(why, why_bytes, "open: %s", err.text);
	return r;
}

/* Random writes and zeroes, in the image and in c. */
static int
scribble(const struct snapshot_disk *d, struct q2_image *img, struct rng *rng,
	 struct disk_content *c)
{
	uint64_t cluster = UINT64_C(1) << d->cluster_bits;
	int r = 0;

	for (unsigned i = 0; i < 12 && r == 0; i++) {
		uint64_t off = rng_below(rng, c->size);
		uint64_t len = min_u64(1 + rng_below(rng, 3 * cluster),
				       c->size - off);

		if (rng_below(rng, 4) == 0) {
			memset(c->bytes + off, 0, len);
			r = q2_pzero(img, len, off, Q2_MAY_UNMAP);
			continue;
		}
		for (uint64_t k = 0; k < len; k++)
			c->bytes[off + k] = (uint8_t)rng_next(rng);
		r = q2_pwrite(img, c->bytes + off, len, off);
	}
	return r;
}

static void
set_flag(struct q2_req *rq)
{
	*(bool *)rq->user = true;
}

/* Whole clusters that pack, at the end of the disk, where nothing is. */
static int
pack(const struct snapshot_disk *d, struct loop *loop, struct q2_image *img,
     struct disk_content *c)
{
	uint64_t cluster = UINT64_C(1) << d->cluster_bits;
	uint64_t off = align_down(c->size - 1, cluster) - 6 * cluster;
	bool ended = false;
	struct iovec iov = {c->bytes + off, 6 * cluster};
	struct q2_req rq = {.op = Q2_WRITE,
			    .flags = Q2_COMPRESSED,
			    .off = off,
			    .len = iov.iov_len,
			    .iov = &iov,
			    .iovcnt = 1,
			    .done = set_flag,
			    .user = &ended};
	int r;

	for (uint64_t i = 0; i < rq.len; i++)
		c->bytes[off + i] = (uint8_t)(i / 100);
	q2_submit(img, &rq);
	r = loop_run_until(loop, &ended);
	return r < 0 ? r : rq.result;
}

static int
take(struct snapshot_disk *d, struct q2_image *img, char first)
{
	struct disk_state *s = &d->before;
	struct q2_snapshot_opts o = {.size = sizeof(o), .date_ns = 1};
	int r;

	set_name(d, s, s->n, first);
	o.name = s->names[s->n];
	r = q2_snapshot_create(img, &o, NULL);
	return r < 0 ? r : copy_content(d, &s->snaps[s->n++], &s->disk);
}

static int
fill(struct snapshot_disk *d, struct loop *loop, struct q2_image *img)
{
	struct q2_resize_opts o = {.size = sizeof(o), .shrink = true};
	struct disk_content *disk = &d->before.disk;
	struct rng rng = {.state = mix64(d->seed)};
	int r = d->packed ? pack(d, loop, img, disk) : 0;

	for (unsigned i = 0; i < d->snaps && r == 0; i++) {
		r = scribble(d, img, &rng, disk);
		if (r == 0)
			r = take(d, img, (char)('a' + i));
	}
	if (r == 0 && d->other_sizes) {
		disk->size = room(d) - 512;
		r = q2_resize(img, disk->size, &o, NULL);
	}
	return r < 0 ? r : scribble(d, img, &rng, disk);
}

int
snapshot_disk_make(struct snapshot_disk *d, struct loop *loop)
{
	struct disk_content *disk = &d->before.disk;
	struct image_make m = {
		.cluster_bits = d->cluster_bits,
		.refcount_order = d->refcount_order,
		.reftable_clusters = d->cluster_bits == 9 ? 4 : 0,
		.version = d->version,
		.extended_l2 = d->extended_l2,
		.lazy_refcounts = d->lazy,
		.backing_file = d->below ? SNAPSHOT_BELOW : NULL,
		.backing_format = d->below ? "raw" : NULL,
	};
	struct q2_image *img;
	char why[256];
	int r;

	d->before.version = d->version ? d->version : 3;
	disk->bytes = malloc(room(d));
	if (!disk->bytes)
		return -ENOMEM;
	memset(disk->bytes, d->below ? SNAPSHOT_BELOW_BYTE : 0, room(d));
	disk->size = m.bytes = room(d) -
			       (d->other_sizes ? 5 << d->cluster_bits : 512);
	r = image_make(loop, SNAPSHOT_DISK, &m);
	if (r == 0 && d->below)
		r = snapshot_make_below(loop, room(d));
	if (r == 0)
		r = snapshot_disk_open(loop, &img, why, sizeof(why));
	if (r < 0)
		return r;
	r = fill(d, loop, img);
	if (q2_close(img, NULL) < 0 && r == 0)
		r = -EIO;
	if (r == 0 && d->old_table)
		r = snapshot_shorten_table(loop, SNAPSHOT_DISK);
	if (r == 0)
		r = copy_state(d, &d->after, &d->before);
	return r < 0 ? r : operate(d, &d->after);
}

void
snapshot_disk_done(struct snapshot_disk *d)
{
	state_done(&d->before);
	state_done(&d->after);
}

int
snapshot_disk_run(const struct snapshot_disk *d, struct q2_image *img,
		  struct q2_err *err)
{
	struct q2_snapshot_opts o = {.size = sizeof(o), .date_ns = 1};
	struct q2_amend_opts amend = {.size = sizeof(amend),
				      .compat = d->after.version};

	switch (d->op) {
	case OP_CREATE:
		o.name = d->after.names[d->after.n - 1];
		return q2_snapshot_create(img, &o, err);
	case OP_APPLY:
		return q2_snapshot_apply(img, d->target, err);
	case OP_AMEND:
		return q2_amend(img, &amend, err);
	default:
		return q2_snapshot_delete(img, d->target, err);
	}
}

/* ---- looking ----------------------------------------------------------- */

/* Does the image read so?  Its size is that of the disk. */
static bool
reads_as(const struct snapshot_disk *d, struct q2_image *img,
	 const struct disk_content *c, const char *name, char *why,
	 size_t why_bytes)
{
	uint64_t len = min_u64(q2_size(img), c->size);
	uint8_t *buf = malloc(room(d));
	int r = buf ? q2_pread(img, buf, len, 0) : -ENOMEM;
	uint64_t i = 0;

	while (r == 0 && i < len && buf[i] == c->bytes[i])
		i++;
	free(buf);
	if (r == 0 && i == len)
		return true;
	(void)snprintf(why, why_bytes, "%.8s: %s at %" PRIu64, name,
		       r < 0 ? strerror(-r) : "another byte", i);
	return false;
}

static struct q2_image *
look(struct loop *loop, char *why, size_t why_bytes)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts), .driver = "qcow2", .flags = Q2_RDONLY};
	struct q2_image *img;
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)loop, SNAPSHOT_DISK, &opts, &img, &err) <
	    0) {
		(void)snprintf(why, why_bytes, "open: %s", err.text);
		return NULL;
	}
	return img;
}

static bool
has_snapshot(const struct snapshot_disk *d, struct loop *loop,
	     const struct disk_state *s, unsigned i, char *why,
	     size_t why_bytes)
{
	struct q2_image *img = look(loop, why, why_bytes);
	struct q2_snapshot sn;
	bool good = false;

	if (!img)
		return false;
	sn = q2_snapshot_get(img, i);
	if (strcmp(sn.name, s->names[i]) != 0 ||
	    sn.disk_bytes != s->snaps[i].size)
		(void)snprintf(why, why_bytes, "snapshot %u is another", i);
	else if (q2_snapshot_load(img, sn.id, sn.name, NULL) < 0)
		(void)snprintf(why, why_bytes, "snapshot %u: load", i);
	else
		good = reads_as(d, img, &s->snaps[i], sn.name, why, why_bytes);
	(void)q2_close(img, NULL);
	return good;
}

static bool
is_state(const struct snapshot_disk *d, struct loop *loop,
	 const struct disk_state *s, char *why, size_t why_bytes)
{
	struct q2_image *img = look(loop, why, why_bytes);
	bool good;

	if (!img)
		return false;
	good = q2_size(img) == s->disk.size && q2_snapshot_count(img) == s->n &&
	       ((struct image *)img)->header.version == s->version;
	if (!good)
		(void)snprintf(why, why_bytes,
			       "%u snapshots, size %" PRIu64 ", version %u",
			       q2_snapshot_count(img), q2_size(img),
			       (unsigned)((struct image *)img)->header.version);
	good = good && reads_as(d, img, &s->disk, "the disk", why, why_bytes);
	(void)q2_close(img, NULL);
	for (unsigned i = 0; i < s->n && good; i++)
		good = has_snapshot(d, loop, s, i, why, why_bytes);
	return good;
}

/* No cluster has more references than its refcount says, unless the dirty bit
 * says that refcounts are behind. */
static bool
is_whole(struct loop *loop, uint64_t *ret_leaks, char *why, size_t why_bytes)
{
	struct image_check c;
	int r = image_check(loop, SNAPSHOT_DISK, &c);

	*ret_leaks = c.leaks;
	if (r == 0 && (!c.corruptions || c.dirty))
		return true;
	(void)snprintf(why, why_bytes, "%s", r < 0 ? strerror(-r) : c.why);
	return false;
}

int
snapshot_disk_check(const struct snapshot_disk *d, struct loop *loop,
		    uint64_t *ret_leaks, char *why, size_t why_bytes)
{
	char first[256];

	if (!is_whole(loop, ret_leaks, why, why_bytes))
		return -1;
	if (is_state(d, loop, &d->after, first, sizeof(first)))
		return 1;
	if (is_state(d, loop, &d->before, why, why_bytes))
		return 0;
	(void)strncat(why, "; not after: ", why_bytes - strlen(why) - 1);
	(void)strncat(why, first, why_bytes - strlen(why) - 1);
	return -1;
}

/* ---- going on ---------------------------------------------------------- */

static int
go_on(struct snapshot_disk *d, struct loop *loop, struct q2_image *img,
      struct rng *rng)
{
	struct disk_state *s = &d->before;
	unsigned gone = (unsigned)rng_below(rng, s->n + 1);
	int r = scribble(d, img, rng, &s->disk);

	(void)loop;
	if (r == 0)
		r = take(d, img, 'Z');
	if (r == 0)
		r = scribble(d, img, rng, &s->disk);
	if (r == 0)
		r = q2_snapshot_delete(img, gone, NULL);
	if (r < 0)
		return r;
	d->op = OP_DELETE;
	d->target = gone;
	r = operate(d, s);
	if (r == 0)
		r = scribble(d, img, rng, &s->disk);
	if (r == 0 && s->n)
		r = q2_snapshot_apply(img, 0, NULL);
	if (r == 0 && s->n)
		r = copy_content(d, &s->disk, &s->snaps[0]);
	return r < 0 ? r : scribble(d, img, rng, &s->disk);
}

int
snapshot_disk_go_on(const struct snapshot_disk *d, bool after,
		    struct loop *loop, char *why, size_t why_bytes)
{
	struct snapshot_disk on = *d;
	struct rng rng = {.state = mix64(d->seed + 1)};
	struct q2_image *img;
	uint64_t leaks;
	int r;

	memset(&on.before, 0, sizeof(on.before));
	memset(&on.after, 0, sizeof(on.after));
	r = copy_state(d, &on.before, after ? &d->after : &d->before);
	if (r == 0)
		r = snapshot_disk_open(loop, &img, why, why_bytes);
	if (r < 0)
		return -1;
	r = go_on(&on, loop, img, &rng);
	if (r < 0)
		(void)snprintf(why, why_bytes, "going on: %s", strerror(-r));
	if (q2_close(img, NULL) < 0 && r == 0) {
		(void)snprintf(why, why_bytes, "going on: close");
		r = -1;
	}
	if (r == 0 && (!is_whole(loop, &leaks, why, why_bytes) ||
		       !is_state(&on, loop, &on.before, why, why_bytes)))
		r = -1;
	snapshot_disk_done(&on);
	return r < 0 ? -1 : 0;
}
