/* SPDX-License-Identifier: MIT */
/*
 * test_keyslots.c - passphrases of a LUKS image: adding and erasing, with
 * QEMU's words for what cannot be; and a power cut anywhere in a change leaves
 * each slot as it was or as it shall be, and the others and the data alone
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/q2.h"
#include "tests/env.h"
#include "tests/image_make.h"
#include "tests/sim/sim.h"

#define DISK  "disk.qcow2"
#define BYTES (64 * KiB)

static struct q2_image *
try_key(struct loop *loop, const char *key)
{
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = "qcow2",
				 .key = key,
				 .key_len = strlen(key)};
	struct q2_image *img = NULL;

	if (q2_open((struct q2_loop *)loop, DISK, &o, &img, NULL) < 0)
		return NULL;
	return img;
}

static bool
opens(struct loop *loop, const char *key)
{
	struct q2_image *img = try_key(loop, key);
	uint8_t buf[512];

	if (!img)
		return false;
	/* By whichever key: the same data. */
	assert_int_equal(q2_pread(img, buf, sizeof(buf), 0), 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0x77);
	assert_int_equal(q2_close(img, NULL), 0);
	return true;
}

static struct q2_image *
make(struct loop *loop)
{
	struct image_make m = {
		.bytes = BYTES,
		.cluster_bits = 12,
		.refcount_order = 4,
		.crypt_method = 2,
	};
	struct q2_image *img;
	uint8_t buf[512];

	assert_int_equal(image_make(loop, DISK, &m), 0);
	img = try_key(loop, IMAGE_KEY);
	assert_non_null(img);
	memset(buf, 0x77, sizeof(buf));
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	assert_int_equal(q2_flush(img), 0);
	return img;
}

/* Options to add a passphrase, or to erase it. */
static struct q2_keyslot_opts
adding(const char *key)
{
	return (struct q2_keyslot_opts){
		.size = sizeof(struct q2_keyslot_opts),
		.key = IMAGE_KEY,
		.key_len = strlen(IMAGE_KEY),
		.new_key = key,
		.new_key_len = strlen(key),
		.has_iter_time = true,
	};
}

static struct q2_keyslot_opts
erasing(const char *key)
{
	return (struct q2_keyslot_opts){
		.size = sizeof(struct q2_keyslot_opts),
		.erase = true,
		.old_key = key,
		.old_key_len = key ? strlen(key) : 0,
	};
}

static void
change(struct q2_image *img, const struct q2_keyslot_opts *o)
{
	struct q2_err err = {0};

	if (q2_change_keyslots(img, o, &err) < 0)
		fail_msg("%s", err.text);
}

static void
refuse(struct q2_image *img, const struct q2_keyslot_opts *o, const char *text)
{
	struct q2_err err = {0};

	assert_true(q2_change_keyslots(img, o, &err) < 0);
	assert_string_equal(err.text, text);
}

static void
test_passphrases_come_and_go(void **state)
{
	struct loop *loop = sim_loop(NULL);
	struct q2_image *img = make(loop);
	struct q2_keyslot_opts o = adding("neu");
	struct q2_info info;

	(void)state;
	/* The slot that lies across two sectors of the header. */
	o.has_keyslot = true;
	o.keyslot = 6;
	change(img, &o);
	assert_int_equal(q2_info(img, &info, NULL), 0);
	assert_true(info.luks.slots[6].active && !info.luks.slots[1].active);
	o = adding("drittes");
	change(img, &o);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_true(opens(loop, IMAGE_KEY) && opens(loop, "neu") &&
		    opens(loop, "drittes"));
	img = try_key(loop, "neu");
	o = erasing(IMAGE_KEY);
	change(img, &o);
	o = erasing(NULL);
	o.has_keyslot = true;
	o.keyslot = 1;
	change(img, &o);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_true(opens(loop, "neu") && !opens(loop, IMAGE_KEY) &&
		    !opens(loop, "drittes"));
	loop_free(loop);
}

static void
test_what_cannot_be_added(void **state)
{
	struct loop *loop = sim_loop(NULL);
	struct q2_image *img = make(loop);
	struct q2_keyslot_opts o = adding("neu");

	(void)state;
	o.has_keyslot = true;
	refuse(img, &o,
	       "Refusing to overwrite active keyslot 0 - please erase it first");
	o.keyslot = 8;
	refuse(img, &o, "Invalid keyslot 8 specified, must be between 0 and 7");
	o = adding("neu");
	o.new_key = NULL;
	refuse(img, &o, "'new-secret' is required to activate a keyslot");
	o.new_secret = "x";
	refuse(img, &o, "No secret with id 'x'");
	o = adding("neu");
	o.old_key = "alt";
	refuse(img, &o,
	       "'old-secret' must not be given when activating keyslots");
	o = adding("neu");
	o.key_len--;
	refuse(img, &o, "Invalid password, cannot unlock any keyslot");
	o = adding("neu");
	for (unsigned i = 1; i < 8; i++)
		change(img, &o);
	refuse(img, &o, "Can't add a keyslot - all keyslots are in use");
	assert_int_equal(q2_close(img, NULL), 0);
	loop_free(loop);
}

static void
test_what_cannot_be_erased(void **state)
{
	struct loop *loop = sim_loop(NULL);
	struct q2_image *img = make(loop);
	struct q2_keyslot_opts o = erasing(NULL);

	(void)state;
	refuse(img, &o,
	       "To erase keyslot(s), either explicit keyslot index or the "
	       "password currently contained in them must be given");
	o.has_keyslot = true;
	refuse(img, &o,
	       "Attempt to erase the only active keyslot 0 which will erase "
	       "all the data in the image irreversibly - refusing operation");
	o.keyslot = 3;
	refuse(img, &o, "Given keyslot 3 is already erased (inactive) ");
	o = erasing(IMAGE_KEY);
	refuse(img, &o,
	       "All the active keyslots match the (old) password that was "
	       "given and erasing them will erase all the data in the image "
	       "irreversibly - refusing operation");
	o = erasing("falsch");
	refuse(img, &o,
	       "No keyslots match given (old) password for erase operation");
	o.has_keyslot = true;
	refuse(img, &o,
	       "Given keyslot 0 doesn't contain the given old password for "
	       "erase operation");
	o = erasing(IMAGE_KEY);
	o.has_iter_time = true;
	refuse(img, &o, "'iter-time' must not be given when erasing keyslots");
	o = erasing(IMAGE_KEY);
	o.new_key = "neu";
	refuse(img, &o, "'new-secret' must not be given when erasing keyslots");
	/* Who insists gets it. */
	o = erasing(IMAGE_KEY);
	o.force = true;
	change(img, &o);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_false(opens(loop, IMAGE_KEY));
	loop_free(loop);
}

/* ---- power cuts -------------------------------------------------------- */

static void
crash_everywhere(const struct q2_keyslot_opts *o, unsigned slot)
{
	struct sim_log log;
	struct sim_opts sim = {.seed = 1, .delay_max = 2, .log = &log};
	unsigned with = 0, without = 0;
	struct loop *loop;
	struct q2_image *img;
	uint64_t begin;

	sim_log_init(&log);
	loop = sim_loop(&sim);
	img = make(loop);
	if (o->erase) {
		struct q2_keyslot_opts first = adding("neu");

		first.has_keyslot = true;
		first.keyslot = slot;
		change(img, &first);
	}
	begin = log.now;
	change(img, o);
	/* Erasing is forty times the same write. */
	for (uint64_t at = begin; at <= log.now; at += o->erase ? 5 : 1) {
		for (uint64_t seed = 0; seed < test_rounds(4); seed++) {
			struct sim_crash crash = {
				.at = at,
				.seed = seed,
				.loss = seed ? SIM_SOME : SIM_DROP,
			};
			struct loop *other = sim_loop(NULL);

			assert_int_equal(sim_restore(&log, &crash, DISK, other),
					 0);
			assert_true(opens(other, IMAGE_KEY));
			if (opens(other, "neu"))
				with++;
			else
				without++;
			loop_free(other);
		}
	}
	print_message("slot %u, erase %d: opens in %u of %u states\n", slot,
		      o->erase, with, with + without);
	assert_true(with > 0 && without > 0);
	assert_int_equal(q2_close(img, NULL), 0);
	loop_free(loop);
	sim_log_done(&log);
}

static void
test_power_cuts_while_a_passphrase_changes(void **state)
{
	static const unsigned slots[] = {1, 6, 7};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct q2_keyslot_opts o = adding("neu");

		o.has_keyslot = true;
		o.keyslot = slots[i];
		crash_everywhere(&o, slots[i]);
		o = erasing(NULL);
		o.has_keyslot = true;
		o.keyslot = slots[i];
		crash_everywhere(&o, slots[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passphrases_come_and_go),
		cmocka_unit_test(test_what_cannot_be_added),
		cmocka_unit_test(test_what_cannot_be_erased),
		cmocka_unit_test(test_power_cuts_while_a_passphrase_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
