/* SPDX-License-Identifier: MIT */
/* break_even_text.c - what the picture of break_even.c says */
#include "plots/break_even.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "plots/put.h"
#include "plots/scripts.h"

#define NOTE_SIZE 256

static void
rounds_note(const struct policy *p, char *text, size_t size)
{
	char lo[BYTES_TEXT], hi[BYTES_TEXT];

	text[0] = '\0';
	/* One round alone is the median. */
	if (p->crossed == 0 || p->rounds == 1)
		return;
	bytes_about(p->lo, lo);
	bytes_about(p->hi, hi);
	if (p->crossed == 1)
		(void)snprintf(text, size, " (in 1 of %zu rounds: %s)",
			       p->rounds, lo);
	else if (p->crossed < p->rounds)
		(void)snprintf(text, size, " (in %zu of %zu rounds: %s to %s)",
			       p->crossed, p->rounds, lo, hi);
	else
		(void)snprintf(text, size, " (single rounds: %s to %s)", lo,
			       hi);
}

/* Is the policy behind the baseline (1), ahead (-1) or equal (0) when the
 * first bytes are written? */
static int
behind_at_first(const struct policy *p, const struct policy *base)
{
	double behind = p->cost.create_s - base->cost.create_s;

	if (behind == 0)
		behind = p->cost.first - base->cost.first;
	return (behind > 0) - (behind < 0);
}

/* What a line says about its policy. */
static void
note_of(const struct break_even *q, const struct policy *p,
	char text[NOTE_SIZE])
{
	const struct policy *base = break_even_baseline(q);
	int behind = base ? behind_at_first(p, base) : 0;
	bool crosses = isfinite(p->crossing);
	char at[BYTES_TEXT], rounds[128];

	rounds_note(p, rounds, sizeof(rounds));
	bytes_about(crosses                ? p->crossing
		    : isnan(p->cost.again) ? q->knee
					   : q->to,
		    at);
	if (!base || p == base)
		(void)snprintf(text, NOTE_SIZE, "the baseline");
	else if (behind == 0)
		(void)snprintf(text, NOTE_SIZE, "equal to the baseline");
	else if (behind < 0)
		(void)snprintf(text, NOTE_SIZE,
			       "ahead of the baseline up to %s%s%s", at,
			       crosses ? "" : " at least", rounds);
	else
		(void)snprintf(text, NOTE_SIZE, "%s %s%s",
			       crosses ? "ahead of the baseline from"
				       : "not ahead of the baseline up to",
			       at, rounds);
}

static void
put_notes(const struct break_even *q, FILE *f)
{
	Q2_AUTO_FREE char(*texts)[NOTE_SIZE] = zeroed(q->n, sizeof(*texts));
	Q2_AUTO_FREE const char **v = zeroed(q->n, sizeof(*v));
	Q2_AUTO_FREE double *places = zeroed(q->n, sizeof(*places));
	Q2_AUTO_FREE double *crosses = zeroed(q->n, sizeof(*crosses));

	for (size_t i = 0; i < q->n; i++) {
		note_of(q, &q->policies[i], texts[i]);
		v[i] = texts[i];
		places[i] = (double)q->policies[i].place;
		crosses[i] = isfinite(q->policies[i].crossing);
	}
	(void)fprintf(f, "policies = %zu\n", q->n);
	put_values(f, "places", places, q->n);
	put_values(f, "crosses", crosses, q->n);
	put_strings(f, "notes", v, q->n);
}

static void
footnote_of(const struct break_even *q, char *text, size_t size)
{
	char n[COUNT_TEXT], image[BYTES_TEXT], disk[BYTES_TEXT];
	bool computed = false;

	for (size_t i = 0; i < q->n; i++)
		computed |= q->policies[i].computed;
	count_text(q->d, q->first, n);
	bytes_text(q->image_bytes, image);
	bytes_text(q->disk_bytes, disk);
	(void)snprintf(text, size,
		       "From medians of n = %s rounds, without intervals; "
		       "\"single rounds\" is the range over them and the "
		       "medians. Both axes "
		       "are logarithmic.%s%s%s%s",
		       n, computed ? " Creation that was not measured at " : "",
		       computed ? disk : "",
		       computed ? " is in proportion to that of " : "",
		       computed ? image : "");
	if (computed)
		(void)strncat(text, ", which for falloc is an upper bound.",
			      size - strlen(text) - 1);
}

int
break_even_script(const struct break_even *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "break_even.gp", err);
	char title[160], footnote[512], disk[BYTES_TEXT], text[BYTES_TEXT];

	if (!f)
		return err->code;
	bytes_text(q->disk_bytes, disk);
	(void)snprintf(title, sizeof(title),
		       "When has a policy paid for its creation? (%s disk, "
		       "less time is better)",
		       disk);
	footnote_of(q, footnote, sizeof(footnote));
	put_head(q->d, f, "break_even.gp", title, footnote);
	put_notes(q, f);
	bytes_text(q->bs, text);
	put_string(f, "request", text);
	bytes_text(q->stride, text);
	put_string(f, "stride", text);
	put_value(f, "measured", q->measured);
	put_value(f, "knee", q->knee);
	put_value(f, "from_bytes", q->from);
	put_value(f, "to_bytes", q->to);
	put_value(f, "least_s", q->least);
	put_value(f, "most_s", q->most);
	(void)fprintf(f, "\n%s", script_break_even);
	return put_finish(q->d, f, "break_even.gp", err);
}
