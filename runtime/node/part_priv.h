/* SPDX-License-Identifier: MIT */
/*
 * Locks: p->lock for a part's slots. The node's lock may be taken under it; no other part's, and
 * nothing is submitted or told under it. What a slot points to may be used without it by who has
 * a place there: a port that was claimed, home's run, a message that is being sent, the job.
 */
#ifndef KERF_NODE_PART_PRIV_H
#define KERF_NODE_PART_PRIV_H

#include "node/node_priv.h"
#include "node/part.h"

/* How requests ended is remembered for so many. */
#define PART_ENDED 64

enum come { COME_NOT, COME_CLAIMED, COME_WHOLE };

/* Free, waiting for messages, the job runs, it is over: what it made is on its way. */
enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_RUNNING, SLOT_OVER };

/* One message on its way out. */
struct part_send {
	struct kerf_job job;
	struct kerf_tensor message;
	struct part_slot *slot;
	uint32_t port;
	struct part_send *next; /* at a slice of this node that has no slot free */
};

struct part_slot {
	struct kerf_node_part *p;
	struct kerf_served_job *job;
	struct part_send *send; /* a port out */
	char **in, **out;	/* rooms for messages, a port; in one block */
	char *memory;
	enum come *come; /* a port in */

	enum slot_state state;
	uint64_t request, deadline_ns;
	uint32_t n_come, n_writing, n_sending;
	bool home;     /* home's run waits */
	bool answered; /* or will not come */
	bool left;     /* it was here and went; deadline_ns is soon */
	int status;
	char why[KERF_PART_WHY];
};

struct ended {
	uint64_t request;
	int status;
	char why[KERF_PART_WHY];
};

struct part_out {
	struct kerf_node_link *link; /* NULL: home, or a slice of this node */
	struct kerf_program *message, *failure;
};

struct kerf_node_part {
	struct kerf_node *n;
	struct kerf_served *s;
	struct kerf_part part;
	uint32_t home_in, home_out; /* KERF_PART_HOME: none */
	struct part_out *out;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct part_slot *slot; /* s->depth */
	struct ended ended[PART_ENDED];
	uint64_t n_ended; /* so far; the last ones are kept */
	struct part_send *waiting, **waiting_tail;
	bool stopped;
};

static inline const struct kerf_graph *graph_of(const struct kerf_node_part *p)
{
	return p->s->graph;
}

/* Ends of jobs: a message was taken, or not; the slot's job ran. */
void kerf_node_part_sent(struct kerf_job *job, int status);
void kerf_node_part_ran(struct kerf_job *job, int status);

#endif
