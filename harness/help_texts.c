/* SPDX-License-Identifier: MIT */
#include "harness/help_texts.h"

#include "engine/base/num.h"

const struct help_task *
help_task_at(size_t i)
{
	static const struct help_task tasks[] = {
		{"Measure", {"run", "report", NULL}},
		{"Look before you measure",
		 {"list", "plan", "explain", "show", "env", NULL}},
		{"Help", {"help", "version", NULL}},
		{"Called by run", {"trial", NULL}},
	};

	return i < ARRAY_SIZE(tasks) ? &tasks[i] : NULL;
}

const struct help_example *
help_example_at(size_t i)
{
	static const struct help_example examples[] = {
		{"run", "the short form, on the disk of this directory",
		 "qcowbench run preallocation --quick"},
		{"run", "on another disk, for guests of 40 GiB",
		 "qcowbench run preallocation --quick --dir images --size 40g"},
		{"run", "a suite of your own, with one value changed",
		 "qcowbench run mine.ini --set rounds=12 --out results"},
		{"run", "one that was interrupted or killed goes on",
		 "qcowbench run --resume monday"},
		{"report", "table, CSV and plots of a run again",
		 "qcowbench report monday"},
		{"report", "its numbers, for programs",
		 "qcowbench report monday --format json"},
		{"plan", "how long would it take here?",
		 "qcowbench plan preallocation --quick"},
		{"plan", "the same, by what the disk does now",
		 "qcowbench plan mine.ini --probe"},
		{"plan", "how long on a hard disk, whatever is here?",
		 "qcowbench plan preallocation --disk hdd"},
		{"list", "the suites that there are", "qcowbench list"},
		{"list", "their names, for scripts", "qcowbench list --names"},
		{"show", "what stands behind one number of a table",
		 "qcowbench show qcow2-full/first-write preallocation"},
		{"explain", "all keys of spec files", "qcowbench explain"},
		{"explain", "one of them", "qcowbench explain cluster_size"},
		{"env", "is this machine fit for measuring?", "qcowbench env"},
		{"env", "is it still the one of an earlier run?",
		 "qcowbench env diff monday tuesday"},
		{"help", "a command, or a topic", "qcowbench help run"},
	};

	return i < ARRAY_SIZE(examples) ? &examples[i] : NULL;
}

const struct help_group *
help_group_at(size_t i)
{
	static const struct help_group groups[] = {
		{"What is measured",
		 {"quick", "set", "rounds", "size", "image-size", "requests",
		  "slices", "seed", NULL}},
		{"Where, and what stays",
		 {"dir", "out", "resume", "keep", "remove-stale", NULL}},
		{"How",
		 {"aio", "cache", "probe", "disk", "no-qemu", "strict-env",
		  NULL}},
		{"What is printed",
		 {"format", "json", "names", "color", "quiet", "verbose",
		  NULL}},
	};

	return i < ARRAY_SIZE(groups) ? &groups[i] : NULL;
}
