/* SPDX-License-Identifier: MIT */
/*
 * apart THREADS ISA MODEL...: what it costs to run a model in two programs instead of one, measured
 * at up to 12 cuts a model, against what the planner thinks: the whole run and a job more (as if a
 * cut cost nothing else), and the same with the model of cost/engine_cost.h, fitted on every other
 * cut and judged on the others. Medians over the cuts judged.
 */
#include "exec/measure.h"
#include "graph/import.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUTS 12
#define JOB_S 20e-6 /* that a plan counts where nothing was measured */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return n ? v[(n - 1) / 2] : 0;
}

static void judge(const char *name, const struct kerf_cut *cut, uint32_t n, double job_s)
{
	double extra[CUTS], values[CUTS], bytes[CUTS], fixed, byte;
	double us[CUTS], before[CUTS], after[CUTS], before_us[CUTS], after_us[CUTS],
		least = INFINITY;
	uint32_t i, fitted = 0, judged = 0;

	for (i = 0; i < n; i += 2) {
		extra[fitted] = cut[i].extra_s;
		values[fitted] = cut[i].values;
		bytes[fitted++] = cut[i].bytes;
	}
	kerf_apart_fit(extra, values, bytes, fitted, job_s, &fixed, &byte);
	for (i = 1; i < n; i += 2) {
		double whole = cut[i].whole_s, t = whole + cut[i].extra_s;
		double with = whole + job_s + 2 * (fixed * cut[i].values + byte * cut[i].bytes);

		least = fmin(least, whole);
		us[judged] = (t - whole) * 1e6;
		before_us[judged] = fabs(whole + JOB_S - t) * 1e6;
		after_us[judged] = fabs(with - t) * 1e6;
		before[judged] = before_us[judged] / t * 1e-4;
		after[judged] = after_us[judged] / t * 1e-4;
		judged++;
	}
	printf("| %s | %.2f | %u | %.1f | %.1f | %.2f + %.1f/MB | %.1f (%.2f %%) | %.1f (%.2f %%) |\n", name,
	       least * 1e3, judged, median(us, judged), job_s * 1e6, fixed * 1e6, byte * 1e12,
	       median(before_us, judged), median(before, judged), median(after_us, judged),
	       median(after, judged));
}

static int run(struct kerf_engine *e, const char *path, struct kerf_err *err)
{
	struct kerf_cut cut[CUTS];
	struct kerf_graph *g;
	double job_s = 0;
	uint32_t n = 0;
	int r = kerf_model_load(path, NULL, &g, err);

	if (r)
		return r;
	r = kerf_measure_cuts(e, g, 4, CUTS, cut, &n, &job_s, err);
	if (!r)
		judge(g->name, cut, n, job_s);
	kerf_graph_unref(g);
	return r;
}

int main(int argc, char **argv)
{
	struct kerf_engine_config cfg = {.threads = argc > 3 ? atoi(argv[1]) : 0};
	struct kerf_err err = {""};
	struct kerf_engine *e;
	int r, i;

	if (argc < 4) {
		fprintf(stderr, "usage: apart THREADS ISA MODEL...\n");
		return 2;
	}
	cfg.isa = argv[2];
	r = kerf_engine_open("cpu", &cfg, &e, &err);
	printf("| model | ms | cuts | apart costs, us | job, us | fitted: value + bytes, us | off by, us, without | with |\n"
	       "|---|---|---|---|---|---|---|---|\n");
	for (i = 3; i < argc && !r; i++)
		r = run(e, argv[i], &err);
	if (r)
		fprintf(stderr, "apart: %s\n", err.msg[0] ? err.msg : strerror(-r));
	kerf_engine_close(e);
	return r != 0;
}
