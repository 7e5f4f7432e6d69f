/* SPDX-License-Identifier: MIT */
/*
 * env_cpu.c - the processor and what it runs on
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/env_parts.h"
#include "harness/env_sys.h"

#define CPUS "/sys/devices/system/cpu"

/* ---- cpuinfo ----------------------------------------------------------- */

static void
add_word(char *text, size_t size, const char *word)
{
	size_t used = strlen(text);

	if (used < size)
		(void)snprintf(text + used, size - used, "%s%s",
			       used ? " " : "", word);
}

static bool
has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len) {
		if ((at == list || at[-1] == ' ') &&
		    (at[len] == ' ' || at[len] == '\0'))
			return true;
	}
	return false;
}

/* What ciphers, checksums and copies of memory choose their code by. */
static void
read_features(const char *flags, struct env_facts *facts)
{
	static const char *const matter[] = {
		"aes",          "vaes",       "pclmulqdq", "vpclmulqdq",
		"sha_ni",       "avx",        "avx2",      "avx512f",
		"avx512bw",     "bmi2",       "erms",      "fsrm",
		"gfni",         "pmull",      "sha1",      "sha2",
		"sha512",       "crc32",      "sve",       "asimd",
		"constant_tsc", "nonstop_tsc"};
	char text[ENV_VALUE] = "";

	for (size_t i = 0; i < ARRAY_SIZE(matter); i++) {
		if (has_word(flags, matter[i]))
			add_word(text, sizeof(text), matter[i]);
	}
	facts_text(facts, ENV_cpu_features, text);
}

static void
read_cpuinfo(const char *root, struct env_facts *facts)
{
	char text[4096];

	/* aarch64 has no name: implementer and part stand for it. */
	if (sys_keyed(root, "/proc/cpuinfo", "model name", text,
		      sizeof(text)) ||
	    sys_keyed(root, "/proc/cpuinfo", "Model", text, sizeof(text)) ||
	    sys_keyed(root, "/proc/cpuinfo", "CPU part", text, sizeof(text)))
		facts_text(facts, ENV_cpu_model, text);
	if (sys_keyed(root, "/proc/cpuinfo", "microcode", text, sizeof(text)))
		facts_text(facts, ENV_cpu_microcode, text);
	if (sys_keyed(root, "/proc/cpuinfo", "flags", text, sizeof(text)) ||
	    sys_keyed(root, "/proc/cpuinfo", "Features", text, sizeof(text)))
		read_features(text, facts);
}

/* ---- topology ---------------------------------------------------------- */

#define PAIRS_MAX 1024

struct pairs {
	uint64_t v[PAIRS_MAX];
	unsigned n;
};

static void
add_once(struct pairs *pairs, uint64_t value)
{
	for (unsigned i = 0; i < pairs->n; i++) {
		if (pairs->v[i] == value)
			return;
	}
	if (pairs->n < PAIRS_MAX)
		pairs->v[pairs->n++] = value;
}

static int
topology(const char *root, int cpu, const char *name, uint64_t *ret)
{
	char path[128];

	(void)snprintf(path, sizeof(path), CPUS "/cpu%d/topology/%s", cpu,
		       name);
	return sys_int(root, path, ret);
}

static void
read_topology(const char *root, struct env_facts *facts)
{
	struct pairs cores = {.n = 0}, sockets = {.n = 0};
	char online[ENV_VALUE];
	uint64_t package, core;

	if (sys_line(root, CPUS "/online", online, sizeof(online)) < 0)
		return;
	facts_int(facts, ENV_cpu_threads, sys_list_count(online));
	for (int i = sys_list_next(online, -1); i >= 0;
	     i = sys_list_next(online, i)) {
		/* A virtual machine may have no package: -1. */
		if (topology(root, i, "physical_package_id", &package) < 0)
			package = 0;
		if (topology(root, i, "core_id", &core) < 0)
			return;
		add_once(&sockets, package);
		add_once(&cores, package << 32 | core);
	}
	facts_int(facts, ENV_cpu_sockets, sockets.n);
	facts_int(facts, ENV_cpu_cores, cores.n);
}

/* "Cpus_allowed_list" of the status of this process. */
static void
read_allowed(const char *root, struct env_facts *facts)
{
	char list[ENV_VALUE];

	if (sys_keyed(root, "/proc/self/status", "Cpus_allowed_list", list,
		      sizeof(list)))
		facts_int(facts, ENV_cpu_allowed, sys_list_count(list));
}

static void
read_cache(const char *root, struct env_facts *facts)
{
	char path[96], text[32];
	uint64_t size;
	const char *unit;

	for (int i = 4; i >= 0; i--) {
		(void)snprintf(path, sizeof(path),
			       CPUS "/cpu0/cache/index%d/size", i);
		if (sys_line(root, path, text, sizeof(text)) < 0)
			continue;
		unit = text + strspn(text, "0123456789");
		if (sys_int(root, path, &size) < 0)
			continue;
		facts_int(facts, ENV_cpu_cache,
			  size * (*unit == 'M'   ? MiB
				  : *unit == 'K' ? KiB
						 : 1));
		return;
	}
}

/* ---- frequency --------------------------------------------------------- */

/* The same for all processors, or the different words joined by +. */
static void
read_governor(const char *root, struct env_facts *facts)
{
	char online[ENV_VALUE], path[128], word[64], all[ENV_VALUE] = "";
	int r = -ENOENT;

	if (sys_line(root, CPUS "/online", online, sizeof(online)) < 0)
		return;
	for (int i = sys_list_next(online, -1); i >= 0;
	     i = sys_list_next(online, i)) {
		(void)snprintf(path, sizeof(path),
			       CPUS "/cpu%d/cpufreq/scaling_governor", i);
		r = sys_line(root, path, word, sizeof(word));
		if (r < 0)
			break;
		if (!has_word(all, word))
			add_word(all, sizeof(all), word);
	}
	facts_read(facts, ENV_cpu_governor, all[0] ? 0 : r, all);
}

static void
read_frequency(const char *root, struct env_facts *facts)
{
	char text[32];

	read_governor(root, facts);
	sys_fact(facts, ENV_cpu_driver, root,
		 CPUS "/cpu0/cpufreq/scaling_driver");
	sys_fact(facts, ENV_cpu_min_khz, root,
		 CPUS "/cpu0/cpufreq/scaling_min_freq");
	sys_fact(facts, ENV_cpu_max_khz, root,
		 CPUS "/cpu0/cpufreq/scaling_max_freq");
	sys_fact(facts, ENV_state_khz, root,
		 CPUS "/cpu0/cpufreq/scaling_cur_freq");
	if (sys_line(root, CPUS "/intel_pstate/no_turbo", text, sizeof(text)) >=
	    0)
		sys_switch(facts, ENV_cpu_turbo, root,
			   CPUS "/intel_pstate/no_turbo", "on", "off");
	else
		sys_switch(facts, ENV_cpu_turbo, root, CPUS "/cpufreq/boost",
			   "off", "on");
}

void
env_read_cpu(const char *root, struct env_facts *facts)
{
	char list[ENV_VALUE];

	read_cpuinfo(root, facts);
	read_topology(root, facts);
	read_allowed(root, facts);
	read_cache(root, facts);
	read_frequency(root, facts);
	sys_switch(facts, ENV_cpu_smt, root, CPUS "/smt/active", "off", "on");
	sys_fact(facts, ENV_cpu_idle, root, CPUS "/cpuidle/current_driver");
	sys_fact(facts, ENV_cpu_isolated, root, CPUS "/isolated");
	sys_fact(facts, ENV_cpu_nohz_full, root, CPUS "/nohz_full");
	/* Without a tickless processor the list is empty, or "(null)". */
	if (strcmp(facts_get(facts, ENV_cpu_nohz_full), "(null)") == 0)
		facts_text(facts, ENV_cpu_nohz_full, "");
	if (sys_line(root, "/sys/devices/system/node/online", list,
		     sizeof(list)) >= 0)
		facts_int(facts, ENV_cpu_numa_nodes, sys_list_count(list));
}

/* ---- virtualisation ---------------------------------------------------- */

static bool
exists(const char *root, const char *path)
{
	char full[4096];

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	return access(full, F_OK) == 0;
}

static const char *
hypervisor(const char *root, const struct env_facts *facts)
{
	static const struct {
		const char *vendor, *name;
	} known[] = {
		{"QEMU", "kvm"},
		{"Red Hat", "kvm"},
		{"Google", "kvm"},
		{"Amazon EC2", "kvm"},
		{"DigitalOcean", "kvm"},
		{"Hetzner", "kvm"},
		{"OpenStack", "kvm"},
		{"VMware", "vmware"},
		{"innotek", "virtualbox"},
		{"Oracle", "virtualbox"},
		{"Microsoft", "hyperv"},
		{"Xen", "xen"},
		{"Parallels", "parallels"},
		{"Bochs", "bochs"},
		{"Apple", "apple"},
	};
	const char *vendor = facts_get(facts, ENV_virt_vendor);

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strncmp(vendor, known[i].vendor, strlen(known[i].vendor)) ==
		    0)
			return known[i].name;
	}
	return exists(root, "/sys/hypervisor/type") ? "xen" : "yes";
}

static void
read_container(const char *root, struct env_facts *facts)
{
	char text[ENV_VALUE];

	/* /run/systemd/container is systemd's word for it. */
	if (sys_line(root, "/run/systemd/container", text, sizeof(text)) >= 0)
		facts_text(facts, ENV_virt_container, text);
	else if (exists(root, "/.dockerenv"))
		facts_text(facts, ENV_virt_container, "docker");
	else if (exists(root, "/run/.containerenv"))
		facts_text(facts, ENV_virt_container, "podman");
	else if (exists(root, "/var/run/secrets/kubernetes.io"))
		facts_text(facts, ENV_virt_container, "kubernetes");
}

static void
read_steal(const char *root, struct env_facts *facts)
{
	unsigned long long v[8] = {0}, sum = 0;
	char line[ENV_VALUE];

	if (sys_line(root, "/proc/stat", line, sizeof(line)) < 0 ||
	    sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0],
		   &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		sum += v[i];
	if (sum > 0)
		facts_pct(facts, ENV_virt_steal,
			  100.0 * (double)v[7] / (double)sum);
}

void
env_read_virt(const char *root, struct env_facts *facts)
{
	char flags[4096], type[64];
	bool flagged = sys_keyed(root, "/proc/cpuinfo", "flags", flags,
				 sizeof(flags)) &&
		       has_word(flags, "hypervisor");

	sys_fact(facts, ENV_virt_vendor, root, "/sys/class/dmi/id/sys_vendor");
	sys_fact(facts, ENV_virt_product, root,
		 "/sys/class/dmi/id/product_name");
	if (flagged || exists(root, "/sys/hypervisor/type"))
		facts_text(facts, ENV_virt_hypervisor, hypervisor(root, facts));
	else if (sys_line(root, "/proc/device-tree/hypervisor/compatible", type,
			  sizeof(type)) >= 0)
		facts_text(facts, ENV_virt_hypervisor, type);
	else if (flags[0])
		facts_text(facts, ENV_virt_hypervisor, "none");
	read_container(root, facts);
	read_steal(root, facts);
}
