/* SPDX-License-Identifier: MIT */
/*
 * Something a node serves: a program with a name and the buffers of a few jobs, made
 * when it is prepared, so that a job allocates none. Models given on the command line
 * and slices prepared by peers are the same thing here.
 */
#ifndef KERF_NODE_SERVED_H
#define KERF_NODE_SERVED_H

#include "exec/engine.h"
#include "net/oip.h"

#include <pthread.h>
#include <semaphore.h>

#define KERF_SERVED_NAME_MAX 128
/* Room before the first output for the OIP header, so that both leave as one piece. */
#define KERF_SERVED_HEADER_ROOM 4096

struct kerf_served;
struct kerf_node_part;

struct kerf_served_job {
	struct kerf_served *s;
	struct kerf_served_job *next;
	struct kerf_job job;
	struct kerf_tensor *in, *out; /* data: this job's own memory */
	char *memory, *first_out;     /* first_out: KERF_SERVED_HEADER_ROOM bytes precede it */
	sem_t done;		      /* see engine.c on why no condition */
	int status;
};

struct kerf_served {
	char name[KERF_SERVED_NAME_MAX];
	struct kerf_graph *graph;
	struct kerf_engine *engine; /* not owned */
	struct kerf_program *program;
	struct kerf_oip_io *in, *out;
	struct kerf_oip_spec spec;
	struct kerf_program_info info;
	bool bounded;
	/* The header of a reply with all outputs binary and of full shape. */
	char *reply;
	size_t reply_size;
	uint64_t in_bytes, out_bytes;
	uint64_t bytes; /* of memory: buffers, weights and arena */

	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct kerf_served_job *free;
	uint32_t depth;
	struct kerf_served_job *jobs;
	struct kerf_node_part *part; /* it has ports, which have all jobs; NULL: none */

	/* The node's, under its lock. */
	struct kerf_served *next;
	uint32_t refs;
	bool gone; /* taken out of the tables; freed with the last reference */
	uint64_t used_ns;
};

/* Takes its own reference to g. May block for long (packing of weights). */
int kerf_served_new(const char *name, struct kerf_graph *g, struct kerf_engine *engine,
		    uint32_t depth, struct kerf_served **s, struct kerf_err *err);
void kerf_served_free(struct kerf_served *s); /* no job is taken */

/* A job's buffers; waits up to wait_ms for one; NULL then. */
struct kerf_served_job *kerf_served_take(struct kerf_served *s, uint32_t wait_ms);
/*
 * A job's buffers if they are not the last ones, without waiting. For who still has to
 * receive: peers whose bytes never come would otherwise keep everybody out.
 */
struct kerf_served_job *kerf_served_spare(struct kerf_served *s);
void kerf_served_give(struct kerf_served_job *j);

/* Writes n bytes of a raw request that begin at byte at of all inputs taken as one. */
void kerf_served_fill(struct kerf_served_job *j, uint64_t at, const char *data, size_t n);

/* Runs the job on its inputs and waits. The job's status. */
int kerf_served_run(struct kerf_served_job *j);

#endif
