// SPDX-License-Identifier: MIT
/*
 * Engines: bpf/engine.bpf.c (behind kerf's module) and bpf/gpu.bpf.c (other DRM drivers), which
 * write two halves of one region.
 *
 * kerf's module may come after us. The programs for it need nothing of it but its trace events, so
 * they are loaded anyway and wait; attaching them later takes no privilege that may be gone by
 * then (Linux 5.19 and later). Those for GPUs need the types of the scheduler's module.
 */
#include "telemetry/bpf_priv.h"

#include "engine.skel.h"
#include "gpu.skel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void engine_destroy(void *skel)
{
	engine_bpf__destroy(skel);
}

static uint64_t engine_missed(void *skel)
{
	return ((struct engine_bpf *)skel)->bss->engine_missed;
}

static int engine_attach(void *object)
{
	struct engine_bpf *skel = object;
	int r = engine_bpf__attach(skel);

	if (r)
		engine_bpf__detach(skel);
	return r;
}

/* What attaching said; 0: fine, or it waits. */
static int engine_verdict(int r, struct kerf_err *err)
{
	if (r == -EINVAL)
		return kerf_fail(err, r,
				 "the kerf module that is loaded is of another version: its "
				 "events have fewer arguments; load this version's kerf.ko");
	return r == -ENOENT ? 0 : r;
}

static int engine_load(struct kerf_bpf *b, struct kerf_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct engine_bpf *skel;
	int r, attached;

	kerf_bpf_opts(b, &opts);
	skel = engine_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	r = kerf_bpf_share_region(b, KERF_REGION_ENGINES, skel->maps.engines);
	if (!r)
		r = engine_bpf__load(skel);
	if (r)
		goto destroy;
	attached = engine_attach(skel);
	r = engine_verdict(attached, err);
	if (!r)
		r = kerf_bpf_give_region(b, KERF_REGION_ENGINES, skel->maps.engines, err);
	if (r)
		goto destroy;
	kerf_bpf_keep(b, KERF_BPF_ENGINE, skel, engine_destroy, engine_missed);
	if (attached)
		kerf_bpf_wait(b, KERF_BPF_ENGINE, engine_attach,
			      "kerf's module is not loaded: modprobe kerf, it is then noticed");
	return 0;
destroy:
	engine_bpf__destroy(skel);
	return r;
}

const struct kerf_bpf_ops kerf_bpf_engine = {
	.id = KERF_BPF_ENGINE,
	.caps = KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_PERFMON),
	.better = KERF_BPF_ENGINE,
	.load = engine_load,
};

static void gpu_destroy(void *skel)
{
	gpu_bpf__destroy(skel);
}

static uint64_t gpu_missed(void *skel)
{
	return ((struct gpu_bpf *)skel)->bss->gpu_missed;
}

/* The end of jobs first: one whose queueing is seen is then seen to the end. */
static int gpu_attach(struct gpu_bpf *skel)
{
	skel->links.kerf_gpu_end = bpf_program__attach(skel->progs.kerf_gpu_end);
	if (!skel->links.kerf_gpu_end)
		return -errno;
	skel->links.kerf_gpu_run = bpf_program__attach(skel->progs.kerf_gpu_run);
	if (skel->links.kerf_gpu_run) {
		skel->links.kerf_gpu_queue = bpf_program__attach(skel->progs.kerf_gpu_queue);
		return skel->links.kerf_gpu_queue ? 0 : -errno;
	}
	if (errno != ENOENT)
		return -errno;
	/* As they were called up to Linux 6.12 at least */
	skel->links.kerf_gpu_run_old = bpf_program__attach(skel->progs.kerf_gpu_run_old);
	if (!skel->links.kerf_gpu_run_old)
		return -errno;
	skel->links.kerf_gpu_queue_old = bpf_program__attach(skel->progs.kerf_gpu_queue_old);
	return skel->links.kerf_gpu_queue_old ? 0 : -errno;
}

static int gpu_load(struct kerf_bpf *b, struct kerf_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct gpu_bpf *skel;
	int r;

	kerf_bpf_opts(b, &opts);
	skel = gpu_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	r = kerf_bpf_share_region(b, KERF_REGION_ENGINES, skel->maps.engines);
	if (!r)
		r = gpu_bpf__load(skel);
	if (!r)
		r = gpu_attach(skel);
	if (!r)
		r = kerf_bpf_give_region(b, KERF_REGION_ENGINES, skel->maps.engines, err);
	if (!r) {
		kerf_bpf_keep(b, KERF_BPF_GPU, skel, gpu_destroy, gpu_missed);
		return 0;
	}
	gpu_bpf__destroy(skel);
	/* The types that it asks for, or the events, come with the scheduler. */
	if (r != -EPERM && access("/sys/module/gpu_sched", F_OK))
		kerf_fail(err, r, "no DRM driver with the kernel's GPU scheduler is loaded");
	return r;
}

const struct kerf_bpf_ops kerf_bpf_gpu = {
	.id = KERF_BPF_GPU,
	.needs_btf = true,
	/* The BTF of a module is found among all, by number */
	.caps = KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_PERFMON) | KERF_CAP(KERF_CAP_SYS_ADMIN),
	.config = "CONFIG_DEBUG_INFO_BTF_MODULES",
	.better = KERF_BPF_GPU,
	.load = gpu_load,
};
