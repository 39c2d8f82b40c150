// SPDX-License-Identifier: MIT
/* Links: bpf/link.bpf.c, bpf/link_core.bpf.c (programs of one cgroup, one of the two). */
#include "telemetry/bpf_priv.h"

#include "link.skel.h"
#include "link_core.skel.h"

#include <string.h>

/* Every record is free; whoever attaches next starts with them all. */
static int fill_free(const struct bpf_map *queue)
{
	uint32_t i;

	for (i = 0; i < KERF_STATE_LINKS; i++)
		if (bpf_map__update_elem(queue, NULL, 0, &i, sizeof(i), BPF_ANY))
			return -errno;
	return 0;
}

/* What the two objects have in common, once loaded. */
static int attach(struct kerf_bpf *b, struct bpf_program *prog, struct bpf_map *links,
		  struct bpf_map *queue, struct bpf_link **link, struct kerf_err *err)
{
	int cgroup, r;

	r = fill_free(queue);
	if (r)
		return kerf_fail(err, r, "the queue of free records: %s", strerror(-r));
	r = kerf_bpf_give_region(b, KERF_REGION_LINKS, links, err);
	if (r)
		return r;
	cgroup = kerf_bpf_cgroup(b, err);
	if (cgroup < 0) {
		r = cgroup;
		goto drop;
	}
	*link = bpf_program__attach_cgroup(prog, cgroup);
	if (!*link) {
		r = -errno;
		goto drop;
	}
	return 0;
drop:
	kerf_bpf_drop_region(b, KERF_REGION_LINKS);
	return r;
}

static void link_destroy(void *skel)
{
	link_bpf__destroy(skel);
}

static uint64_t link_missed(void *skel)
{
	return ((struct link_bpf *)skel)->bss->link_missed;
}

static int link_load(struct kerf_bpf *b, struct kerf_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct link_bpf *skel;
	int r;

	kerf_bpf_opts(b, &opts);
	skel = link_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	r = link_bpf__load(skel);
	if (!r)
		r = attach(b, skel->progs.kerf_link, skel->maps.links, skel->maps.link_free,
			   &skel->links.kerf_link, err);
	if (r) {
		link_bpf__destroy(skel);
		return r;
	}
	kerf_bpf_keep(b, KERF_BPF_LINK, skel, link_destroy, link_missed);
	return 0;
}

const struct kerf_bpf_ops kerf_bpf_link = {
	.id = KERF_BPF_LINK,
	.caps = KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_NET_ADMIN),
	.config = "CONFIG_CGROUP_BPF",
	.better = KERF_BPF_LINK_CORE,
	.load = link_load,
};

static void core_destroy(void *skel)
{
	link_core_bpf__destroy(skel);
}

static uint64_t core_missed(void *skel)
{
	return ((struct link_core_bpf *)skel)->bss->link_missed;
}

static int core_load(struct kerf_bpf *b, struct kerf_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct link_core_bpf *skel;
	int r;

	kerf_bpf_opts(b, &opts);
	skel = link_core_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	r = link_core_bpf__load(skel);
	if (!r)
		r = attach(b, skel->progs.kerf_link_core, skel->maps.links, skel->maps.link_free,
			   &skel->links.kerf_link_core, err);
	if (r) {
		link_core_bpf__destroy(skel);
		return r;
	}
	kerf_bpf_keep(b, KERF_BPF_LINK_CORE, skel, core_destroy, core_missed);
	return 0;
}

const struct kerf_bpf_ops kerf_bpf_link_core = {
	.needs_btf = true,
	.id = KERF_BPF_LINK_CORE,
	.caps = KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_NET_ADMIN) | KERF_CAP(KERF_CAP_PERFMON),
	.config = "CONFIG_CGROUP_BPF",
	.better = KERF_BPF_LINK_CORE,
	.load = core_load,
};
