/* SPDX-License-Identifier: MIT */
/*
 * The kernel's queues: the only code that speaks to a kerf device node. Built with
 * libdrm alone (WITH_DRM); nothing outside exec/queue* includes this.
 *
 * A device is one open node: a client of the kernel's, with its own buffers and queues.
 * Jobs of any number of queues are in flight without a thread each: the device has one
 * thread, which reads the node's events and calls back.
 *
 * Threads: everything here may be called from any thread, but for open and close of one
 * device. Errors are what kerf_accel.h says of the ioctl, as negative errno.
 */
#ifndef KERF_EXEC_QUEUE_H
#define KERF_EXEC_QUEUE_H

#include "util/err.h"

#include <kerf_accel.h>

struct kerf_queue_dev;

/* --- Nodes --- */

#define KERF_QUEUE_NODES 64

struct kerf_queue_node {
	char path[64];
	int status; /* 0; or why it cannot be opened, -EACCES for one */
};

/*
 * Nodes of the kerf driver, accel nodes first, each in order of its number; those that
 * may not be opened are among them if sysfs tells that they are kerf's. Their number.
 */
uint32_t kerf_queue_nodes(struct kerf_queue_node list[KERF_QUEUE_NODES]);

/* One sentence: why there is no node that can be used. */
const char *kerf_queue_why_none(const struct kerf_queue_node *list, uint32_t n);

int kerf_queue_open(const char *path, struct kerf_queue_dev **d, struct kerf_err *err);

/*
 * The number-th engine of its class, counted over all nodes, and its index in its device.
 * name NULL, or the name it must have too. -ENOENT or -EACCES with a sentence.
 */
int kerf_queue_open_engine(uint32_t engine_class, const char *name, uint32_t number,
			   struct kerf_queue_dev **d, uint32_t *index, struct kerf_err *err);

/* No job with an event is in flight, every buffer and queue was finished. */
void kerf_queue_close(struct kerf_queue_dev *d); /* NULL allowed */

const char *kerf_queue_path(const struct kerf_queue_dev *d);
uint32_t kerf_queue_minor(const struct kerf_queue_dev *d);
int kerf_queue_device_info(struct kerf_queue_dev *d, struct drm_kerf_device_info *info);
/* -ENOENT: no engine has this index (a higher one may: see n_engines). */
int kerf_queue_engine_info(struct kerf_queue_dev *d, uint32_t index,
			   struct drm_kerf_engine_info *info);

/* --- Buffers --- */

struct kerf_bo {
	struct kerf_queue_dev *dev; /* NULL: there is no buffer */
	uint32_t handle;
	uint64_t size; /* bytes, whole pages */
	void *map;     /* NULL until mapped */
};

/* Zeroed. flags: KERF_BO_*. */
int kerf_bo_create(struct kerf_queue_dev *d, uint64_t size, uint32_t flags, struct kerf_bo *bo);
/* From and to a dma-buf; the descriptor stays the caller's, or becomes it. */
int kerf_bo_import(struct kerf_queue_dev *d, int fd, struct kerf_bo *bo);
int kerf_bo_export(const struct kerf_bo *bo, int *fd);
/* Maps all of it, once; bo->map. */
int kerf_bo_map(struct kerf_bo *bo);
/*
 * Around what the CPU reads or writes while no job uses it (KERF_SYNC_*): nothing on
 * machines whose devices see the CPU's caches.
 */
int kerf_bo_sync(const struct kerf_bo *bo, uint32_t flags, uint64_t offset, uint64_t size);
/* Unmaps and frees; jobs in flight keep what they need. No buffer: nothing to do. */
void kerf_bo_finish(struct kerf_bo *bo);

/* --- Queues --- */

struct kerf_queue {
	struct kerf_queue_dev *dev; /* NULL: there is no queue */
	uint32_t id, engine;
};

int kerf_queue_create(struct kerf_queue_dev *d, uint32_t engine, uint32_t priority, uint32_t depth,
		      struct kerf_queue *q);
void kerf_queue_destroy(struct kerf_queue *q);

/* Told on the device's thread when its job is done; the caller keeps it until then. */
struct kerf_queue_event {
	void (*done)(struct kerf_queue_event *e, uint64_t seqno, int status);
	struct kerf_queue_event *next, **link; /* private */
};

/*
 * All jobs or none. With an event, the last job's flags and cookie are set so that it
 * comes: once, also when the device goes (-ENODEV). last_seqno may be NULL.
 */
int kerf_queue_submit(struct kerf_queue *q, struct drm_kerf_job *jobs, uint32_t n,
		      struct kerf_queue_event *event, uint64_t *last_seqno);

/* Blocks until timeout_ns (CLOCK_MONOTONIC). 0 and how the job ended in *status, or -ETIME. */
int kerf_queue_wait(const struct kerf_queue *q, uint64_t seqno, int64_t timeout_ns, int *status);

int kerf_queue_state(const struct kerf_queue *q, struct drm_kerf_queue_state *state);

/* --- The device's thread --- */

/* Something to do there; the caller keeps it until it runs. */
struct kerf_queue_work {
	void (*run)(struct kerf_queue_work *w);
	struct kerf_queue_work *next; /* private */
};

/* Runs in the order posted. */
void kerf_queue_post(struct kerf_queue_dev *d, struct kerf_queue_work *w);

/* A kernel status as an engine's job ends with it: see struct kerf_job. */
int kerf_queue_job_status(int status);

#endif
