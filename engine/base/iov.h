/* SPDX-License-Identifier: MIT */
/*
 * iov.h - a cursor over scattered memory
 *
 * An iov_iter walks a caller's iovec array without changing it.  left is the
 * number of bytes still ahead; each function moves the cursor, except where
 * it says that it does not.  Lengths beyond left are a caller's bug.
 */
#ifndef Q2_BASE_IOV_H
#define Q2_BASE_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov_iter {
	const struct iovec *iov;
	size_t skip; /* bytes of iov[0] already behind the cursor */
	uint64_t left;
};

/* Sum of the lengths. */
uint64_t iov_length(const struct iovec *iov, int iovcnt);

/* Are all bytes zero? */
bool iov_is_zero(const struct iovec *iov, int iovcnt);

struct iov_iter iov_iter_init(const struct iovec *iov, int iovcnt);

void iov_advance(struct iov_iter *it, uint64_t len);
void iov_copy_out(struct iov_iter *it, void *dst, uint64_t len);
void iov_copy_in(struct iov_iter *it, const void *src, uint64_t len);
void iov_fill(struct iov_iter *it, int byte, uint64_t len);

/* Does not move: can the next len bytes be taken as one piece?  If so *ret_ptr
 * points at them. */
bool iov_contiguous(const struct iov_iter *it, uint64_t len, void **ret_ptr);

/*
 * Does not move: describe the next len bytes in out, at most max entries.
 * Returns the number of entries, *ret_len the bytes they cover (len, or less
 * when max was reached).
 */
int iov_slice(const struct iov_iter *it, uint64_t len, struct iovec *out,
	      int max, uint64_t *ret_len);

/* Does not move: are all addresses and lengths of the next len bytes multiples
 * of align (a power of two)? */
bool iov_is_aligned(const struct iov_iter *it, uint64_t len, size_t align);

#endif
