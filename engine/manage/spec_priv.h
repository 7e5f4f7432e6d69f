/* SPDX-License-Identifier: MIT */
/*
 * spec_priv.h - what spec.c, spec_node.c and spec_qcow2.c share
 *
 * Functions take what they know out of the pairs, and return 0 or an error;
 * results are left alone where the text is silent.  What nobody has taken is
 * refused in the end.
 */
#ifndef Q2_MANAGE_SPEC_PRIV_H
#define Q2_MANAGE_SPEC_PRIV_H

#include "engine/manage/pairs.h"

/* A prefix and a name.  JSON is not nested deeper than what fits. */
#define SPEC_KEY_BYTES 256

/* Backing files that a text may describe. */
#define SPEC_BACKING_MAX 16

struct debug;

struct spec_priv {
	struct pairs pairs;
	struct debug *debug; /* NULL: none */
	struct q2_open_opts *backing[SPEC_BACKING_MAX];
	unsigned n_backing;
};

static inline struct pairs *
spec_pairs(const struct q2_spec *spec)
{
	return &((struct spec_priv *)spec->priv)->pairs;
}

/* prefix and name as one key, in the caller's buffer, which is returned. */
const char *spec_key(const char *prefix, const char *name,
		     char buf[SPEC_KEY_BYTES]);
/* key without the path of its node. */
const char *spec_bare(const char *key);
/* The path of its node is longer by name, "file.".  An error: too deep. */
int spec_enter(char prefix[SPEC_KEY_BYTES], const char *name,
	       struct q2_err *err);

/* ---- values ------------------------------------------------------------ */

int spec_take_bool(struct pairs *p, const char *key, bool *ret,
		   struct q2_err *err);
/* 1: on, -1: off. */
int spec_take_tristate(struct pairs *p, const char *key, int *ret,
		       struct q2_err *err);
int spec_take_size(struct pairs *p, const char *key, uint64_t *ret,
		   struct q2_err *err);
/* The place of the value among words, in *ret; -1 if there is none.  *ret_bad
 * is a value that is not among them, else NULL. */
void spec_take_word(struct pairs *p, const char *key, const char *const *words,
		    int *ret, const char **ret_bad);
/* Take and forget an option that changes nothing here. */
int spec_take_in_vain(struct pairs *p, const char *key, struct q2_err *err);

/* ---- nodes ------------------------------------------------------------- */

bool spec_is_file(const char *driver);
bool spec_is_null(const char *driver);
int spec_no_such_node(const char *name, struct q2_err *err);
/* What any node has. */
int spec_take_node(struct pairs *p, const char *prefix, struct q2_spec *spec,
		   struct q2_err *err);
/* A file, into spec->path. */
int spec_take_file(struct pairs *p, const char *prefix, struct q2_spec *spec,
		   struct q2_err *err);
int spec_take_null(struct pairs *p, const char *prefix, struct q2_spec *spec,
		   struct q2_err *err);
/* raw's offset and size: of what *part is, only this. */
int spec_take_part(struct pairs *p, const char *prefix, struct q2_part *part,
		   struct q2_err *err);
/* Nodes of driver raw from prefix down: what of the file they leave, and the
 * prefix of that. */
int spec_take_raws(struct pairs *p, char prefix[SPEC_KEY_BYTES],
		   struct q2_spec *spec, struct q2_part *part,
		   struct q2_err *err);

/* ---- blkdebug ---------------------------------------------------------- */

bool spec_is_debug(struct pairs *p, const char *prefix);
/* Its rules, and the prefix of the file below it. */
int spec_take_debug(struct pairs *p, char prefix[SPEC_KEY_BYTES],
		    struct q2_spec *spec, struct q2_err *err);
/* "blkdebug:CONFIG:IMAGE" as options; *name is IMAGE then.  Other names are
 * left alone. */
int spec_split_debug(struct pairs *p, const char **name, struct q2_err *err);

/* Rules and limits of the node at prefix, into the spec; not what is below. */
int spec_take_rules(struct pairs *p, const char *prefix, struct q2_spec *spec,
		    struct q2_err *err);
/* Drivers above a format become properties of the image. */
int spec_lift_filters(struct pairs *p, struct q2_spec *spec,
		      struct q2_err *err);

/* ---- another time ------------------------------------------------------ */

/* Are the names and drivers of nodes those that the open image has? */
int spec_check_nodes(const struct q2_spec *spec, struct q2_err *err);

/* ---- qcow2 ------------------------------------------------------------- */

/* All options of a qcow2 image, and its other files, into o. */
int spec_take_qcow2(struct q2_spec *spec, const char *prefix,
		    struct q2_open_opts *o, struct q2_err *err);

#endif
