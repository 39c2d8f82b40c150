/* SPDX-License-Identifier: MIT */
#include "exec/cpu_light.h"
#include "exec/vec_light.h"

extern const struct kerf_cpu_norm_fns KERF_ISA_NAME(kerf_cpu_norm);

#define PARTS 16	/* partial sums of a row: the same on every instruction set */
#define NV (PARTS / VL) /* vectors that hold them */
#define ROWS 32		/* rows of a column's partial sum */
#define WIDE 4		/* vectors of columns handled together, to hide latency */

VEC vf fold_in(enum kerf_fold f, vf acc, vf x)
{
	switch (f) {
	case KERF_FOLD_SUM: return acc + x;
	case KERF_FOLD_SQUARES: return vf_fma(x, x, acc);
	case KERF_FOLD_ABS: return acc + vf_abs(x);
	case KERF_FOLD_MAX: return vf_max_nan(acc, x);
	default: return vf_min_nan(acc, x);
	}
}

VEC float neutral(enum kerf_fold f)
{
	return f == KERF_FOLD_MAX ? -INFINITY : f == KERF_FOLD_MIN ? INFINITY : 0;
}

VEC float join(enum kerf_fold f, float a, float b)
{
	switch (f) {
	case KERF_FOLD_MAX: return a != a || a > b ? a : b;
	case KERF_FOLD_MIN: return a != a || a < b ? a : b;
	default: return a + b;
	}
}

VEC float tree(enum kerf_fold f, const vf *acc)
{
	float t[PARTS];
	int w, p;

	memcpy(t, acc, sizeof(t));
	for (w = PARTS / 2; w; w /= 2)
		for (p = 0; p < w; p++)
			t[p] = join(f, t[p], t[p + w]);
	return t[0];
}

VEC float fold_row(enum kerf_fold f, const float *x, int64_t n)
{
	vf acc[NV];
	int64_t i;
	int k;

#pragma GCC unroll 4
	for (k = 0; k < NV; k++)
		acc[k] = vf_set1(neutral(f));
	for (i = 0; i + PARTS <= n; i += PARTS)
#pragma GCC unroll 4
		for (k = 0; k < NV; k++)
			acc[k] = fold_in(f, acc[k], vf_load(x + i + k * VL));
	if (i < n) {
		float rest[PARTS];

		for (k = 0; k < PARTS; k++)
			rest[k] = i + k < n ? x[i + k] : neutral(f);
#pragma GCC unroll 4
		for (k = 0; k < NV; k++)
			acc[k] = fold_in(f, acc[k], vf_load(rest + k * VL));
	}
	return tree(f, acc);
}

/* One block of rows over nv vectors of columns; last: lanes of the last vector, 0 all. */
VEC void fold_block(enum kerf_fold f, vf *acc, const float *x, int64_t rows, int64_t step, int nv,
		    int last)
{
	int64_t r;
	int k;

#pragma GCC unroll 4
	for (k = 0; k < nv; k++)
		acc[k] = vf_set1(neutral(f));
	for (r = 0; r < rows; r++, x += step)
#pragma GCC unroll 4
		for (k = 0; k < nv; k++)
			acc[k] = fold_in(f, acc[k],
					 last && k == nv - 1 ? vf_load_n(x + k * VL, last)
							     : vf_load(x + k * VL));
}

VEC void fold_some_columns(enum kerf_fold f, float *y, const float *x, int64_t rows, int64_t step,
			   int nv, int last)
{
	vf sum[WIDE], part[WIDE];
	int64_t r;
	int k;

#pragma GCC unroll 4
	for (k = 0; k < nv; k++)
		sum[k] = vf_set1(neutral(f));
	for (r = 0; r < rows; r += ROWS) {
		fold_block(f, part, x + r * step, rows - r < ROWS ? rows - r : ROWS, step, nv,
			   last);
#pragma GCC unroll 4
		for (k = 0; k < nv; k++)
			sum[k] = f == KERF_FOLD_MAX || f == KERF_FOLD_MIN
					 ? fold_in(f, sum[k], part[k])
					 : sum[k] + part[k];
	}
#pragma GCC unroll 4
	for (k = 0; k < nv; k++)
		if (last && k == nv - 1)
			vf_store_n(y + k * VL, sum[k], last);
		else
			vf_store(y + k * VL, sum[k]);
}

VEC void fold_columns(enum kerf_fold f, float *y, const float *x, int64_t rows, int64_t step,
		      int64_t c)
{
	int64_t i;

	for (i = 0; i + WIDE * VL <= c; i += WIDE * VL)
		fold_some_columns(f, y + i, x + i, rows, step, WIDE, 0);
	for (; i + VL <= c; i += VL)
		fold_some_columns(f, y + i, x + i, rows, step, 1, 0);
	if (i < c)
		fold_some_columns(f, y + i, x + i, rows, step, 1, (int)(c - i));
}

#define FOLD(name, F)                                                                    \
	static float name##_row(const float *x, int64_t n)                               \
	{                                                                                \
		return fold_row(F, x, n);                                                \
	}                                                                                \
	static void name##_columns(float *y, const float *x, int64_t rows, int64_t step, \
				   int64_t c)                                            \
	{                                                                                \
		fold_columns(F, y, x, rows, step, c);                                    \
	}

FOLD(sum, KERF_FOLD_SUM)
FOLD(squares, KERF_FOLD_SQUARES)
FOLD(absolute, KERF_FOLD_ABS)
FOLD(max, KERF_FOLD_MAX)
FOLD(min, KERF_FOLD_MIN)

static float spread_row(const float *x, float mean, int64_t n)
{
	vf acc[NV], m = vf_set1(mean), d;
	int64_t i;
	int k;

#pragma GCC unroll 4
	for (k = 0; k < NV; k++)
		acc[k] = vf_zero();
	for (i = 0; i + PARTS <= n; i += PARTS)
#pragma GCC unroll 4
		for (k = 0; k < NV; k++) {
			d = vf_load(x + i + k * VL) - m;
			acc[k] = vf_fma(d, d, acc[k]);
		}
	if (i < n) {
		float rest[PARTS];

		for (k = 0; k < PARTS; k++)
			rest[k] = i + k < n ? x[i + k] : mean;
#pragma GCC unroll 4
		for (k = 0; k < NV; k++) {
			d = vf_load(rest + k * VL) - m;
			acc[k] = vf_fma(d, d, acc[k]);
		}
	}
	return tree(KERF_FOLD_SUM, acc);
}

static void spread_columns(float *y, const float *x, const float *mean, int64_t rows, int64_t step,
			   int64_t c)
{
	int64_t i, r, r1;

	for (i = 0; i < c; i += VL) {
		int n = c - i < VL ? (int)(c - i) : 0;
		vf m = n ? vf_load_n(mean + i, n) : vf_load(mean + i), sum = vf_zero();

		for (r = 0; r < rows;) {
			vf part = vf_zero();

			for (r1 = r + ROWS < rows ? r + ROWS : rows; r < r1; r++) {
				const float *p = x + r * step + i;
				vf d = (n ? vf_load_n(p, n) : vf_load(p)) - m;

				part = vf_fma(d, d, part);
			}
			sum = sum + part;
		}
		if (n)
			vf_store_n(y + i, sum, n);
		else
			vf_store(y + i, sum);
	}
}

VEC vf normalised(vf x, vf mean, vf factor, vf scale, vf shift)
{
	return vf_fma((x - mean) * factor, scale, shift);
}

static void normalise_row(float *y, const float *x, float mean, float factor, const float *scale,
			  const float *shift, int64_t n)
{
	vf m = vf_set1(mean), f = vf_set1(factor), one = vf_set1(1), zero = vf_zero();
	int64_t i;

	for (i = 0; i + VL <= n; i += VL)
		vf_store(y + i, normalised(vf_load(x + i), m, f, scale ? vf_load(scale + i) : one,
					   shift ? vf_load(shift + i) : zero));
	if (i < n) {
		int k = (int)(n - i);

		vf_store_n(y + i,
			   normalised(vf_load_n(x + i, k), m, f,
				      scale ? vf_load_n(scale + i, k) : one,
				      shift ? vf_load_n(shift + i, k) : zero),
			   k);
	}
}

VEC float log_of(float x)
{
	return vf_log(vf_set1(x))[0];
}

static void softmax_row(float *y, const float *x, int64_t n, bool log)
{
	float max = fold_row(KERF_FOLD_MAX, x, n), total;
	vf m = vf_set1(max), acc[NV], div, e;
	int64_t i, k;

#pragma GCC unroll 4
	for (k = 0; k < NV; k++)
		acc[k] = vf_zero();
	for (i = 0; i < n; i += VL) {
		vf *part = &acc[i / VL % NV];

		if (i + VL <= n) {
			e = vf_exp(vf_load(x + i) - m);
			*part = *part + e;
			if (!log)
				vf_store(y + i, e);
		} else {
			float tail[VL];

			e = vf_exp(vf_load_n(x + i, (int)(n - i)) - m);
			vf_store(tail, e);
			*part = *part + vf_load_n(tail, (int)(n - i));
			if (!log)
				vf_store_n(y + i, e, (int)(n - i));
		}
	}
	total = tree(KERF_FOLD_SUM, acc);
	div = vf_set1(log ? log_of(total) : total);
	for (i = 0; i + VL <= n; i += VL)
		vf_store(y + i, log ? vf_load(x + i) - m - div : vf_load(y + i) / div);
	if (i < n) {
		int rest = (int)(n - i);

		vf_store_n(y + i,
			   log ? vf_load_n(x + i, rest) - m - div : vf_load_n(y + i, rest) / div,
			   rest);
	}
}

/* n lanes, or all of them where n is 0 */
VEC vf load_some(const float *p, int n)
{
	return n ? vf_load_n(p, n) : vf_load(p);
}

VEC void store_some(float *p, vf v, int n)
{
	if (n)
		vf_store_n(p, v, n);
	else
		vf_store(p, v);
}

static void softmax_columns(float *y, const float *x, int64_t rows, int64_t step, int64_t c,
			    bool log)
{
	int64_t i, r;

	for (i = 0; i < c; i += VL) {
		int n = c - i < VL ? (int)(c - i) : 0;
		vf m = vf_set1(-INFINITY), sum = vf_zero();

		for (r = 0; r < rows; r++)
			m = fold_in(KERF_FOLD_MAX, m, load_some(x + r * step + i, n));
		for (r = 0; r < rows; r++) {
			vf e = vf_exp(load_some(x + r * step + i, n) - m);

			sum = sum + e;
			if (!log)
				store_some(y + r * step + i, e, n);
		}
		if (log)
			sum = vf_log(sum);
		for (r = 0; r < rows; r++) {
			vf v = log ? load_some(x + r * step + i, n) - m - sum
				   : load_some(y + r * step + i, n) / sum;

			store_some(y + r * step + i, v, n);
		}
	}
}

/* VL rows at a time, each a lane, so that a row is summed in order. */
static void softmax_short(float *y, const float *x, int64_t rows, int64_t n, bool log)
{
	float t[KERF_SOFTMAX_SHORT][VL];
	int64_t r, k;
	int lanes, l;

	for (r = 0; r < rows; r += VL, x += lanes * n, y += lanes * n) {
		lanes = rows - r < VL ? (int)(rows - r) : VL;
		for (l = 0; l < VL; l++)
			for (k = 0; k < n; k++)
				t[k][l] = l < lanes ? x[l * n + k] : 0;
		softmax_columns(t[0], t[0], n, VL, VL, log);
		for (l = 0; l < lanes; l++)
			for (k = 0; k < n; k++)
				y[l * n + k] = t[k][l];
	}
}

static void lrn_row(float *y, const float *x, int64_t c, int64_t before, int64_t after, float k,
		    float a, float *tmp)
{
	vf vk = vf_set1(k), va = vf_set1(a);
	int64_t i, j;

	memset(tmp, 0, (size_t)before * sizeof(*tmp));
	memset(tmp + before + c, 0, (size_t)after * sizeof(*tmp));
	for (i = 0; i < c; i++)
		tmp[before + i] = x[i] * x[i];
	for (i = 0; i < c; i += VL) {
		int n = c - i < VL ? (int)(c - i) : 0;
		vf s = vf_zero(), d, r;

		for (j = 0; j <= before + after; j++)
			s = s + load_some(tmp + i + j, n);
		d = vf_fma(va, s, vk);
		r = vf_sqrt(d);
		store_some(y + i, load_some(x + i, n) / (r * vf_sqrt(r)), n);
	}
}

const struct kerf_cpu_norm_fns KERF_ISA_NAME(kerf_cpu_norm) = {
	.fold_row =
		{
			[KERF_FOLD_SUM] = sum_row,
			[KERF_FOLD_SQUARES] = squares_row,
			[KERF_FOLD_ABS] = absolute_row,
			[KERF_FOLD_MAX] = max_row,
			[KERF_FOLD_MIN] = min_row,
		},
	.fold_columns =
		{
			[KERF_FOLD_SUM] = sum_columns,
			[KERF_FOLD_SQUARES] = squares_columns,
			[KERF_FOLD_ABS] = absolute_columns,
			[KERF_FOLD_MAX] = max_columns,
			[KERF_FOLD_MIN] = min_columns,
		},
	.spread_row = spread_row,
	.spread_columns = spread_columns,
	.normalise_row = normalise_row,
	.softmax_row = softmax_row,
	.softmax_short = softmax_short,
	.softmax_columns = softmax_columns,
	.lrn_row = lrn_row,
};
