/* SPDX-License-Identifier: MIT */
/*
 * uring_reg.c - tables of registered files and memory
 *
 * A table goes to the kernel, with empty slots, for its first entry and is
 * taken back with its last: before Linux 6.13 an emptied slot lets go of its
 * file (and the disk space of a removed one) up to a second later, the end of
 * a table at once.
 */
#include "engine/aio/uring_reg.h"

#include <string.h>

void
reg_init(struct reg *reg, struct io_uring *ring)
{
	memset(reg, 0, sizeof(*reg));
	reg->ring = ring;
}

/* A slot that is not used; max if there is none. */
static unsigned
unused_slot(const bool *used, unsigned max)
{
	unsigned i = 0;

	while (i < max && used[i])
		i++;
	return i;
}

/* ---- files ------------------------------------------------------------- */

static bool
files_start(struct reg *reg)
{
	int none[REG_FILES];

	if (reg->files_on)
		return true;
	for (int i = 0; i < REG_FILES; i++)
		none[i] = -1;
	reg->files_on = io_uring_register_files(reg->ring, none, REG_FILES) ==
			0;
	return reg->files_on;
}

static void
files_end(struct reg *reg)
{
	if (reg->n_files == 0 && reg->files_on)
		(void)io_uring_unregister_files(reg->ring);
	if (reg->n_files == 0)
		reg->files_on = false;
}

int
reg_file_add(struct reg *reg, int fd)
{
	unsigned slot = unused_slot(reg->file_used, REG_FILES);

	if (slot == REG_FILES || !files_start(reg))
		return -1;
	if (io_uring_register_files_update(reg->ring, slot, &fd, 1) != 1) {
		files_end(reg);
		return -1;
	}
	reg->file_used[slot] = true;
	reg->n_files++;
	return (int)slot;
}

void
reg_file_remove(struct reg *reg, int slot)
{
	int none = -1;

	if (slot < 0)
		return;
	(void)io_uring_register_files_update(reg->ring, (unsigned)slot, &none,
					     1);
	reg->file_used[slot] = false;
	reg->n_files--;
	files_end(reg);
}

/* ---- memory ------------------------------------------------------------ */

static bool
bufs_start(struct reg *reg)
{
	static const struct iovec none[REG_BUFS];

	if (!reg->bufs_on)
		reg->bufs_on = io_uring_register_buffers(reg->ring, none,
							 REG_BUFS) == 0;
	return reg->bufs_on;
}

static void
bufs_end(struct reg *reg)
{
	if (reg->n_bufs == 0 && reg->bufs_on)
		(void)io_uring_unregister_buffers(reg->ring);
	if (reg->n_bufs == 0)
		reg->bufs_on = false;
}

/* How many entries begin at or before address p. */
static unsigned
count_up_to(const struct reg *reg, uintptr_t p)
{
	unsigned lo = 0, hi = reg->n_bufs;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (reg->bufs[mid].start <= p)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
set_buf(struct reg *reg, unsigned slot, const struct iovec *iov)
{
	static const __u64 no_tag;

	return io_uring_register_buffers_update_tag(reg->ring, slot, iov,
						    &no_tag, 1);
}

void
reg_buf_add(struct reg *reg, void *buf, size_t bytes)
{
	struct iovec iov = {.iov_base = buf, .iov_len = bytes};
	unsigned slot = unused_slot(reg->buf_used, REG_BUFS);
	unsigned at;

	if (slot == REG_BUFS || !bufs_start(reg))
		return;
	if (set_buf(reg, slot, &iov) != 1) {
		bufs_end(reg);
		return;
	}
	at = count_up_to(reg, (uintptr_t)buf);
	memmove(&reg->bufs[at + 1], &reg->bufs[at],
		(reg->n_bufs - at) * sizeof(reg->bufs[0]));
	reg->bufs[at] = (struct reg_buf){(uintptr_t)buf, (uintptr_t)buf + bytes,
					 slot};
	reg->buf_used[slot] = true;
	reg->n_bufs++;
}

void
reg_buf_remove(struct reg *reg, const void *buf)
{
	static const struct iovec none;
	unsigned at = count_up_to(reg, (uintptr_t)buf);
	unsigned slot;

	if (at == 0 || reg->bufs[at - 1].start != (uintptr_t)buf)
		return;
	slot = reg->bufs[at - 1].slot;
	(void)set_buf(reg, slot, &none);
	reg->buf_used[slot] = false;
	memmove(&reg->bufs[at - 1], &reg->bufs[at],
		(reg->n_bufs - at) * sizeof(reg->bufs[0]));
	reg->n_bufs--;
	bufs_end(reg);
}

int
reg_buf_find(const struct reg *reg, const void *p, size_t bytes)
{
	uintptr_t start = (uintptr_t)p;
	unsigned at = count_up_to(reg, start);
	const struct reg_buf *buf;

	if (at == 0)
		return -1;
	buf = &reg->bufs[at - 1];
	return start < buf->end && bytes <= buf->end - start ? (int)buf->slot
							     : -1;
}
