/* SPDX-License-Identifier: MIT */
/*
 * Clusters packed and unpacked: by us, by zlib and zstd as QEMU uses them, and
 * by nobody who knows the format.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/format/codec.h"
#include "tests/env.h"

#define MOST (2 * MiB)

static uint8_t plain[MOST], packed[MOST + 64 * KiB], back[MOST + 1];

/* Bytes that pack to about one in `ratio`; matches lie up to `reach` back. */
static void
fill(struct rng *rng, size_t len, unsigned ratio, size_t reach)
{
	size_t i = 0;

	while (i < len) {
		size_t run = 1 + rng_below(rng, 40), from = reach;

		run = min_u64(run, len - i);
		if (i >= reach && rng_below(rng, ratio) != 0) {
			from = 1 + rng_below(rng, reach);
			for (size_t k = 0; k < run; k++)
				plain[i + k] = plain[i + k - from];
		} else {
			for (size_t k = 0; k < run; k++)
				plain[i + k] = (uint8_t)rng_next(rng);
		}
		i += run;
	}
}

/* Inflate as strictly as can be: no look further back than 4 KiB. */
static bool
strict_inflate(size_t packed_len, size_t len)
{
	z_stream z = {.next_in = packed, .avail_in = (uInt)packed_len};
	size_t at = 0;
	int r = Z_OK;

	assert_int_equal(inflateInit2(&z, -12), Z_OK);
	/* In small steps the window is all that it has. */
	while (r == Z_OK && at < len) {
		z.next_out = back + at;
		z.avail_out = (uInt)min_u64(1000, len - at);
		r = inflate(&z, Z_NO_FLUSH);
		at = (size_t)(z.next_out - back);
	}
	if (r == Z_OK) {
		uint8_t more;

		z.next_out = &more;
		z.avail_out = 1;
		r = inflate(&z, Z_NO_FLUSH);
	}
	(void)inflateEnd(&z);
	return r == Z_STREAM_END && at == len;
}

static void
test_what_is_packed_comes_back(void **state)
{
	static const size_t sizes[] = {512, 4096, 65536, MOST};
	struct rng rng = {test_seed(1)};

	(void)state;
	for (int type = CODEC_DEFLATE; type <= CODEC_ZSTD; type++) {
		struct codec *c = codec_new((enum codec_type)type);

		assert_non_null(c);
		for (unsigned i = 0; i < test_rounds(400); i++) {
			size_t len = sizes[i % 40 ? i % 3 : 3], n;
			int r;
			enum codec_effort effort = i / 4 % 2 ? CODEC_SMALL
							     : CODEC_FAST;

			fill(&rng, len, 1 + i % 9, i % 2 ? 64 : 60000);
			r = codec_pack(c, effort, plain, len, packed, len - 1);
			assert_true(r >= 0);
			n = (size_t)r;
			assert_in_range(n, 0, len - 1);
			if (!n)
				continue;
			if (type == CODEC_DEFLATE)
				assert_true(strict_inflate(n, len));
			/* What follows in the last sector is anything. */
			memset(packed + n, (int)rng_below(&rng, 256), 512);
			memset(back, 0xee, len + 1);
			assert_int_equal(
				codec_unpack(c, packed, n + 511, back, len), 0);
			assert_memory_equal(back, plain, len);
			assert_int_equal(back[len], 0xee);
		}
		codec_free(c);
	}
}

static void
test_what_does_not_get_smaller_is_left(void **state)
{
	struct rng rng = {1};

	(void)state;
	for (int type = CODEC_DEFLATE; type <= CODEC_ZSTD; type++) {
		struct codec *c = codec_new((enum codec_type)type);

		for (int effort = CODEC_FAST; effort <= CODEC_SMALL; effort++) {
			fill(&rng, 65536, 1, 1);
			assert_int_equal(
				codec_pack(c, (enum codec_effort)effort, plain,
					   65536, packed, 65535),
				0);
			/* And it can go on. */
			memset(plain, 7, 65536);
			assert_in_range(codec_pack(c, (enum codec_effort)effort,
						   plain, 65536, packed, 65535),
					1, 1000);
		}
		codec_free(c);
	}
}

/* One of QEMU's images may hold a window of 32 KiB, several frames, or a stream
 * that goes on. */
static void
test_what_others_packed(void **state)
{
	struct rng rng = {2};
	struct codec *c = codec_new(CODEC_DEFLATE);
	z_stream z = {0};
	size_t n, half = 32768;

	(void)state;
	fill(&rng, 65536, 4, 30000);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, 0), Z_OK);
	z.next_in = plain;
	z.avail_in = 65536;
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	n = sizeof(packed) - z.avail_out;
	(void)deflateEnd(&z);
	assert_int_equal(codec_unpack(c, packed, n, back, 65536), 0);
	assert_memory_equal(back, plain, 65536);
	/* More than a cluster: what is too much is left. */
	assert_int_equal(codec_unpack(c, packed, n, back, 4096), 0);
	assert_memory_equal(back, plain, 4096);
	/* Less than one, or cut. */
	assert_int_equal(codec_unpack(c, packed, n, back, 65537), -EIO);
	assert_int_equal(codec_unpack(c, packed, n / 2, back, 65536), -EIO);
	codec_free(c);

	c = codec_new(CODEC_ZSTD);
	n = ZSTD_compress(packed, sizeof(packed), plain, half, 1);
	n += ZSTD_compress(packed + n, sizeof(packed) - n, plain + half, half,
			   1);
	memset(packed + n, 0x55, 100);
	assert_int_equal(codec_unpack(c, packed, n + 100, back, 65536), 0);
	assert_memory_equal(back, plain, 65536);
	assert_int_equal(codec_unpack(c, packed, n, back, 65537), -EIO);
	assert_int_equal(codec_unpack(c, packed, n - 1, back, 65536), -EIO);
	/* The frame must end with the cluster. */
	assert_int_equal(codec_unpack(c, packed, n, back, half - 1), -EIO);
	codec_free(c);
}

static void
test_damage_is_an_error_or_other_bytes(void **state)
{
	struct rng rng = {test_seed(3)};
	unsigned refused = 0;

	(void)state;
	for (int type = CODEC_DEFLATE; type <= CODEC_ZSTD; type++) {
		struct codec *c = codec_new((enum codec_type)type);

		for (unsigned i = 0; i < test_rounds(2000); i++) {
			int n;

			fill(&rng, 4096, 4, 512);
			n = codec_pack(c, CODEC_FAST, plain, 4096, packed,
				       4095);
			assert_true(n > 0);
			for (unsigned k = 0; k <= i % 4; k++)
				packed[rng_below(&rng, (uint64_t)n)] ^=
					(uint8_t)(1 << rng_below(&rng, 8));
			back[4096] = 0xee;
			refused += codec_unpack(c, packed, (size_t)n, back,
						4096) < 0;
			assert_int_equal(back[4096], 0xee);
		}
		codec_free(c);
	}
	assert_true(refused > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_packed_comes_back),
		cmocka_unit_test(test_what_does_not_get_smaller_is_left),
		cmocka_unit_test(test_what_others_packed),
		cmocka_unit_test(test_damage_is_an_error_or_other_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
