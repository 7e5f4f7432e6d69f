/* SPDX-License-Identifier: MIT */
/*
 * Headers on their way from one form to another, which only a crash leaves
 * (rule H1), are headers for QEMU, too: it finds the old backing file or the
 * new one, checks and writes the image, and its own rebase makes a plain header
 * of it again.  Skipped without qemu-utils.
 */
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
#include "engine/format/header.h"
#include "engine/q2.h"
#include "tests/interop/spawn.h"

static char dir[] = "/var/tmp/q2-way.XXXXXX";

static void
put(const struct header_write *w)
{
	FILE *f = fopen("top.qcow2", "r+e");

	assert_non_null(f);
	assert_int_equal(fseek(f, (long)w->off, SEEK_SET), 0);
	assert_int_equal(fwrite(w->bytes, 1, w->len, f), w->len);
	assert_int_equal(fclose(f), 0);
}

static void
run(unsigned step, const char *command)
{
	if (spawn_line(0, "%s", command) != 0) {
		char *said = spawn_output(0);

		fail_msg("after step %u: %s: %s", step, command, said);
	}
}

static void
write_copy(unsigned step)
{
	struct words w = {0};

	WORDS_ADD(&w, "qemu-io", "-f", "qcow2", "-c", "write 0 100k",
		  "copy.qcow2");
	if (spawn_wait(spawn(&w, 0)) != 0) {
		char *said = spawn_output(0);

		fail_msg("after step %u: write: %s", step, said);
	}
}

/* What QEMU makes of the image as it is now. */
static void
ask_qemu(unsigned step, const char *backing)
{
	char *said;

	run(step, "qemu-img info top.qcow2");
	said = spawn_output(0);
	if (!strstr(said, backing))
		fail_msg("after step %u: no '%s' in %s", step, backing, said);
	free(said);
	run(step, "qemu-img check top.qcow2");
	run(step, "cp top.qcow2 copy.qcow2");
	write_copy(step);
	run(step, "qemu-img rebase -u -b back -F raw copy.qcow2");
	run(step, "qemu-img check copy.qcow2");
}

static void
switch_to(const char *name, const char *was)
{
	uint64_t len;
	char *bytes = file_content("top.qcow2", &len);
	struct header_bytes old = {.p = bytes, .len = 64 * KiB};
	static struct header h;
	struct header_switch s;

	assert_int_equal(header_decode(bytes, len, false, &h, NULL), 0);
	(void)strcpy(h.backing_file, name);
	(void)strcpy(h.backing_format, h.backing_format[0] ? "" : "raw");
	assert_int_equal(header_plan_switch(&h, &old, 64 * KiB, &s, NULL), 0);
	assert_int_equal(s.n, 4);
	for (unsigned i = 0; i < s.n; i++) {
		put(&s.v[i]);
		ask_qemu(i, i < s.decisive ? was : name);
	}
	free(s.memory);
	free(bytes);
}

static void
test_qemu_reads_every_header_on_the_way(void **state)
{
	char longer[805];

	(void)state;
	if (spawn_line(0, "qemu-img --version") != 0) {
		(void)printf("skip - headers on the way # qemu-img is not "
			     "installed\n");
		return;
	}
	run(0, "qemu-img create -q -f raw back 1M");
	run(0, "qemu-img create -q -f raw back.raw 1M");
	run(0, "qemu-img create -q -f qcow2 -b back -F raw top.qcow2 1M");
	memset(longer, '.', 800);
	for (size_t i = 1; i < 800; i += 2)
		longer[i] = '/';
	(void)strcpy(longer + 800, "back");
	switch_to(longer, "back");
	switch_to("back.raw", longer);
	switch_to("./back", "back.raw");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qemu_reads_every_header_on_the_way),
	};
	int r;

	if (!mkdtemp(dir) || chdir(dir) < 0) {
		perror(dir);
		return 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)spawn_line(0, "rm -rf %s", dir);
	return r;
}
