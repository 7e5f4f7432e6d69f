/* SPDX-License-Identifier: MIT */
/*
 * scripts.c - plots/NAME.gp as bytes of the program; see scripts.h
 *
 * The assembler reads the files, from the root of the project; the Makefile
 * knows that this object depends on them.
 */
#include "plots/scripts.h"

#define EMBED(name)                                \
	__asm__(".pushsection .rodata, \"a\"\n"    \
		".global script_" #name "\n"       \
		".hidden script_" #name "\n"       \
		"script_" #name ":\n"              \
		".incbin \"plots/" #name ".gp\"\n" \
		".byte 0\n"                        \
		".popsection\n")

EMBED(style);
EMBED(create);
EMBED(iops);
EMBED(latency);
EMBED(progress);
EMBED(break_even);
EMBED(judged);
