/* SPDX-License-Identifier: MIT */
/*
 * help_topics.c - what is not about one command: spec files, results, exit
 * codes
 */
#include "engine/base/num.h"
#include "harness/exit.h"
#include "harness/help_texts.h"
#include "harness/wrap.h"

static void
print_spec(FILE *f)
{
	(void)fprintf(
		f, "A suite is a file of what is compared and what is done:\n\n"
		   "  [suite]\n"
		   "  question = Does the cluster size matter here?\n"
		   "  rounds   = 8\n\n"
		   "  [configurations]\n"
		   "  q-${cluster_size} = target=qcow2 cluster_size=64k,2m "
		   "image_size=1g\n\n"
		   "  [passes]\n"
		   "  create = op=create\n"
		   "  write  = rw=randwrite bs=4k iodepth=32 requests=65536\n"
		   "  read   = rw=randread bs=4k iodepth=32 touch=write\n\n");
	wrap_words(f,
		   "A line is LABEL = KEY=VALUE...; a list (64k,2m) or a range "
		   "(1..64*2) of values makes one configuration or pass of "
		   "each.  [defaults] go under all lines; [quick] is what "
		   "--quick changes; --set KEY=VALUE beats both.  'include "
		   "preallocation' builds upon a suite that there is.",
		   0, 0);
	(void)fputc('\n', f);
	wrap_words(f,
		   "This one has no 'reference': its table has medians and "
		   "intervals.  'reference = q-64k' in [suite] makes that one "
		   "100 %, and then there are ratios and verdicts; 'baseline' "
		   "is the one against which all others are ranked.  Both "
		   "name labels that there are.",
		   0, 0);
	(void)fputc('\n', f);
	wrap_entry(f, "qcowbench plan FILE.ini", 29,
		   "what it comes to, without measuring");
	wrap_entry(f, "qcowbench run FILE.ini", 29, "measure it");
	wrap_entry(f, "qcowbench explain [KEY]", 29,
		   "the keys, or one of them");
	wrap_entry(f, "man 5 qcowbench-spec", 29, "all of it");
}

static void
print_results(FILE *f)
{
	static const struct {
		const char *file, *what;
	} files[] = {
		{"trials.csv", "a row for each configuration, round and pass: "
			       "time, speed, latency, what went to the disk"},
		{"cells.csv", "a row for each configuration and pass: median, "
			      "interval, ratio to the reference, verdict"},
		{"series.csv", "a row for each turn of a pass"},
		{"hist.csv", "the latencies of each cell, as a histogram"},
		{"run.json", "what was asked for, on which machine, and what "
			     "came of it"},
		{"trials.jsonl", "trials.csv and more, a line each, written as "
				 "the run goes on"},
		{"plots/", "pictures, and the gnuplot scripts and CSV files "
			   "that they are made from"},
	};

	wrap_words(f,
		   "A run prints a table and leaves a folder (--out), named by "
		   "suite and time where no name was given:",
		   0, 0);
	(void)fputc('\n', f);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		wrap_entry(f, files[i].file, 16, files[i].what);
	(void)fputc('\n', f);
	wrap_words(f,
		   "Units are in the names of columns.  An interval is one of "
		   "95 %, and there is none from fewer than 6 rounds.  '?' in "
		   "the table: cannot tell; more --rounds may.",
		   0, 0);
	(void)fputc('\n', f);
	wrap_entry(f, "man 5 qcowbench-results", 29, "every column");
}

static void
print_exit_codes(FILE *f)
{
	static const struct {
		enum bench_exit code;
		const char *meaning;
	} codes[] = {
		{BENCH_OK, "done"},
		{BENCH_REGRESSION, "not used: kept for a regression against an "
				   "earlier run"},
		{BENCH_USAGE, "unknown command, option, key or value; no such "
			      "directory; the output exists"},
		{BENCH_TRIAL, "a trial failed: I/O error, or its process ended "
			      "early; the rounds before it are kept"},
		{BENCH_INCONCLUSIVE, "nothing could be judged: every verdict "
				     "is 'cannot tell'"},
		{BENCH_NOTHING, "no results in the folder, or different "
				"operations in one round: not to be used"},
		{BENCH_ENVIRONMENT, "refused, or out of space on the way: no "
				    "space, read-only, or --aio, "
				    "O_DIRECT or QEMU asked for and not to be "
				    "had"},
		{BENCH_INTERRUPTED, "interrupted; finished rounds are kept"},
	};
	char text[8];

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		(void)snprintf(text, sizeof(text), "%3d", (int)codes[i].code);
		wrap_entry(f, text, 7, codes[i].meaning);
	}
	(void)fprintf(f, "\nman 1 qcowbench has them too.\n");
}

const struct help_topic *
help_topic_at(size_t i)
{
	static const struct help_topic topics[] = {
		{"spec", "suites of your own: spec files", print_spec},
		{"results", "what a run leaves", print_results},
		{"exit-codes", "what the exit status says, from 0 to 130",
		 print_exit_codes},
	};

	return i < ARRAY_SIZE(topics) ? &topics[i] : NULL;
}
