/* SPDX-License-Identifier: MIT */
/*
 * hists.h - the latency histograms of a run, one for each trial and pass
 *
 * Kept and sent as their buckets that are not empty, with exact count, least,
 * greatest and sum.  As JSON:
 *
 *	{"op":"write","lat_from":"submit","count":3,"min_ns":9,"max_ns":300,
 *	 "sum_ns":610.0,"buckets":[9,1,278,2]}
 *
 * "buckets" holds pairs: the number of a bucket (stats/hist.h), ascending, and
 * how many values are in it.  In trials.jsonl the columns of hist.csv that say
 * whose it is stand beside them.
 */
#ifndef HARNESS_HISTS_H
#define HARNESS_HISTS_H

#include <jansson.h>

#include "harness/stats/hist.h"
#include "results/record.h"

struct hist_bucket_count {
	uint32_t bucket;
	uint64_t count;
};

struct hist_part {
	struct record *key; /* a row of hist.csv without its bucket */
	uint64_t count, min, max;
	double sum;
	struct hist_bucket_count *v;
	size_t n;
};

/* A growing list that owns its parts; initialise with {0}. */
struct hists {
	struct hist_part *v;
	size_t n, room;
};
void hists_done(struct hists *hists);
/* All of from to the end of to; from is empty then. */
void hists_move(struct hists *from, struct hists *to);
/* Both, one after the other, in a list of its own that borrows them: the caller
 * frees ret->v alone. */
void hists_join(const struct hists *a, const struct hists *b,
		struct hists *ret);
/* Those of one trial, in their order. */
void hists_take(struct hists *from, const char *trial_id, struct hists *to);

/* From a trial's child: op is read, write, discard or flush. */
json_t *hists_json_of(const struct hist *h, const char *op,
		      const char *lat_from);

/*
 * Add a histogram from JSON, with what it says of itself in the columns of
 * hist.csv.  -EINVAL with a reason: buckets that do not exist, are not in
 * order, or do not add up to the count.
 */
int hists_add(struct hists *hists, const json_t *json, struct q2_err *err);

json_t *hists_part_json(const struct hist_part *part);

/* Add the part to a histogram: exact, in any order. */
void hists_merge(struct hist *to, const struct hist_part *part);

/* Replace the file by hist.csv of all parts, in order. */
int hists_write_csv(const struct hists *hists, const char *path,
		    struct q2_err *err);

#endif
