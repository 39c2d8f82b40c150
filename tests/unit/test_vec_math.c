/* SPDX-License-Identifier: MIT */
/*
 * The vector functions against libm in double precision, through the activation table
 * of every instruction set: the error in units of the last place over a sweep of all
 * exponents, and the same bits wherever there is fused multiply-add.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/cpu_kernels.h"
#include "exec/cpu_tile.h"

/* Every STEP-th float in bit order, both signs, with the special ones at the end. */
#define STEP 9973
#define N_SWEEP (2 * (0x7f800000 / STEP + 1))
#define N_EDGE 18

static const float edges[N_EDGE] = {
	0.0f,	 -0.0f,	  0x1p-149f, -0x1p-149f, INFINITY, -INFINITY, 88.72f, 88.73f, -87.33f,
	-87.34f, -103.9f, -104.1f,   0.625f,	 1.0f,	   -1.0f,     20.0f,  4.0f,   3.4e38f,
};

static float *inputs(void)
{
	float *x = malloc((N_SWEEP + N_EDGE) * sizeof(*x));
	uint32_t i;

	assert_non_null(x);
	for (i = 0; i < N_SWEEP; i++) {
		uint32_t bits = i / 2 * STEP | (i % 2) << 31;

		memcpy(&x[i], &bits, sizeof(bits));
	}
	memcpy(x + N_SWEEP, edges, sizeof(edges));
	return x;
}

/* Units of float's last place at want between got and want. */
static double ulps(float got, double want)
{
	float near = (float)want;
	double unit;

	if (isinf(near) || isnan(near))
		return got == near || (isnan(got) && isnan(near)) ? 0 : INFINITY;
	unit = ldexp(1, ilogb(fmax(fabs(want), 0x1p-126)) - 23);
	return fabs(got - want) / unit;
}

static double exact(const struct kerf_act *act, double x)
{
	switch (act->kind) {
	case KERF_ACT_SIGMOID: return 1 / (1 + exp(-x));
	case KERF_ACT_TANH: return tanh(x);
	case KERF_ACT_ELU: return x < 0 ? expm1(x) : x;
	case KERF_ACT_GELU:
		return x == 0 ? x : isinf(x) ? (x > 0 ? x : NAN) : x * erfc(-x * 0.70710678f) / 2;
	case KERF_ACT_SILU: return isinf(x) && x < 0 ? NAN : x / (1 + exp(-x));
	case KERF_ACT_MISH: return x > 100 ? x : x * tanh(log1p(exp(x)));
	default: return NAN;
	}
}

struct bound {
	struct kerf_act act;
	double from, to; /* outside, cancellation makes relative error meaningless */
	double ulps;
};

static const struct bound bounds[] = {
	{{KERF_ACT_SIGMOID, 0, 0}, -87, INFINITY, 3.0},
	{{KERF_ACT_TANH, 0, 0}, -INFINITY, INFINITY, 2.0},
	{{KERF_ACT_ELU, 1, 0}, -INFINITY, INFINITY, 1.5},
	{{KERF_ACT_GELU, 0, 0}, 0, INFINITY, 3.0}, /* so erf, from its positive side */
	{{KERF_ACT_SILU, 0, 0}, -80, INFINITY, 3.0},
	{{KERF_ACT_MISH, 0, 0}, -80, INFINITY, 4.0},
};

static void test_accuracy(void **state)
{
	const struct kerf_cpu_isa *isa;
	float *x = inputs(), *y = malloc((N_SWEEP + N_EDGE) * sizeof(*y));
	unsigned b, i;
	int k;

	for (b = 0; b < KERF_ARRAY_SIZE(bounds); b++) {
		for (k = 0; (isa = kerf_cpu_isa_at(k)); k++) {
			double worst = 0, at = 0, u;

			memcpy(y, x, (N_SWEEP + N_EDGE) * sizeof(*y));
			isa->tile->act(&bounds[b].act, y, 0, 1, N_SWEEP + N_EDGE);
			for (i = 0; i < N_SWEEP + N_EDGE; i++) {
				if (!(x[i] >= bounds[b].from && x[i] <= bounds[b].to))
					continue;
				u = ulps(y[i], exact(&bounds[b].act, x[i]));
				if (u > worst) {
					worst = u;
					at = x[i];
				}
			}
			print_message("activation %d, %s: %.2f ulp at %a\n", bounds[b].act.kind,
				      isa->name, worst, at);
			assert_true(worst <= bounds[b].ulps);
		}
	}
	free(x);
	free(y);
}

/* Where the chain of roundings leaves nothing relative to hold on to, the error is absolute. */
static void test_negative_gelu(void **state)
{
	const struct kerf_act gelu = {KERF_ACT_GELU, 0, 0};
	const struct kerf_cpu_isa *isa;
	float x[256], y[256];
	int i, k;

	for (k = 0; (isa = kerf_cpu_isa_at(k)); k++) {
		for (i = 0; i < 256; i++)
			y[i] = x[i] = (float)-i / 32;
		isa->tile->act(&gelu, y, 0, 1, 256);
		for (i = 0; i < 256; i++)
			assert_true(fabs(y[i] - exact(&gelu, x[i])) < 2e-7 * (1 + fabs(x[i])));
	}
}

/* FNV-1a over the results' bits, any NaN as one. */
static uint32_t hash(const float *y, unsigned n)
{
	uint32_t h = 2166136261u, bits;
	unsigned i;

	for (i = 0; i < n; i++) {
		memcpy(&bits, &y[i], sizeof(bits));
		h = (h ^ (isnan(y[i]) ? 0x7fc00000 : bits)) * 16777619u;
	}
	return h;
}

/*
 * The bits are part of what kerf promises: a mixed cluster answers as one machine. So
 * they are written down here, and AVX2, AVX-512 and NEON must all give them.
 */
static void test_same_bits(void **state)
{
	static const uint32_t want[KERF_N_ACTS] = {
		0x6e1f781a, 0xea6f1c47, 0x96de79fa, 0xf5e14401, 0x59fccd16, 0x7f6f84c7,
		0xa442f185, 0x8d541214, 0xd856a83c, 0xfd7298ca, 0xd2b6643f, 0x005b2e57,
	};
	const struct kerf_cpu_isa *isa;
	float *x = inputs(), *y = malloc((N_SWEEP + N_EDGE) * sizeof(*y));
	int kind, k;

	for (kind = 0; kind < KERF_N_ACTS; kind++) {
		struct kerf_act act = {.kind = (enum kerf_act_kind)kind, .a = -0.5f, .b = 0.75f};

		for (k = 0; (isa = kerf_cpu_isa_at(k)); k++) {
			if (!strcmp(isa->name, "baseline"))
				continue;
			memcpy(y, x, (N_SWEEP + N_EDGE) * sizeof(*y));
			isa->tile->act(&act, y, 0, 1, N_SWEEP + N_EDGE);
			if (hash(y, N_SWEEP + N_EDGE) != want[kind])
				fail_msg("activation %d, %s: hash 0x%08x, expected 0x%08x", kind,
					 isa->name, hash(y, N_SWEEP + N_EDGE), want[kind]);
		}
	}
	free(x);
	free(y);
}

/* Rows of odd lengths: neither the neighbours of a row nor its tail are disturbed. */
static void test_rows(void **state)
{
	const struct kerf_act act = {KERF_ACT_SIGMOID, 0, 0};
	const struct kerf_cpu_isa *isa;
	float y[8 * 50];
	int cols, i, j, k;

	for (k = 0; (isa = kerf_cpu_isa_at(k)); k++) {
		for (cols = 1; cols < 50; cols++) {
			for (i = 0; i < 8 * 50; i++)
				y[i] = 1;
			isa->tile->act(&act, y, 50, 8, cols);
			for (i = 0; i < 8; i++)
				for (j = 0; j < 50; j++)
					assert_true(j < cols ? fabsf(y[i * 50 + j] - 0.7310586f) <
								       1e-6f
							     : y[i * 50 + j] == 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accuracy),
		cmocka_unit_test(test_negative_gelu),
		cmocka_unit_test(test_same_bits),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
