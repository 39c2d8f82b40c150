/* SPDX-License-Identifier: MIT */
/*
 * A scenario: what `kerf sim` is told, read from a JSON file (docs/simulator.md). Values are
 * checked when they are read; names are resolved to indices. Strings and arrays are the
 * scenario's.
 */
#ifndef KERF_SIM_SCENARIO_H
#define KERF_SIM_SCENARIO_H

#include "plan/plan.h"
#include "plan/replan.h"
#include "sim/core.h"
#include "util/err.h"

#define KERF_SCENARIO_MAX_FILE (64u << 20)
#define KERF_SCENARIO_MAX_NODES 100000
#define KERF_SCENARIO_MAX_LINKS 4000000
#define KERF_SCENARIO_NAME 64

struct kerf_scenario_model {
	char name[KERF_SCENARIO_NAME];
	char *file;	   /* an ONNX file, or NULL: */
	char *arch, *size; /* of kerf gen; size may be NULL */
};

/* What operators cost: a roofline, or a stored profile times factor. */
struct kerf_scenario_engine {
	char name[KERF_SCENARIO_NAME];
	double flops_s, bytes_s, op_s; /* max(FLOPs / flops_s, bytes / bytes_s) + op_s */
	char *engine, *machine;	       /* of a stored profile; NULL: none */
	double factor;
	double job_s, active_w, variation;
};

struct kerf_scenario_node {
	char name[KERF_SCENARIO_NAME];
	uint32_t count, first; /* in the world */
	uint32_t n_engine, *engine;
	struct kerf_plan_node about;
};

enum kerf_scenario_pattern {
	KERF_SCENARIO_SPREAD, /* node i to node i modulo how many there are */
	KERF_SCENARIO_ALL,
	KERF_SCENARIO_RING, /* node i to the next one of the same group */
};

enum kerf_scenario_medium {
	KERF_SCENARIO_WIRE, /* each direction of its own */
	KERF_SCENARIO_AT_FROM, KERF_SCENARIO_AT_TO, /* all that reach one node share one */
	KERF_SCENARIO_ONE,
};

struct kerf_scenario_link {
	uint32_t from, to; /* groups of nodes */
	enum kerf_scenario_pattern pattern;
	enum kerf_scenario_medium medium;
	struct kerf_link_model there, back;
	uint32_t trace; /* KERF_SIM_NONE: none */
	double shift_s; /* the trace of the next link of these is that much further on */
};

struct kerf_scenario_trace {
	char name[KERF_SCENARIO_NAME];
	struct kerf_sim_trace rate;
};

struct kerf_scenario_arrivals {
	uint32_t node, model; /* group */
	enum kerf_sim_arrivals kind;
	double mean_s;
	uint32_t n; /* of times, clients */
	double *times;
};

struct kerf_scenario_failure {
	uint32_t node, index; /* group; KERF_SIM_NONE: all of it, each by itself */
	double from_s, to_s;
	double mean_up_s, mean_down_s; /* above 0: at random, from the seed */
};

struct kerf_scenario {
	char name[KERF_SCENARIO_NAME], policy[KERF_SCENARIO_NAME];
	uint64_t seed, max_requests;
	double duration_s, warmup_s, detect_s, refresh_s, smooth_s;
	uint32_t retries;
	bool see_load;
	struct kerf_goal goal;
	struct kerf_replan_options replan;
	uint32_t n_model, n_engine, n_node, n_link, n_trace, n_arrivals, n_failure;
	struct kerf_scenario_model *model;
	struct kerf_scenario_engine *engine;
	struct kerf_scenario_node *node;
	struct kerf_scenario_link *link;
	struct kerf_scenario_trace *trace;
	struct kerf_scenario_arrivals *arrivals;
	struct kerf_scenario_failure *failure;
};

/* -EINVAL with a sentence that names the field, what was expected and what was found. */
int kerf_scenario_read(const char *path, struct kerf_scenario *s, struct kerf_err *err);
void kerf_scenario_finish(struct kerf_scenario *s);

#endif
