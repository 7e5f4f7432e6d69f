/* SPDX-License-Identifier: MIT */
#include "harness/hists.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "results/csv.h"

static void
part_done(struct hist_part *part)
{
	record_free(part->key);
	free(part->v);
}

void
hists_done(struct hists *hists)
{
	for (size_t i = 0; i < hists->n; i++)
		part_done(&hists->v[i]);
	free(hists->v);
	*hists = (struct hists){0};
}

static void
add_part(struct hists *hists, const struct hist_part *part)
{
	if (hists->n == hists->room) {
		size_t room = hists->room ? 2 * hists->room : 16;
		struct hist_part *v = reallocarray(hists->v, room, sizeof(*v));

		if (!v)
			abort();
		hists->v = v;
		hists->room = room;
	}
	hists->v[hists->n++] = *part;
}

void
hists_move(struct hists *from, struct hists *to)
{
	for (size_t i = 0; i < from->n; i++)
		add_part(to, &from->v[i]);
	from->n = 0;
	hists_done(from);
}

void
hists_join(const struct hists *a, const struct hists *b, struct hists *ret)
{
	*ret = (struct hists){.n = a->n + b->n, .room = a->n + b->n};
	ret->v = calloc(ret->n + 1, sizeof(struct hist_part));
	if (!ret->v)
		abort();
	for (size_t i = 0; i < ret->n; i++)
		ret->v[i] = i < a->n ? a->v[i] : b->v[i - a->n];
}

void
hists_take(struct hists *from, const char *trial_id, struct hists *to)
{
	size_t left = 0;

	for (size_t i = 0; i < from->n; i++) {
		if (strcmp(record_text(from->v[i].key, HIST_trial_id),
			   trial_id) == 0)
			add_part(to, &from->v[i]);
		else
			from->v[left++] = from->v[i];
	}
	from->n = left;
}

/* ---- JSON --------------------------------------------------------------- */

/* A time beyond 2^63 ns is longer than any run. */
static json_t *
integer(uint64_t value)
{
	return json_integer((json_int_t)min_u64(value, INT64_MAX));
}

json_t *
hists_json_of(const struct hist *h, const char *op, const char *lat_from)
{
	json_t *json = json_object(), *buckets = json_array();

	for (unsigned b = 0; b < HIST_BUCKETS; b++) {
		if (h->buckets[b] == 0)
			continue;
		(void)json_array_append_new(buckets, json_integer(b));
		(void)json_array_append_new(buckets, integer(h->buckets[b]));
	}
	(void)json_object_set_new(json, "op", json_string(op));
	(void)json_object_set_new(json, "lat_from", json_string(lat_from));
	(void)json_object_set_new(json, "count", integer(h->count));
	(void)json_object_set_new(json, "min_ns", integer(h->min));
	(void)json_object_set_new(json, "max_ns", integer(h->max));
	(void)json_object_set_new(json, "sum_ns", json_real(h->sum));
	(void)json_object_set_new(json, "buckets", buckets);
	return json;
}

json_t *
hists_part_json(const struct hist_part *part)
{
	json_t *json = record_to_json(part->key), *buckets = json_array();

	for (size_t i = 0; i < part->n; i++) {
		(void)json_array_append_new(buckets,
					    json_integer(part->v[i].bucket));
		(void)json_array_append_new(buckets, integer(part->v[i].count));
	}
	(void)json_object_set_new(json, "count", integer(part->count));
	(void)json_object_set_new(json, "min_ns", integer(part->min));
	(void)json_object_set_new(json, "max_ns", integer(part->max));
	(void)json_object_set_new(json, "sum_ns", json_real(part->sum));
	(void)json_object_set_new(json, "buckets", buckets);
	return json;
}

static int
get_count(const json_t *json, const char *key, uint64_t *ret,
	  struct q2_err *err)
{
	const json_t *value = json_object_get(json, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return q2_fail(err, -EINVAL,
			       "a histogram's member %s is not an unsigned "
			       "integer",
			       key);
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

/* The pair at i of the array, after a bucket below `least`. */
static int
get_pair(const json_t *array, size_t i, uint32_t least,
	 struct hist_bucket_count *ret, struct q2_err *err)
{
	const json_t *bucket = json_array_get(array, i);
	const json_t *count = json_array_get(array, i + 1);
	json_int_t b = json_integer_value(bucket);

	if (!json_is_integer(bucket) || !json_is_integer(count))
		return q2_fail(err, -EINVAL,
			       "a histogram's buckets are not integers");
	if (b < least || b >= HIST_BUCKETS)
		return q2_fail(err, -EINVAL,
			       "a histogram's bucket %lld does not exist, or "
			       "is not in order",
			       (long long)b);
	if (json_integer_value(count) < 1)
		return q2_fail(err, -EINVAL,
			       "a histogram's bucket %lld has a count below 1",
			       (long long)b);
	*ret = (struct hist_bucket_count){(uint32_t)b,
					  (uint64_t)json_integer_value(count)};
	return 0;
}

static int
get_buckets(struct hist_part *part, const json_t *array, struct q2_err *err)
{
	size_t n = json_array_size(array) / 2;
	uint64_t sum = 0;
	uint32_t least = 0;
	int r;

	if (!json_is_array(array) || json_array_size(array) % 2 != 0 ||
	    n > HIST_BUCKETS)
		return q2_fail(
			err, -EINVAL,
			"a histogram's buckets are not pairs of numbers");
	part->v = calloc(n ? n : 1, sizeof(*part->v));
	if (!part->v)
		abort();
	for (part->n = 0; part->n < n; part->n++) {
		r = get_pair(array, 2 * part->n, least, &part->v[part->n], err);
		if (r < 0)
			return r;
		least = part->v[part->n].bucket + 1;
		sum += part->v[part->n].count;
	}
	if (sum != part->count)
		return q2_fail(err, -EINVAL,
			       "a histogram's buckets have %" PRIu64
			       " values, its count is %" PRIu64,
			       sum, part->count);
	return 0;
}

static int
read_part(struct hist_part *part, const json_t *json, struct q2_err *err)
{
	const json_t *sum = json_object_get(json, "sum_ns");
	int r = record_from_json(&table_hist, json, &part->key, err);

	if (r >= 0)
		r = get_count(json, "count", &part->count, err);
	if (r >= 0)
		r = get_count(json, "min_ns", &part->min, err);
	if (r >= 0)
		r = get_count(json, "max_ns", &part->max, err);
	if (r >= 0 && !json_is_number(sum))
		r = q2_fail(err, -EINVAL,
			    "a histogram's member sum_ns is not a number");
	if (r < 0)
		return r;
	part->sum = json_number_value(sum);
	/* The member count is the whole histogram's, not a bucket's. */
	record_clear(part->key, HIST_count);
	return get_buckets(part, json_object_get(json, "buckets"), err);
}

int
hists_add(struct hists *hists, const json_t *json, struct q2_err *err)
{
	struct hist_part part = {0};
	int r = read_part(&part, json, err);

	if (r < 0)
		part_done(&part);
	else
		add_part(hists, &part);
	return r;
}

/* ---- use ---------------------------------------------------------------- */

void
hists_merge(struct hist *to, const struct hist_part *part)
{
	bool first = to->count == 0;
	uint64_t min = to->min, max = to->max;

	if (part->count == 0)
		return;
	for (size_t i = 0; i < part->n; i++)
		to->buckets[part->v[i].bucket] += part->v[i].count;
	to->count += part->count;
	to->sum += part->sum;
	to->min = first ? part->min : min_u64(min, part->min);
	to->max = first ? part->max : max_u64(max, part->max);
}

int
hists_write_csv(const struct hists *hists, const char *path, struct q2_err *err)
{
	uint64_t first, last;
	struct csv_out out;
	int r = csv_begin(&out, path, &table_hist, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < hists->n; i++) {
		const struct hist_part *part = &hists->v[i];
		struct record *row = record_copy(part->key);

		for (size_t k = 0; k < part->n; k++) {
			hist_bounds(part->v[k].bucket, &first, &last);
			record_set_int(row, HIST_bucket_lo_ns, first);
			/* The last bucket of all ends with the numbers. */
			record_set_int(row, HIST_bucket_hi_ns,
				       last == UINT64_MAX ? last : last + 1);
			record_set_int(row, HIST_count, part->v[k].count);
			csv_write_record(out.f, row);
		}
		record_free(row);
	}
	return csv_end(&out, err);
}
