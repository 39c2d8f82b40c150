/* SPDX-License-Identifier: MIT */
/*
 * Between the loader (bpf.c, bpf_load.c) and the BPF objects, one file an area: bpf_link.c,
 * bpf_sched.c, bpf_engine.c. An object is a struct kerf_bpf_ops, named in bpf.c's table; the order
 * there is the order in which they are tried.
 */
#ifndef KERF_TELEMETRY_BPF_PRIV_H
#define KERF_TELEMETRY_BPF_PRIV_H

#include "telemetry/source.h"

#include <stdbool.h>

/* Linux capabilities, by what they are for (CAP_SYS_ADMIN stands for each) */
#define KERF_CAP_NET_ADMIN 12
#define KERF_CAP_SYS_ADMIN 21
#define KERF_CAP_PERFMON 38
#define KERF_CAP_BPF 39
#define KERF_CAP(c) (1ull << (c))

struct bpf_map;
struct bpf_object;
struct bpf_object_open_opts;

struct kerf_bpf_ops {
	enum kerf_bpf_object id;
	bool needs_btf;	     /* of the kernel */
	uint64_t caps;	     /* KERF_CAP() | ... that loading and attaching needs */
	const char *config;  /* kernel options besides CONFIG_BPF_SYSCALL; NULL: none */
	/* Not tried once this one is attached; its own id: no such one. */
	enum kerf_bpf_object better;
	/*
	 * Opens, loads and attaches; hands what it made to kerf_bpf_keep(). Returns 0 or -errno;
	 * then nothing of it is left. A sentence in err is taken as the reason; without one the
	 * loader finds the words for the errno.
	 */
	int (*load)(struct kerf_bpf *b, struct kerf_err *err);
};

extern const struct kerf_bpf_ops kerf_bpf_link, kerf_bpf_link_core;
extern const struct kerf_bpf_ops kerf_bpf_engine, kerf_bpf_gpu;
extern const struct kerf_bpf_ops kerf_bpf_sched, kerf_bpf_sched_raw, kerf_bpf_therm;

struct kerf_bpf_loaded {
	void *skel;
	void (*destroy)(void *skel);
	uint64_t (*missed)(void *skel);
	int (*attach)(void *skel); /* not NULL: loaded, what it attaches to is not there */
	char why[256];
	char *log; /* what libbpf and the verifier said; NULL: nothing */
};

struct kerf_bpf_region {
	int fd; /* -1: no program writes it */
	void *map;
	size_t size;
};

struct kerf_cgroup;

struct kerf_bpf {
	struct kerf_bpf_config cfg;
	struct kerf_bpf_loaded object[KERF_N_BPF];
	struct kerf_bpf_region region[KERF_N_REGION];
	struct kerf_cgroup *cgroup;
};

/* For x_bpf__open_opts() of a skeleton */
void kerf_bpf_opts(const struct kerf_bpf *b, struct bpf_object_open_opts *opts);

/*
 * Between open and load: if another object has that region already, this one writes the same
 * map. 0 or -errno.
 */
int kerf_bpf_share_region(struct kerf_bpf *b, enum kerf_region r, struct bpf_map *map);

/* After load: freezes the map and hands it out as region r. Nothing if it is shared. */
int kerf_bpf_give_region(struct kerf_bpf *b, enum kerf_region r, struct bpf_map *map,
			 struct kerf_err *err);

/* Takes it back: for an object that fails after kerf_bpf_give_region(). */
void kerf_bpf_drop_region(struct kerf_bpf *b, enum kerf_region r);

/* Makes the skeleton b's: destroy(skel) is called at kerf_bpf_close(). missed: NULL allowed. */
void kerf_bpf_keep(struct kerf_bpf *b, enum kerf_bpf_object o, void *skel,
		   void (*destroy)(void *skel), uint64_t (*missed)(void *skel));

/*
 * The object, kept already, is loaded but has nothing to attach to yet: kerf_bpf_retry() calls
 * attach(skel), which returns 0 or -errno, until it succeeds. why: what it waits for.
 */
void kerf_bpf_wait(struct kerf_bpf *b, enum kerf_bpf_object o, int (*attach)(void *skel),
		   const char *why);

/* The cgroup to attach to, made at the first call; its fd is b's. */
int kerf_bpf_cgroup(struct kerf_bpf *b, struct kerf_err *err);

/*
 * bpf_load.c: runs ops->load with libbpf's messages kept instead of printed; fills o->why and
 * o->log. 0 or -errno.
 */
int kerf_bpf_try(struct kerf_bpf *b, const struct kerf_bpf_ops *ops, struct kerf_bpf_loaded *o);

/* bpf_load.c: o->attach, and nothing that libbpf says of it. 0 or -errno. */
int kerf_bpf_attach_again(struct kerf_bpf_loaded *o);

/* --- bpf_why.c --- */

/* What decides whether bpf() is allowed here, as far as a process can tell. */
struct kerf_bpf_facts {
	uint64_t caps;	   /* effective, of this thread */
	uint64_t memlock;  /* bytes; UINT64_MAX: no limit, or maps do not count (Linux 5.11) */
	bool user_ns;	   /* not in the first user namespace: its capabilities do not count */
	bool seccomp;	   /* a filter is on */
	bool lockdown;
	bool btf;	   /* /sys/kernel/btf/vmlinux is there */
};
void kerf_bpf_facts(struct kerf_bpf_facts *f);

/* One sentence with advice for a failure with code (negative); log: what libbpf said. */
void kerf_bpf_explain(const struct kerf_bpf_ops *ops, const struct kerf_bpf_facts *f, int code,
		      const char *log, char *why, size_t size);

#endif
