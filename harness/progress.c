/* SPDX-License-Identifier: MIT */
#include "harness/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/table.h"

void
progress_init(struct progress *p)
{
	*p = (struct progress){.terminal = isatty(STDERR_FILENO) == 1};
}

void
progress_done(struct progress *p)
{
	if (p->drawn)
		(void)fputs("\r\033[K", stderr);
	p->drawn = false;
}

void
progress_say(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	progress_done(p);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

void
progress_draw(struct progress *p, const char *text)
{
	if (!p->terminal || p->verbosity == VERBOSITY_QUIET)
		return;
	(void)fprintf(stderr, "\r\033[K%s", text);
	(void)fflush(stderr);
	p->drawn = true;
}

void
progress_round(struct progress *p, uint64_t round)
{
	p->round = round;
	p->round_began_s = clock_s();
}

double
progress_left(const struct progress *p, double now_s)
{
	double in_round = now_s - p->round_began_s;
	double left;

	if (p->round == 0 || p->round_s <= 0)
		return 0;
	if (in_round > p->round_s)
		in_round = p->round_s;
	left = p->round_s * (double)(p->rounds - p->round + 1) - in_round;
	return left + p->after_s;
}

static void
describe(const struct progress *p, char *text, size_t size)
{
	double left_s = progress_left(p, clock_s());
	char left[32];

	table_seconds(left_s, left, sizeof(left));
	if (p->round == 0)
		(void)snprintf(text, size, "warm-up: %s", p->pass);
	else if (left_s > 0)
		(void)snprintf(text, size,
			       "round %" PRIu64 " of %" PRIu64
			       ": %s; about %s left",
			       p->round, p->rounds, p->pass, left);
	else
		(void)snprintf(text, size,
			       "round %" PRIu64 " of %" PRIu64 ": %s", p->round,
			       p->rounds, p->pass);
}

void
progress_pass(struct progress *p, const char *pass)
{
	char text[200];

	(void)snprintf(p->pass, sizeof(p->pass), "%s", pass);
	describe(p, text, sizeof(text));
	progress_draw(p, text);
}

void
progress_status(struct progress *p, uint64_t whole)
{
	char text[200] = "beginning";

	if (p->pass[0])
		describe(p, text, sizeof(text));
	progress_say(p, "%s; %" PRIu64 " round%s kept", text, whole,
		     whole == 1 ? "" : "s");
}

/* ", first-write 21.3k/s" */
static void
print_result(const struct record *rec)
{
	char text[32];

	(void)fprintf(stderr, ", %s ", record_text(rec, TRIAL_pass));
	if (!record_has(rec, TRIAL_iops)) {
		table_seconds(record_real(rec, TRIAL_duration_s), text,
			      sizeof(text));
		(void)fputs(text, stderr);
	} else if (record_int(rec, TRIAL_bs_bytes) >= 64 * 1024) {
		table_bytes(record_real(rec, TRIAL_bw_bytes_per_s), text,
			    sizeof(text));
		(void)fprintf(stderr, "%s/s", text);
	} else {
		table_number(record_real(rec, TRIAL_iops), text, sizeof(text));
		(void)fprintf(stderr, "%s/s", text);
	}
}

void
progress_trials(struct progress *p, const struct rows *trials)
{
	if (p->verbosity == VERBOSITY_QUIET ||
	    (p->terminal && p->verbosity != VERBOSITY_VERBOSE))
		return;
	progress_done(p);
	for (size_t i = 0; i < trials->n; i++) {
		const char *label = record_text(trials->v[i], TRIAL_label);
		bool first = true;

		for (size_t j = 0; j < i && first; j++)
			first = strcmp(record_text(trials->v[j], TRIAL_label),
				       label) != 0;
		if (!first)
			continue;
		if (p->round)
			(void)fprintf(stderr,
				      "round %" PRIu64 "/%" PRIu64 ", %s",
				      p->round, p->rounds, label);
		else
			(void)fprintf(stderr, "warm-up, %s", label);
		for (size_t j = i; j < trials->n; j++) {
			if (strcmp(record_text(trials->v[j], TRIAL_label),
				   label) == 0)
				print_result(trials->v[j]);
		}
		(void)fputc('\n', stderr);
	}
}
