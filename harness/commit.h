/* SPDX-License-Identifier: MIT */
/*
 * commit.h - of which sources this program was built
 */
#ifndef HARNESS_COMMIT_H
#define HARNESS_COMMIT_H

/* 12 hex digits or more, with + behind them if the tree had changes; "": built
 * outside git.  make writes the file that defines it. */
extern const char commit_built_from[];

#endif
