/* SPDX-License-Identifier: MIT */
/*
 * newfile.h - files of a results folder that are made anew each time
 *
 * A folder of results may come from somebody else.  A link in it must not
 * lead a program that writes there to another file, nor a pipe make it wait.
 */
#pragma once

/* Open a new file of that name for writing; what else had the name loses it,
 * and is not changed.  A descriptor, or -errno. */
int newfile_open(const char *path);
