/* SPDX-License-Identifier: MIT */
#include "engine/image/snapshots.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"

/* The table is read in pieces; an entry is smaller. */
#define PIECE     (512 * KiB)
#define ENTRY_MAX (SNAPSHOT_MAX_BYTES + 8)

/* ---- entries in memory ------------------------------------------------- */

/* One block of memory: extra data, id, name. */
static int
own(struct snapshot *sn)
{
	size_t id = sn->extra_len, name = id + sn->id_len + 1;
	char *p = calloc(name + sn->name_len + 1, 1);

	if (!p)
		return -ENOMEM;
	if (sn->extra_len)
		memcpy(p, sn->extra, sn->extra_len);
	if (sn->id_len)
		memcpy(p + id, sn->id, sn->id_len);
	if (sn->name_len)
		memcpy(p + name, sn->name, sn->name_len);
	sn->extra = (const uint8_t *)p;
	sn->id = p + id;
	sn->name = p + name;
	return 0;
}

static void
disown(const struct snapshot *sn)
{
	free((void *)(uintptr_t)sn->extra);
}

int
snapshots_append(struct snapshots *s, const struct snapshot *sn)
{
	struct snapshot copy = *sn;
	struct snapshot *v;
	int r = own(&copy);

	if (r < 0)
		return r;
	/* Room for a power of two. */
	if ((s->n & (s->n - 1)) == 0) {
		v = realloc(s->v, (s->n ? 2 * (size_t)s->n : 1) * sizeof(*v));
		if (!v) {
			disown(&copy);
			return -ENOMEM;
		}
		s->v = v;
	}
	s->v[s->n++] = copy;
	return 0;
}

void
snapshots_remove(struct snapshots *s, uint32_t index)
{
	disown(&s->v[index]);
	s->n--;
	memmove(&s->v[index], &s->v[index + 1],
		(s->n - index) * sizeof(s->v[0]));
}

void
snapshots_done(struct snapshots *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		disown(&s->v[i]);
	free(s->v);
	*s = (struct snapshots){0};
}

int
snapshots_find(const struct snapshots *s, const char *id, const char *name)
{
	for (uint32_t i = 0; i < s->n; i++)
		if ((!id || strcmp(s->v[i].id, id) == 0) &&
		    (!name || strcmp(s->v[i].name, name) == 0))
			return (int)i;
	return -1;
}

/* ---- the table --------------------------------------------------------- */

struct reader {
	struct image *img;
	struct snapshots *s;
	uint8_t *buf;
	uint64_t buf_at;    /* offset in the file of what it holds */
	uint64_t new_bytes; /* of what was read, as it would be written */
};

static int
refuse_extra(const struct reader *rd, uint32_t extra, struct q2_err *err)
{
	return err_field(err,
			 q2_fail(err, -EFBIG,
				 "Too much extra metadata in snapshot table "
				 "entry %u\n"
				 "You can force-remove this extra metadata "
				 "with qemu-img check -r all",
				 rd->s->n),
			 "extra_data_size", extra);
}

static int
refuse_table(const struct reader *rd, struct q2_err *err)
{
	return q2_fail(err, -EFBIG,
		       "Snapshot table is too big\n"
		       "You can force-remove all %u overhanging snapshots "
		       "with qemu-img check -r all",
		       rd->img->header.snapshots - rd->s->n);
}

static int Q2_CO
read_entry(struct reader *rd, struct q2_err *err)
{
	struct snapshots *s = rd->s;
	uint64_t at = rd->img->header.snapshots_offset + s->bytes;
	struct snapshot sn = {0};
	int r = 0;

	if (!s->n || at + ENTRY_MAX > rd->buf_at + PIECE) {
		r = file_read(rd->img->file, AIO_HEADER, rd->buf, PIECE, at);
		rd->buf_at = at;
	}
	if (r == 0)
		r = snapshot_decode(rd->buf + (at - rd->buf_at), ENTRY_MAX,
				    &sn);
	if (r == -EFBIG)
		return refuse_extra(rd, sn.extra_len, err);
	if (r < 0)
		return q2_fail(err, r, "Could not read snapshots");
	rd->new_bytes += snapshot_encoded_bytes(&sn);
	if (rd->new_bytes > SNAPSHOT_MAX_TABLE ||
	    s->bytes + sn.bytes > INT32_MAX)
		return refuse_table(rd, err);
	if (!sn.has_disk_bytes)
		sn.disk_bytes = rd->img->size;
	sn.has_disk_bytes = true;
	r = snapshots_append(s, &sn);
	if (r < 0)
		return q2_fail(err, r, "no memory for the snapshots");
	s->bytes += sn.bytes;
	return 0;
}

int Q2_CO
snapshots_load(struct image *img, struct q2_err *err)
{
	struct snapshots s = {0};
	Q2_AUTO_FREE uint8_t *buf = NULL;
	struct reader rd = {.img = img, .s = &s};
	int r = 0;

	if (img->header.snapshots) {
		buf = mem_aligned(PIECE);
		if (!buf)
			return q2_fail(err, -ENOMEM,
				       "no memory for the snapshots");
	}
	rd.buf = buf;
	while (r == 0 && s.n < img->header.snapshots)
		r = read_entry(&rd, err);
	if (r < 0) {
		snapshots_done(&s);
		return r;
	}
	snapshots_done(&img->snapshots);
	img->snapshots = s;
	return 0;
}

/* ---- L1 tables --------------------------------------------------------- */

int
snapshots_check_l1(const struct image *img, const struct snapshot *sn,
		   struct q2_err *err)
{
	uint64_t bytes = (uint64_t)sn->l1_entries * 8;

	if (bytes > Q2_MAX_L1_BYTES)
		return err_field(
			err,
			q2_fail(err, -EFBIG, "Snapshot L1 table too large"),
			"l1_size", sn->l1_entries);
	if (sn->l1_offset > INT64_MAX - bytes ||
	    geom_in_cluster(&img->geom, sn->l1_offset))
		return err_field(err,
				 q2_fail(err, -EINVAL,
					 "Snapshot L1 table offset invalid"),
				 "l1_table_offset", sn->l1_offset);
	return 0;
}

uint64_t
snapshots_l1_clusters(const struct image *img, const struct snapshot *sn)
{
	return div_up((uint64_t)sn->l1_entries * 8, img->geom.cluster_size);
}

int Q2_CO
snapshots_read_l1(struct image *img, const struct snapshot *sn, uint32_t min,
		  struct table *ret)
{
	uint64_t bytes = (uint64_t)sn->l1_entries * 8;
	uint32_t n = sn->l1_entries > min ? sn->l1_entries : min;
	Q2_AUTO_FREE void *buf = mem_aligned_zero((uint64_t)n * 8 + 1);
	int r = buf ? 0 : -ENOMEM;

	if (r == 0)
		r = table_init(ret, n, sn->l1_offset, img->geom.cluster_size);
	if (r < 0)
		return r;
	if (bytes)
		r = file_read(img->file, AIO_L1, buf, bytes, sn->l1_offset);
	if (r < 0) {
		table_done(ret);
		return r;
	}
	table_decode(ret, buf);
	return 0;
}
