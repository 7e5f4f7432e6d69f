/* SPDX-License-Identifier: MIT */
/*
 * test_fuzz.c - damaged images: parsers, opening and check end with a result,
 * without touching memory that is not theirs and without much memory
 *
 * Deterministic: bytes of the golden images are changed as the seed says.
 * MODE=asan sees what goes beyond a buffer; each buffer is exactly as long as
 * it is said to be.  Q2_SEED replays, Q2_TEST_SCALE makes more rounds.
 */
#include <glob.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/crypt/luks.h"
#include "engine/format/bitmap.h"
#include "engine/format/entry.h"
#include "engine/format/header.h"
#include "engine/format/snapshot.h"
#include "engine/image/open.h"
#include "engine/manage/manage.h"
#include "tests/env.h"

#define IMAGES      "tests/golden/images/*/*.qcow2.gz"
#define MAX_IMAGE   MiB
#define HEADER_PART 4096

struct golden {
	uint8_t *bytes;
	size_t len;
};

static struct golden *golden;
static size_t n_golden;

static bool
load(const char *name, struct golden *g)
{
	char cmd[512];
	FILE *p;

	(void)snprintf(cmd, sizeof(cmd), "gzip -dc '%s' 2>/dev/null", name);
	p = popen(cmd, "r"); /* NOLINT(cert-env33-c): test tools */
	assert_non_null(p);
	g->bytes = malloc(MAX_IMAGE + 1);
	assert_non_null(g->bytes);
	g->len = fread(g->bytes, 1, MAX_IMAGE + 1, p);
	(void)pclose(p);
	if (g->len > 0 && g->len <= MAX_IMAGE)
		return true;
	free(g->bytes);
	return false;
}

static int
setup(void **state)
{
	glob_t gl;

	(void)state;
	assert_int_equal(glob(IMAGES, 0, NULL, &gl), 0);
	golden = calloc(gl.gl_pathc, sizeof(*golden));
	assert_non_null(golden);
	for (size_t i = 0; i < gl.gl_pathc; i++)
		n_golden += load(gl.gl_pathv[i], &golden[n_golden]);
	globfree(&gl);
	return n_golden > 80 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_golden; i++)
		free(golden[i].bytes);
	free(golden);
	return 0;
}

/* ---- damage ------------------------------------------------------------ */

/* Values that sit on an edge of something. */
static uint8_t
random_byte(struct rng *rng)
{
	static const uint8_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xc0, 0xff};

	if (rng_below(rng, 3))
		return edges[rng_below(rng, sizeof(edges))];
	return (uint8_t)rng_next(rng);
}

/* Near a byte that means something: metadata is mostly zeros. */
static size_t
random_place(struct rng *rng, const uint8_t *p, size_t len)
{
	size_t at = rng_below(rng, len);

	for (size_t i = 0; i < 4096 && !p[at]; i++)
		at = (at + 1) % len;
	return (at + len - rng_below(rng, 8)) % len;
}

static void
damage(struct rng *rng, uint8_t *p, size_t len)
{
	unsigned n = 1 + (unsigned)rng_below(rng, 4);

	while (n--) {
		size_t at = rng_below(rng, 2)
				    ? rng_below(rng, min_u64(len, 120))
				    : random_place(rng, p, len);

		p[at] = random_byte(rng);
	}
}

/* ---- parsers ----------------------------------------------------------- */

/* What is believed of a header that was accepted. */
static void
check_header(const struct header *h)
{
	struct geom g = header_geom(h);

	assert_in_range(h->version, 2, 3);
	assert_true((uint64_t)h->l1_entries * 8 <= Q2_MAX_L1_BYTES);
	assert_true(h->l1_entries >= geom_l1_entries(&g, h->virtual_size));
	assert_true((uint64_t)h->reftable_clusters << g.cluster_bits <=
		    Q2_MAX_REFTABLE_BYTES);
	assert_true(h->l1_offset <= INT64_MAX);
	assert_true(strnlen(h->backing_file, sizeof(h->backing_file)) <=
		    Q2_MAX_BACKING_NAME);
	assert_true(strnlen(h->backing_format, sizeof(h->backing_format)) <=
		    Q2_MAX_BACKING_FORMAT);
	assert_true(strnlen(h->data_file, sizeof(h->data_file)) <=
		    Q2_MAX_BACKING_NAME);
	assert_true(!h->has_bitmaps ||
		    (h->bitmaps && h->bitmaps <= Q2_MAX_BITMAPS &&
		     h->bitmaps_bytes <= UINT64_C(1024) * Q2_MAX_BITMAPS));
}

/* Zeros behind the end of a string, which the file may not have had. */
static void
tidy(char *text, size_t size)
{
	size_t len = strlen(text);

	memset(text + len, 0, size - len);
}

/* What was accepted can be written again, and again the same, and then means
 * what it meant; unless it does not fit. */
static bool
check_rewrite(const uint8_t *buf, size_t len, struct header *h)
{
	size_t size = (size_t)1 << h->cluster_bits;
	uint8_t *once = malloc(size), *twice = malloc(size);
	struct header_bytes old = {buf, len}, again = {once, size};
	struct header back;
	int r;

	assert_non_null(once);
	assert_non_null(twice);
	r = header_rewrite(h, &old, once, size, NULL);
	assert_true(r == 0 || r == -ENOSPC);
	if (r == 0) {
		assert_int_equal(header_decode(once, size, true, &back, NULL),
				 0);
		assert_int_equal(
			header_rewrite(&back, &again, twice, size, NULL), 0);
		assert_memory_equal(once, twice, size);
		back.header_length = h->header_length;
		back.has_feature_names = h->has_feature_names;
		/* Those are left out. */
		back.has_stale_bitmaps = h->has_stale_bitmaps;
		tidy(h->backing_file, sizeof(h->backing_file));
		tidy(h->backing_format, sizeof(h->backing_format));
		tidy(h->data_file, sizeof(h->data_file));
		assert_memory_equal(&back, h, sizeof(back));
	}
	free(once);
	free(twice);
	return r == 0;
}

static void
test_headers(void **state)
{
	struct rng rng = {test_seed(6)};
	unsigned accepted = 0, refused = 0, written = 0;

	(void)state;
	for (unsigned i = 0; i < test_rounds(60000); i++) {
		const struct golden *g = &golden[rng_below(&rng, n_golden)];
		size_t len = min_u64(g->len, HEADER_PART);
		struct q2_err err = {0};
		struct header h;
		uint8_t *buf;

		if (rng_below(&rng, 8) == 0)
			len = 1 + rng_below(&rng, len);
		buf = malloc(len);
		memcpy(buf, g->bytes, len);
		damage(&rng, buf, len);
		if (header_decode(buf, len, rng_below(&rng, 2), &h, &err) < 0) {
			refused++;
			assert_true(err.text[0]);
		} else {
			accepted++;
			check_header(&h);
			written += check_rewrite(buf, len, &h);
		}
		free(buf);
	}
	assert_true(written > accepted / 2);
	/* Both must happen, or nothing is tested. */
	assert_true(accepted > 100 * refused / 1000);
	assert_true(refused > 100 * accepted / 1000);
}

static void
test_table_entries(void **state)
{
	struct rng rng = {test_seed(7)};

	(void)state;
	for (unsigned i = 0; i < test_rounds(200000); i++) {
		size_t len = rng_below(&rng, 200);
		uint8_t *buf = malloc(len ? len : 1);
		struct geom g = geom_init(9 + (unsigned)rng_below(&rng, 13), 4,
					  rng_below(&rng, 2), TiB);
		struct snapshot sn;
		struct bitmap b;
		struct l2_entry e;

		for (size_t k = 0; k < len; k++)
			buf[k] = rng_below(&rng, 4) ? 0 : random_byte(&rng);
		if (snapshot_decode(buf, len, &sn) == 0) {
			assert_true(sn.bytes <= len);
			assert_true((const uint8_t *)sn.name + sn.name_len <=
				    buf + len);
		}
		if (bitmap_decode(buf, len, &b) == 0) {
			assert_true(b.bytes <= len);
			assert_true((const uint8_t *)b.name + b.name_len <=
				    buf + len);
			(void)bitmap_is_valid(&b, &g);
		}
		e = l2_decode(&g, rng_next(&rng));
		assert_true(e.host < Q2_MAX_HOST_OFFSET ||
			    e.kind == CLUSTER_COMPRESSED);
		assert_true(e.len <= 2 * g.cluster_size);
		(void)bitmap_entry_is_valid(rng_next(&rng), &g);
		free(buf);
	}
}

/* ---- opening and check ------------------------------------------------- */

struct writing {
	struct aio_file *file;
	const uint8_t *bytes;
	size_t len;
};

static int Q2_CO
write_all(void *arg)
{
	struct writing *w = arg;

	return file_write(w->file, AIO_DATA, w->bytes, w->len, 0);
}

static void
put(struct loop *loop, const uint8_t *bytes, size_t len)
{
	struct writing w = {.bytes = bytes, .len = len};
	struct points points = {0};

	assert_int_equal(
		aio_open(loop, "disk", AIO_CREATE, &points, &w.file, NULL), 0);
	assert_int_equal(loop_call(loop, write_all, &w), 0);
	aio_close(w.file);
}

struct call {
	struct image *img;
	enum q2_repair fix;
	struct q2_check check;
	struct q2_layout layout;
	struct q2_err err;
	unsigned findings;
};

static void
finding(void *arg, const char *text)
{
	struct call *c = arg;

	assert_true(text[0]);
	c->findings++;
}

static int Q2_CO
run_check(void *arg)
{
	struct call *c = arg;

	return check_image(c->img, c->fix, &c->check,
			   &(struct finder){finding, c}, &c->err);
}

static int Q2_CO
run_layout(void *arg)
{
	struct call *c = arg;

	return layout_image(c->img, &c->layout, &c->err);
}

/* True if the image could be opened. */
static bool
open_and_check(struct loop *loop)
{
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = "qcow2",
				 .flags = Q2_RDONLY | Q2_CHECK | Q2_NO_IO};
	struct call c = {0};
	int r;

	if (image_open(loop, "disk", &o, &c.img, &c.err) < 0) {
		assert_true(c.err.text[0]);
		return false;
	}
	r = loop_call(loop, run_check, &c);
	if (r < 0)
		assert_true(c.err.text[0]);
	else
		assert_true(!c.check.corruptions || c.findings);
	(void)loop_call(loop, run_layout, &c);
	assert_int_equal(image_close(c.img, NULL), 0);
	return true;
}

/* Whatever is in the file: a repair ends, and says why if it cannot.  Returns
 * whether it was done. */
static bool
open_and_repair(struct loop *loop, enum q2_repair fix)
{
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = "qcow2",
				 .flags = Q2_CHECK | Q2_NO_IO};
	struct call c = {.fix = fix};
	int r;

	if (image_open(loop, "disk", &o, &c.img, &c.err) < 0)
		return false;
	r = loop_call(loop, run_check, &c);
	if (r < 0)
		assert_true(c.err.text[0]);
	assert_int_equal(image_close(c.img, NULL), 0);
	return r == 0;
}

static void
test_check(void **state)
{
	struct rng rng = {test_seed(8)};
	uint8_t *buf = malloc(MAX_IMAGE);
	unsigned opened = 0, repaired = 0, rounds = test_rounds(1500);
	struct rusage use;
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	for (unsigned i = 0; i < rounds; i++) {
		const struct golden *g = &golden[rng_below(&rng, n_golden)];

		memcpy(buf, g->bytes, g->len);
		damage(&rng, buf, g->len);
		put(loop, buf, g->len);
		opened += open_and_check(loop);
		repaired += open_and_repair(loop, i % 4 ? Q2_REPAIR_ALL
							: Q2_REPAIR_LEAKS);
		(void)open_and_check(loop);
	}
	loop_free(loop);
	free(buf);
	assert_true(opened > rounds / 4);
	assert_true(repaired > rounds / 8);
	assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* Hundreds of MiB are legal: tables of the largest size. */
	assert_in_range(use.ru_maxrss, 0, 400 * 1024);
#endif
	print_message("%u of %u opened, %u repaired, %ld KiB\n", opened, rounds,
		      repaired, use.ru_maxrss);
}

/* Whatever a LUKS header says: it is refused with a reason, or it can be
 * written and read again. */
static void
test_luks_headers(void **state)
{
	struct rng rng = {test_seed(11)};
	struct luks_options o = {
		.suite = {.alg = suite_alg_find("aes-256"),
			  .mode = SUITE_CBC,
			  .ivgen = SUITE_ESSIV,
			  .ivgen_hash = suite_hash_find("sha256")},
		.hash = suite_hash_find("sha1"),
	};
	uint8_t good[LUKS_HEADER_BYTES], again[LUKS_HEADER_BYTES];
	uint8_t *buf = malloc(LUKS_HEADER_BYTES), key[SUITE_KEY_MAX] = {0};
	unsigned taken = 0, rounds = test_rounds(200000);
	struct luks luks;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(luks_new(&o, key, &luks, NULL), 0);
	luks_encode(&luks, good);
	for (unsigned i = 0; i < rounds; i++) {
		struct q2_err err = {0};

		memcpy(buf, good, LUKS_HEADER_BYTES);
		damage(&rng, buf, LUKS_HEADER_BYTES);
		if (luks_decode(buf, &luks, &err) < 0) {
			assert_true(err.text[0]);
			continue;
		}
		taken++;
		luks_encode(&luks, again);
		assert_int_equal(luks_decode(again, &luks, NULL), 0);
		luks_encode(&luks, buf);
		assert_memory_equal(buf, again, LUKS_HEADER_BYTES);
	}
	free(buf);
	assert_true(taken > rounds / 20 && taken < rounds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_luks_headers),
		cmocka_unit_test(test_table_entries),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
