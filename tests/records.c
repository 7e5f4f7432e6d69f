/* SPDX-License-Identifier: MIT */
/*
 * records.c - a record with something of everything, and comparison
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/records.h"

struct record *
records_sample(void)
{
	struct record *rec = record_new(&table_trials);

	record_set_int(rec, TRIAL_round, 3);
	record_set_int(rec, TRIAL_seed, UINT64_MAX);
	record_set_real(rec, TRIAL_duration_s, 0.1 + 0.2);
	record_set_bool(rec, TRIAL_modelled, false);
	record_set_bool(rec, TRIAL_extended_l2, true);
	record_set_text(rec, TRIAL_label, "a,\"b\"\r\nc");
	record_set_text(rec, TRIAL_medium, "ssd");
	return rec;
}

void
records_assert_same(const struct record *a, const struct record *b)
{
	char x[256], y[256];

	assert_ptr_equal(record_table(a), record_table(b));
	for (size_t i = 0; i < record_table(a)->ncolumns; i++) {
		(void)record_format(a, (int)i, x, sizeof(x));
		(void)record_format(b, (int)i, y, sizeof(y));
		assert_string_equal(x, y);
		assert_int_equal(record_has(a, (int)i), record_has(b, (int)i));
	}
}
