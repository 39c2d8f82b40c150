/* SPDX-License-Identifier: MIT */
/*
 * The optimal two-way cut of a DAG as a minimum s-t cut (the construction is DADS's:
 * Hu, Bao, Wang, Liu, "Dynamic adaptive DNN surgery for inference acceleration on the
 * edge", INFOCOM 2019, with the return path and values read several times added).
 *
 * s stands for one side ("here"), t for the other ("there"). Operator o costs its cost there on
 * edge s -> o (cut when o is there) and its cost here on o -> t. A value made here and read
 * there crosses once however many read it: producer -> u costs the transfer, u -> reader is
 * free to cut never. A value made there and read here: d -> producer costs the transfer back,
 * reader -> d is never cut. Inputs are made, outputs wanted, here.
 *
 * Costs may be of any kind that adds up (seconds, joules, weighted sums); all must be at least 0.
 * What comes once a crossing, not once a value (a link's latency, a job's overhead), does not
 * fit the sum: the caller prices the results.
 */
#ifndef KERF_PLAN_CUT_NET_H
#define KERF_PLAN_CUT_NET_H

#include "plan/outline.h"

struct kerf_cut_costs {
	const double *here, *there; /* per operator; INFINITY: cannot run on that side */
	const double *up, *down;    /* per value: to there, back to here; INFINITY: cannot go */
};

enum kerf_cut_way {
	KERF_CUT_THERE_ONLY, /* values go there; none but outputs come back */
	KERF_CUT_BACK_ONLY,  /* inputs alone go there; values come back */
	KERF_CUT_BOTH_WAYS,
};

/* What solving took, summed over calls: for those who compare methods. */
struct kerf_cut_work {
	uint32_t solved;	  /* networks */
	uint64_t vertices, edges; /* of these networks */
};

/* Room for networks over one graph, kept from one to the next. */
struct kerf_cut_net;
int kerf_cut_net_make(const struct kerf_graph *g, const struct kerf_outline *x,
		      struct kerf_cut_net **net); /* or -ENOMEM */
void kerf_cut_net_free(struct kerf_cut_net *net); /* NULL allowed */

/*
 * away[o] for operators begin <= o < end: true if o is there in the cut of least cost; of all such
 * cuts the one that keeps most here. Operators before begin are here, those from end on there; a
 * part of the graph (begin > 0 or end < n_op) takes THERE_ONLY. work may be NULL. -ENOMEM; -E2BIG
 * as kerf_cut_solve(). A cost that INFINITY makes impossible is still a cut: who prices it sees it.
 */
int kerf_cut_net_solve(struct kerf_cut_net *net, const struct kerf_cut_costs *c,
		       enum kerf_cut_way way, uint32_t begin, uint32_t end, bool *away,
		       struct kerf_cut_work *work);

#endif
