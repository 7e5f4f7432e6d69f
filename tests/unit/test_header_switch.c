/* SPDX-License-Identifier: MIT */
/*
 * test_header_switch.c - rule H1: from one header to another there is the old
 * one or the new one at any moment, however the writes are torn at sectors
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/format/header.h"
#include "tests/env.h"

#define CLUSTER_MAX (64 * KiB)

static struct header old_header, new_header;
static uint8_t file[CLUSTER_MAX], torn[CLUSTER_MAX];
static unsigned states, refused, steps[5];

static void
name(char *text, size_t len, char letter)
{
	memset(text, letter, len);
	text[len] = 0;
}

static struct header
random_header(struct rng *rng, unsigned bits, char letter)
{
	struct header h = {
		.version = rng_below(rng, 3) ? 3 : 2,
		.cluster_bits = bits,
		.virtual_size = 1 << 20,
		.l1_entries = 1 << 12,
		.l1_offset = UINT64_C(3) << bits,
		.reftable_offset = UINT64_C(1) << bits,
		.reftable_clusters = 1,
		.refcount_order = 4,
	};
	uint64_t room = (UINT64_C(1) << bits) / 3;

	name(h.backing_file, rng_below(rng, min_u64(1023, room)), letter);
	if (h.backing_file[0] && rng_below(rng, 4))
		(void)strcpy(h.backing_format,
			     rng_below(rng, 2) ? "raw" : "qcow2");
	if (h.version == 3 && rng_below(rng, 4) == 0) {
		h.incompatible = INCOMPAT_DATA_FILE;
		name(h.data_file, 1 + rng_below(rng, min_u64(400, room / 2)),
		     letter);
	}
	if (h.version == 3 && rng_below(rng, 4) == 0)
		h.compatible = COMPAT_LAZY_REFCOUNTS;
	if (bits % 2 == 0) {
		h.crypt_method = 2;
		h.has_crypto = true;
		h.crypto_offset = UINT64_C(5) << bits;
		h.crypto_bytes = 129 * KiB;
	}
	return h;
}

static bool
is_like(const struct header *a, const struct header *b)
{
	return a->version == b->version && a->compatible == b->compatible &&
	       a->incompatible == b->incompatible &&
	       strcmp(a->backing_file, b->backing_file) == 0 &&
	       strcmp(a->backing_format, b->backing_format) == 0 &&
	       strcmp(a->data_file, b->data_file) == 0 &&
	       a->reftable_offset == b->reftable_offset &&
	       a->crypt_method == b->crypt_method &&
	       a->crypto_offset == b->crypto_offset &&
	       a->crypto_bytes == b->crypto_bytes;
}

static void
judge(const uint8_t *bytes, size_t size, const struct header *want)
{
	static struct header h;
	struct q2_err err = {0};

	if (header_decode(bytes, size, false, &h, &err) < 0)
		fail_msg("cluster of %zu: %s", size, err.text);
	if (!is_like(&h, want))
		fail_msg("cluster of %zu: '%.40s' %s, version %u", size,
			 h.backing_file, h.backing_format, h.version);
	states++;
}

static void
apply(uint8_t *bytes, const struct header_write *w, struct rng *rng)
{
	for (uint32_t at = 0, n; at < w->len; at += n) {
		uint32_t off = w->off + at;

		n = (uint32_t)min_u64(w->len - at, Q2_SECTOR - off % Q2_SECTOR);
		if (!rng || rng_below(rng, 2))
			memcpy(bytes + off, w->bytes + at, n);
	}
}

static void
walk(const struct header_switch *s, size_t size, struct rng *rng)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct header_write *w = &s->v[i];
		bool is_sector = w->off % Q2_SECTOR + w->len <= Q2_SECTOR;

		/* What decides, or comes last, is one sector. */
		if (i == s->decisive)
			assert_true(is_sector);
		for (unsigned k = 0; k < 8 && i != s->decisive; k++) {
			memcpy(torn, file, size);
			apply(torn, w, rng);
			judge(torn, size,
			      i < s->decisive ? &old_header : &new_header);
		}
		apply(file, w, NULL);
		judge(file, size, i < s->decisive ? &old_header : &new_header);
	}
}

static void
switch_once(struct rng *rng, unsigned bits)
{
	size_t size = (size_t)1 << bits;
	struct header_bytes old = {.p = file, .len = size};
	struct header_switch s;
	struct q2_err err;
	int r;

	new_header = random_header(rng, bits, (char)('a' + rng_below(rng, 26)));
	r = header_plan_switch(&new_header, &old, size, &s, &err);
	if (r < 0) {
		assert_int_equal(r, -ENOSPC);
		refused++;
		return;
	}
	steps[s.n]++;
	walk(&s, size, rng);
	free(s.memory);
	old_header = new_header;
}

static void
test_any_crash_leaves_the_old_header_or_the_new_one(void **state)
{
	struct rng rng = {.state = mix64(test_seed(1))};

	(void)state;
	for (unsigned bits = 9; bits <= 16; bits++) {
		size_t size = (size_t)1 << bits;

		old_header = random_header(&rng, bits, '0');
		assert_int_equal(header_encode(&old_header, file, size, NULL),
				 0);
		for (unsigned i = 0; i < test_rounds(300); i++)
			switch_once(&rng, bits);
	}
	print_message("%u states, %u refused; in 1, 2, 4 writes: %u, %u, %u\n",
		      states, refused, steps[1], steps[2], steps[4]);
	assert_true(steps[1] > 0 && steps[4] > 0 && refused < states / 50);
}

/* What a reader of either needs not to be lost on the way. */
static void
test_an_unknown_extension_is_kept_throughout(void **state)
{
	static const uint8_t unknown[16] = {0x12, 0x34, 0x56, 0x78, 0,   0,
					    0,    8,    'e',  'i',  'n', 's'};
	struct rng rng = {.state = 1};
	size_t size = 64 * KiB, at = 112;
	struct header_bytes old = {.p = file, .len = size};
	struct header_switch s;

	(void)state;
	do
		old_header = random_header(&rng, 16, 'x');
	while (old_header.version == 2);
	old_header.backing_file[0] = old_header.backing_format[0] = 0;
	assert_int_equal(header_encode(&old_header, file, size, NULL), 0);
	memmove(file + at + sizeof(unknown), file + at, 4096);
	memcpy(file + at, unknown, sizeof(unknown));
	new_header = old_header;
	name(new_header.backing_file, 700, 'y');
	assert_int_equal(header_plan_switch(&new_header, &old, size, &s, NULL),
			 0);
	assert_int_equal(s.n, 4);
	for (unsigned i = 0; i < s.n; i++) {
		struct header_switch again;

		apply(file, &s.v[i], NULL);
		/* It is found by whoever writes the header next. */
		assert_int_equal(header_plan_switch(&new_header, &old, size,
						    &again, NULL),
				 0);
		assert_non_null(memmem(again.memory, size, unknown, 12));
		free(again.memory);
	}
	free(s.memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_any_crash_leaves_the_old_header_or_the_new_one),
		cmocka_unit_test(test_an_unknown_extension_is_kept_throughout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
