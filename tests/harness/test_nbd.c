/* SPDX-License-Identifier: MIT */
/*
 * Disks behind the NBD protocol, against a server of our own that answers
 * late, out of order, with errors, or goes away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/trial.h"
#include "harness/trial_spec.h"
#include "tests/harness/nbd_fake.h"
#include "workloads/content.h"

static void
test_iodepth_requests_are_in_flight_and_may_come_back_in_any_order(void **state)
{
	struct job_turn did;
	unsigned char expected[4096];
	struct stream_op op;
	struct stream stream;
	struct hist hist;
	struct nbd_meeting m;
	struct nbd_fake fake = nbd_fake_good;

	(void)state;
	nbd_need();
	fake.hold = 16;
	/* Nothing is answered before 16 are there: 15 would wait for ever. */
	nbd_meet(&m, fake, &nbd_want_all);
	assert_int_equal(m.result, 0);
	assert_int_equal(nbd_turn(&m, &nbd_writes, 16, &did, &hist), 0);
	assert_int_equal(did.ops, 64);
	assert_int_equal(did.bytes, 64 * 4096);
	assert_int_equal(hist.count, 64);
	assert_int_equal(m.disk.flush(&m.disk), 0);
	assert_int_equal(nbd_part(&m), 0);
	assert_int_equal(m.fake.most, 16);
	assert_int_equal(m.fake.flushes, 1);
	/* Each block is where it belongs. */
	assert_int_equal(stream_init(&stream, &nbd_writes, NULL), 0);
	while (stream_next(&stream, &op)) {
		content_fill(expected, op.len, op.off, nbd_writes.seed);
		assert_memory_equal(m.fake.disk + op.off, expected, op.len);
	}
	nbd_forget(&m);
}

static void
test_an_error_of_the_server_names_the_request(void **state)
{
	struct job_turn did;
	struct hist hist;
	struct nbd_meeting m;
	struct nbd_fake fake = nbd_fake_good;

	(void)state;
	nbd_need();
	fake.fail_from = MiB;
	nbd_meet(&m, fake, &nbd_want_all);
	assert_int_equal(nbd_turn(&m, &nbd_writes, 8, &did, &hist), -EIO);
	assert_non_null(strstr(m.err.text, "a write of 4096 bytes at "));
	(void)nbd_part(&m);
	nbd_forget(&m);
}

static void
test_a_server_that_goes_away_is_an_error_and_no_hang(void **state)
{
	struct job_turn did;
	struct hist hist;
	struct nbd_meeting m;
	struct nbd_fake fake = nbd_fake_good;

	(void)state;
	nbd_need();
	fake.hold = 60;
	fake.drop_after = 8;
	nbd_meet(&m, fake, &nbd_want_all);
	assert_true(nbd_turn(&m, &nbd_writes, 8, &did, &hist) < 0);
	assert_non_null(strstr(m.err.text, "failed"));
	(void)nbd_part(&m);
	assert_int_equal(m.fake.requests, 8);
	nbd_forget(&m);
}

/* The server is there and says nothing: before the handshake, and after one
 * request of two. */
static void
test_a_silent_server_is_given_up(void **state)
{
	struct nbd_want want = {
		.bytes = NBD_FAKE_BYTES, .write = true, .patience_ms = 50};
	struct nbd_fake mute = nbd_fake_good, waits = nbd_fake_good;
	struct job_turn did;
	struct hist hist;
	struct nbd_meeting m;

	(void)state;
	nbd_need();
	mute.mute = true;
	nbd_meet(&m, mute, &want);
	assert_int_equal(m.result, -ETIMEDOUT);
	assert_non_null(strstr(m.err.text, "has not answered for 1 s"));
	(void)nbd_part(&m);
	nbd_forget(&m);

	waits.hold = 60;
	nbd_meet(&m, waits, &want);
	assert_int_equal(m.result, 0);
	assert_int_equal(nbd_turn(&m, &nbd_writes, 8, &did, &hist), -ETIMEDOUT);
	(void)nbd_part(&m);
	nbd_forget(&m);
}

static void
refused(struct nbd_fake fake, const struct nbd_want *want, int code,
	const char *words)
{
	struct nbd_meeting m;

	nbd_meet(&m, fake, want);
	assert_int_equal(m.result, code);
	if (!strstr(m.err.text, words))
		fail_msg("'%s' is not in: %s", words, m.err.text);
	(void)nbd_part(&m);
	nbd_forget(&m);
}

static void
test_what_cannot_be_used_is_refused_with_the_reason(void **state)
{
	struct nbd_want exactly = {.bytes = MiB, .exactly = true};
	struct nbd_want more = {.bytes = NBD_FAKE_BYTES + 512};
	struct nbd_fake cannot_flush = nbd_fake_good, read_only = nbd_fake_good;

	(void)state;
	nbd_need();
	cannot_flush.flags = NBD_HAS_FLAGS;
	read_only.flags |= NBD_READ_ONLY;
	refused(cannot_flush, &nbd_want_all, -ENOTSUP, "cannot flush");
	refused(read_only, &nbd_want_all, -EROFS, "read-only");
	refused(nbd_fake_good, &more, -EINVAL, "export 5m");
	refused(nbd_fake_good, &exactly, -EINVAL,
		"has 4194304 bytes, not the 1048576");
}

static void
test_a_bad_uri_is_told(void **state)
{
	struct nbd_want want = {.bytes = 512};
	struct q2_err err;
	struct disk disk;

	(void)state;
	nbd_need();
	assert_true(nbd_disk_of_uri(&disk, NULL, "http://x", &want, &err) < 0);
	assert_non_null(strstr(err.text, "http://x"));
	assert_true(nbd_disk_of_uri(&disk, NULL, "nbd+unix:///?socket=/none",
				    &want, &err) < 0);
	assert_non_null(strstr(err.text, "cannot reach nbd+unix:///"));
}

/* What a server holds is somebody's. */
static void
test_an_export_is_overwritten_only_where_that_is_said(void **state)
{
	static const char text[] =
		"{'schema':1,'label':'x','target':'nbd','uri':'nbd://h',"
		"'image_size':1048576,'cache':'none','path':'-','round':1,"
		"'disk_size':1048576,'passes':[{'name':'p','op':'stream',"
		"'order':'once','write':true,'bs':4096,'iodepth':1,"
		"'area_off':0,'area_bytes':1048576,'stride':65536,'ops':8,"
		"'seed':'1','turns':1,'slice_ops':8}]}";
	char json_text[sizeof(text)];
	struct trial_spec spec;
	struct trial trial;
	struct q2_err err;
	json_t *json, *pass;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		json_text[i] = (char)(text[i] == '\'' ? '"' : text[i]);
	json = json_loads(json_text, 0, NULL);
	assert_non_null(json);
	assert_int_equal(trial_spec_parse(json, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "overwrite what is in nbd://h"));
	(void)json_object_set_new(json, "overwrite", json_true());
	assert_int_equal(trial_spec_parse(json, &spec, &err), 0);
	assert_string_equal(spec.image.uri, "nbd://h");
	trial_spec_done(&spec);
	/* Reading needs no leave; making an image is nothing it could do. */
	(void)json_object_del(json, "overwrite");
	pass = json_array_get(json_object_get(json, "passes"), 0);
	(void)json_object_set_new(pass, "write", json_false());
	assert_int_equal(trial_spec_parse(json, &spec, &err), 0);
	trial_spec_done(&spec);
	(void)json_object_set_new(pass, "op", json_string("create"));
	assert_int_equal(trial_spec_parse(json, &spec, &err), 0);
	assert_int_equal(trial_init(&trial, &spec, &err), 0);
	assert_int_equal(trial_begin(&trial, 0, &err), -EINVAL);
	assert_string_equal(err.text, "pass p: target nbd makes no image");
	trial_done(&trial);
	trial_spec_done(&spec);
	(void)json_object_del(json, "uri");
	assert_int_equal(trial_spec_parse(json, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "uri"));
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_iodepth_requests_are_in_flight_and_may_come_back_in_any_order),
		cmocka_unit_test(test_an_error_of_the_server_names_the_request),
		cmocka_unit_test(
			test_a_server_that_goes_away_is_an_error_and_no_hang),
		cmocka_unit_test(test_a_silent_server_is_given_up),
		cmocka_unit_test(
			test_what_cannot_be_used_is_refused_with_the_reason),
		cmocka_unit_test(test_a_bad_uri_is_told),
		cmocka_unit_test(
			test_an_export_is_overwritten_only_where_that_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
