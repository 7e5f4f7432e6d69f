/* SPDX-License-Identifier: MIT */
/*
 * The environment, read from trees of /proc and /sys that are made here: each
 * field with its three states, what is below a file system down to the disks,
 * limits of control groups.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/env.h"
#include "harness/env_parts.h"
#include "harness/env_sys.h"
#include "harness/env_warn.h"
#include "harness/host_state.h"
#include "harness/probe.h"

/* ---- a tree ------------------------------------------------------------ */

static char root[64];
static struct env_facts facts;

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
set_up(void **state)
{
	const char *dir = getenv("TMPDIR");

	(void)state;
	memset(&facts, 0, sizeof(facts));
	(void)snprintf(root, sizeof(root), "%.40s/q2-env.XXXXXX",
		       dir ? dir : "/var/tmp");
	return mkdtemp(root) && chmod(root, 0755) == 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
make_folders(const char *path)
{
	char full[PATH_MAX];

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
}

static void
put(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	make_folders(path);
	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
put_link(const char *path, const char *target)
{
	char full[PATH_MAX];

	make_folders(path);
	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(symlink(target, full), 0);
}

#define assert_fact(field, text) \
	assert_string_equal(facts_get(&facts, field), text)

/* ---- facts ------------------------------------------------------------- */

static void
test_a_field_has_three_states(void **state)
{
	char text[64];
	json_t *json, *cpu;

	(void)state;
	assert_string_equal(
		facts_show(&facts, ENV_cpu_model, text, sizeof(text)),
		"absent");
	facts_read(&facts, ENV_cpu_model, 0, "  A processor \n");
	assert_fact(ENV_cpu_model, "A processor");
	facts_read(&facts, ENV_cpu_governor, -EACCES, "");
	assert_false(facts_has(&facts, ENV_cpu_governor));
	facts_read(&facts, ENV_cpu_turbo, -ENOENT, "");
	facts_int(&facts, ENV_cpu_cores, 12);
	facts_int(&facts, ENV_memory_total, 3 * GiB);
	assert_string_equal(
		facts_show(&facts, ENV_memory_total, text, sizeof(text)),
		"3 GiB");
	json = facts_json(&facts);
	cpu = json_object_get(json, "cpu");
	assert_string_equal(json_string_value(json_object_get(cpu, "model")),
			    "A processor");
	assert_string_equal(json_string_value(json_object_get(cpu, "governor")),
			    "not permitted");
	assert_string_equal(json_string_value(json_object_get(cpu, "turbo")),
			    "absent");
	assert_int_equal(json_integer_value(json_object_get(cpu, "cores")), 12);
	assert_int_equal(json_object_size(cpu), 18);
	json_decref(json);
}

/* A file of /sys may hold anything. */
static void
test_bytes_that_are_no_text_do_not_break_json(void **state)
{
	json_t *json;

	(void)state;
	facts_text(&facts, ENV_disk_model, "disk \xff\xfe");
	assert_fact(ENV_disk_model, "disk ??");
	facts_text(&facts, ENV_disk_vendor, "\xc3\xa9t\xc3\xa9");
	assert_fact(ENV_disk_vendor, "\xc3\xa9t\xc3\xa9");
	json = facts_json(&facts);
	assert_non_null(json_object_get(json, "disk"));
	json_decref(json);
}

static void
test_the_fingerprint_is_of_what_changes_performance(void **state)
{
	char before[ID_SIZE], after[ID_SIZE];

	(void)state;
	facts_text(&facts, ENV_disk_scheduler, "none");
	facts_fingerprint(&facts, before);
	for (size_t i = 0; i < ENV_FIELDS; i++) {
		struct env_facts other = facts;

		facts_text(&other, (enum env_field)i, "7");
		facts_fingerprint(&other, after);
		if (env_info[i].class == ENV_PERF)
			assert_string_not_equal(before, after);
		else
			assert_string_equal(before, after);
		/* Hidden is not the same as not there. */
		facts_read(&other, (enum env_field)i, -EPERM, "");
		facts_fingerprint(&other, after);
		if (env_info[i].class == ENV_PERF)
			assert_string_not_equal(before, after);
	}
}

static void
test_what_may_not_be_read_is_not_permitted(void **state)
{
	char path[PATH_MAX];

	(void)state;
	put("/secret", "42\n");
	(void)snprintf(path, sizeof(path), "%s/secret", root);
	assert_int_equal(chmod(path, 0), 0);
	/* Root may read everything. */
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	sys_fact(&facts, ENV_cpu_model, root, "/secret");
	sys_bytes(&facts, ENV_block_size, root, "/secret", 512);
	sys_switch(&facts, ENV_disk_fua, root, "/none", "no", "yes");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(facts.v[ENV_cpu_model].known, ENV_NOT_PERMITTED);
	assert_int_equal(facts.v[ENV_block_size].known, ENV_NOT_PERMITTED);
	assert_int_equal(facts.v[ENV_disk_fua].known, ENV_IS_ABSENT);
}

static void
test_lists_of_processors(void **state)
{
	(void)state;
	assert_int_equal(sys_list_count(""), 0);
	assert_int_equal(sys_list_count("0"), 1);
	assert_int_equal(sys_list_count("0-3,8,10-11"), 7);
	assert_int_equal(sys_list_next("0-3,8", 3), 8);
	assert_int_equal(sys_list_next("0-3,8", 8), -1);
	assert_int_equal(sys_list_next("2-3", -1), 2);
	assert_int_equal(sys_list_count("none"), 0);
}

/* ---- processor --------------------------------------------------------- */

#define CPUS "/sys/devices/system/cpu"

static void
test_processor(void **state)
{
	static const char *const core[] = {"0", "0", "1", "1"};
	char path[96];

	(void)state;
	put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast 9000\n"
			     "microcode\t: 0x2f\n"
			     "flags\t\t: fpu aes avx2 erms xsaves\n");
	put("/proc/self/status", "Name:\tx\nCpus_allowed_list:\t0,2\n");
	put(CPUS "/online", "0-3\n");
	for (int i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path),
			       CPUS "/cpu%d/topology/core_id", i);
		put(path, core[i]);
		(void)snprintf(path, sizeof(path),
			       CPUS "/cpu%d/topology/physical_package_id", i);
		put(path, "0\n");
		(void)snprintf(path, sizeof(path),
			       CPUS "/cpu%d/cpufreq/scaling_governor", i);
		put(path, i == 2 ? "performance\n" : "powersave\n");
	}
	put(CPUS "/cpu0/cache/index2/size", "512K\n");
	put(CPUS "/cpu0/cache/index3/size", "32M\n");
	put(CPUS "/smt/active", "1\n");
	put(CPUS "/intel_pstate/no_turbo", "1\n");
	put(CPUS "/isolated", "\n");
	put("/sys/devices/system/node/online", "0-1\n");
	env_read_cpu(root, &facts);
	assert_fact(ENV_cpu_model, "Fast 9000");
	assert_fact(ENV_cpu_microcode, "0x2f");
	assert_fact(ENV_cpu_features, "aes avx2 erms");
	assert_fact(ENV_cpu_threads, "4");
	assert_fact(ENV_cpu_cores, "2");
	assert_fact(ENV_cpu_sockets, "1");
	assert_fact(ENV_cpu_allowed, "2");
	assert_fact(ENV_cpu_cache, "33554432");
	assert_fact(ENV_cpu_governor, "powersave performance");
	assert_fact(ENV_cpu_smt, "on");
	assert_fact(ENV_cpu_turbo, "off");
	assert_fact(ENV_cpu_numa_nodes, "2");
	assert_false(facts_has(&facts, ENV_cpu_isolated));
	assert_false(facts_has(&facts, ENV_cpu_nohz_full));
}

static void
test_virtual_machine(void **state)
{
	(void)state;
	put("/proc/cpuinfo", "flags\t\t: fpu hypervisor aes\n");
	put("/sys/class/dmi/id/sys_vendor", "QEMU\n");
	put("/sys/class/dmi/id/product_name", "Standard PC\n");
	put("/proc/stat", "cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 1\n");
	put("/run/systemd/container", "lxc\n");
	env_read_virt(root, &facts);
	assert_fact(ENV_virt_hypervisor, "kvm");
	assert_fact(ENV_virt_product, "Standard PC");
	assert_fact(ENV_virt_steal, "10.0");
	assert_fact(ENV_virt_container, "lxc");
}

static void
test_real_machine(void **state)
{
	(void)state;
	put("/proc/cpuinfo", "flags\t\t: fpu aes\n");
	env_read_virt(root, &facts);
	assert_fact(ENV_virt_hypervisor, "none");
	assert_false(facts_has(&facts, ENV_virt_container));
	assert_false(facts_has(&facts, ENV_virt_steal));
}

/* ---- kernel, memory, state --------------------------------------------- */

static void
test_kernel(void **state)
{
	(void)state;
	put("/proc/cmdline", "root=UUID=1-2 ip=10.0.0.1::::secret:eth0 quiet "
			     "mitigations=off isolcpus=2-3 nosmtx nosmt=force "
			     "nopti memmap=1\n");
	put("/sys/kernel/mm/transparent_hugepage/enabled",
	    "always [madvise] never\n");
	put("/proc/sys/vm/dirty_ratio", "20\n");
	put("/proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC Debian\n");
	put(CPUS "/vulnerabilities/meltdown", "Mitigation: PTI\n");
	put(CPUS "/vulnerabilities/mds", "Not affected\n");
	put(CPUS "/vulnerabilities/spectre_v2",
	    "Mitigation: Retpolines; IBPB: conditional\n");
	env_read_kernel(root, &facts);
	/* Disks and hosts are not told. */
	assert_fact(ENV_kernel_options, "mitigations=off isolcpus=2-3 nosmtx "
					"nosmt=force nopti");
	assert_fact(ENV_kernel_thp, "madvise");
	assert_fact(ENV_kernel_dirty_ratio, "20");
	assert_fact(ENV_kernel_preempt, "dynamic");
	assert_fact(ENV_kernel_mitigations,
		    "meltdown: PTI, spectre_v2: Retpolines");
	assert_false(facts_has(&facts, ENV_kernel_swappiness));
}

static void
test_memory_and_state(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal:        8123456 kB\n"
			     "MemAvailable:    4000000 kB\n"
			     "SwapTotal:       1048576 kB\n"
			     "SwapFree:         524288 kB\n"
			     "Dirty:               16 kB\n"
			     "HugePages_Total:       3\n");
	put("/proc/loadavg", "2.50 1.00 0.50 3/200 999\n");
	put("/proc/pressure/io", "some avg10=12.50 avg60=1.00 avg300=0.00\n");
	put("/sys/class/power_supply/BAT0/status", "Discharging\n");
	put("/sys/class/power_supply/AC/online", "0\n");
	put("/sys/class/thermal/thermal_zone0/temp", "41000\n");
	put("/sys/class/thermal/thermal_zone1/temp", "67500\n");
	env_read_memory(root, &facts);
	env_read_state(root, &facts);
	assert_int_equal(facts_get_int(&facts, ENV_memory_total),
			 124 * 64 * MiB);
	assert_int_equal(facts_get_int(&facts, ENV_memory_swap_used),
			 512 * MiB);
	assert_fact(ENV_memory_hugepages, "3");
	assert_fact(ENV_state_load, "2.50");
	assert_fact(ENV_state_runnable, "2");
	assert_fact(ENV_state_io_pressure, "12.5");
	assert_false(facts_has(&facts, ENV_state_cpu_pressure));
	assert_fact(ENV_state_power, "battery");
	assert_fact(ENV_state_temperature, "67");
}

/* ---- control groups ---------------------------------------------------- */

static void
test_limits_of_v2_groups_above(void **state)
{
	(void)state;
	put("/proc/self/mountinfo",
	    "30 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	put("/proc/self/cgroup", "0::/user.slice/job\n");
	put("/sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
	put("/sys/fs/cgroup/user.slice/job/memory.max", "max\n");
	put("/sys/fs/cgroup/user.slice/memory.max", "max\n");
	put("/sys/fs/cgroup/user.slice/job/io.max",
	    "8:0 rbps=max wbps=1048576 riops=max wiops=max\n");
	env_read_cgroup(root, "8:0", &facts);
	assert_fact(ENV_cgroup_version, "v2");
	assert_fact(ENV_cgroup_cpu_max, "50000 100000");
	assert_fact(ENV_cgroup_memory_max, "none");
	assert_fact(ENV_cgroup_io_max,
		    "rbps=max wbps=1048576 riops=max wiops=max");
	assert_false(facts_has(&facts, ENV_cgroup_memory_high));
	/* Another disk is not limited. */
	env_read_cgroup(root, "8:16", &facts);
	assert_fact(ENV_cgroup_io_max, "none");
}

static void
test_limits_of_v1_groups(void **state)
{
	(void)state;
	put("/proc/self/mountinfo",
	    "31 1 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
	    "32 1 0:29 / /cg/memory rw - cgroup cgroup rw,memory\n");
	put("/proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/\n");
	put("/cg/cpu/cpu.cfs_quota_us", "20000\n");
	put("/cg/cpu/cpu.cfs_period_us", "100000\n");
	put("/cg/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
	put("/cg/memory/memory.limit_in_bytes", "1073741824\n");
	env_read_cgroup(root, "8:0", &facts);
	assert_fact(ENV_cgroup_version, "v1");
	assert_fact(ENV_cgroup_cpu_max, "20000 100000");
	assert_fact(ENV_cgroup_memory_max, "1073741824");
	assert_false(facts_has(&facts, ENV_cgroup_cpuset));
}

/* ---- file systems ------------------------------------------------------ */

static void
test_mounts(void **state)
{
	char source[256];

	(void)state;
	put("/proc/self/mountinfo",
	    "22 1 0:21 / /proc rw - proc proc rw\n"
	    "27 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,discard,data=ordered,"
	    "errors=remount-ro\n"
	    "28 1 8:1 /srv /srv/with\\040blank rw,noatime - ext4 /dev/sda1 "
	    "rw,discard\n"
	    "29 1 0:50 / /net rw - nfs4 secret:/export rw,vers=4.2,addr=1\n");
	env_read_mount(root, makedev(8, 1), "/srv/with blank/x", &facts, source,
		       sizeof(source));
	assert_fact(ENV_fs_mount_point, "/srv/with blank");
	assert_fact(ENV_fs_options, "noatime,discard");
	assert_fact(ENV_fs_kind, "disk");
	assert_string_equal(source, "/dev/sda1");
	env_read_mount(root, makedev(8, 1), "/home", &facts, source,
		       sizeof(source));
	assert_fact(ENV_fs_mount_point, "/");
	assert_fact(ENV_fs_options, "relatime,discard,data=ordered");
	env_read_mount(root, makedev(0, 50), "/net", &facts, source,
		       sizeof(source));
	assert_fact(ENV_fs_type, "nfs4");
	assert_fact(ENV_fs_kind, "network");
	assert_fact(ENV_fs_options, "vers=4.2");
}

static void
test_kinds_of_file_systems(void **state)
{
	(void)state;
	assert_string_equal(env_fs_kind("ext4"), "disk");
	assert_string_equal(env_fs_kind("tmpfs"), "memory");
	assert_string_equal(env_fs_kind("overlay"), "layered");
	assert_string_equal(env_fs_kind("fuse.sshfs"), "network");
	assert_string_equal(env_fs_kind("fuse.ntfs-3g"), "fuse");
	assert_string_equal(env_fs_kind("fuseblk"), "fuse");
	assert_string_equal(env_fs_kind("9p"), "network");
}

/* ---- block devices ----------------------------------------------------- */

#define DEV "/sys/devices/pci/"

/* A disk with one partition that begins at 1 MiB. */
static void
put_disk(const char *name, const char *number)
{
	char path[128], target[128];

	(void)snprintf(path, sizeof(path), DEV "%s/queue/rotational", name);
	put(path, "0\n");
	(void)snprintf(path, sizeof(path), DEV "%s/queue/scheduler", name);
	put(path, "none [mq-deadline] kyber\n");
	(void)snprintf(path, sizeof(path), DEV "%s/queue/write_cache", name);
	put(path, "write back\n");
	(void)snprintf(path, sizeof(path), DEV "%s/queue/max_sectors_kb", name);
	put(path, "1280\n");
	(void)snprintf(path, sizeof(path), DEV "%s/queue/physical_block_size",
		       name);
	put(path, "4096\n");
	(void)snprintf(path, sizeof(path), DEV "%s/device/model", name);
	put(path, "Good Disk     \n");
	(void)snprintf(path, sizeof(path), DEV "%s/device/queue_depth", name);
	put(path, "32\n");
	(void)snprintf(path, sizeof(path), DEV "%s/size", name);
	put(path, "1000000\n");
	(void)snprintf(path, sizeof(path), DEV "%s/stat", name);
	put(path, "1 0 8 0 2 0 16 0 0 0 0\n");
	(void)snprintf(path, sizeof(path), DEV "%s/%s1/partition", name, name);
	put(path, "1\n");
	(void)snprintf(path, sizeof(path), DEV "%s/%s1/start", name, name);
	put(path, "2048\n");
	(void)snprintf(path, sizeof(path), DEV "%s/%s1/size", name, name);
	put(path, "900000\n");
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%s", number);
	(void)snprintf(target, sizeof(target), "../../devices/pci/%s/%s1", name,
		       name);
	put_link(path, target);
	(void)snprintf(path, sizeof(path), "/sys/block/%s", name);
	(void)snprintf(target, sizeof(target), "../devices/pci/%s", name);
	put_link(path, target);
}

static void
test_a_partition(void **state)
{
	struct disk_count count;
	struct disks disks;

	(void)state;
	put_disk("sda", "8:1");
	env_read_block(root, makedev(8, 1), &facts, &disks);
	assert_fact(ENV_block_device, "sda1");
	assert_fact(ENV_block_stack, "sda1 > sda");
	assert_fact(ENV_block_layers, "partition > disk");
	assert_fact(ENV_block_offset, "1048576");
	assert_fact(ENV_block_size, "460800000");
	assert_fact(ENV_block_physical, "4096");
	assert_false(facts_has(&facts, ENV_block_logical));
	assert_fact(ENV_disk_device, "sda");
	assert_fact(ENV_disk_members, "1");
	assert_fact(ENV_disk_model, "Good Disk");
	assert_fact(ENV_disk_medium, "ssd");
	assert_fact(ENV_disk_rotational, "no");
	assert_fact(ENV_disk_scheduler, "mq-deadline");
	assert_fact(ENV_disk_queue_depth, "32");
	assert_fact(ENV_disk_max_request, "1310720");
	/* What others do in other partitions counts too. */
	assert_int_equal(disks.n, 1);
	assert_true(disk_stat_read(&disks, &count));
	assert_int_equal(count.ops, 3);
	assert_int_equal(count.bytes, 24 * 512);
}

/* Its file may be kept in memory: then it is not the disk that is measured. */
static void
test_a_loop_device(void **state)
{
	struct env_warning warnings[ENV_WARNINGS];
	struct disks disks;

	(void)state;
	put("/sys/devices/virtual/block/loop7/loop/dio", "0\n");
	put_link("/sys/dev/block/7:7", "../../devices/virtual/block/loop7");
	env_read_block(root, makedev(7, 7), &facts, &disks);
	assert_fact(ENV_block_layers, "loop:cached");
	assert_true(env_warnings(&facts, warnings) >= 1);
	assert_string_equal(warnings[0].remedy, "losetup --direct-io=on");
	put("/sys/devices/virtual/block/loop7/loop/dio", "1\n");
	env_read_block(root, makedev(7, 7), &facts, &disks);
	assert_fact(ENV_block_layers, "loop");
}

/* A cipher on a volume on a mirror of two partitions. */
static void
test_a_stack(void **state)
{
	struct disks disks;
	struct disk_count count;

	(void)state;
	put_disk("sda", "8:1");
	put_disk("sdb", "8:17");
	put("/sys/devices/virtual/block/md0/md/level", "raid1\n");
	put_link("/sys/devices/virtual/block/md0/slaves/sda1",
		 "../../../../pci/sda/sda1");
	put_link("/sys/devices/virtual/block/md0/slaves/sdb1",
		 "../../../../pci/sdb/sdb1");
	put("/sys/devices/virtual/block/dm-0/dm/uuid",
	    "CRYPT-LUKS2-0123456789abcdef-name-of-a-host\n");
	put("/sys/devices/virtual/block/dm-0/size", "800000\n");
	put_link("/sys/devices/virtual/block/dm-0/slaves/md0", "../../md0");
	put_link("/sys/dev/block/253:0", "../../devices/virtual/block/dm-0");
	env_read_block(root, makedev(253, 0), &facts, &disks);
	assert_fact(ENV_block_device, "dm-0");
	assert_fact(ENV_block_stack, "dm-0 > md0 > sda1 > sda > sdb1 > sdb");
	assert_fact(ENV_block_layers, "dm:CRYPT > raid1 > partition > disk > "
				      "partition > disk");
	assert_fact(ENV_block_size, "409600000");
	assert_fact(ENV_disk_device, "sda");
	assert_fact(ENV_disk_members, "2");
	assert_int_equal(disks.n, 2);
	assert_true(disk_stat_read(&disks, &count));
	assert_int_equal(count.ops, 6);
}

static void
test_a_ring_of_devices_ends(void **state)
{
	struct disks disks;

	(void)state;
	put("/sys/devices/virtual/block/dm-0/dm/uuid", "LVM-x\n");
	put_link("/sys/devices/virtual/block/dm-0/slaves/dm-0", "../../dm-0");
	put_link("/sys/dev/block/253:0", "../../devices/virtual/block/dm-0");
	env_read_block(root, makedev(253, 0), &facts, &disks);
	assert_int_equal(disks.n, 1);
}

static void
test_media(void **state)
{
	static const struct {
		const char *name, *rotational, *model, *medium;
	} cases[] = {
		{"sda", "1", "ST2000", "hdd"},
		{"sda", "1", "QEMU HARDDISK", "virtual"},
		{"vda", "1", "", "virtual"},
		{"nvme0n1", "0", "Fast", "nvme"},
		{"nvme0n1", "0", "VMware Virtual NVMe Disk", "virtual"},
		{"nbd0", "0", "", "network"},
	};
	struct disks disks;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[128], target[128];

		assert_int_equal(
			nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
		assert_int_equal(mkdir(root, 0755), 0);
		memset(&facts, 0, sizeof(facts));
		(void)snprintf(path, sizeof(path), DEV "%s/queue/rotational",
			       cases[i].name);
		put(path, cases[i].rotational);
		(void)snprintf(path, sizeof(path), DEV "%s/device/model",
			       cases[i].name);
		put(path, cases[i].model);
		(void)snprintf(target, sizeof(target), "../../devices/pci/%s",
			       cases[i].name);
		put_link("/sys/dev/block/8:0", target);
		env_read_block(root, makedev(8, 0), &facts, &disks);
		assert_fact(ENV_disk_medium, cases[i].medium);
	}
	memset(&facts, 0, sizeof(facts));
	facts_text(&facts, ENV_fs_kind, "memory");
	env_read_block(root, makedev(0, 30), &facts, &disks);
	assert_fact(ENV_disk_medium, "ram");
	assert_int_equal(disks.n, 0);
}

/* ---- before and after a round ------------------------------------------ */

static void
assert_state(const json_t *json, const char *name, long long want)
{
	assert_true(json_is_integer(json_object_get(json, name)));
	assert_int_equal(json_integer_value(json_object_get(json, name)), want);
}

static void
test_state_of_a_moment(void **state)
{
	static const struct disks none = {.n = 0};
	json_t *json;

	(void)state;
	put("/proc/loadavg", "1.25 0.5 0.1 3/120 4711\n");
	put("/proc/stat", "cpu 1 2 4 800 16 32 64 128 0 0\n");
	put("/proc/pressure/io", "some avg10=2.00 avg60=0 avg300=0 total=77\n"
				 "full avg10=0.00 avg60=0 avg300=0 total=5\n");
	put("/proc/vmstat", "nr_dirty 3\nnr_writeback 0\npgpgin 10\n"
			    "pgpgout 20\n");
	put("/sys/class/thermal/thermal_zone0/temp", "41000\n");
	put("/sys/class/thermal/thermal_zone1/temp", "52000\n");
	json = host_state_json(root, &none, root);
	assert_float_equal(json_real_value(json_object_get(json, "load")), 1.25,
			   1e-9);
	assert_state(json, "runnable", 3);
	assert_state(json, "cpu_busy_ticks", 103);
	assert_state(json, "cpu_steal_ticks", 128);
	assert_state(json, "io_wait_us", 77);
	assert_state(json, "dirty_bytes", 3 * sysconf(_SC_PAGESIZE));
	assert_state(json, "writeback_bytes", 0);
	assert_state(json, "paged_out_bytes", 20 * 1024);
	assert_state(json, "temperature_mc", 52000);
	assert_true(json_integer_value(json_object_get(json, "free_bytes")) >
		    0);
	/* What is not there is said, not left out. */
	assert_string_equal(
		json_string_value(json_object_get(json, "cpu_wait_us")),
		"absent");
	assert_string_equal(json_string_value(json_object_get(json, "cpu_khz")),
			    "absent");
	assert_string_equal(
		json_string_value(json_object_get(json, "disk_ops")), "absent");
	json_decref(json);
}

/* What has just been written through the page cache is there; a hole that
 * nobody has read is not. */
static void
test_bytes_in_the_page_cache(void **state)
{
	char path[PATH_MAX];
	uint64_t bytes;

	(void)state;
	put("/file", "a page that is in use");
	(void)snprintf(path, sizeof(path), "%s/file", root);
	assert_int_equal(host_state_resident(path, &bytes), 0);
	assert_int_equal(bytes, sysconf(_SC_PAGESIZE));
	assert_int_equal(truncate(path, 64 * MiB), 0);
	assert_int_equal(host_state_resident(path, &bytes), 0);
	assert_true(bytes < MiB);
	assert_int_equal(host_state_resident("/nowhere", &bytes), -ENOENT);
}

/* ---- this machine ------------------------------------------------------ */

static void
test_this_machine(void **state)
{
	static struct env env, again;
	struct q2_err err;

	(void)state;
	assert_int_equal(env_read(&env, root, &err), 0);
	assert_int_equal(env_read(&again, root, &err), 0);
	assert_string_equal(env.machine, again.machine);
	assert_string_equal(env.fingerprint, again.fingerprint);
	assert_int_equal(strlen(env.fingerprint), ID_SIZE - 1);
	assert_true(env.filesystem[0] != '\0');
	assert_true(facts_has(&env.facts, ENV_kernel_release));
	/* A change of root may have no /sys. */
	if (facts_has(&env.facts, ENV_cpu_threads))
		assert_true(facts_get_int(&env.facts, ENV_cpu_threads) > 0);
	assert_true(env_read(&env, "/nowhere", &err) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Every failure was taken for a file that is too long. */
static void
test_a_folder_that_is_gone_is_no_file_too_long(void **state)
{
	(void)state;
	assert_int_equal(probe_length("/nowhere/at/all", MiB), -ENOENT);
	assert_int_equal(probe_length(".", MiB), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_folder_that_is_gone_is_no_file_too_long),
		TEST(test_a_field_has_three_states),
		TEST(test_bytes_that_are_no_text_do_not_break_json),
		TEST(test_the_fingerprint_is_of_what_changes_performance),
		TEST(test_what_may_not_be_read_is_not_permitted),
		TEST(test_lists_of_processors),
		TEST(test_processor),
		TEST(test_virtual_machine),
		TEST(test_real_machine),
		TEST(test_kernel),
		TEST(test_memory_and_state),
		TEST(test_limits_of_v2_groups_above),
		TEST(test_limits_of_v1_groups),
		TEST(test_mounts),
		TEST(test_kinds_of_file_systems),
		TEST(test_a_partition),
		TEST(test_a_loop_device),
		TEST(test_a_stack),
		TEST(test_a_ring_of_devices_ends),
		TEST(test_media),
		TEST(test_state_of_a_moment),
		TEST(test_bytes_in_the_page_cache),
		TEST(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
