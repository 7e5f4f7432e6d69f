/* SPDX-License-Identifier: MIT */
/*
 * manual.h - one table of options a subcommand: what getopt takes, and what
 * the help, the man page and the completion of shells say
 *
 *	static const struct manual_option options[] = {
 *		MANUAL_FORMAT,
 *		{'s', NULL, NULL, NULL, "strict: same size, too"},
 *		...
 *	};
 *	const struct manual manual_compare = {...};
 *	while ((c = manual_next(&manual_compare, argc, argv)) != -1)
 */
#ifndef Q2_IMG_MANUAL_H
#define Q2_IMG_MANUAL_H

#include <stdbool.h>
#include <stddef.h>

/* What manual_next() gives for options that have no letter. */
enum manual_code {
	OPT_OUTPUT = 256,
	OPT_AIO,
	OPT_OBJECT,
	OPT_IMAGE_OPTS,
	OPT_LAYOUT,
	OPT_BACKING_CHAIN,
	OPT_FIRST_OWN, /* a subcommand's own start here */
};

struct manual_option {
	int code; /* the letter, or one of manual_code; 0: help is a heading */
	const char *name;  /* the long form, or NULL */
	const char *value; /* how the help calls it; NULL: there is none */
	/* What a shell offers: "leaks all", "FILE", or NULL for nothing. */
	const char *words;
	const char *help; /* NULL: taken, but nobody needs to know */
};

struct manual {
	const char *name;
	const char *operands; /* of the usage line */
	const char *brief;    /* a line in the list of subcommands */
	const char *text;     /* what it does, in sentences */
	const struct manual_option *options;
	size_t n;
	const char *more; /* examples and exit status; may be NULL */
	/* Complaints about options are getopt's own, as in QEMU's tool. */
	bool getopt_complains;
};

#define MANUAL_CACHES "none writeback writethrough directsync unsafe"
#define MANUAL_AIOS   "io_uring libaio threads"

/* Options that many have. */
#define MANUAL_HELP                                  \
	{                                            \
		'h', "help", NULL, NULL, "this text" \
	}
#define MANUAL_AIO                                                        \
	{                                                                 \
		OPT_AIO, "aio", "AIO", MANUAL_AIOS,                       \
			"io_uring, libaio or threads; default: the best " \
			"that works here"                                 \
	}
#define MANUAL_OBJECT                                                     \
	{                                                                 \
		OPT_OBJECT, "object", "OBJECT", NULL,                     \
			"secret,id=NAME,data=TEXT or secret,id=NAME,"     \
			"file=FILE: a secret that other options can name" \
	}
#define MANUAL_IMAGE_OPTS                                            \
	{                                                            \
		OPT_IMAGE_OPTS, "image-opts", NULL, NULL,            \
			"file names are options: driver=qcow2,file." \
			"filename=..."                               \
	}
#define MANUAL_SHARE                                                \
	{                                                           \
		'U', "force-share", NULL, NULL,                     \
			"do not ask for the image's lock: another " \
			"program may be writing"                    \
	}
#define MANUAL_OUTPUT                                       \
	{                                                   \
		OPT_OUTPUT, "output", "FORM", "human json", \
			"human (the "                       \
			"default) or json"                  \
	}
#define MANUAL_QUIET                                              \
	{                                                         \
		'q', NULL, NULL, NULL, "print nothing but errors" \
	}
#define MANUAL_OWN                                          \
	{                                                   \
		0, NULL, NULL, NULL, "Beyond QEMU's tools:" \
	}
/* With the long form, and without. */
#define MANUAL_FORMAT_HELP "qcow2 or raw; default: as the first bytes say"
#define MANUAL_FORMAT                                                    \
	{                                                                \
		'f', "format", "FORMAT", "qcow2 raw", MANUAL_FORMAT_HELP \
	}
#define MANUAL_SHORT_FORMAT                                          \
	{                                                            \
		'f', NULL, "FORMAT", "qcow2 raw", MANUAL_FORMAT_HELP \
	}

extern const struct manual manual_amend, manual_bench, manual_bitmap,
	manual_check, manual_commit, manual_compare, manual_convert,
	manual_create, manual_dd, manual_info, manual_io, manual_map,
	manual_measure, manual_rebase, manual_resize, manual_snapshot;

/* getopt_long() by the table. */
int manual_next(const struct manual *m, int argc, char **argv);

/* All of it, on stdout. */
void manual_print(const struct manual *m);

/*
 * For the scripts that make man pages and completions (docs/man/): lines of
 * fields with tabs between them,
 *
 *	command NAME OPERANDS BRIEF
 *	text LINE
 *	option NAME -LETTER --LONG VALUE WORDS HELP	(or "" for what isn't)
 *	more LINE
 */
void manual_dump(const struct manual *m);

#endif
