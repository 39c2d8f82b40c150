/* SPDX-License-Identifier: MIT */
/*
 * From "these operators in bands over those engines" to a plan: what every policy with tiles
 * stands on.
 *
 * A policy says what to do as a list of groups. A group is a run of operators [begin, end) by id,
 * which is convex because ids are a topological order, and groups follow one another from operator
 * 0 to the last. A group runs whole on one engine, or in bands: of rows of its outputs, which must
 * all be nhwc and of one height, or of channels. Bands partition that height; a band is a step of
 * its own, and several may be on one engine, one after the other.
 *
 * kerf_bands_build() makes the steps, with the share of each operator that a band computes, and
 * the edges. What a band reads comes from the functions that make tiles (graph/tile.h,
 * graph/slice.h), so a plan never sends other rows than a tile holds. Each piece comes from the
 * step that made it, split where two made it: halos go from neighbour to neighbour. Inside a group
 * overlaps are computed more than once; between groups nothing is.
 */
#ifndef KERF_PLAN_BANDS_H
#define KERF_PLAN_BANDS_H

#include "graph/tile.h"
#include "plan/goal.h"

struct kerf_band {
	uint32_t engine;
	struct kerf_rows rows; /* of the outputs; channels in a group of channels */
};

struct kerf_group {
	uint32_t begin, end;
	uint32_t engine; /* runs it whole: if there are no bands, or they are refused */
	uint32_t first_band, n_band;
	bool channels, padded; /* as struct kerf_plan_step */
	uint32_t stage;
};

struct kerf_bands {
	uint32_t n_group, n_band;
	struct kerf_group *group;
	struct kerf_band *band;
};

/* What operators [begin, end) read and make: values, each once; inputs that are no constants. */
struct kerf_run {
	uint32_t n_op, *op;
	uint32_t n_in, n_out;
	int32_t *in, *out;
};
int kerf_run_make(const struct kerf_problem *p, uint32_t begin, uint32_t end, struct kerf_run *r);
void kerf_run_finish(struct kerf_run *r);

/* Append; 0 or -ENOMEM. The group added is bands->group[bands->n_group - 1]. */
int kerf_bands_whole(struct kerf_bands *b, uint32_t begin, uint32_t end, uint32_t engine);
/*
 * n engines; band i has rows[i], and is left out if they are none. One band alone is a whole group.
 */
int kerf_bands_tiled(struct kerf_bands *b, uint32_t begin, uint32_t end, uint32_t whole_engine,
		     uint32_t n, const uint32_t *engine, const struct kerf_rows *rows);
void kerf_bands_finish(struct kerf_bands *b);

/*
 * A priced plan; groups must cover all operators in order. A group whose bands a tile cannot have
 * runs whole on its engine; whole groups of one engine that follow one another are one step.
 * -EINVAL, with a sentence, where kerf_plan_price() says so; -ENOMEM.
 */
int kerf_bands_build(const struct kerf_problem *p, const struct kerf_bands *b,
		     struct kerf_plan *plan, struct kerf_err *err);

/* True if all bands of all padded groups can be had: a group that is refused would run whole. */
bool kerf_bands_padded(const struct kerf_problem *p, const struct kerf_bands *b);

/* Builds and offers a plan; reason in printf style. */
void kerf_bands_offer(const struct kerf_problem *p, const struct kerf_bands *b, const char *policy,
		      struct kerf_choice *c, const char *reason, ...) KERF_PRINTF(5, 6);

/*
 * The height of the outputs of operators [begin, end) if they can be cut into bands of rows and
 * that means anything: at least two rows, and a band reads less than everything. Else 0. room is
 * open (graph/tile.h).
 */
int64_t kerf_bands_rows(const struct kerf_problem *p, struct kerf_tile *room, uint32_t begin,
			uint32_t end);

/*
 * How many channels the outputs of operators [begin, end) have, if some can be made apart from the
 * others (graph/channels.h); else 0.
 */
int64_t kerf_bands_channels(const struct kerf_problem *p, struct kerf_tile *room, uint32_t begin,
			    uint32_t end);

/*
 * Layers: the smallest groups worth telling apart. One starts at every operator with a window
 * (convolutions, pools), at every one that cannot be cut into bands, and at goal.keep; operators
 * without halo belong to the layer before them. *unit has *n, and is the caller's to free.
 */
struct kerf_unit {
	uint32_t begin, end;
	int64_t rows; /* of its outputs; 0: not to be cut into bands */
};
int kerf_bands_units(const struct kerf_problem *p, struct kerf_unit **unit, uint32_t *n);

/*
 * The engines that bands are for: of each node that home can reach and that can reach home, the
 * one that is fastest at the operators [begin, end) and can run all of them; home's first, the
 * others in order of nodes. Their number.
 */
uint32_t kerf_bands_workers(const struct kerf_problem *p, uint32_t begin, uint32_t end,
			    uint32_t worker[KERF_MAX_ENGINES]);

/* The same, by what each engine takes; INFINITY: it cannot. */
uint32_t kerf_bands_fastest(const struct kerf_problem *p, const double *takes_s,
			    uint32_t worker[KERF_MAX_ENGINES]);

/* speed[i]: what worker i does of operators [begin, end) in a second. */
void kerf_bands_speeds(const struct kerf_problem *p, uint32_t begin, uint32_t end, uint32_t n,
		       const uint32_t *worker, double *speed);

/* Seconds that engine e takes for operators [begin, end) whole, without the job's fixed cost. */
double kerf_bands_op_s(const struct kerf_problem *p, uint32_t begin, uint32_t end, uint32_t e);

/* The engine that finishes [begin, end) first if all its inputs and outputs are at home's. */
int kerf_bands_best_engine(const struct kerf_problem *p, uint32_t begin, uint32_t end,
			   uint32_t *engine, struct kerf_err *err);

/* The fastest of home that can run it; if there is none, as kerf_bands_best_engine(). */
int kerf_bands_home_engine(const struct kerf_problem *p, uint32_t begin, uint32_t end,
			   uint32_t *engine, struct kerf_err *err);

/* total into n neighbouring ranges as weight[] asks, rounded to step; some may be empty. */
void kerf_bands_split(int64_t total, int64_t step, uint32_t n, const double *weight,
		      struct kerf_rows *part);

#endif
