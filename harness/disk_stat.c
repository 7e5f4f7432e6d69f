/* SPDX-License-Identifier: MIT */
#include "harness/disk_stat.h"

#include <inttypes.h>
#include <stdio.h>

/* Sectors of stat files have 512 bytes, whatever the disk's have. */
#define SECTOR 512

bool
disk_stat_parse(const char *text, struct disk_count *count)
{
	uint64_t v[17] = {0};
	int n = 0, used;

	while (n < 17 && sscanf(text, "%" SCNu64 "%n", &v[n], &used) == 1) {
		text += used;
		n++;
	}
	/* Since Linux 2.6 there are 11 fields; discards came with 4.18,
	 * flushes with 5.5. */
	if (n < 11)
		return false;
	count->ops += v[0] + v[4] + v[11] + v[15];
	count->bytes += (v[2] + v[6]) * SECTOR;
	count->flying += v[8];
	return true;
}

bool
disk_stat_read(const struct disks *disks, struct disk_count *ret)
{
	char text[512];
	bool any = false;

	*ret = (struct disk_count){0};
	for (unsigned i = 0; i < disks->n; i++) {
		FILE *f = fopen(disks->stat[i], "re");

		if (!f)
			continue;
		if (fgets(text, sizeof(text), f) && disk_stat_parse(text, ret))
			any = true;
		(void)fclose(f);
	}
	return any;
}

double
disk_share(uint64_t ops, uint64_t bytes, double seconds, double iops,
	   double bytes_per_s)
{
	double by_ops = 0, by_bytes = 0;

	if (seconds <= 0)
		return 0;
	if (iops > 0)
		by_ops = (double)ops / seconds / iops;
	if (bytes_per_s > 0)
		by_bytes = (double)bytes / seconds / bytes_per_s;
	return by_ops > by_bytes ? by_ops : by_bytes;
}
