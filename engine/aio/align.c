/* SPDX-License-Identifier: MIT */
/*
 * align.c - byte-granular I/O on files that want aligned I/O (rule A1)
 *
 * The only place that knows alignment.  A transfer whose offset, length and
 * memory suit the file goes to the backend as it is.  Anything else goes
 * through a bounce buffer; a write of part of a block becomes
 *
 *	lock the host blocks - wait for writes in flight there - read what
 *	is not replaced - copy - write - unlock
 *
 * Two rules make it lose no byte, whoever the neighbours in a block are:
 *
 *	1. Whoever changes bytes of a locked block waits until it is unlocked.
 *	   Whole blocks take no lock: they look at the table, which is empty
 *	   but for a running read-modify-write.
 *	2. A read-modify-write reads only after every change that was started
 *	   before its lock has ended (file->writing lists them); else it would
 *	   put back what it read before them.
 *
 * Reads take no lock: they see a sector before or after.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/aio/loop_priv.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"

/* Entries of one operation; longer vectors take several. */
#define IOV_OP 32

/* Zeros are written in operations of ZERO_IOV times mem_zeros. */
#define ZERO_IOV 16

/* ---- locks ------------------------------------------------------------- */

struct block_lock {
	struct list link; /* on file->locked */
	uint64_t off, len;
};

static bool
is_locked(const struct aio_file *file, uint64_t off, uint64_t len)
{
	list_for_each (el, &file->locked) {
		const struct block_lock *l = container_of(el, struct block_lock,
							  link);

		if (ranges_overlap(off, len, l->off, l->len))
			return true;
	}
	return false;
}

static bool
is_being_written(const struct aio_file *file, uint64_t off, uint64_t len)
{
	list_for_each (el, &file->writing) {
		const struct aio_op *op = container_of(el, struct aio_op,
						       wlink);

		if (ranges_overlap(off, len, op->off, op->len))
			return true;
	}
	return false;
}

static void Q2_CO
wait_unlocked(struct aio_file *file, uint64_t off, uint64_t len)
{
	while (is_locked(file, off, len))
		co_queue_wait(&file->lock_wait);
}

static void Q2_CO
lock_blocks(struct aio_file *file, struct block_lock *lock)
{
	wait_unlocked(file, lock->off, lock->len);
	list_append(&file->locked, &lock->link);
	while (is_being_written(file, lock->off, lock->len))
		co_queue_wait(&file->lock_wait);
}

static void
unlock_blocks(struct aio_file *file, struct block_lock *lock)
{
	list_remove(&lock->link);
	co_queue_wake_all(&file->lock_wait);
}

/* ---- one operation ----------------------------------------------------- */

static void
wake_submitter(struct aio_op *op)
{
	co_wake(op->user);
}

static int Q2_CO
run_op(struct aio_op *op)
{
	op->done = wake_submitter;
	op->user = co_self();
	aio_submit(op);
	co_park();
	return op->result;
}

static int Q2_CO
move(struct aio_file *file, enum aio_kind kind, enum aio_class cls,
     const struct iovec *iov, int iovcnt, uint64_t off)
{
	struct aio_op op = {
		.kind = kind,
		.cls = cls,
		.file = file,
		.off = off,
		.len = iov_length(iov, iovcnt),
		.iov = iov,
		.iovcnt = iovcnt,
	};

	return run_op(&op);
}

static int Q2_CO
move_buf(struct aio_file *file, enum aio_kind kind, enum aio_class cls,
	 void *buf, uint64_t len, uint64_t off)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};

	return move(file, kind, cls, &iov, 1, off);
}

static int Q2_CO
change_range(struct aio_file *file, enum aio_kind kind, uint64_t len,
	     uint64_t off)
{
	struct aio_op op = {.kind = kind, .file = file, .off = off, .len = len};

	return run_op(&op);
}

/* ---- reading and writing ----------------------------------------------- */

static bool
memory_suits(const struct aio_file *file, const struct iov_iter *it,
	     uint64_t len)
{
	struct iov_iter copy = *it;

	while (len > 0) {
		struct iovec piece;
		uint64_t got;

		(void)iov_slice(&copy, len, &piece, 1, &got);
		if (!is_aligned((uintptr_t)piece.iov_base, file->mem_align) ||
		    !is_aligned(piece.iov_len, file->align))
			return false;
		iov_advance(&copy, got);
		len -= got;
	}
	return true;
}

static bool
transfer_suits(const struct aio_file *file, const struct iov_iter *it,
	       uint64_t len, uint64_t off)
{
	if (file->align == 1 && file->mem_align == 1)
		return true;
	return is_aligned(off | len, file->align) &&
	       memory_suits(file, it, len);
}

bool
file_is_aligned(struct aio_file *file, const struct iov_iter *it, uint64_t len,
		uint64_t off)
{
	return transfer_suits(file, it, len, off) &&
	       (list_empty(&file->locked) || !is_locked(file, off, len));
}

/* As it is, in operations of at most IOV_OP entries. */
static int Q2_CO
move_direct(struct aio_file *file, enum aio_kind kind, enum aio_class cls,
	    struct iov_iter *it, uint64_t len, uint64_t off)
{
	struct iovec iov[IOV_OP];

	while (len > 0) {
		uint64_t got;
		int n = iov_slice(it, len, iov, IOV_OP, &got);
		int r;

		if (kind == AIO_WRITE)
			wait_unlocked(file, off, got);
		r = move(file, kind, cls, iov, n, off);
		if (r < 0)
			return r;
		iov_advance(it, got);
		off += got;
		len -= got;
	}
	return 0;
}

/* [off, off + len) within whole blocks [start, start + size). */
struct piece {
	uint64_t off, len;
	uint64_t start, size;
};

/* As much of the range as fits a bounce buffer. */
static struct piece
next_piece(const struct aio_file *file, uint64_t len, uint64_t off)
{
	struct piece p = {.off = off, .start = align_down(off, file->align)};
	uint64_t end = min_u64(off + len, p.start + BOUNCE_BIG);

	p.len = end - off;
	p.size = align_up(end, file->align) - p.start;
	return p;
}

static int Q2_CO
read_piece(struct aio_file *file, enum aio_class cls, struct iov_iter *it,
	   const struct piece *p, char *buf)
{
	int r = move_buf(file, AIO_READ, cls, buf, p->size, p->start);

	if (r < 0)
		return r;
	iov_copy_in(it, buf + (p->off - p->start), p->len);
	return 0;
}

/* Read the first and the last block of p, as far as p replaces only parts. */
static int Q2_CO
read_edges(struct aio_file *file, enum aio_class cls, const struct piece *p,
	   char *buf)
{
	uint64_t last = p->size - file->align;
	bool head = p->off != p->start;
	bool tail = p->off + p->len != p->start + p->size;
	int r = 0;

	if (head || (tail && last == 0))
		r = move_buf(file, AIO_READ, cls, buf, file->align, p->start);
	if (r == 0 && tail && last > 0)
		r = move_buf(file, AIO_READ, cls, buf + last, file->align,
			     p->start + last);
	return r;
}

static int Q2_CO
write_piece(struct aio_file *file, enum aio_class cls, struct iov_iter *it,
	    const struct piece *p, char *buf)
{
	bool whole = p->off == p->start && p->len == p->size;
	struct block_lock lock = {.off = p->start, .len = p->size};
	int r = 0;

	if (whole) {
		wait_unlocked(file, p->start, p->size);
	} else {
		lock_blocks(file, &lock);
		r = read_edges(file, cls, p, buf);
	}
	if (r == 0) {
		iov_copy_out(it, buf + (p->off - p->start), p->len);
		r = move_buf(file, AIO_WRITE, cls, buf, p->size, p->start);
	}
	if (!whole)
		unlock_blocks(file, &lock);
	return r;
}

static int Q2_CO
move_bounced(struct aio_file *file, enum aio_kind kind, enum aio_class cls,
	     struct iov_iter *it, uint64_t len, uint64_t off)
{
	struct bounce *bounce = &((struct loop_priv *)file->loop->priv)->bounce;

	while (len > 0) {
		struct piece p = next_piece(file, len, off);
		char *buf = bounce_get(bounce, p.size);
		int r;

		if (!buf)
			return -ENOMEM;
		if (kind == AIO_READ)
			r = read_piece(file, cls, it, &p, buf);
		else
			r = write_piece(file, cls, it, &p, buf);
		bounce_put(bounce, buf, p.size);
		if (r < 0)
			return r;
		off += p.len;
		len -= p.len;
	}
	return 0;
}

int Q2_CO
file_readv(struct aio_file *file, enum aio_class cls, struct iov_iter *it,
	   uint64_t len, uint64_t off)
{
	if (transfer_suits(file, it, len, off))
		return move_direct(file, AIO_READ, cls, it, len, off);
	return move_bounced(file, AIO_READ, cls, it, len, off);
}

int Q2_CO
file_writev(struct aio_file *file, enum aio_class cls, struct iov_iter *it,
	    uint64_t len, uint64_t off)
{
	if (transfer_suits(file, it, len, off))
		return move_direct(file, AIO_WRITE, cls, it, len, off);
	return move_bounced(file, AIO_WRITE, cls, it, len, off);
}

int Q2_CO
file_read(struct aio_file *file, enum aio_class cls, void *buf, uint64_t len,
	  uint64_t off)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct iov_iter it = iov_iter_init(&iov, 1);

	return file_readv(file, cls, &it, len, off);
}

int Q2_CO
file_write(struct aio_file *file, enum aio_class cls, const void *buf,
	   uint64_t len, uint64_t off)
{
	/* iovec has no const; a write does not change it. */
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct iov_iter it = iov_iter_init(&iov, 1);

	return file_writev(file, cls, &it, len, off);
}

/* ---- ranges ------------------------------------------------------------ */

/* Zeros through file_writev(), any offset and length. */
static int Q2_CO
write_zeros(struct aio_file *file, uint64_t len, uint64_t off)
{
	while (len > 0) {
		struct iovec iov[ZERO_IOV];
		struct iov_iter it;
		uint64_t now = 0;
		int n, r;

		for (n = 0; n < ZERO_IOV && now < len; n++) {
			iov[n].iov_base = (void *)(uintptr_t)mem_zeros;
			iov[n].iov_len = min_u64(len - now, MEM_ZEROS_BYTES);
			now += iov[n].iov_len;
		}
		it = iov_iter_init(iov, n);
		r = file_writev(file, AIO_COW, &it, now, off);
		if (r < 0)
			return r;
		off += now;
		len -= now;
	}
	return 0;
}

/* The whole blocks within [off, off + len); false if there is none. */
static bool
whole_blocks(const struct aio_file *file, uint64_t len, uint64_t off,
	     uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t align = max_u64(file->range_align, file->align);
	uint64_t start = align_up(off, align);
	uint64_t end = align_down(off + len, align);

	*ret_start = start;
	*ret_end = end;
	return start < end;
}

/* By AIO_ZERO or AIO_DISCARD, as file_zero(). */
static int Q2_CO
zero_by(struct aio_file *file, enum aio_kind kind, uint64_t len, uint64_t off,
	bool native_only)
{
	uint64_t start, end;
	int r;

	if (!whole_blocks(file, len, off, &start, &end))
		return write_zeros(file, len, off);

	wait_unlocked(file, start, end - start);
	r = change_range(file, kind, end - start, start);
	if (r == -ENOTSUP && !native_only)
		return write_zeros(file, len, off);
	if (r == 0)
		r = write_zeros(file, start - off, off);
	if (r == 0)
		r = write_zeros(file, off + len - end, end);
	return r;
}

int Q2_CO
file_zero(struct aio_file *file, uint64_t len, uint64_t off, bool native_only)
{
	return zero_by(file, AIO_ZERO, len, off, native_only);
}

int Q2_CO
file_punch(struct aio_file *file, uint64_t len, uint64_t off)
{
	return zero_by(file, AIO_DISCARD, len, off, false);
}

int Q2_CO
file_discard(struct aio_file *file, uint64_t len, uint64_t off)
{
	uint64_t start, end;
	int r;

	if (!whole_blocks(file, len, off, &start, &end))
		return 0;
	wait_unlocked(file, start, end - start);
	r = change_range(file, AIO_DISCARD, end - start, start);
	return r == -ENOTSUP ? 0 : r;
}

int Q2_CO
file_sync(struct aio_file *file)
{
	return change_range(file, AIO_SYNC, 0, 0);
}

int Q2_CO
file_truncate(struct aio_file *file, uint64_t size)
{
	return change_range(file, AIO_TRUNCATE, 0, size);
}

int Q2_CO
file_allocate(struct aio_file *file, uint64_t len, uint64_t off)
{
	return change_range(file, AIO_ALLOCATE, len, off);
}
