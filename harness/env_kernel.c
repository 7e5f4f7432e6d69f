/* SPDX-License-Identifier: MIT */
/*
 * env_kernel.c - how the kernel is set, memory, and what goes on just now
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/env_parts.h"
#include "harness/env_sys.h"

/* ---- boot options ------------------------------------------------------ */

/* A list of what matters, not of what must stay secret: root=, ip= and
 * many others name disks and hosts. */
static const char *const boot_matter[] = {
	"mitigations=",
	"nosmt*",
	"isolcpus=",
	"nohz*",
	"rcu_nocb*",
	"intel_pstate=",
	"amd_pstate=",
	"intel_idle.*",
	"idle=",
	"processor.max_cstate=",
	"cpufreq.*",
	"cpuidle.*",
	"elevator=",
	"scsi_mod.use_blk_mq=",
	"transparent_hugepage=",
	"hugepages=",
	"hugepagesz=",
	"default_hugepagesz=",
	"iommu*",
	"intel_iommu=",
	"amd_iommu=",
	"clocksource=",
	"tsc=",
	"spectre_v2*",
	"pti=",
	"nopti",
	"spec_store_bypass_disable=",
	"nospec*",
	"l1tf=",
	"mds=",
	"tsx*",
	"retbleed=",
	"gather_data_sampling=",
	"preempt=",
	"threadirqs",
	"mem=",
	"maxcpus=",
	"nr_cpus=",
	"numa*",
	"nvme*",
	"no-kvmclock*",
	"nopv*",
	"lockdown=",
	"init_on_alloc=",
	"init_on_free=",
	"slub_debug*",
	"page_poison*",
	"zswap.*",
	"psi=",
	"irqaffinity=",
};

/* "x*" is any word that begins with x, "x=" any value, "x" the word alone. */
static bool
matches(const char *word, const char *pattern)
{
	size_t len = strlen(pattern);
	char last = pattern[len - 1];

	if (last == '*')
		len--;
	return strncmp(word, pattern, len) == 0 &&
	       (last == '*' || last == '=' || word[len] == '\0');
}

void
env_boot_options(const char *cmdline, char *text, size_t size)
{
	char copy[4096], *save = NULL;

	text[0] = '\0';
	(void)snprintf(copy, sizeof(copy), "%s", cmdline);
	for (char *word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		for (size_t i = 0; i < ARRAY_SIZE(boot_matter); i++) {
			size_t used = strlen(text);

			if (!matches(word, boot_matter[i]))
				continue;
			(void)snprintf(text + used, size - used, "%s%.100s",
				       used ? " " : "", word);
			break;
		}
	}
}

/* ---- mitigations ------------------------------------------------------- */

static int
is_name(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* "meltdown pti, spectre_v2 retpolines": names of those that affect this
 * processor, and the first words of what is done about them. */
static void
read_mitigations(const char *root, struct env_facts *facts)
{
	static const char dir[] = "/sys/devices/system/cpu/vulnerabilities";
	char path[PATH_MAX], text[ENV_VALUE] = "", state[ENV_VALUE];
	struct dirent **names;
	int n;

	(void)snprintf(path, sizeof(path), "%s%s", root, dir);
	n = scandir(path, &names, is_name, alphasort);
	if (n < 0)
		return;
	for (int i = 0; i < n; i++) {
		size_t used = strlen(text);
		const char *what = state;

		(void)snprintf(path, sizeof(path), "%s/%s", dir,
			       names[i]->d_name);
		if (sys_line(root, path, state, sizeof(state)) >= 0 &&
		    strncmp(state, "Not affected", 12) != 0) {
			if (strncmp(what, "Mitigation: ", 12) == 0)
				what += 12;
			state[strcspn(state, ";")] = '\0';
			(void)snprintf(text + used, sizeof(text) - used,
				       "%s%.40s: %.24s", used ? ", " : "",
				       names[i]->d_name, what);
		}
		free(names[i]);
	}
	free(names);
	facts_text(facts, ENV_kernel_mitigations, text[0] ? text : "none");
}

/* ---- kernel ------------------------------------------------------------ */

static void
read_preempt(const char *root, struct env_facts *facts)
{
	char text[ENV_VALUE];
	const char *model = "none";

	if (sys_line(root, "/proc/sys/kernel/version", text, sizeof(text)) < 0)
		return;
	if (strstr(text, "PREEMPT_RT"))
		model = "rt";
	else if (strstr(text, "PREEMPT_DYNAMIC"))
		model = "dynamic";
	else if (strstr(text, "PREEMPT"))
		model = "full";
	facts_text(facts, ENV_kernel_preempt, model);
}

void
env_read_kernel(const char *root, struct env_facts *facts)
{
	static const struct {
		enum env_field field;
		const char *path;
	} vm[] = {
		{ENV_kernel_dirty_ratio, "/proc/sys/vm/dirty_ratio"},
		{ENV_kernel_dirty_background_ratio,
		 "/proc/sys/vm/dirty_background_ratio"},
		{ENV_kernel_dirty_bytes, "/proc/sys/vm/dirty_bytes"},
		{ENV_kernel_dirty_background_bytes,
		 "/proc/sys/vm/dirty_background_bytes"},
		{ENV_kernel_dirty_expire_cs,
		 "/proc/sys/vm/dirty_expire_centisecs"},
		{ENV_kernel_dirty_writeback_cs,
		 "/proc/sys/vm/dirty_writeback_centisecs"},
		{ENV_kernel_swappiness, "/proc/sys/vm/swappiness"},
		{ENV_kernel_clocksource,
		 "/sys/devices/system/clocksource/clocksource0/"
		 "current_clocksource"},
	};
	char text[4096], options[ENV_VALUE];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(vm); i++)
		sys_fact(facts, vm[i].field, root, vm[i].path);
	r = sys_line(root, "/proc/cmdline", text, sizeof(text));
	if (r >= 0) {
		env_boot_options(text, options, sizeof(options));
		facts_text(facts, ENV_kernel_options,
			   options[0] ? options : "none");
	} else {
		facts_read(facts, ENV_kernel_options, r, "");
	}
	r = sys_line(root, "/sys/kernel/mm/transparent_hugepage/enabled", text,
		     sizeof(text));
	sys_chosen(text);
	facts_read(facts, ENV_kernel_thp, r, text);
	read_preempt(root, facts);
	read_mitigations(root, facts);
}

/* ---- memory ------------------------------------------------------------ */

/* A line of meminfo in bytes; false if it is not there. */
static bool
meminfo(const char *root, const char *key, uint64_t *ret)
{
	char text[64];

	if (!sys_keyed(root, "/proc/meminfo", key, text, sizeof(text)))
		return false;
	*ret = strtoull(text, NULL, 10) * KiB;
	return true;
}

void
env_read_memory(const char *root, struct env_facts *facts)
{
	uint64_t bytes, rest;
	char text[64];

	/* What firmware and kernel take differs by some MiB from boot to
	 * boot. */
	if (meminfo(root, "MemTotal", &bytes))
		facts_int(facts, ENV_memory_total,
			  align_down(bytes + 32 * MiB, 64 * MiB));
	if (meminfo(root, "MemAvailable", &bytes))
		facts_int(facts, ENV_memory_available, bytes);
	if (meminfo(root, "SwapTotal", &bytes)) {
		facts_int(facts, ENV_memory_swap, bytes);
		if (meminfo(root, "SwapFree", &rest) && rest <= bytes)
			facts_int(facts, ENV_memory_swap_used, bytes - rest);
	}
	if (meminfo(root, "Dirty", &bytes))
		facts_int(facts, ENV_memory_dirty, bytes);
	if (sys_keyed(root, "/proc/meminfo", "HugePages_Total", text,
		      sizeof(text)))
		facts_text(facts, ENV_memory_hugepages, text);
}

/* ---- just now ---------------------------------------------------------- */

static void
read_pressure(const char *root, const char *path, struct env_facts *facts,
	      enum env_field field)
{
	char line[ENV_VALUE];
	double avg10;
	int r = sys_line(root, path, line, sizeof(line));

	if (r < 0)
		facts_read(facts, field, r, "");
	else if (sscanf(line, "some avg10=%lf", &avg10) == 1)
		facts_pct(facts, field, avg10);
}

static void
read_temperature(const char *root, struct env_facts *facts)
{
	char path[96], text[32];
	uint64_t most = 0, value;

	for (int i = 0; i < 64; i++) {
		(void)snprintf(path, sizeof(path),
			       "/sys/class/thermal/thermal_zone%d/temp", i);
		if (sys_int(root, path, &value) >= 0 && value > most)
			most = value;
	}
	if (most == 0)
		return;
	(void)snprintf(text, sizeof(text), "%llu",
		       (unsigned long long)(most / 1000));
	facts_text(facts, ENV_state_temperature, text);
}

/* A laptop that is not plugged in has all batteries discharging. */
static void
read_power(const char *root, struct env_facts *facts)
{
	static const char dir[] = "/sys/class/power_supply";
	char path[PATH_MAX], text[64];
	bool battery = false, mains = false;
	struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s%s", root, dir);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s/status", dir,
			       e->d_name);
		if (sys_line(root, path, text, sizeof(text)) >= 0 &&
		    strcmp(text, "Discharging") == 0)
			battery = true;
		(void)snprintf(path, sizeof(path), "%s/%s/online", dir,
			       e->d_name);
		if (sys_line(root, path, text, sizeof(text)) >= 0 &&
		    strcmp(text, "1") == 0)
			mains = true;
	}
	(void)closedir(d);
	if (battery || mains)
		facts_text(facts, ENV_state_power, mains ? "mains" : "battery");
}

void
env_read_state(const char *root, struct env_facts *facts)
{
	char line[ENV_VALUE], load[32];
	unsigned runnable;

	if (sys_line(root, "/proc/loadavg", line, sizeof(line)) >= 0 &&
	    sscanf(line, "%31s %*s %*s %u/", load, &runnable) == 2) {
		facts_text(facts, ENV_state_load, load);
		/* We are one of them. */
		facts_int(facts, ENV_state_runnable,
			  runnable ? runnable - 1 : 0);
	}
	read_pressure(root, "/proc/pressure/io", facts, ENV_state_io_pressure);
	read_pressure(root, "/proc/pressure/cpu", facts,
		      ENV_state_cpu_pressure);
	read_temperature(root, facts);
	read_power(root, facts);
}
