/* SPDX-License-Identifier: MIT */
/* sim_priv.h - between the wrapping backend and the recorder */
#ifndef TESTS_SIM_SIM_PRIV_H
#define TESTS_SIM_SIM_PRIV_H

#include "tests/sim/sim.h"

/* Note an attempt (a read is SIZE_MAX, and not noted); returns its index. */
size_t sim_log_submit(struct sim_log *log, const struct aio_op *op,
		      unsigned except);
/* raw: bytes moved, or negative errno. */
void sim_log_complete(struct sim_log *log, size_t rec, int64_t raw);

#endif
