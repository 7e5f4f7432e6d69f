/* SPDX-License-Identifier: MIT */
/*
 * debug.h - errors and stops that the user ordered: QEMU's blkdebug
 *
 * Events come from the points of the engine (base/points.h) and from requests
 * to one host file.  A rule of an event changes the state, or chooses the
 * errors that requests get from now on.  A breakpoint keeps the next request
 * from being made until it is resumed; what waits for it waits as it would for
 * a slow disk, so the engine needs no code for it.
 *
 * It hangs on the hook of the points, so that nothing of it costs anything
 * where there is none.
 */
#ifndef Q2_AIO_DEBUG_H
#define Q2_AIO_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/aio/aio.h"

enum debug_event {
#define EVENT(name) DEBUG_##name,
#include "engine/aio/debug_events.def"
#undef EVENT
	DEBUG_EVENTS
};

/* In QEMU's order; block-status happens to no request here. */
enum debug_iotype {
	DEBUG_IO_READ,
	DEBUG_IO_WRITE,
	DEBUG_IO_WRITE_ZEROES,
	DEBUG_IO_DISCARD,
	DEBUG_IO_FLUSH,
	DEBUG_IO_BLOCK_STATUS,
	DEBUG_IOTYPES
};

#define DEBUG_IO_ALL ((1U << DEBUG_IO_BLOCK_STATUS) - 1)

enum debug_action {
	DEBUG_INJECT,
	DEBUG_SET_STATE
};

struct debug_rule {
	enum debug_action action;
	enum debug_event event;
	uint64_t state; /* the rule holds in this one; 0: in any */
	/* DEBUG_INJECT */
	unsigned iotypes; /* bits 1 << DEBUG_IO_... */
	int error;        /* an errno; 0: none, which hides other rules */
	bool once;
	bool has_sector;
	uint64_t sector; /* of 512 bytes, which the request must touch */
	/* DEBUG_SET_STATE */
	uint64_t new_state;
};

struct debug;

/* The number of an event or a kind of request; -1 if there is none. */
int debug_find_event(const char *name);
int debug_find_iotype(const char *name);

struct debug *debug_new(void);
/* NULL is fine.  No request may be held. */
void debug_free(struct debug *d);

/* Requests to the file are to be aligned so, as on a disk with large blocks; a
 * power of 2. */
void debug_set_align(struct debug *d, uint32_t align);

/* Later rules go before earlier ones.  Returns 0 or -ENOMEM. */
int debug_add(struct debug *d, const struct debug_rule *rule);

/*
 * From now on requests to file are seen, and the hook of its points is taken.
 * With is_format, the file holds the tables of an image, whose events count.
 * said is told "Suspended request 'A'" and the like, with NULL; it may be
 * NULL.  -EINVAL: d has a file already.
 */
int debug_attach(struct debug *d, struct aio_file *file, bool is_format,
		 q2_finding_fn said, struct q2_err *err);

/* For the disk: errors of debug_copies(). */
void debug_attach_disk(struct debug *d, struct points *points,
		       q2_finding_fn said);
/* Copy on read is about to write a range of the disk.  0 or a negative errno. */
int debug_copies(const struct points *points, uint64_t off, uint64_t len);
/* Are there rules of this event only? */
bool debug_is_only_of(const struct debug *d, enum debug_event event);

/*
 * For aio_submit(), when the hook has answered more than 0: 0 lets op go on, a
 * negative errno fails it; more than 0: it is held, and goes on later.
 */
int debug_submit(struct aio_op *op);

/* What of the hooks' owner a file has, or NULL. */
struct debug *debug_of(const struct aio_file *file);

/* Breakpoints; -ENOENT: no such event, or nothing with that tag. */
int debug_break(struct debug *d, const char *event, const char *tag);
int debug_remove_break(struct debug *d, const char *tag);
int debug_resume(struct debug *d, const char *tag);
bool debug_is_held(const struct debug *d, const char *tag);
/* Tag of a request that is held, or NULL. */
const char *debug_held(const struct debug *d);
/* Let all go on, and stop none any more. */
void debug_let_go(struct debug *d);

#endif
