/* SPDX-License-Identifier: MIT */
/*
 * test_golden.c - images that others have made: a guest sees what they say
 *
 * Every good image of tests/golden/images is opened, encrypted ones with the
 * manifest's secret; the SHA-256 of its content is the manifest's, and so is
 * that of each of its snapshots, read and then applied.
 */
#include <errno.h>
#include <gcrypt.h>
#include <jansson.h>
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

#define GOLDEN "tests/golden/images/"
#define STEP   (1 * MiB)

static char dir[256], home[4096];
static struct q2_loop *loop;
static unsigned same, loaded, applied;

static void
run(const char *fmt, ...)
{
	char cmd[9000];
	va_list ap;

	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0); /* NOLINT(cert-env33-c) */
}

/* Names of data files are relative to the working directory. */
static int
setup(void **state)
{
	const char *build = getenv("B");

	(void)state;
	assert_non_null(getcwd(home, sizeof(home)));
	(void)snprintf(dir, sizeof(dir), "%s/golden-XXXXXX",
		       build ? build : ".");
	assert_non_null(mkdtemp(dir));
	run("cp " GOLDEN "good/*.gz %s && gzip -d %s/*.gz", dir, dir);
	assert_int_equal(chdir(dir), 0);
	return q2_loop_new(NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	q2_loop_free(loop);
	assert_int_equal(chdir(home), 0);
	run("rm -rf %s", dir);
	return 0;
}

/* The content's hash in hexadecimal; 0 or why it cannot be read. */
static int
hash_content(struct q2_image *img, char *ret_hex)
{
	uint8_t *buf = malloc(STEP);
	const uint8_t *digest;
	gcry_md_hd_t md;
	int r = 0;

	assert_non_null(buf);
	assert_int_equal(gcry_md_open(&md, GCRY_MD_SHA256, 0), 0);
	for (uint64_t at = 0; r == 0 && at < q2_size(img); at += STEP) {
		uint64_t n = min_u64(STEP, q2_size(img) - at);

		r = q2_pread(img, buf, n, at);
		if (r == 0)
			gcry_md_write(md, buf, n);
	}
	digest = gcry_md_read(md, GCRY_MD_SHA256);
	for (int i = 0; i < 32; i++)
		(void)snprintf(ret_hex + 2 * (size_t)i, 3, "%02x", digest[i]);
	gcry_md_close(md);
	free(buf);
	return r;
}

static const char *
text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

static void
check_image(const json_t *line)
{
	const char *name = strrchr(text_of(line, "file"), '/') + 1;
	const char *want = text_of(line, "sha256_of_guest_content");
	const char *secret = text_of(line, "secret");
	struct q2_open_opts o = {.size = sizeof(o),
				 .flags = Q2_RDONLY,
				 .key = secret,
				 .key_len = strlen(secret)};
	struct q2_image *img = NULL;
	struct q2_err err = {0};
	char hex[65] = "";
	int r;

	r = q2_open(loop, name, &o, &img, &err);
	/* Nobody has read all of a disk of a TiB. */
	if (r == 0 && q2_size(img) > GiB) {
		assert_int_equal(q2_close(img, NULL), 0);
		return;
	}
	if (r == 0) {
		r = hash_content(img, hex);
		assert_int_equal(q2_close(img, NULL), 0);
	}
	if (!want[0]) {
		/* QEMU cannot read it either. */
		assert_true(r < 0);
		return;
	}
	if (r < 0 || strcmp(hex, want) != 0)
		fail_msg("%s: %d %s; %s is not %s", name, r, err.text, hex,
			 want);
	same++;
}

static struct q2_image *
open_golden(const char *name, unsigned flags)
{
	struct q2_open_opts o = {.size = sizeof(o), .flags = flags};
	struct q2_image *img;
	struct q2_err err = {0};

	if (q2_open(loop, name, &o, &img, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	return img;
}

static void
expect_hash(struct q2_image *img, const char *name, const char *id,
	    const char *want)
{
	char hex[65] = "";
	int r = hash_content(img, hex);

	if (r < 0 || strcmp(hex, want) != 0)
		fail_msg("%s, snapshot %s: %d; %s is not %s", name, id, r, hex,
			 want);
}

/* Without leaks, wrong refcounts, or flags that could be set. */
static void
expect_whole(const char *name)
{
	struct q2_image *img = open_golden(name, Q2_RDONLY | Q2_CHECK);
	struct q2_check c;

	assert_int_equal(q2_check(img, &c, NULL, NULL, NULL), 0);
	if (c.corruptions || c.leaks || c.check_errors)
		fail_msg("%s: check finds something", name);
	assert_int_equal(q2_close(img, NULL), 0);
}

/* Read, apply and delete snapshot id, whose content QEMU read at the size of
 * the disk. */
static void
check_snapshot(const char *name, const char *id, const char *want)
{
	struct q2_image *img = open_golden(name, Q2_RDONLY);
	uint64_t size = q2_size(img);
	struct q2_err err = {0};
	struct q2_snapshot sn;
	int i, r;

	assert_int_equal(q2_snapshot_load(img, id, NULL, NULL), 0);
	expect_hash(img, name, id, want);
	assert_int_equal(q2_close(img, NULL), 0);
	loaded++;
	run("cp %s copy", name);
	img = open_golden("copy", Q2_UNMAP | Q2_NO_GUEST_WRITES);
	i = q2_snapshot_find(img, id, NULL);
	assert_true(i >= 0);
	r = q2_snapshot_apply(img, (unsigned)i, &err);
	/* Its bitmaps would not know; as in QEMU. */
	if (r == -EBUSY) {
		assert_string_equal(err.text,
				    "Device has active dirty bitmaps");
		assert_int_equal(q2_close(img, NULL), 0);
		return;
	}
	assert_int_equal(r, 0);
	sn = q2_snapshot_get(img, (unsigned)i);
	assert_int_equal(q2_size(img), sn.disk_bytes);
	if (sn.disk_bytes == size)
		expect_hash(img, name, id, want);
	applied += sn.disk_bytes == size;
	assert_int_equal(q2_close(img, NULL), 0);
	expect_whole("copy");
	img = open_golden("copy", Q2_UNMAP | Q2_NO_GUEST_WRITES);
	assert_int_equal(q2_snapshot_delete(img, (unsigned)i, NULL), 0);
	if (sn.disk_bytes == size)
		expect_hash(img, name, id, want);
	assert_int_equal(q2_close(img, NULL), 0);
	expect_whole("copy");
}

static void
check_snapshots(const json_t *line)
{
	const char *name = strrchr(text_of(line, "file"), '/') + 1;
	json_t *hashes = json_object_get(line, "sha256_of_snapshots");
	const char *id;
	json_t *want;

	if (json_is_string(json_object_get(line, "secret")))
		return;
	json_object_foreach(hashes, id, want)
		check_snapshot(name, id, json_string_value(want));
}

static void
test_a_guest_sees_what_the_makers_say(void **state)
{
	char path[4200], *text = NULL;
	size_t size = 0;
	FILE *f;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" GOLDEN "manifest.jsonl", home);
	f = fopen(path, "re");
	assert_non_null(f);
	while (getline(&text, &size, f) > 0) {
		json_t *line = json_loads(text, 0, NULL);

		assert_non_null(line);
		if (strcmp(text_of(line, "kind"), "good") == 0) {
			check_image(line);
			check_snapshots(line);
		}
		json_decref(line);
	}
	free(text);
	assert_int_equal(fclose(f), 0);
	print_message("%u images with the same content\n", same);
	print_message("%u snapshots loaded, %u with the disk's size applied\n",
		      loaded, applied);
	assert_true(same >= 75 && loaded >= 12 && applied >= 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_guest_sees_what_the_makers_say),
	};

	(void)gcry_check_version(NULL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
