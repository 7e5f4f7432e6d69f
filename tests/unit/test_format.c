/* SPDX-License-Identifier: MIT */
/* test_format.c - geometry, entries and refcounts, over all of their domains */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/rng.h"
#include "engine/format/entry.h"
#include "engine/format/geom.h"
#include "engine/format/refcount.h"

static void
test_every_geometry_covers_the_disk(void **state)
{
	(void)state;
	for (unsigned bits = 9; bits <= 21; bits++) {
		for (unsigned order = 0; order <= 6; order++) {
			struct geom g = geom_init(bits, order, false, 5 * TiB);
			uint64_t per_l1 = g.cluster_size * g.l2_entries;
			uint64_t n = geom_l1_entries(&g, g.virtual_size);

			assert_int_equal(g.cluster_size, 1 << bits);
			assert_int_equal(g.l2_entries * 8, g.cluster_size);
			assert_int_equal(g.refblock_entries * g.refcount_bits,
					 g.cluster_size * 8);
			assert_true(n * per_l1 >= g.virtual_size);
			assert_true((n - 1) * per_l1 < g.virtual_size);
		}
	}
}

static void
test_l1_entries_at_the_edges(void **state)
{
	struct geom g = geom_init(16, 4, false, 0);
	struct geom x = geom_init(16, 4, true, 0);

	(void)state;
	assert_int_equal(geom_l1_entries(&g, 0), 0);
	assert_int_equal(geom_l1_entries(&g, 1), 1);
	assert_int_equal(geom_l1_entries(&g, 512 * MiB), 1);
	assert_int_equal(geom_l1_entries(&g, 512 * MiB + 1), 2);
	assert_int_equal(geom_l1_entries(&x, 512 * MiB), 2);
	assert_int_equal(geom_l1_entries(&g, UINT64_MAX), UINT64_C(1) << 35);
}

static void
test_guest_offsets_split_and_join(void **state)
{
	struct rng rng = {42};

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct geom g = geom_init(9 + i % 13, 4, false, 0);
		uint64_t off = rng_next(&rng) >> 2;
		uint64_t back;

		back = geom_l1_index(&g, off) << g.l2_bits;
		back = (back | geom_l2_index(&g, off)) << g.cluster_bits;
		assert_int_equal(back, geom_cluster_start(&g, off));
		assert_int_equal(back + geom_in_cluster(&g, off), off);
	}
}

static void
test_refcount_max_fills_its_width(void **state)
{
	static const uint64_t max[] = {
		1, 3, 15, 255, 65535, UINT32_MAX, UINT64_MAX,
	};

	(void)state;
	for (unsigned order = 0; order <= 6; order++) {
		struct geom g = geom_init(16, order, false, 0);

		assert_true(g.refcount_max == max[order]);
	}
}

/* Set every entry of a block in random order; each holds its own value, and
 * the neighbours keep theirs. */
static void
test_refcounts_of_all_widths_keep_to_themselves(void **state)
{
	struct rng rng = {7};

	(void)state;
	for (unsigned order = 0; order <= 6; order++) {
		struct geom g = geom_init(9, order, false, 0);
		uint64_t want[4096] = {0};
		uint8_t block[512] = {0};

		for (int i = 0; i < 20000; i++) {
			uint64_t at = rng_below(&rng, g.refblock_entries);

			want[at] = rng_next(&rng) & g.refcount_max;
			refcount_set(block, order, at, want[at]);
		}
		for (uint64_t i = 0; i < g.refblock_entries; i++)
			assert_true(refcount_get(block, order, i) == want[i]);
	}
}

static void
test_refcounts_are_packed_as_the_format_says(void **state)
{
	uint8_t b[16] = {0};

	(void)state;
	refcount_set(b, 0, 1, 1);
	refcount_set(b, 0, 8, 1);
	assert_int_equal(b[0], 2);
	assert_int_equal(b[1], 1);
	refcount_set(b, 1, 7, 3);
	assert_int_equal(b[1], 0xc1);
	refcount_set(b, 2, 5, 9);
	assert_int_equal(b[2], 0x90);
	refcount_set(b, 4, 2, 0x1234);
	assert_int_equal(b[4], 0x12);
	assert_int_equal(b[5], 0x34);
	refcount_set(b, 6, 1, UINT64_C(0x0102030405060708));
	assert_int_equal(b[8], 1);
	assert_int_equal(b[15], 8);
}

static void
test_every_pair_of_flags_has_its_kind(void **state)
{
	const uint64_t off = 0x50000;
	/* copied, compressed, zero, offset */
	static const enum cluster_kind kinds[8] = {
		CLUSTER_UNALLOCATED, CLUSTER_NORMAL,     CLUSTER_ZERO_PLAIN,
		CLUSTER_ZERO_ALLOC,  CLUSTER_COMPRESSED, CLUSTER_COMPRESSED,
		CLUSTER_COMPRESSED,  CLUSTER_COMPRESSED,
	};

	(void)state;
	for (unsigned bits = 9; bits <= 21; bits++) {
		struct geom g = geom_init(bits, 4, false, 0);

		for (unsigned i = 0; i < 16; i++) {
			uint64_t word = (i & 1 ? off : 0) |
					(i & 2 ? ENTRY_ZERO : 0) |
					(i & 4 ? ENTRY_COMPRESSED : 0) |
					(i & 8 ? ENTRY_COPIED : 0);
			struct l2_entry e = l2_decode(&g, word);

			assert_int_equal(e.kind, kinds[i & 7]);
			assert_int_equal(e.copied, i >> 3);
			if (!(i & 4))
				assert_int_equal(e.host, i & 1 ? off : 0);
		}
	}
}

static void
test_extended_entries_have_no_zero_flag(void **state)
{
	struct geom g = geom_init(16, 4, true, 0);

	(void)state;
	assert_int_equal(l2_decode(&g, 0x50001).kind, CLUSTER_NORMAL);
	assert_int_equal(l2_decode(&g, 1).kind, CLUSTER_UNALLOCATED);
}

static void
test_encode_is_the_inverse_of_decode(void **state)
{
	struct geom g = geom_init(16, 4, false, 0);
	static const uint64_t words[] = {
		0,
		ENTRY_ZERO,
		0x50000,
		0x50000 | ENTRY_COPIED,
		0x50000 | ENTRY_ZERO,
		0x50000 | ENTRY_ZERO | ENTRY_COPIED,
		ENTRY_OFFSET_MASK | ENTRY_COPIED,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct l2_entry e = l2_decode(&g, words[i]);

		assert_true(l2_encode(&e) == words[i]);
	}
}

static void
test_compressed_lengths_run_to_a_sector_end(void **state)
{
	(void)state;
	for (unsigned bits = 9; bits <= 21; bits++) {
		struct geom g = geom_init(bits, 4, false, 0);
		unsigned x = 70 - bits;
		uint64_t more = (UINT64_C(1) << (62 - x)) - 1;
		uint64_t host = 0x12345;
		struct l2_entry e;

		e = l2_decode(&g, ENTRY_COMPRESSED | more << x | host);
		assert_int_equal(e.host, host);
		assert_int_equal(e.len, (more + 1) * 512 - (host & 511));
		assert_true(e.len <= 2 * g.cluster_size);
		e = l2_decode(&g, ENTRY_COMPRESSED | host);
		assert_int_equal((e.host + e.len) % 512, 0);
		assert_true(e.len <= 512);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_geometry_covers_the_disk),
		cmocka_unit_test(test_l1_entries_at_the_edges),
		cmocka_unit_test(test_guest_offsets_split_and_join),
		cmocka_unit_test(test_refcount_max_fills_its_width),
		cmocka_unit_test(
			test_refcounts_of_all_widths_keep_to_themselves),
		cmocka_unit_test(test_refcounts_are_packed_as_the_format_says),
		cmocka_unit_test(test_every_pair_of_flags_has_its_kind),
		cmocka_unit_test(test_extended_entries_have_no_zero_flag),
		cmocka_unit_test(test_encode_is_the_inverse_of_decode),
		cmocka_unit_test(test_compressed_lengths_run_to_a_sector_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
