/* SPDX-License-Identifier: MIT */
/*
 * QDMP against DADS: how long each takes to find the same partition, and how large the networks
 * are that it solves. For models given as files, over bandwidths from 1 to 1000 Mbit/s; what
 * operators take is their FLOPs and bytes at rates of a small board here and a large one there, so
 * that nothing has to be measured.
 */
#include "graph/import.h"
#include "graph/op.h"
#include "plan/two_tier.h"
#include "util/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSES 21

static const double mbits[] = {1, 2, 5, 10, 50, 100, 500, 1000};
#define N_RATES (sizeof(mbits) / sizeof(mbits[0]))

struct result {
	double us;
	uint32_t solved;
	uint64_t vertices, edges;
	double cost;
};

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double cost_of(struct kerf_two_tier *t)
{
	double sum[KERF_N_STAGES];

	kerf_two_tier_stages(t, 0, t->p->graph->n_op, sum);
	return sum[0] + sum[1] + sum[2] + sum[3];
}

static int measure(struct kerf_two_tier *t, int (*solve)(struct kerf_two_tier *),
		   struct result *res)
{
	double us[PASSES];
	int i, r = 0;

	for (i = 0; i < PASSES && !r; i++) {
		uint64_t begin = kerf_now_ns();

		memset(&t->work, 0, sizeof(t->work));
		r = solve(t);
		us[i] = (double)(kerf_now_ns() - begin) * 1e-3;
	}
	qsort(us, PASSES, sizeof(*us), by_size);
	*res = (struct result){us[PASSES / 2], t->work.solved, t->work.vertices, t->work.edges,
			       cost_of(t)};
	return r;
}

static void find_costs(const struct kerf_graph *g, const struct kerf_outline *x, double *op_s)
{
	uint32_t o;

	for (o = 0; o < g->n_op; o++) {
		double flops = (double)kerf_op_flops(g, &g->op[o]);
		double bytes = x->op_bytes[o] + x->weight_bytes[o];

		op_s[2 * o] = fmax(flops / 5e9, bytes / 2e9) + 5e-6;
		op_s[2 * o + 1] = fmax(flops / 100e9, bytes / 20e9) + 2e-6;
	}
}

static int compare(const char *path)
{
	struct kerf_link_model link[4] = {[1] = {.latency_s = 1e-3}, [2] = {.latency_s = 1e-3}};
	struct kerf_problem p = {.n_engine = 2,
				 .n_node = 2,
				 .engine = {{.name = "here"}, {.name = "there", .node = 1}},
				 .link = link};
	struct result dads[N_RATES], qdmp[N_RATES];
	struct kerf_outline *outline = NULL;
	struct kerf_graph *g = NULL;
	struct kerf_two_tier t = {0};
	struct kerf_err err = {""};
	double dads_us = 0, qdmp_us = 0, qdmp_edges = 0;
	uint32_t most = 0, none = 0;
	const char *name = strrchr(path, '/');
	double *op_s = NULL;
	size_t i;
	int r = kerf_model_load(path, NULL, &g, &err);

	if (r) {
		fprintf(stderr, "%s: %s\n", path, err.msg);
		return r;
	}
	op_s = malloc((2 * (size_t)g->n_op + 1) * sizeof(*op_s));
	r = op_s ? kerf_outline_make(g, &outline) : -ENOMEM;
	if (r)
		goto out;
	find_costs(g, outline, op_s);
	p.graph = g;
	p.outline = outline;
	p.op_s = op_s;
	r = kerf_two_tier_make(&t, &p);
	for (i = 0; i < N_RATES && !r; i++) {
		link[1].rate_bytes_s = link[2].rate_bytes_s = mbits[i] * 125e3;
		kerf_two_tier_weigh(&t, 0, 1, KERF_FOR_LATENCY, NULL);
		r = measure(&t, kerf_dads_solve, &dads[i]);
		if (!r)
			r = measure(&t, kerf_qdmp_solve, &qdmp[i]);
		if (!r && fabs(dads[i].cost - qdmp[i].cost) > 1e-9 * dads[i].cost) {
			fprintf(stderr, "%s at %g Mbit/s: dads %.9g s, qdmp %.9g s\n", path,
				mbits[i], dads[i].cost, qdmp[i].cost);
			r = -EPROTO;
		}
		dads_us += dads[i].us / N_RATES;
		qdmp_us += qdmp[i].us / N_RATES;
		qdmp_edges += (double)qdmp[i].edges / N_RATES;
		most = KERF_MAX(most, qdmp[i].solved);
		none += !qdmp[i].solved;
	}
	if (!r)
		printf("| %.*s | %u | %llu | %.1f | %.0f | %u of %zu | %u | %.1f | %.1f |\n",
		       (int)strcspn(name ? name + 1 : path, "."), name ? name + 1 : path, g->n_op,
		       (unsigned long long)dads[0].edges, dads_us, qdmp_edges, none, N_RATES, most,
		       qdmp_us, dads_us / qdmp_us);
out:
	kerf_two_tier_finish(&t);
	kerf_outline_free(outline);
	kerf_graph_unref(g);
	free(op_s);
	return r;
}

int main(int argc, char **argv)
{
	int i, r = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: min_cuts MODEL...\n");
		return 2;
	}
	puts("| model | operators | edges, DADS | DADS, us | edges, QDMP | no network | networks "
	     "at most | QDMP, us | times faster |\n"
	     "|---|---|---|---|---|---|---|---|---|");
	for (i = 1; i < argc && !r; i++)
		r = compare(argv[i]);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
