/* SPDX-License-Identifier: MIT */
#include "engine/base/iov.h"

#include <assert.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"

uint64_t
iov_length(const struct iovec *iov, int iovcnt)
{
	uint64_t sum = 0;

	for (int i = 0; i < iovcnt; i++)
		sum += iov[i].iov_len;
	return sum;
}

bool
iov_is_zero(const struct iovec *iov, int iovcnt)
{
	for (int i = 0; i < iovcnt; i++)
		if (!mem_is_zero(iov[i].iov_base, iov[i].iov_len))
			return false;
	return true;
}

struct iov_iter
iov_iter_init(const struct iovec *iov, int iovcnt)
{
	return (struct iov_iter){
		.iov = iov,
		.left = iov_length(iov, iovcnt),
	};
}

/* The next contiguous piece, at most len bytes; moves behind it. */
static struct iovec
next_piece(struct iov_iter *it, uint64_t len)
{
	struct iovec piece;

	assert(len > 0 && len <= it->left);
	while (it->skip == it->iov->iov_len) {
		it->iov++;
		it->skip = 0;
	}
	piece.iov_base = (char *)it->iov->iov_base + it->skip;
	piece.iov_len = min_u64(len, it->iov->iov_len - it->skip);
	it->skip += piece.iov_len;
	it->left -= piece.iov_len;
	return piece;
}

void
iov_advance(struct iov_iter *it, uint64_t len)
{
	while (len > 0)
		len -= next_piece(it, len).iov_len;
}

void
iov_copy_out(struct iov_iter *it, void *dst, uint64_t len)
{
	for (uint64_t at = 0; at < len;) {
		struct iovec piece = next_piece(it, len - at);

		memcpy((char *)dst + at, piece.iov_base, piece.iov_len);
		at += piece.iov_len;
	}
}

void
iov_copy_in(struct iov_iter *it, const void *src, uint64_t len)
{
	for (uint64_t at = 0; at < len;) {
		struct iovec piece = next_piece(it, len - at);

		memcpy(piece.iov_base, (const char *)src + at, piece.iov_len);
		at += piece.iov_len;
	}
}

void
iov_fill(struct iov_iter *it, int byte, uint64_t len)
{
	while (len > 0) {
		struct iovec piece = next_piece(it, len);

		memset(piece.iov_base, byte, piece.iov_len);
		len -= piece.iov_len;
	}
}

bool
iov_contiguous(const struct iov_iter *it, uint64_t len, void **ret_ptr)
{
	struct iov_iter copy = *it;
	struct iovec piece = next_piece(&copy, len);

	if (piece.iov_len < len)
		return false;
	*ret_ptr = piece.iov_base;
	return true;
}

int
iov_slice(const struct iov_iter *it, uint64_t len, struct iovec *out, int max,
	  uint64_t *ret_len)
{
	struct iov_iter copy = *it;
	uint64_t got = 0;
	int n = 0;

	while (got < len && n < max) {
		out[n] = next_piece(&copy, len - got);
		got += out[n++].iov_len;
	}
	*ret_len = got;
	return n;
}

bool
iov_is_aligned(const struct iov_iter *it, uint64_t len, size_t align)
{
	struct iov_iter copy = *it;

	while (len > 0) {
		struct iovec piece = next_piece(&copy, len);

		if (!is_aligned((uintptr_t)piece.iov_base, align) ||
		    !is_aligned(piece.iov_len, align))
			return false;
		len -= piece.iov_len;
	}
	return true;
}
