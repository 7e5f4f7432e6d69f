/* SPDX-License-Identifier: MIT */
/*
 * test_chain.c - long chains read what an array of bytes holds, while the top
 * is written; what is remembered of them (owners.c) is what asking each layer
 * says
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "engine/image/owners.h"
#include "tests/env.h"
#include "tests/image_make.h"

#define BYTES_MAX (1 * MiB)

static uint8_t model[BYTES_MAX], buf[BYTES_MAX];

static void
layer_name(char *text, size_t size, unsigned i)
{
	(void)snprintf(text, size, "layer%u.qcow2", i);
}

static struct q2_image *
open_image(struct loop *loop, const char *path, unsigned flags, uint64_t cache)
{
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = "qcow2",
				 .flags = flags | Q2_UNMAP,
				 .l2_cache_size = cache,
				 .l2_cache_entry_size = 512};
	struct q2_image *img;
	struct q2_err err;

	if (q2_open((struct q2_loop *)loop, path, &o, &img, &err) < 0)
		fail_msg("%s: %s", path, err.text);
	return img;
}

static void
write_some(struct q2_image *img, struct rng *rng, unsigned n)
{
	uint64_t size = q2_size(img);

	for (unsigned i = 0; i < n; i++) {
		uint64_t off = rng_below(rng, size);
		uint64_t len = min_u64(size - off, 1 + rng_below(rng, 20000));

		if (rng_below(rng, 4) == 0) {
			memset(model + off, 0, len);
			assert_int_equal(q2_pzero(img, len, off, 0), 0);
			continue;
		}
		memset(model + off, (int)(1 + rng_below(rng, 255)), len);
		assert_int_equal(q2_pwrite(img, model + off, len, off), 0);
	}
}

static void
make_chain(struct loop *loop, struct rng *rng, unsigned layers)
{
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < layers; i++) {
		char name[32], below[32];
		struct q2_image *img;
		struct image_make m = {
			.bytes = 256 * KiB + rng_below(rng, 1024) * 512,
			.refcount_order = 4,
			.extended_l2 = rng_below(rng, 4) == 0,
		};

		m.cluster_bits = (m.extended_l2 ? 14 : 9) +
				 (unsigned)rng_below(rng, 4);
		layer_name(name, sizeof(name), i);
		layer_name(below, sizeof(below), i - 1);
		if (i) {
			m.backing_file = below;
			m.backing_format = "qcow2";
		}
		assert_int_equal(image_make(loop, name, &m), 0);
		memset(model + m.bytes, 0, BYTES_MAX - m.bytes);
		img = open_image(loop, name, 0, 0);
		write_some(img, rng, 1 + (unsigned)rng_below(rng, 6));
		assert_int_equal(q2_close(img, NULL), 0);
	}
}

static void
compare(struct q2_image *img, uint64_t off, uint64_t len)
{
	assert_int_equal(q2_pread(img, buf, len, off), 0);
	for (uint64_t i = 0; i < len; i++)
		if (buf[i] != model[off + i])
			fail_msg("byte %" PRIu64 " is %02x, not %02x", off + i,
				 buf[i], model[off + i]);
}

/* What is remembered says the same as each layer asked. */
static void
compare_maps(struct q2_image *a, struct q2_image *b)
{
	uint64_t size = q2_size(a);
	struct q2_extent x, y;

	for (uint64_t off = 0; off < size; off += min_u64(x.len, y.len)) {
		assert_int_equal(q2_map(a, off, size - off, &x, NULL), 0);
		assert_int_equal(q2_map(b, off, size - off, &y, NULL), 0);
		if (x.present != y.present || x.zero != y.zero ||
		    x.depth != y.depth || x.has_host != y.has_host ||
		    (x.has_host && x.host != y.host))
			fail_msg("offset %" PRIu64 ": depth %u, not %u", off,
				 x.depth, y.depth);
	}
}

static void
one_chain(struct rng *rng, unsigned layers, uint64_t cache)
{
	struct loop *loop;
	struct q2_image *img, *plain;
	char top[32];

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	make_chain(loop, rng, layers);
	layer_name(top, sizeof(top), layers - 1);
	img = open_image(loop, top, 0, cache);
	assert_true((((struct image *)img)->owners != NULL) == (layers > 3));
	for (unsigned i = 0; i < 60; i++) {
		uint64_t size = q2_size(img), off = rng_below(rng, size);

		compare(img, off,
			min_u64(size - off, 1 + rng_below(rng, 30000)));
		if (i % 8 == 0)
			write_some(img, rng, 1);
	}
	compare(img, 0, q2_size(img));
	assert_int_equal(q2_flush(img), 0);
	plain = open_image(loop, top, Q2_RDONLY | Q2_FORCE_SHARE, 0);
	owners_done((struct image *)plain);
	compare_maps(img, plain);
	compare_maps(img, plain);
	compare(img, 0, q2_size(img));
	(void)q2_close(plain, NULL);
	assert_int_equal(q2_close(img, NULL), 0);
	loop_free(loop);
}

static void
test_a_long_chain_reads_what_was_written(void **state)
{
	struct rng rng = {.state = mix64(test_seed(1))};

	(void)state;
	for (unsigned i = 0; i < test_rounds(40); i++)
		one_chain(&rng, 2 + i % 12, i % 2 ? 0 : 1024);
	one_chain(&rng, 100, 0);
}

/* Commits change layers whose owners were remembered. */
static void
test_a_commit_forgets(void **state)
{
	struct rng rng = {.state = mix64(test_seed(2))};

	(void)state;
	for (unsigned i = 0; i < test_rounds(20); i++) {
		struct q2_commit_opts o = {.size = sizeof(o)};
		struct q2_image *img;
		struct q2_err err;
		struct loop *loop;
		char top[32];

		assert_int_equal(loop_new_backend(backend_memory_new(1, NULL),
						  NULL, &loop, NULL),
				 0);
		make_chain(loop, &rng, 6);
		layer_name(top, sizeof(top), 5);
		img = open_image(loop, top, 0, 0);
		compare(img, 0, q2_size(img));
		o.depth = 1 + i % 5;
		if (q2_commit(img, &o, &err) < 0)
			fail_msg("%s", err.text);
		compare(img, 0, q2_size(img));
		write_some(img, &rng, 3);
		compare(img, 0, q2_size(img));
		assert_int_equal(q2_close(img, NULL), 0);
		loop_free(loop);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_long_chain_reads_what_was_written),
		cmocka_unit_test(test_a_commit_forgets),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
