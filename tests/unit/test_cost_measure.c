/* SPDX-License-Identifier: MIT */
/* What is measured of an engine, on one whose times are known. */
#include "exec/measure.h"
#include "graph/rewrite.h"
#include "graph/slice.h"

#include "graph_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXED_NS 4000
#define ROW_NS 1000

/* --- an engine on which an operator takes FIXED_NS + ROW_NS a row ----------------- */

struct clockwork {
	struct kerf_engine base;
	uint32_t prepared, released, runs;
	bool fails; /* to profile slices of fewer rows */
};

static void describe(struct kerf_engine *e, struct kerf_engine_info *info)
{
	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "clockwork");
	snprintf(info->kind, sizeof(info->kind), "clockwork");
	snprintf(info->machine, sizeof(info->machine), "none");
}

static bool supports(struct kerf_engine *e, const struct kerf_graph *g, const struct kerf_op *op)
{
	return true;
}

static int prepare(struct kerf_engine *e, struct kerf_graph *slice, struct kerf_program **p,
		   struct kerf_err *err)
{
	*p = calloc(1, sizeof(**p));
	if (!*p)
		return -ENOMEM;
	(*p)->engine = e;
	(*p)->slice = kerf_graph_ref(slice);
	((struct clockwork *)e)->prepared++;
	return 0;
}

static void release(struct kerf_program *p)
{
	((struct clockwork *)p->engine)->released++;
	kerf_graph_unref(p->slice);
	free(p);
}

static int profile(struct kerf_program *p, const struct kerf_tensor *in, struct kerf_tensor *out,
		   uint64_t *ns)
{
	struct clockwork *e = (struct clockwork *)p->engine;
	uint32_t i;

	e->runs++;
	for (i = 0; i < p->slice->n_op; i++) {
		const struct kerf_value *v = &p->slice->value[p->slice->op[i].out[0]];

		if (e->fails && (v->whole_rows || v->whole_channels))
			return -EIO;
		/* An image's rows, a vector's channels. */
		ns[i] = FIXED_NS + (v->t.rank > 1 ? ROW_NS * (uint64_t)v->t.dims[1] : 0);
	}
	return 0;
}

static const struct kerf_engine_ops clockwork_ops = {
	.abi = KERF_ENGINE_ABI,
	.kind = "clockwork",
	.describe = describe,
	.supports = supports,
	.prepare = prepare,
	.release = release,
	.profile = profile,
};

/*
 * Three convolutions, one of them strided, a product whose channels can be cut, and what no tile
 * can hold.
 */
static struct kerf_graph *some_graph(void)
{
	struct kerf_graph *g = kerf_graph_new("t");
	int32_t x = b_input(g, "x", DIMS(1, 3, 32, 32));
	struct kerf_err err = {""};

	x = b_conv(g, x, 8, 3, 1, 1, true);
	x = b_conv(g, x, 8, 3, 2, 1, true);
	x = b_conv(g, x, 16, 1, 1, 1, false);
	x = b_op(g, "GlobalAveragePool", IN(x), NO_ATTR);
	x = b_reshape(g, x, 2, (int64_t[]){1, 16});
	x = b_op(g, "Gemm", IN(x, b_const(g, -1, 1, DIMS(16, 32))), NO_ATTR);
	x = b_op(g, "Softmax", IN(x), NO_ATTR);
	kerf_graph_add_output(g, x);
	if (kerf_rewrite(g, &err) || kerf_graph_tidy(g, &err))
		build_fail(&err);
	kerf_graph_freeze(g);
	return g;
}

static void test_tiles_tell_the_fixed_part(void **state)
{
	struct clockwork e = {.base.ops = &clockwork_ops};
	struct kerf_graph *g = some_graph();
	struct kerf_err err = {""};
	struct kerf_profile p;
	uint32_t i, cut = 0, whole = 0;

	assert_int_equal(kerf_measure_profile(&e.base, g, 0, 3, &p, &err), 0);
	assert_null(p.op_fixed_s);
	assert_int_equal(kerf_measure_tiles(&e.base, g, 0, &p, &err), 0);
	for (i = 0; i < g->n_op; i++) {
		const char *type = g->op[i].def->name;

		if (!strcmp(type, "Conv") || !strcmp(type, "Gemm")) {
			assert_float_equal(p.op_fixed_s[i], FIXED_NS * 1e-9, 1e-12);
			cut++;
		} else if (!strcmp(type, "Softmax")) {
			assert_float_equal(p.op_fixed_s[i], 0, 0);
			whole++;
		}
	}
	assert_int_equal(cut, 4);
	assert_int_equal(whole, 1);
	assert_int_equal(e.prepared, e.released);
	kerf_profile_finish(&p);
	kerf_graph_unref(g);
}

static void test_an_engine_that_fails_leaves_nothing_behind(void **state)
{
	struct clockwork e = {.base.ops = &clockwork_ops, .fails = true};
	struct kerf_graph *g = some_graph();
	struct kerf_err err = {""};
	struct kerf_profile p;

	assert_int_equal(kerf_measure_profile(&e.base, g, 0, 3, &p, &err), 0);
	assert_int_equal(kerf_measure_tiles(&e.base, g, 0, &p, &err), -EIO);
	assert_int_equal(e.prepared, e.released);
	kerf_profile_finish(&p);
	kerf_graph_unref(g);
}

/* The model has each case as one operator, whose work is what the predictor takes it for. */
static void test_the_calibration_is_what_it_says(void **state)
{
	struct kerf_graph *g;
	struct kerf_err err = {""};
	struct kerf_features f;
	uint32_t i, k, found;

	assert_int_equal(kerf_calibration_graph(&g, &err), 0);
	for (k = 0; k < KERF_N_CASE; k++) {
		const struct kerf_case *c = &kerf_cases[k];

		for (i = found = 0; i < g->n_op; i++) {
			if (strcmp(g->op[i].name, c->name))
				continue;
			found++;
			kerf_features_of(g, &g->op[i], &f);
			assert_int_equal(kerf_features_family(&f), c->family);
			assert_float_equal(f.v[KERF_FEATURE_C_OUT], (double)c->c_out, 0);
			if (c->family <= KERF_FAMILY_CONV8)
				assert_float_equal(f.v[KERF_FEATURE_FLOPS], kerf_case_flops(c), 0);
			assert_float_equal(f.v[KERF_FEATURE_IN_BYTES] +
						   f.v[KERF_FEATURE_OUT_BYTES] +
						   f.v[KERF_FEATURE_WEIGHT_BYTES],
					   kerf_case_bytes(c), 0.06 * kerf_case_bytes(c));
		}
		assert_int_equal(found, 1);
	}
	kerf_graph_unref(g);
}

static void test_cuts_and_clients_are_measured(void **state)
{
	struct kerf_engine_cost cost = {.has_cases = false};
	struct kerf_cut cut[KERF_CUTS];
	struct kerf_graph *g = some_graph();
	struct kerf_engine *e;
	struct kerf_err err = {""};
	struct kerf_profile p;
	double job_s = -1;
	uint32_t n, i;

	assert_int_equal(kerf_engine_open("ref", NULL, &e, &err), 0);
	assert_int_equal(kerf_measure_profile(e, g, 0, 1, &p, &err), 0);
	assert_int_equal(kerf_measure_cuts(e, g, 0, 3, cut, &n, &job_s, &err), 0);
	assert_in_range(n, 1, 3);
	assert_true(job_s >= 0);
	for (i = 0; i < n; i++) {
		assert_in_range(cut[i].op, 1, g->n_op - 1);
		assert_int_equal(cut[i].values, 1); /* it is a chain */
		assert_true(cut[i].bytes > 0);
		assert_true(cut[i].whole_s > 0 && cut[i].extra_s > -cut[i].whole_s);
	}
	assert_int_equal(kerf_measure_apart(e, g, 0, &cost, &err), 0);
	assert_true(cost.has_job && cost.job_s >= 0);
	assert_true(cost.has_apart && cost.apart_cuts && cost.apart_fixed_s >= 0 &&
		    cost.apart_byte_s >= 0);
	assert_int_equal(kerf_measure_sharing(e, g, 0, 3, &cost, &err), 0);
	assert_true(cost.has_sharing);
	assert_int_equal(cost.n_sharing, 3);
	for (i = 0; i < 3; i++)
		assert_true(cost.sharing_s[i] > 0);
	assert_int_equal(kerf_measure_sharing(e, g, 0, 0, &cost, &err), -EINVAL);
	assert_int_equal(kerf_measure_sharing(e, g, 0, KERF_SHARING_MAX + 1, &cost, &err), -EINVAL);
	kerf_profile_finish(&p);
	kerf_engine_close(e);
	kerf_graph_unref(g);
}

static void test_codecs_cost_time_and_error(void **state)
{
	struct kerf_codec_error error[4][KERF_N_CODECS];
	struct kerf_graph *g = some_graph();
	double byte_s[KERF_N_CODECS];
	struct kerf_engine *e;
	struct kerf_err err = {""};
	uint32_t n, i;

	assert_int_equal(kerf_measure_codec(byte_s), 0);
	assert_float_equal(byte_s[KERF_CODEC_NONE], 0, 0);
	assert_true(byte_s[KERF_CODEC_F16] > 0 && byte_s[KERF_CODEC_INT8] > 0);
	assert_int_equal(kerf_engine_open("ref", NULL, &e, &err), 0);
	assert_int_equal(kerf_measure_codec_errors(e, g, 1, 4, error, &n, &err), 0);
	assert_in_range(n, 1, 4);
	for (i = 0; i < n; i++) {
		const struct kerf_codec_error *none = &error[i][KERF_CODEC_NONE];
		const struct kerf_codec_error *f16 = &error[i][KERF_CODEC_F16];
		const struct kerf_codec_error *int8 = &error[i][KERF_CODEC_INT8];

		/* Cutting alone changes nothing. */
		assert_true(none->value_rms == 0 && none->output_rms == 0 && none->output_max == 0);
		/* Half floats have 11 bits, a byte of a range 8. */
		assert_true(f16->value_rms > 0 && f16->value_rms < 0x1p-11);
		assert_true(int8->value_max > 0 && int8->value_max < 0x1p-7);
		assert_true(int8->value_rms > f16->value_rms);
		assert_true(int8->output_rms > 0);
	}
	kerf_engine_close(e);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiles_tell_the_fixed_part),
		cmocka_unit_test(test_an_engine_that_fails_leaves_nothing_behind),
		cmocka_unit_test(test_the_calibration_is_what_it_says),
		cmocka_unit_test(test_codecs_cost_time_and_error),
		cmocka_unit_test(test_cuts_and_clients_are_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
