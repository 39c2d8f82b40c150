/* SPDX-License-Identifier: MIT */
/* kerf bench --predictor: how well stored profiles are predicted by all the others. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cost/predictor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"usage: kerf bench --predictor\n"
	"\n"
	"Leaves each model out of the stored profiles in turn, in all its sizes, teaches the\n"
	"predictor the others, and compares what it says of the model's latency with the profile.\n"
	"Then the same with each engine left out, whatever its threads, and with both. Errors are\n"
	"|predicted / measured - 1|; 'guess' is what the engine's calibration alone says.\n";

static bool is_model(const struct kerf_training_profile *p, const void *user)
{
	return !strcmp(p->model, user);
}

static bool is_engine(const struct kerf_training_profile *p, const void *user)
{
	const struct kerf_training_profile *of = user;

	return !strcmp(p->cost.engine, of->cost.engine) &&
	       !strcmp(p->cost.machine, of->cost.machine);
}

static void print_row(const char *what, const struct kerf_prediction_error *e)
{
	printf("| %s | %u | %.1f %% | %.1f %% | %.1f %% | %.1f %% | %.1f %% |\n", what, e->n,
	       e->median * 100, e->p90 * 100, e->worst * 100, e->guess_median * 100,
	       e->guess_p90 * 100);
}

static int print_rows(const struct kerf_training *t, const struct kerf_prediction *v, bool by_model)
{
	struct kerf_prediction_error e;
	uint32_t i, j;
	int r = 0;

	for (i = 0; i < t->n_profile && !r; i++) {
		const struct kerf_training_profile *p = &t->profile[i];

		/* Once each. */
		for (j = 0; j < i; j++)
			if (by_model ? is_model(&t->profile[j], p->model)
				     : is_engine(&t->profile[j], p))
				break;
		if (j < i)
			continue;
		r = kerf_prediction_errors(v, t->n_profile, by_model ? is_model : is_engine,
					   by_model ? (const void *)p->model : p, &e);
		if (!r)
			print_row(by_model ? p->model : p->cost.engine, &e);
	}
	return r;
}

static int print_table(const struct kerf_training *t, int what, const char *name,
		       struct kerf_prediction *v)
{
	struct kerf_prediction_error all;
	int r = kerf_predictor_hold_out(t, what, v);

	if (!r)
		r = kerf_prediction_errors(v, t->n_profile, NULL, NULL, &all);
	if (r)
		return r;
	printf("\n| %s | profiles | median | p90 | worst | guess median | guess p90 |\n"
	       "|---|---|---|---|---|---|---|\n", name);
	r = print_rows(t, v, what == KERF_HELD_OUT_MODEL);
	if (!r)
		print_row("**all**", &all);
	return r;
}

static int tables(struct kerf_err *err)
{
	struct kerf_training t = {0};
	struct kerf_prediction *v = NULL;
	uint32_t left_out;
	int r = kerf_training_load(&t, &left_out, err);

	if (!r) {
		v = calloc(t.n_profile + 1, sizeof(*v));
		r = v ? 0 : -ENOMEM;
	}
	if (!r) {
		printf("%u profiles, %u operators, %u left out\n", t.n_profile, t.n, left_out);
		r = print_table(&t, KERF_HELD_OUT_MODEL, "model left out", v);
	}
	if (!r)
		r = print_table(&t, KERF_HELD_OUT_ENGINE, "engine left out", v);
	if (!r)
		r = print_table(&t, KERF_HELD_OUT_MODEL | KERF_HELD_OUT_ENGINE,
				"model and engine left out, by engine", v);
	kerf_training_finish(&t);
	free(v);
	return kerf_fail(r ? err : NULL, r,
			 r == -ENODATA ? "too few models or engines to leave one out" : "%s", strerror(-r));
}

int kerf_bench_predictor(int argc, char **argv)
{
	struct kerf_err err = {""};
	int r;

	if (argc > 1) {
		bool asked = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");

		fputs(help, asked ? stdout : stderr);
		return asked ? KERF_EXIT_OK : KERF_EXIT_USAGE;
	}
	r = tables(&err);
	return r ? kerf_cli_fail(&err, r) : KERF_EXIT_OK;
}
