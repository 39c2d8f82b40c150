/* SPDX-License-Identifier: MIT */
#include "exec/cpu_copy.h"

#include <stdlib.h>
#include <string.h>

/* Bytes that one item of the loop over the team moves. */
#define ITEM_BYTES (32 << 10)

void kerf_copy_dim(struct kerf_copy *c, int64_t dim, int64_t from, int64_t to)
{
	c->dim[c->rank] = dim;
	c->from[c->rank] = from;
	c->to[c->rank] = to;
	c->rank++;
}

static void drop_dim(struct kerf_copy *c, int d)
{
	int i;

	for (i = d; i + 1 < c->rank; i++) {
		c->dim[i] = c->dim[i + 1];
		c->from[i] = c->from[i + 1];
		c->to[i] = c->to[i + 1];
	}
	c->rank--;
}

static void swap_dims(struct kerf_copy *c, int a, int b)
{
	int64_t t;

	t = c->dim[a], c->dim[a] = c->dim[b], c->dim[b] = t;
	t = c->from[a], c->from[a] = c->from[b], c->from[b] = t;
	t = c->to[a], c->to[a] = c->to[b], c->to[b] = t;
}

/* Writes walk memory forwards; dims that walk both sides in step become one. */
static void normalise(struct kerf_copy *c)
{
	int i, k;

	for (i = c->rank - 1; i >= 0; i--)
		if (c->dim[i] == 1 && c->rank > 1)
			drop_dim(c, i);
	for (i = 1; i < c->rank; i++)
		for (k = i; k > 0 && c->to[k - 1] < c->to[k]; k--)
			swap_dims(c, k - 1, k);
	for (i = c->rank - 2; i >= 0; i--)
		if (c->from[i] == c->from[i + 1] * c->dim[i + 1] &&
		    c->to[i] == c->to[i + 1] * c->dim[i + 1]) {
			c->dim[i + 1] *= c->dim[i];
			drop_dim(c, i);
		}
}

void kerf_copy_plan(struct kerf_copy *c)
{
	int64_t row;
	int i, a;

	if (!c->rank)
		kerf_copy_dim(c, 1, 1, 1);
	normalise(c);
	if (c->rank == 1) {
		/* One run: cut it into rows, so that a team can share it. */
		int64_t n = c->dim[0], piece = 4096;

		if (n % piece == 0 && n > piece) {
			kerf_copy_dim(c, piece, c->from[0], c->to[0]);
			c->dim[0] = n / piece;
			c->from[0] *= piece;
			c->to[0] *= piece;
		} else {
			kerf_copy_dim(c, 1, 0, 0);
			swap_dims(c, 0, 1);
		}
	}
	/* b: the dim written contiguously. a: the one read contiguously, else the next. */
	a = c->rank - 2;
	for (i = 0; i < c->rank - 1; i++)
		if (c->from[i] == 1 && c->from[c->rank - 1] != 1)
			a = i;
	for (i = a; i < c->rank - 2; i++)
		swap_dims(c, i, i + 1);
	c->n_outer = c->rank - 2;
	c->n_outer_items = 1;
	for (i = 0; i < c->n_outer; i++)
		c->n_outer_items *= c->dim[i];
	row = c->dim[c->rank - 1] * (int64_t)c->esize;
	c->block = KERF_MAX(ITEM_BYTES / KERF_MAX(row, 1), 1);
	if (c->block > 16)
		c->block &= ~(int64_t)15;
	c->block = KERF_MIN(c->block, c->dim[c->rank - 2]);
	c->pieces = c->n_outer_items * kerf_div_up(c->dim[c->rank - 2], c->block);
	c->batch = KERF_MAX(ITEM_BYTES / KERF_MAX(row * c->block, 1), 1);
	c->n_items = kerf_div_up(c->pieces, c->batch);
}

struct span {
	int64_t na, nb, from_a, from_b, to_a, to_b;
};

/*
 * Reads run along a, writes along b: by squares, so that both sides use whole cache
 * lines. A short b (an image's three channels) is the outer loop: its columns are few
 * enough to be written side by side.
 */
#define DEFINE_SPAN(T)                                                                            \
	static void square_##T(const T *x, T *y, const struct span *s, int64_t na, int64_t nb)    \
	{                                                                                         \
		int64_t a, b;                                                                     \
                                                                                                  \
		if (nb < 8 && s->from_a == 1) {                                                   \
			for (b = 0; b < nb; b++)                                                  \
				for (a = 0; a < na; a++)                                          \
					y[a * s->to_a + b * s->to_b] = x[a + b * s->from_b];      \
			return;                                                                   \
		}                                                                                 \
		for (a = 0; a < na; a++)                                                          \
			for (b = 0; b < nb; b++)                                                  \
				y[a * s->to_a + b * s->to_b] = x[a * s->from_a + b * s->from_b];  \
	}                                                                                         \
	static void span_##T(const T *in, T *out, const struct span *s)                           \
	{                                                                                         \
		int64_t side = s->nb < 8 ? 256 : 16, a, b;                                        \
                                                                                                  \
		for (a = 0; a < s->na; a += side)                                                 \
			for (b = 0; b < s->nb; b += side)                                         \
				square_##T(in + a * s->from_a + b * s->from_b,                    \
					   out + a * s->to_a + b * s->to_b, s,                    \
					   KERF_MIN(side, s->na - a), KERF_MIN(side, s->nb - b)); \
	}

DEFINE_SPAN(uint8_t)
DEFINE_SPAN(uint16_t)
DEFINE_SPAN(uint32_t)
DEFINE_SPAN(uint64_t)

static void copy_rows(const char *in, char *out, const struct span *s, size_t esize)
{
	int64_t a;

	for (a = 0; a < s->na; a++)
		memcpy(out + a * s->to_a * (int64_t)esize, in + a * s->from_a * (int64_t)esize,
		       (size_t)s->nb * esize);
}

struct copy_args {
	const struct kerf_copy *c;
	const char *in;
	char *out;
};

static void copy_piece(const struct copy_args *x, int64_t piece)
{
	const struct kerf_copy *c = x->c;
	int64_t blocks = c->pieces / c->n_outer_items, o = piece / blocks,
		a = piece % blocks * c->block;
	int64_t from = c->from0, to = c->to0, es = (int64_t)c->esize;
	int A = c->rank - 2, B = c->rank - 1, d;
	struct span s = {KERF_MIN(c->block, c->dim[A] - a),
			 c->dim[B],
			 c->from[A],
			 c->from[B],
			 c->to[A],
			 c->to[B]};

	for (d = c->n_outer - 1; d >= 0; d--) {
		from += o % c->dim[d] * c->from[d];
		to += o % c->dim[d] * c->to[d];
		o /= c->dim[d];
	}
	from += a * s.from_a;
	to += a * s.to_a;
	if (s.from_b == 1 && s.to_b == 1) {
		copy_rows(x->in + from * es, x->out + to * es, &s, c->esize);
		return;
	}
	switch (c->esize) {
	case 1: span_uint8_t((const uint8_t *)x->in + from, (uint8_t *)x->out + to, &s); break;
	case 2: span_uint16_t((const uint16_t *)x->in + from, (uint16_t *)x->out + to, &s); break;
	case 4: span_uint32_t((const uint32_t *)x->in + from, (uint32_t *)x->out + to, &s); break;
	case 8: span_uint64_t((const uint64_t *)x->in + from, (uint64_t *)x->out + to, &s); break;
	}
}

static void copy_item(void *arg, int64_t item, int thread)
{
	const struct copy_args *x = arg;
	int64_t p, last = KERF_MIN((item + 1) * x->c->batch, x->c->pieces);

	for (p = item * x->c->batch; p < last; p++)
		copy_piece(x, p);
}

void kerf_copy_run(const struct kerf_copy *c, const void *in, void *out, struct kerf_pool *pool)
{
	struct copy_args x = {c, in, out};

	kerf_pool_run(pool, copy_item, &x, c->n_items);
}
