/* SPDX-License-Identifier: MIT */
/*
 * test_spec.c - images by text: options, json:{} and secrets
 *
 * Values end where they belong, wrong ones have QEMU's message, and random
 * damage to a text never does worse than that.
 */
#include <limits.h>
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
#include "engine/base/rng.h"
#include "engine/q2.h"
#include "tests/env.h"

static struct q2_spec spec;
static struct q2_err err;

static int
parse(const char *name, const char *list)
{
	spec = (struct q2_spec){.opts.flags = Q2_RDONLY};
	return q2_spec_parse(&spec, name, list, &err);
}

static void
test_values_end_where_they_belong(void **state)
{
	(void)state;
	assert_int_equal(
		parse(NULL, "driver=qcow2,file.driver=file,file.filename=a,,b,"
			    "l2-cache-size=1M,l2-cache-entry-size=4k,"
			    "refcount-cache-size=256k,cache-clean-interval=7,"
			    "lazy-refcounts=off,pass-discard-request=on,"
			    "pass-discard-other,discard-no-unref=yes,"
			    "overlap-check=constant,discard=unmap,"
			    "detect-zeroes=unmap,cache.direct=on,"
			    "file.locking=off,file.aio=native,force-share=on,"
			    "backing.driver=raw,backing.offset=4k,"
			    "data-file.filename=d.raw,"
			    "encrypt.key-secret=s0"),
		0);
	assert_string_equal(spec.path, "a,b");
	assert_string_equal(spec.aio, "libaio");
	assert_string_equal(spec.key_secret, "s0");
	assert_string_equal(spec.opts.driver, "qcow2");
	assert_string_equal(spec.opts.backing->driver, "raw");
	assert_int_equal(spec.opts.backing->part.offset, 4096);
	assert_string_equal(spec.opts.data_file, "d.raw");
	assert_int_equal(spec.opts.l2_cache_size, MiB);
	assert_int_equal(spec.opts.l2_cache_entry_size, 4096);
	assert_int_equal(spec.opts.refcount_cache_size, 256 * KiB);
	assert_int_equal(spec.opts.cache_clean_interval, 7);
	assert_int_equal(spec.opts.lazy_refcounts, -1);
	assert_int_equal(spec.opts.pass_discard_request, 1);
	assert_int_equal(spec.opts.pass_discard_other, 1);
	assert_true(spec.opts.discard_no_unref);
	assert_int_equal(spec.opts.overlap_check, Q2_OVERLAP_CONSTANT);
	assert_int_equal(spec.opts.detect_zeroes, Q2_DETECT_UNMAP);
	assert_int_equal(spec.opts.cache, Q2_CACHE_NONE);
	assert_int_equal(spec.opts.flags,
			 Q2_RDONLY | Q2_UNMAP | Q2_NO_LOCK | Q2_FORCE_SHARE);
	q2_spec_done(&spec);
}

static void
test_json_says_the_same(void **state)
{
	(void)state;
	assert_int_equal(
		parse("json:{'driver': 'qcow2', \"l2-cache-size\": 1048576, "
		      "\"lazy-refcounts\": true, 'cache': {'no-flush': true}, "
		      "'backing': null, \"cache-clean-interval\": 0, "
		      "'file': {'driver': 'file', 'filename': 'it\\'s \"x\"'}}",
		      NULL),
		0);
	assert_string_equal(spec.path, "it's \"x\"");
	assert_int_equal(spec.opts.l2_cache_size, MiB);
	assert_int_equal(spec.opts.lazy_refcounts, 1);
	assert_int_equal(spec.opts.cache, Q2_CACHE_UNSAFE);
	assert_int_equal(spec.opts.cache_clean_interval, UINT_MAX);
	assert_true(spec.opts.no_backing);
	q2_spec_done(&spec);
}

static void
test_raw_nodes_are_parts_of_parts(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL, "driver=raw,offset=1k,size=2k,"
				     "file.driver=raw,file.offset=1M,"
				     "file.file.driver=raw,file.file.size=2M,"
				     "file.file.offset=4k,"
				     "file.file.file.filename=a"),
			 0);
	assert_string_equal(spec.path, "a");
	assert_int_equal(spec.opts.part.offset, 1024 + MiB + 4096);
	assert_int_equal(spec.opts.part.size, 2048);
	assert_true(spec.opts.part.has_size);
	q2_spec_done(&spec);
	/* What no node limits has no size; what one does, ends there. */
	assert_int_equal(parse(NULL, "driver=qcow2,file.driver=raw,"
				     "file.offset=1M,file.file.filename=a"),
			 0);
	assert_false(spec.opts.part.has_size);
	q2_spec_done(&spec);
	assert_int_equal(parse(NULL, "driver=raw,offset=512k,file.driver=raw,"
				     "file.size=1M,file.file.filename=a"),
			 0);
	assert_int_equal(spec.opts.part.size, 512 * KiB);
	q2_spec_done(&spec);
	assert_true(parse(NULL, "driver=raw,offset=2M,file.driver=raw,"
				"file.size=1M,file.file.filename=a") < 0);
	assert_true(parse(NULL, "driver=raw,offset=16383P,file.driver=raw,"
				"file.offset=16383P,file.file.filename=a") < 0);
}

static void
test_other_files_have_options_of_their_own(void **state)
{
	const struct q2_open_opts *one, *two;

	(void)state;
	assert_int_equal(
		parse(NULL,
		      "driver=qcow2,file.filename=a,data-file.driver=raw,"
		      "data-file.offset=1M,data-file.file.filename=d,"
		      "backing.driver=qcow2,backing.file.filename=b,"
		      "backing.l2-cache-size=1M,backing.backing.driver=raw,"
		      "backing.backing.offset=512,backing.backing.size=1k,"
		      "backing.backing.file.driver=file,"
		      "backing.backing.file.filename=c"),
		0);
	assert_string_equal(spec.opts.data_file, "d");
	assert_int_equal(spec.opts.data_part.offset, MiB);
	assert_string_equal(spec.opts.backing_file, "b");
	one = spec.opts.backing;
	assert_non_null(one);
	assert_string_equal(one->driver, "qcow2");
	assert_int_equal(one->l2_cache_size, MiB);
	assert_string_equal(one->backing_file, "c");
	two = one->backing;
	assert_non_null(two);
	assert_string_equal(two->driver, "raw");
	assert_int_equal(two->part.offset, 512);
	assert_int_equal(two->part.size, 1024);
	q2_spec_done(&spec);
	/* The file is the header's, its options are not. */
	assert_int_equal(parse(NULL,
			       "driver=qcow2,file.filename=a,"
			       "backing.backing=,backing.file.locking=off"),
			 0);
	assert_null(spec.opts.backing_file);
	assert_true(spec.opts.backing->no_backing);
	q2_spec_done(&spec);
}

/* As deep as one likes: an error, not a crash. */
static void
test_deep_nodes_are_refused(void **state)
{
	static const char *const nodes[] = {"backing.", "file."};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		static char text[32768];
		char path[1024] = "";

		(void)strcpy(text, "driver=qcow2,file.filename=a");
		for (unsigned n = 0; n < 60; n++) {
			(void)strcat(path, nodes[i]);
			(void)sprintf(text + strlen(text), ",%sdriver=%s", path,
				      i ? "raw" : "qcow2");
		}
		assert_true(parse(NULL, text) < 0);
		assert_true(err.text[0]);
	}
}

static void
test_names_alone_and_with_options(void **state)
{
	(void)state;
	assert_int_equal(parse("file:x.qcow2", NULL), 0);
	assert_string_equal(spec.path, "x.qcow2");
	assert_null(spec.opts.driver);
	q2_spec_done(&spec);
	assert_int_equal(parse("./a:b", "driver=raw,file.aio=threads"), 0);
	assert_string_equal(spec.path, "./a:b");
	assert_string_equal(spec.opts.driver, "raw");
	q2_spec_done(&spec);
	/* Only the text on the command line is more than a path. */
	assert_int_equal(parse(NULL, "file.filename=json:{}"), 0);
	assert_string_equal(spec.path, "json:{}");
	q2_spec_done(&spec);
	assert_int_equal(parse(NULL, "driver=null-co,size=5M"), 0);
	assert_null(spec.path);
	assert_int_equal(spec.opts.virtual_size, 5 * MiB);
	q2_spec_done(&spec);
	/* What the caller has set holds. */
	spec = (struct q2_spec){
		.opts = {.driver = "raw", .cache = Q2_CACHE_WRITETHROUGH}};
	assert_int_equal(q2_spec_parse(&spec,
				       "json:{'driver': 'qcow2', 'file': "
				       "{'filename': 'a'}}",
				       NULL, &err),
			 0);
	assert_string_equal(spec.opts.driver, "raw");
	assert_int_equal(spec.opts.cache, Q2_CACHE_WRITETHROUGH);
	q2_spec_done(&spec);
}

static void
test_wrong_options_have_qemus_messages(void **state)
{
	static const struct {
		const char *name, *list, *text;
	} cases[] = {
		{NULL, "driver=x,file.filename=a", "Unknown driver 'x'"},
		{NULL, "", "Must specify either driver or file"},
		{NULL, "driver=qcow2",
		 "A block device must be specified for \"file\""},
		{NULL, "driver=qcow2,file=a",
		 "Cannot find device='a' nor node-name='a'"},
		{NULL, "driver=qcow2,file.filename=a,x=1",
		 "Block format 'qcow2' does not support the option 'x'"},
		{NULL, "driver=raw,file.filename=a,cache-size=1",
		 "Block format 'raw' does not support the option 'cache-size'"},
		{NULL, "driver=qcow2,file.filename=a,file.x=1",
		 "Block protocol 'file' doesn't support the option 'x'"},
		{NULL, "driver=qcow2,file.filename=a,lazy-refcounts=maybe",
		 "Parameter 'lazy-refcounts' expects 'on' or 'off'"},
		{NULL, "driver=qcow2,file.filename=a,detect-zeroes=unmap",
		 "setting detect-zeroes to unmap is not allowed without "
		 "setting discard operation to unmap"},
		{NULL, "driver=qcow2,file.filename=a,cache-clean-interval=1e9",
		 "Parameter 'cache-clean-interval' expects a number"},
		{NULL, "driver=qcow2,file.driver=file",
		 "The 'file' block driver requires a file name"},
		{"nbd:x", NULL, "Unknown protocol 'nbd'"},
		{"b", "file.filename=a",
		 "Can't specify 'file' and 'filename' options at the same "
		 "time"},
		{"json:{driver", NULL,
		 "Could not parse the JSON options: JSON parse error, invalid "
		 "keyword 'driver'"},
		{"json:[1]", NULL, "Invalid JSON object given"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(parse(cases[i].name, cases[i].list) < 0);
		assert_string_equal(err.text, cases[i].text);
		assert_null(spec.priv);
	}
}

static void
test_writing_to_what_is_read_only_is_refused(void **state)
{
	(void)state;
	spec = (struct q2_spec){0};
	assert_true(q2_spec_parse(&spec, "a", "read-only=on", &err) < 0);
	assert_string_equal(err.text, "Block node is read-only");
	spec = (struct q2_spec){0};
	assert_true(q2_spec_parse(&spec, "a", "force-share=on", &err) < 0);
}

/* Texts with random bytes changed, cut out, doubled. */
static void
test_damaged_texts_are_refused_or_taken(void **state)
{
	static const char *const texts[] = {
		"driver=qcow2,file.filename=a,,b,l2-cache-size=1M,discard=on",
		("driver=qcow2,file.driver=raw,file.file.filename=a,"
		 "backing.backing.driver=raw,backing.file.filename=b,"
		 "data-file.driver=raw,data-file.file.filename=c"),
		("json:{\"driver\":\"qcow2\",\"file\":{\"filename\":\"a\"},"
		 "\"backing\":null,\"cache-size\":1.5,\"x\":[1,{\"y\":'z'}]}"),
		"secret,id=a,data=YWJjZA==,format=base64",
		"{\"qom-type\":\"secret\",\"id\":\"a\",\"data\":\"x\"}",
	};
	struct rng rng = {.state = test_seed(1)};
	unsigned taken = 0, refused = 0;

	(void)state;
	for (unsigned i = 0; i < test_rounds(40000); i++) {
		struct q2_secrets *secrets = q2_secrets_new();
		const char *from = texts[i % ARRAY_SIZE(texts)];
		size_t len = strlen(from), n = 1 + rng_below(&rng, 4);
		char text[256];
		int r;

		(void)strcpy(text, from);
		while (n-- && len > 1) {
			size_t at = rng_below(&rng, len);

			if (rng_below(&rng, 2))
				text[at] = (char)(1 + rng_below(&rng, 255));
			else
				memmove(text + at, text + at + 1, len-- - at);
		}
		if (i % 5 < 2)
			r = parse(NULL, text);
		else if (i % 5 == 2)
			r = parse(text, NULL);
		else
			r = q2_secrets_add(secrets, text, &err);
		if (i % 5 <= 2 && r == 0)
			q2_spec_done(&spec);
		taken += r == 0;
		refused += r < 0;
		assert_true(r == 0 || err.text[0]);
		q2_secrets_free(secrets);
	}
	assert_true(taken > 0 && refused > 0);
}

static void
test_deep_and_long_texts_are_refused(void **state)
{
	size_t bytes = 200000;
	char *text = malloc(bytes + 16);

	(void)state;
	assert_non_null(text);
	(void)strcpy(text, "json:");
	for (size_t i = 0; i < bytes / 5; i++)
		memcpy(text + 5 + 5 * i, "{'a':", 6);
	assert_true(parse(text, NULL) < 0);
	/* Nested as deep as jansson takes it, and whole. */
	(void)strcpy(text, "json:");
	for (size_t i = 0; i < 100; i++)
		(void)strcat(text, "{'a':");
	(void)strcat(text, "1");
	for (size_t i = 0; i < 100; i++)
		(void)strcat(text, "}");
	assert_true(parse(text, NULL) < 0);
	assert_non_null(strstr(err.text, "nested deeper"));
	text[0] = 0;
	for (size_t i = 0; i < 2000; i++)
		(void)sprintf(text + strlen(text), "k%zu=1,", i);
	assert_true(parse(NULL, text) < 0);
	assert_non_null(strstr(err.text, "too many options"));
	free(text);
}

static void
test_secrets_are_found_by_id(void **state)
{
	struct q2_secrets *s = q2_secrets_new();
	char path[] = "build/secret-XXXXXX", text[64];
	int fd = mkstemp(path);
	size_t len;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a\0b\n", 4), 4);
	(void)close(fd);
	(void)snprintf(text, sizeof(text), "secret,id=f,file=%s", path);
	assert_int_equal(q2_secrets_add(s, text, &err), 0);
	(void)unlink(path);
	assert_memory_equal(q2_secrets_find(s, "f", &len), "a\0b\n", 4);
	assert_int_equal(len, 4);
	assert_int_equal(q2_secrets_add(s,
					"secret,id=b,format=base64,"
					"data=aGFsbG8=",
					&err),
			 0);
	assert_memory_equal(q2_secrets_find(s, "b", &len), "hallo", 5);
	assert_int_equal(len, 5);
	assert_null(q2_secrets_find(s, "c", &len));
	assert_true(q2_secrets_add(s, "secret,id=b,data=x", &err) < 0);
	assert_true(q2_secrets_add(s, "secret,id=c,data=!,format=base64",
				   &err) < 0);
	assert_true(q2_secrets_add(s, "secret,id=9,data=x", &err) < 0);
	assert_true(q2_secrets_add(s, "iothread,id=c", &err) < 0);
	q2_secrets_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_end_where_they_belong),
		cmocka_unit_test(test_json_says_the_same),
		cmocka_unit_test(test_raw_nodes_are_parts_of_parts),
		cmocka_unit_test(test_other_files_have_options_of_their_own),
		cmocka_unit_test(test_deep_nodes_are_refused),
		cmocka_unit_test(test_names_alone_and_with_options),
		cmocka_unit_test(test_wrong_options_have_qemus_messages),
		cmocka_unit_test(test_writing_to_what_is_read_only_is_refused),
		cmocka_unit_test(test_damaged_texts_are_refused_or_taken),
		cmocka_unit_test(test_deep_and_long_texts_are_refused),
		cmocka_unit_test(test_secrets_are_found_by_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
