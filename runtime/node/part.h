/* SPDX-License-Identifier: MIT */
/*
 * Parts on a node (exec/part.h): messages come in by the ports of a slice, its job runs when those
 * of one request are all there, and messages go out to neighbours, without home in between.
 *
 * A slice has a slot for each request that may be under way, made with it: the job's tensors, room
 * for every message, a job for each one sent. A slot is taken by the first that comes for
 * a request and is free again when its messages have been taken, its reply is made, and
 * nobody writes into it any more. So nothing is allocated on the way.
 *
 * A request fails if its job does, if not all of its messages come in time, if one of them says
 * that it failed upstream, or if a neighbour does not take what is sent. Then ports out are sent a
 * sentence in place of messages, and whoever runs the slice for home gets it. How requests
 * ended is remembered for a while, so that what comes late takes no slot.
 *
 * Messages are encoded where the job ended and sent as far as the socket takes them at once; the
 * rest is the connection's thread's (exec/remote_wire.c).
 */
#ifndef KERF_NODE_PART_H
#define KERF_NODE_PART_H

#include "exec/part.h"
#include "exec/remote_part.h"
#include "node/served.h"

struct kerf_node;
struct kerf_node_part;
struct part_slot;

/* Connections to a neighbour, shared by all slices that have ports there. */
struct kerf_node_link {
	struct kerf_node_link *next;
	struct kerf_engine *neighbour;
	uint32_t refs;
	char url[256];
};

/* Of the messages of one request; part was checked against the slice. */
uint64_t kerf_node_part_bytes(const struct kerf_graph *slice, const struct kerf_part *part);
/*
 * Gives s its ports and takes all of its jobs. part was checked; it is moved, also on failure.
 * -EINVAL if no message ever makes it run or a port of a slice of this node does not take what is
 * sent; -ECONNREFUSED and such if a neighbour cannot be reached.
 */
int kerf_node_part_new(struct kerf_node *n, struct kerf_served *s, struct kerf_part *part,
		       struct kerf_err *err);
void kerf_node_part_free(struct kerf_node_part *p); /* no slot is in use; NULL allowed */

/* Fails what waits for messages, with why, and takes nothing more. The caller holds a reference. */
void kerf_node_part_stop(struct kerf_node_part *p, const char *why);
/* After that: ends what is being sent, and returns when no slot is in use. */
void kerf_node_part_drain(struct kerf_node_part *p);
/* Fails what has waited too long. */
void kerf_node_part_expire(struct kerf_node_part *p, uint64_t now_ns);

/* A reference to the link, which is made if need be. Not from a job's done. */
int kerf_node_link_get(struct kerf_node *n, const char *url, struct kerf_node_link **link,
		       struct kerf_err *err);
void kerf_node_link_put(struct kerf_node *n, struct kerf_node_link *l); /* NULL allowed */

/* --- For routes. All return 0 or a negative errno with a sentence. --- */

#define KERF_PART_HOME UINT32_MAX /* as a port: home's run, with or without a message */

/* Bytes of the message that comes by port. -ENOENT, -EINVAL. */
int kerf_node_part_length(const struct kerf_node_part *p, uint32_t port, uint64_t *bytes,
			  struct kerf_err *err);
/*
 * Takes the port's place in request's slot, until come, broken or answered. The slot has a
 * reference to p's slice. -EAGAIN: every slot is in use, after wait_ms too; -EALREADY: it came
 * before, and kerf_node_part_again() is to look whether it is the same; -EEXIST: home runs it, or
 * did; -ESTALE: the request has failed (home is told how instead).
 */
int kerf_node_part_claim(struct kerf_node_part *p, uint32_t port, uint64_t request,
			 uint32_t wait_ms, struct part_slot **slot, struct kerf_err *err);
/*
 * Home says that the request has failed: what waits for messages ends, what comes later finds it
 * failed, and neighbours are told. why: KERF_PART_WHY bytes.
 */
void kerf_node_part_fail(struct kerf_node_part *p, uint64_t request, const char *why);
/* Where the message goes if it comes in pieces. */
char *kerf_node_part_room(struct part_slot *slot, uint32_t port);
/*
 * After -EALREADY, in place of come: the port's message once more. 0 if it is the same, -EEXIST. A
 * NULL slot: the request went well and is over.
 */
int kerf_node_part_again(struct part_slot *slot, uint32_t port, const void *data, bool failed,
			 struct kerf_err *err);
/* The message is whole, at data. failed: it is a sentence of KERF_PART_WHY bytes. */
int kerf_node_part_come(struct part_slot *slot, uint32_t port, const void *data, bool failed,
			struct kerf_err *err);
/* It broke off: another may come in its place. again: it was one that had come before. */
void kerf_node_part_broken(struct part_slot *slot, uint32_t port, bool again);
/*
 * Home's run, after come: waits for the outcome. *data is home's message (NULL: it has none),
 * until kerf_node_part_answered(), which is called in any case but one: -ECANCELED, as gone() said
 * that nobody waits any more. Then it is kerf_node_part_left(): the request fails unless home comes
 * back.
 */
int kerf_node_part_wait(struct part_slot *slot, bool (*gone)(void *user), void *user,
			const void **data, uint64_t *bytes, uint64_t *busy_ns,
			struct kerf_err *err);
void kerf_node_part_answered(struct part_slot *slot);
void kerf_node_part_left(struct part_slot *slot);

#endif
