/* SPDX-License-Identifier: MIT */
/* matrix.c - kinds of images, and which of them cannot be */
#include "tests/interop/matrix.h"

#include "engine/base/num.h"

static const unsigned versions[] = {2, 3};
static const unsigned clusters[] = {512,   4096,   16384,  32768,
				    65536, 524288, 2097152};
static const unsigned widths[] = {1, 2, 4, 8, 16, 32, 64};

enum layout {
	PLAIN,
	EXTENDED,
	DATA_FILE,
	RAW_DATA_FILE,
	LAZY,
	EXTENDED_DATA_FILE
};

static const char *const layouts[] = {
	[PLAIN] = "",
	[EXTENDED] = ",extended_l2=on",
	[DATA_FILE] = ",data_file=t.data",
	[RAW_DATA_FILE] = ",data_file=t.data,data_file_raw=on",
	[LAZY] = ",lazy_refcounts=on",
	[EXTENDED_DATA_FILE] = ",extended_l2=on,data_file=t.data",
};
static const struct backing {
	const char *format; /* NULL: none */
	int longer;         /* than the image; 0: equal */
} backings[] = {
	{NULL, 0},     {"raw", -1},  {"raw", 0},   {"raw", 1},
	{"qcow2", -1}, {"qcow2", 0}, {"qcow2", 1},
};
static const char *const preallocs[] = {"off", "metadata", "falloc", "full"};
static const char *const encryptions[] = {
	"",
	",encrypt.format=aes,encrypt.key-secret=s",
	",encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
	",encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10,"
	"encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,"
	"encrypt.ivgen-alg=essiv",
};

/* What cannot be: a value of a factor with values of another. */
static const struct conflict {
	enum matrix_factor f;
	unsigned value;
	enum matrix_factor other;
	uint32_t others; /* a bit for each value */
} conflicts[] = {
	/* version 2 has 16 bits and none of the layouts */
	{MATRIX_VERSION, 0, MATRIX_WIDTH, 0x6f},
	{MATRIX_VERSION, 0, MATRIX_LAYOUT, 0x3e},
	/* 32 subclusters of a sector are 16 KiB */
	{MATRIX_LAYOUT, EXTENDED, MATRIX_CLUSTER, 0x03},
	{MATRIX_LAYOUT, EXTENDED_DATA_FILE, MATRIX_CLUSTER, 0x03},
	/* a raw data file holds all of the content */
	{MATRIX_LAYOUT, RAW_DATA_FILE, MATRIX_BACKING, 0x7e},
	/* zeros of the file are none to an encrypted guest */
	{MATRIX_LAYOUT, RAW_DATA_FILE, MATRIX_ENCRYPTION, 0x0e},
	{MATRIX_PREALLOC, 1, MATRIX_ENCRYPTION, 0x0e},
	{MATRIX_PREALLOC, 2, MATRIX_ENCRYPTION, 0x0e},
	{MATRIX_PREALLOC, 3, MATRIX_ENCRYPTION, 0x0e},
};

bool
matrix_in_conflict(unsigned f, unsigned a, unsigned g, unsigned b)
{
	for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
		const struct conflict *c = &conflicts[i];

		if (c->f == f && c->value == a && c->other == g &&
		    (c->others >> b & 1))
			return true;
		if (c->f == g && c->value == b && c->other == f &&
		    (c->others >> a & 1))
			return true;
	}
	return false;
}

static bool
is_extended(const struct pairwise_row *row)
{
	return row->value[MATRIX_LAYOUT] == EXTENDED ||
	       row->value[MATRIX_LAYOUT] == EXTENDED_DATA_FILE;
}

static bool
is_valid(const struct pairwise_row *row)
{
	for (unsigned f = 0; f < MATRIX_FACTORS; f++)
		for (unsigned g = f + 1; g < MATRIX_FACTORS; g++)
			if (matrix_in_conflict(f, row->value[f], g,
					       row->value[g]))
				return false;
	/* What is preallocated hides the backing file, but for subclusters. */
	return is_extended(row) || row->value[MATRIX_BACKING] == 0 ||
	       row->value[MATRIX_PREALLOC] == 0;
}

const struct pairwise matrix_factors = {
	.factors = MATRIX_FACTORS,
	.values = {[MATRIX_MAKER] = SIDES,
		   [MATRIX_VERSION] = ARRAY_SIZE(versions),
		   [MATRIX_CLUSTER] = ARRAY_SIZE(clusters),
		   [MATRIX_WIDTH] = ARRAY_SIZE(widths),
		   [MATRIX_LAYOUT] = ARRAY_SIZE(layouts),
		   [MATRIX_BACKING] = ARRAY_SIZE(backings),
		   [MATRIX_PREALLOC] = ARRAY_SIZE(preallocs),
		   [MATRIX_ENCRYPTION] = ARRAY_SIZE(encryptions)},
	.is_valid = is_valid,
};

struct matrix_kind
matrix_kind(const struct pairwise_row *row)
{
	const uint8_t *v = row->value;

	return (struct matrix_kind){
		.maker = v[MATRIX_MAKER],
		.version = versions[v[MATRIX_VERSION]],
		.cluster = clusters[v[MATRIX_CLUSTER]],
		.width = widths[v[MATRIX_WIDTH]],
		.layout = layouts[v[MATRIX_LAYOUT]],
		.is_extended = is_extended(row),
		.has_raw_data_file = v[MATRIX_LAYOUT] == RAW_DATA_FILE,
		.backing = backings[v[MATRIX_BACKING]].format,
		.backing_longer = backings[v[MATRIX_BACKING]].longer,
		.prealloc = preallocs[v[MATRIX_PREALLOC]],
		.encryption = encryptions[v[MATRIX_ENCRYPTION]],
	};
}
