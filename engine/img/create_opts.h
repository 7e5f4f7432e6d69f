/* SPDX-License-Identifier: MIT */
/*
 * create_opts.h - the options of new images, as -o of create, measure and
 * whatever else makes an image takes them
 *
 *	struct create_opts c;
 *	struct q2_create_opts o = {.size = sizeof(o)};
 *
 *	r = create_opts_init(&c, "qcow2", &err);
 *	if (r == 0)
 *		r = opt_parse(&c.table, text, &err);
 *	if (r == 0)
 *		r = create_opts_take(&c, &o, &err);
 *	... the strings of o are those of c ...
 *	create_opts_done(&c);
 */
#ifndef Q2_IMG_CREATE_OPTS_H
#define Q2_IMG_CREATE_OPTS_H

#include "engine/img/optlist.h"

#define CREATE_OPTS_MAX 32

struct create_opts {
	const char *format; /* "qcow2" or "raw" */
	struct opt_table table;
	struct opt opts[CREATE_OPTS_MAX]; /* the table's */
};

/* The table of a format; -EINVAL with qemu-img's text if there is no such
 * format.  c may be given to create_opts_done() also after an error. */
int create_opts_init(struct create_opts *c, const char *format,
		     struct q2_err *err);
void create_opts_done(struct create_opts *c);

/* Join the texts of several -o by commas; *all is the caller's to free, NULL
 * at first.  0, or 1 after a complaint. */
int create_opts_join(const char *text, char **all);

/* From the table to the engine's options; does not touch opts' cache. */
int create_opts_take(const struct create_opts *c, struct q2_create_opts *ret,
		     struct q2_err *err);

/* Is it the name of one of QEMU's drivers, as backing_fmt takes them? */
bool create_opts_is_driver(const char *name);

void create_opts_print_help(const struct create_opts *c);

#endif
