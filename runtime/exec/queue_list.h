/* SPDX-License-Identifier: MIT */
/* What the kernel's queues of this machine have, in plain words: for listings. */
#ifndef KERF_EXEC_QUEUE_LIST_H
#define KERF_EXEC_QUEUE_LIST_H

#include "util/base.h"

#define KERF_QUEUE_LISTED 64

struct kerf_queue_listed {
	char node[64];	   /* "/dev/accel/accel0" */
	char problem[128]; /* why it cannot be looked at; the rest is empty then */
	char name[32];	   /* the engine's, in its node */
	char spec[64];	   /* how kerf opens it: "npu:0"; empty: not by kerf */
	const char *class, *state;
	uint32_t depth; /* jobs at the same time */
	uint64_t caps, busy_ns, jobs_done;
};

/*
 * Engines of all nodes, and nodes that cannot be opened. Their number; 0 leaves in why a
 * sentence for people.
 */
#ifdef WITH_DRM
uint32_t kerf_queue_list(struct kerf_queue_listed list[KERF_QUEUE_LISTED], const char **why);
#else
static inline uint32_t kerf_queue_list(struct kerf_queue_listed list[KERF_QUEUE_LISTED],
				       const char **why)
{
	*why = "this kerf was built without libdrm";
	return 0;
}
#endif

#endif
