/* SPDX-License-Identifier: MIT */
/*
 * The simulated world: engines and links that serve one task after the other, nodes that fail and
 * come back, requests that are flows (flow.h) of tasks. It knows no models and no policies: who
 * plans is asked for a request's flow when it arrives.
 *
 * Units: seconds since the simulation began, bytes, joules. One world is one thread's.
 */
#ifndef KERF_SIM_CORE_H
#define KERF_SIM_CORE_H

#include "sim/flow.h"
#include "sim/heap.h"
#include "util/rng.h"

#define KERF_SIM_NONE UINT32_MAX

/* Rate of a link over time: rate[i] from t[i] on; before t[0] rate[0]. */
struct kerf_sim_trace {
	uint32_t n;
	double *t, *rate; /* bytes/s */
	double period;	  /* it begins again after that; 0: the last rate stays */
};
double kerf_sim_trace_rate(const struct kerf_sim_trace *trace, double t);
/* When bytes that begin to leave at t have left; INFINITY: never. */
double kerf_sim_trace_end(const struct kerf_sim_trace *trace, double t, double bytes);

struct kerf_sim_item {
	struct kerf_sim_request *request;
	struct kerf_sim_item *next;
	uint32_t n_before, task;
	double late_s; /* of a message: from when its bytes had gone until it was there */
};

/* What serves one task at a time: an engine, a direction of a link, or a medium of several. */
struct kerf_sim_server {
	struct kerf_sim_item *first, **last, *now;
	double since;	    /* when now began */
	uint32_t at;	    /* now's engine or link */
	uint32_t generation; /* an end of service of an earlier one is void */
	uint32_t n;	     /* waiting and served */
	double mean_n, mean_t, sum_n; /* smoothed, until when; integral over time */
	double busy_s;
	uint64_t served;
};

struct kerf_sim_engine {
	const char *name;
	uint32_t node;
	double variation; /* 0: a task takes what it is said to; 1: exponentially distributed */
	double active_w;
	struct kerf_sim_server server;
};

struct kerf_sim_link {
	uint32_t from, to; /* nodes */
	struct kerf_link_model model;
	const struct kerf_sim_trace *trace; /* NULL: model's rate */
	double shift_s;			    /* of the trace: at t it is read at t + shift_s */
	uint32_t medium;		    /* server that carries it: world->medium */
};

struct kerf_sim_node {
	char *name;
	bool down;
	double idle_w, send_j_byte, receive_j_byte;
	uint32_t first_engine, n_engine; /* in world->engine */
	/* Counted. Of requests that began here: */
	uint64_t arrived, done, lost, retried, replans;
	double energy_j; /* of work and traffic here */
	double sent_bytes, received_bytes;
	double down_s, down_since;
};

/* How a home's problems number its neighbourhood: slot 0 is home itself. */
struct kerf_sim_home {
	uint32_t node, n_slot, n_engine;
	uint32_t *slot;	  /* nodes */
	uint32_t *engine; /* of the world */
	uint32_t *link;	  /* [from * n_slot + to]: of the world, or KERF_SIM_NONE */
	void *user;
};

struct kerf_sim_request {
	const struct kerf_flow *flow;
	void *plan; /* the planner's: what it gave with the flow */
	uint32_t home, stream, refs, left, attempt, size_class;
	double arrived;
	bool aborted;
	struct kerf_sim_request *next; /* of those not in use */
	struct kerf_sim_request *made; /* of all there are, the one made before it */
	struct kerf_sim_item item[];
};

enum kerf_sim_arrivals {
	KERF_SIM_POISSON,
	KERF_SIM_REGULAR,
	KERF_SIM_TIMES,
	KERF_SIM_CLOSED, /* clients that think, ask and wait */
};

/* A source of requests at one home. */
struct kerf_sim_stream {
	enum kerf_sim_arrivals kind;
	uint32_t home, model;
	double mean_s; /* between arrivals; of CLOSED: thinking */
	uint32_t n;    /* of TIMES: how many; of CLOSED: clients */
	const double *times;
	uint32_t at;
	struct kerf_rng rng;
};

struct kerf_sim_outage {
	uint32_t node;
	double from_s, to_s; /* to_s may be INFINITY */
};

struct kerf_sim_record {
	double arrived;
	float latency;
	uint32_t home;
};

#define KERF_SIM_BINS 240

struct kerf_sim_bin {
	uint32_t arrived, done, lost, replans;
	double in_system; /* integral over the bin */
	double wire_bytes, energy_j; /* of messages and jobs that ended in it */
};

struct kerf_sim_world {
	/* Set by whoever makes it. */
	struct kerf_sim_node *node;
	struct kerf_sim_engine *engine;
	struct kerf_sim_link *link; /* ascending (from, to) */
	struct kerf_sim_server *medium;
	struct kerf_sim_home *home;
	struct kerf_sim_stream *stream;
	struct kerf_sim_outage *outage;
	uint32_t n_node, n_engine, n_link, n_medium, n_home, n_stream, n_outage;
	uint64_t seed, max_requests;
	double duration_s, warmup_s;
	double detect_s; /* from a failure until home knows it */
	double smooth_s; /* of servers' mean_n */
	uint32_t retries;
	bool keep_records;
	/*
	 * A request's flow; NULL: none can be, it is lost. again: its last one failed. The world
	 * calls drop(plan) when the request is over.
	 */
	const struct kerf_flow *(*choose)(void *user, uint32_t home, uint32_t model, double now,
					  bool again, void **plan);
	void (*drop)(void *user, void *plan);
	void (*progress)(void *user, double share); /* NULL: none; now and then */
	void *user;

	/* Counted. */
	uint64_t arrived, done, lost, lost_unplanned, retried, replans, events;
	uint64_t in_system;
	double now, end_s, sum_in_system, in_system_since;
	double energy_j, wire_bytes; /* of work and traffic */
	struct kerf_sim_record *record;
	size_t n_record, room_record;
	struct kerf_sim_bin bin[KERF_SIM_BINS];

	/* Its own. */
	struct kerf_heap heap;
	struct kerf_sim_request *spare[32], *made;
	struct kerf_rng rng;
	bool no_memory;
};

double kerf_sim_server_mean(const struct kerf_sim_server *s, double now, double smooth_s);

/* Runs until every request that arrived is done or lost. 0 or -ENOMEM. */
int kerf_sim_world_run(struct kerf_sim_world *w);
void kerf_sim_world_count_replan(struct kerf_sim_world *w, uint32_t home);
/* Frees what is its own and all arrays; names, slots and so on too. */
void kerf_sim_world_finish(struct kerf_sim_world *w);

/* One request of plan, alone, on p's engines and links: how long it takes. 0, or -ENOMEM. */
int kerf_sim_alone(const struct kerf_problem *p, const struct kerf_plan *plan, double *latency_s);

#endif
