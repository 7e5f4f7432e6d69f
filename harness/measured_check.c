/* SPDX-License-Identifier: MIT */
#include "harness/measured_check.h"

#include <string.h>

#include "engine/base/num.h"
#include "results/number.h"

/* Written and read again, a number may differ in its last digit. */
#define ROUNDING 1e-9

/* Of ASCII, and of those that UTF-8 has as C2 80 to C2 9F. */
static bool
has_control(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	for (; *at; at++) {
		if ((*at < 0x20 && *at != '\n' && *at != '\t') || *at == 0x7f ||
		    (*at == 0xc2 && at[1] < 0xa0))
			return true;
	}
	return false;
}

int
measured_check_texts(const json_t *json, struct q2_err *err)
{
	const char *key;
	json_t *member;
	size_t i;
	int r = 0;

	if (json_is_string(json) && has_control(json_string_value(json)))
		return q2_fail(err, -EINVAL, "a text has a control character");
	/* Both loops do nothing for what is of another type. */
	json_array_foreach(json, i, member)
	{
		r = measured_check_texts(member, err);
		if (r < 0)
			return r;
	}
	json_object_foreach((json_t *)json, key, member)
	{
		r = measured_check_texts(member, err);
		if (r < 0)
			return err_prefix(err, r, "%.40s", key);
	}
	return r;
}

static int
not_above(const struct record *rec, int col, int than, struct q2_err *err)
{
	const struct column *columns = record_table(rec)->columns;
	char a[NUMBER_SIZE], b[NUMBER_SIZE];

	number_format(record_real(rec, col), a);
	number_format(record_real(rec, than), b);
	return q2_fail(err, -EINVAL, "%s %s is more than %s %s",
		       columns[col].name, a, columns[than].name, b);
}

static bool
is_greater(const struct record *rec, int col, int than)
{
	return record_has(rec, col) && record_has(rec, than) &&
	       record_real(rec, col) >
		       record_real(rec, than) * (1 + ROUNDING) + ROUNDING;
}

/* Times and rates are not negative. */
static int
check_signs(const struct record *rec, struct q2_err *err)
{
	static const char *const units[] = {"s", "us", "1/s", "bytes/s"};
	const struct table *table = record_table(rec);
	char text[NUMBER_SIZE];

	for (size_t i = 0; i < table->ncolumns; i++) {
		const struct column *col = &table->columns[i];
		bool is_one = false;

		for (size_t u = 0; u < ARRAY_SIZE(units); u++)
			is_one |= strcmp(col->unit, units[u]) == 0;
		if (!is_one || col->type != COLUMN_REAL ||
		    !record_has(rec, (int)i) || record_real(rec, (int)i) >= 0)
			continue;
		number_format(record_real(rec, (int)i), text);
		return q2_fail(err, -EINVAL, "%s is %s, and cannot be negative",
			       col->name, text);
	}
	return 0;
}

/* Seconds since 1970: up to the year 9999. */
#define TIME_MOST 253402300799.0

static int
check_time(const struct record *rec, struct q2_err *err)
{
	char text[NUMBER_SIZE];

	if (!record_has(rec, TRIAL_started_at_s) ||
	    record_real(rec, TRIAL_started_at_s) <= TIME_MOST)
		return 0;
	number_format(record_real(rec, TRIAL_started_at_s), text);
	return q2_fail(err, -EINVAL, "started_at_s is %s, which is no time",
		       text);
}

/* Each quantile that is there is at least the one before it. */
static int
check_order(const struct record *rec, const int *cols, size_t n,
	    struct q2_err *err)
{
	size_t last = 0;

	for (size_t i = 1; i < n; i++) {
		if (is_greater(rec, cols[last], cols[i]))
			return not_above(rec, cols[last], cols[i], err);
		if (record_has(rec, cols[i]))
			last = i;
	}
	return 0;
}

int
measured_check_trial(const struct record *rec, struct q2_err *err)
{
	static const int order[] = {
		TRIAL_lat_min_us, TRIAL_lat_p50_us,  TRIAL_lat_p90_us,
		TRIAL_lat_p99_us, TRIAL_lat_p999_us, TRIAL_lat_p9999_us,
		TRIAL_lat_max_us,
	};
	static const int mean[] = {TRIAL_lat_min_us, TRIAL_lat_mean_us,
				   TRIAL_lat_max_us};
	static const int parts[] = {TRIAL_flush_s, TRIAL_duration_s};
	int r = check_signs(rec, err);

	if (r >= 0)
		r = check_time(rec, err);
	if (r >= 0 && record_has(rec, TRIAL_rw) &&
	    record_int(rec, TRIAL_ops) == 0)
		r = q2_fail(err, -EINVAL, "ops is 0 in a pass of requests");
	if (r >= 0)
		r = check_order(rec, order, ARRAY_SIZE(order), err);
	if (r >= 0)
		r = check_order(rec, mean, ARRAY_SIZE(mean), err);
	return r < 0 ? r : check_order(rec, parts, ARRAY_SIZE(parts), err);
}

static bool
is_same_pass(const struct record *a, const struct record *b)
{
	return strcmp(record_text(a, SERIES_pass),
		      record_text(b, SERIES_pass)) == 0 &&
	       strcmp(record_text(a, SERIES_trial_id),
		      record_text(b, SERIES_trial_id)) == 0;
}

int
measured_check_series(const struct record *rec, const struct record *before,
		      struct q2_err *err)
{
	static const int order[] = {SERIES_lat_p50_us, SERIES_lat_p99_us,
				    SERIES_lat_max_us};
	char a[NUMBER_SIZE], b[NUMBER_SIZE];
	int r = check_signs(rec, err);

	if (r >= 0)
		r = check_order(rec, order, ARRAY_SIZE(order), err);
	if (r < 0 || !before || !is_same_pass(rec, before) ||
	    record_real(rec, SERIES_t_s) >= record_real(before, SERIES_t_s))
		return r;
	number_format(record_real(rec, SERIES_t_s), a);
	number_format(record_real(before, SERIES_t_s), b);
	return q2_fail(err, -EINVAL, "t_s goes back from %s to %s in pass %s",
		       b, a, record_text(rec, SERIES_pass));
}
