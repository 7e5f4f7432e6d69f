/* SPDX-License-Identifier: MIT */
/* test_format_header.c - headers: the bytes we write, and what we refuse */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "engine/format/header.h"

#define CLUSTER 65536

/* The first 512 bytes of an empty 64 MiB image, as sparse pieces. */
static const struct {
	unsigned off;
	const char *bytes;
	unsigned len;
} golden[] = {
	{0, "QFI\xfb\0\0\0\3", 8},
	{20, "\0\0\0\x10\0\0\0\0\4\0\0\0", 12},
	{36, "\0\0\0\1\0\0\0\0\0\3\0\0\0\0\0\0\0\1\0\0\0\0\0\1", 24},
	{96, "\0\0\0\4\0\0\0\x70", 8},
	{112, "\x68\x03\xf8\x57\0\0\1\x80", 8},
	{120, "\0\0dirty bit", 11},
	{168, "\0\1corrupt bit", 13},
	{216, "\0\2external data file", 20},
	{264, "\0\3compression type", 18},
	{312, "\0\4extended L2 entries", 21},
	{360, "\1\0lazy refcounts", 16},
	{408, "\2\0bitmaps", 9},
	{456, "\2\1raw external data", 19},
};

static struct header
plain_header(void)
{
	struct header h = {
		.version = 3,
		.cluster_bits = 16,
		.virtual_size = 64 * MiB,
		.l1_entries = 1,
		.l1_offset = 3 * CLUSTER,
		.reftable_offset = CLUSTER,
		.reftable_clusters = 1,
		.refcount_order = 4,
	};

	return h;
}

static uint8_t image[CLUSTER];

static void
fill_plain(void)
{
	struct header h = plain_header();

	assert_int_equal(header_encode(&h, image, CLUSTER, NULL), 0);
}

static void
test_the_bytes_are_those_of_qemu_img(void **state)
{
	uint8_t want[CLUSTER] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(golden); i++)
		memcpy(want + golden[i].off, golden[i].bytes, golden[i].len);
	fill_plain();
	assert_memory_equal(image, want, CLUSTER);
}

static void
test_small_clusters_and_version_2_have_no_feature_table(void **state)
{
	struct header h = plain_header();
	uint8_t zero[512] = {0};

	(void)state;
	assert_int_equal(header_encode(&h, image, 4096, NULL), 0);
	assert_memory_equal(image + 112, zero, 512);
	assert_int_equal(header_encode(&h, image, 8192, NULL), 0);
	assert_int_equal(load_be32(image + 112), EXT_FEATURE_NAMES);
	h.version = 2;
	assert_int_equal(header_encode(&h, image, CLUSTER, NULL), 0);
	assert_memory_equal(image + 72, zero, 512);
}

static void
test_decode_is_the_inverse_of_encode(void **state)
{
	struct header h = plain_header(), back;

	(void)state;
	h.incompatible = INCOMPAT_DATA_FILE | INCOMPAT_COMPRESSION;
	h.compatible = COMPAT_LAZY_REFCOUNTS;
	h.autoclear = AUTOCLEAR_BITMAPS;
	h.compression_type = 1;
	h.refcount_order = 6;
	strcpy(h.backing_file, "base.qcow2");
	strcpy(h.backing_format, "qcow2");
	strcpy(h.data_file, "data.raw");
	h.has_bitmaps = true;
	h.bitmaps = 3;
	h.bitmaps_bytes = 96;
	h.bitmaps_offset = 9 * CLUSTER;
	assert_int_equal(header_encode(&h, image, CLUSTER, NULL), 0);
	assert_int_equal(header_decode(image, CLUSTER, false, &back, NULL), 0);
	h.has_feature_names = true;
	h.header_length = HEADER_OUR_BYTES;
	assert_memory_equal(&h, &back, sizeof(h));
}

static void
test_a_name_that_does_not_fit_is_refused(void **state)
{
	struct header h = plain_header();
	struct q2_err err;

	(void)state;
	memset(h.backing_file, 'x', 500);
	assert_int_equal(header_encode(&h, image, 512, &err), -ENOSPC);
	h.backing_file[512 - 120] = 0;
	assert_int_equal(header_encode(&h, image, 512, &err), 0);
	h.backing_file[512 - 120] = 'x';
	h.backing_file[512 - 119] = 0;
	assert_int_equal(header_encode(&h, image, 512, &err), -ENOSPC);
}

/* One fault each, on top of a plain header. */
static const struct {
	unsigned off, width;
	uint64_t value;
	const char *text;
} faults[] = {
	{0, 4, 0x514649fa, "Image is not in qcow2 format"},
	{4, 4, 1, "Unsupported qcow2 version 1"},
	{4, 4, 4, "Unsupported qcow2 version 4"},
	{20, 4, 8, "Unsupported cluster size: 2^8"},
	{20, 4, 22, "Unsupported cluster size: 2^22"},
	{20, 4, UINT32_MAX, "Unsupported cluster size: 2^4294967295"},
	{100, 4, 96, "qcow2 header too short"},
	{100, 4, CLUSTER + 8, "qcow2 header exceeds cluster size"},
	{8, 8, CLUSTER + 1, "Invalid backing file offset"},
	{72, 8, UINT64_C(1) << 62,
	 "Unsupported qcow2 feature(s): Unknown incompatible feature: "
	 "4000000000000000"},
	{104, 1, 2, "qcow2: unknown compression type: 2"},
	{104, 1, 1,
	 "qcow2: Compression type incompatible feature bit must be set"},
	{72, 8, 8,
	 "qcow2: Compression type incompatible feature bit must not be set"},
	{96, 4, 7,
	 "Reference count entry width too large; may not exceed 64 bits"},
	{32, 4, 3, "Unsupported encryption method 3"},
	{56, 4, 0, "Image does not contain a reference count table"},
	{56, 4, 129, "Reference count table too large"},
	{48, 8, CLUSTER + 512, "Reference count table offset invalid"},
	{48, 8, INT64_MAX - 65535, "Reference count table offset invalid"},
	{60, 4, 65537, "Snapshot table too large"},
	{64, 8, 8, "Snapshot table offset invalid"},
	{36, 4, 4194305, "Active L1 table too large"},
	{40, 8, 1, "Active L1 table offset invalid"},
	{24, 8, UINT64_C(1) << 63, "Image is too big"},
	{24, 8, GiB, "L1 table is too small"},
	{36, 4, 0, "L1 table is too small"},
	{116, 4, CLUSTER, "Header extension too large"},
	{32, 4, 2, "Missing CRYPTO header for crypt method 2"},
};

static void
test_each_fault_is_refused_in_the_words_of_qemu_img(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct q2_err err = {0};
		struct header h;
		uint8_t *p = image + faults[i].off;

		fill_plain();
		if (faults[i].width == 1)
			*p = (uint8_t)faults[i].value;
		else if (faults[i].width == 4)
			store_be32(p, (uint32_t)faults[i].value);
		else
			store_be64(p, faults[i].value);
		assert_true(header_decode(image, CLUSTER, false, &h, &err) < 0);
		assert_string_equal(err.text, faults[i].text);
	}
}

static void
test_unknown_features_are_named_by_the_image(void **state)
{
	struct q2_err err;
	struct header h;

	(void)state;
	fill_plain();
	store_be64(image + 72, UINT64_C(1) << 62 | UINT64_C(1) << 40);
	image[121] = 62;
	strcpy((char *)image + 122, "golden feature");
	assert_int_equal(header_decode(image, CLUSTER, false, &h, &err),
			 -ENOTSUP);
	assert_string_equal(err.text,
			    "Unsupported qcow2 feature(s): golden feature, "
			    "Unknown incompatible feature: 10000000000");
}

/* ---- rewriting --------------------------------------------------------- */

static uint8_t old_image[CLUSTER];

static int
rewrite(const struct header *h, size_t cluster)
{
	struct header_bytes old = {.p = old_image, .len = CLUSTER};

	return header_rewrite(h, &old, image, cluster, NULL);
}

static size_t
put_ext(uint8_t *at, uint32_t type, const char *data, uint32_t len)
{
	store_be32(at, type);
	store_be32(at + 4, len);
	memcpy(at + 8, data, len);
	return 8 + align_up(len, 8);
}

/* A header of that length, with extensions of ours and of others. */
static void
fill_old(unsigned header_length)
{
	size_t at = header_length;

	fill_plain();
	memset(old_image, 0, CLUSTER);
	memcpy(old_image, image, HEADER_OUR_BYTES);
	store_be32(old_image + 100, header_length);
	for (unsigned i = HEADER_OUR_BYTES; i < header_length; i++)
		old_image[i] = (uint8_t)(0x80 + i);
	at += put_ext(old_image + at, 0x11111111, "one", 3);
	at += put_ext(old_image + at, EXT_BACKING_FORMAT, "raw", 3);
	at += put_ext(old_image + at, 0x22222222, "", 0);
	at += put_ext(old_image + at, EXT_FEATURE_NAMES, "", 0);
	at += put_ext(old_image + at, 0x33333333, "12345678three", 13);
	at += put_ext(old_image + at, EXT_END, "", 0);
	store_be64(old_image + 8, at);
	store_be32(old_image + 16, 4);
	memcpy(old_image + at, "base", 4); /* NOLINT(bugprone-not-null-*) */
}

static void
test_a_rewrite_keeps_what_it_does_not_know(void **state)
{
	static const unsigned lengths[] = {104, 108, 112, 113, 120, 4096};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		unsigned end = lengths[i] > 112 ? lengths[i] : 112;
		uint8_t want[CLUSTER] = {0};
		struct header h;
		size_t at = end;

		fill_old(lengths[i]);
		assert_int_equal(
			header_decode(old_image, CLUSTER, false, &h, NULL), 0);
		assert_string_equal(h.backing_file, "base");
		strcpy(h.backing_file, "other.raw");
		assert_int_equal(rewrite(&h, CLUSTER), 0);

		assert_int_equal(load_be32(image + 100), end);
		memcpy(want, image, 112);
		memcpy(want + 112, old_image + 112, end - 112);
		at += put_ext(want + at, EXT_BACKING_FORMAT, "raw", 3);
		fill_plain(); /* for its table of names */
		memcpy(want + at, image + 112, 392);
		at += 392;
		at += put_ext(want + at, 0x11111111, "one", 3);
		at += put_ext(want + at, 0x22222222, "", 0);
		at += put_ext(want + at, 0x33333333, "12345678three", 13);
		at += put_ext(want + at, EXT_END, "", 0);
		/* NOLINTNEXTLINE(bugprone-not-null-*) */
		memcpy(want + at, "other.raw", 9);
		assert_int_equal(rewrite(&h, CLUSTER), 0);
		assert_int_equal(load_be64(image + 8), at);
		assert_int_equal(load_be32(image + 16), 9);
		assert_memory_equal(image, want, CLUSTER);
	}
}

static void
test_a_rewrite_that_does_not_fit_is_refused(void **state)
{
	struct header h;

	(void)state;
	fill_old(4096);
	assert_int_equal(header_decode(old_image, CLUSTER, false, &h, NULL), 0);
	assert_int_equal(rewrite(&h, 4096), -ENOSPC);
	assert_int_equal(rewrite(&h, 8192), 0);
	/* Version 2 has no place for unknown fields, but for extensions. */
	h.version = 2;
	assert_int_equal(rewrite(&h, 4096), 0);
	assert_int_equal(load_be32(image + 72), EXT_BACKING_FORMAT);
	assert_int_equal(load_be32(image + 88), 0x11111111);
}

/* Bitmaps that nobody may trust any more are not written again. */
static void
test_a_rewrite_drops_stale_bitmaps(void **state)
{
	uint8_t bitmaps[24] = {0, 0, 0, 1};
	struct header h;

	(void)state;
	for (unsigned trusted = 0; trusted < 2; trusted++) {
		size_t at = 112;

		fill_old(112);
		store_be64(old_image + 88, trusted);
		bitmaps[15] = 32;
		at += put_ext(old_image + at, EXT_BITMAPS, (char *)bitmaps, 24);
		(void)put_ext(old_image + at, EXT_END, "", 0);
		assert_int_equal(
			header_decode(old_image, CLUSTER, false, &h, NULL), 0);
		assert_int_equal(rewrite(&h, CLUSTER), 0);
		assert_int_equal(load_be32(image + 112 + 392),
				 trusted ? EXT_BITMAPS : EXT_END);
	}
}

static void
test_check_may_open_what_others_may_not(void **state)
{
	struct header h;

	(void)state;
	fill_plain();
	store_be32(image + 56, 0);
	store_be32(image + 60, UINT32_MAX);
	assert_true(header_decode(image, CLUSTER, false, &h, NULL) < 0);
	assert_int_equal(header_decode(image, CLUSTER, true, &h, NULL), 0);
}

static void
test_every_cut_of_a_file_is_read_as_zeros(void **state)
{
	struct header h;

	(void)state;
	fill_plain();
	for (size_t len = 0; len <= 600; len++) {
		/* exactly len bytes, so that a sanitizer sees more */
		uint8_t *cut = malloc(len + 1);
		int r;

		assert_non_null(cut);
		memcpy(cut, image, len);
		r = header_decode(cut, len, false, &h, NULL);
		assert_int_equal(r == 0, len >= 104);
		free(cut);
	}
}

static void
test_random_bytes_never_go_astray(void **state)
{
	struct rng rng = {3};
	struct q2_err err;
	struct header h;
	uint8_t *copy = malloc(1024);

	(void)state;
	assert_non_null(copy);
	fill_plain();
	for (int i = 0; i < 200000; i++) {
		memcpy(copy, image, 1024);
		for (int k = 0; k < 1 + i % 4; k++)
			copy[4 + rng_below(&rng, 508)] = (uint8_t)rng_next(
				&rng);
		if (i % 3 == 0)
			copy[23] = (uint8_t)(9 + i % 13);
		(void)header_decode(copy, 1024, i & 1, &h, &err);
	}
	free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_bytes_are_those_of_qemu_img),
		cmocka_unit_test(
			test_small_clusters_and_version_2_have_no_feature_table),
		cmocka_unit_test(test_decode_is_the_inverse_of_encode),
		cmocka_unit_test(test_a_name_that_does_not_fit_is_refused),
		cmocka_unit_test(
			test_each_fault_is_refused_in_the_words_of_qemu_img),
		cmocka_unit_test(test_unknown_features_are_named_by_the_image),
		cmocka_unit_test(test_a_rewrite_keeps_what_it_does_not_know),
		cmocka_unit_test(test_a_rewrite_that_does_not_fit_is_refused),
		cmocka_unit_test(test_a_rewrite_drops_stale_bitmaps),
		cmocka_unit_test(test_check_may_open_what_others_may_not),
		cmocka_unit_test(test_every_cut_of_a_file_is_read_as_zeros),
		cmocka_unit_test(test_random_bytes_never_go_astray),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
