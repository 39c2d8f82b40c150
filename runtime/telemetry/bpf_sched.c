// SPDX-License-Identifier: MIT
/* Load of the CPUs and heat: bpf/sched.bpf.c or bpf/sched_raw.bpf.c, and bpf/therm.bpf.c. */
#include "telemetry/bpf_priv.h"
#include "telemetry/cgroup.h"

#include "sched.skel.h"
#include "sched_raw.skel.h"
#include "therm.skel.h"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The id of the cgroup that was made for this process, so that its children count as its own; 0:
 * there is none, for another one may have others in it.
 */
static uint64_t own_cgroup(const struct kerf_bpf *b)
{
	struct stat st;

	if (!b->cgroup || b->cfg.cgroup || fstat(kerf_cgroup_fd(b->cgroup), &st))
		return 0;
	return st.st_ino;
}

/* Between loading and attaching. Where raw tracepoints cannot be run (before Linux 5.10): ours. */
static void find_own_tgid(const struct bpf_program *who, uint32_t *tgid)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (bpf_prog_test_run_opts(bpf_program__fd(who), &opts))
		*tgid = (uint32_t)getpid();
}

static void sched_destroy(void *skel)
{
	sched_bpf__destroy(skel);
}

static int sched_load(struct kerf_bpf *b, struct kerf_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct sched_bpf *skel;
	int r;

	kerf_bpf_opts(b, &opts);
	skel = sched_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	skel->rodata->own_cgroup = own_cgroup(b);
	r = sched_bpf__load(skel);
	if (r)
		goto fail;
	find_own_tgid(skel->progs.kerf_who, &skel->bss->own_tgid);
	r = kerf_bpf_give_region(b, KERF_REGION_CPUS, skel->maps.cpus, err);
	if (r)
		goto fail;
	r = sched_bpf__attach(skel);
	if (r) {
		kerf_bpf_drop_region(b, KERF_REGION_CPUS);
		goto fail;
	}
	kerf_bpf_keep(b, KERF_BPF_SCHED, skel, sched_destroy, NULL);
	return 0;
fail:
	sched_bpf__destroy(skel);
	return r;
}

const struct kerf_bpf_ops kerf_bpf_sched = {
	.id = KERF_BPF_SCHED,
	.needs_btf = true,
	.caps = KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_PERFMON),
	.better = KERF_BPF_SCHED,
	.load = sched_load,
};

static void raw_destroy(void *skel)
{
	sched_raw_bpf__destroy(skel);
}

static int raw_load(struct kerf_bpf *b, struct kerf_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct sched_raw_bpf *skel;
	int r;

	kerf_bpf_opts(b, &opts);
	skel = sched_raw_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	skel->rodata->own_cgroup = own_cgroup(b);
	r = sched_raw_bpf__load(skel);
	if (r)
		goto fail;
	find_own_tgid(skel->progs.kerf_who, &skel->bss->own_tgid);
	r = kerf_bpf_give_region(b, KERF_REGION_CPUS, skel->maps.cpus, err);
	if (r)
		goto fail;
	r = sched_raw_bpf__attach(skel);
	if (r) {
		kerf_bpf_drop_region(b, KERF_REGION_CPUS);
		goto fail;
	}
	kerf_bpf_keep(b, KERF_BPF_SCHED_RAW, skel, raw_destroy, NULL);
	return 0;
fail:
	sched_raw_bpf__destroy(skel);
	return r;
}

const struct kerf_bpf_ops kerf_bpf_sched_raw = {
	.id = KERF_BPF_SCHED_RAW,
	.needs_btf = true,
	.caps = KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_PERFMON),
	.better = KERF_BPF_SCHED,
	.load = raw_load,
};

static void therm_destroy(void *skel)
{
	therm_bpf__destroy(skel);
}

static int therm_load(struct kerf_bpf *b, struct kerf_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct therm_bpf *skel;
	int r;

	kerf_bpf_opts(b, &opts);
	skel = therm_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	r = therm_bpf__load(skel);
	if (r)
		goto fail;
	r = kerf_bpf_give_region(b, KERF_REGION_ZONES, skel->maps.zones, err);
	if (r)
		goto fail;
	r = therm_bpf__attach(skel);
	if (r) {
		kerf_bpf_drop_region(b, KERF_REGION_ZONES);
		goto fail;
	}
	kerf_bpf_keep(b, KERF_BPF_THERM, skel, therm_destroy, NULL);
	return 0;
fail:
	therm_bpf__destroy(skel);
	return r;
}

const struct kerf_bpf_ops kerf_bpf_therm = {
	.id = KERF_BPF_THERM,
	.needs_btf = true,
	.caps = KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_PERFMON),
	.config = "CONFIG_THERMAL and CONFIG_CPU_FREQ",
	.better = KERF_BPF_THERM,
	.load = therm_load,
};
