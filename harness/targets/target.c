/* SPDX-License-Identifier: MIT */
#include "harness/targets/target.h"

#include <string.h>

#include "engine/base/num.h"

static const struct target *const targets[] = {&target_raw, &target_qcow2,
					       &target_null};

const struct target *
target_at(size_t i)
{
	return i < ARRAY_SIZE(targets) ? targets[i] : NULL;
}

const struct target *
target_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		if (strcmp(targets[i]->name, name) == 0)
			return targets[i];
	}
	return NULL;
}
