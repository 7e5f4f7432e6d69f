/* SPDX-License-Identifier: MIT */
#include "tests/snapshot_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/aio.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/header.h"
#include "engine/format/snapshot.h"

struct call {
	struct loop *loop;
	const char *name;
	uint64_t len;
};

#define OFF_EXTRA_BYTES 36 /* of an entry */
#define TABLE_ROOM      4096

static int Q2_CO
make_below(void *arg)
{
	const struct call *c = arg;
	Q2_AUTO_FREE uint8_t *bytes = malloc(c->len);
	struct points points = {0};
	struct aio_file *f;
	int r = bytes ? aio_open(c->loop, c->name, AIO_CREATE, &points, &f,
				 NULL)
		      : -ENOMEM;

	if (r < 0)
		return r;
	memset(bytes, SNAPSHOT_BELOW_BYTE, c->len);
	r = file_write(f, AIO_DATA, bytes, c->len, 0);
	if (r == 0)
		r = file_sync(f);
	aio_close(f);
	return r;
}

int
snapshot_make_below(struct loop *loop, uint64_t len)
{
	struct call c = {loop, SNAPSHOT_BELOW, len};

	return loop_call(loop, make_below, &c);
}

/* n entries in the len bytes at from, in a shorter form at to. */
static int
shorten(const uint8_t *from, size_t len, uint32_t n, uint8_t *to)
{
	for (uint32_t i = 0; i < n; i++) {
		struct snapshot sn;
		size_t names;
		int r = snapshot_decode(from, len, &sn);

		if (r < 0)
			return r;
		names = (size_t)sn.id_len + sn.name_len;
		memcpy(to, from, SNAPSHOT_FIXED_BYTES);
		store_be32(to + OFF_EXTRA_BYTES, 0);
		memcpy(to + SNAPSHOT_FIXED_BYTES, sn.id, names);
		to += align_up(SNAPSHOT_FIXED_BYTES + names, 8);
		from += sn.bytes;
		len -= sn.bytes;
	}
	return 0;
}

static int Q2_CO
shorten_in(struct aio_file *f)
{
	uint8_t field[12], old[TABLE_ROOM], new[TABLE_ROOM] = {0};
	int r = file_read(f, AIO_HEADER, field, sizeof(field),
			  HEADER_OFF_SNAPSHOTS);
	uint64_t at = load_be64(field + 4);

	if (r == 0)
		r = file_read(f, AIO_HEADER, old, sizeof(old), at);
	if (r == 0)
		r = shorten(old, sizeof(old), load_be32(field), new);
	if (r == 0)
		r = file_write(f, AIO_HEADER, new, sizeof(new), at);
	return r < 0 ? r : file_sync(f);
}

static int Q2_CO
shorten_table(void *arg)
{
	const struct call *c = arg;
	struct points points = {0};
	struct aio_file *f;
	int r = aio_open(c->loop, c->name, 0, &points, &f, NULL);

	if (r < 0)
		return r;
	r = shorten_in(f);
	aio_close(f);
	return r;
}

int
snapshot_shorten_table(struct loop *loop, const char *name)
{
	struct call c = {.loop = loop, .name = name};

	return loop_call(loop, shorten_table, &c);
}
