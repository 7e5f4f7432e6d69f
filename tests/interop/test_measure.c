/* SPDX-License-Identifier: MIT */
/*
 * test_measure.c - q2_measure() says what qemu-img measure says
 *
 * Needs qemu-img and qemu-io.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/q2.h"

static struct q2_loop *loop;
static char home[4096], dir[300];

static int
run(const char *cmd)
{
	int r = system(cmd); /* NOLINT(cert-env33-c): test tools */

	return r < 0 ? r : WEXITSTATUS(r);
}

static int
setup(void **state)
{
	const char *build = getenv("B");

	(void)state;
	assert_non_null(getcwd(home, sizeof(home)));
	(void)snprintf(dir, sizeof(dir), "%s/measure-XXXXXX",
		       build ? build : ".");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	return q2_loop_new(NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	char cmd[400];

	(void)state;
	q2_loop_free(loop);
	assert_int_equal(chdir(home), 0);
	(void)snprintf(cmd, sizeof(cmd), "rm -r '%s'", dir);
	return run(cmd);
}

static void
need_qemu(void)
{
	if (run("qemu-img --version >/dev/null 2>&1 && "
		"qemu-io --version >/dev/null 2>&1") == 0)
		return;
	print_message("qemu-img and qemu-io are not installed\n");
	skip();
}

/* ---- QEMU's figures ---------------------------------------------------- */

static const char *const modes[] = {"off", "metadata", "falloc", "full"};

/* The number after a label, or -1. */
static int64_t
figure(const char *text, const char *label)
{
	const char *at = strstr(text, label);

	return at ? strtoll(at + strlen(label), NULL, 10) : -1;
}

/* source: "--size N" or "-f FORMAT FILE".  False if qemu-img refuses. */
static bool
ask_qemu(const struct q2_create_opts *o, const char *source,
	 struct q2_measure *ret)
{
	bool raw = o->driver && strcmp(o->driver, "raw") == 0;
	char cmd[1024], text[512] = "";
	int64_t bitmaps;
	FILE *p;

	if (raw)
		(void)snprintf(cmd, sizeof(cmd),
			       "qemu-img measure -O raw %s 2>/dev/null",
			       source);
	else
		(void)snprintf(cmd, sizeof(cmd),
			       "qemu-img measure -O qcow2 -o cluster_size=%u,"
			       "refcount_bits=%u,preallocation=%s%s%s%s %s "
			       "2>/dev/null",
			       o->cluster_size ? o->cluster_size : 65536,
			       o->refcount_bits ? o->refcount_bits : 16,
			       modes[o->preallocation],
			       o->extended_l2 ? ",extended_l2=on" : "",
			       o->compat == 2 ? ",compat=0.10" : "",
			       o->backing_file ? ",backing_file=b" : "",
			       source);
	p = popen(cmd, "r"); /* NOLINT(cert-env33-c): test tools */
	assert_non_null(p);
	(void)fread(text, 1, sizeof(text) - 1, p);
	if (pclose(p) != 0)
		return false;
	bitmaps = figure(text, "bitmaps size: ");
	*ret = (struct q2_measure){
		.required = (uint64_t)figure(text, "required size: "),
		.fully_allocated = (uint64_t)figure(text, "fully allocated "
							  "size: "),
		.has_bitmaps = bitmaps >= 0,
		.bitmaps = bitmaps >= 0 ? (uint64_t)bitmaps : 0,
	};
	return true;
}

static void
compare(const struct q2_create_opts *o, struct q2_image *img,
	const char *source)
{
	struct q2_measure ours = {0}, want = {0};
	struct q2_err err = {0};
	bool done = q2_measure(o, img, &ours, &err) == 0;

	if (done != ask_qemu(o, source, &want))
		fail_msg("%s, cluster %u: %s", source, o->cluster_size,
			 done ? "qemu-img refuses" : err.text);
	if (done && (ours.required != want.required ||
		     ours.fully_allocated != want.fully_allocated ||
		     ours.has_bitmaps != want.has_bitmaps ||
		     ours.bitmaps != want.bitmaps))
		fail_msg("%s, cluster %u, width %u, %s, extended %d: "
			 "%" PRIu64 " %" PRIu64 " %" PRIu64
			 " instead of %" PRIu64 " %" PRIu64 " %" PRIu64,
			 source, o->cluster_size, o->refcount_bits,
			 modes[o->preallocation], o->extended_l2, ours.required,
			 ours.fully_allocated, ours.bitmaps, want.required,
			 want.fully_allocated, want.bitmaps);
}

/* ---- empty disks ------------------------------------------------------- */

static void
compare_size(struct q2_create_opts o, uint64_t size)
{
	char source[64];

	o.size = sizeof(o);
	o.virtual_size = size;
	(void)snprintf(source, sizeof(source), "--size %" PRIu64, size);
	compare(&o, NULL, source);
}

static void
test_sizes(void **state)
{
	static const uint64_t sizes[] = {0,       1,           513,
					 GiB + 5, TiB - 65535, 100 * TiB};
	static const unsigned bits[] = {9, 13, 16, 21};

	(void)state;
	need_qemu();
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		compare_size((struct q2_create_opts){.driver = "raw"},
			     sizes[s]);
		for (size_t b = 0; b < ARRAY_SIZE(bits); b++)
			compare_size(
				(struct q2_create_opts){
					.cluster_size = 1U << bits[b]},
				sizes[s]);
	}
}

static void
test_options(void **state)
{
	(void)state;
	need_qemu();
	for (unsigned order = 0; order <= 6; order++)
		for (unsigned extended = 0; extended < 2; extended++)
			compare_size(
				(struct q2_create_opts){
					.refcount_bits = 1U << order,
					.extended_l2 = extended,
					.cluster_size = 16384},
				300 * GiB + 512);
	for (unsigned mode = 0; mode < 4; mode++)
		compare_size((struct q2_create_opts){.preallocation = mode},
			     77 * MiB);
}

static void
test_limits(void **state)
{
	(void)state;
	need_qemu();
	compare_size((struct q2_create_opts){.cluster_size = 512}, 128 * GiB);
	compare_size((struct q2_create_opts){.cluster_size = 512},
		     128 * GiB + 1);
	compare_size((struct q2_create_opts){.extended_l2 = true}, 1024 * TiB);
	compare_size((struct q2_create_opts){.extended_l2 = true},
		     1024 * TiB + 1);
	compare_size((struct q2_create_opts){.cluster_size = 100}, MiB);
	compare_size((struct q2_create_opts){.cluster_size = 8192,
					     .extended_l2 = true},
		     MiB);
	compare_size((struct q2_create_opts){.refcount_bits = 3}, MiB);
	compare_size((struct q2_create_opts){.refcount_bits = 8, .compat = 2},
		     MiB);
}

static void
test_no_size_overflows(void **state)
{
	struct q2_create_opts o = {.size = sizeof(o)};
	struct q2_measure m;
	struct q2_err err;

	(void)state;
	for (unsigned raw = 0; raw < 2; raw++) {
		o.driver = raw ? "raw" : "qcow2";
		o.virtual_size = UINT64_MAX;
		assert_int_equal(q2_measure(&o, NULL, &m, &err), -EFBIG);
		o.virtual_size = INT64_MAX;
		assert_int_equal(q2_measure(&o, NULL, &m, &err), -EFBIG);
	}
	o.driver = "vmdk";
	assert_int_equal(q2_measure(&o, NULL, &m, &err), -EINVAL);
	assert_string_equal(err.text, "Unknown file format 'vmdk'");
}

/* ---- sources ----------------------------------------------------------- */

static void
compare_file(const char *format, const char *name)
{
	static const unsigned clusters[] = {512, 4096, 65536, 2 << 20};
	struct q2_open_opts open = {
		.size = sizeof(open), .driver = format, .flags = Q2_RDONLY};
	struct q2_create_opts o = {.size = sizeof(o)};
	struct q2_image *img;
	struct q2_err err;
	char source[300];

	(void)snprintf(source, sizeof(source), "-f %s %s", format, name);
	if (q2_open(loop, name, &open, &img, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	for (size_t i = 0; i < ARRAY_SIZE(clusters); i++) {
		o.cluster_size = clusters[i];
		compare(&o, img, source);
	}
	o.compat = 2;
	compare(&o, img, source);
	o.compat = 0;
	o.preallocation = Q2_PREALLOC_FULL;
	compare(&o, img, source);
	o.preallocation = Q2_PREALLOC_OFF;
	o.backing_file = "b";
	compare(&o, img, source);
	o.driver = "raw";
	compare(&o, img, source);
	assert_int_equal(q2_close(img, NULL), 0);
}

#define W "qemu-io -f qcow2 -c 'write -q "

static void
test_sources(void **state)
{
	(void)state;
	need_qemu();
	assert_int_equal(
		run("set -e; qemu-img create -q -f raw r.raw 5000000\n"
		    "qemu-io -f raw -c 'write -q 64k 100k' -c 'write -q 3M 4k' "
		    "r.raw\n"
		    "qemu-img create -q -f qcow2 -b r.raw -F raw o.qcow2 6M\n" W
		    "1M 70k' -c 'write -q -z 3M 64k' -c 'write -q 5767168 "
		    "64k' o.qcow2\n"
		    "qemu-img create -q -f qcow2 p.qcow2 8M\n" W
		    "-z 0 128k' -c 'write -q -c 512k 64k' -c 'write -q 1M 5k' "
		    "-c 'write -q 6M 2M' p.qcow2\n"
		    "qemu-img create -q -f qcow2 -b p.qcow2 -F qcow2 "
		    "-o cluster_size=4k q.qcow2\n" W
		    "-zu 6500k 1000k' -c 'write -q 40k 5k' q.qcow2\n"
		    "qemu-img create -q -f qcow2 -o extended_l2=on,"
		    "cluster_size=128k x.qcow2 4M\n" W
		    "20k 9k' -c 'write -q -z 1M 20k' -c 'write -q 1040k 4k' "
		    "x.qcow2\n"
		    "qemu-img create -q -f qcow2 -o data_file=d.raw d.qcow2 "
		    "3M\n" W "1M 100k' d.qcow2\n"
		    "qemu-img create -q -f qcow2 -o compat=v2 v.qcow2 1M\n" W
		    "1000k 24k' v.qcow2\n"),
		0);
	compare_file("raw", "r.raw");
	compare_file("qcow2", "o.qcow2");
	compare_file("qcow2", "p.qcow2");
	compare_file("qcow2", "q.qcow2");
	compare_file("qcow2", "x.qcow2");
	compare_file("qcow2", "d.qcow2");
	compare_file("qcow2", "v.qcow2");
}

static void
test_bitmaps(void **state)
{
	(void)state;
	need_qemu();
	assert_int_equal(
		run("set -e; qemu-img create -q -f qcow2 b.qcow2 40G\n"
		    "qemu-img bitmap --add -g 4k b.qcow2 fine\n"
		    "qemu-img bitmap --add -g 2M b.qcow2 coarse\n"
		    "qemu-img bitmap --add b.qcow2 abcdefghij\n"
		    "qemu-img bitmap --disable b.qcow2 coarse\n" W
		    "1G 64k' b.qcow2\n"
		    "qemu-img create -q -f qcow2 u.qcow2 40G\n"
		    "qemu-img bitmap --add u.qcow2 good\n"
		    "qemu-io -c 'write -q 0 64k' -c 'sigraise 9' u.qcow2 "
		    ">/dev/null 2>&1 || true\n"),
		0);
	compare_file("qcow2", "b.qcow2");
	compare_file("qcow2", "u.qcow2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_size_overflows),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_bitmaps),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
