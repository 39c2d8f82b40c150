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

/* What every object here does once it is loaded. */
static int give_and_attach(struct kerf_bpf *b, enum kerf_region region, struct bpf_map *map,
			   struct bpf_object_skeleton *skeleton, struct kerf_err *err)
{
	int r = kerf_bpf_give_region(b, region, map, err);

	if (r)
		return r;
	r = bpf_object__attach_skeleton(skeleton);
	if (r)
		kerf_bpf_drop_region(b, region);
	return r;
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
	r = give_and_attach(b, KERF_REGION_CPUS, skel->maps.cpus, skel->skeleton, err);
	if (r)
		goto fail;
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
	r = give_and_attach(b, KERF_REGION_CPUS, skel->maps.cpus, skel->skeleton, err);
	if (r)
		goto fail;
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
	r = give_and_attach(b, KERF_REGION_ZONES, skel->maps.zones, skel->skeleton, err);
	if (r)
		goto fail;
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
