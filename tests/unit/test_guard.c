/* SPDX-License-Identifier: MIT */
/*
 * When a disk is quiet, and which rounds others have disturbed: the pure parts,
 * on samples that are made up; and the canary and a window, for real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/guard.h"

static const struct disk_rates fast = {.iops = 50000, .bytes_per_s = 1e9};
static const struct disk_rates slow = {.iops = 100, .bytes_per_s = 1e8};
static const struct disk_rates unknown = {.iops = 0};

/* ---- counters ---------------------------------------------------------- */

static void
test_lines_of_disks(void **state)
{
	struct disk_count c = {0};

	(void)state;
	assert_true(disk_stat_parse("  10 0 80 5 20 0 160 7 3 9 12", &c));
	assert_int_equal(c.ops, 30);
	assert_int_equal(c.bytes, 240 * 512);
	assert_int_equal(c.flying, 3);
	/* Discards and flushes are requests too, and move no bytes; the disks
	 * of a stack add up. */
	assert_true(
		disk_stat_parse("1 0 8 0 1 0 8 0 1 0 0 4 0 4096 0 5 0\n", &c));
	assert_int_equal(c.ops, 41);
	assert_int_equal(c.bytes, 256 * 512);
	assert_int_equal(c.flying, 4);
	assert_false(disk_stat_parse("1 2 3 4 5 6 7 8 9 10", &c));
	assert_false(disk_stat_parse("", &c));
	assert_int_equal(c.ops, 41);
}

static void
test_lines_of_processors(void **state)
{
	struct cpu_count c;

	(void)state;
	assert_true(
		guard_parse_stat("cpu  1 2 4 800 16 32 64 128 256 512", &c));
	assert_int_equal(c.busy, 1 + 2 + 4 + 32 + 64);
	assert_int_equal(c.steal, 128);
	assert_int_equal(c.all, 1 + 2 + 4 + 800 + 16 + 32 + 64 + 128);
	assert_false(guard_parse_stat("cpu 1 2 3 4", &c));
	assert_false(guard_parse_stat("intr 1", &c));
}

static void
test_share_of_a_disk(void **state)
{
	(void)state;
	assert_float_equal(disk_share(500, 0, 0.2, 50000, 1e9), 0.05, 1e-9);
	assert_float_equal(disk_share(1, 20000000, 0.2, 50000, 1e9), 0.1, 1e-9);
	assert_float_equal(disk_share(500, 20000000, 0.2, 0, 0), 0, 1e-9);
	assert_float_equal(disk_share(500, 20000000, 0, 50000, 1e9), 0, 1e-9);
}

/* ---- quiet ------------------------------------------------------------- */

/* Samples at the settling's pace, each so much later than the one before. How
 * many until it is quiet, at most 100. */
static unsigned
samples_until_quiet(uint64_t ops, uint64_t bytes, uint64_t flying,
		    const struct disk_rates *rates)
{
	struct disk_count c = {.ops = 1000, .bytes = 5000, .flying = flying};
	struct settle_window w = {.n = 0};

	for (unsigned i = 1; i <= 100; i++) {
		if (settle_quiet(&w, 7 + i * SETTLE_POLL_S, &c, rates))
			return i;
		c.ops += ops;
		c.bytes += bytes;
	}
	return 100;
}

static void
test_an_idle_disk_is_quiet_after_200_ms(void **state)
{
	(void)state;
	assert_int_equal(samples_until_quiet(0, 0, 0, &fast), SETTLE_POLLS + 1);
	assert_int_equal(samples_until_quiet(0, 0, 0, &unknown),
			 SETTLE_POLLS + 1);
}

/* 2,500 of 50,000 requests a second are 5 %. */
static void
test_a_little_io_of_others_is_quiet(void **state)
{
	(void)state;
	assert_int_equal(samples_until_quiet(49, 0, 0, &fast),
			 SETTLE_POLLS + 1);
	assert_int_equal(samples_until_quiet(52, 0, 0, &fast), 100);
	assert_int_equal(samples_until_quiet(1, 900000, 0, &fast),
			 SETTLE_POLLS + 1);
	assert_int_equal(samples_until_quiet(1, 1100000, 0, &fast), 100);
	/* The same is much for a disk that can do little. */
	assert_int_equal(samples_until_quiet(1, 0, 0, &slow), 100);
	/* Nobody knows what it can do: then anything counts. */
	assert_int_equal(samples_until_quiet(1, 0, 0, &unknown), 100);
}

/* A discard of a second completes nothing meanwhile. */
static void
test_what_is_long_in_flight_is_not_quiet(void **state)
{
	(void)state;
	assert_int_equal(samples_until_quiet(0, 0, 1, &fast), 100);
}

static void
test_quiet_begins_when_the_burst_ends(void **state)
{
	struct settle_window w = {.n = 0};
	struct disk_count c = {0};
	unsigned i;

	(void)state;
	for (i = 1; i <= 25; i++) {
		assert_false(settle_quiet(&w, i * SETTLE_POLL_S, &c, &fast));
		c.ops += 5000;
		c.flying = 32;
	}
	c.flying = 0;
	for (i = 26; !settle_quiet(&w, i * SETTLE_POLL_S, &c, &fast); i++)
		assert_true(i < 50);
	assert_int_equal(i, 26 + SETTLE_POLLS);
}

/* ---- judgement --------------------------------------------------------- */

static const struct guard_usual usual = {
	.rates = {.iops = 50000, .bytes_per_s = 1e9},
	.cpu = {.median_s = 0.050, .mad_s = 0.0005},
	.io = {.median_s = 0.040, .mad_s = 0.004},
	.cpus = 2,
};

/* A quiet window of 300 ms on two processors. */
static struct guard_window
quiet_window(void)
{
	return (struct guard_window){
		.seconds = 0.3,
		.has_disk = true,
		.has_cpu = true,
		.ops = 10,
		.bytes = 40960,
		.all_ticks = 60,
		.foreign_cpu = 0.1,
		.canary = {.cpu_s = 0.051, .io_s = 0.042},
	};
}

static struct guard_verdict
judge(const struct guard_window *before, const struct guard_window *after)
{
	struct guard_verdict v;

	guard_judge(before, after, &usual, &v);
	return v;
}

static void
test_a_quiet_round(void **state)
{
	struct guard_window w = quiet_window();
	struct guard_verdict v = judge(&w, &w);

	(void)state;
	assert_false(v.contaminated);
	assert_string_equal(v.why, "");
	assert_true(v.has_disk && v.has_cpu);
	assert_int_equal(v.foreign_bytes, 2 * 40960);
	assert_float_equal(v.steal_pct, 0, 1e-9);
	assert_float_equal(v.canary_ratio, 1.05, 1e-9);
}

/* In either window, and it is said once. */
static void
check_disturbed(const struct guard_window *bad, const char *says)
{
	struct guard_window good = quiet_window();
	const struct guard_window *const pairs[][2] = {
		{bad, &good}, {&good, bad}, {bad, bad}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct guard_verdict v = judge(pairs[i][0], pairs[i][1]);

		assert_true(v.contaminated);
		assert_non_null(strstr(v.why, says));
		assert_null(strstr(v.why, ", "));
	}
}

static void
test_each_kind_of_disturbance(void **state)
{
	struct guard_window w = quiet_window();

	(void)state;
	w.bytes = 16 * MiB;
	check_disturbed(&w, "others used 6 % of the disk (53.3 MiB/s by ");
	w = quiet_window();
	w.ops = 800;
	check_disturbed(&w, "others used 5 % of the disk");
	w = quiet_window();
	w.foreign_cpu = 0.6;
	check_disturbed(&w, "others used 0.6 of 2 CPUs");
	w = quiet_window();
	w.canary.cpu_s = 0.056;
	check_disturbed(&w, "the processor was 12 % slower than usual");
	w = quiet_window();
	w.canary.cpu_s = 0.044;
	check_disturbed(&w, "the processor was 12 % faster than usual");
	w = quiet_window();
	w.steal_ticks = 3;
	check_disturbed(&w, "the hypervisor stole");
}

/* Reads that always vary by 10 % are off only beyond three deviations. */
static void
test_a_canary_that_always_varies(void **state)
{
	struct guard_window good = quiet_window(), w = quiet_window();

	(void)state;
	w.canary.io_s = 0.040 * 1.40;
	assert_false(judge(&good, &w).contaminated);
	assert_float_equal(judge(&good, &w).canary_ratio, 1.4, 1e-9);
	w.canary.io_s = 0.040 * 1.46;
	check_disturbed(&w, "the disk was 46 % slower than usual");
	w.canary.io_s = 0;
	assert_false(judge(&good, &w).contaminated);
}

static void
test_steal_is_of_both_windows(void **state)
{
	struct guard_window good = quiet_window(), w = quiet_window();

	(void)state;
	w.steal_ticks = 2;
	assert_float_equal(judge(&good, &w).steal_pct, 100.0 * 2 / 120, 1e-9);
	assert_false(judge(&good, &w).contaminated);
	assert_true(judge(&w, &w).contaminated);
}

static void
test_what_is_not_known_is_not_judged(void **state)
{
	struct guard_window w = {.seconds = 0.2, .foreign_cpu = 2};
	struct guard_verdict v = judge(&w, &w);

	(void)state;
	assert_false(v.contaminated || v.has_disk || v.has_cpu);
	assert_float_equal(v.canary_ratio, 1, 1e-9);
}

static void
test_many_processors_have_room(void **state)
{
	struct guard_usual many = usual;
	struct guard_window w = quiet_window();
	struct guard_verdict v;

	(void)state;
	many.cpus = 64;
	w.foreign_cpu = 15;
	guard_judge(&w, &w, &many, &v);
	assert_false(v.contaminated);
	w.foreign_cpu = 17;
	guard_judge(&w, &w, &many, &v);
	assert_true(v.contaminated);
}

static void
test_how_many_rounds_are_redone(void **state)
{
	(void)state;
	assert_int_equal(guard_redo_most(1), 1);
	assert_int_equal(guard_redo_most(6), 1);
	assert_int_equal(guard_redo_most(11), 1);
	assert_int_equal(guard_redo_most(12), 2);
	assert_int_equal(guard_redo_most(1200), 200);
}

/* ---- for real ---------------------------------------------------------- */

static void
test_the_canary_sings(void **state)
{
	const char *dir = getenv("TMPDIR");
	struct canary_norm cpu, io;
	struct canary_times times;
	struct canary c;

	(void)state;
	canary_init(&c, dir ? dir : "/var/tmp");
	assert_int_equal(c.n, 5);
	times = canary_sing(&c);
	assert_int_equal(c.n, 6);
	assert_true(times.cpu_s > 0);
	canary_norms(&c, &cpu, &io);
	assert_true(cpu.median_s > 0 && cpu.mad_s >= 0);
	/* Where O_DIRECT works there are reads; else none. */
	assert_int_equal(c.fd >= 0, times.io_s > 0);
	assert_int_equal(c.fd >= 0, io.median_s > 0);
	assert_int_equal(canary_bytes(&c), c.fd >= 0 ? c.reads * 4096UL : 0);
	for (int i = 0; i < 100; i++) {
		c.spins = 1;
		c.reads = 1;
		(void)canary_sing(&c);
	}
	assert_int_equal(c.n, 106);
	canary_done(&c);
}

/* Counters that another process moves while we look. A whole new file each
 * time, so that nobody reads half of one. */
static void
keep_moving(const char *path)
{
	char tmp[140];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	for (uint64_t i = 1;; i++) {
		FILE *f = fopen(tmp, "we");

		if (!f ||
		    fprintf(f, "0 0 0 0 %llu 0 %llu 0 0 0 0\n",
			    (unsigned long long)i * 10000,
			    (unsigned long long)i * 1000000) < 0 ||
		    fclose(f) != 0 || rename(tmp, path) != 0)
			_exit(1);
	}
}

static void
put_stat(const char *path)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs("0 0 0 0 7 0 800 0 0 0 0\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_a_window_sees_what_others_do(void **state)
{
	char root[] = "/tmp/q2-guard.XXXXXX", path[128];
	struct disks disks = {.n = 1};
	const volatile bool stop = false;
	struct guard_window w;
	struct guard g;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(root));
	(void)snprintf(path, sizeof(path), "%s/stat", root);
	(void)snprintf(disks.stat[0], sizeof(disks.stat[0]), "%s", path);
	put_stat(path);
	guard_init(&g, &disks, root, 2);
	w = guard_look(&g, &stop);
	assert_true(w.has_disk);
	assert_int_equal(w.bytes, 0);
	assert_true(w.seconds >= 0.2);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		keep_moving(path);
	/* On a machine that has more to do it may not get its turn at once. */
	for (int i = 0; i < 50 && w.bytes == 0; i++)
		w = guard_look(&g, &stop);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(w.bytes > 0 && w.ops > 0);
	guard_done(&g);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/stat.new", root);
	(void)unlink(path);
	assert_int_equal(rmdir(root), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_of_disks),
		cmocka_unit_test(test_lines_of_processors),
		cmocka_unit_test(test_share_of_a_disk),
		cmocka_unit_test(test_an_idle_disk_is_quiet_after_200_ms),
		cmocka_unit_test(test_a_little_io_of_others_is_quiet),
		cmocka_unit_test(test_what_is_long_in_flight_is_not_quiet),
		cmocka_unit_test(test_quiet_begins_when_the_burst_ends),
		cmocka_unit_test(test_a_quiet_round),
		cmocka_unit_test(test_each_kind_of_disturbance),
		cmocka_unit_test(test_a_canary_that_always_varies),
		cmocka_unit_test(test_steal_is_of_both_windows),
		cmocka_unit_test(test_what_is_not_known_is_not_judged),
		cmocka_unit_test(test_many_processors_have_room),
		cmocka_unit_test(test_how_many_rounds_are_redone),
		cmocka_unit_test(test_the_canary_sings),
		cmocka_unit_test(test_a_window_sees_what_others_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
