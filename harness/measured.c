/* SPDX-License-Identifier: MIT */
#include "harness/measured.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/output.h"
#include "results/id.h"

const char *const measured_part_names[MEASURED_PARTS] = {NULL, "qemu"};

static void
rounds_clear(struct measured_rounds *rounds)
{
	rows_done(&rounds->trials);
	rows_done(&rounds->series);
	hists_done(&rounds->hists);
	rounds->n = 0;
}

void
measured_done(struct measured *m)
{
	json_decref(m->run);
	for (int i = 0; i < MEASURED_PARTS; i++)
		rounds_clear(&m->of[i]);
	*m = (struct measured){0};
}

bool
measured_has_round(const struct measured *m, enum measured_part part,
		   uint64_t round)
{
	const struct rows *trials = &m->of[part].trials;

	for (size_t i = 0; i < trials->n; i++) {
		if (record_int(trials->v[i], TRIAL_round) == round)
			return true;
	}
	return false;
}

static bool
is_disturbed(const struct rows *trials)
{
	for (size_t i = 0; i < trials->n; i++) {
		if (record_has_flag(trials->v[i], TRIAL_flags, "contaminated"))
			return true;
	}
	return false;
}

/* What QEMU was asked was chosen by rounds that now get another. */
static void
drop_qemu(struct measured *m)
{
	struct measured_rounds *qemu = &m->of[MEASURED_QEMU];

	for (size_t i = 0; i < qemu->trials.n; i++)
		m->partial += output_is_first(&qemu->trials, i);
	rounds_clear(qemu);
}

struct measured_rounds *
measured_count_round(struct measured *m, enum measured_part part,
		     const struct rows *trials, double seconds)
{
	if (part == MEASURED_SUITE) {
		drop_qemu(m);
		m->seconds += seconds;
		m->disturbed += is_disturbed(trials);
	}
	m->of[part].n++;
	return &m->of[part];
}

void
measured_add_round(struct measured *m, enum measured_part part,
		   struct rows *trials, struct rows *series,
		   struct hists *hists, double seconds)
{
	struct measured_rounds *to = measured_count_round(m, part, trials,
							  seconds);
	char id[ID_SIZE];

	while (trials->n > 0) {
		(void)snprintf(id, sizeof(id), "%s",
			       record_text(trials->v[0], TRIAL_trial_id));
		rows_take(trials, TRIAL_trial_id, id, &to->trials);
		rows_take(series, SERIES_trial_id, id, &to->series);
		hists_take(hists, id, &to->hists);
	}
}

const char *
measured_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

uint64_t
measured_int(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	if (json_is_string(value))
		return strtoull(json_string_value(value), NULL, 10);
	return (uint64_t)json_integer_value(value);
}

json_t *
measured_json_int(uint64_t value)
{
	char text[24];

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}
