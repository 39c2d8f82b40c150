/* SPDX-License-Identifier: MIT */
/*
 * profiles THREADS ISA PIN MODEL...: profiles models on the cpu engine and stores what is faster
 * than what is stored, calibration too. Several passes over a day find what the machine does when
 * nothing disturbs it, which is what a predictor has to learn: load is measured and multiplied in.
 */
#include "exec/measure.h"
#include "graph/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep_faster_cases(struct kerf_engine_cost *cost)
{
	struct kerf_engine_cost old;
	int i;

	if (kerf_engine_cost_load(cost->engine, cost->machine, &old, NULL) || !old.has_cases)
		return;
	for (i = 0; i < KERF_N_CASE; i++)
		if (old.case_s[i] > 0 && old.case_s[i] < cost->case_s[i])
			cost->case_s[i] = old.case_s[i];
}

static int calibrate(struct kerf_engine *e, struct kerf_err *err)
{
	struct kerf_engine_cost cost = {.has_cases = false};
	struct kerf_engine_info info;
	int r = kerf_measure_calibration(e, 0.5, &cost, err);

	if (r)
		return r;
	e->ops->describe(e, &info);
	kerf_engine_words(&info, cost.engine, sizeof(cost.engine));
	snprintf(cost.machine, sizeof(cost.machine), "%s", info.machine);
	keep_faster_cases(&cost);
	return kerf_engine_cost_save(&cost, err);
}

static int profile(struct kerf_engine *e, const char *path, struct kerf_err *err)
{
	struct kerf_profile p, old;
	struct kerf_graph *g;
	int r = kerf_model_load(path, NULL, &g, err);

	if (r)
		return r;
	r = kerf_measure_profile(e, g, 0.4, 5, &p, err);
	if (!r) {
		bool faster = true;

		if (!kerf_profile_load(g, p.engine, p.machine, &old, NULL)) {
			faster = p.run_s < old.run_s;
			kerf_profile_finish(&old);
		}
		printf("%s, %s: %.3f ms%s\n", path, p.engine, p.run_s * 1e3, faster ? "" : ", was faster before");
		r = faster ? kerf_profile_save(&p, err) : 0;
		kerf_profile_finish(&p);
	}
	kerf_graph_unref(g);
	return r;
}

int main(int argc, char **argv)
{
	struct kerf_engine_config cfg = {.threads = argc > 4 ? atoi(argv[1]) : 0};
	struct kerf_err err = {""};
	struct kerf_engine *e;
	int r, i;

	if (argc < 5) {
		fprintf(stderr, "usage: profiles THREADS ISA PIN MODEL...\n");
		return 2;
	}
	cfg.isa = argv[2];
	cfg.pin = atoi(argv[3]);
	r = kerf_engine_open("cpu", &cfg, &e, &err);
	if (!r) {
		r = calibrate(e, &err);
		for (i = 4; i < argc && !r; i++)
			r = profile(e, argv[i], &err);
		kerf_engine_close(e);
	}
	if (r)
		fprintf(stderr, "profiles: %s\n", err.msg[0] ? err.msg : strerror(-r));
	return r != 0;
}
