/* SPDX-License-Identifier: MIT */
/* Codecs, runs of bands, and which parts are refused. */
#include "exec/part.h"
#include "graph/op.h"
#include "util/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float float_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static struct kerf_runs line(size_t n)
{
	return (struct kerf_runs){.element = 4, .n_batch = 1, .n_position = 1, .run = n,
				  .position_stride = n, .batch_stride = n};
}

/* Floats of every exponent, rounding cases among them, and every half, against tensor.h's. */
static void test_half(void **state)
{
	struct kerf_runs one = line(1);
	struct kerf_rng rng;
	uint32_t i;

	kerf_rng_seed(&rng, 1);
	for (i = 0; i < 1u << 20; i++) {
		uint32_t u = i << 12 |
			     (kerf_rng_below(&rng, 4) ? 0 : (uint32_t)kerf_rng_below(&rng, 4096));
		float x = float_of(u);
		uint16_t h, want = kerf_f32_to_f16(x);

		kerf_codec_encode(KERF_CODEC_F16, &one, &x, &h);
		if (isnan(x))
			assert_true((h & 0x7fff) > 0x7c00);
		else
			assert_int_equal(h, want);
	}
	for (i = 0; i < 1u << 16; i++) {
		uint16_t h = (uint16_t)i;
		float x, want = kerf_f16_to_f32(h);

		assert_int_equal(kerf_codec_decode(KERF_CODEC_F16, &one, &x, &h), 0);
		assert_true(isnan(want) ? isnan(x) : !memcmp(&x, &want, sizeof(x)));
	}
}

static void test_int8(void **state)
{
	enum { N = 1000 };
	float x[N], y[N];
	uint8_t wire[N + 8];
	struct kerf_runs r = line(N);
	struct kerf_rng rng;
	int round, i;

	kerf_rng_seed(&rng, 2);
	for (round = 0; round < 200; round++) {
		float scale = ldexpf(1, (int)kerf_rng_below(&rng, 200) - 100), lo = 0, hi = 0;
		float shift = round % 3 ? 0 : kerf_rng_float(&rng);

		for (i = 0; i < N; i++) {
			x[i] = (kerf_rng_float(&rng) - shift) * scale;
			lo = fminf(lo, x[i]);
			hi = fmaxf(hi, x[i]);
		}
		x[7] = 0;
		kerf_codec_encode(KERF_CODEC_INT8, &r, x, wire);
		assert_int_equal(kerf_codec_decode(KERF_CODEC_INT8, &r, y, wire), 0);
		assert_true(y[7] == 0);
		for (i = 0; i < N; i++)
			assert_true(fabsf(x[i] - y[i]) <= (hi - lo) / 255 * 1.01f);
	}
	x[0] = NAN;
	x[1] = INFINITY;
	x[2] = -INFINITY;
	for (i = 3; i < N; i++)
		x[i] = (float)(i % 11) - 5;
	kerf_codec_encode(KERF_CODEC_INT8, &r, x, wire);
	assert_int_equal(kerf_codec_decode(KERF_CODEC_INT8, &r, y, wire), 0);
	assert_true(y[0] == 0);
	assert_true(fabsf(y[1] - 5) < 0.05f && fabsf(y[2] + 5) < 0.05f);
	/* Heads that nobody writes. */
	memcpy(wire, &(float){NAN}, 4);
	assert_int_equal(kerf_codec_decode(KERF_CODEC_INT8, &r, y, wire), -EINVAL);
	memcpy(wire, &(float){1}, 4);
	memcpy(wire + 4, &(uint32_t){256}, 4);
	assert_int_equal(kerf_codec_decode(KERF_CODEC_INT8, &r, y, wire), -EINVAL);
	memset(x, 0, sizeof(x));
	kerf_codec_encode(KERF_CODEC_INT8, &r, x, wire);
	assert_int_equal(kerf_codec_decode(KERF_CODEC_INT8, &r, y, wire), 0);
	assert_memory_equal(x, y, sizeof(x));
}

/* Bands cut out of a value and put together again, in any holding. */
static void test_runs(void **state)
{
	struct kerf_value v = {.nhwc = true,
			       .t = {.dtype = KERF_F32, .rank = 4, .dims = {2, 9, 5, 7}}};
	float whole[2 * 9 * 5 * 7], again[2 * 9 * 5 * 7], wire[2 * 9 * 5 * 7], part[2 * 9 * 5 * 7];
	struct kerf_band_of all = {{0, 0}, {0, 0}};
	struct kerf_rng rng;
	int round, i;

	kerf_rng_seed(&rng, 3);
	for (i = 0; i < 2 * 9 * 5 * 7; i++)
		whole[i] = (float)i;
	for (round = 0; round < 200; round++) {
		int64_t r = 1 + (int64_t)kerf_rng_below(&rng, 8),
			c = 1 + (int64_t)kerf_rng_below(&rng, 6);
		struct kerf_band_of want[4] = {{{0, r}, {0, c}}, {{0, r}, {c, 7}},
					       {{r, 9}, {0, c}}, {{r, 9}, {c, 7}}};

		memset(again, 0, sizeof(again));
		for (i = 0; i < 4; i++) {
			struct kerf_runs from, to, dense, in_part;

			assert_true(kerf_runs_of(&v, all, want[i], &from));
			assert_true(kerf_runs_of(&v, want[i], want[i], &in_part));
			dense = line(kerf_runs_count(&from));
			kerf_codec_encode(KERF_CODEC_NONE, &from, whole, wire);
			assert_int_equal(kerf_codec_decode(KERF_CODEC_NONE, &in_part, part, wire),
					 0);
			assert_memory_equal(part, wire, kerf_runs_count(&dense) * 4);
			assert_true(kerf_runs_of(&v, all, want[i], &to));
			kerf_runs_copy(&in_part, part, &to, again);
		}
		assert_memory_equal(again, whole, sizeof(whole));
	}
	assert_false(kerf_runs_of(&v, (struct kerf_band_of){{2, 4}, {0, 0}},
				  (struct kerf_band_of){{1, 3}, {0, 0}}, &(struct kerf_runs){0}));
	assert_false(kerf_runs_of(&v, all, (struct kerf_band_of){{3, 10}, {0, 0}},
				  &(struct kerf_runs){0}));
	assert_false(kerf_runs_of(&v, all, (struct kerf_band_of){{4, 4}, {0, 0}},
				  &(struct kerf_runs){0}));
	v.nhwc = false;
	assert_false(kerf_runs_of(&v, all, (struct kerf_band_of){{0, 3}, {0, 0}},
				  &(struct kerf_runs){0}));
}

static struct kerf_graph *two_ops(void)
{
	struct kerf_graph *g = kerf_graph_new("t");
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 4, .dims = {1, 8, 4, 3}};
	int32_t v[2] = {kerf_graph_add_value(g, "x", &t), kerf_graph_add_value(g, "y", &t)};

	g->value[v[0]].nhwc = g->value[v[1]].nhwc = true;
	kerf_graph_add_op(g, kerf_op_find(NULL, "Relu", 14), NULL, 14, 1, &v[0], 1, &v[1], 0, NULL);
	kerf_graph_add_input(g, v[0]);
	kerf_graph_add_output(g, v[1]);
	return g;
}

static void refused(const struct kerf_graph *g, const struct kerf_part *part, const char *why)
{
	struct kerf_err err = {""};

	assert_int_equal(kerf_part_check(g, part, &err), -EINVAL);
	if (!strstr(err.msg, why))
		fail_msg("'%s' does not say '%s'", err.msg, why);
}

static void test_check(void **state)
{
	struct kerf_graph *g = two_ops();
	struct kerf_piece top[2] = {{.rows = {0, 5}}}, rest = {.rows = {5, 8}}, out = {0};
	struct kerf_port in[3] = {{.home = true, .n_piece = 1, .piece = top},
				  {.n_piece = 1, .piece = &rest}},
			 to = {.home = true, .n_piece = 1, .piece = &out};
	struct kerf_part part = {.n_in = 2, .n_out = 1, .in = in, .out = &to};

	assert_int_equal(kerf_part_check(g, &part, NULL), 0);
	assert_int_equal(kerf_port_bytes(g, true, &in[0]), 5 * 4 * 3 * 4);
	in[1].home = true;
	refused(g, &part, "home's");
	in[1].home = false;
	rest.rows.begin = 4;
	refused(g, &part, "twice");
	rest.rows.begin = 6;
	refused(g, &part, "elements");
	rest.rows = (struct kerf_rows){5, 9};
	refused(g, &part, "not held");
	rest.rows = (struct kerf_rows){5, 8};
	rest.io = 1;
	refused(g, &part, "the slice has 1");
	rest.io = 0;
	rest.codec = KERF_N_CODECS;
	refused(g, &part, "codec");
	rest.codec = KERF_CODEC_INT8;
	assert_int_equal(kerf_part_check(g, &part, NULL), 0);
	in[1].n_piece = 0;
	refused(g, &part, "no pieces");
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half),
		cmocka_unit_test(test_int8),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
