/* SPDX-License-Identifier: MIT */
#include "exec/cpu_light.h"
#include "exec/vec_light.h"

extern const struct kerf_cpu_map_fns KERF_ISA_NAME(kerf_cpu_map);

VEC vf apply2(enum kerf_map2 op, vf a, vf b)
{
	switch (op) {
	case KERF_MAP_ADD: return a + b;
	case KERF_MAP_SUB: return a - b;
	case KERF_MAP_MUL: return a * b;
	case KERF_MAP_DIV: return a / b;
	case KERF_MAP_MAX: return vf_max_nan(a, b);
	case KERF_MAP_MIN: return vf_min_nan(a, b);
	default: return vf_select(a < vf_zero(), a * b, a);
	}
}

VEC vf apply1(enum kerf_map1 op, vf x)
{
	const vf one = vf_set1(1);

	switch (op) {
	case KERF_MAP_NEG: return -x;
	case KERF_MAP_ABS: return vf_abs(x);
	case KERF_MAP_SQRT: return vf_sqrt(x);
	case KERF_MAP_RECIPROCAL: return one / x;
	case KERF_MAP_SQUARE: return x * x;
	case KERF_MAP_EXP: return vf_exp(x);
	case KERF_MAP_ERF: return vf_erf(x);
	case KERF_MAP_LOG: return vf_log(x);
	default: return vf_softplus(x);
	}
}

VEC void loop2(enum kerf_map2 op, int one, float *y, const float *a, const float *b, int64_t n)
{
	vf va = vf_set1(*a), vb = vf_set1(*b);
	int64_t i;

	for (i = 0; i + VL <= n; i += VL)
		vf_store(y + i, apply2(op, one == 1 ? va : vf_load(a + i),
				       one == 2 ? vb : vf_load(b + i)));
	if (i < n) {
		int rest = (int)(n - i);

		vf_store_n(y + i,
			   apply2(op, one == 1 ? va : vf_load_n(a + i, rest),
				  one == 2 ? vb : vf_load_n(b + i, rest)),
			   rest);
	}
}

VEC void loop1(enum kerf_map1 op, float *y, const float *x, int64_t n)
{
	int64_t i;

	for (i = 0; i + VL <= n; i += VL)
		vf_store(y + i, apply1(op, vf_load(x + i)));
	if (i < n)
		vf_store_n(y + i, apply1(op, vf_load_n(x + i, (int)(n - i))), (int)(n - i));
}

#define MAP2_ONE(name, OP, one)                                                       \
	static void name##_##one(float *y, const float *a, const float *b, int64_t n) \
	{                                                                             \
		loop2(OP, one, y, a, b, n);                                           \
	}
#define MAP2(name, OP) MAP2_ONE(name, OP, 0) MAP2_ONE(name, OP, 1) MAP2_ONE(name, OP, 2)
#define MAP1(name, OP)                                        \
	static void name(float *y, const float *x, int64_t n) \
	{                                                     \
		loop1(OP, y, x, n);                           \
	}

MAP2(add, KERF_MAP_ADD)
MAP2(sub, KERF_MAP_SUB)
MAP2(mul, KERF_MAP_MUL)
MAP2(divide, KERF_MAP_DIV)
MAP2(max, KERF_MAP_MAX)
MAP2(min, KERF_MAP_MIN)
MAP2(prelu, KERF_MAP_PRELU)
MAP1(neg, KERF_MAP_NEG)
MAP1(magnitude, KERF_MAP_ABS)
MAP1(root, KERF_MAP_SQRT)
MAP1(reciprocal, KERF_MAP_RECIPROCAL)
MAP1(square, KERF_MAP_SQUARE)
MAP1(exponential, KERF_MAP_EXP)
MAP1(error_function, KERF_MAP_ERF)
MAP1(logarithm, KERF_MAP_LOG)
MAP1(softplus, KERF_MAP_SOFTPLUS)

static void activate(const struct kerf_act *act, float *y, int64_t n)
{
	const struct kerf_act a = *act; /* the stores below cannot change it */
	int64_t i;

	for (i = 0; i + VL <= n; i += VL)
		vf_store(y + i, vf_act(&a, vf_load(y + i)));
	if (i < n)
		vf_store_n(y + i, vf_act(&a, vf_load_n(y + i, (int)(n - i))), (int)(n - i));
}

static void affine(float *y, const float *x, const float *scale, const float *shift, int64_t n)
{
	int64_t i;

	for (i = 0; i + VL <= n; i += VL)
		vf_store(y + i, vf_fma(vf_load(x + i), vf_load(scale + i), vf_load(shift + i)));
	if (i < n) {
		int rest = (int)(n - i);

		vf_store_n(y + i,
			   vf_fma(vf_load_n(x + i, rest), vf_load_n(scale + i, rest),
				  vf_load_n(shift + i, rest)),
			   rest);
	}
}

static void choose(float *y, const uint8_t *c, const float *a, const float *b, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		y[i] = c[i] ? a[i] : b[i];
}

#define THREE(name)                          \
	{                                    \
		name##_0, name##_1, name##_2 \
	}

const struct kerf_cpu_map_fns KERF_ISA_NAME(kerf_cpu_map) = {
	.map1 =
		{
			[KERF_MAP_NEG] = neg,
			[KERF_MAP_ABS] = magnitude,
			[KERF_MAP_SQRT] = root,
			[KERF_MAP_RECIPROCAL] = reciprocal,
			[KERF_MAP_SQUARE] = square,
			[KERF_MAP_EXP] = exponential,
			[KERF_MAP_ERF] = error_function,
			[KERF_MAP_LOG] = logarithm,
			[KERF_MAP_SOFTPLUS] = softplus,
		},
	.map2 =
		{
			[KERF_MAP_ADD] = THREE(add),
			[KERF_MAP_SUB] = THREE(sub),
			[KERF_MAP_MUL] = THREE(mul),
			[KERF_MAP_DIV] = THREE(divide),
			[KERF_MAP_MAX] = THREE(max),
			[KERF_MAP_MIN] = THREE(min),
			[KERF_MAP_PRELU] = THREE(prelu),
		},
	.act = activate,
	.affine = affine,
	.select = choose,
};
