/* SPDX-License-Identifier: MIT */
/*
 * test_advice.c - the sentence: every branch, word for word
 *
 * Each case is a world without chance: how fast each policy is against off in
 * each round.  tests/golden/advice.txt has what is said about it; a sentence
 * that changes has to be read aloud again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "harness/advice.h"
#include "tests/trials.h"

#define ROUNDS_MAX 12

/* Speed of first-write against off, by round; 0: the last value again. */
struct scene {
	const char *name;
	unsigned rounds;
	double metadata[ROUNDS_MAX], falloc[ROUNDS_MAX], full[ROUNDS_MAX];
	const char *filesystem, *medium, *cache, *discard;
	uint64_t user_bytes;
	double create_user_s[ADVICE_POLICIES];
	double alloc_user_bytes[ADVICE_POLICIES];
	double round_s, margin;
	double read;       /* speed of full in the pass read; 0: 1 */
	double full_bytes; /* share of the image that full takes; 0: all */
	bool standard, modelled, emulated, measured;
	size_t disturbed;
	unsigned without;
	/* expected */
	enum advice_kind kind;
	enum advice_policy policy;
};

#define SAME5                                     \
	{                                         \
		1.01, 0.99, 1.02, 0.98, 1.0, 1.01 \
	}
#define TWICE                                  \
	{                                      \
		1.9, 2.0, 2.05, 1.95, 2.0, 2.1 \
	}
#define BETTER                                     \
	{                                          \
		1.20, 1.22, 1.19, 1.21, 1.23, 1.18 \
	}

static const struct scene scenes[] = {
	{.name = "full is twice as fast",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "the same, for the user's disk",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .user_bytes = 64 * GiB,
	 .create_user_s = {0.009, 0.021, -1, -1},
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "metadata is better, nothing else is better than it",
	 .rounds = 6,
	 .metadata = BETTER,
	 .falloc = BETTER,
	 .full = BETTER,
	 .user_bytes = 64 * GiB,
	 .create_user_s = {0.009, 0.021, -1, -1},
	 .alloc_user_bytes = {200704, 10747904, -1, -1},
	 .measured = true,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_METADATA},
	{.name = "falloc, and full perhaps still better",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = BETTER,
	 .full = {1.4, 1.5, 1.2, 1.45, 1.35, 1.4},
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FALLOC},
	{.name = "falloc, for the user's disk",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = TWICE,
	 .full = SAME5,
	 .user_bytes = 64 * GiB,
	 .create_user_s = {0.009, 0.021, -1, -1},
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FALLOC},
	{.name = "full beats metadata, which beats off",
	 .rounds = 6,
	 .metadata = BETTER,
	 .falloc = SAME5,
	 .full = TWICE,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "full pays against off, but never against metadata",
	 .rounds = 6,
	 .metadata = {1.6, 1.7, 1.65, 1.6, 1.7, 1.65},
	 .falloc = SAME5,
	 .full = TWICE,
	 .user_bytes = 64 * GiB,
	 .create_user_s = {0.009, 0.021, 0.02, 30},
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "full catches up with both",
	 .rounds = 6,
	 .metadata = BETTER,
	 .falloc = SAME5,
	 .full = TWICE,
	 .user_bytes = 64 * GiB,
	 .create_user_s = {0.009, 0.021, 0.02, 10},
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "the same without full",
	 .rounds = 6,
	 .metadata = BETTER,
	 .falloc = SAME5,
	 .full = TWICE,
	 .without = 1U << ADVICE_FULL,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_METADATA},
	{.name = "the interval reaches beyond twice, the ratio does not",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = {1.1, 1.7, 1.8, 1.9, 2.2, 3},
	 .disturbed = 4,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "five times as fast, with unmap",
	 .rounds = 8,
	 .metadata = SAME5,
	 .falloc = {1},
	 .full = {5, 5.2, 4.9, 5.1, 5, 5.3, 4.8, 5},
	 .discard = "unmap",
	 .standard = true,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "full is better but reads slower",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .read = 0.7,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "exactly the margin in one round is not beyond it",
	 .rounds = 6,
	 .metadata = {1},
	 .falloc = {1},
	 .full = {1.05, 1.2, 1.2, 1.2, 1.2, 1.2},
	 .kind = ADVICE_CANNOT_TELL},
	{.name = "a margin of 10 %",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = {1.08},
	 .full = {1.09},
	 .margin = 0.1,
	 .kind = ADVICE_NO_DIFFERENCE},
	{.name = "no difference in a quick run",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = SAME5,
	 .kind = ADVICE_NO_DIFFERENCE},
	{.name = "no difference in the standard form",
	 .rounds = 8,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = SAME5,
	 .standard = true,
	 .kind = ADVICE_NO_DIFFERENCE},
	{.name = "slower, so not worth it",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = {0.8, 0.82, 0.79, 0.81, 0.8, 0.78},
	 .full = SAME5,
	 .kind = ADVICE_NOT_WORTH},
	{.name = "noisy",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = {1.3, 0.98, 1.15, 1.25, 1.02, 1.1},
	 .round_s = 22,
	 .kind = ADVICE_CANNOT_TELL},
	{.name = "hopeless",
	 .rounds = 6,
	 .metadata = {0.5, 2, 1.2, 0.7, 1.5, 0.9},
	 .falloc = SAME5,
	 .full = {0.5, 2, 1.2, 0.7, 1.5, 1},
	 .kind = ADVICE_CANNOT_TELL},
	{.name = "one stall in eight rounds",
	 .rounds = 8,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = {1.2, 1.2, 1.21, 1.19, 0.9, 1.22, 1.2, 1.2},
	 .kind = ADVICE_CANNOT_TELL},
	{.name = "five rounds",
	 .rounds = 5,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .kind = ADVICE_TOO_FEW},
	{.name = "one round",
	 .rounds = 1,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .kind = ADVICE_TOO_FEW},
	{.name = "tmpfs",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .filesystem = "tmpfs",
	 .medium = "ram",
	 .kind = ADVICE_NONE_MEDIUM},
	{.name = "a disk made of memory",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .medium = "ram",
	 .kind = ADVICE_NONE_MEDIUM},
	{.name = "overlayfs",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .filesystem = "overlay",
	 .kind = ADVICE_NONE_MEDIUM},
	{.name = "FUSE",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .filesystem = "fuse.sshfs",
	 .kind = ADVICE_NONE_MEDIUM},
	{.name = "network",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .filesystem = "nfs4",
	 .medium = "network",
	 .kind = ADVICE_NONE_MEDIUM},
	{.name = "a block device across a network",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = SAME5,
	 .medium = "network",
	 .kind = ADVICE_NO_DIFFERENCE},
	{.name = "simulated",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .modelled = true,
	 .kind = ADVICE_NONE_MODEL},
	{.name = "unsafe",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .cache = "unsafe",
	 .kind = ADVICE_NONE_CACHE},
	{.name = "off alone", .rounds = 6, .kind = ADVICE_NONE_DATA},
	{.name = "rotating disk",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = TWICE,
	 .medium = "hdd",
	 .read = 0.5,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FULL},
	{.name = "zeroes become holes",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = SAME5,
	 .full = SAME5,
	 .full_bytes = 0.01,
	 .kind = ADVICE_NO_DIFFERENCE},
	{.name = "emulated falloc",
	 .rounds = 6,
	 .metadata = SAME5,
	 .falloc = TWICE,
	 .full = TWICE,
	 .emulated = true,
	 .kind = ADVICE_BETTER,
	 .policy = ADVICE_FALLOC},
};

static double
speed(const double *by_round, uint64_t round)
{
	double last = 0;

	for (uint64_t i = 0; i < round && by_round[i] > 0; i++)
		last = by_round[i];
	return last;
}

/* Make a trial as fast as the scene says. */
static void
set_speed(struct record *t, const struct scene *s)
{
	const char *label = record_text(t, TRIAL_label);
	const char *pass = record_text(t, TRIAL_pass);
	const double *by_round = strstr(label, "metadata") ? s->metadata
				 : strstr(label, "falloc") ? s->falloc
							   : s->full;
	double seconds = record_real(t, TRIAL_duration_s);

	if (strcmp(pass, "first-write") == 0 && strstr(label, "qcow2-") &&
	    strcmp(label, "qcow2-off") != 0)
		seconds /= speed(by_round, record_int(t, TRIAL_round));
	if (strcmp(pass, "read") == 0 && strcmp(label, "qcow2-full") == 0 &&
	    s->read > 0)
		seconds /= s->read;
	record_set_real(t, TRIAL_duration_s, seconds);
	if (s->full_bytes > 0 && strcmp(label, "qcow2-full") == 0)
		record_set_int(t, TRIAL_alloc_bytes,
			       (uint64_t)(s->full_bytes * WORLD_SIZE));
	if (s->emulated && strcmp(label, "qcow2-falloc") == 0)
		record_add_flag(t, TRIAL_flags, "emulated");
}

static void
play(const struct scene *s, struct advice *ret)
{
	struct world w = world_usual;
	struct advice_opts opts = {
		.margin = s->margin,
		.quick = !s->standard,
		.user_bytes = s->user_bytes,
		.round_s = s->round_s,
		.disturbed = s->disturbed,
		.without = s->without,
	};
	struct rows trials = {0};

	memcpy(opts.create_user_s, s->create_user_s,
	       sizeof(opts.create_user_s));
	memcpy(opts.alloc_user_bytes, s->alloc_user_bytes,
	       sizeof(opts.alloc_user_bytes));
	w.rounds = s->rounds;
	w.noise = 0;
	w.first_write[METADATA] = s->metadata[0] > 0 ? 0.55 : 0;
	w.first_write[FALLOC] = s->falloc[0] > 0 ? 0.55 : 0;
	w.first_write[FULL] = s->full[0] > 0 ? 0.55 : 0;
	/* much faster than anything, and of no concern */
	w.first_write[OWN_OFF] = 4;
	w.filesystem = s->filesystem ? s->filesystem : w.filesystem;
	w.medium = s->medium ? s->medium : w.medium;
	w.cache = s->cache ? s->cache : w.cache;
	w.discard = s->discard ? s->discard : w.discard;
	w.modelled = s->modelled;
	trials_make(&w, &trials);
	for (size_t i = 0; i < trials.n; i++)
		set_speed(trials.v[i], s);
	advice_of(&trials, &opts, ret);
	rows_done(&trials);
}

static void
test_every_branch_decides_as_it_should(void **state)
{
	struct advice a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const struct scene *s = &scenes[i];

		play(s, &a);
		if (a.kind != s->kind || a.policy != s->policy)
			fail_msg("%s: kind %d policy %s: %s", s->name, a.kind,
				 advice_policy_name(a.policy), a.sentence);
		assert_int_equal(a.decided,
				 a.kind == ADVICE_BETTER ||
					 a.kind == ADVICE_NOT_WORTH ||
					 a.kind == ADVICE_NO_DIFFERENCE);
		assert_int_equal(a.sentence[0] == '\0',
				 a.kind == ADVICE_TOO_FEW);
		assert_true(a.exit_code == 0 || !a.decided);
		if (a.kind >= ADVICE_BETTER)
			assert_true(a.rival != a.policy &&
				    a.rival < ADVICE_POLICIES);
	}
}

static void
test_every_branch_reads_well(void **state)
{
	static char want[65536];
	FILE *golden = fopen("tests/golden/advice.txt", "re"), *f;
	char *text = NULL;
	size_t size;
	struct advice a;

	(void)state;
	if (golden) {
		want[fread(want, 1, sizeof(want) - 1, golden)] = '\0';
		assert_int_equal(fclose(golden), 0);
	}
	f = open_memstream(&text, &size);
	assert_true(f != NULL);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		play(&scenes[i], &a);
		(void)fprintf(f, "[%s]\n%s\n", scenes[i].name, a.sentence);
		for (size_t k = 0; k < a.nnotes; k++)
			(void)fprintf(f, "- %s\n", a.notes[k]);
		(void)fputc('\n', f);
	}
	assert_int_equal(fclose(f), 0);
	if (strcmp(text, want) != 0) {
		/* cmocka cuts long messages */
		(void)fputs(text, stdout);
		free(text);
		fail_msg("tests/golden/advice.txt is not what stands above");
	}
	free(text);
}

static void
test_the_rival_is_the_fastest_of_the_others(void **state)
{
	struct scene s = scenes[0]; /* full wins; the others are off's like */
	struct advice a;

	(void)state;
	s.metadata[0] = 1.3;
	s.metadata[1] = 0;
	play(&s, &a);
	assert_int_equal(a.policy, ADVICE_FULL);
	assert_int_equal(a.rival, ADVICE_METADATA);
	s.metadata[0] = s.falloc[0] = 0.7;
	s.falloc[1] = 0;
	play(&s, &a);
	assert_int_equal(a.policy, ADVICE_FULL);
	assert_int_equal(a.rival, ADVICE_OFF);
	s.full[0] = 0.9;
	s.full[1] = 0;
	play(&s, &a);
	assert_int_equal(a.policy, ADVICE_OFF);
	assert_int_equal(a.rival, ADVICE_FULL);
}

static void
test_break_even(void **state)
{
	struct scene s = scenes[0];
	struct advice a;
	double saved_s, first_write_s = 8192 / (18000 * 0.55);

	(void)state;
	s.metadata[1] = s.falloc[1] = 0;
	s.full[0] = 2;
	s.full[1] = 0;
	play(&s, &a);
	assert_true(fabs(a.ratio - 2) < 1e-9);
	/* 1.2 s of creation more, half of the time of 32 MiB saved; round
	 * noise changes both alike in the median only about */
	saved_s = first_write_s / 2;
	assert_true(
		fabs(a.break_even_gib - (1.2 - 0.003) / saved_s * 32 / 1024) <
		0.1 * a.break_even_gib);
}

static void
test_the_order_of_trials_does_not_matter(void **state)
{
	struct world w = world_usual;
	struct advice_opts opts = {.quick = true};
	struct rows trials = {0};
	struct advice a, b;

	(void)state;
	trials_make(&w, &trials);
	advice_of(&trials, &opts, &a);
	for (size_t i = 0; i < trials.n / 2; i++) {
		struct record *t = trials.v[i];

		trials.v[i] = trials.v[trials.n - 1 - i];
		trials.v[trials.n - 1 - i] = t;
	}
	advice_of(&trials, &opts, &b);
	assert_string_equal(a.sentence, b.sentence);
	rows_done(&trials);
	advice_of(&trials, &opts, &a); /* nothing at all */
	assert_int_equal(a.kind, ADVICE_NONE_DATA);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_branch_decides_as_it_should),
		cmocka_unit_test(test_every_branch_reads_well),
		cmocka_unit_test(test_the_rival_is_the_fastest_of_the_others),
		cmocka_unit_test(test_break_even),
		cmocka_unit_test(test_the_order_of_trials_does_not_matter),
	};

	return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
