/* SPDX-License-Identifier: MIT */
/*
 * qemu.h - target qemu: QEMU's own block layer, behind qemu-nbd
 *
 * qemu-img makes the image; qemu-nbd serves it on a private socket in the
 * image's folder, to one client, with the cache, aio and discard modes of the
 * configuration.  Both are programs in PATH.
 */
#ifndef HARNESS_TARGETS_QEMU_H
#define HARNESS_TARGETS_QEMU_H

#include "harness/targets/target.h"

/*
 * Can target qemu be used?  -ENOENT: a program is not installed; -ENOTSUP: this
 * one was built without libnbd; with a reason in each case.  version as
 * target.h has it.
 */
int qemu_check(char version[TARGET_VERSION], struct q2_err *err);

#endif
