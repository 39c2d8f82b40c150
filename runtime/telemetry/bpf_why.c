// SPDX-License-Identifier: MIT
/* Why a BPF object could not be loaded or attached, in a sentence with advice. */
#include "telemetry/bpf_priv.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BTF_FILE "/sys/kernel/btf/vmlinux"

/* What all maps together may count against RLIMIT_MEMLOCK, and room for what others hold */
#define MEMLOCK_ENOUGH (8u << 20)

/* --- facts --- */

static bool first_line(const char *path, char *line, int size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, size, f);

	if (f)
		fclose(f);
	return ok;
}

static void read_status(struct kerf_bpf_facts *f)
{
	FILE *s = fopen("/proc/thread-self/status", "re");
	char line[128];
	int mode;

	if (!s)
		return;
	while (fgets(line, sizeof(line), s)) {
		if (strncmp(line, "CapEff:", 7) == 0)
			f->caps = strtoull(line + 7, NULL, 16);
		else if (sscanf(line, "Seccomp: %d", &mode) == 1)
			f->seccomp = mode != 0;
	}
	fclose(s);
}

void kerf_bpf_facts(struct kerf_bpf_facts *f)
{
	unsigned long inside, outside, count;
	struct utsname uts;
	struct rlimit lim;
	int major, minor;
	char line[128];

	memset(f, 0, sizeof(*f));
	read_status(f);
	f->user_ns = first_line("/proc/self/uid_map", line, sizeof(line)) &&
		     sscanf(line, "%lu %lu %lu", &inside, &outside, &count) == 3 &&
		     !(inside == 0 && outside == 0 && count == 4294967295u);
	/* "none [integrity] confidentiality": the one in force; integrity lets BPF read */
	f->lockdown = first_line("/sys/kernel/security/lockdown", line, sizeof(line)) &&
		      strstr(line, "[confidentiality]");
	f->btf = access(BTF_FILE, R_OK) == 0;
	f->memlock = UINT64_MAX;
	if (!uname(&uts) && sscanf(uts.release, "%d.%d", &major, &minor) == 2 &&
	    (major < 5 || (major == 5 && minor < 11)) && !getrlimit(RLIMIT_MEMLOCK, &lim) &&
	    lim.rlim_cur != RLIM_INFINITY)
		f->memlock = lim.rlim_cur;
}

/* --- words --- */

static const struct {
	int number;
	const char *name;
} cap_names[] = {
	{KERF_CAP_BPF, "CAP_BPF"},
	{KERF_CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	{KERF_CAP_PERFMON, "CAP_PERFMON"},
};

/* "CAP_BPF, CAP_NET_ADMIN": those of want that are not in have; false: none. */
static bool missing_caps(uint64_t want, uint64_t have, char *text, size_t size)
{
	size_t i, n = 0;

	text[0] = '\0';
	if (have & KERF_CAP(KERF_CAP_SYS_ADMIN))
		return false;
	for (i = 0; i < KERF_ARRAY_SIZE(cap_names); i++)
		if (want & ~have & KERF_CAP(cap_names[i].number) && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "",
					      cap_names[i].name);
	return n != 0;
}

/* The last line in which the verifier says something: before its statistics. */
static bool verdict(const char *log, char *line, size_t size)
{
	const char *end = strstr(log, "-- END PROG LOAD LOG --"), *begin, *found = NULL;
	size_t n = 0;

	begin = end ? strstr(log, "-- BEGIN PROG LOAD LOG --") : NULL;
	/* The beginning may have been dropped: then what there is. */
	begin = begin && begin < end ? strchr(begin, '\n') : log;
	while (end && begin && begin < end) {
		const char *eol = memchr(begin, '\n', (size_t)(end - begin));

		if (!eol)
			break;
		if (eol > begin && strncmp(begin, "processed ", 10) != 0) {
			found = begin;
			n = (size_t)(eol - begin);
		}
		begin = eol + 1;
	}
	if (!found)
		return false;
	snprintf(line, size, "%.*s", (int)KERF_MIN(n, size - 1), found);
	return true;
}

static void say_memlock(const struct kerf_bpf_facts *f, char *why, size_t size)
{
	snprintf(why, size,
		 "RLIMIT_MEMLOCK is %llu kB (before Linux 5.11: CAP_SYS_RESOURCE, or raise it)",
		 (unsigned long long)(f->memlock >> 10));
}

/* caps: those missing, NULL: none */
static void explain_eperm(const struct kerf_bpf_facts *f, const char *caps, const char *log,
			  char *why, size_t size)
{
	if (f->user_ns)
		snprintf(why, size,
			 "bpf() is refused in a user namespace: run outside it, or without");
	else if (caps)
		snprintf(why, size, "not permitted: %s missing (AmbientCapabilities= or setcap)",
			 caps);
	else if (strstr(log, "failed to iterate BTF objects") &&
		 !(f->caps & KERF_CAP(KERF_CAP_SYS_ADMIN)))
		snprintf(why, size, "not permitted: CAP_SYS_ADMIN missing, to find modules' types");
	else if (f->seccomp)
		snprintf(why, size, "refused though capable: a seccomp filter forbids bpf()");
	else if (f->lockdown)
		snprintf(why, size, "refused by kernel lockdown (/sys/kernel/security/lockdown)");
	else if (f->memlock < MEMLOCK_ENOUGH)
		say_memlock(f, why, size);
	else
		snprintf(why, size,
			 "refused though capable: a security module, or the kernel's policy");
}

void kerf_bpf_explain(const struct kerf_bpf_ops *ops, const struct kerf_bpf_facts *f, int code,
		      const char *log, char *why, size_t size)
{
	char text[160], caps[64];
	bool lacks = missing_caps(ops->caps, f->caps, caps, sizeof(caps));

	if (code == -ENOSYS) {
		snprintf(why, size, "no bpf() here: %s",
			 f->seccomp ? "a seccomp filter hides it, or no CONFIG_BPF_SYSCALL"
				    : "this kernel lacks CONFIG_BPF_SYSCALL");
	} else if (verdict(log, text, sizeof(text))) {
		/* For want of a capability the verifier hides helpers and loads. */
		snprintf(why, size, "the kernel's verifier refuses it%s%s%s: %s", lacks ? " (" : "",
			 lacks ? caps : "", lacks ? " missing)" : "", text);
	} else if (code == -EPERM || code == -EACCES) {
		explain_eperm(f, lacks ? caps : NULL, log, why, size);
	} else if (f->memlock < MEMLOCK_ENOUGH) {
		say_memlock(f, why, size);
	} else if (ops->needs_btf && !f->btf) {
		snprintf(why, size, "no BTF: " BTF_FILE " is missing (CONFIG_DEBUG_INFO_BTF)");
	} else {
		libbpf_strerror(code, text, sizeof(text));
		snprintf(why, size, "%s%s%s%s", text, ops->config ? " (needs " : "",
			 ops->config ? ops->config : "", ops->config ? ")" : "");
	}
}
