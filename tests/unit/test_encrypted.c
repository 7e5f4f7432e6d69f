/* SPDX-License-Identifier: MIT */
/*
 * test_encrypted.c - what an encrypted image promises beyond what any does
 *
 * P1 and P3 of docs/ordering.md: the guest's memory is not changed, nothing of
 * it reaches the disk unencrypted, parts of sectors do not lose each other;
 * keys by layer; the LUKS header is not overwritten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/utf8.h"
#include "engine/image/image.h"
#include "engine/image/map.h"
#include "engine/q2.h"
#include "tests/image_make.h"

#define DISK  "disk.qcow2"
#define BYTES (1 * MiB)

static struct loop *loop;

static int
setup(void **state)
{
	(void)state;
	return loop_new_backend(backend_memory_new(1, NULL), NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void
make(const char *name, unsigned method)
{
	struct image_make m = {
		.bytes = BYTES,
		.cluster_bits = 12,
		.refcount_order = 4,
		.crypt_method = method,
	};

	assert_int_equal(image_make(loop, name, &m), 0);
}

static struct q2_open_opts
opts_with(const char *key)
{
	return (struct q2_open_opts){
		.size = sizeof(struct q2_open_opts),
		.driver = "qcow2",
		.flags = Q2_UNMAP,
		.key = key,
		.key_len = key ? strlen(key) : 0,
	};
}

static struct q2_image *
open_with(const char *name, const char *key)
{
	struct q2_open_opts o = opts_with(key);
	struct q2_image *img = NULL;
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)loop, name, &o, &img, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	return img;
}

static void
expect_refusal(const char *name, const struct q2_open_opts *o, const char *text)
{
	struct q2_image *img = NULL;
	struct q2_err err = {0};

	assert_true(q2_open((struct q2_loop *)loop, name, o, &img, &err) < 0);
	assert_string_equal(err.text, text);
}

/* ---- the file ---------------------------------------------------------- */

struct reading {
	const char *name;
	uint8_t *bytes;
	size_t n;
	uint64_t off;
	bool write;
};

static int Q2_CO
run_file(void *arg)
{
	struct reading *d = arg;
	struct points points = {0};
	struct aio_file *f;
	int r = aio_open(loop, d->name, d->write ? 0 : AIO_RDONLY, &points, &f,
			 NULL);

	if (r < 0)
		return r;
	if (!d->n)
		d->n = (size_t)aio_size(f);
	if (!d->bytes)
		d->bytes = malloc(d->n);
	r = d->write ? file_write(f, AIO_DATA, d->bytes, d->n, d->off)
		     : file_read(f, AIO_DATA, d->bytes, d->n, d->off);
	aio_close(f);
	return r;
}

/* Is there a run of 16 bytes of it in the file? */
static bool
file_has(const char *name, uint8_t byte)
{
	struct reading d = {.name = name};
	size_t run = 0;

	assert_int_equal(loop_call(loop, run_file, &d), 0);
	for (size_t i = 0; i < d.n && run < 16; i++)
		run = d.bytes[i] == byte ? run + 1 : 0;
	free(d.bytes);
	return run == 16;
}

static void
change_file(uint64_t off, const void *bytes, size_t n)
{
	struct reading d = {.name = DISK,
			    .bytes = (uint8_t *)(uintptr_t)bytes,
			    .n = n,
			    .off = off,
			    .write = true};

	assert_int_equal(loop_call(loop, run_file, &d), 0);
}

/* ---- what reaches the disk --------------------------------------------- */

/* Writes of all kinds: new clusters whole and in part, in place, parts of
 * sectors, copies of shared clusters, zeros around them. */
static const struct {
	uint64_t off, len;
} places[] = {
	{0, 4096},       {8192, 100},     {20000, 30000}, {100, 512},
	{20100, 3},      {65536, 700000}, {511, 2},       {BYTES - 700, 700},
	{70000, 512000}, {8192, 4096},
};

static void
check_plain_stays_here(unsigned method)
{
	static uint8_t buf[BYTES], back[BYTES];
	struct q2_image *img;

	make(DISK, method);
	img = open_with(DISK, IMAGE_KEY);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint8_t byte = (uint8_t)(0x80 + i);

		memset(buf, byte, places[i].len);
		assert_int_equal(
			q2_pwrite(img, buf, places[i].len, places[i].off), 0);
		for (uint64_t k = 0; k < places[i].len; k++)
			assert_int_equal(buf[k], byte);
		assert_int_equal(
			q2_pread(img, back, places[i].len, places[i].off), 0);
		assert_memory_equal(back, buf, places[i].len);
		assert_false(file_has(DISK, byte));
	}
	assert_int_equal(q2_pzero(img, 5000, 66000, 0), 0);
	assert_int_equal(q2_close(img, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		assert_false(file_has(DISK, (uint8_t)(0x80 + i)));
}

static void
test_nothing_of_the_guest_is_on_the_disk(void **state)
{
	(void)state;
	check_plain_stays_here(1);
	check_plain_stays_here(2);
}

/* Equal bytes in all: with the AES of old equal at one place of the guest,
 * with LUKS never. */
static void
test_what_is_equal_does_not_look_equal(void **state)
{
	uint8_t buf[4096] = {0};
	struct reading d = {.name = DISK};
	struct q2_image *img;
	size_t same = 0;

	(void)state;
	make(DISK, 2);
	img = open_with(DISK, IMAGE_KEY);
	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(q2_pwrite(img, buf, sizeof(buf), i * 4096), 0);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_int_equal(loop_call(loop, run_file, &d), 0);
	/* Sectors of the 16 clusters at the end; what is zero is metadata. */
	for (size_t i = d.n - 16 * 4096ULL; i + 512 < d.n; i += 512)
		same += !mem_is_zero(d.bytes + i, 512) &&
			memcmp(d.bytes + i, d.bytes + i + 512, 512) == 0;
	free(d.bytes);
	assert_int_equal(same, 0);
}

static void
test_what_went_through_the_cipher_is_counted(void **state)
{
	static uint8_t buf[64 * KiB];
	struct q2_stats n;
	struct q2_image *img;

	(void)state;
	make(DISK, 1);
	img = open_with(DISK, IMAGE_KEY);
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	q2_stats(img, &n);
	assert_int_equal(n.encrypted_bytes, sizeof(buf));
	assert_int_equal(q2_pread(img, buf, 1024, 512), 0);
	q2_stats(img, &n);
	assert_int_equal(n.encrypted_bytes, sizeof(buf) + 1024);
	/* What the tables say is zero is not decrypted. */
	assert_int_equal(q2_pread(img, buf, 1024, 512 * KiB), 0);
	q2_stats(img, &n);
	assert_int_equal(n.encrypted_bytes, sizeof(buf) + 1024);
	assert_int_equal(q2_close(img, NULL), 0);
}

/* ---- parts of sectors -------------------------------------------------- */

#define PARTS 64

struct part {
	struct q2_req rq;
	struct iovec iov;
	uint8_t bytes[24];
};

static unsigned parts_done;

static void
part_done(struct q2_req *rq)
{
	assert_int_equal(rq->result, 0);
	parts_done++;
}

/* Many at once, of which several share each sector, and a whole sector among
 * them; old is whether the clusters are there already. */
static void
check_parts(bool old)
{
	static struct part parts[PARTS];
	uint8_t back[PARTS * 24];
	struct q2_image *img;

	make(DISK, 2);
	img = open_with(DISK, IMAGE_KEY);
	memset(back, 0xee, sizeof(back));
	if (old)
		assert_int_equal(q2_pwrite(img, back, sizeof(back), 300), 0);
	parts_done = 0;
	for (unsigned i = 0; i < PARTS; i++) {
		struct part *p = &parts[i];

		memset(p->bytes, (int)i + 1, sizeof(p->bytes));
		p->iov = (struct iovec){p->bytes, sizeof(p->bytes)};
		p->rq = (struct q2_req){.op = Q2_WRITE,
					.off = 300 + i * UINT64_C(24),
					.len = sizeof(p->bytes),
					.iov = &p->iov,
					.iovcnt = 1,
					.done = part_done};
		q2_submit(img, &p->rq);
	}
	while (parts_done < PARTS)
		assert_true(q2_loop_run((struct q2_loop *)loop, 1, -1) >= 0);
	assert_int_equal(q2_pread(img, back, sizeof(back), 300), 0);
	for (unsigned i = 0; i < sizeof(back); i++)
		assert_int_equal(back[i], i / 24 + 1);
	assert_int_equal(q2_close(img, NULL), 0);
}

static void
test_parts_of_a_sector_do_not_lose_each_other(void **state)
{
	(void)state;
	check_parts(false);
	check_parts(true);
}

/* ---- keys -------------------------------------------------------------- */

static void
test_keys_that_do_not_open(void **state)
{
	struct q2_open_opts o = opts_with("falsch");

	(void)state;
	make(DISK, 2);
	expect_refusal(DISK, &o, "Invalid password, cannot unlock any keyslot");
	o = opts_with(NULL);
	expect_refusal(DISK, &o,
		       "Parameter 'encrypt.key-secret' is required for cipher");
	o.key_secret = "s";
	expect_refusal(DISK, &o, "No secret with id 's'");
	o = opts_with("gehei\xff");
	o.key_secret = "s";
	expect_refusal(DISK, &o, "Data from secret s is not valid UTF-8");
	o = opts_with(IMAGE_KEY);
	o.key_len++; /* with the NUL */
	expect_refusal(DISK, &o, "Data from secret key is not valid UTF-8");
	o = opts_with(IMAGE_KEY);
	o.encrypt_format = "aes";
	expect_refusal(DISK, &o,
		       "Header reported 'luks' encryption format but options "
		       "specify 'aes'");
	make(DISK, 0);
	expect_refusal(DISK, &o,
		       "No encryption in image header, but options specified "
		       "format 'aes'");
	/* A key that is not needed does no harm. */
	assert_int_equal(q2_close(open_with(DISK, IMAGE_KEY), NULL), 0);
}

static void
test_utf8(void **state)
{
	static const char *const good[] = {"", "a", "\xc3\xa4", "\xe2\x82\xac",
					   "\xf0\x9f\x94\x91"};
	static const char *const bad[] = {"\x80",
					  "\xc3",
					  "\xc0\x80",
					  "\xe0\x80\x80",
					  "\xed\xa0\x80",
					  "\xf4\x90\x80\x80",
					  "\xf8\x88\x80\x80\x80",
					  "a\xe2\x82"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(utf8_is_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
	assert_false(utf8_is_valid("a\0b", 3));
}

/* For information it opens without, and shows nothing. */
static void
test_without_a_key_nothing_is_read(void **state)
{
	struct q2_open_opts o = opts_with(NULL);
	struct q2_image *img;
	struct q2_info info;
	uint8_t buf[512];

	(void)state;
	make(DISK, 2);
	img = open_with(DISK, IMAGE_KEY);
	memset(buf, 7, sizeof(buf));
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	assert_int_equal(q2_close(img, NULL), 0);
	o.flags = Q2_RDONLY | Q2_NO_IO;
	assert_int_equal(q2_open((struct q2_loop *)loop, DISK, &o, &img, NULL),
			 0);
	assert_int_equal(q2_info(img, &info, NULL), 0);
	assert_string_equal(info.encryption, "luks");
	assert_string_equal(info.luks.cipher_alg, "aes-128");
	assert_true(info.luks.slots[0].active);
	assert_int_equal(info.luks.slots[0].iters, 1000);
	assert_int_equal(q2_pread(img, buf, sizeof(buf), 0), -EACCES);
	assert_int_equal(q2_close(img, NULL), 0);
}

/* Each layer has a key of its own; what is copied up is encrypted again. */
static void
test_each_layer_has_its_key(void **state)
{
	struct image_make top = {
		.bytes = BYTES,
		.cluster_bits = 12,
		.refcount_order = 4,
		.crypt_method = 2,
		.backing_file = "base.qcow2",
		.backing_format = "qcow2",
	};
	struct q2_open_opts below = opts_with(IMAGE_KEY);
	struct q2_open_opts o = opts_with(IMAGE_KEY);
	uint8_t buf[4096], back[4096];
	struct q2_image *img;

	(void)state;
	make("base.qcow2", 1);
	img = open_with("base.qcow2", IMAGE_KEY);
	memset(buf, 0x5a, sizeof(buf));
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_int_equal(image_make(loop, DISK, &top), 0);
	expect_refusal(DISK, &o,
		       "Could not open backing file: Parameter "
		       "'encrypt.key-secret' is required for cipher");
	o.backing = &below;
	assert_int_equal(q2_open((struct q2_loop *)loop, DISK, &o, &img, NULL),
			 0);
	memset(buf + 1000, 0xa5, 100);
	assert_int_equal(q2_pwrite(img, buf + 1000, 100, 1000), 0);
	assert_int_equal(q2_pread(img, back, sizeof(back), 0), 0);
	assert_memory_equal(back, buf, sizeof(back));
	assert_int_equal(q2_close(img, NULL), 0);
	assert_false(file_has(DISK, 0x5a));
	assert_false(file_has(DISK, 0xa5));
}

/* The layer is opened again for writing, for which nobody has its key any more;
 * but not if it is another image by then. */
static void
test_a_commit_goes_through_the_cipher_of_its_layer(void **state)
{
	struct image_make top = {
		.bytes = BYTES,
		.cluster_bits = 12,
		.refcount_order = 4,
		.backing_file = "base.qcow2",
		.backing_format = "qcow2",
	};
	struct q2_open_opts below = opts_with(IMAGE_KEY);
	struct q2_open_opts o = opts_with(NULL);
	struct q2_commit_opts commit = {.size = sizeof(commit), .depth = 1};
	uint8_t buf[4096], back[4096];
	struct q2_image *img;
	struct q2_err err;

	(void)state;
	o.backing = &below;
	memset(buf, 0x5a, sizeof(buf));
	for (unsigned method = 1; method <= 2; method++) {
		make("base.qcow2", method);
		assert_int_equal(image_make(loop, DISK, &top), 0);
		assert_int_equal(
			q2_open((struct q2_loop *)loop, DISK, &o, &img, NULL),
			0);
		assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 4096), 0);
		assert_int_equal(q2_commit(img, &commit, NULL), 0);
		assert_int_equal(q2_pread(img, back, sizeof(back), 4096), 0);
		assert_memory_equal(back, buf, sizeof(back));
		assert_int_equal(q2_close(img, NULL), 0);
		assert_false(file_has("base.qcow2", 0x5a));
		assert_int_equal(
			q2_open((struct q2_loop *)loop, DISK, &o, &img, NULL),
			0);
		assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 8192), 0);
		make("base.qcow2", 3 - method);
		assert_int_equal(q2_commit(img, &commit, &err), -ESTALE);
		assert_string_equal(err.text,
				    "'base.qcow2' was replaced meanwhile: it "
				    "has another encryption key");
		assert_int_equal(q2_pread(img, back, sizeof(back), 8192), 0);
		assert_memory_equal(back, buf, sizeof(back));
		assert_int_equal(q2_close(img, NULL), 0);
	}
}

/* ---- the header -------------------------------------------------------- */

static void
test_a_damaged_header_is_told(void **state)
{
	struct q2_open_opts o = opts_with(IMAGE_KEY);
	struct q2_image *img;
	uint64_t at;

	(void)state;
	make(DISK, 2);
	img = open_with(DISK, IMAGE_KEY);
	at = ((struct image *)img)->header.crypto_offset;
	assert_int_equal(q2_close(img, NULL), 0);
	/* Material of the only slot. */
	change_file(at + 4096 + 5000, "x", 1);
	expect_refusal(DISK, &o, "Invalid password, cannot unlock any keyslot");
	change_file(at, "SKUL", 4);
	expect_refusal(DISK, &o, "Volume is not in LUKS format");
}

/* An entry that points at the LUKS header: the image is marked corrupt before
 * the keys are lost. */
static void
test_the_keys_are_not_overwritten(void **state)
{
	struct q2_open_opts o = opts_with(IMAGE_KEY);
	uint8_t entry[8], buf[4096] = {1};
	struct q2_image *img;
	struct image *i;

	(void)state;
	make(DISK, 2);
	img = open_with(DISK, IMAGE_KEY);
	i = (struct image *)img;
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	assert_int_equal(q2_flush(img), 0);
	store_be64(entry, i->header.crypto_offset | ENTRY_COPIED);
	change_file(i->l1.entries[0] & ENTRY_OFFSET_MASK, entry, 8);
	assert_int_equal(q2_close(img, NULL), 0);
	img = open_with(DISK, IMAGE_KEY);
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), -EIO);
	assert_true(q2_pwrite(img, buf, 10, 5) < 0);
	(void)q2_close(img, NULL);
	o.flags = Q2_RDONLY;
	assert_int_equal(q2_open((struct q2_loop *)loop, DISK, &o, &img, NULL),
			 0);
	assert_int_equal(q2_close(img, NULL), 0);
}

/* Zeros of the file are none to the guest: as long as the entry on the disk, or
 * a reader, may still use the place, its bytes stay. */
static void
test_discarded_places_keep_their_bytes(void **state)
{
	struct q2_open_opts o = opts_with(IMAGE_KEY);
	uint8_t buf[4096] = {1}, before[4096], after[4096];
	struct reading d = {.name = DISK, .n = sizeof(buf)};
	struct q2_req rq = {.op = Q2_DISCARD, .len = sizeof(buf)};
	struct q2_image *img = NULL;
	struct map_extent ext;

	(void)state;
	rq.done = part_done;
	parts_done = 0;
	make(DISK, 1);
	o.discard_no_unref = true;
	assert_int_equal(q2_open((struct q2_loop *)loop, DISK, &o, &img, NULL),
			 0);
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	assert_int_equal(q2_flush(img), 0);
	assert_true(map_peek((struct image *)img, 0, sizeof(buf), &ext));
	d.off = ext.host;
	d.bytes = before;
	assert_int_equal(loop_call(loop, run_file, &d), 0);
	q2_submit(img, &rq);
	while (!parts_done)
		assert_true(q2_loop_run((struct q2_loop *)loop, 1, -1) >= 0);
	d.bytes = after;
	assert_int_equal(loop_call(loop, run_file, &d), 0);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(q2_pread(img, buf, sizeof(buf), 0), 0);
	assert_true(mem_is_zero(buf, sizeof(buf)));
	assert_true(map_peek((struct image *)img, 0, sizeof(buf), &ext));
	assert_int_equal(ext.kind, CLUSTER_ZERO_ALLOC);
	assert_int_equal(ext.host, d.off);
	assert_int_equal(q2_close(img, NULL), 0);
}

static int compressed_result = 1;

static void
compressed_done(struct q2_req *rq)
{
	compressed_result = rq->result;
}

static void
test_compressed_writes_are_refused(void **state)
{
	uint8_t buf[4096] = {1};
	struct iovec iov = {buf, sizeof(buf)};
	struct q2_req rq = {.op = Q2_WRITE,
			    .flags = Q2_COMPRESSED,
			    .len = sizeof(buf),
			    .iov = &iov,
			    .iovcnt = 1,
			    .done = compressed_done};
	struct q2_image *img;

	(void)state;
	make(DISK, 1);
	img = open_with(DISK, IMAGE_KEY);
	q2_submit(img, &rq);
	while (compressed_result > 0)
		assert_true(q2_loop_run((struct q2_loop *)loop, 1, -1) >= 0);
	assert_int_equal(compressed_result, -ENOTSUP);
	assert_int_equal(q2_close(img, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_of_the_guest_is_on_the_disk),
		cmocka_unit_test(test_what_is_equal_does_not_look_equal),
		cmocka_unit_test(test_what_went_through_the_cipher_is_counted),
		cmocka_unit_test(test_parts_of_a_sector_do_not_lose_each_other),
		cmocka_unit_test(test_keys_that_do_not_open),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_without_a_key_nothing_is_read),
		cmocka_unit_test(test_each_layer_has_its_key),
		cmocka_unit_test(
			test_a_commit_goes_through_the_cipher_of_its_layer),
		cmocka_unit_test(test_a_damaged_header_is_told),
		cmocka_unit_test(test_the_keys_are_not_overwritten),
		cmocka_unit_test(test_discarded_places_keep_their_bytes),
		cmocka_unit_test(test_compressed_writes_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
