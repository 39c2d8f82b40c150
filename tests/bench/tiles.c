/* SPDX-License-Identifier: MIT */
/*
 * tiles THREADS ISA MODEL...: how well a profile tells what tiles cost that it was not fitted to:
 * for each model the longest run of operators that can be a tile, at a third, a fifth and a tenth
 * of its rows, measured, beside the sum of what its operators should take, with op_fixed_s and
 * without. Whole and tile run in turns, so both sums are scaled by what the whole takes in the same
 * turns.
 */
#include "exec/measure.h"
#include "graph/import.h"
#include "graph/slice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 12
#define ROUNDS 15

struct part {
	struct kerf_graph *slice;
	struct kerf_program *program;
	struct kerf_io io;
	uint64_t *ns;
	double least_s;
};

static int make(struct kerf_engine *e, struct kerf_graph *g, const struct kerf_slice_spec *spec,
		struct part *p, struct kerf_err *err)
{
	int r = kerf_slice_make(g, spec, &p->slice, err);

	if (!r)
		r = e->ops->prepare(e, p->slice, &p->program, err);
	if (!r)
		r = kerf_io_make_on(e, p->slice, 1, &p->io);
	p->ns = r ? NULL : calloc(p->slice->n_op + 1, sizeof(*p->ns));
	p->least_s = INFINITY;
	return r ? r : p->ns ? 0 : -ENOMEM;
}

static int run(struct kerf_engine *e, struct part *p)
{
	double sum = 0;
	uint32_t i;
	int r = e->ops->profile(p->program, p->io.in, p->io.out, p->ns);

	for (i = 0; !r && i < p->slice->n_op; i++)
		sum += (double)p->ns[i] * 1e-9;
	p->least_s = r ? p->least_s : fmin(p->least_s, sum);
	return r;
}

static void finish(struct kerf_engine *e, struct part *p)
{
	if (p->program)
		e->ops->release(p->program);
	kerf_io_finish(&p->io);
	kerf_graph_unref(p->slice);
	free(p->ns);
}

/* Of the operator's rows, those that the slice makes; crops and the like have no share. */
static double share_of(const struct kerf_graph *slice, const struct kerf_graph *g, uint32_t op)
{
	uint32_t i;

	for (i = 0; i < slice->n_op; i++)
		if (slice->op[i].origin == g->op[op].origin &&
		    !strcmp(slice->op[i].def->name, g->op[op].def->name))
			return (double)slice->value[slice->op[i].out[0]].t.dims[1] /
			       (double)g->value[g->op[op].out[0]].t.dims[1];
	return 0;
}

static int tile(struct kerf_engine *e, struct kerf_graph *g, const struct kerf_profile *p,
		const struct kerf_slice_spec *whole, int64_t rows, int64_t all,
		struct kerf_err *err)
{
	struct kerf_slice_spec spec = *whole;
	struct part a = {0}, b = {0};
	double with = 0, without = 0, sum = 0;
	uint32_t i;
	int r, k;

	spec.rows = (struct kerf_rows){(all - rows) / 2, (all - rows) / 2 + rows};
	r = make(e, g, whole, &a, err);
	if (!r)
		r = make(e, g, &spec, &b, err);
	for (k = 0; k < ROUNDS && !r; k++) {
		r = run(e, &a);
		if (!r)
			r = run(e, &b);
	}
	for (i = 0; i < whole->n_op && !r; i++) {
		uint32_t o = whole->op[i];
		double x = share_of(b.slice, g, o);

		sum += p->op_s[o];
		without += p->op_s[o] * x;
		with += p->op_fixed_s[o] + (p->op_s[o] - p->op_fixed_s[o]) * x;
	}
	if (!r) {
		double scale = a.least_s / sum;

		printf("| %s | %u-%u | %lld of %lld | %.3f | %.3f | %+.1f %% | %+.1f %% |\n", g->name,
		       whole->op[0], whole->op[whole->n_op - 1], (long long)rows, (long long)all,
		       a.least_s * 1e3, b.least_s * 1e3, 100 * (without * scale / b.least_s - 1),
		       100 * (with * scale / b.least_s - 1));
	}
	finish(e, &a);
	finish(e, &b);
	return r;
}

/* The run of operators that takes longest of those that can be a tile of a tenth. */
static bool choose(struct kerf_graph *g, const struct kerf_profile *p, struct kerf_slice_spec *spec,
		   uint32_t op[MOST], int64_t *rows)
{
	double best = 0;
	uint32_t first, n, i, from = 0;

	for (first = 0; first < g->n_op; first++)
		for (n = KERF_MIN(MOST, g->n_op - first); n; n--) {
			const struct kerf_value *v = &g->value[g->op[first + n - 1].out[0]];
			struct kerf_slice_spec s = {.n_op = n, .op = op};
			struct kerf_graph *slice;
			double sum = 0;

			for (i = 0; i < n; i++) {
				op[i] = first + i;
				sum += p->op_s[first + i];
			}
			if (!v->nhwc || v->t.rank < 4 || v->t.dims[1] < 20 || sum <= best)
				continue;
			s.rows = (struct kerf_rows){0, v->t.dims[1] / 10};
			if (kerf_slice_make(g, &s, &slice, NULL))
				continue;
			kerf_graph_unref(slice);
			best = sum;
			from = first;
			spec->n_op = n;
			*rows = v->t.dims[1];
			break;
		}
	for (i = 0; i < spec->n_op; i++)
		op[i] = from + i;
	spec->op = op;
	return best > 0;
}

static int model(struct kerf_engine *e, const char *path, struct kerf_err *err)
{
	static const int64_t parts[] = {3, 5, 10};
	struct kerf_slice_spec spec = {.n_op = 0};
	uint32_t op[MOST];
	struct kerf_profile p;
	struct kerf_graph *g;
	int64_t rows = 0;
	size_t i;
	int r = kerf_model_load(path, NULL, &g, err);

	if (r)
		return r;
	r = kerf_measure_profile(e, g, 1, 5, &p, err);
	if (!r)
		r = kerf_measure_tiles(e, g, 2, &p, err);
	if (!r && choose(g, &p, &spec, op, &rows))
		for (i = 0; i < KERF_ARRAY_SIZE(parts) && !r; i++)
			r = tile(e, g, &p, &spec, rows / parts[i], rows, err);
	kerf_profile_finish(&p);
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
		fprintf(stderr, "usage: tiles THREADS ISA MODEL...\n");
		return 2;
	}
	cfg.isa = argv[2];
	r = kerf_engine_open("cpu", &cfg, &e, &err);
	printf("| model | operators | rows | whole, ms | tile, ms | by shares alone | by shares and fixed parts |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (i = 3; i < argc && !r; i++)
		r = model(e, argv[i], &err);
	if (r)
		fprintf(stderr, "tiles: %s\n", err.msg[0] ? err.msg : strerror(-r));
	kerf_engine_close(e);
	return r != 0;
}
