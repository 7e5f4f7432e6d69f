/* SPDX-License-Identifier: MIT */
/*
 * test_check.c - q2_check() against what qemu-img check says: of every golden
 * and hostile image, and of images that qemu-img makes here
 */
#include <errno.h>
#include <fcntl.h>
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
#include <jansson.h>

#include "engine/base/num.h"
#include "engine/q2.h"

#define GOLDEN "tests/golden/images/"

static char dir[256], path[300];
static struct q2_loop *loop;

static int
setup(void **state)
{
	const char *build = getenv("B");

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/check-XXXXXX",
		       build ? build : ".");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/image", dir);
	return q2_loop_new(NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	q2_loop_free(loop);
	(void)unlink(path);
	return rmdir(dir);
}

static int
run(const char *fmt, const char *arg)
{
	char cmd[1024];

	/* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
	(void)snprintf(cmd, sizeof(cmd), fmt, arg, path);
	return system(cmd); /* NOLINT(cert-env33-c): test tools */
}

/* ---- our verdict ------------------------------------------------------- */

struct verdict {
	struct q2_check check;
	int status;      /* of a command */
	char *lines;     /* findings, one a line */
	size_t len, max; /* of lines */
};

static void
finding(void *arg, const char *text)
{
	struct verdict *v = arg;
	size_t n = strlen(text);

	if (v->len + n + 2 > v->max) {
		v->max = 2 * (v->len + n + 2);
		v->lines = realloc(v->lines, v->max);
		assert_non_null(v->lines);
	}
	memcpy(v->lines + v->len, text, n);
	memcpy(v->lines + v->len + n, "\n", 2);
	v->len += n + 1;
}

static void
judge(struct verdict *v)
{
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = "qcow2",
				 .flags = Q2_RDONLY | Q2_CHECK | Q2_NO_IO};
	struct q2_image *img;
	struct q2_err err = {0};

	*v = (struct verdict){.status = 1};
	if (q2_open(loop, path, &o, &img, &err) < 0) {
		finding(v, err.text);
		return;
	}
	if (q2_check(img, &v->check, finding, v, &err) < 0)
		finding(v, err.text);
	else
		v->status = v->check.check_errors  ? 1
			    : v->check.corruptions ? 2
			    : v->check.leaks       ? 3
						   : 0;
	assert_int_equal(q2_close(img, NULL), 0);
}

/* ---- against the manifest ---------------------------------------------- */

/* QEMU's check opens what the image names, and the encryption, and all bitmaps
 * before it looks; ours needs none of them.  How far beyond its end a file can
 * be read is the kernel's business.  These must end without harm, no more. */
static bool
is_judged_otherwise(const char *file)
{
	static const char *const names[] = {"good/data-file-missing",
					    "good/backing-missing",
					    "bad/backing-itself",
					    "bad/backing-protocol",
					    "bad/backing-json",
					    "bad/backing-relative-outside",
					    "bad/data-file-no-name",
					    "bad/data-file-json",
					    "bad/luks-pointer",
					    "bad/luks-header",
					    "bad/luks-length",
					    "bad/l1-offset-huge",
					    "bad/bitmaps-directory-beyond-end",
					    "bad/data-file-raw-without-file"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(file, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static unsigned
differs(const char *file, const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	print_error("%s: %s is %" PRIu64 " instead of %" PRIu64 "\n", file,
		    what, got, want);
	return 1;
}

static unsigned
compare_counters(const char *file, const struct q2_check *c, const json_t *want)
{
	const struct {
		const char *key;
		uint64_t got;
	} fields[] = {
		{"image-end-offset", c->image_end_offset},
		{"total-clusters", c->total_clusters},
		{"check-errors", c->check_errors},
		{"corruptions", c->corruptions},
		{"leaks", c->leaks},
		{"allocated-clusters", c->allocated_clusters},
		{"fragmented-clusters", c->fragmented_clusters},
		{"compressed-clusters", c->compressed_clusters},
	};
	unsigned bad = 0;

	if (!json_is_object(want))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		bad += differs(file, fields[i].key, fields[i].got,
			       (uint64_t)json_integer_value(
				       json_object_get(want, fields[i].key)));
	return bad;
}

/* Each finding is a line of qemu-img's, in its order, as far as the manifest
 * keeps them. */
static unsigned
compare_lines(const char *file, const struct verdict *v, const char *want)
{
	const char *got = v->lines ? v->lines : "";

	while (*want && *got) {
		size_t n = strcspn(want, "\n"), m = strcspn(got, "\n");
		const char *w = want;

		if (want[0] == '(' || strstr(want, "more lines)") == want)
			return 0;
		want += n + (want[n] == '\n');
		if (strncmp(w, "qemu-img: warning", 17) == 0)
			continue;
		/* the opener's own line, without an end */
		if (strncmp(w, "Some clusters may be leaked", 27) == 0) {
			w = strstr(w, "fix.") + 4;
			n = (size_t)(want - w) - 1;
		}
		if (strncmp(w, "qemu-img: Could not open", 24) == 0) {
			const char *colon = strstr(w + 11, "': ");

			n -= (size_t)(colon + 3 - w);
			w = colon + 3;
		} else if (strncmp(w, "qemu-img: ", 10) == 0) {
			w += 10;
			n -= 10;
		}
		if (n != m || memcmp(w, got, n) != 0) {
			print_error("%s: \"%.*s\" instead of \"%.*s\"\n", file,
				    (int)m, got, (int)n, w);
			return 1;
		}
		got += m + 1;
	}
	if (*got || (*want && strcmp(want, "qemu-img: Check failed\n") != 0)) {
		print_error("%s: findings differ: \"%s\" and \"%s\"\n", file,
			    got, want);
		return 1;
	}
	return 0;
}

static unsigned
compare_image(const char *file, const json_t *check)
{
	struct verdict v;
	unsigned bad;

	assert_int_equal(run("gzip -dc '" GOLDEN "%s.gz' >'%s'", file), 0);
	judge(&v);
	if (is_judged_otherwise(file)) {
		free(v.lines);
		return 0;
	}
	bad = differs(
		file, "status", (uint64_t)v.status,
		(uint64_t)json_integer_value(json_object_get(check, "status")));
	bad += compare_counters(file, &v.check,
				v.status == 1 && !v.check.check_errors
					? NULL
					: json_object_get(check, "json"));
	bad += compare_lines(
		file, &v, json_string_value(json_object_get(check, "stderr")));
	free(v.lines);
	return bad;
}

static void
test_golden_images(void **state)
{
	FILE *f = fopen(GOLDEN "manifest.jsonl", "r");
	unsigned images = 0, bad = 0;
	json_t *line;

	(void)state;
	assert_non_null(f);
	while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
		const json_t *check = json_object_get(line, "check");

		if (json_is_object(check)) {
			images++;
			bad += compare_image(json_string_value(json_object_get(
						     line, "file")),
					     check);
		}
		json_decref(line);
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(bad, 0);
	assert_in_range(images, 130, 1000);
}

/* ---- against qemu-img -------------------------------------------------- */

static json_t *
qemu_check(void)
{
	char buf[4096] = "", cmd[512];
	FILE *p;

	(void)snprintf(cmd, sizeof(cmd),
		       "qemu-img check -f qcow2 --output=json '%s' 2>/dev/null",
		       path);
	p = popen(cmd, "r"); /* NOLINT(cert-env33-c): test tools */
	assert_non_null(p);
	(void)fread(buf, 1, sizeof(buf) - 1, p);
	(void)pclose(p);
	return json_loads(buf, 0, NULL);
}

static void
expect_same(const char *how)
{
	json_t *want = qemu_check();
	struct verdict v;

	judge(&v);
	assert_non_null(want);
	assert_int_equal(compare_counters(how, &v.check, want), 0);
	json_decref(want);
	free(v.lines);
}

/* Several L2 tables and refcount blocks, fragments, compressed clusters,
 * snapshots, zeros, of many shapes. */
static void
test_images_of_qemu_img(void **state)
{
	static const char *const options[] = {
		"cluster_size=512",
		"cluster_size=512,preallocation=metadata",
		"cluster_size=4k",
		"cluster_size=4k,refcount_bits=64",
		"cluster_size=4k,refcount_bits=1",
		"cluster_size=4k,preallocation=falloc",
		"cluster_size=64k,compat=0.10",
		"cluster_size=2M",
		"cluster_size=64k,extended_l2=on",
		"cluster_size=16k,extended_l2=on,preallocation=metadata",
	};

	(void)state;
	if (run("qemu-img --version >/dev/null 2>&1 && "
		"qemu-io --version >/dev/null 2>&1%s",
		"") != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		assert_int_equal(run("qemu-img create -q -f qcow2 -o %s '%s' "
				     "9M",
				     options[i]),
				 0);
		expect_same(options[i]);
		assert_int_equal(
			run("qemu-io -t unsafe -c 'write 5M 1M' -c 'write 1000 "
			    "70000' -c 'write -z 3M 1M' -c 'write 2M 200k' "
			    "-c 'discard 5M 300k' -c 'write 8M 5k'%s '%s' "
			    ">/dev/null",
			    ""),
			0);
		expect_same(options[i]);
		if (strstr(options[i], "refcount_bits=1"))
			continue;
		assert_int_equal(run("qemu-img snapshot -c one%s '%s'", ""), 0);
		assert_int_equal(run("qemu-io -t unsafe -c 'write 1M 2M'%s "
				     "'%s' >/dev/null",
				     ""),
				 0);
		expect_same(options[i]);
	}
}

/* Bytes of the metadata are changed at random: same counters, never a crash.
 */
static void
test_damaged_images(void **state)
{
	struct {
		uint64_t off;
		uint8_t byte;
	} pokes[] = {
		{65536 + 3, 1},      {65536 + 7, 1},      {131072 + 1, 0},
		{131072 + 9, 2},     {131072 + 30, 7},    {196608, 0},
		{196608 + 5, 9},     {262144, 0},         {262144 + 1, 4},
		{262144 + 2, 4},     {262144 + 5, 7},     {262144 + 6, 2},
		{262144 + 7, 1},     {262144 + 640, 192}, {262144 + 640, 64},
		{262144 + 4096, 64}, {262144 + 5000, 1},  {60, 0},
		{103, 112},
	};

	(void)state;
	if (run("qemu-img --version >/dev/null 2>&1%s", "") != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(pokes); i++) {
		char text[64];
		int fd;

		(void)snprintf(text, sizeof(text), "byte %" PRIu64 " = %u",
			       pokes[i].off, pokes[i].byte);
		assert_int_equal(run("qemu-img create -q -f qcow2 -o "
				     "preallocation=metadata%s '%s' 9M",
				     ""),
				 0);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(
			pwrite(fd, &pokes[i].byte, 1, (off_t)pokes[i].off), 1);
		assert_int_equal(close(fd), 0);
		if (run("qemu-img check -q%s '%s' >/dev/null 2>&1", "") >> 8 ==
		    1)
			continue; /* not a counted outcome */
		expect_same(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_images),
		cmocka_unit_test(test_images_of_qemu_img),
		cmocka_unit_test(test_damaged_images),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
