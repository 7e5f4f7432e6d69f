/* SPDX-License-Identifier: MIT */
/* Tables of registered files and memory: slots, bounds, overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/aio/uring_reg.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"

#define BYTES 16384

static struct io_uring ring;
static struct reg reg;

static int
setup(void **state)
{
	(void)state;
	if (io_uring_queue_init(8, &ring, 0) < 0)
		return 0;
	reg_init(&reg, &ring);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (reg.ring)
		io_uring_queue_exit(&ring);
	reg.ring = NULL;
	return 0;
}

static void
need_ring(void)
{
	const char *ci = getenv("CI");

	if (reg.ring)
		return;
	printf("io_uring cannot be had\n");
	if (ci && strcmp(ci, "true") == 0)
		fail_msg("must not be skipped with CI=true");
	skip();
}

static void
test_slots_of_files_are_used_again(void **state)
{
	int slots[REG_FILES], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	need_ring();
	assert_true(fd >= 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < REG_FILES; i++) {
			slots[i] = reg_file_add(&reg, fd);
			assert_in_range(slots[i], 0, REG_FILES - 1);
			for (int j = 0; j < i; j++)
				assert_int_not_equal(slots[i], slots[j]);
		}
		assert_int_equal(reg_file_add(&reg, fd), -1);
		reg_file_remove(&reg, -1);
		reg_file_remove(&reg, slots[7]);
		assert_int_equal(reg_file_add(&reg, fd), slots[7]);
		for (int i = 0; i < REG_FILES; i++)
			reg_file_remove(&reg, slots[i]);
		assert_false(reg.files_on);
	}
	(void)close(fd);
}

static void
test_a_file_that_cannot_be_registered_leaves_no_table(void **state)
{
	(void)state;
	need_ring();
	assert_int_equal(reg_file_add(&reg, 9999), -1);
	assert_false(reg.files_on);
}

static void
test_memory_is_found_by_any_part_within_it(void **state)
{
	Q2_AUTO_FREE char *buf = mem_aligned(3 * (size_t)BYTES);
	char *a = buf, *b = buf + 2 * (size_t)BYTES;
	int slot_a, slot_b;

	(void)state;
	need_ring();
	assert_int_equal(reg_buf_find(&reg, a, 1), -1);
	/* Neither in the order of addresses nor side by side. */
	reg_buf_add(&reg, b, BYTES);
	reg_buf_add(&reg, a, BYTES);
	slot_a = reg_buf_find(&reg, a, BYTES);
	slot_b = reg_buf_find(&reg, b, BYTES);
	assert_true(slot_a >= 0 && slot_b >= 0 && slot_a != slot_b);
	assert_int_equal(reg_buf_find(&reg, a + BYTES - 1, 1), slot_a);
	assert_int_equal(reg_buf_find(&reg, b + 4096, 4096), slot_b);
	assert_int_equal(reg_buf_find(&reg, a + BYTES - 1, 2), -1);
	assert_int_equal(reg_buf_find(&reg, a + BYTES, 1), -1);
	assert_int_equal(reg_buf_find(&reg, a, BYTES + 1), -1);
	assert_int_equal(reg_buf_find(&reg, b - 1, 1), -1);

	reg_buf_remove(&reg, a + 4096); /* no beginning: nothing happens */
	reg_buf_remove(&reg, NULL);
	reg_buf_remove(&reg, a);
	assert_int_equal(reg_buf_find(&reg, a, 1), -1);
	assert_int_equal(reg_buf_find(&reg, b, BYTES), slot_b);
	reg_buf_remove(&reg, b);
	assert_false(reg.bufs_on);
}

static void
test_a_full_table_of_memory_is_no_error(void **state)
{
	Q2_AUTO_FREE char *buf = mem_aligned((REG_BUFS + 1) * (size_t)4096);
	char *last = buf + REG_BUFS * (size_t)4096;

	(void)state;
	need_ring();
	for (unsigned i = 0; i <= REG_BUFS; i++)
		reg_buf_add(&reg, buf + i * (size_t)4096, 4096);
	assert_int_equal(reg.n_bufs, REG_BUFS);
	assert_int_equal(reg_buf_find(&reg, last, 4096), -1);
	reg_buf_remove(&reg, last);
	reg_buf_remove(&reg, buf);
	reg_buf_add(&reg, last, 4096);
	assert_true(reg_buf_find(&reg, last, 4096) >= 0);
	for (unsigned i = 0; i <= REG_BUFS; i++)
		reg_buf_remove(&reg, buf + i * (size_t)4096);
	assert_int_equal(reg.n_bufs, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_slots_of_files_are_used_again),
		TEST(test_a_file_that_cannot_be_registered_leaves_no_table),
		TEST(test_memory_is_found_by_any_part_within_it),
		TEST(test_a_full_table_of_memory_is_no_error),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
