/* SPDX-License-Identifier: MIT */
/*
 * records.h - a record with something of everything, and comparison
 */
#ifndef TESTS_RECORDS_H
#define TESTS_RECORDS_H

#include "results/record.h"

/* A trial; numbers that are hard to write, text that must be quoted. */
struct record *records_sample(void);

/* The same table, and each column equal, as text and as being there. */
void records_assert_same(const struct record *a, const struct record *b);

#endif
