/* SPDX-License-Identifier: MIT */
/*
 * test_format_plan.c - the layout of new images: lengths against those of
 * qemu-img, and every refcount against the references
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

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/entry.h"
#include "engine/format/plan.h"
#include "engine/format/refcount.h"

#define GOLDEN "tests/golden/create-lengths.csv"

static enum q2_prealloc
mode_of(const char *name)
{
	static const char *const names[] = {"off", "metadata", "falloc",
					    "full"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum q2_prealloc)i;
	fail_msg("mode '%s'", name);
	return 0;
}

static void
test_lengths_are_those_of_qemu_img(void **state)
{
	FILE *f = fopen(GOLDEN, "r");
	unsigned rows = 0, wrong = 0;
	char line[128];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct q2_create_opts o = {.size = sizeof(o)};
		unsigned extended = 0, external = 0;
		uint64_t want;
		struct plan p;
		char mode[16];

		if (sscanf(line,
			   "%" SCNu64 ",%" SCNu32 ",%15[^,],%" SCNu64
			   ",%u,%u,%u",
			   &o.virtual_size, &o.cluster_size, mode, &want,
			   &o.refcount_bits, &extended, &external) < 4)
			continue;
		o.extended_l2 = extended;
		o.data_file = external ? "data" : NULL;
		o.preallocation = mode_of(mode);
		rows++;
		assert_int_equal(plan_make(&o, &p, NULL), 0);
		if (p.file_bytes == want)
			continue;
		wrong++;
		print_error("%s: %" PRIu64 "\n", line, p.file_bytes);
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(wrong, 0);
	assert_in_range(rows, 400, 1000);
}

/* Read the planned bytes as an image, count the references to each cluster,
 * and compare with the refcounts in them. */
static void
check_references(const struct plan *p, const uint8_t *bytes)
{
	const struct geom *g = &p->geom;
	uint8_t *refs = calloc(p->used_clusters, 1);
	uint64_t guest = 0;

	refs[0]++;
	for (uint64_t i = 0; i < p->reftable.clusters; i++)
		refs[(p->reftable.host >> g->cluster_bits) + i]++;
	for (uint64_t i = 0; i < p->l1.clusters; i++)
		refs[(p->l1.host >> g->cluster_bits) + i]++;
	for (uint64_t i = 0; i < p->reftable.clusters * g->cluster_size; i += 8)
		if (load_be64(bytes + p->reftable.host + i))
			refs[load_be64(bytes + p->reftable.host + i) >>
			     g->cluster_bits]++;
	for (uint64_t i = 0; i < p->header.l1_entries; i++) {
		uint64_t l1 = load_be64(bytes + p->l1.host + 8 * i);
		uint64_t l2 = l1 & ENTRY_OFFSET_MASK;

		if (!l1)
			continue;
		assert_true(l1 & ENTRY_COPIED);
		refs[l2 >> g->cluster_bits]++;
		for (uint64_t j = 0; j < g->l2_entries; j++) {
			const uint8_t *e = bytes + l2 + g->l2_entry_size * j;
			uint64_t word = load_be64(e);
			uint64_t host = word & ENTRY_OFFSET_MASK;

			/* no subcluster is allocated */
			if (g->l2_entry_size == 16)
				assert_int_equal(load_be64(e + 8), 0);
			if (!word)
				continue;
			assert_int_equal(word, host | ENTRY_COPIED);
			/* no hole in the disk */
			assert_int_equal((i * g->l2_entries + j), guest);
			if (g->external_data)
				assert_int_equal(host,
						 guest << g->cluster_bits);
			else
				refs[host >> g->cluster_bits]++;
			guest++;
		}
	}
	assert_int_equal(guest, p->data.clusters);
	for (uint64_t i = 0; i < p->refblocks.clusters * g->refblock_entries;
	     i++) {
		uint64_t block = i >> g->refblock_bits;
		uint64_t count = refcount_get(
			bytes + p->refblocks.host + block * g->cluster_size,
			g->refcount_order, i & (g->refblock_entries - 1));

		assert_int_equal(count, i < p->used_clusters);
		assert_true(i >= p->used_clusters || refs[i] == 1);
	}
	free(refs);
}

static void
check_names(const struct header *h, const struct q2_create_opts *o)
{
	bool zstd = o->compression_type &&
		    strcmp(o->compression_type, "zstd") == 0;

	assert_string_equal(h->backing_file,
			    o->backing_file ? o->backing_file : "");
	assert_string_equal(h->backing_format,
			    o->backing_format ? o->backing_format : "");
	assert_string_equal(h->data_file, o->data_file ? o->data_file : "");
	assert_int_equal(h->compression_type, zstd);
	assert_int_equal(h->incompatible,
			 (o->data_file ? INCOMPAT_DATA_FILE : 0) |
				 (zstd ? INCOMPAT_COMPRESSION : 0) |
				 (o->extended_l2 ? INCOMPAT_EXTENDED_L2 : 0));
	assert_int_equal(h->autoclear,
			 o->data_file_raw ? AUTOCLEAR_DATA_FILE_RAW : 0);
}

static void
encode_and_check(const struct q2_create_opts *o)
{
	struct plan p;
	struct header h;
	uint64_t bytes, half;
	uint8_t *buf;

	assert_int_equal(plan_make(o, &p, NULL), 0);
	bytes = align_up(p.metadata_bytes, p.geom.cluster_size);
	buf = malloc(bytes);
	assert_non_null(buf);
	/* in two parts: what is written must not depend on how it is cut */
	half = align_down(bytes / 2, p.geom.cluster_size);
	plan_encode(&p, 0, half, buf);
	plan_encode(&p, half, bytes - half, buf + half);
	assert_int_equal(header_decode(buf, bytes, false, &h, NULL), 0);
	assert_int_equal(h.virtual_size, align_up(o->virtual_size, 512));
	assert_int_equal(h.version, o->compat);
	assert_int_equal(h.compatible, o->lazy_refcounts);
	check_names(&h, o);
	check_references(&p, buf);
	assert_true(p.file_bytes >= p.metadata_bytes);
	assert_true(p.data.clusters == 0 || p.geom.external_data ||
		    p.file_bytes + geom_spare_bytes(&p.geom) >=
			    p.used_clusters << p.geom.cluster_bits);
	free(buf);
}

static void
encode_with(unsigned bits, unsigned order, uint64_t size)
{
	struct q2_create_opts o = {
		.size = sizeof(o),
		.virtual_size = size,
		.cluster_size = 1U << bits,
		.refcount_bits = 1U << order,
		.lazy_refcounts = order == 4,
		.compat = 3,
	};

	encode_and_check(&o);
	o.preallocation = Q2_PREALLOC_METADATA;
	encode_and_check(&o);
}

static void
test_every_refcount_equals_the_references(void **state)
{
	(void)state;
	for (unsigned bits = 9; bits <= 21; bits++) {
		encode_with(bits, 4, 0);
		encode_with(bits, 4, 1);
		encode_with(bits, 4, 64 * KiB + 1);
		encode_with(bits, 4, 5 * MiB);
	}
	/* tables of several clusters, and blocks of every width */
	for (unsigned order = 0; order <= 6; order++) {
		encode_with(9, order, 9 * MiB);
		encode_with(12, order, 40 * MiB);
		encode_with(16, order, 640 * MiB);
	}
	encode_and_check(&(struct q2_create_opts){
		.size = sizeof(struct q2_create_opts),
		.virtual_size = MiB,
		.cluster_size = 65536,
		.preallocation = Q2_PREALLOC_METADATA,
		.compat = 2,
	});
}

static void
test_every_option_is_in_the_header_and_the_tables(void **state)
{
	static const struct q2_create_opts kinds[] = {
		{.extended_l2 = true},
		{.extended_l2 = true, .cluster_size = 16384},
		{.data_file = "data.raw"},
		{.data_file = "data.raw", .extended_l2 = true},
		{.data_file = "data.raw", .cluster_size = 512},
		{.data_file = "/a/b/data.raw", .data_file_raw = true},
		{.extended_l2 = true,
		 .backing_file = "base",
		 .backing_format = "raw"},
		{.compression_type = "zstd", .refcount_bits = 1},
		{.compression_type = "zlib", .refcount_bits = 64},
		{.compat = 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct q2_create_opts o = kinds[i];

		o.size = sizeof(o);
		o.compat = o.compat ? o.compat : 3;
		o.virtual_size = 2 * MiB + 512;
		for (unsigned mode = 0; mode < 4; mode++) {
			o.preallocation = mode;
			encode_and_check(&o);
		}
	}
	encode_and_check(&(struct q2_create_opts){
		.size = sizeof(struct q2_create_opts),
		.virtual_size = MiB,
		.compat = 2,
		.backing_file = "../base of it.qcow2",
		.backing_format = "qcow2",
	});
}

/* A raw data file is what the guest sees: all of it is mapped. */
static void
test_a_raw_data_file_is_mapped_in_whole(void **state)
{
	struct q2_create_opts o = {.size = sizeof(o),
				   .virtual_size = 5 * MiB,
				   .data_file = "data.raw",
				   .data_file_raw = true};
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(&o, &p, NULL), 0);
	assert_int_equal(p.data.clusters, 80);
	assert_int_equal(p.l2.clusters, 1);
}

/* The largest disks, and the first that are too large. */
static void
test_limits(void **state)
{
	static const struct {
		uint32_t cluster;
		uint64_t most;
	} limits[] = {{512, 128 * GiB}, {4096, 8 * TiB}, {65536, 2048 * TiB}};
	struct q2_err err;
	struct plan p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct q2_create_opts o = {.size = sizeof(o),
					   .cluster_size = limits[i].cluster,
					   .virtual_size = limits[i].most};

		assert_int_equal(plan_make(&o, &p, &err), 0);
		assert_int_equal(p.header.l1_entries, 4 * MiB);
		o.virtual_size++;
		assert_int_equal(plan_make(&o, &p, &err), -EFBIG);
		assert_string_equal(
			err.text,
			"The image size is too large for file format 'qcow2' "
			"(try using a larger cluster size)");
	}
}

static const struct {
	struct q2_create_opts o;
	const char *text;
} bad[] = {
	{{.cluster_size = 256},
	 "Cluster size must be a power of two between 512 and 2048k"},
	{{.cluster_size = 700},
	 "Cluster size must be a power of two between 512 and 2048k"},
	{{.cluster_size = 4 << 20},
	 "Cluster size must be a power of two between 512 and 2048k"},
	{{.refcount_bits = 3},
	 "Refcount width must be a power of two and may not exceed 64 "
	 "bits"},
	{{.refcount_bits = 128},
	 "Refcount width must be a power of two and may not exceed 64 "
	 "bits"},
	{{.refcount_bits = 8, .compat = 2},
	 "Different refcount widths than 16 bits require compatibility "
	 "level 1.1 or above (use version=v3 or greater)"},
	{{.lazy_refcounts = true, .compat = 2},
	 "Lazy refcounts only supported with compatibility level 1.1 "
	 "and above (use version=v3 or greater)"},
	{{.extended_l2 = true, .compat = 2},
	 "Extended L2 entries are only supported with compatibility "
	 "level 1.1 and above (use version=v3 or greater)"},
	{{.extended_l2 = true, .cluster_size = 8192},
	 "Extended L2 entries are only supported with cluster sizes of "
	 "at least 16384 bytes"},
	{{.backing_file = "b"},
	 "Backing file specified without backing format"},
	{{.backing_format = "raw"},
	 "Backing format cannot be used without backing file"},
	{{.backing_file = "", .backing_format = "raw"},
	 "Expected backing file name, got empty string"},
	{{.backing_file = "b", .backing_format = "0123456789abcdef"},
	 "Parameter 'backing-fmt' does not accept value "
	 "'0123456789abcdef'"},
	{{.backing_file = "b",
	  .backing_format = "raw",
	  .preallocation = Q2_PREALLOC_FALLOC},
	 "Backing file and preallocation can only be used at the same "
	 "time if extended_l2 is on"},
	{{.data_file_raw = true}, "data-file-raw requires data-file"},
	{{.data_file_raw = true,
	  .data_file = "d",
	  .backing_file = "b",
	  .backing_format = "raw"},
	 "Backing file and data-file-raw cannot be used at the same "
	 "time"},
	{{.data_file = "d", .compat = 2},
	 "External data files are only supported with compatibility "
	 "level 1.1 and above (use version=v3 or greater)"},
	{{.compression_type = "zstd", .compat = 2},
	 "Non-zlib compression type is only supported with "
	 "compatibility level 1.1 and above (use version=v3 or "
	 "greater)"},
	{{.compression_type = "lzma"},
	 "Parameter 'compression-type' does not accept value 'lzma'"},
	{{.compat = 4}, "the format has versions 2 and 3, not 4"},
	{{.virtual_size = UINT64_MAX},
	 "Invalid image size specified. Must be between 0 and "
	 "9223372036854775807."},
};

static void
test_bad_options_have_the_texts_of_qemu_img(void **state)
{
	struct q2_err err;
	struct plan p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(plan_make(&bad[i].o, &p, &err), -EINVAL);
		assert_string_equal(err.text, bad[i].text);
	}
}

/* Long names, and clusters that they do not fit in. */
static void
test_names_that_do_not_fit_are_refused(void **state)
{
	char name[1100] = "";
	struct q2_create_opts o = {.size = sizeof(o),
				   .backing_file = name,
				   .backing_format = "raw"};
	struct q2_err err;
	struct plan p;

	(void)state;
	memset(name, 'x', 1023);
	assert_int_equal(plan_make(&o, &p, &err), 0);
	o.cluster_size = 1024;
	assert_int_equal(plan_make(&o, &p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "Could not assign backing file 'xxx"));
	name[300] = 0;
	assert_int_equal(plan_make(&o, &p, &err), 0);
	memset(name, 'x', 1024);
	o.cluster_size = 0;
	assert_int_equal(plan_make(&o, &p, &err), -EINVAL);
	o = (struct q2_create_opts){.data_file = name};
	assert_int_equal(plan_make(&o, &p, &err), -EINVAL);
	name[900] = 0;
	assert_int_equal(plan_make(&o, &p, &err), 0);
	o.cluster_size = 512;
	assert_int_equal(plan_make(&o, &p, &err), -EINVAL);
	assert_string_equal(err.text, "Could not update qcow2 header: No space "
				      "left on device");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths_are_those_of_qemu_img),
		cmocka_unit_test(test_every_refcount_equals_the_references),
		cmocka_unit_test(
			test_every_option_is_in_the_header_and_the_tables),
		cmocka_unit_test(test_a_raw_data_file_is_mapped_in_whole),
		cmocka_unit_test(test_names_that_do_not_fit_are_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bad_options_have_the_texts_of_qemu_img),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
