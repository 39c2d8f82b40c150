/* SPDX-License-Identifier: MIT */
/*
 * Matrix products. B is packed, once if it is constant, else by every run into scratch;
 * A is read where it is, or copied with its rows contiguous if it is stored transposed or
 * if its rows stand so that a tile's would share one cache set.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/cpu_pack.h"

#define A_BYTES (256 << 10) /* of A in a task's chunk of rows: a part of a second-level cache */
#define TASKS_A_THREAD 4

struct kerf_cpu_gemm {
	const struct kerf_cpu_isa *isa;
	struct kerf_cpu_gemm_desc d; /* batch folded into m where B is shared and A dense */
	int64_t products, panels;
	bool copy_a;
	int64_t a_pixel; /* floats from row to row of A as the kernel reads it */
	float *b, *bias;
	size_t bytes;
	size_t panel_floats; /* of one B */
	struct kerf_cpu_block *block;
	int n_block;
};

static bool make_sense(const struct kerf_cpu_gemm_desc *d)
{
	const int64_t limit = (int64_t)1 << 31;
	int64_t n = 1;
	int i;

	if (d->m < 1 || d->n < 1 || d->k < 1 || d->m > limit || d->n > limit || d->k > limit ||
	    d->a_row < 0 || d->b_row < 0 || d->batch_rank < 0 ||
	    d->batch_rank > KERF_CPU_MAX_BATCH_RANK)
		return false;
	for (i = 0; i < d->batch_rank; i++)
		if (d->batch[i] < 1 || d->a_step[i] < 0 || d->b_step[i] < 0 ||
		    !kerf_mul(n, d->batch[i], &n) || n > limit)
			return false;
	return kerf_mul(n, d->m, &n) && n <= KERF_MAX_TENSOR_BYTES && kerf_mul(n, d->n, &n) &&
	       n <= KERF_MAX_TENSOR_BYTES;
}

/* Several A against one B, standing one behind the other, are one taller A. */
static void fold_batch(struct kerf_cpu_gemm_desc *d)
{
	while (d->batch_rank && !d->trans_a) {
		int i = d->batch_rank - 1;

		if (d->b_step[i] || (d->a_step[i] != d->m * d->a_row && d->batch[i] != 1))
			break;
		d->m *= d->batch[i];
		d->batch_rank--;
	}
}

static bool shares_b(const struct kerf_cpu_gemm_desc *d)
{
	int i;

	for (i = 0; i < d->batch_rank; i++)
		if (d->b_step[i] && d->batch[i] > 1)
			return false;
	return true;
}

/* Where product i of the batch stands: by the steps of A or of B. */
static int64_t batch_at(const struct kerf_cpu_gemm_desc *d, const int64_t *step, int64_t i)
{
	int64_t at = 0;
	int axis;

	for (axis = d->batch_rank - 1; axis >= 0; axis--) {
		at += i % d->batch[axis] * step[axis];
		i /= d->batch[axis];
	}
	return at;
}

static struct kerf_cpu_weights describe_b(const struct kerf_cpu_gemm *g, const float *b)
{
	const struct kerf_cpu_gemm_desc *d = &g->d;

	return (struct kerf_cpu_weights){
		.w = b,
		.alpha = d->alpha,
		.columns = d->n,
		.taps_y = 1,
		.taps_x = 1,
		.n_chan = d->k,
		.column = d->trans_b ? d->b_row : 1,
		.chan = d->trans_b ? 1 : d->b_row,
	};
}

static int keep_constants(struct kerf_cpu_gemm *g, const float *b, const float *bias,
			  struct kerf_pool *pool)
{
	int64_t copies = shares_b(&g->d) ? 1 : g->products, i, bytes;
	int nr = g->isa->tile->nr;

	if (b) {
		if (!kerf_mul((int64_t)(g->panel_floats * sizeof(float)), copies, &bytes) ||
		    bytes > KERF_MAX_TENSOR_BYTES)
			return -EINVAL;
		g->b = aligned_alloc(KERF_ALIGN, (size_t)bytes);
		if (!g->b)
			return -ENOMEM;
		g->bytes += (size_t)bytes;
		for (i = 0; i < copies; i++) {
			struct kerf_cpu_weights w =
				describe_b(g, b + batch_at(&g->d, g->d.b_step, i));

			w.drop = g->d.drop;
			w.drop_arg = g->d.drop_arg;
			kerf_cpu_pack(&w, nr, g->b + (size_t)i * g->panel_floats, pool);
		}
	}
	if (bias) {
		size_t n = kerf_align((size_t)(g->panels * nr) * sizeof(float));

		g->bias = aligned_alloc(KERF_ALIGN, n);
		if (!g->bias)
			return -ENOMEM;
		memset(g->bias, 0, n);
		memcpy(g->bias, bias, (size_t)g->d.n * sizeof(float));
		g->bytes += n;
	}
	return 0;
}

int kerf_cpu_gemm_prepare(const struct kerf_cpu_isa *isa, const struct kerf_cpu_gemm_desc *desc,
			  const float *b, const float *bias, struct kerf_pool *pool,
			  struct kerf_cpu_gemm **out)
{
	const int64_t start = 0;
	struct kerf_cpu_gemm *g;
	int64_t bytes;
	int r, i;

	if (!make_sense(desc))
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->isa = isa;
	g->d = *desc;
	if (!g->d.a_row)
		g->d.a_row = desc->trans_a ? desc->m : desc->k;
	if (!g->d.b_row)
		g->d.b_row = desc->trans_b ? desc->k : desc->n;
	fold_batch(&g->d);
	g->products = 1;
	for (i = 0; i < g->d.batch_rank; i++)
		g->products *= g->d.batch[i];
	g->panels = kerf_div_up(g->d.n, isa->tile->nr);
	g->copy_a = g->d.trans_a || (g->d.m > 1 && g->d.a_row % 1024 == 0);
	g->a_pixel = g->d.a_row;
	if (g->copy_a)
		g->a_pixel = g->d.k + (g->d.k % 1024 == 0 ? 16 : 0);
	bytes = kerf_cpu_panel_bytes(isa, g->d.n, g->d.k);
	if (bytes < 0) {
		r = -EINVAL;
		goto fail;
	}
	g->panel_floats = (size_t)bytes / sizeof(float);
	g->n_block = kerf_cpu_blocks_new(&start, 1, g->d.k, &g->block);
	r = KERF_MIN(g->n_block, 0);
	if (!r)
		r = keep_constants(g, b, bias, pool);
	if (r)
		goto fail;
	*out = g;
	return 0;
fail:
	kerf_cpu_gemm_free(g);
	return r;
}

void kerf_cpu_gemm_free(struct kerf_cpu_gemm *g)
{
	if (!g)
		return;
	free(g->block);
	free(g->b);
	free(g->bias);
	free(g);
}

size_t kerf_cpu_gemm_weight_bytes(const struct kerf_cpu_gemm *g)
{
	return g->bytes;
}

struct cut {
	int64_t step, m_chunks, n_step, n_chunks;
	size_t b_floats, a_floats; /* scratch: packed B of all products; A's copy of one task */
};

static struct cut cut_tasks(const struct kerf_cpu_gemm *g, int threads)
{
	const struct kerf_cpu_gemm_desc *d = &g->d;
	int64_t want = threads > 1 ? threads * TASKS_A_THREAD : 1, mr = g->isa->tile->mr;
	int64_t row_bytes = d->k * (int64_t)sizeof(float), left;
	struct cut cut;

	cut.step = KERF_MIN(KERF_MAX(A_BYTES / row_bytes / mr, 4) * mr, d->m);
	/* A tall product of few columns splits by rows, every other by columns. */
	left = kerf_div_up(want, g->products);
	if (d->m > 2 * d->n && kerf_div_up(d->m, cut.step) < left)
		cut.step = kerf_div_up(d->m, left);
	cut.step = kerf_div_up(cut.step, mr) * mr;
	cut.m_chunks = kerf_div_up(d->m, cut.step);
	left = kerf_div_up(left, cut.m_chunks);
	cut.n_step = kerf_div_up(g->panels, KERF_MIN(left, g->panels));
	cut.n_chunks = kerf_div_up(g->panels, cut.n_step);
	cut.b_floats = g->b ? 0 : g->panel_floats * (size_t)(shares_b(d) ? 1 : g->products);
	cut.a_floats = g->copy_a ? kerf_align((size_t)(KERF_MIN(cut.step, d->m) * g->a_pixel) *
					      sizeof(float)) /
					   sizeof(float)
				 : 0;
	return cut;
}

size_t kerf_cpu_gemm_scratch(const struct kerf_cpu_gemm *g, int threads)
{
	struct cut cut = cut_tasks(g, threads);

	return (cut.b_floats + cut.a_floats * (size_t)threads) * sizeof(float);
}

struct run {
	const struct kerf_cpu_gemm *g;
	const float *a, *b, *residual;
	float *y, *packed, *copies;
	int64_t residual_row;
	struct cut cut;
};

/* Rows m0 .. m0 + n of A, each k contiguous floats. */
static void copy_rows(const struct kerf_cpu_gemm *g, const float *a, int64_t m0, int64_t n,
		      float *to)
{
	const struct kerf_cpu_gemm_desc *d = &g->d;
	int64_t i, k;

	if (!d->trans_a) {
		for (i = 0; i < n; i++)
			memcpy(to + i * g->a_pixel, a + (m0 + i) * d->a_row,
			       (size_t)d->k * sizeof(float));
		return;
	}
	for (k = 0; k < d->k; k++)
		for (i = 0; i < n; i++)
			to[i * g->a_pixel + k] = a[k * d->a_row + m0 + i];
}

/* One row: no tile fills, so B is streamed past it by several panels at once. */
static void run_row(const struct run *r, const float *a, const float *b, const float *residual,
		    float *y, int64_t p0, int64_t p1)
{
	const struct kerf_cpu_gemm *g = r->g;
	const struct kerf_cpu_tile_fns *fns = g->isa->tile;
	struct kerf_act act = g->d.act;
	float acc[KERF_CPU_ROW_FLOATS];
	int64_t p, n0, n, i;
	int some;

	for (p = p0; p < p1; p += some) {
		some = (int)KERF_MIN(fns->row_panels, p1 - p);
		fns->row(a, b + p * g->d.k * fns->nr, g->d.k, g->d.k * fns->nr, some, acc);
		n0 = p * fns->nr;
		n = KERF_MIN(some * fns->nr, g->d.n - n0);
		for (i = 0; i < n; i++) {
			if (g->bias)
				acc[i] += g->bias[n0 + i];
			if (residual)
				acc[i] += residual[n0 + i];
		}
		fns->act(&act, acc, 0, 1, n);
		memcpy(y + n0, acc, (size_t)n * sizeof(float));
	}
}

static void run_task(void *arg, int64_t item, int thread)
{
	const struct run *r = arg;
	const struct kerf_cpu_gemm *g = r->g;
	const struct kerf_cpu_gemm_desc *d = &g->d;
	int64_t m0 = item % r->cut.m_chunks * r->cut.step, rest = item / r->cut.m_chunks;
	int64_t nc = rest % r->cut.n_chunks, i = rest / r->cut.n_chunks;
	int64_t count = KERF_MIN(r->cut.step, d->m - m0), row = i * d->m + m0;
	int64_t p0 = nc * r->cut.n_step, p1 = KERF_MIN(p0 + r->cut.n_step, g->panels);
	const float *a = r->a + batch_at(d, d->a_step, i);
	const float *residual = r->residual ? r->residual + row * r->residual_row : NULL;
	struct kerf_cpu_walk walk = {
		.isa = g->isa,
		.b = (g->b ? g->b : r->packed) + (shares_b(d) ? 0 : (size_t)i * g->panel_floats),
		.bias = g->bias,
		.residual = residual,
		.y = r->y + row * d->n,
		.rows = 1,
		.pixels = count,
		.a_pixel = g->a_pixel,
		.y_pixel = d->n,
		.r_pixel = r->residual_row,
		.columns = d->n,
		.k = d->k,
		.block = g->block,
		.n_block = g->n_block,
		.act = &d->act,
	};

	if (g->copy_a) {
		float *copy = r->copies + (size_t)thread * r->cut.a_floats;

		copy_rows(g, a, m0, count, copy);
		walk.a = copy;
	} else {
		walk.a = a + m0 * d->a_row;
	}
	if (count == 1)
		run_row(r, walk.a, walk.b, residual, walk.y, p0, p1);
	else
		kerf_cpu_walk(&walk, p0, p1);
}

static void pack_b(const struct run *r, struct kerf_pool *pool)
{
	const struct kerf_cpu_gemm *g = r->g;
	int64_t copies = shares_b(&g->d) ? 1 : g->products, i;

	for (i = 0; i < copies; i++) {
		struct kerf_cpu_weights w = describe_b(g, r->b + batch_at(&g->d, g->d.b_step, i));

		kerf_cpu_pack(&w, g->isa->tile->nr, r->packed + (size_t)i * g->panel_floats, pool);
	}
}

void kerf_cpu_gemm_run(const struct kerf_cpu_gemm *g, struct kerf_pool *pool, const float *a,
		       const float *b, const float *residual, int64_t residual_row, float *y,
		       void *scratch)
{
	struct run r = {
		.g = g,
		.a = a,
		.b = b,
		.residual = residual,
		.residual_row = residual_row,
		.y = y,
		.packed = scratch,
		.cut = cut_tasks(g, kerf_pool_threads(pool)),
	};

	r.copies = r.packed ? r.packed + r.cut.b_floats : NULL;
	if (!g->b)
		pack_b(&r, pool);
	kerf_pool_run(pool, run_task, &r, r.cut.m_chunks * r.cut.n_chunks * g->products);
}
