/* SPDX-License-Identifier: MIT */
/* snapshot.c - entries of the snapshot table */
#include "engine/format/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/num.h"

#define OFF_DATE        16
#define OFF_CLOCK       24
#define OFF_STATE_BYTES 32
#define OFF_EXTRA_BYTES 36

/* Of a field that is there in part, all is unknown. */
static void
decode_extra(const uint8_t *p, struct snapshot *ret)
{
	ret->extra = p;
	ret->icount = SNAPSHOT_NO_ICOUNT;
	if (ret->extra_len >= 8)
		ret->state_bytes = load_be64(p);
	ret->has_disk_bytes = ret->extra_len >= 16;
	if (ret->has_disk_bytes)
		ret->disk_bytes = load_be64(p + 8);
	if (ret->extra_len >= 24)
		ret->icount = load_be64(p + 16);
}

int
snapshot_decode(const void *buf, size_t len, struct snapshot *ret)
{
	const uint8_t *p = buf;
	uint64_t names;

	*ret = (struct snapshot){0};
	if (len < SNAPSHOT_FIXED_BYTES)
		return -EUCLEAN;
	ret->l1_offset = load_be64(p);
	ret->l1_entries = load_be32(p + 8);
	ret->id_len = load_be16(p + 12);
	ret->name_len = load_be16(p + 14);
	ret->date_sec = load_be32(p + OFF_DATE);
	ret->date_nsec = load_be32(p + OFF_DATE + 4);
	ret->clock_ns = load_be64(p + OFF_CLOCK);
	ret->state_bytes = load_be32(p + OFF_STATE_BYTES);
	ret->extra_len = load_be32(p + OFF_EXTRA_BYTES);
	if (ret->extra_len > SNAPSHOT_MAX_EXTRA)
		return -EFBIG;
	names = SNAPSHOT_FIXED_BYTES + ret->extra_len;
	ret->bytes = align_up(names + ret->id_len + ret->name_len, 8);
	if (ret->bytes > len)
		return -EUCLEAN;
	ret->id = (const char *)p + names;
	ret->name = ret->id + ret->id_len;
	decode_extra(p + SNAPSHOT_FIXED_BYTES, ret);
	return 0;
}

static uint32_t
encoded_extra(const struct snapshot *sn)
{
	return sn->extra_len > SNAPSHOT_OUR_EXTRA ? sn->extra_len
						  : SNAPSHOT_OUR_EXTRA;
}

size_t
snapshot_encoded_bytes(const struct snapshot *sn)
{
	return align_up((size_t)SNAPSHOT_FIXED_BYTES + encoded_extra(sn) +
				sn->id_len + sn->name_len,
			8);
}

void
snapshot_encode(const struct snapshot *sn, void *buf)
{
	uint8_t *p = buf, *extra = p + SNAPSHOT_FIXED_BYTES;
	uint32_t extra_len = encoded_extra(sn);
	/* Who knows no more than this field shall see none rather than a part
	 * of it. */
	uint32_t state = sn->state_bytes > UINT32_MAX
				 ? 0
				 : (uint32_t)sn->state_bytes;

	assert(sn->has_disk_bytes);
	memset(p, 0, snapshot_encoded_bytes(sn));
	store_be64(p, sn->l1_offset);
	store_be32(p + 8, sn->l1_entries);
	store_be16(p + 12, sn->id_len);
	store_be16(p + 14, sn->name_len);
	store_be32(p + OFF_DATE, sn->date_sec);
	store_be32(p + OFF_DATE + 4, sn->date_nsec);
	store_be64(p + OFF_CLOCK, sn->clock_ns);
	store_be32(p + OFF_STATE_BYTES, state);
	store_be32(p + OFF_EXTRA_BYTES, extra_len);
	store_be64(extra, sn->state_bytes);
	store_be64(extra + 8, sn->disk_bytes);
	store_be64(extra + 16, sn->icount);
	if (sn->extra_len > SNAPSHOT_OUR_EXTRA)
		memcpy(extra + SNAPSHOT_OUR_EXTRA,
		       sn->extra + SNAPSHOT_OUR_EXTRA,
		       sn->extra_len - SNAPSHOT_OUR_EXTRA);
	if (sn->id_len)
		memcpy(extra + extra_len, sn->id, sn->id_len);
	if (sn->name_len)
		memcpy(extra + extra_len + sn->id_len, sn->name, sn->name_len);
}
