/* SPDX-License-Identifier: MIT */
/*
 * Spec files: what lines mean, what beats what, and that no bytes at all make
 * the reader crash or take memory without bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "harness/plan.h"
#include "harness/spec_file.h"
#include "harness/spec_keys.h"
#include "harness/spec_suite.h"
#include "tests/env.h"

#define PASSES "[passes]\ncreate = op=create\nw = rw=randwrite size=50%\n"

static struct spec_mem mem;

static int
done(void **state)
{
	(void)state;
	spec_mem_done(&mem);
	return 0;
}

static struct suite *
parse(const char *text, const char *set)
{
	struct suite_sets sets = {.v = &set, .n = set ? 1 : 0};
	struct suite *suite = NULL;
	struct q2_err err = {0};

	if (spec_suite_read(&mem,
			    &(struct spec_source){"x.ini", text, strlen(text),
						  &sets, NULL},
			    &suite, &err) < 0)
		print_error("%s\n", err.text);
	assert_non_null(suite);
	return suite;
}

static void
assert_labels(const struct suite *suite, const char *want)
{
	char text[1024] = "";

	for (size_t i = 0; i < suite->nconfigs; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
			       "%s%s", i ? " " : "", suite->configs[i].label);
	assert_string_equal(text, want);
}

/* ---- lines ------------------------------------------------------------- */

static void
test_the_first_axis_varies_slowest(void **state)
{
	(void)state;
	assert_labels(
		parse("[configurations]\n"
		      "q-${cluster_size}-${preallocation} = target=qcow2 "
		      "preallocation=off,full cluster_size=64k,1m\n" PASSES,
		      NULL),
		"q-64k-off q-1m-off q-64k-full q-1m-full");
	assert_labels(parse("[defaults]\ncache = none,unsafe\n"
			    "[configurations]\n"
			    "r-${state}-${cache} = target=raw "
			    "state=sparse,written\n" PASSES,
			    NULL),
		      "r-sparse-none r-sparse-unsafe r-written-none "
		      "r-written-unsafe");
}

static void
test_ranges(void **state)
{
	(void)state;
	assert_labels(parse("[configurations]\n"
			    "b${refcount_bits} = target=qcow2 "
			    "refcount_bits=1..64*2\n" PASSES,
			    NULL),
		      "b1 b2 b4 b8 b16 b32 b64");
	assert_labels(parse("[configurations]\n"
			    "c${cache_clean_interval} = target=qcow2 "
			    "cache_clean_interval=0,1..9+4\n" PASSES,
			    NULL),
		      "c0 c1 c5 c9");
	assert_labels(parse("[configurations]\n"
			    "c${cluster-size} = target=qcow2 "
			    "cluster-size=512..2m*16\n" PASSES,
			    NULL),
		      "c512 c8k c128k c2m");
}

static void
test_comments_continuations_and_blanks(void **state)
{
	const struct suite *suite = parse(
		"# first\r\n"
		"[suite]   # comment\n"
		"\tquestion=Why   is it \\\n"
		"   #1 # not this\n"
		"rounds=7#8\n"
		"[configurations]\n"
		"a=target=raw \\ # goes on\n"
		"  state=written\n"
		"[passes]\ncreate = op=create\nw = rw=write\n",
		"rounds=7");

	(void)state;
	/* '#' begins a comment after a blank only. */
	assert_string_equal(suite->question, "Why is it");
	assert_int_equal(suite->rounds, 7);
	assert_string_equal(suite->configs[0].raw_state, "written");
	/* A byte order mark is no part of the first line. */
	assert_labels(parse("\xef\xbb\xbf[configurations]\r\n"
			    "m = target=raw\r\n" PASSES,
			    NULL),
		      "m");
	/* At the end of the text nothing need follow. */
	assert_labels(parse(PASSES "[configurations]\nz = target=raw \\", NULL),
		      "z");
}

static void
test_every_key_of_a_configuration_arrives(void **state)
{
	const struct config *c;
	const struct suite *suite = parse(
		"[configurations]\n"
		"a = target=qcow2 preallocation=falloc zero=hole "
		"cluster_size=1m extended_l2=on compat=v3 refcount_bits=64 "
		"lazy_refcounts=on l2_cache_size=3m l2_cache_entry_size=8k "
		"refcount_cache_size=4m cache_clean_interval=0 "
		"cache=directsync aio=libaio discard=unmap detect_zeroes=unmap "
		"image_size=2g\n"
		"b = target=qcow2 compat=0.10\n"
		"c = target=raw image_size=1g\n" PASSES,
		NULL);

	(void)state;
	c = &suite->configs[0];
	assert_string_equal(c->target, "qcow2");
	assert_null(c->raw_state);
	assert_int_equal(c->prealloc, Q2_PREALLOC_FALLOC);
	assert_int_equal(c->zero, Q2_ZERO_HOLE);
	assert_int_equal(c->cluster_size, MiB);
	assert_true(c->extended_l2 && c->lazy_refcounts && c->unmap);
	assert_int_equal(c->refcount_bits, 64);
	assert_int_equal(c->l2_cache_size, 3 * MiB);
	assert_int_equal(c->l2_cache_entry_size, 8 * KiB);
	assert_int_equal(c->refcount_cache_size, 4 * MiB);
	assert_int_equal(c->cache_clean_interval, UINT_MAX);
	assert_int_equal(c->cache, Q2_CACHE_DIRECTSYNC);
	assert_string_equal(c->aio, "libaio");
	assert_int_equal(c->detect_zeroes, Q2_DETECT_UNMAP);
	assert_int_equal(c->image_bytes, 2 * GiB);
	assert_true(c->takes_all);
	/* What is not said is what QEMU does, and not said on. */
	c = &suite->configs[1];
	assert_int_equal(c->compat, 2);
	assert_int_equal(c->zero, Q2_ZERO_RANGE);
	assert_int_equal(c->cluster_size, 64 * KiB);
	assert_int_equal(c->refcount_bits, 0);
	assert_int_equal(c->cache_clean_interval, 0);
	assert_int_equal(c->image_bytes, 20 * GiB);
	/* All work is done in the smallest. */
	assert_int_equal(suite->image_bytes, GiB);
	assert_int_equal(suite->configs[2].image_bytes, 0);
}

static void
test_every_key_of_an_export_and_of_qemu_arrives(void **state)
{
	const struct config *c;
	const struct suite *suite = parse(
		"[defaults]\nstate = written\ncluster_size = 1m\n"
		"overwrite = on\ncache = unsafe\n"
		"[configurations]\n"
		"n = target=nbd uri=nbd+unix:///a,b?socket=../x,y.sock "
		"image_size=1g\n"
		"q = target=qemu preallocation=full extended_l2=on "
		"refcount_bits=8 l2_cache_size=2m discard=unmap aio=libaio\n"
		"r = target=qemu state=falloc\n" PASSES,
		NULL);

	(void)state;
	c = &suite->configs[0];
	assert_string_equal(c->target, "nbd");
	/* Neither a list nor a range. */
	assert_string_equal(c->uri, "nbd+unix:///a,b?socket=../x,y.sock");
	assert_true(c->overwrite);
	assert_null(c->raw_state);
	assert_int_equal(c->cluster_size, 0);
	assert_int_equal(suite->image_bytes, GiB);
	c = &suite->configs[1];
	/* A state that is not the line's own does not make it raw. */
	assert_string_equal(c->target, "qemu");
	assert_null(c->raw_state);
	assert_null(c->uri);
	assert_int_equal(c->cluster_size, MiB);
	assert_int_equal(c->prealloc, Q2_PREALLOC_FULL);
	assert_true(c->takes_all && c->extended_l2 && c->unmap);
	assert_int_equal(c->refcount_bits, 8);
	assert_int_equal(c->l2_cache_size, 2 * MiB);
	assert_string_equal(c->aio, "libaio");
	assert_int_equal(c->zero, Q2_ZERO_DEFAULT);
	c = &suite->configs[2];
	assert_string_equal(c->raw_state, "falloc");
	assert_int_equal(c->cluster_size, 0);
	assert_true(c->takes_all);
	assert_int_equal(suite->cache, Q2_CACHE_UNSAFE);
}

/* What is there need not be written first, nor made. */
static void
test_an_export_may_be_read_only(void **state)
{
	const struct suite *suite = parse(
		"[configurations]\na = target=nbd uri=nbd://h\n"
		"b = target=nbd uri=nbd://i\n"
		"[passes]\nr = rw=randread size=50%\n"
		"again = rw=randread touch=r\ns = rw=read offset=50% "
		"size=50%\n",
		NULL);

	(void)state;
	assert_false(suite->configs[0].overwrite);
	assert_false(suite->passes[0].write);
	assert_string_equal(suite->passes[1].touch, "r");
	assert_int_equal(suite->passes[2].area_off.n, 50);
}

static void
test_what_is_in_an_image_before_arrives(void **state)
{
	const struct suite *suite = parse(
		"[configurations]\n"
		"a = target=qcow2 fill=rand chain_depth=7 snapshots=3\n"
		"b = target=qcow2 encryption=luks\n"
		"c = target=qcow2 encryption=luks iter_time=50\n"
		"d = target=qcow2 encryption=aes\n"
		"[passes]\ncreate = op=create\nw = rw=randwrite size=50%\n"
		"s = op=snapshot\nd = op=snapshot-delete\n",
		NULL);
	const struct config *c = suite->configs;

	(void)state;
	assert_int_equal(c[0].fill, FILL_RAND);
	assert_int_equal(c[0].chain_depth, 7);
	assert_int_equal(c[0].snapshots, 3);
	assert_null(c[0].encryption);
	assert_int_equal(c[0].iter_time, 0);
	/* What fills the file at the bottom is not in the image. */
	assert_false(c[0].takes_all);
	assert_string_equal(c[1].encryption, "luks");
	assert_int_equal(c[1].iter_time, 10);
	assert_int_equal(c[2].iter_time, 50);
	assert_string_equal(c[3].encryption, "aes");
	assert_int_equal(suite->passes[2].op, PASS_SNAPSHOT);
	assert_int_equal(suite->passes[3].op, PASS_SNAPSHOT_DELETE);
	suite = parse("[configurations]\n"
		      "r = target=raw\n"
		      "z = target=qcow2 compress=on\n"
		      "s = target=qcow2 compress=on compression_type=zstd\n"
		      "[passes]\n"
		      "c = op=convert buffer_compress_percentage=30\n"
		      "r = rw=randread\n",
		      NULL);
	assert_int_equal(suite->passes[0].op, PASS_CONVERT);
	assert_int_equal(suite->passes[0].compressible, 30);
	assert_true(suite->configs[1].compress && !suite->configs[1].zstd);
	assert_true(suite->configs[2].compress && suite->configs[2].zstd);
}

static void
assert_judged(const struct suite *suite, const char *want)
{
	char text[256] = "";

	for (size_t i = 0; i < suite->njudged; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
			       "%s%s.%s", i ? " " : "", suite->judged[i].pass,
			       suite->judged[i].metric);
	assert_string_equal(text, want);
}

/* A line stands for all of its passes, and what is dropped is not judged. */
static void
test_what_is_judged(void **state)
{
	const struct suite *suite = parse(
		"[suite]\nreference = a\nsweep = bs\n"
		"judge = w.iops r-${bs}.cpu_s_per_gib r-4k.iops\n"
		"[configurations]\na = target=raw\n"
		"[passes]\ncreate = op=create\nw = rw=write bs=1m\n"
		"r-${bs} = rw=randread touch=w bs=4k,64k\n"
		"[quick]\ndrop = r-4k\n",
		NULL);

	(void)state;
	assert_judged(suite, "w.iops r-4k.cpu_s_per_gib r-64k.cpu_s_per_gib "
			     "r-4k.iops");
	assert_judged(suite->quick, "w.iops r-64k.cpu_s_per_gib");
	assert_string_equal(suite->sweep, "bs");
	assert_true(suite->sweep_is_pass);
}

static void
test_every_key_of_a_pass_arrives(void **state)
{
	const struct pass *p;
	const struct suite *suite = parse(
		"[configurations]\na = target=raw\n"
		"[passes]\n"
		"c = op=create\n"
		"d = op=create-disk\n"
		"w = rw=randwrite bs=8k iodepth=4 size=1g offset=10% "
		"requests=77 stride=1m place=middle slices=4\n"
		"s = rw=write bs=1m size=10% touch=first offset=2g\n"
		"r = rw=randread touch=w bs=8k\n",
		NULL);

	(void)state;
	assert_int_equal(suite->passes[0].op, PASS_CREATE);
	assert_int_equal(suite->passes[1].op, PASS_CREATE_DISK);
	p = &suite->passes[2];
	assert_int_equal(p->op, PASS_STREAM);
	assert_int_equal(p->order, STREAM_ONCE);
	assert_int_equal(p->place, STREAM_PLACE_MIDDLE);
	assert_true(p->write && p->scaled);
	assert_int_equal(p->bs_bytes, 8 * KiB);
	assert_int_equal(p->iodepth, 4);
	assert_false(p->area_size.percent);
	assert_int_equal(p->area_size.n, GiB);
	assert_true(p->area_off.percent);
	assert_int_equal(p->area_off.n, 10);
	assert_int_equal(p->requests, 77);
	assert_int_equal(p->stride_bytes, MiB);
	assert_int_equal(p->slices, 4);
	assert_null(p->touch);
	p = &suite->passes[3];
	assert_int_equal(p->order, STREAM_SEQ);
	assert_int_equal(p->stride_bytes, 0);
	p = &suite->passes[4];
	assert_string_equal(p->touch, "w");
	assert_false(p->write);
}

/* ---- what beats what --------------------------------------------------- */

#define LAYERS                                                            \
	"[defaults]\nbs = 1k\niodepth = 1\nstride = 32k\n"                \
	"[configurations]\na = target=raw\nq-${preallocation} = "         \
	"target=qcow2 preallocation=off,full cache=none\n"                \
	"[passes]\ncreate = op=create\nw = rw=randwrite bs=2k size=50%\n" \
	"v = rw=randwrite offset=50% size=50%\n"                          \
	"[quick]\nw = iodepth=3\nbs = 4k\nq-full = cache=unsafe\n"

static uint32_t
bs_of(const struct suite *suite, size_t pass)
{
	return suite->passes[pass].bs_bytes;
}

static void
test_set_beats_quick_beats_the_line_beats_defaults(void **state)
{
	const struct suite *suite = parse(LAYERS, NULL);

	(void)state;
	assert_int_equal(bs_of(suite, 1), 2048);
	assert_int_equal(bs_of(suite, 2), 1024);
	assert_int_equal(suite->passes[1].stride_bytes, 32 * KiB);
	assert_int_equal(suite->passes[1].iodepth, 1);
	assert_int_equal(bs_of(suite->quick, 1), 4096);
	assert_int_equal(bs_of(suite->quick, 2), 4096);
	/* Key by key: what [quick] does not say stays. */
	assert_int_equal(suite->quick->passes[1].iodepth, 3);
	assert_int_equal(suite->quick->passes[1].area_size.n, 50);
	assert_int_equal(suite->quick->passes[2].iodepth, 1);
	/* One label of a line that has two. */
	assert_int_equal(suite->quick->configs[1].cache, Q2_CACHE_NONE);
	assert_int_equal(suite->quick->configs[2].cache, Q2_CACHE_UNSAFE);
	suite = parse(LAYERS, "bs=8k");
	assert_int_equal(bs_of(suite, 1), 8192);
	assert_int_equal(bs_of(suite->quick, 2), 8192);
	suite = parse(LAYERS, "w.bs=8k");
	assert_int_equal(bs_of(suite->quick, 1), 8192);
	assert_int_equal(bs_of(suite->quick, 2), 4096);
	suite = parse(LAYERS, "passes.w=bs=8k iodepth=9");
	assert_int_equal(bs_of(suite->quick, 1), 8192);
	assert_int_equal(suite->quick->passes[1].iodepth, 9);
	suite = parse(LAYERS, "defaults.bs=512");
	assert_int_equal(bs_of(suite, 1), 2048);
	assert_int_equal(bs_of(suite, 2), 512);
	suite = parse(LAYERS, "quick.bs=512");
	assert_int_equal(bs_of(suite, 1), 2048);
	assert_int_equal(bs_of(suite->quick, 1), 512);
	suite = parse(LAYERS, "rounds=3");
	assert_int_equal(suite->rounds, 3);
	assert_int_equal(suite->quick->rounds, 3);
	suite = parse("[configurations]\nq-${preallocation} = target=qcow2 "
		      "preallocation=off,full\n" PASSES,
		      "preallocation=metadata");
	assert_labels(suite, "q-metadata");
}

static void
test_quick_drops_and_leaves_out_contrasts(void **state)
{
	const struct suite *suite = suites_find("preallocation");

	(void)state;
	assert_int_equal(suite->ncontrasts, 4);
	assert_int_equal(suite->quick->ncontrasts, 3);
	assert_int_equal(suite->quick->npasses, 7);
	assert_true(suite->quick->probe_image && suite->quick->probe_requests);
	assert_false(suite->probe_image || suite->probe_requests);
	assert_true(suite->advice && suite->quick->advice);
	assert_int_equal(suite->margin * 1000, 50);
}

static void
test_split_makes_groups(void **state)
{
	const struct suite *suite = parse(
		"[suite]\nsplit = cluster_size\nreference = raw\n"
		"[defaults]\ncluster_size = 64k,2m\n"
		"[configurations]\nraw = target=raw\nq = target=qcow2\n" PASSES
		"[quick]\nrounds = 6\n",
		NULL);

	(void)state;
	assert_string_equal(suite->group, "cluster_size=64k");
	assert_labels(suite, "raw q");
	assert_int_equal(suite->configs[1].cluster_size, 64 * KiB);
	assert_string_equal(suite->quick->group, "cluster_size=64k");
	suite = suite->next;
	assert_string_equal(suite->group, "cluster_size=2m");
	assert_labels(suite, "raw q");
	assert_int_equal(suite->configs[1].cluster_size, 2 * MiB);
	assert_string_equal(suite->quick->group, "cluster_size=2m");
	assert_null(suite->next);
}

static void
test_split_by_a_key_of_passes(void **state)
{
	const struct suite *suite = parse(
		"[suite]\nsplit = bs\n[configurations]\nraw = target=raw\n"
		"[passes]\nc = op=create\nw = rw=randwrite bs=4k,8k\n"
		"r = rw=randread touch=w bs=4k,8k\n",
		NULL);

	(void)state;
	assert_int_equal(suite->npasses, 3);
	assert_int_equal(bs_of(suite, 2), 4096);
	assert_int_equal(suite->next->npasses, 3);
	assert_int_equal(bs_of(suite->next, 2), 8192);
}

/* ---- files ------------------------------------------------------------- */

static char dir[] = "/tmp/q2-spec.XXXXXX";

static void
put_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int
load(const char *name, struct suite **ret, struct q2_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	*err = (struct q2_err){0};
	return suites_load(path, NULL, ret, err);
}

static void
test_include_is_relative_and_its_includer_wins(void **state)
{
	struct suite *suite;
	struct q2_err err;
	char path[PATH_MAX];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put_file("sub/base.ini", "include more.ini\n[suite]\nquestion = base\n"
				 "rounds = 3\n[configurations]\n"
				 "a = target=raw state=sparse image_size=1g\n");
	put_file("sub/more.ini", PASSES "[suite]\nrounds = 2\n");
	put_file("top.ini", "[configurations]\na = state=written\n"
			    "include sub/base.ini\n[suite]\nquestion = top\n");
	assert_int_equal(load("top.ini", &suite, &err), 0);
	assert_string_equal(suite->name, "top");
	assert_string_equal(suite->question, "top");
	assert_int_equal(suite->rounds, 3);
	assert_string_equal(suite->configs[0].raw_state, "written");
	assert_int_equal(suite->image_bytes, GiB);
	suites_free(suite);
	/* A suite of the program can be built upon. */
	put_file("mine.ini", "include preallocation\n[suite]\nrounds = 12\n");
	assert_int_equal(load("mine.ini", &suite, &err), 0);
	assert_int_equal(suite->nconfigs, 8);
	assert_int_equal(suite->rounds, 12);
	assert_int_equal(suite->quick->rounds, 6);
	suites_free(suite);
}

static void
test_includes_end(void **state)
{
	char name[32], text[64], many[1024];
	struct suite *suite;
	struct q2_err err;

	(void)state;
	put_file("a.ini", "include b.ini\n");
	put_file("b.ini", "include a.ini\n");
	assert_int_equal(load("a.ini", &suite, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/b.ini:1:9: '"));
	assert_non_null(strstr(err.text, "/a.ini' is included by itself"));
	/* The same under ever new names. */
	put_file("loop.ini", "include ./loop.ini\n");
	assert_int_equal(load("loop.ini", &suite, &err), -EINVAL);
	assert_non_null(strstr(err.text, "includes in includes: more than 8"));
	for (int i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "deep%d.ini", i);
		(void)snprintf(text, sizeof(text), "include deep%d.ini\n",
			       i + 1);
		put_file(name, text);
	}
	assert_int_equal(load("deep0.ini", &suite, &err), -EINVAL);
	assert_non_null(strstr(err.text, "deep8.ini:1:9: includes in "
					 "includes: more than 8 deep"));
	put_file("empty.ini", "");
	many[0] = '\0';
	for (int i = 0; i < 40; i++)
		(void)strcat(many, "include empty.ini\n");
	put_file("wide.ini", many);
	assert_int_equal(load("wide.ini", &suite, &err), -EINVAL);
	assert_non_null(strstr(err.text, "wide.ini:32:9: more than 32 files"));
}

static void
test_files_that_are_none(void **state)
{
	struct suite *suite;
	struct q2_err err;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(load("no.ini", &suite, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cannot read the spec file "));
	assert_non_null(strstr(err.text, "/no.ini: No such file or directory"));
	assert_int_equal(load("sub/", &suite, &err), -EINVAL);
	assert_non_null(strstr(err.text, "Is a directory"));
	(void)snprintf(path, sizeof(path), "%s/fifo.ini", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load("fifo.ini", &suite, &err), -EINVAL);
	assert_int_equal(suites_load("/dev/zero", NULL, &suite, &err), -EINVAL);
	assert_string_equal(err.text, "/dev/zero: spec files are at most "
				      "262144 bytes in all");
	assert_int_equal(suites_load("prealocation", NULL, &suite, &err),
			 -EINVAL);
	assert_string_equal(err.text, "unknown suite 'prealocation'; did you "
				      "mean 'preallocation'?");
}

/* What the manual shows is a suite. */
static void
test_the_example_of_the_manual(void **state)
{
	FILE *f = fopen("docs/spec-format.md", "r");
	char line[256], text[4096] = "";
	const struct suite *suite;
	bool inside = false;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (inside && strncmp(line, "```", 3) == 0)
			break;
		if (inside)
			(void)strncat(text, line,
				      sizeof(text) - strlen(text) - 1);
		inside |= strcmp(line, "```ini\n") == 0;
	}
	(void)fclose(f);
	suite = parse(text, NULL);
	assert_labels(suite, "q-off-none q-off-writeback q-full-none "
			     "q-full-writeback");
	assert_string_equal(suite->next->group, "cluster_size=256k");
	assert_int_equal(suite->quick->npasses, 2);
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command); /* NOLINT(cert-env33-c): a name of ours */
}

/* ---- any bytes --------------------------------------------------------- */

/* Memory for each byte of text, and what there is besides: the items of at most
 * SPEC_ITEMS_MAX lines in both forms. */
#define MEMORY_MOST (64 * MiB)

static void
try_bytes(const char *text, size_t len)
{
	struct spec_mem own = {0};
	struct q2_err err = {0};
	struct suite *suite;
	int r = spec_suite_read(
		&own, &(struct spec_source){"x.ini", text, len, NULL, NULL},
		&suite, &err);

	assert_true(r == 0 || r == -EINVAL);
	/* A reason in one line, of text. */
	assert_true(r == 0 || err.text[0]);
	for (const char *c = err.text; *c; c++)
		assert_true((unsigned char)*c >= ' ');
	assert_true(own.bytes < MEMORY_MOST);
	spec_mem_done(&own);
}

static void
test_long_lines(void **state)
{
	static const char *const starts[] = {
		"",
		"[",
		"[suite]\nquestion = ",
		"#",
		"key=",
		"include ",
		"[configurations]\na = target=",
		"[configurations]\n",
	};
	static const char fill[] = {'a', ' ', ',',  '\\', '=',
				    '$', '.', '\0', '\n', '['};
	char *text = malloc(MiB + 64);

	(void)state;
	assert_non_null(text);
	for (size_t s = 0; s < ARRAY_SIZE(starts); s++) {
		size_t len = strlen(starts[s]);

		memcpy(text, starts[s], len);
		for (size_t f = 0; f < sizeof(fill); f++) {
			memset(text + len, fill[f], MiB);
			try_bytes(text, len + MiB);
			try_bytes(text, SPEC_BYTES_MAX);
			/* Words of one letter: the most there can be. */
			for (size_t i = len; i < SPEC_BYTES_MAX; i += 2)
				text[i] = 'x';
			try_bytes(text, SPEC_BYTES_MAX);
		}
	}
	free(text);
}

/* One change: a byte, a piece that is cut out, moved or doubled, or a word that
 * the reader knows. */
static size_t
change(struct rng *rng, char *text, size_t len, size_t room)
{
	static const char *const words[] = {
		"${state}",
		"1..64*2",
		"include preallocation\n",
		"[quick]\n",
		"touch=",
		"drop = ",
		"split = cluster_size\n",
		"\\\n",
		"=",
		"target=",
		"4k,8k",
		"..",
		"100%",
		"[suite]\n",
		"99999999999999999999",
		"\0",
	};
	size_t at = rng_below(rng, len + 1);
	size_t n = rng_below(rng, 1 + min_u64(len - at, 64));
	const char *word = words[rng_below(rng, ARRAY_SIZE(words))];

	switch (rng_below(rng, 4)) {
	case 0:
		if (at < len)
			text[at] = (char)rng_below(rng, 256);
		return len;
	case 1:
		memmove(text + at, text + at + n, len - at - n);
		return len - n;
	case 2:
		if (len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		return len + n;
	default:
		n = max_u64(strlen(word), 1);
		if (len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		memcpy(text + at, word, n);
		return len + n;
	}
}

static void
test_any_bytes(void **state)
{
	struct rng rng = {test_seed(1)};
	unsigned rounds = test_rounds(4000);
	char text[8192];

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		const char *start = i % 3 ? suites_text(suites_name(i % 3 - 1))
					  : LAYERS;
		unsigned changes = 1 + (unsigned)rng_below(&rng, 8);
		size_t len = (size_t)snprintf(text, sizeof(text), "%s", start);

		while (changes--)
			len = change(&rng, text, len, sizeof(text));
		try_bytes(text, len);
	}
	for (unsigned i = 0; i < rounds; i++) {
		size_t len = rng_below(&rng, 256);

		for (size_t b = 0; b < len; b++)
			text[b] = (char)rng_below(&rng, 256);
		try_bytes(text, len);
	}
}

/* ---- the table of keys ------------------------------------------------- */

static void
test_the_table_of_keys_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < spec_keys_count(); i++) {
		const struct spec_key *key = spec_keys_at(i);
		struct spec_word usual = {key->usual, {"x", 0, 0}};
		struct spec_value value;
		struct q2_err err;
		char text[256];

		assert_ptr_equal(spec_keys_find(key->name, SPEC_ANY_SCOPE),
				 key);
		assert_true(key->help && key->whose);
		/* One of them: a default, or what happens without. */
		assert_int_equal(!key->usual, key->otherwise ? 1 : 0);
		if (key->usual)
			assert_int_equal(
				spec_value_parse(key, &usual, &value, &err), 0);
		if (key->scope == SPEC_OF_CONFIG || key->scope == SPEC_OF_PASS)
			assert_true(key->applies);
		spec_key_values(key, text, sizeof(text));
		assert_true(text[0]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_axis_varies_slowest),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_comments_continuations_and_blanks),
		cmocka_unit_test(test_every_key_of_a_configuration_arrives),
		cmocka_unit_test(
			test_every_key_of_an_export_and_of_qemu_arrives),
		cmocka_unit_test(test_an_export_may_be_read_only),
		cmocka_unit_test(test_what_is_in_an_image_before_arrives),
		cmocka_unit_test(test_what_is_judged),
		cmocka_unit_test(test_every_key_of_a_pass_arrives),
		cmocka_unit_test(
			test_set_beats_quick_beats_the_line_beats_defaults),
		cmocka_unit_test(test_quick_drops_and_leaves_out_contrasts),
		cmocka_unit_test(test_split_makes_groups),
		cmocka_unit_test(test_split_by_a_key_of_passes),
		cmocka_unit_test(
			test_include_is_relative_and_its_includer_wins),
		cmocka_unit_test(test_includes_end),
		cmocka_unit_test(test_files_that_are_none),
		cmocka_unit_test(test_the_example_of_the_manual),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_the_table_of_keys_is_whole),
	};
	int r;

	if (make_dir(NULL) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, done);
	return remove_dir(NULL) == 0 ? r : 1;
}
