/* SPDX-License-Identifier: MIT */
/*
 * The BPF objects: loaded, attached, or known why not. Each is tried by itself; a failure says
 * what was missing (capability, BTF, bpf() refused, cgroup v2, verifier) and what would help.
 * Everything hangs on file descriptors of this process: it is gone when the process is.
 */
#ifndef KERF_TELEMETRY_SOURCE_H
#define KERF_TELEMETRY_SOURCE_H

#include "kerf_state.h"
#include "util/err.h"

enum kerf_bpf_object {
	KERF_BPF_LINK,	    /* sockops, no BTF */
	KERF_BPF_LINK_CORE, /* sockops, BTF: app-limited, delivered, not sent */
	KERF_BPF_SCHED,	    /* tp_btf/sched_switch */
	KERF_BPF_SCHED_RAW, /* raw_tp/sched_switch, BTF from a file or none */
	KERF_BPF_ENGINE,    /* raw_tp on kerf:*, no BTF */
	KERF_BPF_GPU,	    /* raw_tp on gpu_scheduler:*, BTF */
	KERF_BPF_THERM,	    /* thermal and cpufreq events, BTF */
	KERF_N_BPF
};

struct kerf_bpf;

struct kerf_bpf_config {
	enum kerf_source best;	/* BPF: no object that needs BTF; below: none at all */
	const char *btf;	/* a BTF file in place of the kernel's; NULL: the kernel's */
	const char *cgroup;	/* cgroup v2 folder for sockops; NULL: one made for this process */
};

/* Never fails for what is not there: ask kerf_bpf_why. -ENOMEM. */
int kerf_bpf_open(const struct kerf_bpf_config *cfg, struct kerf_bpf **b, struct kerf_err *err);
void kerf_bpf_close(struct kerf_bpf *b); /* NULL allowed; detaches, leaves the cgroup */

/* NULL: loaded and attached. Else one sentence. */
const char *kerf_bpf_why(const struct kerf_bpf *b, enum kerf_bpf_object o);
const char *kerf_bpf_name(enum kerf_bpf_object o); /* "link_core" */

/*
 * Attaches what waits for something that was not there at open: kerf's module. True: something is
 * attached now that was not. A few system calls if something waits, none otherwise; a second
 * between two calls is often enough. Privileges may have been dropped since (Linux 5.19).
 */
bool kerf_bpf_retry(struct kerf_bpf *b);

/* What libbpf and the verifier said while it was tried, many lines; NULL: nothing. */
const char *kerf_bpf_log(const struct kerf_bpf *b, enum kerf_bpf_object o);

/* Things the object saw and found no free record for, each time; 0 if it is not loaded. */
uint64_t kerf_bpf_missed(const struct kerf_bpf *b, enum kerf_bpf_object o);

/*
 * The frozen map behind a region, mapped read-only; *fd can be handed to readers, and is ours.
 * NULL if no program writes that region.
 */
const void *kerf_bpf_region(const struct kerf_bpf *b, enum kerf_region r, int *fd, size_t *size);

#endif
