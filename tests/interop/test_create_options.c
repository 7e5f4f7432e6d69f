/* SPDX-License-Identifier: MIT */
/*
 * test_create_options.c - every option of a new image, judged by qemu-img
 *
 * Our image and QEMU's with the same options: the same length, the same
 * information; ours is clean, reads as it should and can be
 * written.  Needs qemu-img and qemu-io.
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/aio/aio.h"
#include "engine/base/num.h"
#include "engine/format/plan.h"
#include "engine/img/cmd.h"
#include "engine/q2.h"
#include "tests/env.h"
#include "tests/interop/own.h"
#include "tests/interop/qio.h"
#include "tests/interop/spawn.h"

/* All names are relative to a folder that the test works in. */
#define OURS     "t.qcow2"
#define OUR_DATA "t.data"

static struct q2_loop *loop;
static struct qio *qio;
static char home[4096], dir[300];

/* What a command prints; the caller frees it. */
static char *
output_of(const char *command)
{
	int status = spawn_line(0, "%s", command);
	char *text = spawn_output(0);

	if (status != 0)
		fail_msg("%s: status %d: %s", command, status, text);
	return text;
}

static void
must(const char *command)
{
	free(output_of(command));
}

/* What qemu-io was told went without a word. */
static void
qio_is_silent(const char *what)
{
	char *said = qio_result(qio);

	if (*said)
		fail_msg("%s: qemu-io: %s", what, said);
	free(said);
}

/* Many small images: memory is faster, where there is a file system in it. */
static int
setup(void **state)
{
	const char *build = getenv("B");
	bool memory = access("/dev/shm", W_OK) == 0;

	(void)state;
	test_keep_memory();
	assert_non_null(getcwd(home, sizeof(home)));
	(void)snprintf(dir, sizeof(dir), "%s/create-XXXXXX",
		       memory  ? "/dev/shm"
		       : build ? build
			       : ".");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	qio = qio_start();
	return q2_loop_new(NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	static const char *const names[] = {
		OURS,         "q.qcow2", "q.data", OUR_DATA, "qemu.data",
		"base.qcow2", "image",   "link",   "out.0",  "out.1",
	};

	(void)state;
	qio_end(qio);
	q2_loop_free(loop);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(names[i]);
	(void)unlink("base.raw");
	assert_int_equal(chdir(home), 0);
	return rmdir(dir);
}

static void
need_qemu(void)
{
	if (qio && spawn_line(0, "qemu-img --version") == 0)
		return;
	print_message("qemu-img and qemu-io are not installed\n");
	skip();
}

static uint64_t
length_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

/* ---- lengths ----------------------------------------------------------- */

static const char *const modes[] = {"off", "metadata", "falloc", "full"};

static unsigned wrong;

static void
compare_length(const struct q2_create_opts *o)
{
	char command[300];
	struct plan p;

	assert_int_equal(plan_make(o, &p, NULL), 0);
	(void)snprintf(
		command, sizeof(command),
		"qemu-img create -q -f qcow2 -o cluster_size=%u,"
		"refcount_bits=%u,preallocation=%s%s%s q.qcow2 %" PRIu64,
		o->cluster_size, o->refcount_bits, modes[o->preallocation],
		o->extended_l2 ? ",extended_l2=on" : "",
		o->data_file ? ",data_file=q.data" : "", o->virtual_size);
	must(command);
	if (length_of("q.qcow2") == p.file_bytes)
		return;
	wrong++;
	print_error("cluster %u, width %u, %s, %s, %s, size %" PRIu64
		    ": %" PRIu64 " instead of %" PRIu64 "\n",
		    o->cluster_size, o->refcount_bits, modes[o->preallocation],
		    o->extended_l2 ? "extended" : "plain",
		    o->data_file ? "external" : "internal", o->virtual_size,
		    p.file_bytes, length_of("q.qcow2"));
}

/* Each shape with each width, and each pair of a mode and one of these: most
 * with what has refcounts for the data. */
static void
test_lengths_of_every_width(void **state)
{
	static const struct {
		unsigned bits;
		uint64_t size;
	} shapes[] = {{9, 3 * MiB + 512},
		      {12, 20 * MiB},
		      {16, 65 * MiB + 512},
		      {21, 70 * MiB}};

	(void)state;
	need_qemu();
	wrong = 0;
	for (unsigned s = 0; s < ARRAY_SIZE(shapes); s++) {
		for (unsigned order = 0; order <= 6; order++) {
			struct q2_create_opts o = {
				.virtual_size = shapes[s].size,
				.cluster_size = 1U << shapes[s].bits,
				.refcount_bits = 1U << order,
				.preallocation = 1 + (s + order) % 2,
			};

			compare_length(&o);
			o.preallocation = Q2_PREALLOC_OFF;
			if (order % ARRAY_SIZE(shapes) == s)
				compare_length(&o);
		}
	}
	assert_int_equal(wrong, 0);
}

/* Each layout with each mode and each cluster size, and these with each
 * other. */
static void
test_lengths_with_subclusters_and_data_files(void **state)
{
	static const unsigned bits[] = {14, 16, 21};

	(void)state;
	need_qemu();
	wrong = 0;
	for (unsigned layout = 0; layout < 4; layout++) {
		for (unsigned mode = 0; mode < 4; mode++) {
			unsigned b = (layout + mode) % ARRAY_SIZE(bits);
			struct q2_create_opts o = {
				.virtual_size = 33 * MiB + 512,
				.cluster_size = 1U << bits[b],
				.refcount_bits = 1U << (2 * b),
				.preallocation = mode,
				.extended_l2 = layout<2, .data_file = layout> 0
						       ? "q.data"
						       : NULL,
			};

			if (layout == 3) {
				o.cluster_size = 512;
				o.virtual_size = 5 * MiB;
			}
			compare_length(&o);
		}
	}
	assert_int_equal(wrong, 0);
}

/* ---- kinds of images --------------------------------------------------- */

static const struct kind {
	struct q2_create_opts o;
	const char *options; /* the same for qemu-img */
} kinds[] = {
	{{.compat = 3}, "compat=v3"},
	{{.compat = 2}, "compat=v2"},
	{{.compat = 2, .preallocation = Q2_PREALLOC_METADATA},
	 "compat=0.10,preallocation=metadata"},
	{{.lazy_refcounts = true}, "lazy_refcounts=on"},
	{{.refcount_bits = 1}, "refcount_bits=1"},
	{{.refcount_bits = 2, .preallocation = Q2_PREALLOC_METADATA},
	 "refcount_bits=2,preallocation=metadata"},
	{{.refcount_bits = 8, .cluster_size = 512},
	 "refcount_bits=8,cluster_size=512"},
	{{.refcount_bits = 64, .preallocation = Q2_PREALLOC_FALLOC},
	 "refcount_bits=64,preallocation=falloc"},
	{{.compression_type = "zstd"}, "compression_type=zstd"},
	{{.extended_l2 = true}, "extended_l2=on"},
	{{.extended_l2 = true, .preallocation = Q2_PREALLOC_METADATA},
	 "extended_l2=on,preallocation=metadata"},
	{{.extended_l2 = true,
	  .cluster_size = 16384,
	  .preallocation = Q2_PREALLOC_FULL},
	 "extended_l2=on,cluster_size=16k,preallocation=full"},
	{{.data_file = "q.data"}, "data_file=q.data"},
	{{.data_file = "q.data", .preallocation = Q2_PREALLOC_METADATA},
	 "data_file=q.data,preallocation=metadata"},
	{{.data_file = "q.data", .preallocation = Q2_PREALLOC_FALLOC},
	 "data_file=q.data,preallocation=falloc"},
	{{.data_file = "q.data", .preallocation = Q2_PREALLOC_FULL},
	 "data_file=q.data,preallocation=full"},
	{{.data_file = "q.data", .data_file_raw = true},
	 "data_file=q.data,data_file_raw=on"},
	{{.data_file = "q.data",
	  .extended_l2 = true,
	  .preallocation = Q2_PREALLOC_METADATA},
	 "data_file=q.data,extended_l2=on,preallocation=metadata"},
	{{.backing_file = "base.qcow2", .backing_format = "qcow2"},
	 "backing_file=base.qcow2,backing_fmt=qcow2"},
	{{.compat = 2, .backing_file = "base.raw", .backing_format = "raw"},
	 "compat=v2,backing_file=base.raw,backing_fmt=raw"},
	{{.extended_l2 = true,
	  .preallocation = Q2_PREALLOC_FALLOC,
	  .backing_file = "base.qcow2",
	  .backing_format = "qcow2"},
	 "extended_l2=on,preallocation=falloc,backing_file=base.qcow2,"
	 "backing_fmt=qcow2"},
	{{.data_file = "q.data",
	  .backing_file = "base.qcow2",
	  .backing_format = "qcow2"},
	 "data_file=q.data,backing_file=base.qcow2,backing_fmt=qcow2"},
};

/* Does a line of text have it? */
static bool
line_has(const char *line, const char *what)
{
	const char *p = strstr(line, what);

	return p && p < line + strcspn(line, "\n");
}

/* Without what the names and the holes of a file make of it. */
static void
drop_lines_of_the_file(char *text)
{
	while (*text) {
		char *next = text + strcspn(text, "\n");

		next += *next == '\n';
		if (line_has(text, "actual-size") ||
		    line_has(text, "\"filename\""))
			memmove(text, next, strlen(next) + 1);
		else
			text = next;
	}
}

/* QEMU says the same of its image and of ours. */
static void
same_info(const char *options)
{
	char *ours = output_of("qemu-img info --output=json " OURS);
	char *qemus = output_of("qemu-img info --output=json q.qcow2");

	drop_lines_of_the_file(ours);
	drop_lines_of_the_file(qemus);
	if (strcmp(ours, qemus) != 0)
		fail_msg("%s, info:\n%s\ninstead of\n%s", options, ours, qemus);
	free(ours);
	free(qemus);
}

/* Only which states there are: extents end where the file has holes. */
static void
same_states(const char *options)
{
	char *ours = output_of("qemu-img map --output=json " OURS);
	char *qemus = output_of("qemu-img map --output=json q.qcow2");

	for (int i = 0; i < 2; i++) {
		const char *state = i ? "\"present\": true"
				      : "\"present\": false";

		if (!strstr(ours, state) != !strstr(qemus, state))
			fail_msg("%s, map:\n%s\ninstead of\n%s", options, ours,
				 qemus);
	}
	assert_non_null(strstr(qemus, "\"present\": "));
	free(ours);
	free(qemus);
}

/* Our program says of our image what qemu-img says of it; the chain of one
 * without a backing file is only once of interest. */
static void
check_info(const struct kind *k)
{
	static const struct words forms[] = {
		{{"qemu-img", "info", OURS}, 3},
		{{"qemu-img", "info", "--output=json", OURS}, 4},
		{{"qemu-img", "info", "--backing-chain", OURS}, 4},
		{{"qemu-img", "info", "--backing-chain", "--output=json", OURS},
		 5},
	};
	size_t n = k->o.backing_file || k == kinds ? ARRAY_SIZE(forms) : 2;

	for (size_t i = 0; i < n; i++) {
		struct words own = {0};
		char *ours, *qemus;
		pid_t pid = spawn(&forms[i], 0);

		words_add(&own, forms[i].word + 1, forms[i].n - 1);
		assert_int_equal(own_run(cmd_info, &own, 1), 0);
		assert_int_equal(spawn_wait(pid), 0);
		ours = spawn_output(1);
		qemus = spawn_output(0);
		if (strcmp(ours, qemus) != 0)
			fail_msg("%s, info %zu:\n%s\ninstead of\n%s",
				 k->options, i, ours, qemus);
		free(ours);
		free(qemus);
	}
}

static void
make_base(uint64_t size)
{
	int fd = open("base.raw", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(close(fd), 0);
	qio_do(qio, "open -o driver=raw base.raw");
	qio_do(qio, "write -q -P 9 64k 300k");
	qio_do(qio, "close");
	qio_is_silent("base.raw");
	must("qemu-img convert -f raw -O qcow2 base.raw base.qcow2");
}

static void
check_reading_and_writing(const struct kind *k, uint64_t size)
{
	uint8_t *disk = calloc(1, size);

	assert_non_null(disk);
	if (k->o.backing_file)
		memset(disk + 64 * KiB, 9, 300 * KiB);
	must("qemu-img check -q " OURS);
	qio_do(qio, "open -r -o driver=qcow2 " OURS);
	qio_verify(qio, disk, size);
	qio_do(qio, "close");
	qio_is_silent(k->options);
	qio_do(qio, "open -o driver=qcow2 " OURS);
	qio_do(qio, "write -q -P 3 100k 150k");
	qio_do(qio, "write -q -P 4 1M 512");
	qio_do(qio, "close");
	qio_is_silent(k->options);
	memset(disk + 100 * KiB, 3, 150 * KiB);
	memset(disk + MiB, 4, 512);
	must("qemu-img check -q " OURS);
	qio_do(qio, "open -r -o driver=qcow2 " OURS);
	qio_verify(qio, disk, size);
	qio_do(qio, "close");
	qio_is_silent(k->options);
	free(disk);
}

static void
test_images_of_every_kind(void **state)
{
	uint64_t size = 2 * MiB + 512;

	(void)state;
	need_qemu();
	make_base(size);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct q2_create_opts o = kinds[i].o;
		struct q2_create_result result;
		struct q2_err err;
		char command[300];

		o.size = sizeof(o);
		o.virtual_size = size;
		(void)snprintf(command, sizeof(command),
			       "qemu-img create -q -f qcow2 -o %s q.qcow2 "
			       "%" PRIu64,
			       kinds[i].options, size);
		must(command);
		if (o.data_file)
			assert_int_equal(rename("q.data", "qemu.data"), 0);
		if (q2_create(loop, OURS, &o, &result, &err) < 0)
			fail_msg("%s: %s", kinds[i].options, err.text);
		assert_int_equal(result.file_bytes, length_of("q.qcow2"));
		assert_int_equal(result.file_bytes, length_of(OURS));
		assert_in_range(result.fdatasyncs, 1, 2);
		if (o.data_file)
			assert_int_equal(length_of("q.data"),
					 length_of("qemu.data"));
		same_info(kinds[i].options);
		same_states(kinds[i].options);
		check_info(&kinds[i]);
		check_reading_and_writing(&kinds[i], size);
	}
}

/* ---- what must not happen ---------------------------------------------- */

static void
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
expect_text(const char *path, const char *text)
{
	char buf[64] = "";
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	assert_non_null(fgets(buf, sizeof(buf), f));
	assert_int_equal(fclose(f), 0);
	assert_string_equal(buf, text);
}

/* Whatever is wrong with the data file shows before the image is touched. */
static void
test_a_bad_data_file_changes_nothing(void **state)
{
	static const struct {
		const char *data;
		int error;
	} bad[] = {
		{"no/such/folder", -ENOENT}, {".", -EISDIR},
		{"image", -EINVAL},   /* the image itself */
		{"./image", -EAGAIN}, /* ... by another name */
		{"link", -EAGAIN},           {"", -ENOENT},
	};

	(void)state;
	assert_int_equal(symlink("image", "link"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct q2_create_opts o = {.size = sizeof(o),
					   .virtual_size = MiB,
					   .data_file = bad[i].data};
		struct q2_err err = {0};

		write_text("image", "precious");
		assert_int_equal(q2_create(loop, "image", &o, NULL, &err),
				 bad[i].error);
		assert_true(err.text[0]);
		expect_text("image", "precious");
	}
}

static void
test_a_data_file_in_use_is_not_emptied(void **state)
{
	struct q2_create_opts o = {
		.size = sizeof(o), .virtual_size = MiB, .data_file = OUR_DATA};
	struct points points = {0};
	struct aio_file *file;
	struct q2_err err;

	(void)state;
	write_text(OUR_DATA, "precious");
	(void)unlink(OURS);
	assert_int_equal(aio_open((struct loop *)loop, OUR_DATA, 0, &points,
				  &file, NULL),
			 0);
	assert_int_equal(aio_lock(file, AIO_LOCK_WRITE, NULL), 0);
	assert_int_equal(q2_create(loop, OURS, &o, NULL, &err), -EAGAIN);
	aio_close(file);
	expect_text(OUR_DATA, "precious");
	assert_int_equal(access(OURS, F_OK), -1);
}

static void
test_an_image_that_cannot_be_made_leaves_the_data_file(void **state)
{
	struct q2_create_opts o = {
		.size = sizeof(o), .virtual_size = MiB, .data_file = OUR_DATA};
	struct q2_err err;

	(void)state;
	write_text(OUR_DATA, "precious");
	assert_int_equal(q2_create(loop, "no/such/image", &o, NULL, &err),
			 -ENOENT);
	expect_text(OUR_DATA, "precious");
	(void)unlink(OUR_DATA);
	assert_int_equal(q2_create(loop, "no/such/image", &o, NULL, &err),
			 -ENOENT);
	assert_int_equal(access(OUR_DATA, F_OK), -1);
}

static void
test_hints_do_no_harm(void **state)
{
	static const int64_t hints[] = {0, -1, 4096, 1 << 20, UINT32_MAX};
	struct q2_create_opts o = {
		.size = sizeof(o), .virtual_size = MiB, .nocow = true};
	struct q2_create_result result;
	struct q2_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		o.extent_size_hint = hints[i];
		assert_int_equal(q2_create(loop, OURS, &o, &result, &err), 0);
		assert_true(hints[i] > 0 || result.hint_error == 0);
	}
	o.extent_size_hint = UINT32_MAX + INT64_C(1);
	assert_int_equal(q2_create(loop, OURS, &o, &result, &err), -EINVAL);
	assert_string_equal(err.text, "Extent size hint is too large");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths_of_every_width),
		cmocka_unit_test(test_lengths_with_subclusters_and_data_files),
		cmocka_unit_test(test_images_of_every_kind),
		cmocka_unit_test(test_a_bad_data_file_changes_nothing),
		cmocka_unit_test(test_a_data_file_in_use_is_not_emptied),
		cmocka_unit_test(
			test_an_image_that_cannot_be_made_leaves_the_data_file),
		cmocka_unit_test(test_hints_do_no_harm),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
