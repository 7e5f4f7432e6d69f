/* SPDX-License-Identifier: MIT */
/*
 * progress.c - how far a long operation is, and Ctrl-C in it
 */
#include "engine/img/progress.h"

#include <signal.h>
#include <stddef.h>

#include "engine/base/num.h"
#include "engine/img/msg.h"

static volatile sig_atomic_t came;  /* the signal that came, or 0 */
static volatile sig_atomic_t asked; /* SIGUSR1: how far is it? */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static void
show(struct progress *p, double percent)
{
	say("    (%3.2f/100%%)\r", percent);
	(void)msg_flush();
	p->shown = percent;
}

static void
note_question(int number)
{
	(void)number;
	asked = 1;
}

void
progress_begin(struct progress *p, bool on, double step)
{
	struct sigaction sa = {.sa_handler = note_question,
			       .sa_flags = SA_RESTART};

	*p = (struct progress){.on = on, .step = step};
	(void)sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGUSR1, &sa, NULL);
	if (on)
		show(p, 0);
}

bool
progress_update(void *arg, uint64_t done, uint64_t of)
{
	struct progress *p = arg;
	double percent = of ? (double)done * 100 / (double)of : 0;

	if (asked) {
		asked = 0;
		talk("    (%3.2f/100%%)", percent);
	}
	/* All that there is to do is worth one, once. */
	if (p->on && (percent > p->shown + p->step ||
		      (done && done == of && p->shown < 100)))
		show(p, percent);
	return !came;
}

void
progress_end(struct progress *p, bool is_done)
{
	if (!p->on)
		return;
	if (is_done)
		show(p, 100);
	p->on = false;
	say("\n");
}

static void
note_signal(int number)
{
	came = number;
}

static void
set_handlers(void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler};

	(void)sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction old;

		/* What the caller has made us ignore stays so (nohup). */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &sa, NULL);
	}
}

void
interrupt_catch(void)
{
	came = 0;
	set_handlers(note_signal);
}

void
interrupt_release(void)
{
	int number = came;

	set_handlers(SIG_DFL);
	if (number) {
		(void)msg_flush();
		(void)raise(number);
	}
}
