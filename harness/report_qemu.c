/* SPDX-License-Identifier: MIT */
#include "harness/report_qemu.h"

#include <assert.h>
#include <string.h>

#include "harness/advice_qemu.h"
#include "harness/cells.h"
#include "harness/exit.h"
#include "harness/table.h"

/* Of a table. */
#define ROUNDS_LEAST 6

static const json_t *
qemu_of(const struct measured *m)
{
	return json_object_get(m->run, "qemu");
}

void
report_qemu_cells(const struct measured *m, double margin, struct rows *cells)
{
	const struct rows *trials = &m->of[MEASURED_QEMU].trials;
	struct cells_opts opts = {.reference = REPORT_QEMU_RAW,
				  .margin = margin};

	if (trials->n)
		cells_compute(trials, &opts, cells);
}

void
report_qemu_table(const struct measured *m, const struct rows *cells,
		  const char *color, FILE *f)
{
	struct table_opts opts = {0};

	/* Fewer have no intervals, and nothing is said of them. */
	if (!cells->n || m->of[MEASURED_QEMU].n < ROUNDS_LEAST)
		return;
	table_opts_for(f, color, &opts);
	(void)fprintf(f,
		      "\nThrough %s (qemu-nbd on a private socket; compare "
		      "with each other only):\n",
		      measured_text(qemu_of(m), "version"));
	table_print(f, cells, &opts);
}

/* QEMU's order is another: what was noted of our own winner is beside the point
 * now. */
static void
forget_winner(struct advice *advice)
{
	advice->nnotes -= advice->nwinner;
	memmove(advice->notes[0], advice->notes[advice->nwinner],
		advice->nnotes * sizeof(advice->notes[0]));
	advice->nwinner = 0;
}

/* First of all: QEMU is what will write.  There is room. */
static void
note_first(struct advice *advice, const char *fmt, const char *text)
{
	assert(advice->nnotes < ADVICE_NOTES);
	memmove(advice->notes[1], advice->notes[0],
		advice->nnotes * sizeof(advice->notes[0]));
	advice->nnotes++;
	(void)snprintf(advice->notes[0], sizeof(advice->notes[0]), fmt, text);
}

void
report_qemu_advise(const struct measured *m, double margin,
		   const struct advice *cheaper, struct advice *advice)
{
	const json_t *qemu = qemu_of(m);
	const char *why_not = measured_text(qemu, "why_not");
	struct advice_qemu a;

	if (advice->kind < ADVICE_BETTER || advice->nnotes == ADVICE_NOTES)
		return;
	if (why_not[0]) {
		note_first(advice, "Not confirmed through QEMU: %.400s.",
			   why_not);
		return;
	}
	if (!json_is_true(json_object_get(qemu, "wanted")))
		return;
	advice_qemu_of(&m->of[MEASURED_QEMU].trials, advice, cheaper,
		       measured_text(qemu, "version"), margin, &a);
	if (a.use_cheaper)
		*advice = *cheaper;
	else if (a.sentence[0])
		forget_winner(advice);
	note_first(advice, "%s", a.note);
	if (!a.sentence[0])
		return;
	/* QEMU's order is beyond doubt: so much could be judged. */
	advice->exit_code = BENCH_OK;
	(void)snprintf(advice->sentence, sizeof(advice->sentence), "%s",
		       a.sentence);
}
