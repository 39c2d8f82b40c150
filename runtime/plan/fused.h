/* SPDX-License-Identifier: MIT */
/*
 * Which layers to fuse before bands exchange rows: what tiles cost, close enough to search with.
 *
 * Blocks are runs of operators between points where one value is live, or single layers where
 * there is no such point. Bands may be cut through several neighbouring blocks without an exchange
 * (fused): then every operator before the last computes rows that its neighbours compute too.
 * How many those are is found once for each last block, on a band in the middle of the image. So
 * a band of part f of fused blocks i to j takes, on engine e,
 *
 *     job_s + fixed + min(f * each + halo, each)
 *
 * and reads f + halo_in of its input's rows. Bands at the border of the image overlap on one side
 * alone, so this is never too little. What a chosen plan costs tells kerf_plan_price().
 */
#ifndef KERF_PLAN_FUSED_H
#define KERF_PLAN_FUSED_H

#include "plan/bands.h"

/* More together would compute almost everything everywhere; a graph has at most so many blocks. */
#define KERF_FUSED_REACH 16
#define KERF_FUSED_OPS 64
#define KERF_FUSED_BLOCKS 128

struct kerf_block {
	uint32_t begin, end;
	int64_t rows; /* of its outputs; 0: not to be cut into bands */
	bool joint;   /* one value comes in, from a block with rows: may be fused with that */
	bool stays;   /* at home: goal.keep, or values of sizes known only at run time */
	double in_bytes, out_bytes; /* what lives before it; what it makes for others */
};

struct kerf_fused_s {
	double fixed, each, halo;
};

struct kerf_fused {
	const struct kerf_problem *p;
	uint32_t users; /* who have yet to free it */
	uint32_t n, reach;
	struct kerf_block *block;
	uint32_t *since; /* per block j: blocks i..j can be fused if i >= since[j] */
	struct kerf_fused_s *s; /* kerf_fused_cost() */
	double *halo_in;	/* kerf_fused_halo_in() */
	double *whole_s;	/* [j * n_engine + e]: block j, not cut */
};

/*
 * At most `reach` blocks, and KERF_FUSED_OPS operators, are fused; with 1 the blocks are layers, as
 * kerf_bands_units() tells them. Graphs of more blocks than `most` (0: any number) get longer ones.
 * 0 or -ENOMEM. What the problem has already (p->fused of KERF_FUSED_REACH and KERF_FUSED_BLOCKS,
 * p->layers of 1 and 0) is not made again: one more user.
 */
int kerf_fused_make(const struct kerf_problem *p, uint32_t reach, uint32_t most,
		    struct kerf_fused **fused);
void kerf_fused_free(struct kerf_fused *f); /* NULL allowed */

/* Of blocks i..j fused, since[j] <= i <= j, j with rows. */
static inline struct kerf_fused_s *kerf_fused_cost(const struct kerf_fused *f, uint32_t i,
						   uint32_t j, uint32_t engine)
{
	return &f->s[((size_t)j * f->reach + j - i) * f->p->n_engine + engine];
}

static inline double kerf_fused_halo_in(const struct kerf_fused *f, uint32_t i, uint32_t j)
{
	return f->halo_in[(size_t)j * f->reach + j - i];
}

/* The engines that are worth giving bands to, as kerf_bands_workers(), for all blocks with rows. */
uint32_t kerf_fused_workers(const struct kerf_fused *f, uint32_t worker[KERF_MAX_ENGINES],
			    double speed[KERF_MAX_ENGINES]);

double kerf_fused_band_s(const struct kerf_fused *f, uint32_t i, uint32_t j, uint32_t engine,
			 double part);

/* Seconds between nodes, by way of home where there is no path. */
double kerf_fused_move_s(const struct kerf_problem *p, uint32_t from, uint32_t to, double bytes);

/*
 * Parts of one so that all n are done at once: member i takes fixed[i] + each[i] * part[i], or
 * has no part if its fixed alone is more. When they are done; INFINITY if nobody can.
 */
double kerf_fused_balance(uint32_t n, const double *fixed, const double *each, double *part);

/*
 * Groups of least latency for these workers and parts (which add up to one), by dynamic
 * programming over blocks. At each point the value is in bands as the parts say, or whole on one
 * engine; a block with rows is in bands, fused with at most most_fused - 1 before it, or whole.
 * Steps that follow one another are taken to wait for one another, which is close: a band waits
 * for its neighbours. -ENODEV if nobody can run a block.
 */
struct kerf_fused_search {
	uint32_t n_worker;
	uint32_t worker[KERF_MAX_ENGINES];
	double part[KERF_MAX_ENGINES];
	uint32_t most_fused; /* blocks; 0: any number */
	bool always;	     /* what can be in bands is */
};
int kerf_fused_search(const struct kerf_fused *f, const struct kerf_fused_search *search,
		      struct kerf_bands *bands, double *latency_s, struct kerf_err *err);

/*
 * Searches and offers a plan up to `rounds` times, the parts (which need not add up to one) each
 * time corrected towards where all workers take the same time in the priced plan.
 */
int kerf_fused_rounds(const struct kerf_fused *f, struct kerf_fused_search *search, uint32_t rounds,
		      const char *policy, struct kerf_choice *c, struct kerf_err *err);

/* Offers one plan or several of these workers; may change the search it is given. */
typedef int (*kerf_fused_try)(const struct kerf_fused *f, struct kerf_fused_search *search,
			      struct kerf_choice *c, struct kerf_err *err);
/*
 * A policy: `try` for home and the one, two ... fastest other workers, and the best of what it
 * offered. Of search, what is not about workers counts.
 */
int kerf_fused_widths(const struct kerf_problem *p, const struct kerf_fused_search *search,
		      kerf_fused_try try, struct kerf_plan *plan, struct kerf_err *err);

/*
 * Groups whose first layers are fused and in n_tile bands of one height, band i on engine[i]; what
 * is before and after them is whole at home. -ENODEV if nobody can run that.
 */
struct kerf_fused_head {
	uint32_t first, last, n_tile; /* blocks first..last */
	const uint32_t *engine;
	bool padded;
	uint32_t meet; /* the bands exchange before this block too; first: nowhere */
};
int kerf_fused_head(const struct kerf_fused *f, const struct kerf_fused_head *head,
		    struct kerf_bands *bands, struct kerf_err *err);

/*
 * engine[n_tile]: each tile to the worker who would be done with it first, as work that is stolen,
 * or handed to who asks next, ends when everything takes what it is expected to take. When all are
 * done.
 */
double kerf_fused_deal(const struct kerf_fused *f, const struct kerf_fused_head *head, uint32_t n,
		       const uint32_t *worker, uint32_t *engine);

/*
 * Heads of all depths and one, two and four tiles a worker (at most most_tile): those that should
 * answer first, the best first. Their number.
 */
#define KERF_FUSED_TRIES 6
struct kerf_fused_try {
	uint32_t last, n_tile;
	double s;
};
uint32_t kerf_fused_heads(const struct kerf_fused *f, bool padded, uint32_t most_tile, uint32_t n,
			  const uint32_t *worker, struct kerf_fused_try tries[KERF_FUSED_TRIES]);

/* The first block with rows and the last that can be fused with it; false: there is none. */
bool kerf_fused_reach(const struct kerf_fused *f, uint32_t *first, uint32_t *last);

/* Appends blocks i..j in bands by parts. */
int kerf_fused_tile(const struct kerf_fused *f, uint32_t i, uint32_t j, uint32_t n,
		    const uint32_t *worker, const double *part, struct kerf_bands *bands);

#endif
