/* SPDX-License-Identifier: MIT */
/*
 * scripts.h - the gnuplot scripts, as they were when the program was built
 *
 * Inside the program they are found however it was installed.
 */
#ifndef PLOTS_SCRIPTS_H
#define PLOTS_SCRIPTS_H

/* '\0'-terminated */
extern const char script_style[], script_create[], script_iops[],
	script_latency[], script_progress[], script_break_even[],
	script_judged[];

#endif
