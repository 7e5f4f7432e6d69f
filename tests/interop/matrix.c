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
/* "": no cluster is written compressed. */
static const char *const compressions[] = {
	"",
	",compression_type=zlib",
	",compression_type=zstd",
};

#define DATA_FILES \
	(1u << DATA_FILE | 1u << RAW_DATA_FILE | 1u << EXTENDED_DATA_FILE)
#define NOT_THE_FIRST(n) ((1u << (n)) - 2)

/* What cannot be, with the reason: a value of a factor with values of
 * another. */
static const struct conflict {
	enum matrix_factor f;
	unsigned value;
	enum matrix_factor other;
	uint32_t others; /* a bit for each value */
} conflicts[] = {
	/* version 2 has 16 bits and none of the layouts */
	{MATRIX_VERSION, 0, MATRIX_WIDTH, 0x6f},
	{MATRIX_VERSION, 0, MATRIX_LAYOUT, NOT_THE_FIRST(6)},
	/* its header has no place for another compression, nor for bitmaps */
	{MATRIX_VERSION, 0, MATRIX_COMPRESSION, 0x04},
	{MATRIX_VERSION, 0, MATRIX_EXTRA, 1u << MATRIX_BITMAP},
	/* 32 subclusters of a sector are 16 KiB */
	{MATRIX_LAYOUT, EXTENDED, MATRIX_CLUSTER, 0x03},
	{MATRIX_LAYOUT, EXTENDED_DATA_FILE, MATRIX_CLUSTER, 0x03},
	/* a raw data file holds all of the content */
	{MATRIX_LAYOUT, RAW_DATA_FILE, MATRIX_BACKING, NOT_THE_FIRST(7)},
	/* zeros of the file are none to an encrypted guest */
	{MATRIX_LAYOUT, RAW_DATA_FILE, MATRIX_ENCRYPTION, NOT_THE_FIRST(4)},
	{MATRIX_PREALLOC, 1, MATRIX_ENCRYPTION, NOT_THE_FIRST(4)},
	{MATRIX_PREALLOC, 2, MATRIX_ENCRYPTION, NOT_THE_FIRST(4)},
	{MATRIX_PREALLOC, 3, MATRIX_ENCRYPTION, NOT_THE_FIRST(4)},
	/* we refuse what QEMU would store in the clear */
	{MATRIX_COMPRESSION, 1, MATRIX_ENCRYPTION, NOT_THE_FIRST(4)},
	{MATRIX_COMPRESSION, 2, MATRIX_ENCRYPTION, NOT_THE_FIRST(4)},
	/* the place of a cluster in a data file is given */
	{MATRIX_COMPRESSION, 1, MATRIX_LAYOUT, DATA_FILES},
	{MATRIX_COMPRESSION, 2, MATRIX_LAYOUT, DATA_FILES},
	/* ... and there is no count of who uses it */
	{MATRIX_EXTRA, MATRIX_SNAPSHOT, MATRIX_LAYOUT, DATA_FILES},
	/* a count of two does not fit into a bit */
	{MATRIX_EXTRA, MATRIX_SNAPSHOT, MATRIX_WIDTH, 0x01},
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

/* Values of three factors that cannot meet. */
static bool
is_valid_triple(const struct pairwise_row *row)
{
	const uint8_t *v = row->value;
	bool is_preallocated = v[MATRIX_PREALLOC] != PAIRWISE_ANY &&
			       v[MATRIX_PREALLOC] != 0;
	bool has_backing = v[MATRIX_BACKING] != PAIRWISE_ANY &&
			   v[MATRIX_BACKING] != 0;
	bool is_compressed = v[MATRIX_COMPRESSION] != PAIRWISE_ANY &&
			     v[MATRIX_COMPRESSION] != 0;

	/* What is preallocated hides the backing file, but for subclusters. */
	if (is_preallocated && has_backing &&
	    v[MATRIX_LAYOUT] != PAIRWISE_ANY && !is_extended(row))
		return false;
	/* Compressed clusters fill a host cluster until its count is at the
	 * limit: a snapshot would double it. */
	return !is_compressed || v[MATRIX_EXTRA] != MATRIX_SNAPSHOT ||
	       v[MATRIX_WIDTH] == PAIRWISE_ANY || widths[v[MATRIX_WIDTH]] >= 16;
}

static bool
is_valid(const struct pairwise_row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
		const struct conflict *c = &conflicts[i];
		uint8_t other = row->value[c->other];

		if (row->value[c->f] == c->value && other != PAIRWISE_ANY &&
		    (c->others >> other & 1))
			return false;
	}
	return is_valid_triple(row);
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
		   [MATRIX_ENCRYPTION] = ARRAY_SIZE(encryptions),
		   [MATRIX_COMPRESSION] = ARRAY_SIZE(compressions),
		   [MATRIX_EXTRA] = MATRIX_EXTRAS},
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
		.compression = compressions[v[MATRIX_COMPRESSION]],
		.extra = v[MATRIX_EXTRA],
	};
}
