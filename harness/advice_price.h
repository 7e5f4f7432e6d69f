/* SPDX-License-Identifier: MIT */
/*
 * advice_price.h - what a policy costs to create, and when that has paid
 *
 * Time for a disk is a line: seconds to create it, and so many for each byte of
 * first writes.  A policy has paid when its line crosses that of a cheaper one.
 * For advice.c.
 */
#ifndef HARNESS_ADVICE_PRICE_H
#define HARNESS_ADVICE_PRICE_H

#include "harness/advice_text.h"

/* What it takes to make the user's disk with p: c->disk_bytes to
 * c->price_at_most. */
void advice_set_price(struct advice_case *c, enum advice_policy p);

/* The price of ret->policy, and when it has paid: ret->break_even_gib,
 * ret->never_pays, c->against, c->payer. */
void advice_find_price(struct advice_case *c, struct advice *ret);

#endif
