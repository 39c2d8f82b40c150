// SPDX-License-Identifier: MIT
/* The BPF objects as a set: tried from the best down, kept, taken down. libbpf is in bpf_*.c. */
#include "telemetry/bpf_priv.h"

#include "telemetry/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const names[KERF_N_BPF] = {
	[KERF_BPF_LINK] = "link",     [KERF_BPF_LINK_CORE] = "link_core",
	[KERF_BPF_SCHED] = "sched",   [KERF_BPF_SCHED_RAW] = "sched_raw",
	[KERF_BPF_ENGINE] = "engine", [KERF_BPF_GPU] = "gpu",
	[KERF_BPF_THERM] = "therm",
};

/* In the order in which they are tried: a better one before what it makes needless. */
static const struct kerf_bpf_ops *const objects[] = {
#ifdef WITH_BPF
	&kerf_bpf_link_core,
	&kerf_bpf_link,
	&kerf_bpf_engine,
	&kerf_bpf_gpu,
	&kerf_bpf_sched,
	&kerf_bpf_sched_raw,
	&kerf_bpf_therm,
#endif
	NULL,
};

static bool attached(const struct kerf_bpf *b, enum kerf_bpf_object o)
{
	return b->object[o].skel && !b->object[o].attach;
}

static void say(struct kerf_bpf_loaded *o, const char *why)
{
	snprintf(o->why, sizeof(o->why), "%s", why);
}

static void try_all(struct kerf_bpf *b)
{
	size_t i;

	for (i = 0; objects[i]; i++) {
		const struct kerf_bpf_ops *ops = objects[i];
		struct kerf_bpf_loaded *o = &b->object[ops->id];
		enum kerf_source source = ops->needs_btf ? KERF_SOURCE_BTF : KERF_SOURCE_BPF;

		if (b->cfg.best != KERF_SOURCE_NONE && source > b->cfg.best)
			say(o, "not tried: a lesser source was asked for");
		else if (ops->better != ops->id && attached(b, ops->better))
			snprintf(o->why, sizeof(o->why), "not needed: %s is attached",
				 names[ops->better]);
#ifdef WITH_BPF
		else
			kerf_bpf_try(b, ops, o);
#endif
	}
}

int kerf_bpf_open(const struct kerf_bpf_config *cfg, struct kerf_bpf **out, struct kerf_err *err)
{
	struct kerf_bpf *b = calloc(1, sizeof(*b));
	int i;

	*out = NULL;
	if (!b)
		return kerf_fail(err, -ENOMEM, "BPF: out of memory");
	b->cfg = *cfg;
	for (i = 0; i < KERF_N_REGION; i++)
		b->region[i].fd = -1;
	for (i = 0; i < KERF_N_BPF; i++)
		say(&b->object[i], "not in this build (make WITH_BPF=yes says what it misses)");
	try_all(b);
	/* Without a program on it there is no reason to be in a cgroup of our own. */
	if (!attached(b, KERF_BPF_LINK) && !attached(b, KERF_BPF_LINK_CORE)) {
		kerf_cgroup_close(b->cgroup);
		b->cgroup = NULL;
	}
	*out = b;
	return 0;
}

void kerf_bpf_drop_region(struct kerf_bpf *b, enum kerf_region r)
{
	struct kerf_bpf_region *g = &b->region[r];

	if (g->map)
		munmap(g->map, g->size);
	if (g->fd >= 0)
		close(g->fd);
	*g = (struct kerf_bpf_region){.fd = -1};
}

void kerf_bpf_close(struct kerf_bpf *b)
{
	int i;

	if (!b)
		return;
	for (i = 0; i < KERF_N_BPF; i++) {
		if (b->object[i].skel)
			b->object[i].destroy(b->object[i].skel);
		free(b->object[i].log);
	}
	for (i = 0; i < KERF_N_REGION; i++)
		kerf_bpf_drop_region(b, i);
	kerf_cgroup_close(b->cgroup);
	free(b);
}

void kerf_bpf_keep(struct kerf_bpf *b, enum kerf_bpf_object o, void *skel,
		   void (*destroy)(void *skel), uint64_t (*missed)(void *skel))
{
	b->object[o].skel = skel;
	b->object[o].destroy = destroy;
	b->object[o].missed = missed;
}

void kerf_bpf_wait(struct kerf_bpf *b, enum kerf_bpf_object o, int (*attach)(void *skel),
		   const char *why)
{
	b->object[o].attach = attach;
	say(&b->object[o], why);
}

bool kerf_bpf_retry(struct kerf_bpf *b)
{
	bool any = false;
#ifdef WITH_BPF
	int i;

	for (i = 0; i < KERF_N_BPF; i++) {
		struct kerf_bpf_loaded *o = &b->object[i];

		int r = o->attach ? kerf_bpf_attach_again(o) : -ENOENT;

		if (!r) {
			o->attach = NULL;
			any = true;
		} else if (r != -ENOENT) {
			snprintf(o->why, sizeof(o->why),
				 "what it attaches to came, but it cannot be attached: %s",
				 strerror(-r));
		}
	}
#endif
	return any;
}

int kerf_bpf_cgroup(struct kerf_bpf *b, struct kerf_err *err)
{
	int r;

	if (!b->cgroup) {
		r = kerf_cgroup_open(b->cfg.cgroup, &b->cgroup, err);
		if (r)
			return r;
	}
	return kerf_cgroup_fd(b->cgroup);
}

const char *kerf_bpf_why(const struct kerf_bpf *b, enum kerf_bpf_object o)
{
	return attached(b, o) ? NULL : b->object[o].why;
}

const char *kerf_bpf_name(enum kerf_bpf_object o)
{
	return (unsigned int)o < KERF_N_BPF ? names[o] : "?";
}

const char *kerf_bpf_log(const struct kerf_bpf *b, enum kerf_bpf_object o)
{
	return b->object[o].log;
}

uint64_t kerf_bpf_missed(const struct kerf_bpf *b, enum kerf_bpf_object o)
{
	const struct kerf_bpf_loaded *l = &b->object[o];

	return l->skel && l->missed ? l->missed(l->skel) : 0;
}

const void *kerf_bpf_region(const struct kerf_bpf *b, enum kerf_region r, int *fd, size_t *size)
{
	const struct kerf_bpf_region *g = &b->region[r];

	*fd = g->fd;
	*size = g->size;
	return g->map;
}
