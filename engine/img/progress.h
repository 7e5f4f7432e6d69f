/* SPDX-License-Identifier: MIT */
/*
 * progress.h - "(12.50/100%)", as qemu-img -p prints it, and Ctrl-C in long
 * operations
 */
#ifndef Q2_IMG_PROGRESS_H
#define Q2_IMG_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool on;
	double step;  /* percent; less is not worth a line */
	double shown; /* percent */
};

/* As in qemu-img, by command. */
#define PROGRESS_FINE   1.0
#define PROGRESS_COARSE 2.0 /* compare, rebase */

/* Say that nothing is done yet, if on.  From now on SIGUSR1 makes
 * progress_update() say on stderr how far it is, as in qemu-img. */
void progress_begin(struct progress *p, bool on, double step);

/* A q2_progress_fn; arg is the struct.  False after Ctrl-C. */
bool progress_update(void *arg, uint64_t done, uint64_t of);

/* The whole is done, or has failed. */
void progress_end(struct progress *p, bool is_done);

/*
 * From interrupt_catch() on, SIGINT, SIGTERM and SIGHUP only make
 * progress_update() return false, so that one can clean up.
 * interrupt_release() gives them back their meaning; one that came ends the
 * program then, after what was said has been written out.
 */
void interrupt_catch(void);
void interrupt_release(void);

#endif
