/* SPDX-License-Identifier: MIT */
#include "engine/format/codec.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

/* QEMU opens its inflater with this: a writer must not look further back. */
#define WINDOW_BITS      12
#define MEM_LEVEL        9
#define SMALL_LEVEL      6 /* zlib's own default */
#define ZSTD_SMALL_LEVEL 12

struct codec {
	enum codec_type type;
	z_stream inflate, deflate; /* state is NULL until the first use */
	ZSTD_DCtx *unzstd;
	ZSTD_CCtx *zstd;
#ifdef HAVE_ISAL
	struct inflate_state isal_inflate;
	struct isal_zstream isal_deflate;
	uint8_t *isal_level; /* ISA-L's own memory for a level */
#endif
};

struct codec *
codec_new(enum codec_type type)
{
	struct codec *c = calloc(1, sizeof(*c));

	if (c)
		c->type = type;
	return c;
}

void
codec_free(struct codec *c)
{
	if (!c)
		return;
	if (c->inflate.state)
		(void)inflateEnd(&c->inflate);
	if (c->deflate.state)
		(void)deflateEnd(&c->deflate);
	(void)ZSTD_freeDCtx(c->unzstd);
	(void)ZSTD_freeCCtx(c->zstd);
#ifdef HAVE_ISAL
	free(c->isal_level);
#endif
	free(c);
}

/* ---- deflate ----------------------------------------------------------- */

static int
zlib_unpack(struct codec *c, const void *src, size_t src_len, void *dst,
	    size_t dst_len)
{
	z_stream *z = &c->inflate;
	int r = z->state ? inflateReset(z) : inflateInit2(z, -WINDOW_BITS);

	if (r != Z_OK)
		return -ENOMEM;
	z->next_in = (Bytef *)(uintptr_t)src;
	z->avail_in = (uInt)src_len;
	z->next_out = dst;
	z->avail_out = (uInt)dst_len;
	r = inflate(z, Z_FINISH);
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	/* Z_BUF_ERROR: it is full before the stream has ended. */
	return (r == Z_STREAM_END || r == Z_BUF_ERROR) && z->avail_out == 0
		       ? 0
		       : -EIO;
}

static int
zlib_pack(struct codec *c, const void *src, size_t len, void *dst, size_t max)
{
	z_stream *z = &c->deflate;
	int r = z->state
			? deflateReset(z)
			: deflateInit2(z, SMALL_LEVEL, Z_DEFLATED, -WINDOW_BITS,
				       MEM_LEVEL, Z_DEFAULT_STRATEGY);

	if (r != Z_OK)
		return -ENOMEM;
	z->next_in = (Bytef *)(uintptr_t)src;
	z->avail_in = (uInt)len;
	z->next_out = dst;
	z->avail_out = (uInt)max;
	return deflate(z, Z_FINISH) == Z_STREAM_END ? (int)(max - z->avail_out)
						    : 0;
}

#ifdef HAVE_ISAL
/* False: let zlib judge. */
static bool
isal_unpack(struct codec *c, const void *src, size_t src_len, void *dst,
	    size_t dst_len)
{
	struct inflate_state *s = &c->isal_inflate;
	int r;

	isal_inflate_init(s);
	s->crc_flag = ISAL_DEFLATE;
	s->next_in = (uint8_t *)(uintptr_t)src;
	s->avail_in = (uint32_t)src_len;
	s->next_out = dst;
	s->avail_out = (uint32_t)dst_len;
	r = isal_inflate_stateless(s);
	return (r == ISAL_DECOMP_OK || r == ISAL_OUT_OVERFLOW) &&
	       s->avail_out == 0;
}

static int
isal_pack(struct codec *c, const void *src, size_t len, void *dst, size_t max)
{
	struct isal_zstream *z = &c->isal_deflate;

	if (!c->isal_level) {
		c->isal_level = malloc(ISAL_DEF_LVL1_DEFAULT);
		if (!c->isal_level)
			return -ENOMEM;
	}
	isal_deflate_stateless_init(z);
	z->level = 1;
	z->level_buf = c->isal_level;
	z->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	z->gzip_flag = IGZIP_DEFLATE;
	z->hist_bits = WINDOW_BITS;
	z->end_of_stream = 1;
	z->flush = NO_FLUSH;
	z->next_in = (uint8_t *)(uintptr_t)src;
	z->avail_in = (uint32_t)len;
	z->next_out = dst;
	z->avail_out = (uint32_t)max;
	return isal_deflate_stateless(z) == COMP_OK ? (int)(max - z->avail_out)
						    : 0;
}
#endif

static int
deflate_unpack(struct codec *c, const void *src, size_t src_len, void *dst,
	       size_t dst_len)
{
#ifdef HAVE_ISAL
	if (isal_unpack(c, src, src_len, dst, dst_len))
		return 0;
#endif
	return zlib_unpack(c, src, src_len, dst, dst_len);
}

static int
deflate_pack(struct codec *c, enum codec_effort effort, const void *src,
	     size_t len, void *dst, size_t max)
{
#ifdef HAVE_ISAL
	if (effort == CODEC_FAST)
		return isal_pack(c, src, len, dst, max);
#endif
	(void)effort;
	return zlib_pack(c, src, len, dst, max);
}

/* ---- zstd -------------------------------------------------------------- */

/* Not the function for one frame: what follows it in a sector makes that one
 * fail. */
static int
zstd_unpack(struct codec *c, const void *src, size_t src_len, void *dst,
	    size_t dst_len)
{
	ZSTD_inBuffer in = {src, src_len, 0};
	ZSTD_outBuffer out = {dst, dst_len, 0};
	size_t left = 0;

	if (!c->unzstd)
		c->unzstd = ZSTD_createDCtx();
	if (!c->unzstd)
		return -ENOMEM;
	(void)ZSTD_DCtx_reset(c->unzstd, ZSTD_reset_session_only);
	while (out.pos < out.size) {
		size_t in_before = in.pos, out_before = out.pos;

		left = ZSTD_decompressStream(c->unzstd, &out, &in);
		if (ZSTD_isError(left) ||
		    (in.pos == in_before && out.pos == out_before))
			return -EIO;
	}
	/* The last frame must end with the cluster. */
	return left == 0 ? 0 : -EIO;
}

static int
zstd_pack(struct codec *c, enum codec_effort effort, const void *src,
	  size_t len, void *dst, size_t max)
{
	int level = effort == CODEC_SMALL ? ZSTD_SMALL_LEVEL
					  : ZSTD_CLEVEL_DEFAULT;
	size_t n;

	if (!c->zstd)
		c->zstd = ZSTD_createCCtx();
	if (!c->zstd)
		return -ENOMEM;
	n = ZSTD_compressCCtx(c->zstd, dst, max, src, len, level);
	return ZSTD_isError(n) ? 0 : (int)n;
}

/* ---- either ------------------------------------------------------------ */

int
codec_unpack(struct codec *c, const void *src, size_t src_len, void *dst,
	     size_t dst_len)
{
	return c->type == CODEC_ZSTD
		       ? zstd_unpack(c, src, src_len, dst, dst_len)
		       : deflate_unpack(c, src, src_len, dst, dst_len);
}

int
codec_pack(struct codec *c, enum codec_effort effort, const void *src,
	   size_t len, void *dst, size_t max)
{
	return c->type == CODEC_ZSTD
		       ? zstd_pack(c, effort, src, len, dst, max)
		       : deflate_pack(c, effort, src, len, dst, max);
}
