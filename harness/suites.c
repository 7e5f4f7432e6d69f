/* SPDX-License-Identifier: MIT */
#include "harness/suite.h"

#include <string.h>

#include "engine/base/num.h"

#define CLUSTER_64K (64 * 1024)

/*
 * preallocation: which policy is right on this disk?  The qcow2 configurations
 * zero new clusters by range, as QEMU does; own-off leaves them as holes and
 * never enters the advice.
 */
/* NOLINTBEGIN(bugprone-macro-parentheses): initialisers, not expressions */
#define QCOW2(name, policy, how, all)                                       \
	.label = name, .target = "qcow2", .prealloc = Q2_PREALLOC_##policy, \
	.zero = Q2_ZERO_##how, .cluster_size = CLUSTER_64K, .takes_all = all
#define RAW(name, state, all) \
	.label = name, .target = "raw", .raw_state = state, .takes_all = all
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct config prealloc_configs[] = {
	{RAW("raw-sparse", "sparse", false)},
	{RAW("raw-falloc", "falloc", true), .not_quick = true},
	{RAW("raw-written", "written", true)},
	{QCOW2("qcow2-off", OFF, RANGE, false)},
	{QCOW2("qcow2-metadata", METADATA, RANGE, false)},
	{QCOW2("qcow2-falloc", FALLOC, RANGE, true)},
	{QCOW2("qcow2-full", FULL, RANGE, true)},
	{QCOW2("own-off", OFF, HOLE, false), .not_quick = true},
};

static const struct cells_contrast prealloc_contrasts[] = {
	{"qcow2-off", "raw-sparse"},
	{"qcow2-metadata", "raw-sparse"},
	{"qcow2-falloc", "raw-falloc"},
	{"qcow2-full", "raw-written"},
};

#define RANDOM_4K \
	.op = PASS_STREAM, .order = STREAM_ONCE, .bs_bytes = 4096, .iodepth = 32
#define SEQ_1M                                                           \
	.op = PASS_STREAM, .order = STREAM_SEQ, .bs_bytes = 1024 * 1024, \
	.iodepth = 8

static const struct pass prealloc_passes[] = {
	{.name = "create", .op = PASS_CREATE},
	{.name = "create-disk", .op = PASS_CREATE_DISK},
	{.name = "first-write",
	 RANDOM_4K,
	 .write = true,
	 .area_share = 80,
	 .requests = true},
	{.name = "rewrite", RANDOM_4K, .write = true, .touch = "first-write"},
	{.name = "read", RANDOM_4K, .touch = "first-write"},
	{.name = "fill",
	 .op = PASS_STREAM,
	 .order = STREAM_ONCE,
	 .bs_bytes = CLUSTER_64K,
	 .iodepth = 32,
	 .write = true,
	 .area_from = 80,
	 .area_share = 10,
	 .not_quick = true},
	{.name = "scan", SEQ_1M, .touch = "fill", .not_quick = true},
	{.name = "seq-write",
	 SEQ_1M,
	 .write = true,
	 .area_from = 90,
	 .area_share = 10,
	 .quick_from = 80,
	 .quick_share = 20},
	{.name = "seq-read", SEQ_1M, .touch = "seq-write"},
};

/* aa: does the harness tell equal things apart?  It must not. */
static const struct config aa_configs[] = {
	{RAW("raw-a", "written", true)},
	{RAW("raw-b", "written", true)},
};

/* aa6: the same with as many labels as a run of preallocation --quick has, and
 * as many pairs. */
static const struct config aa6_configs[] = {
	{RAW("raw-a", "written", true)}, {RAW("raw-b", "written", true)},
	{RAW("raw-c", "written", true)}, {RAW("raw-d", "written", true)},
	{RAW("raw-e", "written", true)}, {RAW("raw-f", "written", true)},
};

static const struct pass aa_passes[] = {
	{.name = "create", .op = PASS_CREATE},
	{.name = "first-write",
	 RANDOM_4K,
	 .write = true,
	 .area_share = 80,
	 .requests = true},
	{.name = "rewrite", RANDOM_4K, .write = true, .touch = "first-write"},
	{.name = "read", RANDOM_4K, .touch = "first-write"},
	{.name = "seq-write",
	 SEQ_1M,
	 .write = true,
	 .area_from = 80,
	 .area_share = 20},
	{.name = "seq-read", SEQ_1M, .touch = "seq-write"},
};

/* overhead: what the harness itself costs, without any I/O. */
static const struct config null_configs[] = {
	{.label = "null", .target = "null"},
};

static const struct pass null_passes[] = {
	{.name = "first-write",
	 RANDOM_4K,
	 .write = true,
	 .area_share = 80,
	 .requests = true},
	{.name = "read", RANDOM_4K, .touch = "first-write"},
};

static const struct suite suites[] = {
	{
		.name = "preallocation",
		.question = "Which preallocation policy is right on this disk?",
		.configs = prealloc_configs,
		.nconfigs = ARRAY_SIZE(prealloc_configs),
		.passes = prealloc_passes,
		.npasses = ARRAY_SIZE(prealloc_passes),
		.reference = "raw-written",
		.baseline = "qcow2-off",
		.contrasts = prealloc_contrasts,
		.ncontrasts = ARRAY_SIZE(prealloc_contrasts),
		.advice = true,
		.rounds = 8,
		.quick_rounds = 6,
		.image_bytes = 20 * GiB,
		.requests = 262144,
	},
	{
		.name = "aa",
		.question = "Does the harness tell equal things apart? "
			    "(raw against raw: every verdict must be same)",
		.configs = aa_configs,
		.nconfigs = ARRAY_SIZE(aa_configs),
		.passes = aa_passes,
		.npasses = ARRAY_SIZE(aa_passes),
		.reference = "raw-a",
		.rounds = 20,
		.quick_rounds = 20,
		.image_bytes = 5 * GiB,
		.requests = 65536,
	},
	{
		.name = "aa6",
		.question = "Does it, with six labels? (no pair may differ)",
		.configs = aa6_configs,
		.nconfigs = ARRAY_SIZE(aa6_configs),
		.passes = aa_passes,
		.npasses = ARRAY_SIZE(aa_passes),
		.reference = "raw-a",
		.rounds = 6,
		.quick_rounds = 6,
		.image_bytes = 5 * GiB,
		.requests = 65536,
	},
	{
		.name = "overhead",
		.question =
			"What does the harness itself cost? (no I/O at all)",
		.configs = null_configs,
		.nconfigs = ARRAY_SIZE(null_configs),
		.passes = null_passes,
		.npasses = ARRAY_SIZE(null_passes),
		.rounds = 8,
		.quick_rounds = 6,
		.image_bytes = 20 * GiB,
		.requests = 262144,
	},
};

size_t
suites_count(void)
{
	return ARRAY_SIZE(suites);
}

const struct suite *
suites_at(size_t i)
{
	return &suites[i];
}

const struct suite *
suites_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
		if (strcmp(suites[i].name, name) == 0)
			return &suites[i];
	}
	return NULL;
}
