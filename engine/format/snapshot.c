/* SPDX-License-Identifier: MIT */
/* snapshot.c - entries of the snapshot table */
#include "engine/format/snapshot.h"

#include <errno.h>

#include "engine/base/num.h"

int
snapshot_decode(const void *buf, size_t len, struct snapshot *ret)
{
	const uint8_t *p = buf;
	uint64_t names;

	if (len < SNAPSHOT_FIXED_BYTES)
		return -EUCLEAN;
	ret->l1_offset = load_be64(p);
	ret->l1_entries = load_be32(p + 8);
	ret->id_len = load_be16(p + 12);
	ret->name_len = load_be16(p + 14);
	ret->extra_len = load_be32(p + 36);
	if (ret->extra_len > SNAPSHOT_MAX_EXTRA)
		return -EFBIG;
	names = SNAPSHOT_FIXED_BYTES + ret->extra_len;
	ret->bytes = align_up(names + ret->id_len + ret->name_len, 8);
	if (ret->bytes > len)
		return -EUCLEAN;
	ret->id = (const char *)p + names;
	ret->name = ret->id + ret->id_len;
	return 0;
}
