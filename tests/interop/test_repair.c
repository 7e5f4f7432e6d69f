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
	const char *b = getenv("B");

	(void)b;
	o->status = run("cd '%s/%d' && PATH=%s qemu-img check -f qcow2 %s "
			"image >../out 2>../err",
			dir, image, program == OURS ? "../bin:$PATH" : "$PATH",
			args);
	read_text("out", o->out);
	read_text("err", o->err);
	drop_line(o->err, "qcow2_free_clusters failed");
	drop_line(o->err, "qemu-img: warning: a program lacking bitmap");
	drop_upto(o->err, "Some clusters may be leaked, run ", "to fix.");
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
	return run("qemu-img --version >/dev/null 2>&1 && "
		   "qemu-io --version >/dev/null 2>&1") == 0;
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
	if (run("cd '%s' && qemu-img compare -q -U -f qcow2 -F qcow2 %s 1/image "
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
	bool same;

	assert_int_equal(run("cd '%s/1' && cp image before", dir), 0);
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
			for (int i = 0; i < 2; i++)
				assert_int_equal(run("gzip -dc '" GOLDEN
						     "%s.gz' >'%s'",
						     file, path[i]),
						 0);
			images++;
			bad += compare_repairs(file, "-r all");
		}
		json_decref(line);
	}
	(void)fclose(f);
	assert_int_equal(bad, 0);
	assert_in_range(images, 35, 1000);
}

/* ---- damage ------------------------------------------------------------ */

/* The file, and where things are in it. */
struct disk {
	int fd;
	uint64_t cluster, l1, l1_n, reftable, reftable_n, snapshots, bytes;
	uint64_t refblock, l2; /* the first of each */
	unsigned order, l2_entry, version, n_snapshots;
	struct rng *rng;
};

static uint64_t
get(const struct disk *d, uint64_t off, unsigned bytes)
{
	uint8_t b[8] = {0};

	assert_true(pread(d->fd, b, bytes, (off_t)off) >= 0);
	return load_be64(b) >> (64 - 8 * bytes);
}

static void
put(const struct disk *d, uint64_t off, uint64_t value, unsigned bytes)
{
	uint8_t b[8];

	store_be64(b, value << (64 - 8 * bytes));
	assert_int_equal(pwrite(d->fd, b, bytes, (off_t)off), bytes);
}

static void
open_disk(struct disk *d, const char *name, struct rng *rng)
{
	struct stat st;

	*d = (struct disk){.fd = open(name, O_RDWR | O_CLOEXEC), .rng = rng};
	assert_true(d->fd >= 0);
	assert_int_equal(fstat(d->fd, &st), 0);
	d->bytes = (uint64_t)st.st_size;
	d->version = (unsigned)get(d, 4, 4);
	d->cluster = UINT64_C(1) << get(d, 20, 4);
	d->l1_n = get(d, 36, 4);
	d->l1 = get(d, 40, 8);
	d->reftable = get(d, 48, 8);
	d->reftable_n = get(d, 56, 4) * d->cluster / 8;
	d->n_snapshots = (unsigned)get(d, 60, 4);
	d->snapshots = get(d, 64, 8);
	d->order = d->version > 2 ? (unsigned)get(d, 96, 4) : 4;
	d->l2_entry = d->version > 2 && (get(d, 79, 1) & 16) ? 16 : 8;
	d->refblock = get(d, d->reftable, 8);
	for (uint64_t i = 0; i < d->l1_n && !d->l2; i++)
		d->l2 = get(d, d->l1 + 8 * i, 8) & UINT64_C(0xfffffffffffe00);
}

/* Somewhere in the refcount of a cluster of the file. */
static uint64_t
some_refcount(const struct disk *d)
{
	uint64_t n = min_u64(d->bytes / d->cluster + 1,
			     d->cluster * 8 >> d->order);
	uint64_t bytes = div_up(n << d->order, 8);

	return d->refblock + rng_below(d->rng, bytes);
}

/* The first L2 entry that is not zero, from a chosen one on. */
static uint64_t
some_entry(const struct disk *d)
{
	uint64_t n = d->cluster / d->l2_entry;
	uint64_t first = rng_below(d->rng, 8);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = d->l2 + (first + i) % n * d->l2_entry;

		if (get(d, at, 8))
			return at;
	}
	return d->l2;
}

static void
harm_refcount(const struct disk *d)
{
	put(d, some_refcount(d), rng_next(d->rng) & 0xff, 1);
}
static void
zero_refcount(const struct disk *d)
{
	put(d, some_refcount(d), 0, 1);
}
static void
zero_refblock(const struct disk *d)
{
	uint8_t *zeros = calloc(1, d->cluster);

	assert_non_null(zeros);
	assert_int_equal(pwrite(d->fd, zeros, d->cluster, (off_t)d->refblock),
			 (ssize_t)d->cluster);
	free(zeros);
}
static void
leak(const struct disk *d)
{
	assert_int_equal(
		ftruncate(d->fd, (off_t)(align_up(d->bytes, d->cluster) +
					 3 * d->cluster)),
		0);
	put(d, d->refblock + div_up((d->bytes / d->cluster + 1) << d->order, 8),
	    1, 1);
}
static void
lose_refblock(const struct disk *d)
{
	put(d, d->reftable, 0, 8);
}
static void
refblock_outside(const struct disk *d)
{
	put(d, d->reftable, align_up(d->bytes, d->cluster) + 5 * d->cluster, 8);
}
static void
refblock_far_outside(const struct disk *d)
{
	put(d, d->reftable + 8, UINT64_C(1) << (20 + rng_below(d->rng, 11)), 8);
}
static void
refblock_twice(const struct disk *d)
{
	put(d, d->reftable + 8, d->refblock, 8);
}
static void
refblock_reserved(const struct disk *d)
{
	put(d, d->reftable, d->refblock | 4, 8);
}
static void
refblock_is_l1(const struct disk *d)
{
	put(d, d->reftable, d->l1, 8);
}
static void
copied_off(const struct disk *d)
{
	uint64_t at = some_entry(d);

	put(d, at, get(d, at, 1) & 0x7f, 1);
}
static void
copied_on(const struct disk *d)
{
	uint64_t at = some_entry(d);

	put(d, at, get(d, at, 1) | 0x80, 1);
}
static void
copied_l1(const struct disk *d)
{
	put(d, d->l1, get(d, d->l1, 1) ^ 0x80, 1);
}
static void
reserved_l1(const struct disk *d)
{
	put(d, d->l1, get(d, d->l1, 1) | 0x10, 1);
}
static void
reserved_l2(const struct disk *d)
{
	uint64_t at = some_entry(d);

	put(d, at + 7, get(d, at + 7, 1) | 0x20, 1);
}
static void
share(const struct disk *d)
{
	uint64_t from = some_entry(d), to = some_entry(d);

	put(d, to, get(d, from, 8), 8);
	if (d->l2_entry == 16)
		put(d, to + 8, get(d, from + 8, 8), 8);
}
static void
unaligned_data(const struct disk *d)
{
	uint64_t at = some_entry(d);

	put(d, at + 6, get(d, at + 6, 1) ^ 2, 1);
}
static void
unaligned_zero(const struct disk *d)
{
	uint64_t at = some_entry(d);

	put(d, at + 6, get(d, at + 6, 1) ^ 2, 1);
	if (d->l2_entry == 16)
		put(d, at + 8, UINT64_C(0xffff) << 32, 8);
	else
		put(d, at + 7, get(d, at + 7, 1) | 1, 1);
}
static void
both_bits(const struct disk *d)
{
	if (d->l2_entry == 16)
		put(d, some_entry(d) + 8, UINT64_C(0x100000001), 8);
}
static void
data_outside(const struct disk *d)
{
	put(d, some_entry(d) + 2, 1, 1);
}
static void
table_outside(const struct disk *d)
{
	put(d, d->l1 + 2, 1, 1);
}
static void
data_is_table(const struct disk *d)
{
	put(d, some_entry(d), d->l2 | UINT64_C(1) << 63, 8);
}
static void
harm_entry(const struct disk *d)
{
	put(d, d->l2 + rng_below(d->rng, 64), rng_next(d->rng) & 0xff, 1);
}
static void
set_bits(const struct disk *d)
{
	if (d->version > 2)
		put(d, 79, get(d, 79, 1) | (1 + rng_below(d->rng, 3)), 1);
}
static void
short_extra(const struct disk *d)
{
	if (d->n_snapshots)
		put(d, d->snapshots + 36, 8, 4);
}
static void
long_extra(const struct disk *d)
{
	if (d->n_snapshots)
		put(d, d->snapshots + 36, rng_below(d->rng, 2) ? 4000 : 1 << 30,
		    4);
}
static void
snapshot_l1(const struct disk *d)
{
	if (d->n_snapshots)
		put(d, d->snapshots + 6, 2, 1);
}
static void
snapshot_l1_size(const struct disk *d)
{
	if (d->n_snapshots)
		put(d, d->snapshots + 8, 0x7f, 1);
}
static void
no_snapshots(const struct disk *d)
{
	put(d, 60, 0, 4);
}

static const struct {
	const char *name;
	void (*fn)(const struct disk *d);
} damages[] = {
	{"harm_refcount", harm_refcount},
	{"zero_refcount", zero_refcount},
	{"zero_refblock", zero_refblock},
	{"leak", leak},
	{"lose_refblock", lose_refblock},
	{"refblock_outside", refblock_outside},
	{"refblock_far_outside", refblock_far_outside},
	{"refblock_twice", refblock_twice},
	{"refblock_reserved", refblock_reserved},
	{"refblock_is_l1", refblock_is_l1},
	{"copied_off", copied_off},
	{"copied_on", copied_on},
	{"copied_l1", copied_l1},
	{"reserved_l1", reserved_l1},
	{"reserved_l2", reserved_l2},
	{"share", share},
	{"unaligned_data", unaligned_data},
	{"unaligned_zero", unaligned_zero},
	{"both_bits", both_bits},
	{"data_outside", data_outside},
	{"table_outside", table_outside},
	{"data_is_table", data_is_table},
	{"harm_entry", harm_entry},
	{"set_bits", set_bits},
	{"short_extra", short_extra},
	{"long_extra", long_extra},
	{"snapshot_l1", snapshot_l1},
	{"snapshot_l1_size", snapshot_l1_size},
	{"no_snapshots", no_snapshots},
};

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

	assert_int_equal(run("cd '%s/0' && rm -f image data && qemu-img create "
			     "-q -f qcow2 -o %s image %s",
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
			run("cd '%s/0' && qemu-img bitmap --add image map",
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
	char how[512];
	struct disk d;
	unsigned n;
	int used;

	rng.state = rng_derive(seed, 0);
	make_shape(options, &rng);
	n = 1 + (unsigned)rng_below(&rng, 3);
	used = snprintf(how, sizeof(how), "Q2_SEED=%" PRIu64 " %s", seed,
			options);
	open_disk(&d, path[QEMU], &rng);
	for (unsigned i = 0; i < n; i++) {
		size_t k = rng_below(&rng, ARRAY_SIZE(damages));

		damages[k].fn(&d);
		used += snprintf(how + used, sizeof(how) - (size_t)used, " %s",
				 damages[k].name);
	}
	assert_int_equal(close(d.fd), 0);
	assert_int_equal(
		run("cp '%s' '%s' && cd '%s' && { test ! -f 0/data || cp "
		    "0/data 1/data; }",
		    path[QEMU], path[OURS], dir),
		0);
	if (getenv("KEEP"))
		run("mkdir -p /tmp/chk/k && cp %s /tmp/chk/k/img", path[0]);
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
	open_disk(&d, path[OURS], NULL);
	put(&d, d.refblock + 10, 0, 2);
	put(&d, 79, 1, 1);
	check(OURS, OURS, "-r leaks", &o);
	assert_int_equal(o.status, 1);
	assert_int_equal(get(&d, 79, 1), 1);
	check(OURS, OURS, "", &o);
	assert_int_equal(o.status, 2);
	check(OURS, OURS, "-r all", &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(get(&d, 79, 1), 0);
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
	open_disk(&d, path[OURS], NULL);
	put(&d, 79, 2, 1);
	assert_int_equal(run("cd '%s/1' && ../bin/qemu-io -f qcow2 -c 'write 0 "
			     "64k' image >/dev/null 2>../said",
			     dir),
			 1);
	read_text("said", said);
	assert_non_null(strstr(said, "qcow2: Image is corrupt; cannot be "
				     "opened read/write"));
	assert_int_equal(get(&d, 79, 1), 2);
	check(OURS, OURS, "-r leaks", &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(get(&d, 79, 1), 0);
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
		cmocka_unit_test(test_a_repair_that_fails_leaves_the_dirty_bit),
		cmocka_unit_test(
			test_the_corrupt_bit_keeps_writers_out_until_a_repair),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
