/* SPDX-License-Identifier: MIT */
/*
 * All plans with one cut: the operators before position k of the topological order run on one
 * engine of home ("here"), those from k on on another engine ("there"), of whatever node. This is
 * how methods made for chains see a DAG: a cut at k sends every value that lives there
 * (outline.h), in one message, and what outputs are made there come back.
 *
 * After O(n) per pair of engines each plan's figures are known in O(1), and are what
 * kerf_plan_price() says of that plan, but for rounding. One case is not seen: operators that run
 * on another engine of home and read nothing that was made here may be a step of their own.
 */
#ifndef KERF_PLAN_SCAN_H
#define KERF_PLAN_SCAN_H

#include "plan/goal.h"

struct kerf_scan_pos;

struct kerf_scan {
	const struct kerf_problem *p;
	int32_t exit;	      /* of the graph; -1: the whole model. Other operators are left out */
	uint32_t n;	      /* operators: positions are 0 .. n */
	uint32_t here, there; /* engines, set by kerf_scan_pair(); the same: only position n */
	struct kerf_scan_pos *pos; /* [n + 1] */
	bool *runs;		   /* per operator */
};

/* -ENOMEM. */
int kerf_scan_make(struct kerf_scan *s, const struct kerf_problem *p, int32_t exit);
void kerf_scan_pair(struct kerf_scan *s, uint32_t here, uint32_t there);
void kerf_scan_finish(struct kerf_scan *s);

/*
 * The next pair: here an engine of home, there any other one, or here itself if home has the only
 * one. Start with *here = *there = UINT32_MAX. False past the last.
 */
bool kerf_scan_next_pair(const struct kerf_problem *p, uint32_t *here, uint32_t *there);

struct kerf_scan_cut {
	int32_t exit;
	uint32_t here, there, k;
	enum kerf_codec codec;		      /* of the float32 values that go there */
	double here_s, up_s, there_s, down_s; /* stages */
	double up_hold_s, down_hold_s; /* of up_s and down_s: that the link carries bytes */
	double encode_s, decode_s;	      /* of what goes there */
	double total_s, period_s, energy_j, wire_bytes, memory_bytes, accuracy;
	double cost;	  /* kerf_plan_cost() of these */
	double violation; /* kerf_plan_violation() of these */
	bool runs;	  /* the engines can, and there is a path */
};

/* Figures of one plan. */
void kerf_scan_at(const struct kerf_scan *s, uint32_t k, enum kerf_codec codec,
		  struct kerf_scan_cut *cut);
/* Codecs that the goal allows: bit i is enum kerf_codec i, none is always allowed. */
uint32_t kerf_scan_codecs(const struct kerf_problem *p);
/* Bytes of what this exit's operators make that lives at k, coded. */
double kerf_scan_live_bytes(const struct kerf_scan *s, uint32_t k, enum kerf_codec codec);

/* Whether a is to be preferred: it runs, misses the goal by less, costs less; in this order. */
bool kerf_scan_better(const struct kerf_scan_cut *a, const struct kerf_scan_cut *b);

/*
 * The best cut of one scan over all its pairs: by kerf_scan_better(), the first of equals.
 * allowed[n + 1]: positions to look at, NULL: all. best->runs is false on entry if there is none
 * yet.
 */
void kerf_scan_search(struct kerf_scan *s, uint32_t codecs, const bool *allowed,
		      struct kerf_scan_cut *best);

/* Makes the plan of a cut of this scan's exit, with its reason, and offers it. */
void kerf_scan_offer(const struct kerf_scan *s, const struct kerf_scan_cut *cut,
		     struct kerf_choice *choice);

/*
 * The beginning and the end of a policy that looks at the whole model's cuts. -ENODEV with a
 * sentence if home has no engine, -ENOMEM; then there is nothing to finish.
 */
int kerf_scan_begin(struct kerf_scan *s, const struct kerf_problem *p, struct kerf_err *err);
/*
 * The plan of the best cut, in the policy's name; errors as kerf_choice_end()'s. Finishes the scan.
 */
int kerf_scan_end(struct kerf_scan *s, const struct kerf_scan_cut *best, const char *policy,
		  struct kerf_plan *plan, struct kerf_err *err);

#endif
