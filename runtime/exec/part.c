/* SPDX-License-Identifier: MIT */
#include "exec/part.h"

#include "graph/slice.h"

#include <stdlib.h>
#include <string.h>

/* Of one input: pairs of them are compared. */
#define MOST_PIECES 1024

static bool is_all(struct kerf_rows r)
{
	return !r.begin && !r.end;
}

/* want as offsets in held; n is what the whole has on this axis. */
static bool within(struct kerf_rows held, struct kerf_rows want, int64_t n, size_t *at,
		   size_t *count, size_t *of)
{
	if (is_all(held))
		held.end = n;
	if (is_all(want))
		want = held;
	if (held.begin < 0 || held.end > n || want.begin < held.begin || want.end > held.end ||
	    want.end <= want.begin)
		return false;
	*at = (size_t)(want.begin - held.begin);
	*count = (size_t)(want.end - want.begin);
	*of = (size_t)(held.end - held.begin);
	return true;
}

bool kerf_runs_of(const struct kerf_value *whole, struct kerf_band_of held,
		  struct kerf_band_of want, struct kerf_runs *r)
{
	const struct kerf_tensor *t = &whole->t;
	int64_t channels = t->rank > 1 ? t->dims[t->rank - 1] : kerf_tensor_count(t);
	size_t row, rows, held_rows, channel, n_channel, held_channels, inner = 1, batch = 1;
	bool has_rows = whole->nhwc && t->rank > 2;
	int i;

	if ((t->rank < 2 && (!is_all(held.channels) || !is_all(want.channels))) ||
	    (!has_rows && (!is_all(held.rows) || !is_all(want.rows))) || !kerf_tensor_count(t))
		return false;
	if (has_rows)
		batch = (size_t)t->dims[0];
	for (i = has_rows ? 2 : 0; i < t->rank - 1; i++)
		inner *= (size_t)t->dims[i];
	if (!within(held.rows, want.rows, has_rows ? t->dims[1] : 1, &row, &rows, &held_rows) ||
	    !within(held.channels, want.channels, channels, &channel, &n_channel, &held_channels))
		return false;
	*r = (struct kerf_runs){
		.element = kerf_dtype_size(t->dtype),
		.n_batch = batch,
		.n_position = rows * inner,
		.run = n_channel,
		.offset = row * inner * held_channels + channel,
		.position_stride = held_channels,
		.batch_stride = held_rows * inner * held_channels,
	};
	return true;
}

struct kerf_band_of kerf_slice_band(const struct kerf_graph *slice, int32_t v)
{
	const struct kerf_value *value = &slice->value[v];
	struct kerf_band_of b = {{0, 0}, {0, 0}};

	if (value->whole_rows)
		b.rows = kerf_slice_rows(slice, v);
	if (value->whole_channels)
		b.channels = (struct kerf_rows){
			value->channel0,
			value->channel0 + value->t.dims[value->t.rank - 1]};
	return b;
}

/* The value with the dims of the whole one. */
static struct kerf_value whole_of(const struct kerf_value *v)
{
	struct kerf_value w = *v;

	if (v->whole_rows)
		w.t.dims[1] = v->whole_rows;
	if (v->whole_channels)
		w.t.dims[w.t.rank - 1] = v->whole_channels;
	return w;
}

static bool runs_of(const struct kerf_graph *slice, bool in, const struct kerf_piece *p,
		    struct kerf_runs *r)
{
	int32_t v = in ? slice->in[p->io] : slice->out[p->io];
	struct kerf_value whole = whole_of(&slice->value[v]);

	return kerf_runs_of(&whole, kerf_slice_band(slice, v),
			    (struct kerf_band_of){p->rows, p->channels}, r);
}

size_t kerf_piece_bytes(const struct kerf_graph *slice, bool in, const struct kerf_piece *p)
{
	struct kerf_runs r;

	return runs_of(slice, in, p, &r) ? kerf_codec_bytes(p->codec, &r) : 0;
}

size_t kerf_port_bytes(const struct kerf_graph *slice, bool in, const struct kerf_port *p)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < p->n_piece; i++)
		n += kerf_piece_bytes(slice, in, &p->piece[i]);
	return n;
}

void kerf_piece_give(const struct kerf_graph *slice, const struct kerf_piece *p,
		     const struct kerf_tensor *tensor, void *wire)
{
	struct kerf_runs r;

	if (runs_of(slice, false, p, &r))
		kerf_codec_encode(p->codec, &r, tensor->data, wire);
}

int kerf_piece_take(const struct kerf_graph *slice, const struct kerf_piece *p,
		    struct kerf_tensor *tensor, const void *wire)
{
	struct kerf_runs r;

	if (!runs_of(slice, true, p, &r))
		return -EINVAL;
	return kerf_codec_decode(p->codec, &r, tensor->data, wire);
}

/* --- checking --- */

static int check_port(const struct kerf_graph *slice, bool in, uint32_t index,
		      const struct kerf_port *port, struct kerf_err *err)
{
	const char *way = in ? "in" : "out";
	uint32_t n = in ? slice->n_in : slice->n_out, i;
	struct kerf_runs r;

	if (!port->n_piece)
		return kerf_fail(err, -EINVAL, "port %s %u: no pieces", way, index);
	for (i = 0; i < port->n_piece; i++) {
		const struct kerf_piece *p = &port->piece[i];
		const struct kerf_value *v;

		if (p->io >= n)
			return kerf_fail(err, -EINVAL,
					 "port %s %u, piece %u: value %u, the slice has %u", way,
					 index, i, p->io, n);
		v = &slice->value[in ? slice->in[p->io] : slice->out[p->io]];
		if ((unsigned int)p->codec >= KERF_N_CODECS ||
		    (p->codec != KERF_CODEC_NONE && v->t.dtype != KERF_F32))
			return kerf_fail(err, -EINVAL, "port %s %u, piece %u: codec %d of %s", way,
					 index, i, (int)p->codec, kerf_dtype_name(v->t.dtype));
		if (v->bounded)
			return kerf_fail(err, -EINVAL,
					 "port %s %u, piece %u: the dims of '%s' are known only at run time",
					 way, index, i, v->name);
		if (!runs_of(slice, in, p, &r))
			return kerf_fail(err, -EINVAL,
					 "port %s %u, piece %u: rows [%lld, %lld), channels [%lld, %lld) are not held of '%s'",
					 way, index, i, (long long)p->rows.begin,
					 (long long)p->rows.end, (long long)p->channels.begin,
					 (long long)p->channels.end, v->name);
	}
	return 0;
}

static bool overlap(struct kerf_rows a, struct kerf_rows b)
{
	return is_all(a) || is_all(b) || (a.begin < b.end && b.begin < a.end);
}

/* Disjoint pieces of as many elements as the input has are the input. */
static int check_input(const struct kerf_graph *slice, const struct kerf_part *part, uint32_t input,
		       const struct kerf_piece **list, struct kerf_err *err)
{
	const struct kerf_value *v = &slice->value[slice->in[input]];
	size_t count = 0;
	struct kerf_runs r;
	uint32_t n = 0, i, k;

	for (i = 0; i < part->n_in; i++)
		for (k = 0; k < part->in[i].n_piece; k++) {
			const struct kerf_piece *p = &part->in[i].piece[k];

			if (p->io != input)
				continue;
			if (n == MOST_PIECES)
				return kerf_fail(err, -EINVAL, "'%s' comes in more than %d pieces",
						 v->name, MOST_PIECES);
			list[n++] = p;
			count += runs_of(slice, true, p, &r) ? kerf_runs_count(&r) : 0;
		}
	for (i = 0; i < n; i++)
		for (k = 0; k < i; k++)
			if (overlap(list[i]->rows, list[k]->rows) &&
			    overlap(list[i]->channels, list[k]->channels))
				return kerf_fail(err, -EINVAL, "a part of '%s' comes twice",
						 v->name);
	if (count != (size_t)kerf_tensor_count(&v->t))
		return kerf_fail(err, -EINVAL, "'%s': %zu elements come, expected %lld", v->name,
				 count, (long long)kerf_tensor_count(&v->t));
	return 0;
}

int kerf_part_check(const struct kerf_graph *slice, const struct kerf_part *part,
		    struct kerf_err *err)
{
	const struct kerf_piece **list = malloc(MOST_PIECES * sizeof(*list));
	uint32_t home_in = 0, home_out = 0, i;
	int r = list ? 0 : -ENOMEM;

	for (i = 0; i < part->n_in && !r; i++) {
		home_in += part->in[i].home;
		r = check_port(slice, true, i, &part->in[i], err);
	}
	for (i = 0; i < part->n_out && !r; i++) {
		home_out += part->out[i].home;
		r = check_port(slice, false, i, &part->out[i], err);
	}
	if (!r && (home_in > 1 || home_out > 1))
		r = kerf_fail(err, -EINVAL, "ports: %u in and %u out are home's, expected one at most",
			      home_in, home_out);
	for (i = 0; i < slice->n_in && !r; i++)
		r = check_input(slice, part, i, list, err);
	free(list);
	return r;
}

void kerf_part_finish(struct kerf_part *part)
{
	uint32_t i;

	for (i = 0; part->in && i < part->n_in; i++)
		free(part->in[i].piece);
	for (i = 0; part->out && i < part->n_out; i++)
		free(part->out[i].piece);
	free(part->in);
	free(part->out);
	memset(part, 0, sizeof(*part));
}
