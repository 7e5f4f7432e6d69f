/* SPDX-License-Identifier: MIT */
/*
 * test_advice_qemu.c - what QEMU makes of the advice: every branch, word for
 * word, in tests/golden/advice-qemu.txt
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

#include "harness/advice.h"
#include "harness/advice_qemu.h"
#include "harness/report_qemu.h"
#include "tests/trials.h"

#define ROUNDS 6

/* Speed of each policy against off through QEMU, by round; 0: not run. */
struct scene {
	const char *name;
	double metadata[ROUNDS], full[ROUNDS];
	enum advice_policy policy, rival; /* our engine's */
	enum advice_qemu_kind kind;
	enum advice_policy then;
};

#define BETTER                                     \
	{                                          \
		1.20, 1.22, 1.19, 1.21, 1.23, 1.18 \
	}
#define TWICE                                  \
	{                                      \
		2.2, 2.3, 2.25, 2.15, 2.3, 2.4 \
	}
#define SLOWER                                     \
	{                                          \
		0.80, 0.82, 0.79, 0.81, 0.83, 0.78 \
	}
#define SAME                                      \
	{                                         \
		1.01, 0.99, 1.02, 0.98, 1.0, 1.01 \
	}
#define NOISY                                     \
	{                                         \
		1.3, 0.98, 1.15, 1.25, 1.02, 1.10 \
	}

static const struct scene scenes[] = {
	{"full, confirmed",
	 {0},
	 BETTER,
	 ADVICE_FULL,
	 ADVICE_OFF,
	 ADVICE_QEMU_AGREES,
	 ADVICE_FULL},
	{"full, confirmed, twice as fast",
	 {0},
	 TWICE,
	 ADVICE_FULL,
	 ADVICE_OFF,
	 ADVICE_QEMU_AGREES,
	 ADVICE_FULL},
	{"full, but slower through QEMU",
	 {0},
	 SLOWER,
	 ADVICE_FULL,
	 ADVICE_OFF,
	 ADVICE_QEMU_DIFFERS,
	 ADVICE_OFF},
	{"off, but full is better through QEMU",
	 {0},
	 BETTER,
	 ADVICE_OFF,
	 ADVICE_FULL,
	 ADVICE_QEMU_DIFFERS,
	 ADVICE_FULL},
	{"off, but full is twice as fast through QEMU",
	 {0},
	 TWICE,
	 ADVICE_OFF,
	 ADVICE_FULL,
	 ADVICE_QEMU_DIFFERS,
	 ADVICE_FULL},
	{"off, confirmed",
	 {0},
	 SLOWER,
	 ADVICE_OFF,
	 ADVICE_FULL,
	 ADVICE_QEMU_AGREES,
	 ADVICE_OFF},
	{"full against metadata", BETTER, TWICE, ADVICE_FULL, ADVICE_METADATA,
	 ADVICE_QEMU_AGREES, ADVICE_FULL},
	{"full, and no difference through QEMU",
	 {0},
	 SAME,
	 ADVICE_FULL,
	 ADVICE_OFF,
	 ADVICE_QEMU_NO_BETTER,
	 ADVICE_OFF},
	{"full, and perhaps slower through QEMU than metadata",
	 {1, 1.2, 1.1, 1.15, 1.05, 1.1},
	 {1.04, 1, 1, 1, 1, 1},
	 ADVICE_FULL,
	 ADVICE_METADATA,
	 ADVICE_QEMU_NO_BETTER,
	 ADVICE_METADATA},
	{"full, like falloc through QEMU, which is not proven against off",
	 {0},
	 SAME,
	 ADVICE_FULL,
	 ADVICE_FALLOC,
	 ADVICE_QEMU_NO_BETTER,
	 ADVICE_FULL},
	{"off, and no difference through QEMU",
	 {0},
	 SAME,
	 ADVICE_OFF,
	 ADVICE_FULL,
	 ADVICE_QEMU_SAME,
	 ADVICE_OFF},
	{"noisy through QEMU",
	 {0},
	 NOISY,
	 ADVICE_FULL,
	 ADVICE_OFF,
	 ADVICE_QEMU_CANNOT_TELL,
	 ADVICE_FULL},
	{"too few rounds",
	 {0},
	 {1.2, 1.2, 1.2},
	 ADVICE_FULL,
	 ADVICE_OFF,
	 ADVICE_QEMU_TOO_FEW,
	 ADVICE_FULL},
	{"one of the two is missing",
	 {0},
	 BETTER,
	 ADVICE_FULL,
	 ADVICE_METADATA,
	 ADVICE_QEMU_TOO_FEW,
	 ADVICE_FULL},
};

static void
add(struct rows *rows, const char *target, enum advice_policy p, unsigned round,
    double speed)
{
	struct record *rec = record_new(&table_trials);
	char label[32];

	if (speed <= 0) {
		record_free(rec);
		return;
	}
	(void)snprintf(label, sizeof(label), "%s-%s", target,
		       advice_policy_name(p));
	record_set_text(rec, TRIAL_label, label);
	record_set_text(rec, TRIAL_target, target);
	record_set_text(rec, TRIAL_preallocation, advice_policy_name(p));
	record_set_text(rec, TRIAL_pass, "first-write");
	record_set_text(rec, TRIAL_group_id, "aaaaaaaaaaaa");
	record_set_int(rec, TRIAL_session, 1);
	record_set_int(rec, TRIAL_round, round);
	record_set_int(rec, TRIAL_attempt, 1);
	/* A drift that pairs take out. */
	record_set_real(rec, TRIAL_duration_s, (1 + 0.2 * round) / speed);
	rows_add(rows, rec);
}

static void
add_rounds(const struct scene *s, struct rows *rows)
{
	for (unsigned r = 0; r < ROUNDS; r++) {
		add(rows, "qemu", ADVICE_OFF, r + 1, s->full[r] > 0 ? 1 : 0);
		add(rows, "qemu", ADVICE_METADATA, r + 1, s->metadata[r]);
		if (s->rival == ADVICE_FALLOC)
			add(rows, "qemu", ADVICE_FALLOC, r + 1, 1);
		add(rows, "qemu", ADVICE_FULL, r + 1, s->full[r]);
		/* Not through QEMU: of no concern here. */
		add(rows, "qcow2", ADVICE_FULL, r + 1, 7);
	}
}

/* What is said without the policy: metadata is worth it, falloc is not. */
static void
set_cheaper(const struct scene *s, struct advice *ret)
{
	*ret = (struct advice){
		.kind = s->rival == ADVICE_METADATA ? ADVICE_BETTER
						    : ADVICE_CANNOT_TELL,
		.policy = s->rival == ADVICE_METADATA ? ADVICE_METADATA
						      : ADVICE_OFF,
		.sentence = "cheaper",
		.notes = {"of the cheaper"},
		.nnotes = 1,
	};
}

static void
play(const struct scene *s, struct advice_qemu *ret)
{
	struct advice own = {.kind = ADVICE_BETTER,
			     .policy = s->policy,
			     .rival = s->rival,
			     .ratio = 2.2};
	struct advice cheaper;
	struct rows rows = {0};

	/* Who says off has nothing better, for one reason or another. */
	if (s->policy == ADVICE_OFF)
		own.kind = strstr(s->name, "twice") ? ADVICE_NO_DIFFERENCE
						    : ADVICE_CANNOT_TELL;
	if (s->rival != ADVICE_OFF)
		(void)snprintf(own.rival_price, sizeof(own.rival_price),
			       "; creating it then takes 2 s");
	add_rounds(s, &rows);
	set_cheaper(s, &cheaper);
	advice_qemu_of(&rows, &own, &cheaper, "QEMU 7.2.22", 0.05, ret);
	rows_done(&rows);
}

static void
test_every_branch_decides_as_it_should(void **state)
{
	struct advice_qemu a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const struct scene *s = &scenes[i];

		play(s, &a);
		if (a.kind != s->kind || a.policy != s->then)
			fail_msg("%s: kind %d policy %s: %s%s", s->name, a.kind,
				 advice_policy_name(a.policy), a.sentence,
				 a.note);
		assert_int_equal(a.sentence[0] != '\0' || a.use_cheaper,
				 a.policy != s->policy);
		assert_false(a.sentence[0] && a.use_cheaper);
		assert_true(a.note[0] != '\0');
	}
}

static void
test_every_branch_reads_well(void **state)
{
	static char want[16384];
	FILE *golden = fopen("tests/golden/advice-qemu.txt", "re"), *f;
	char *text = NULL;
	size_t size;
	struct advice_qemu a;

	(void)state;
	if (golden) {
		want[fread(want, 1, sizeof(want) - 1, golden)] = '\0';
		assert_int_equal(fclose(golden), 0);
	}
	f = open_memstream(&text, &size);
	assert_true(f != NULL);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		play(&scenes[i], &a);
		(void)fprintf(f, "[%s]\n", scenes[i].name);
		if (a.sentence[0])
			(void)fprintf(f, "%s\n", a.sentence);
		(void)fprintf(f, "- %s\n\n", a.note);
	}
	assert_int_equal(fclose(f), 0);
	if (strcmp(text, want) != 0) {
		/* cmocka cuts long messages */
		(void)fputs(text, stdout);
		free(text);
		fail_msg("tests/golden/advice-qemu.txt is not what stands "
			 "above");
	}
	free(text);
}

/* What was noted of a winner that is none is not said; the rest is. */
static void
test_notes_of_a_winner_that_qemu_overrules(void **state)
{
	struct measured m = {0};

	(void)state;
	m.run = json_pack("{s:{s:b,s:s}}", "qemu", "wanted", 1, "version",
			  "QEMU 7.2.22");
	assert_non_null(m.run);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const struct scene *s = &scenes[i];
		bool differs = s->then != s->policy;
		struct rows *rows = &m.of[MEASURED_QEMU].trials;
		struct advice cheaper, own = {
					       .kind = ADVICE_BETTER,
					       .policy = s->policy,
					       .rival = s->rival,
					       .sentence = "ours",
					       .notes = {"of the winner",
							 "of it too", "of all"},
					       .nnotes = 3,
					       .nwinner = 2,
				       };

		add_rounds(s, rows);
		set_cheaper(s, &cheaper);
		report_qemu_advise(&m, 0.05, &cheaper, &own);
		rows_done(rows);
		*rows = (struct rows){0};
		assert_int_equal(own.nnotes, differs ? 2 : 4);
		assert_string_equal(own.notes[own.nnotes - 1],
				    strcmp(own.sentence, "cheaper") == 0
					    ? "of the cheaper"
					    : "of all");
		assert_string_not_equal(own.notes[0], "of the winner");
		assert_int_equal(strcmp(own.sentence, "ours") != 0, differs);
	}
	json_decref(m.run);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_branch_decides_as_it_should),
		cmocka_unit_test(test_every_branch_reads_well),
		cmocka_unit_test(test_notes_of_a_winner_that_qemu_overrules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
