/* SPDX-License-Identifier: MIT */
/*
 * The memory plan, by running it: every operator of a random graph writes its
 * values' tags into a model of the arena, and every reader must find the tags of
 * what it reads. So neither lifetimes nor overlaps are computed here again.
 */
#include "graph/memplan.h"

#include "graph/op.h"
#include "util/clock.h"
#include "util/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct kerf_op_def work = {.name = "work", .flags = KERF_OP_ELEMENTWISE};
static const struct kerf_op_def view = {.name = "view", .flags = KERF_OP_VIEW};

static int32_t add_value(struct kerf_graph *g, int64_t bytes)
{
	struct kerf_tensor t = {.dtype = KERF_U8, .rank = 1, .dims = {bytes}};

	return kerf_graph_add_value(g, NULL, &t);
}

static int32_t add_op(struct kerf_graph *g, const struct kerf_op_def *def, int n_in,
		      const int32_t *in, int64_t bytes)
{
	int32_t out = add_value(g, bytes);

	assert_true(out >= 0);
	assert_true(kerf_graph_add_op(g, def, NULL, 13, n_in, in, 1, &out, 0, NULL) >= 0);
	return out;
}

static int32_t op1(struct kerf_graph *g, int32_t a, int64_t bytes)
{
	return add_op(g, &work, 1, &a, bytes);
}

static int32_t op2(struct kerf_graph *g, int32_t a, int32_t b, int64_t bytes)
{
	return add_op(g, &work, 2, (int32_t[]){a, b}, bytes);
}

static struct kerf_graph *begin(int32_t *input, int64_t bytes)
{
	struct kerf_graph *g = kerf_graph_new("test");

	assert_non_null(g);
	*input = add_value(g, bytes);
	assert_int_equal(kerf_graph_add_input(g, *input), 0);
	return g;
}

struct rig {
	const struct kerf_graph *g;
	struct kerf_memplan plan;
	size_t *scratch, *scratch_offset;
	uint32_t *overwrite;
	uint32_t *unit; /* tag in each KERF_ALIGN bytes of the arena */
	uint32_t *tag;	/* per value: what its memory must hold */
	uint32_t next;
};

static void fill(struct rig *r, size_t at, size_t bytes, uint32_t tag)
{
	size_t i;

	assert_int_equal(at % KERF_ALIGN, 0);
	assert_true(at + bytes <= r->plan.bytes);
	for (i = at / KERF_ALIGN; i < (at + kerf_align(bytes)) / KERF_ALIGN; i++)
		r->unit[i] = tag;
}

static void expect_bytes(const struct rig *r, size_t at, size_t bytes, uint32_t tag)
{
	size_t i;

	for (i = at / KERF_ALIGN; i < (at + kerf_align(bytes)) / KERF_ALIGN; i++)
		assert_int_equal(r->unit[i], tag);
}

static void expect_tag(const struct rig *r, int32_t v)
{
	if (r->plan.offset[v] != KERF_MEMPLAN_NONE)
		expect_bytes(r, r->plan.offset[v], kerf_tensor_bytes(&r->g->value[v].t), r->tag[v]);
}

static bool taken_over(const struct rig *r, const struct kerf_op *op, int32_t in)
{
	return r->plan.root[op->out[0]] == r->plan.root[in];
}

static void run_op(struct rig *r, uint32_t i)
{
	const struct kerf_op *op = &r->g->op[i];
	size_t out_bytes = kerf_tensor_bytes(&r->g->value[op->out[0]].t);
	int32_t out = op->out[0];
	uint32_t scratch_tag = r->next++;
	int k;

	for (k = 0; k < op->n_in; k++)
		expect_tag(r, op->in[k]);
	if (op->def == &view && taken_over(r, op, op->in[0])) {
		r->tag[out] = r->tag[op->in[0]];
		return;
	}
	r->tag[out] = r->next++;
	fill(r, r->scratch_offset[i], r->scratch[i], scratch_tag);
	if (r->plan.offset[out] != KERF_MEMPLAN_NONE)
		fill(r, r->plan.offset[out], out_bytes, r->tag[out]);
	expect_bytes(r, r->scratch_offset[i], r->scratch[i], scratch_tag);
	for (k = 0; k < op->n_in; k++) {
		if (!taken_over(r, op, op->in[k]))
			expect_tag(r, op->in[k]);
		else
			assert_true(r->overwrite[i] >> k & 1 ||
				    op->in[k] == op->in[!k] /* the same value twice */);
	}
}

static void run_graph(const struct kerf_graph *g, struct rig *r)
{
	uint32_t i;

	r->g = g;
	r->unit = calloc(r->plan.bytes / KERF_ALIGN + 1, sizeof(*r->unit));
	r->tag = calloc(g->n_value, sizeof(*r->tag));
	r->next = 1;
	assert_non_null(r->unit);
	assert_non_null(r->tag);
	for (i = 0; i < g->n_op; i++)
		run_op(r, i);
	free(r->unit);
	free(r->tag);
}

static void check_outside(const struct kerf_graph *g, const struct kerf_memplan *plan)
{
	uint32_t i;

	for (i = 0; i < g->n_in; i++)
		assert_true(plan->offset[g->in[i]] == KERF_MEMPLAN_NONE);
	for (i = 0; i < g->n_out; i++) {
		assert_true(plan->offset[g->out[i]] == KERF_MEMPLAN_NONE);
		assert_int_equal(plan->root[g->out[i]], g->out[i]);
	}
}

static struct kerf_graph *random_graph(struct kerf_rng *rng, uint32_t n_op)
{
	static const int64_t sizes[] = {0, 1, 64, 100, 1000, 4096, 4096, 20000};
	int32_t v[512], in[2];
	struct kerf_graph *g = begin(&v[0], 4096);
	uint32_t n = 1, i;

	for (i = 0; i < n_op; i++) {
		/* Mostly recent values, sometimes far back: chains with skips. */
		uint32_t reach = kerf_rng_below(rng, 5) ? KERF_MIN(n, 4u) : n;
		int64_t bytes = sizes[kerf_rng_below(rng, KERF_ARRAY_SIZE(sizes))];
		bool same = kerf_rng_below(rng, 2);

		in[0] = v[n - 1 - kerf_rng_below(rng, reach)];
		in[1] = v[n - 1 - kerf_rng_below(rng, reach)];
		if (same)
			bytes = g->value[in[0]].t.dims[0];
		if (kerf_rng_below(rng, 4) == 0)
			v[n++] = add_op(g, &view, 1, in, g->value[in[0]].t.dims[0]);
		else
			v[n++] = add_op(g, &work, 1 + (int)kerf_rng_below(rng, 2), in, bytes);
		if (kerf_rng_below(rng, 10) == 0)
			assert_int_equal(kerf_graph_add_output(g, v[n - 1]), 0);
	}
	return g;
}

static void random_graphs(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 1);
	for (round = 0; round < 400; round++) {
		uint32_t n_op = (uint32_t)kerf_rng_below(&rng, 200), i;
		struct kerf_graph *g = random_graph(&rng, n_op);
		struct rig r = {
			.scratch = calloc(n_op + 1, sizeof(*r.scratch)),
			.scratch_offset = calloc(n_op + 1, sizeof(*r.scratch_offset)),
			.overwrite = calloc(n_op + 1, sizeof(*r.overwrite)),
		};
		struct kerf_memplan_needs needs = {r.scratch, r.overwrite};

		for (i = 0; i < n_op; i++) {
			r.scratch[i] = kerf_rng_below(&rng, 3) ? 0 : kerf_rng_below(&rng, 9000);
			r.overwrite[i] = (uint32_t)kerf_rng_below(&rng, 4);
		}
		assert_int_equal(kerf_memplan_make(g, &needs, r.scratch_offset, &r.plan), 0);
		assert_true(r.plan.bytes >= r.plan.lower_bound);
		check_outside(g, &r.plan);
		run_graph(g, &r);
		kerf_memplan_finish(&r.plan);
		free(r.scratch);
		free(r.scratch_offset);
		free(r.overwrite);
		kerf_graph_unref(g);
	}
}

/* --- shapes of real networks ---------------------------------------------- */

static struct kerf_graph *net_chain(void)
{
	int32_t x;
	struct kerf_graph *g = begin(&x, 3 * 224 * 224);
	int64_t side, c;

	for (side = 224, c = 64; side >= 14; side /= 2, c = KERF_MIN(2 * c, 512)) {
		x = op1(g, x, c * side * side);
		x = op1(g, x, c * side * side);
		x = op1(g, x, c * side * side / 4);
	}
	kerf_graph_add_output(g, op1(g, x, 1000));
	return g;
}

static struct kerf_graph *net_residual(void)
{
	int32_t x, y, s;
	struct kerf_graph *g = begin(&x, 3 * 224 * 224);
	int64_t side, c;
	int b;

	x = op1(g, x, 64 * 56 * 56);
	for (side = 56, c = 64; side >= 7; side /= 2, c *= 2)
		for (b = 0; b < 4; b++) {
			int64_t out = 4 * c * side * side;

			s = b ? x : op1(g, x, out);
			y = op1(g, x, c * side * side);
			y = op1(g, y, c * side * side);
			x = op2(g, op1(g, y, out), s, out);
		}
	kerf_graph_add_output(g, op1(g, x, 1000));
	return g;
}

static struct kerf_graph *net_inception(void)
{
	int32_t x, branch[4];
	struct kerf_graph *g = begin(&x, 3 * 224 * 224);
	int64_t area = 28 * 28;
	int b;

	x = op1(g, x, 192 * area);
	for (b = 0; b < 9; b++) {
		branch[0] = op1(g, x, 64 * area);
		branch[1] = op1(g, op1(g, x, 96 * area), 128 * area);
		branch[2] = op1(g, op1(g, x, 16 * area), 32 * area);
		branch[3] = op1(g, op1(g, x, 256 * area), 32 * area);
		x = add_op(g, &work, 4, branch, 256 * area);
	}
	kerf_graph_add_output(g, x);
	return g;
}

static struct kerf_graph *net_unet(void)
{
	int32_t x, skip[5];
	struct kerf_graph *g = begin(&x, 3 * 256 * 256);
	int64_t side = 256, c = 16;
	int i;

	for (i = 0; i < 5; i++, side /= 2, c *= 2) {
		skip[i] = x = op1(g, op1(g, x, c * side * side), c * side * side);
		x = op1(g, x, c * side * side / 4);
	}
	while (i--) {
		side *= 2;
		c /= 2;
		x = op2(g, op1(g, x, c * side * side), skip[i], 2 * c * side * side);
		x = op1(g, op1(g, x, c * side * side), c * side * side);
	}
	kerf_graph_add_output(g, op1(g, x, side * side));
	return g;
}

static struct kerf_graph *net_dense(void)
{
	int32_t x, y;
	struct kerf_graph *g = begin(&x, 3 * 224 * 224);
	int64_t area, c = 64;
	int i;

	x = op1(g, x, c * 56 * 56);
	for (area = 56 * 56; area >= 14 * 14; area /= 4) {
		for (i = 0; i < 8; i++, c += 32) {
			y = op1(g, op1(g, x, 128 * area), 32 * area);
			x = op2(g, x, y, (c + 32) * area);
		}
		c /= 2;
		x = op1(g, op1(g, x, c * area), c * area / 4);
	}
	kerf_graph_add_output(g, x);
	return g;
}

static void typical_networks(void **state)
{
	static struct {
		const char *name;
		struct kerf_graph *(*make)(void);
	} const nets[] = {
		{"chain", net_chain}, {"residual", net_residual}, {"inception", net_inception},
		{"unet", net_unet},   {"dense", net_dense},
	};
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(nets); i++) {
		struct kerf_graph *g = nets[i].make();
		struct kerf_memplan plan;

		assert_int_equal(kerf_memplan_make(g, NULL, NULL, &plan), 0);
		print_message("%-10s %9zu bytes, %.3f of the bound\n", nets[i].name, plan.bytes,
			      (double)plan.bytes / (double)plan.lower_bound);
		assert_true(plan.bytes >= plan.lower_bound);
		assert_true(plan.bytes <= plan.lower_bound + plan.lower_bound / 10);
		kerf_memplan_finish(&plan);
		kerf_graph_unref(g);
	}
}

/* --- sharing, case by case ------------------------------------------------ */

static void views_share(void **state)
{
	int32_t x, a, b, c, d, e;
	struct kerf_graph *g = begin(&x, 1000);
	struct kerf_memplan plan;

	a = add_op(g, &view, 1, &x, 1000); /* of a graph input: a copy */
	b = op1(g, a, 1000);
	c = add_op(g, &view, 1, &b, 1000); /* shares b */
	d = add_op(g, &view, 1, &c, 1000); /* shares b */
	e = add_op(g, &view, 1, &d, 1000); /* is a graph output: a copy */
	kerf_graph_add_output(g, e);
	assert_int_equal(kerf_memplan_make(g, NULL, NULL, &plan), 0);
	assert_int_equal(plan.root[a], a);
	assert_int_equal(plan.root[c], b);
	assert_int_equal(plan.root[d], b);
	assert_int_equal(plan.root[e], e);
	assert_int_equal(plan.offset[d], plan.offset[b]);
	assert_true(plan.offset[e] == KERF_MEMPLAN_NONE);
	assert_int_equal(plan.bytes, 2 * 1024);
	kerf_memplan_finish(&plan);
	kerf_graph_unref(g);
}

static void takeovers(void **state)
{
	int32_t x, a, b, c, d;
	struct kerf_graph *g = begin(&x, 1000);
	uint32_t overwrite[] = {1, 1, 3, 1, 1};
	struct kerf_memplan_needs needs = {.overwrite = overwrite};
	struct kerf_memplan plan;

	a = op1(g, x, 1000);	/* may not write over a graph input */
	b = op1(g, a, 1000);	/* a is read again */
	c = op2(g, a, b, 1000); /* takes a, which dies */
	d = op1(g, c, 999);	/* another size */
	kerf_graph_add_output(g, op1(g, d, 999));
	assert_int_equal(kerf_memplan_make(g, &needs, NULL, &plan), 0);
	assert_int_equal(plan.root[a], a);
	assert_int_equal(plan.root[b], b);
	assert_int_equal(plan.root[c], a);
	assert_int_equal(plan.root[d], d);
	assert_int_equal(plan.bytes, 2 * 1024);
	kerf_memplan_finish(&plan);
	kerf_graph_unref(g);
}

static void too_large(void **state)
{
	int32_t x;
	struct kerf_graph *g = begin(&x, 1000);
	size_t scratch[] = {SIZE_MAX / 2, SIZE_MAX - 10}, place[2];
	struct kerf_memplan_needs needs = {.scratch = scratch};
	struct kerf_memplan plan;

	x = op1(g, x, 1000);
	kerf_graph_add_output(g, op1(g, x, 1000));
	assert_int_equal(kerf_memplan_make(g, &needs, place, &plan), -EOVERFLOW);
	assert_null(plan.offset);
	scratch[1] = SIZE_MAX / 2 + 10;
	assert_int_equal(kerf_memplan_make(g, &needs, place, &plan), -EOVERFLOW);
	kerf_graph_unref(g);
}

/* CPU time of a plan of n operators in a chain, the shortest of some */
static uint64_t chain_cost(int n)
{
	uint64_t best = UINT64_MAX, from, cost;
	int32_t x, skip;
	struct kerf_graph *g = begin(&x, 1000);
	struct kerf_memplan plan;
	int i;

	skip = x;
	for (i = 0; i < n; i++) {
		x = i % 7 ? op1(g, x, 1000 + i % 13 * 64) : op2(g, x, skip, 2000);
		if (i % 11 == 0)
			skip = x;
	}
	kerf_graph_add_output(g, x);
	for (i = 0; i < 3; i++) {
		from = kerf_clock_ns(CLOCK_THREAD_CPUTIME_ID);
		assert_int_equal(kerf_memplan_make(g, NULL, NULL, &plan), 0);
		cost = kerf_clock_ns(CLOCK_THREAD_CPUTIME_ID) - from;
		best = KERF_MIN(best, cost);
		kerf_memplan_finish(&plan);
	}
	kerf_graph_unref(g);
	return best;
}

/*
 * A hundred thousand operators, and a sixteenth of them: a quadratic plan would cost 256 times as
 * much.
 */
static void long_chain(void **state)
{
	uint64_t few = chain_cost(6250), many = chain_cost(100000);

	print_message("100000 operators: %.0f ms, 6250: %.1f ms\n", (double)many / 1e6, (double)few / 1e6);
	assert_true(many < few * 100);
}

/*
 * All values alive at once, then halves of them: to compare all with all would take hours, and so
 * end at the run's limit.
 */
static void many_alive(void **state)
{
	enum { ALIVE = 100000 };
	int32_t *v = malloc(ALIVE * sizeof(*v)), x, sum;
	struct kerf_graph *g = begin(&x, 100);
	struct rig r = {
		.scratch = calloc(4 * ALIVE, sizeof(*r.scratch)),
		.scratch_offset = calloc(4 * ALIVE, sizeof(*r.scratch_offset)),
		.overwrite = calloc(4 * ALIVE, sizeof(*r.overwrite)),
	};
	struct kerf_memplan_needs needs = {r.scratch, r.overwrite};
	int i;

	assert_non_null(v);
	for (i = 0; i < ALIVE; i++)
		v[i] = op1(g, x, 1 + i % 5 * 100);
	for (i = 0, sum = x; i < ALIVE; i++) {
		sum = op2(g, sum, v[i], 100);
		v[i] = i % 2 ? op1(g, sum, 1 + i % 7 * 100) : sum;
	}
	for (i = 0; i < ALIVE; i++)
		sum = op2(g, sum, v[i], 100);
	kerf_graph_add_output(g, sum);
	assert_int_equal(kerf_memplan_make(g, &needs, r.scratch_offset, &r.plan), 0);
	assert_true(r.plan.bytes >= r.plan.lower_bound);
	assert_true(r.plan.bytes < 4 * r.plan.lower_bound);
	check_outside(g, &r.plan);
	run_graph(g, &r);
	kerf_memplan_finish(&r.plan);
	free(r.scratch);
	free(r.scratch_offset);
	free(r.overwrite);
	free(v);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_graphs), cmocka_unit_test(typical_networks),
		cmocka_unit_test(views_share),	 cmocka_unit_test(takeovers),
		cmocka_unit_test(too_large),	 cmocka_unit_test(long_chain),
		cmocka_unit_test(many_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
