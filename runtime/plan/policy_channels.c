/* SPDX-License-Identifier: MIT */
/*
 * Two policies that give each engine some channels of a layer's output, and with them some of its
 * weights, in place of rows.
 *
 * decnn: J. Du, X. Zhu, M. Shen, Y. Du, Y. Lu, N. Xiao, X. Liao, "Model parallelism optimization
 * for distributed inference via decoupled CNN structure", IEEE TPDS 32(7), 2021. The paper changes
 * the model, by training, to group convolutions with few shuffles between them, and gives each
 * device some groups; fully connected layers are split by inputs; the messages of one sample hide
 * behind the computing of another. Modelled: the split of a layer over devices by channels, parts
 * by speed, and layers that are groups already (depthwise) without an exchange. The exact form of
 * it for models that were not retrained: a convolution that mixes channels reads all of its input,
 * which every device then gets from all others. Not: the change of the model; the split by inputs,
 * which adds in another order and so gives other bits (outputs are split instead).
 *
 * fcsplit: R. Hadidi, J. Cao, M. Woodward, M. S. Ryoo, H. Kim, "Distributed perception by
 * collaborative robots", IEEE RA-L 3(4), 2018: fully connected layers, whose weights are most of
 * VGG's, are split by output neurons; all else stays. Modelled: that split, for one to all engines,
 * parts balanced with what the input costs to send. Not: its split by inputs (as above), nor the
 * pipeline of recognition stages that the paper puts around it.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <string.h>

static bool is_product(const struct kerf_graph *g, uint32_t o)
{
	return !strcmp(g->op[o].def->name, "Gemm") || !strcmp(g->op[o].def->name, "MatMul");
}

/* The longest run from begin whose channels can be made apart; begin if there is none. */
static uint32_t run_of(const struct kerf_problem *p, struct kerf_tile *room, uint32_t begin,
		       bool products)
{
	uint32_t end = begin;

	if (begin < p->goal.keep || (products && !is_product(p->graph, begin)))
		return begin;
	while (end < p->graph->n_op && kerf_bands_channels(p, room, begin, end + 1))
		end++;
	return end;
}

/* Parts of a run so that all engines end together: each gets the whole input, sends its part. */
static void balance(const struct kerf_problem *p, uint32_t begin, uint32_t end, uint32_t n,
		    const uint32_t *worker, double *part)
{
	double fixed[KERF_MAX_ENGINES], each[KERF_MAX_ENGINES], in = 0, out = 0;
	struct kerf_run run;
	uint32_t w, i;

	memset(part, 0, n * sizeof(*part));
	if (kerf_run_make(p, begin, end, &run))
		return;
	for (i = 0; i < run.n_in; i++)
		in += p->outline->value_bytes[run.in[i]];
	for (i = 0; i < run.n_out; i++)
		out += p->outline->value_bytes[run.out[i]];
	kerf_run_finish(&run);
	for (w = 0; w < n; w++) {
		uint32_t node = p->engine[worker[w]].node;
		double back = kerf_fused_move_s(p, node, p->home, 0);

		fixed[w] = p->engine[worker[w]].job_s + back +
			   kerf_fused_move_s(p, p->home, node, in);
		each[w] = kerf_bands_op_s(p, begin, end, worker[w]) +
			  kerf_fused_move_s(p, node, p->home, out) - back;
	}
	kerf_fused_balance(n, fixed, each, part);
}

static int add_split(const struct kerf_problem *p, struct kerf_tile *room, uint32_t begin,
		     uint32_t end, bool products, uint32_t most, struct kerf_bands *b,
		     struct kerf_err *err)
{
	uint32_t worker[KERF_MAX_ENGINES], n = kerf_bands_workers(p, begin, end, worker), whole;
	struct kerf_rows channels[KERF_MAX_ENGINES];
	double part[KERF_MAX_ENGINES];
	int r = kerf_bands_home_engine(p, begin, end, &whole, err);

	if (r)
		return r;
	n = KERF_MIN(n, most);
	if (n < 2)
		return kerf_bands_whole(b, begin, end, whole);
	if (products)
		balance(p, begin, end, n, worker, part);
	else
		kerf_bands_speeds(p, begin, end, n, worker, part);
	kerf_bands_split(kerf_bands_channels(p, room, begin, end), 1, n, part, channels);
	r = kerf_bands_tiled(b, begin, end, whole, n, worker, channels);
	if (!r && b->group[b->n_group - 1].n_band)
		b->group[b->n_group - 1].channels = true;
	return r;
}

static int lay_out(const struct kerf_problem *p, bool products, uint32_t most,
		   struct kerf_bands *b, struct kerf_err *err)
{
	uint32_t at, end, whole;
	struct kerf_tile room;
	int r = kerf_tile_open(p->graph, &room);

	for (at = 0; at < p->graph->n_op && !r; at = end) {
		end = run_of(p, &room, at, products);
		if (end > at) {
			r = add_split(p, &room, at, end, products, most, b, err);
			continue;
		}
		end = at + 1;
		r = kerf_bands_home_engine(p, at, end, &whole, err);
		if (!r)
			r = kerf_bands_whole(b, at, end, whole);
	}
	kerf_tile_finish(&room);
	return r;
}

int kerf_policy_decnn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice c = {0};
	struct kerf_bands b = {0};
	uint32_t i, n = 0;
	int r = lay_out(p, false, KERF_MAX_ENGINES, &b, err);

	for (i = 0; i < b.n_group; i++)
		n += b.group[i].channels;
	if (!r)
		kerf_bands_offer(p, &b, "decnn", &c, "%u runs of layers split by channels", n);
	kerf_bands_finish(&b);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}

int kerf_policy_fcsplit(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice c = {0};
	uint32_t most;
	int r = 0;

	for (most = 1; most <= p->n_node && most <= KERF_MAX_ENGINES && !r; most++) {
		struct kerf_bands b = {0};

		r = lay_out(p, true, most, &b, err);
		if (!r)
			kerf_bands_offer(p, &b, "fcsplit", &c,
					 "fully connected layers over up to %u engines", most);
		kerf_bands_finish(&b);
	}
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
