/* SPDX-License-Identifier: MIT */
#include "harness/spec_keys.h"

#include <string.h>

#include "engine/base/num.h"
#include "harness/options.h"

/* In the order of what they stand for: struct config and struct pass. */
static const char *const targets[] = {"raw", "qcow2", "null",
				      "nbd", "qemu",  NULL};
static const char *const states[] = {"sparse", "falloc", "written", NULL};
static const char *const policies[] = {"off", "metadata", "falloc", "full",
				       NULL};
static const char *const zeros[] = {"default", "hole", "range", "write", NULL};
static const char *const compats[] = {"0.10", "1.1", "v2", "v3", NULL};
static const char *const caches[] = {"none",       "writeback", "writethrough",
				     "directsync", "unsafe",    NULL};
static const char *const aios[] = {"io_uring", "libaio", "threads", NULL};
static const char *const discards[] = {"ignore", "unmap", NULL};
static const char *const detects[] = {"off", "on", "unmap", NULL};
static const char *const fills[] = {"none", "seq", "rand", NULL};
static const char *const encryptions[] = {"none", "aes", "luks", NULL};
static const char *const codecs[] = {"zlib", "zstd", NULL};
static const char *const ops[] = {"create",   "create-disk",     "convert",
				  "snapshot", "snapshot-delete", "stream",
				  NULL};
static const char *const rws[] = {"read", "write", "randread", "randwrite",
				  NULL};
static const char *const places[] = {"random", "start", "middle", NULL};

#define OF_SUITE  .scope = SPEC_OF_SUITE, .whose = "qcowbench"
#define OF_CONFIG .scope = SPEC_OF_CONFIG, .in_cell_id = true
#define OF_PASS   .scope = SPEC_OF_PASS, .in_cell_id = true

static const struct spec_key keys[] = {
	/* ---- [suite] -------------------------------------------------------- */
	{.name = "question",
	 OF_SUITE,
	 .type = SPEC_TEXT,
	 .otherwise = "none is printed",
	 .help = "what the suite asks, in one line"},
	{.name = "reference",
	 OF_SUITE,
	 .type = SPEC_NAME,
	 .otherwise = "tables have no percentages",
	 .help = "the configuration that is 100 % in tables"},
	{.name = "baseline",
	 OF_SUITE,
	 .type = SPEC_NAME,
	 .otherwise = "nothing is ranked",
	 .help = "the configuration that the others are ranked against"},
	{.name = "contrast",
	 OF_SUITE,
	 .type = SPEC_NAMES,
	 .otherwise = "no format is compared with raw",
	 .help = "pairs A/B of configurations: a format beside a raw file in "
		 "the same state"},
	{.name = "rounds",
	 OF_SUITE,
	 .type = SPEC_COUNT,
	 .least = 1,
	 .most = 100000,
	 .usual = "8",
	 .help = "how often each configuration is measured; fewer than 6 give "
		 "no verdict"},
	{.name = "margin",
	 OF_SUITE,
	 .type = SPEC_PERCENT,
	 .least = 1,
	 .most = 5000,
	 .usual = "5%",
	 .help = "differences below it do not matter to you"},
	{.name = "advice",
	 OF_SUITE,
	 .type = SPEC_SWITCH,
	 .usual = "off",
	 .help = "end with a sentence about preallocation; takes the labels of "
		 "the suite preallocation"},
	{.name = "split",
	 OF_SUITE,
	 .type = SPEC_NAME,
	 .otherwise = "all configurations are one group",
	 .help = "a key with several values: each becomes a group of its own, "
		 "compared within itself"},
	{.name = "judge",
	 OF_SUITE,
	 .type = SPEC_NAMES,
	 .otherwise = "no findings are printed",
	 .help = "PASS.METRIC: what findings are about, a sentence each, "
		 "against the reference; a metric is one of cells.csv, "
		 "such as iops"},
	{.name = "sweep",
	 OF_SUITE,
	 .type = SPEC_NAME,
	 .otherwise = "its plot has bars",
	 .help = "the key whose values are the axis of the plot of what is "
		 "judged; labels that differ behind their last - only are one "
		 "line"},
	/* ---- [quick] -------------------------------------------------------- */
	{.name = "drop",
	 .scope = SPEC_OF_QUICK,
	 .whose = "qcowbench",
	 .type = SPEC_NAMES,
	 .otherwise = "all are kept",
	 .help = "configurations and passes that quick runs leave out"},
	{.name = "probe",
	 .scope = SPEC_OF_QUICK,
	 .whose = "qcowbench",
	 .type = SPEC_NAMES,
	 .otherwise = "quick runs keep the sizes",
	 .help = "image_size, PASS.requests: what the probe of the disk chooses "
		 "in quick runs"},
	/* ---- configurations ------------------------------------------------- */
	{.name = "target",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = targets,
	 .applies = SPEC_TARGETS,
	 .otherwise = "an error",
	 .whose = "qcowbench",
	 .help = "what is measured: a plain file, a qcow2 image by our engine, "
		 "the harness itself, an export of any NBD server (uri=), or "
		 "QEMU behind qemu-nbd: a qcow2 image, or a raw file with "
		 "state="},
	{.name = "uri",
	 OF_CONFIG,
	 .type = SPEC_URI,
	 .applies = SPEC_NBD,
	 .otherwise = "an error",
	 .whose = "qcowbench",
	 .help = "the export; its server outlives its clients, and the export "
		 "has image_size bytes or more"},
	{.name = "overwrite",
	 OF_CONFIG,
	 .type = SPEC_SWITCH,
	 .applies = SPEC_NBD,
	 .usual = "off",
	 .whose = "qcowbench",
	 .help = "on: what the export holds now may be lost; passes that write "
		 "take it"},
	{.name = "state",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = states,
	 .applies = SPEC_RAWS,
	 .usual = "sparse",
	 .whose = "qcowbench",
	 .help = "of a raw file before the first pass: holes, allocated but "
		 "unwritten, or written with zeros; with target=qemu it makes "
		 "the image a raw one"},
	{.name = "preallocation",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = policies,
	 .applies = SPEC_QCOW2S,
	 .usual = "off",
	 .whose = "qemu-img",
	 .help = "what creation allocates: nothing, the tables, the tables and "
		 "unwritten space, or all of it written"},
	{.name = "zero",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = zeros,
	 .applies = SPEC_QCOW2,
	 .usual = "range",
	 .whose = "qcowbench",
	 .help = "how the rest of a new cluster becomes zero: range is QEMU's "
		 "way, hole trusts new space to be zero"},
	{.name = "cluster_size",
	 OF_CONFIG,
	 .type = SPEC_SIZE,
	 .least = 512,
	 .most = 2 * MiB,
	 .power = true,
	 .applies = SPEC_QCOW2S,
	 .usual = "64k",
	 .whose = "qemu-img",
	 .help = "unit of allocation of a qcow2 image"},
	{.name = "extended_l2",
	 OF_CONFIG,
	 .type = SPEC_SWITCH,
	 .applies = SPEC_QCOW2S,
	 .usual = "off",
	 .whose = "qemu-img",
	 .help = "32 subclusters in each cluster; takes clusters of at least "
		 "16k"},
	{.name = "compat",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = compats,
	 .applies = SPEC_QCOW2S,
	 .usual = "1.1",
	 .whose = "qemu-img",
	 .help = "version of the format: 0.10 is v2, 1.1 is v3"},
	{.name = "refcount_bits",
	 OF_CONFIG,
	 .type = SPEC_COUNT,
	 .least = 1,
	 .most = 64,
	 .power = true,
	 .applies = SPEC_QCOW2S,
	 .usual = "16",
	 .whose = "qemu-img",
	 .help = "width of a refcount"},
	{.name = "lazy_refcounts",
	 OF_CONFIG,
	 .type = SPEC_SWITCH,
	 .applies = SPEC_QCOW2S,
	 .usual = "off",
	 .whose = "qemu-img",
	 .help = "refcounts are written late; a crash costs a repair"},
	{.name = "l2_cache_size",
	 OF_CONFIG,
	 .type = SPEC_SIZE,
	 .least = 512,
	 .most = GiB,
	 .applies = SPEC_QCOW2S,
	 .otherwise = "QEMU's default: as much as the image needs, at most 32m",
	 .whose = "QEMU",
	 .help = "memory for L2 tables"},
	{.name = "l2_cache_entry_size",
	 OF_CONFIG,
	 .type = SPEC_SIZE,
	 .least = 512,
	 .most = 2 * MiB,
	 .power = true,
	 .applies = SPEC_QCOW2S,
	 .otherwise = "QEMU's default: 4k, or a cluster if that is less",
	 .whose = "QEMU",
	 .help = "how much of an L2 table is read at once; at most a cluster"},
	{.name = "refcount_cache_size",
	 OF_CONFIG,
	 .type = SPEC_SIZE,
	 .least = 512,
	 .most = GiB,
	 .applies = SPEC_QCOW2S,
	 .otherwise = "QEMU's default: four clusters",
	 .whose = "QEMU",
	 .help = "memory for refcount blocks"},
	{.name = "cache_clean_interval",
	 OF_CONFIG,
	 .type = SPEC_COUNT,
	 .most = INT32_MAX,
	 .applies = SPEC_QCOW2S,
	 .usual = "600",
	 .whose = "QEMU",
	 .help = "seconds after which unused cache entries are dropped; 0: "
		 "never"},
	{.name = "fill",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = fills,
	 .applies = SPEC_QCOW2,
	 .usual = "none",
	 .whose = "qcowbench",
	 .help = "data that is there before the first pass, in the file at the "
		 "bottom: in order, or 64k at a time at random"},
	{.name = "chain_depth",
	 OF_CONFIG,
	 .type = SPEC_COUNT,
	 .most = 1000,
	 .applies = SPEC_QCOW2,
	 .usual = "0",
	 .whose = "qcowbench",
	 .help = "files below the image, made before it; with fill= the one at "
		 "the bottom holds data, else all are empty"},
	{.name = "snapshots",
	 OF_CONFIG,
	 .type = SPEC_COUNT,
	 .most = 1000,
	 .applies = SPEC_QCOW2,
	 .usual = "0",
	 .whose = "qcowbench",
	 .help = "internal snapshots that are taken before the first pass with "
		 "requests"},
	{.name = "encryption",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = encryptions,
	 .applies = SPEC_QCOW2,
	 .usual = "none",
	 .whose = "qcowbench",
	 .help = "what qemu-img calls encrypt.format; the passphrase is one of "
		 "our own"},
	{.name = "iter_time",
	 OF_CONFIG,
	 .type = SPEC_COUNT,
	 .least = 1,
	 .most = 60000,
	 .applies = SPEC_QCOW2,
	 .usual = "10",
	 .whose = "qemu-img",
	 .help = "milliseconds that trying a passphrase takes, of "
		 "encryption=luks (encrypt.iter-time; 2000 there): little, so "
		 "that it is no part of what is measured"},
	{.name = "compress",
	 OF_CONFIG,
	 .type = SPEC_SWITCH,
	 .applies = SPEC_QCOW2,
	 .usual = "off",
	 .whose = "QEMU",
	 .help = "op=convert makes compressed clusters, as convert -c does"},
	{.name = "compression_type",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = codecs,
	 .applies = SPEC_QCOW2,
	 .usual = "zlib",
	 .whose = "qemu-img",
	 .help = "how compressed clusters are compressed"},
	{.name = "cache",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = caches,
	 .applies = SPEC_FILES,
	 .usual = "none",
	 .whose = "QEMU",
	 .help = "none and directsync go around the page cache; writethrough "
		 "and directsync flush each write; unsafe never flushes"},
	{.name = "aio",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = aios,
	 .applies = SPEC_LOCAL,
	 .otherwise = "the first of these that works",
	 .whose = "QEMU",
	 .help = "how the kernel is asked"},
	{.name = "discard",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = discards,
	 .applies = SPEC_FILES,
	 .usual = "ignore",
	 .whose = "QEMU",
	 .help = "whether discards reach the file; with unmap a guest's mkfs or "
		 "fstrim undoes falloc and full"},
	{.name = "detect_zeroes",
	 OF_CONFIG,
	 .type = SPEC_ONE_OF,
	 .words = detects,
	 .applies = SPEC_FILES,
	 .usual = "off",
	 .whose = "QEMU",
	 .help = "look whether writes are all zeros, and do not store these"},
	{.name = "image_size",
	 OF_CONFIG,
	 .type = SPEC_SIZE,
	 .least = 16 * MiB,
	 .most = INT64_MAX,
	 .multiple = MiB,
	 .applies = SPEC_TARGETS,
	 .usual = "20g",
	 .whose = "qcowbench",
	 .help = "virtual size of the images; where they differ, all work is "
		 "done within the smallest.  Of an export: as much is used"},
	/* ---- passes --------------------------------------------------------- */
	{.name = "op",
	 OF_PASS,
	 .type = SPEC_ONE_OF,
	 .words = ops,
	 .applies = SPEC_PASSES,
	 .usual = "stream",
	 .whose = "qcowbench",
	 .help = "make the image; make one of the user's --size beside it; make "
		 "the image by converting a raw file full of data; take an "
		 "internal snapshot; delete the last one; or requests (see rw)"},
	{.name = "buffer_compress_percentage",
	 OF_PASS,
	 .type = SPEC_COUNT,
	 .most = 99,
	 .applies = SPEC_OTHER_OP,
	 .usual = "0",
	 .whose = "fio",
	 .help = "of the data that op=convert converts, how much compresses "
		 "away"},
	{.name = "rw",
	 OF_PASS,
	 .type = SPEC_ONE_OF,
	 .words = rws,
	 .applies = SPEC_REQUESTS,
	 .otherwise = "an error, unless op is said",
	 .whose = "fio",
	 .help = "direction, in order or at random; random passes touch each "
		 "place once"},
	{.name = "bs",
	 OF_PASS,
	 .type = SPEC_SIZE,
	 .least = 512,
	 .most = 64 * MiB,
	 .multiple = 512,
	 .applies = SPEC_REQUESTS,
	 .usual = "4k",
	 .whose = "fio",
	 .help = "bytes of a request"},
	{.name = "iodepth",
	 OF_PASS,
	 .type = SPEC_COUNT,
	 .least = 1,
	 .most = 1024,
	 .applies = SPEC_REQUESTS,
	 .usual = "1",
	 .whose = "fio",
	 .help = "requests in flight"},
	{.name = "size",
	 OF_PASS,
	 .type = SPEC_SHARE,
	 .least = 1,
	 .applies = SPEC_REQUESTS,
	 .usual = "100%",
	 .whose = "fio",
	 .help = "part of the image that the pass works in"},
	{.name = "offset",
	 OF_PASS,
	 .type = SPEC_SHARE,
	 .applies = SPEC_REQUESTS,
	 .usual = "0%",
	 .whose = "fio",
	 .help = "where that part begins"},
	{.name = "requests",
	 OF_PASS,
	 .type = SPEC_COUNT,
	 .least = 1,
	 .most = UINT32_MAX,
	 .applies = SPEC_REQUESTS,
	 .otherwise = "each place once",
	 .whose = "qcowbench",
	 .help = "fixed work of the pass, at most each place once"},
	{.name = "touch",
	 OF_PASS,
	 .type = SPEC_NAME,
	 .applies = SPEC_REQUESTS,
	 .usual = "first",
	 .whose = "qcowbench",
	 .help = "first: places that no pass has touched; or an earlier pass "
		 "whose bytes are used again"},
	{.name = "stride",
	 OF_PASS,
	 .type = SPEC_SIZE,
	 .least = 512,
	 .most = GiB,
	 .multiple = 512,
	 .applies = SPEC_STREAMS,
	 .otherwise = "64k, or bs if that is more; bs for passes in order",
	 .whose = "qcowbench",
	 .help = "distance of the places on the guest's disk; one request to "
		 "each"},
	{.name = "place",
	 OF_PASS,
	 .type = SPEC_ONE_OF,
	 .words = places,
	 .applies = SPEC_STREAMS,
	 .usual = "random",
	 .whose = "qcowbench",
	 .help = "where in its stride a request lies"},
	{.name = "slices",
	 .scope = SPEC_OF_PASS,
	 .type = SPEC_COUNT,
	 .least = 1,
	 .most = 4096,
	 .applies = SPEC_REQUESTS,
	 .otherwise = "turns of about 0.1 s; 1 where writeback is buffered",
	 .whose = "qcowbench",
	 .help = "turns into which the pass of each configuration is cut; 1: in "
		 "one piece; else even"},
};

static_assert(ARRAY_SIZE(keys) <= SPEC_KEYS_MAX, "room in struct spec_item");

size_t
spec_keys_count(void)
{
	return ARRAY_SIZE(keys);
}

const struct spec_key *
spec_keys_at(size_t i)
{
	return &keys[i];
}

size_t
spec_keys_index(const struct spec_key *key)
{
	return (size_t)(key - keys);
}

const struct spec_key *
spec_keys_find(const char *name, unsigned scopes)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if ((SPEC_SCOPE(keys[i].scope) & scopes) &&
		    spec_same(keys[i].name, name))
			return &keys[i];
	}
	return NULL;
}

/* ---- where a key applies ----------------------------------------------- */

static const struct {
	unsigned where;
	const char *text;
} wheres[] = {
	{SPEC_RAWS, "target=raw and target=qemu with state="},
	{SPEC_QCOW2, "target=qcow2"},
	{SPEC_QCOW2S, "target=qcow2 and target=qemu without state="},
	{SPEC_FILES, "target=raw, target=qcow2 and target=qemu"},
	{SPEC_LOCAL, "all targets but nbd"},
	{SPEC_NBD, "target=nbd"},
	{SPEC_OTHER_OP, "passes without requests"},
	{SPEC_STREAMS, "random passes"},
	{SPEC_REQUESTS, "passes with requests"},
};

const char *
spec_where_text(unsigned applies)
{
	for (size_t i = 0; i < ARRAY_SIZE(wheres); i++) {
		if (wheres[i].where == applies)
			return wheres[i].text;
	}
	return NULL;
}

unsigned
spec_where_of(const char *target, bool raw)
{
	static const unsigned by_target[] = {SPEC_RAW, SPEC_QCOW2, SPEC_NULL,
					     SPEC_NBD, SPEC_QEMU_QCOW2};

	static_assert(ARRAY_SIZE(by_target) + 1 == ARRAY_SIZE(targets),
		      "one for each");
	for (size_t i = 0; targets[i]; i++) {
		if (strcmp(targets[i], target) != 0)
			continue;
		if (by_target[i] == SPEC_QEMU_QCOW2 && raw)
			return SPEC_QEMU_RAW;
		return by_target[i];
	}
	return 0;
}

static const char *
name_at(const void *arg, size_t i)
{
	return ((const char *const *)arg)[i];
}

const char *
spec_keys_nearest(const char *name, unsigned scopes)
{
	const char *names[ARRAY_SIZE(keys)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (SPEC_SCOPE(keys[i].scope) & scopes)
			names[n++] = keys[i].name;
	}
	return options_nearest(name, n, name_at, names);
}
