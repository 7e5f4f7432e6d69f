/* SPDX-License-Identifier: MIT */
#include "tests/fault/fields.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "tests/image_make.h"

/* ---- the image --------------------------------------------------------- */

static unsigned
bits_of(enum field_base base)
{
	return base == EXTENDED ? 14 : 12;
}

uint64_t
field_cluster(enum field_base base)
{
	return UINT64_C(1) << bits_of(base);
}

uint64_t
field_second_table(enum field_base base)
{
	return field_cluster(base) / (base == EXTENDED ? 16 : 8);
}

static enum image_cluster
state_of(void *arg, uint64_t cluster)
{
	enum field_base base = *(enum field_base *)arg;

	if (cluster < 4 || cluster == field_second_table(base))
		return IMAGE_NORMAL;
	if (base == V2 || cluster > 5)
		return IMAGE_EMPTY;
	return cluster == 4 ? IMAGE_ZERO : IMAGE_ZERO_ALLOC;
}

void
field_content(enum field_base base, uint64_t c, uint8_t *buf)
{
	uint64_t n = field_cluster(base);
	bool data = c < 4 || c == field_second_table(base);

	for (uint64_t i = 0; i < n; i++)
		buf[i] = data ? (uint8_t)(c * 31 + i / 7 + 1) : 0;
}

static int
fill(struct q2_loop *loop, const char *path, enum field_base base)
{
	struct q2_open_opts o = {.size = sizeof(o), .driver = "qcow2"};
	uint64_t n = field_cluster(base);
	uint8_t *buf = malloc(n);
	struct q2_image *img;
	int r = buf ? q2_open(loop, path, &o, &img, NULL) : -ENOMEM;

	if (r < 0) {
		free(buf);
		return r;
	}
	for (uint64_t c = 0; c < 5 && r == 0; c++) {
		uint64_t at = c < 4 ? c : field_second_table(base);

		field_content(base, at, buf);
		r = q2_pwrite(img, buf, n, at * n);
	}
	free(buf);
	return q2_close(img, NULL) < 0 ? -EIO : r;
}

int
field_make(struct q2_loop *loop, const char *path, enum field_base base)
{
	struct image_make m = {
		.cluster_bits = bits_of(base),
		.refcount_order = 4,
		.version = base == V2 ? 2 : 3,
		.extended_l2 = base == EXTENDED,
		.bytes = (field_second_table(base) + 2) * field_cluster(base),
		.state = state_of,
		.arg = &base,
	};
	int r = image_make((struct loop *)loop, path, &m);

	return r < 0 ? r : fill(loop, path, base);
}

/* ---- harm -------------------------------------------------------------- */

static uint64_t
place_of(const struct field_row *row, const struct field_poke *p)
{
	static const uint64_t cluster[] = {[HEADER] = 0,
					   [REFTABLE] = 1,
					   [REFBLOCK] = 2,
					   [L1] = 3,
					   [L2] = 4};

	return cluster[p->at] * field_cluster(row->base) + p->off;
}

int
field_harm(const char *path, const struct field_row *row)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = fd < 0 ? -errno : 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(row->poke); i++) {
		const struct field_poke *p = &row->poke[i];
		uint8_t b[8];

		if (!p->at)
			continue;
		store_be64(b, p->value << (64 - 8 * p->bytes));
		if (pwrite(fd, b, p->bytes, (off_t)place_of(row, p)) !=
		    (ssize_t)p->bytes)
			r = -EIO;
	}
	if (fd >= 0 && close(fd) < 0)
		r = -errno;
	return r;
}
