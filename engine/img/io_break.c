/* SPDX-License-Identifier: MIT */
/*
 * io_break.c - io commands about breakpoints: break, remove_break, resume,
 * wait_break
 */
#include <errno.h>
#include <string.h>

#include "engine/img/io.h"
#include "engine/img/msg.h"

/* How long a request may do nothing while one is held: a disk is faster. */
#define STUCK_NS INT64_C(2000000000)

int
io_turn(struct io *io)
{
	bool held = q2_debug_is_held(io->file.img, NULL);
	int r = q2_loop_run(io->file.loop, 1, held ? STUCK_NS : -1);

	if (r == 0 && held && q2_debug_is_held(io->file.img, NULL)) {
		talk("this command waits for a request that a breakpoint "
		     "holds; it is resumed");
		q2_debug_resume_all(io->file.img);
	}
	return r < 0 && r != -EINTR ? r : 0;
}

int
io_cmd_break(struct io *io, int argc, char **argv)
{
	int r = q2_debug_break(io->file.img, argv[1], argv[2]);

	(void)argc;
	if (r < 0)
		say("Could not set breakpoint: %s\n", strerror(-r));
	return r;
}

int
io_cmd_remove_break(struct io *io, int argc, char **argv)
{
	int r = q2_debug_remove_break(io->file.img, argv[1]);

	(void)argc;
	if (r < 0)
		say("Could not remove breakpoint %s: %s\n", argv[1],
		    strerror(-r));
	return r;
}

int
io_cmd_resume(struct io *io, int argc, char **argv)
{
	int r = q2_debug_resume(io->file.img, argv[1]);

	(void)argc;
	if (r < 0)
		say("Could not resume request: %s\n", strerror(-r));
	/* What ends without waiting has ended, as in QEMU. */
	if (r == 0)
		(void)q2_loop_run(io->file.loop, 0, 0);
	return r;
}

/* QEMU waits for ever where no request can get there. */
int
io_cmd_wait_break(struct io *io, int argc, char **argv)
{
	(void)argc;
	while (!q2_debug_is_held(io->file.img, argv[1])) {
		int r;

		if (!io->in_flight) {
			talk("no request is in flight that breakpoint '%s' "
			     "could hold",
			     argv[1]);
			return -EINVAL;
		}
		r = q2_loop_run(io->file.loop, 1, STUCK_NS);
		if (r == 0 && !q2_debug_is_held(io->file.img, argv[1])) {
			talk("no request has reached breakpoint '%s'", argv[1]);
			return -EINVAL;
		}
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}
