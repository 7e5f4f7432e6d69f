/* SPDX-License-Identifier: MIT */
/*
 * fill.h - how an image comes to hold data before anybody has written
 */
#ifndef HARNESS_FILL_H
#define HARNESS_FILL_H

enum fill {
	FILL_NONE,
	FILL_SEQ,  /* from its beginning to its end */
	FILL_RAND, /* piece by piece, in random order */
};

#endif
