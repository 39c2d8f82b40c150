/* SPDX-License-Identifier: MIT */
/*
 * ConvTranspose of channels-last images: one matrix product gives, for every input
 * pixel and kernel tap, what it adds to every output channel; an output pixel then
 * gathers its taps in kernel order, the bias first. Both orders are fixed, so tiles,
 * threads and vector sets give the same bits.
 */
#include "exec/cpu_op.h"
#include "graph/op_util.h"
#include "graph/spatial.h"

#include <stdlib.h>
#include <string.h>

struct transposed_arg {
	struct kerf_cpu_gemm *gemm;
	struct kerf_window w; /* of the whole operator */
	struct kerf_grid x, y;
	int64_t oc, taps;
	const float *bias; /* or zeros */
	size_t gemm_scratch;
};

static void free_gemm(void *p)
{
	kerf_cpu_gemm_free(p);
}

/* Input position that tap k of output position `at` meets, held from `first` on: -1 for none. */
static int64_t meets(const struct kerf_window *w, int d, int64_t at, int64_t k, int64_t first,
		     int64_t held)
{
	int64_t p = at + w->pad_begin[d] - k * w->dilation[d];

	if (p < 0 || p % w->stride[d])
		return -1;
	p = p / w->stride[d] - first;
	return p >= 0 && p < held ? p : -1;
}

/* One output row of one image. */
static void gather_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct transposed_arg *a = s->arg;
	const struct kerf_window *w = &a->w;
	int64_t image = item / a->y.size[0], oy = item % a->y.size[0] + a->y.row0, ox, ky, kx;
	const float *parts = (const float *)((const char *)s->scratch + a->gemm_scratch) +
			     image * a->x.size[0] * a->x.size[1] * a->taps * a->oc;
	float *row = (float *)s->out[0].data + item * a->y.size[1] * a->oc, *y = row;

	for (ox = 0; ox < a->y.size[1]; ox++, y += a->oc) {
		memcpy(y, a->bias, (size_t)a->oc * sizeof(*y));
		for (ky = 0; ky < w->kernel[0]; ky++) {
			int64_t iy = meets(w, 0, oy, ky, a->x.row0, a->x.size[0]);

			for (kx = 0; kx < w->kernel[1] && iy >= 0; kx++) {
				int64_t ix = meets(w, 1, ox, kx, 0, a->x.size[1]);
				int64_t pixel = iy * a->x.size[1] + ix,
					tap = ky * w->kernel[1] + kx;

				if (ix >= 0)
					s->isa->map->map2[KERF_MAP_ADD][0](
						y, y, parts + (pixel * a->taps + tap) * a->oc,
						a->oc);
			}
		}
	}
	if (s->op->act.kind != KERF_ACT_NONE)
		s->isa->map->act(&s->op->act, row, a->y.size[1] * a->oc);
}

static int run_transposed(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct transposed_arg *a = s->arg;
	float *parts = (float *)((char *)s->scratch + a->gemm_scratch);

	kerf_cpu_gemm_run(a->gemm, pool, s->in[0].data, NULL, NULL, 0, parts, s->scratch);
	kerf_pool_run(pool, gather_item, (void *)s, a->y.batch * a->y.size[0]);
	return 0;
}

/* [c][oc][tap] to [c][tap][oc], so that what a pixel gathers is a row. */
static int pack(struct kerf_cpu_build *b, struct kerf_cpu_step *s, struct transposed_arg *a,
		const struct kerf_cpu_gemm_desc *d)
{
	const float *w = s->in[1].data;
	float *t = malloc((size_t)(d->k * d->n) * sizeof(*t));
	int64_t c, oc, k;
	int r;

	if (!t)
		return -ENOMEM;
	for (c = 0; c < d->k; c++)
		for (oc = 0; oc < a->oc; oc++)
			for (k = 0; k < a->taps; k++)
				t[(c * a->taps + k) * a->oc + oc] =
					w[(c * a->oc + oc) * a->taps + k];
	r = kerf_cpu_gemm_prepare(s->isa->heavy, d, t, NULL, b->pool, &a->gemm);
	free(t);
	if (r)
		return r;
	kerf_cpu_forget(b, w, kerf_tensor_bytes(&s->in[1]));
	return kerf_cpu_own(b, a->gemm, free_gemm, kerf_cpu_gemm_weight_bytes(a->gemm));
}

static int choose_transposed(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *w = &s->in[1],
				 *bias = kerf_op_opt(s->op, s->in, 2);
	struct kerf_cpu_gemm_desc d = {.alpha = 1};
	struct transposed_arg *a;
	float *shift;
	int64_t whole[3];
	int r;

	if (!s->op->nhwc || x->rank != 4 || x->dtype != KERF_F32 || w->dtype != KERF_F32 ||
	    !w->data || kerf_op_int(s->op, "group", 1) != 1 ||
	    (bias && (!bias->data || bias->dtype != KERF_F32)))
		return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	r = kerf_transposed_window(s->op, x, w->dims + 2, &a->w, whole, b->err);
	if (r)
		return r;
	a->x = kerf_grid_in(s->op, x);
	a->y = kerf_grid_out(s->op, &s->out[0]);
	a->oc = w->dims[1];
	a->taps = w->dims[2] * w->dims[3];
	shift = kerf_cpu_weights(b, (size_t)a->oc * sizeof(*shift));
	if (!shift)
		return -ENOMEM;
	if (bias)
		memcpy(shift, bias->data, (size_t)a->oc * sizeof(*shift));
	a->bias = shift;
	d.k = w->dims[0];
	d.n = a->taps * a->oc;
	d.m = kerf_tensor_count(x) / d.k;
	r = pack(b, s, a, &d);
	if (r)
		return r;
	a->gemm_scratch = kerf_align(kerf_cpu_gemm_scratch(a->gemm, b->threads));
	s->scratch_bytes = a->gemm_scratch + (size_t)(d.m * d.n) * sizeof(float);
	s->run = run_transposed;
	s->arg = a;
	return 0;
}

int kerf_cpu_transposed(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"ConvTranspose", choose_transposed},
		{NULL, NULL},
	};

	return kerf_cpu_by_name(table, b, s);
}
