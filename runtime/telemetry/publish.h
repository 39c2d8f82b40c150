/* SPDX-License-Identifier: MIT */
/*
 * Regions handed from who measures to who reads: file descriptors over a Unix socket, once;
 * after that no system call. Publisher and reader may be of different users (socket mode 0660).
 */
#ifndef KERF_TELEMETRY_PUBLISH_H
#define KERF_TELEMETRY_PUBLISH_H

#include "kerf_state.h"
#include "util/err.h"

#define KERF_STATE_SOCKET "/run/kerf/state.sock"

/* A region in memory of ours: a memfd that others can only read. */
struct kerf_shared {
	void *data; /* zeros at first */
	size_t size;
	int fd;
};
int kerf_shared_open(const char *name, size_t size, struct kerf_shared *s, struct kerf_err *err);
void kerf_shared_close(struct kerf_shared *s);

struct kerf_publisher;

/*
 * Serves fd[KERF_N_REGION] (-1: none, but for the head; they are not owned) on a Unix socket at
 * path; its folder is made. The head is filled before: each region's size is its record_bytes *
 * records. A thread of its own, which no reader can hold. A stale socket is replaced, a live one
 * is -EADDRINUSE. The socket is of mode 0660 and, where there is one, of group kerf.
 */
int kerf_publisher_open(const char *path, const int *fd, struct kerf_publisher **p,
			struct kerf_err *err);
void kerf_publisher_close(struct kerf_publisher *p); /* NULL allowed */

/* A region that is not published is NULL, of 0 records. */
struct kerf_state_reader {
	const struct kerf_state_head *head;
	const struct kerf_link_rec *link;
	const struct kerf_cpu_rec *cpu;
	const struct kerf_engine_rec *engine;
	const struct kerf_zone_rec *zone;
	const struct kerf_state *state;
	const struct kerf_transfer_rec *transfer;
	uint32_t n[KERF_N_REGION]; /* records of each */
	size_t size[KERF_N_REGION];
	uint32_t n_cpu; /* CPUs that were ever written */
};

/*
 * path NULL: $KERF_STATE, else KERF_STATE_SOCKET. -EPROTO with a sentence for another version, a
 * region of another size, one that its owner could still shrink (SIGBUS), or no answer in 2 s;
 * -ENOENT, -ECONNREFUSED: nobody publishes there; -EACCES. *r is to be closed only after 0.
 */
int kerf_state_open(const char *path, struct kerf_state_reader *r, struct kerf_err *err);
void kerf_state_close(struct kerf_state_reader *r);

/* false: the publisher is gone or stuck (its beat is older than 1 s). */
bool kerf_state_alive(const struct kerf_state_reader *r, uint64_t now_ns);

#endif
