/* SPDX-License-Identifier: MIT */
/*
 * faults.h - the nth operation of a kind fails, for n = 1, 2, ... until there
 * is no nth any more; with each error, once or from then on
 */
#ifndef TESTS_FAULT_FAULTS_H
#define TESTS_FAULT_FAULTS_H

#include <stdbool.h>

#include "engine/aio/aio.h"

struct fault {
	enum aio_kind kind;
	int error;
	bool forever;
	uint64_t nth; /* from 1 */
};

/* trial() returns false when all ended before the nth, which it does in the
 * end, or the test fails. */
void faults_all(bool (*trial)(const struct fault *fault, void *arg), void *arg);

#endif
