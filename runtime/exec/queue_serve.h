/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of an engine server: jobs of this machine's processes, with their
 * windows mapped. What the commands mean is the caller's (node/serve_queue.c).
 *
 * Mappings are kept until the kernel says that no client has the buffer any more, so a
 * job whose buffers were seen before costs one read and one write. Beyond a number of them
 * those that were not used for longest go first: a client may have any number of buffers.
 */
#ifndef KERF_EXEC_QUEUE_SERVE_H
#define KERF_EXEC_QUEUE_SERVE_H

#include "util/err.h"

#define KERF_SERVE_WINDOWS 64

struct kerf_serve;
struct kerf_serve_map;

/* Shared with a client that may write there at any time, whatever the job is. */
struct kerf_serve_window {
	uint64_t bo_id; /* never used again for another buffer */
	void *data;
	uint64_t size;
	bool writable; /* else data is mapped read-only */
};

struct kerf_serve_job {
	struct kerf_serve *serve;
	uint32_t slot; /* below the server's depth; no two jobs at a time have the same */
	uint64_t client_id;
	const void *cmd; /* a copy that the client cannot change */
	uint32_t cmd_size;
	uint32_t n_window;
	struct kerf_serve_window window[KERF_SERVE_WINDOWS];

	/* private */
	uint32_t generation;
	struct kerf_serve_map *map[KERF_SERVE_WINDOWS];
};

struct kerf_serve_config {
	const char *name;
	uint32_t depth;	   /* jobs at the same time */
	uint64_t caps;	   /* told to clients */
	uint32_t grace_ms; /* how long jobs wait for a successor; 0: they fail */
	void *user;
	/*
	 * All on the serving thread. A job is the caller's until it gives it to kerf_serve_done().
	 */
	void (*run)(void *user, struct kerf_serve_job *job);
	/*
	 * Nobody wants its result any more: it should end soon, for a server whose slots all
	 * hold such jobs for two seconds is given up. Another thread may be ending it meanwhile.
	 */
	void (*cancel)(void *user, uint32_t slot);
	void (*bo_gone)(void *user, uint64_t bo_id);
	/* The kernel has given this server up; no call follows. */
	void (*lost)(void *user);
};

/* Registers and begins to serve. -EEXIST: another process serves that name. */
int kerf_serve_open(const struct kerf_serve_config *cfg, struct kerf_serve **s,
		    struct kerf_err *err);
/*
 * Any thread. status: 0, -EIO or -EFAULT; a failure stops the client's queue. busy_ns 0: by the
 * clock.
 */
void kerf_serve_done(struct kerf_serve_job *job, int status, uint64_t busy_ns);
/* Takes no further job, waits for those that run. NULL allowed. */
void kerf_serve_close(struct kerf_serve *s);

#endif
