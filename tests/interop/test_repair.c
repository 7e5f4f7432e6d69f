/* SPDX-License-Identifier: MIT */
/*
 * test_repair.c - check -r against qemu-img's: of every golden image that it
 * repairs, and of images of many shapes that are damaged here
 *
 * Both programs get a copy.  What they print and their status must be equal;
 * each other's check must say the same of the result, and a guest reads the
 * same from both.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "tests/disk.h"
#include "tests/env.h"

#define GOLDEN "tests/golden/images/"
#define TEXT   (256 * 1024)

static char dir[256];

/* The image in its folder: what QEMU gets, and what we get. */
enum who {
	QEMU,
	OURS
};
static char path[2][300];

/* ---- programs ---------------------------------------------------------- */

static int __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;
	int status;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	status = system(cmd); /* NOLINT(cert-env33-c): test tools */
	return status < 0 ? -1 : status >> 8 ? status >> 8 : status;
}

struct outcome {
	int status;
	char out[TEXT], err[TEXT];
};

static void
read_text(const char *name, char *text)
{
	char file[400];
	FILE *f;
	size_t n;

	(void)snprintf(file, sizeof(file), "%s/%s", dir, name);
	f = fopen(file, "re");
	assert_non_null(f);
	n = fread(text, 1, TEXT - 1, f);
	text[n] = 0;
	(void)fclose(f);
}

/* QEMU frees what lies outside, which fails; that is of no use to anybody. */
static void
drop_line(char *text, const char *start)
{
	char *p = strstr(text, start);

	if (p && (p == text || p[-1] == '\n'))
		memmove(p, p + strcspn(p, "\n") + 1,
			strlen(p + strcspn(p, "\n") + 1) + 1);
}

/* A line that QEMU does not end. */
static void
drop_upto(char *text, const char *start, const char *end)
{
	char *p = strstr(text, start), *q = p ? strstr(p, end) : NULL;

	if (q)
		memmove(p, q + strlen(end), strlen(q + strlen(end)) + 1);
}

static void
check(enum who program, enum who image, const char *args, struct outcome *o)
{
	o->status = run("cd '%s/%d' && exec %sqemu-img check -f qcow2 %s "
			"image >../out 2>../err",
			dir, image, program == OURS ? "../bin/" : "", args);
	read_text("out", o->out);
	read_text("err", o->err);
	drop_line(o->err, "qcow2_free_clusters failed");
	drop_line(o->err, "qemu-img: warning: a program lacking bitmap");
	drop_upto(o->err, "Some clusters may be leaked, run ", "to fix.");
}

static void
copy_file(const char *from, const char *to)
{
	static char buf[64 * 1024];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	assert_int_equal(n, 0);
	assert_int_equal(close(in), 0);
	assert_int_equal(close(out), 0);
}

static int
setup(void **state)
{
	const char *build = getenv("B");
	char b[PATH_MAX];

	(void)state;
	if (!build)
		build = "build/release";
	(void)snprintf(dir, sizeof(dir), "%s/repair-XXXXXX", build);
	assert_non_null(mkdtemp(dir));
	assert_non_null(realpath(build, b));
	for (int i = 0; i < 2; i++)
		(void)snprintf(path[i], sizeof(path[i]), "%s/%d/image", dir, i);
	return run("cd '%s' && mkdir 0 1 bin && ln -s '%s/qcowimg' "
		   "bin/qemu-img",
		   dir, b);
}

static int
teardown(void **state)
{
	(void)state;
	return run("rm -rf '%s'", dir);
}

static bool
has_qemu(void)
{
	static int has = -1;

	if (has < 0)
		has = run("qemu-img --version >/dev/null 2>&1 && "
			  "qemu-io --version >/dev/null 2>&1") == 0;
	return has;
}

/* ---- comparing --------------------------------------------------------- */

static unsigned
differ(const char *how, const char *what, const char *want, const char *have)
{
	size_t at = 0, line;

	if (strcmp(want, have) == 0)
		return 0;
	while (want[at] && want[at] == have[at])
		at++;
	for (line = at; line && want[line - 1] != '\n'; line--)
		;
	print_error("%s: %s: want \"%.200s\", have \"%.200s\"\n", how, what,
		    want + line, have + line);
	return 1;
}

/* Where QEMU's own safety belt ends its repair ours need not.  A refcount block
 * that is more than can be counted is one that we do not write.  QEMU makes a new
 * snapshot table after all the rest, we before what only the old one names is
 * free: so they lie elsewhere, and other clusters are leaks. */
static bool
is_judged_otherwise(const struct outcome *qemu)
{
	return strstr(qemu->err, "Marking image as corrupt") ||
	       strstr(qemu->err, "ERROR: overflow cluster") ||
	       strstr(qemu->err, "could not resize image") ||
	       strstr(qemu->err, "Check failed") ||
	       (strstr(qemu->err, "napshot") &&
		(strstr(qemu->err, "Leaked") ||
		 strstr(qemu->err, "Rebuilding")));
}

/* A guest reads the same from both, as far as both can be read. */
static unsigned
compare_content(const char *how, const char *with)
{
	if (run("cd '%s' && exec qemu-img compare -q -U -f qcow2 -F qcow2 %s 1/image "
		">/dev/null 2>&1",
		dir, with) != 1)
		return 0;
	print_error("%s: a guest reads something else than from %s\n", how,
		    with);
	return 1;
}

/* After a repair: both say the same of our image, and of QEMU's. */
static unsigned
compare_results(const char *how, int status, bool same)
{
	static struct outcome o;
	unsigned bad = 0;

	check(QEMU, OURS, "", &o);
	if (o.status != status) {
		print_error("%s: of our repair qemu-img says %d, we said %d: "
			    "%.300s\n",
			    how, o.status, status, o.err);
		bad++;
	}
	check(OURS, OURS, "", &o);
	if (o.status != status) {
		print_error("%s: after a repair with status %d: %d\n", how,
			    status, o.status);
		bad++;
	}
	/* Where an L2 table is what a guest reads, its flags are too. */
	if (status == 0 && !strstr(how, "is-l2") && !strstr(how, "l2-is") &&
	    !strstr(how, "data_is_table"))
		bad += compare_content(how, "1/before");
	if (!same)
		return bad;
	if (status == 0)
		bad += compare_content(how, "0/image");
	check(OURS, QEMU, "", &o);
	if (o.status != status) {
		print_error("%s: of QEMU's repair we say %d, it said %d\n", how,
			    o.status, status);
		bad++;
	}
	return bad;
}

/* Both files hold the same image, damaged. */
static unsigned
compare_repairs(const char *how, const char *args)
{
	static struct outcome want, have;
	unsigned bad = 0;
	char before[300];
	bool same;

	(void)snprintf(before, sizeof(before), "%s/1/before", dir);
	copy_file(path[OURS], before);
	check(QEMU, QEMU, args, &want);
	/* What an image names is not here. */
	if (strstr(want.err, "Could not open"))
		return 0;
	check(OURS, OURS, args, &have);
	same = !is_judged_otherwise(&want);
	if (same) {
		bad += differ(how, "stdout", want.out, have.out);
		bad += differ(how, "stderr", want.err, have.err);
		if (want.status != have.status) {
			print_error("%s: status %d, not %d\n", how, have.status,
				    want.status);
			bad++;
		}
	} else if (strstr(have.err, "Check failed")) {
		return bad;
	}
	if (have.status > 3) {
		print_error("%s: status %d\n", how, have.status);
		return bad + 1;
	}
	return bad +
	       (have.status == 1 ? 0 : compare_results(how, have.status, same));
}

/* ---- golden images ----------------------------------------------------- */

/* Of what it changes QEMU says more than is so (a table that grows for
 * nothing), or it opens what an image names. */
static bool
ends_otherwise(const char *file)
{
	static const char *const names[] = {
		"bad/snapshot-table-beyond-end",
		"bad/snapshot-count",
		"bad/backing-json",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(file, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void
test_golden_images(void **state)
{
	FILE *f = fopen(GOLDEN "manifest.jsonl", "re");
	unsigned images = 0, bad = 0;
	json_t *line;

	(void)state;
	if (!has_qemu())
		skip();
	assert_non_null(f);
	while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
		const char *file = json_string_value(
			json_object_get(line, "file"));
		const json_t *check = json_object_get(line, "check");
		const char *said = json_string_value(
			json_object_get(check, "stderr"));

		if (said && !strstr(said, "Could not open") &&
		    (json_integer_value(json_object_get(check, "status")) ||
		     strstr(file, "corrupt") || strstr(file, "dirty")) &&
		    !json_is_string(json_object_get(line, "secret")) &&
		    !ends_otherwise(file)) {
			assert_int_equal(run("exec gzip -dc '" GOLDEN
					     "%s.gz' >'%s'",
					     file, path[QEMU]),
					 0);
			copy_file(path[QEMU], path[OURS]);
			images++;
			bad += compare_repairs(file, "-r all");
		}
		json_decref(line);
	}
	(void)fclose(f);
	assert_int_equal(bad, 0);
	assert_in_range(images, 35, 1000);
}

/* ---- shapes ------------------------------------------------------------ */

static const char *const shapes[] = {
	"cluster_size=512",
	"cluster_size=512,refcount_bits=64",
	"cluster_size=512,refcount_bits=1",
	"cluster_size=4k,refcount_bits=8",
	"cluster_size=4k,refcount_bits=4,preallocation=metadata",
	"cluster_size=64k",
	"cluster_size=64k,refcount_bits=2",
	"cluster_size=64k,refcount_bits=32",
	"cluster_size=64k,compat=0.10",
	"cluster_size=2M",
	"cluster_size=16k,extended_l2=on",
	"cluster_size=64k,extended_l2=on,preallocation=metadata",
	"cluster_size=64k,data_file=data",
	"cluster_size=4k,lazy_refcounts=on",
};

static void
make_shape(const char *options, struct rng *rng)
{
	bool alone = strstr(options, "data_file") ||
		     strcmp(options + strlen(options) - 2, "=1") == 0;
	unsigned more = alone ? 0 : (unsigned)rng_below(rng, 8);
	char data[300];

	(void)unlink(path[QEMU]);
	(void)snprintf(data, sizeof(data), "%s/0/data", dir);
	(void)unlink(data);
	assert_int_equal(run("cd '%s/0' && exec qemu-img create -q -f qcow2 "
			     "-o %s image %s",
			     dir, options,
			     strstr(options, "512") ? "600k" : "3M"),
			 0);
	assert_int_equal(
		run("cd '%s/0' && qemu-io -f qcow2 -t unsafe -c 'write -P 1 0 "
		    "64k' -c 'write -P 2 200k 60k' -c 'write -z 300k 8k' "
		    "-c 'write -P 3 500k 7000' %s image >/dev/null 2>&1; true",
		    dir, more & 1 ? "-c 'write -c -P 4 400k 64k'" : ""),
		0);
	/* Not both: QEMU's check -r forgets the snapshots of an image that has
	 * bitmaps. */
	if ((more & 6) == 2 && !strstr(options, "compat"))
		assert_int_equal(
			run("cd '%s/0' && exec qemu-img bitmap --add image map",
			    dir),
			0);
	if (more & 4)
		assert_int_equal(
			run("cd '%s/0' && qemu-img snapshot -c one image && "
			    "qemu-io -f qcow2 -t unsafe -c 'write -P 5 10k "
			    "50k' image >/dev/null && { test %u = 0 || "
			    "qemu-img snapshot -c two image; }",
			    dir, more & 2),
			0);
}

static unsigned
damage_one(uint64_t seed, const char *options)
{
	struct rng rng;
	char how[512], data[2][300];
	struct disk d;
	unsigned n;
	int used;

	rng.state = rng_derive(seed, 0);
	make_shape(options, &rng);
	n = 1 + (unsigned)rng_below(&rng, 3);
	used = snprintf(how, sizeof(how), "Q2_SEED=%" PRIu64 " %s", seed,
			options);
	disk_open(&d, path[QEMU], &rng);
	for (unsigned i = 0; i < n; i++) {
		size_t k = rng_below(&rng, n_disk_harms);

		disk_harms[k].fn(&d);
		used += snprintf(how + used, sizeof(how) - (size_t)used, " %s",
				 disk_harms[k].name);
	}
	assert_int_equal(close(d.fd), 0);
	copy_file(path[QEMU], path[OURS]);
	(void)snprintf(data[0], sizeof(data[0]), "%s/0/data", dir);
	(void)snprintf(data[1], sizeof(data[1]), "%s/1/data", dir);
	if (access(data[0], F_OK) == 0)
		copy_file(data[0], data[1]);
	return compare_repairs(how, rng_below(&rng, 3) ? "-r all" : "-r leaks");
}

static void
test_damaged_images(void **state)
{
	uint64_t seed = test_seed(1);
	unsigned bad = 0;

	(void)state;
	if (!has_qemu())
		skip();
	for (uint64_t i = 0; i < test_rounds(30); i++)
		bad += damage_one(seed + i,
				  shapes[(seed + i) % ARRAY_SIZE(shapes)]);
	assert_int_equal(bad, 0);
}

/* QEMU 7.2 forgets them all when it repairs such an image. */
static void
test_snapshots_of_an_image_with_bitmaps_stay(void **state)
{
	static struct outcome o;

	(void)state;
	if (!has_qemu())
		skip();
	assert_int_equal(
		run("cd '%s/1' && rm -f image && qemu-img create -q -f qcow2 "
		    "image 1M && qemu-io -f qcow2 -t unsafe -c 'write 0 64k' "
		    "image >/dev/null && qemu-img snapshot -c one image && "
		    "qemu-img bitmap --add image map && cp image before",
		    dir),
		0);
	check(OURS, OURS, "-r all", &o);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.err, "");
	assert_int_equal(run("cd '%s/1' && cmp image before", dir), 0);
}

/* The file grows by new refcount structures: not where an entry points, which
 * reads as zeros because nothing is there. */
static void
test_nothing_is_put_where_an_entry_points_behind_the_end(void **state)
{
	static struct outcome o;
	struct disk d;

	(void)state;
	if (!has_qemu())
		skip();
	assert_int_equal(
		run("cd '%s/1' && rm -f image && qemu-img create -q -f qcow2 "
		    "image 1M && qemu-io -f qcow2 -t unsafe -c 'write 0 64k' "
		    "image >/dev/null",
		    dir),
		0);
	disk_open(&d, path[OURS], NULL);
	disk_put(&d, d.l2 + 8, d.bytes + d.cluster, 8);
	disk_put(&d, d.refblock + 10, 0, 2);
	check(OURS, OURS, "-r all", &o);
	assert_non_null(strstr(o.err, "Rebuilding"));
	assert_int_equal(run("cd '%s/1' && qemu-io -r -f qcow2 -c 'read -P 0 "
			     "64k 64k' image >/dev/null",
			     dir),
			 0);
	check(OURS, OURS, "-r all", &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(run("cd '%s/1' && qemu-io -r -f qcow2 -c 'read -P 0 "
			     "64k 64k' image >/dev/null && qemu-img check -q "
			     "image",
			     dir),
			 0);
	assert_int_equal(close(d.fd), 0);
}

/* QEMU clears it when it closes the image, and nobody knows any more that
 * refcounts are wrong. */
static void
test_a_repair_that_fails_leaves_the_dirty_bit(void **state)
{
	static struct outcome o;
	struct disk d;

	(void)state;
	if (!has_qemu())
		skip();
	assert_int_equal(
		run("cd '%s/1' && rm -f image && qemu-img create -q -f qcow2 "
		    "-o lazy_refcounts=on image 1M && qemu-io -f qcow2 -t "
		    "unsafe -c 'write 0 64k' image >/dev/null",
		    dir),
		0);
	disk_open(&d, path[OURS], NULL);
	disk_put(&d, d.refblock + 10, 0, 2);
	disk_put(&d, 79, 1, 1);
	check(OURS, OURS, "-r leaks", &o);
	assert_int_equal(o.status, 1);
	assert_int_equal(disk_get(&d, 79, 1), 1);
	check(OURS, OURS, "", &o);
	assert_int_equal(o.status, 2);
	check(OURS, OURS, "-r all", &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(disk_get(&d, 79, 1), 0);
	assert_int_equal(close(d.fd), 0);
}

/* No writing to an image that is known to be damaged, but repairing. */
static void
test_the_corrupt_bit_keeps_writers_out_until_a_repair(void **state)
{
	static struct outcome o;
	static char said[TEXT];
	struct disk d;

	(void)state;
	assert_int_equal(run("cd '%s/1' && rm -f image && '../bin/qemu-img' "
			     "create -q -f qcow2 image 1M && ln -sf qemu-img "
			     "../bin/qemu-io",
			     dir),
			 0);
	disk_open(&d, path[OURS], NULL);
	disk_put(&d, 79, 2, 1);
	assert_int_equal(run("cd '%s/1' && ../bin/qemu-io -f qcow2 -c 'write 0 "
			     "64k' image >/dev/null 2>../said",
			     dir),
			 1);
	read_text("said", said);
	assert_non_null(strstr(said, "qcow2: Image is corrupt; cannot be "
				     "opened read/write"));
	assert_int_equal(disk_get(&d, 79, 1), 2);
	check(OURS, OURS, "-r leaks", &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(disk_get(&d, 79, 1), 0);
	assert_int_equal(run("cd '%s/1' && ../bin/qemu-io -f qcow2 -c 'write 0 "
			     "64k' image >/dev/null",
			     dir),
			 0);
	assert_int_equal(close(d.fd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_images),
		cmocka_unit_test(test_damaged_images),
		cmocka_unit_test(test_snapshots_of_an_image_with_bitmaps_stay),
		cmocka_unit_test(
			test_nothing_is_put_where_an_entry_points_behind_the_end),
		cmocka_unit_test(test_a_repair_that_fails_leaves_the_dirty_bit),
		cmocka_unit_test(
			test_the_corrupt_bit_keeps_writers_out_until_a_repair),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
