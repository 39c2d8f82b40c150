/* SPDX-License-Identifier: MIT */
#include "exec/session_route.h"

#include "graph/slice.h"
#include "plan/plan_check.h"

#include <stdlib.h>
#include <string.h>

struct maker {
	struct kerf_routes *x;
	const struct kerf_plan *plan;
	uint32_t *first; /* edges into step i: [first[i], first[i + 1]); n_step: to home */
	bool *direct;	 /* per edge: from one other node to another */
	bool no_parts[KERF_MAX_ENGINES]; /* the peer turned out not to know them */
	bool again;	 /* another was found */
	struct kerf_err *err;
};

static const struct kerf_band_of everything = {{0, 0}, {0, 0}};

static bool whole(const struct kerf_plan_edge *e)
{
	return !e->rows.end && !e->channels.end;
}

static struct kerf_band_of band_of(const struct kerf_plan_edge *e)
{
	return (struct kerf_band_of){e->rows, e->channels};
}

static enum kerf_codec codec_of(const struct maker *m, const struct kerf_plan_edge *e)
{
	return m->x->graph->value[e->value].t.dtype == KERF_F32 ? e->codec : KERF_CODEC_NONE;
}

/* --- ways --- */

static bool far_with_parts(const struct maker *m, uint32_t step)
{
	return step != KERF_PLAN_HOME && m->x->step[step].way != KERF_HERE &&
	       m->x->step[step].engine->ops->prepare_part &&
	       !m->no_parts[m->plan->step[step].engine];
}

static void choose_ways(struct maker *m)
{
	const struct kerf_plan *plan = m->plan;
	struct kerf_engine_info info;
	uint32_t i;

	for (i = 0; i < plan->n_step; i++) {
		struct kerf_engine *e = m->x->step[i].engine;

		e->ops->describe(e, &info);
		m->x->step[i].way = info.remote ? KERF_THERE : KERF_HERE;
	}
	for (i = 0; i < plan->n_edge; i++) {
		const struct kerf_plan_edge *e = &plan->edge[i];
		bool from = far_with_parts(m, e->from), to = far_with_parts(m, e->to);
		bool coded = codec_of(m, e) != KERF_CODEC_NONE;

		m->direct[i] = from && to && !e->relayed;
		if (from && (m->direct[i] || coded))
			m->x->step[e->from].way = KERF_PART;
		if (to && (m->direct[i] || coded))
			m->x->step[e->to].way = KERF_PART;
	}
}

/* --- slices and stores --- */

static int make_slice(struct maker *m, uint32_t i)
{
	const struct kerf_plan_step *ps = &m->plan->step[i];
	struct kerf_slice_spec spec = {.n_op = ps->n_op,
				       .op = ps->op,
				       .rows = ps->rows,
				       .channels = ps->channels,
				       .padded = ps->padded};

	if (ps->n_op == m->x->graph->n_op && !ps->rows.end && !ps->channels.end) {
		m->x->step[i].slice = kerf_graph_ref(m->x->graph);
		return 0;
	}
	return kerf_slice_make(m->x->graph, &spec, &m->x->step[i].slice, m->err);
}

/* The value of the whole graph. */
static int32_t value_of(const struct maker *m, const struct kerf_graph *slice, int32_t v)
{
	return slice == m->x->graph ? v : slice->value[v].parent;
}

static int make_stores(struct maker *m)
{
	struct kerf_routes *x = m->x;
	uint32_t i, k;

	x->n_store = x->graph->n_in;
	for (i = 0; i < x->n_step; i++) {
		x->step[i].first_store = x->n_store;
		x->n_store += x->step[i].slice->n_out;
	}
	x->store = calloc((size_t)x->n_store + 1, sizeof(*x->store));
	if (!x->store)
		return -ENOMEM;
	for (i = 0; i < x->graph->n_in; i++) {
		int32_t v = x->graph->in[i];

		x->store[i] = (struct kerf_store){.value = v,
						  .t = x->graph->value[v].t,
						  .kept = true,
						  .in = (int32_t)i,
						  .out = -1};
	}
	for (i = 0; i < x->n_step; i++)
		for (k = 0; k < x->step[i].slice->n_out; k++) {
			const struct kerf_graph *slice = x->step[i].slice;
			int32_t v = slice->out[k];
			struct kerf_store *s = &x->store[x->step[i].first_store + k];

			s->value = value_of(m, slice, v);
			s->held = kerf_slice_band(slice, v);
			s->t = slice->value[v].t;
			s->t.data = NULL;
			s->kept = x->step[i].way != KERF_PART;
			s->engine = s->kept && x->step[i].engine->ops->alloc ? x->step[i].engine
									     : NULL;
			s->in = s->out = -1;
		}
	return 0;
}

/* Where home finds what an edge carries. */
static struct kerf_store *store_of(const struct maker *m, const struct kerf_plan_edge *e)
{
	struct kerf_routes *x = m->x;
	uint32_t i, first = 0, n = x->graph->n_in;

	if (e->from != KERF_PLAN_HOME) {
		first = x->step[e->from].first_store;
		n = x->step[e->from].slice->n_out;
	}
	for (i = first; i < first + n; i++)
		if (x->store[i].value == e->value)
			return &x->store[i];
	return NULL;
}

static int no_such(const struct maker *m, const struct kerf_plan_edge *e)
{
	return kerf_fail(m->err, -EINVAL, "the plan sends rows %lld-%lld of '%s', which step %d (-1: home) does not make",
			 (long long)e->rows.begin, (long long)e->rows.end,
			 m->x->graph->value[e->value].name, (int)e->from);
}

/* --- feeds: inputs of steps that run here or there --- */

/* One piece that fills everything and lies together, aligned: no copy. */
static bool feed_in_place(const struct maker *m, struct kerf_feed *f, const struct kerf_store *s,
			  const struct kerf_plan_edge *e, struct kerf_band_of need)
{
	const struct kerf_value *v = &m->x->graph->value[e->value];
	struct kerf_band_of want = whole(e) ? need : band_of(e);
	struct kerf_runs from;
	size_t offset;

	f->store = (uint32_t)(s - m->x->store);
	if (kerf_tensor_same_shape(&s->t, &f->t) && s->held.rows.begin == need.rows.begin &&
	    s->held.channels.begin == need.channels.begin)
		return true;
	if (!kerf_runs_of(v, s->held, want, &from) ||
	    kerf_runs_count(&from) != (size_t)kerf_tensor_count(&f->t))
		return false;
	offset = from.offset * from.element;
	f->offset = offset;
	return from.position_stride == from.run &&
	       (from.n_batch == 1 || from.batch_stride == from.n_position * from.run) &&
	       offset % KERF_ALIGN == 0;
}

static int make_feed(struct maker *m, uint32_t step, uint32_t input)
{
	struct kerf_route *to = &m->x->step[step];
	struct kerf_feed *f = &to->feed[input];
	int32_t v = to->slice->in[input], id = value_of(m, to->slice, v);
	struct kerf_band_of need = kerf_slice_band(to->slice, v);
	uint32_t i, n = 0;

	f->t = to->slice->value[v].t;
	f->t.data = NULL;
	for (i = m->first[step]; i < m->first[step + 1]; i++)
		n += m->plan->edge[i].value == id;
	f->copy = calloc((size_t)n + 1, sizeof(*f->copy));
	if (!f->copy)
		return -ENOMEM;
	for (i = m->first[step]; i < m->first[step + 1]; i++) {
		const struct kerf_plan_edge *e = &m->plan->edge[i];
		struct kerf_band_of want = whole(e) ? need : band_of(e);
		struct kerf_copy *c;
		struct kerf_store *s;

		if (e->value != id)
			continue;
		s = store_of(m, e);
		if (!s)
			return no_such(m, e);
		s->kept = true;
		if (!s->engine && to->engine->ops->alloc && s->in < 0)
			s->engine = to->engine;
		if (n == 1 && feed_in_place(m, f, s, e, need)) {
			f->in_place = true;
			return 0;
		}
		c = &f->copy[f->n_copy++];
		c->store = (uint32_t)(s - m->x->store);
		if (!kerf_runs_of(&m->x->graph->value[id], s->held, want, &c->from) ||
		    !kerf_runs_of(&m->x->graph->value[id], need, want, &c->to))
			return no_such(m, e);
	}
	f->engine = to->engine->ops->alloc ? to->engine : NULL;
	return 0;
}

static int make_feeds(struct maker *m, uint32_t step)
{
	struct kerf_route *to = &m->x->step[step];
	uint32_t i;
	int r = 0;

	to->feed = calloc((size_t)to->slice->n_in + 1, sizeof(*to->feed));
	if (!to->feed)
		return -ENOMEM;
	for (i = 0; i < to->slice->n_in && !r; i++)
		r = make_feed(m, step, i);
	return r;
}

/* --- messages of parts --- */

static int add_coded(const struct maker *m, struct kerf_message *msg, struct kerf_store *s,
		     struct kerf_band_of want, enum kerf_codec codec,
		     const struct kerf_plan_edge *e)
{
	struct kerf_coded *c,
		*more = reallocarray(msg->piece, (size_t)msg->n_piece + 1, sizeof(*c));

	if (!more)
		return -ENOMEM;
	msg->piece = more;
	c = &more[msg->n_piece];
	*c = (struct kerf_coded){.store = (uint32_t)(s - m->x->store), .codec = codec,
				 .at = msg->bytes};
	if (!kerf_runs_of(&m->x->graph->value[e->value], s->held, want, &c->runs))
		return no_such(m, e);
	s->kept = true;
	msg->bytes += kerf_codec_bytes(codec, &c->runs);
	msg->n_piece++;
	return 0;
}

static int add_piece(struct kerf_port *port, uint32_t io, struct kerf_band_of want,
		     enum kerf_codec codec)
{
	struct kerf_piece *more =
		reallocarray(port->piece, (size_t)port->n_piece + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	port->piece = more;
	more[port->n_piece++] = (struct kerf_piece){.io = io, .rows = want.rows,
						    .channels = want.channels, .codec = codec};
	return 0;
}

static struct kerf_port *add_port(struct kerf_port **list, uint32_t *n)
{
	struct kerf_port *more = reallocarray(*list, (size_t)*n + 1, sizeof(*more));

	if (!more)
		return NULL;
	*list = more;
	more = &more[(*n)++];
	memset(more, 0, sizeof(*more));
	return more;
}

/* Position of a value among a slice's inputs, or outputs; -1: it is none. */
static int find_io(const struct maker *m, const struct kerf_graph *slice, bool in, int32_t value)
{
	uint32_t n = in ? slice->n_in : slice->n_out, i;

	for (i = 0; i < n; i++)
		if (value_of(m, slice, in ? slice->in[i] : slice->out[i]) == value)
			return (int)i;
	return -1;
}

/* Ports in: home's first, then each other step's, as edges are sorted. */
static int ports_in(struct maker *m, uint32_t step, struct kerf_part *part)
{
	struct kerf_route *to = &m->x->step[step];
	struct kerf_port *port = NULL;
	uint32_t i, from = KERF_PLAN_HOME, turn;
	int r = 0, io;

	for (turn = 0; turn < 2; turn++)
		for (i = m->first[step]; i < m->first[step + 1]; i++) {
			const struct kerf_plan_edge *e = &m->plan->edge[i];
			struct kerf_store *s;
			struct kerf_band_of want;

			if (m->direct[i] != (turn == 1))
				continue;
			if (!port || (turn == 1 && e->from != from)) {
				port = add_port(&part->in, &part->n_in);
				if (!port)
					return -ENOMEM;
				port->home = turn == 0;
				from = turn == 0 ? KERF_PLAN_HOME : e->from;
			}
			io = find_io(m, to->slice, true, e->value);
			if (io < 0)
				return no_such(m, e);
			want = whole(e) ? kerf_slice_band(to->slice, to->slice->in[io])
					: band_of(e);
			r = add_piece(port, (uint32_t)io, want, codec_of(m, e));
			if (r || turn == 1) {
				if (r)
					return r;
				continue;
			}
			s = store_of(m, e);
			r = s ? add_coded(m, &to->to, s, want, codec_of(m, e), e) : no_such(m, e);
			if (r)
				return r;
		}
	return 0;
}

/* The index among the ports in of step to that step from sends to. */
static uint32_t port_index(const struct maker *m, uint32_t from, uint32_t to)
{
	uint32_t i, last = KERF_PLAN_HOME, n = 0;
	bool home = false;

	for (i = m->first[to]; i < m->first[to + 1]; i++)
		home |= !m->direct[i];
	for (i = m->first[to]; i < m->first[to + 1]; i++) {
		uint32_t f = m->plan->edge[i].from;

		if (!m->direct[i] || f == last)
			continue;
		if (f == from)
			break;
		last = f;
		n++;
	}
	return n + home;
}

static bool same_band(struct kerf_band_of a, struct kerf_band_of b)
{
	return !memcmp(&a, &b, sizeof(a));
}

/* What several at home read is in the reply once, as exact as any of them asks for. */
static int add_reply(struct maker *m, struct kerf_route *from, struct kerf_port *port,
		     const struct kerf_plan_edge *e)
{
	int io = find_io(m, from->slice, false, e->value);
	struct kerf_store *s = store_of(m, e);
	struct kerf_band_of want;
	uint32_t i;

	if (io < 0 || !s)
		return no_such(m, e);
	want = whole(e) ? s->held : band_of(e);
	s->kept = true;
	for (i = 0; i < port->n_piece; i++) {
		struct kerf_piece *p = &port->piece[i];

		if (p->io == (uint32_t)io &&
		    same_band((struct kerf_band_of){p->rows, p->channels}, want)) {
			p->codec = KERF_MIN(p->codec, codec_of(m, e));
			return 0;
		}
	}
	return add_piece(port, (uint32_t)io, want, codec_of(m, e));
}

static int by_codec(const void *a, const void *b)
{
	const struct kerf_piece *x = a, *y = b;

	return (x->codec < y->codec) - (x->codec > y->codec);
}

static int ports_out(struct maker *m, uint32_t step, struct kerf_part *part)
{
	struct kerf_route *from = &m->x->step[step];
	struct kerf_port *home = NULL, *port = NULL;
	uint32_t i, k, to = KERF_PLAN_HOME;
	int r = 0, io;

	for (i = 0; i < m->plan->n_edge && !r; i++) {
		const struct kerf_plan_edge *e = &m->plan->edge[i];

		if (e->from != step || m->direct[i])
			continue;
		if (!home)
			home = add_port(&part->out, &part->n_out);
		if (!home)
			return -ENOMEM;
		home->home = true;
		r = add_reply(m, from, home, e);
	}
	if (r)
		return r;
	if (home) {
		/* Where bands overlap, the exact one comes last. */
		qsort(home->piece, home->n_piece, sizeof(*home->piece), by_codec);
		for (k = 0; k < home->n_piece && !r; k++) {
			const struct kerf_piece *p = &home->piece[k];
			struct kerf_store *s = &m->x->store[from->first_store + p->io];
			struct kerf_plan_edge e = {.value = s->value, .from = step};

			r = add_coded(m, &from->back, s,
				      (struct kerf_band_of){p->rows, p->channels}, p->codec, &e);
		}
	}
	for (i = 0; i < m->plan->n_edge && !r; i++) {
		const struct kerf_plan_edge *e = &m->plan->edge[i];
		struct kerf_band_of want;

		if (e->from != step || !m->direct[i])
			continue;
		if (!port || e->to != to) {
			struct kerf_route *next = &m->x->step[e->to];

			port = add_port(&part->out, &part->n_out);
			if (!port)
				return -ENOMEM;
			to = e->to;
			port->port = port_index(m, step, to);
			next->engine->ops->part_address(next->program, port->url, port->slice);
		}
		io = find_io(m, from->slice, false, e->value);
		if (io < 0)
			return no_such(m, e);
		/* The reader's whole input, which is what it is sent. */
		want = everything;
		if (whole(e)) {
			const struct kerf_graph *slice = m->x->step[to].slice;
			int there = find_io(m, slice, true, e->value);

			if (there >= 0)
				want = kerf_slice_band(slice, slice->in[there]);
		} else {
			want = band_of(e);
		}
		r = add_piece(port, (uint32_t)io, want, codec_of(m, e));
	}
	return r;
}

static int prepare_part(struct maker *m, uint32_t step)
{
	struct kerf_route *s = &m->x->step[step];
	struct kerf_part part = {.n_in = 0};
	int r = ports_in(m, step, &part);

	if (!r)
		r = ports_out(m, step, &part);
	if (!r)
		r = kerf_part_check(s->slice, &part, m->err);
	if (!r) {
		r = s->engine->ops->prepare_part(s->engine, s->slice, &part, &s->program, m->err);
		m->again = r == -EOPNOTSUPP;
		m->no_parts[m->plan->step[step].engine] |= m->again;
	}
	s->silent = !s->to.bytes && !s->back.bytes;
	kerf_part_finish(&part);
	return r;
}

/* --- answers --- */

/* A band that lies together in the caller's memory, aligned, is made there at once. */
static bool answer_in_place(const struct maker *m, struct kerf_store *s, uint32_t out,
			    struct kerf_band_of want)
{
	const struct kerf_value *v = &m->x->graph->value[s->value];
	struct kerf_runs in_store, in_out;

	if (s->out >= 0 || s->in >= 0)
		return false;
	if (kerf_tensor_same_shape(&s->t, &v->t) && !want.rows.end && !want.channels.end) {
		s->out = (int32_t)out;
		return true;
	}
	if (!kerf_runs_of(v, s->held, want, &in_store) ||
	    !kerf_runs_of(v, everything, want, &in_out) ||
	    kerf_runs_count(&in_store) != (size_t)kerf_tensor_count(&s->t) ||
	    in_out.position_stride != in_out.run ||
	    (in_out.n_batch > 1 && in_out.batch_stride != in_out.n_position * in_out.run) ||
	    in_out.offset * in_out.element % KERF_ALIGN)
		return false;
	s->out = (int32_t)out;
	s->out_offset = in_out.offset * in_out.element;
	return true;
}

static int add_answer(struct maker *m, const struct kerf_plan_edge *e, uint32_t out)
{
	struct kerf_route *from = &m->x->step[e->from];
	struct kerf_store *s = store_of(m, e);
	struct kerf_copy *c, *more;
	struct kerf_band_of want;

	if (!s)
		return no_such(m, e);
	s->kept = true;
	m->x->made[out] = true;
	want = whole(e) ? s->held : band_of(e);
	if (answer_in_place(m, s, out, want))
		return 0;
	more = reallocarray(from->answer, (size_t)from->n_answer + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	from->answer = more;
	c = &more[from->n_answer++];
	c->store = (uint32_t)(s - m->x->store);
	c->out = out;
	if (!kerf_runs_of(&m->x->graph->value[e->value], s->held, want, &c->from) ||
	    !kerf_runs_of(&m->x->graph->value[e->value], everything, want, &c->to))
		return no_such(m, e);
	return 0;
}

static int find_answers(struct maker *m)
{
	const struct kerf_graph *g = m->x->graph;
	uint32_t i, out;
	int r = 0;

	for (i = m->first[m->x->n_step]; i < m->plan->n_edge && !r; i++)
		for (out = 0; out < g->n_out && !r; out++)
			if (g->out[out] == m->plan->edge[i].value)
				r = add_answer(m, &m->plan->edge[i], out);
	for (out = 0; out < g->n_out; out++)
		m->x->made[out] |= g->value[g->out[out]].producer < 0;
	return r;
}

/* --- who waits for whom --- */

/*
 * A part's job is a connection that may wait long for what neighbours send. So that those that
 * wait never take the last ones from whom they wait for, a part is submitted after all parts that
 * it hears from, straight or through silent ones: the oldest in an engine's line then always ends.
 */
static void submit_after(struct maker *m, uint32_t step, uint32_t *stack, uint32_t *seen)
{
	struct kerf_routes *x = m->x;
	uint32_t n = 0, k;

	for (stack[n++] = step; n;) {
		uint32_t at = stack[--n];

		for (k = m->first[at]; k < m->first[at + 1]; k++) {
			uint32_t from = m->plan->edge[k].from;

			if (!m->direct[k] || seen[from] == step + 1)
				continue;
			seen[from] = step + 1;
			if (x->step[from].silent) {
				stack[n++] = from;
				continue;
			}
			x->step[from].then[x->step[from].n_then++] = step;
			x->step[step].n_wait++;
		}
	}
}

static void wait_for_makers(struct maker *m, uint32_t step)
{
	struct kerf_routes *x = m->x;
	uint32_t last = KERF_PLAN_HOME, k;

	/* Edges are sorted by where they are from. */
	for (k = m->first[step]; k < m->first[step + 1]; k++) {
		uint32_t from = m->plan->edge[k].from;

		if (m->direct[k] || from == KERF_PLAN_HOME || from == last)
			continue;
		last = from;
		x->step[from].next[x->step[from].n_next++] = step;
		x->step[step].n_wait++;
	}
}

static int link_steps(struct maker *m)
{
	struct kerf_routes *x = m->x;
	uint32_t *stack = malloc(((size_t)x->n_step + 1) * sizeof(*stack)), i;
	uint32_t *seen = calloc((size_t)x->n_step + 1, sizeof(*seen));
	int r = -ENOMEM;

	if (!stack || !seen)
		goto out;
	for (i = 0; i < x->n_step; i++) {
		x->step[i].next = malloc(((size_t)x->n_step + 1) * sizeof(uint32_t));
		x->step[i].then = malloc(((size_t)x->n_step + 1) * sizeof(uint32_t));
		if (!x->step[i].next || !x->step[i].then)
			goto out;
	}
	for (i = 0; i < x->n_step; i++) {
		wait_for_makers(m, i);
		if (!x->step[i].silent)
			submit_after(m, i, stack, seen);
	}
	r = 0;
out:
	free(stack);
	free(seen);
	return r;
}

static int make_routes(struct maker *m)
{
	struct kerf_routes *x = m->x;
	uint32_t i;
	int r = 0;

	choose_ways(m);
	for (i = 0; i < x->n_step && !r; i++)
		r = make_slice(m, i);
	if (!r)
		r = make_stores(m);
	for (i = x->n_step; i-- > 0 && !r;) {
		struct kerf_route *s = &x->step[i];

		if (s->way == KERF_PART) {
			r = prepare_part(m, i);
			continue;
		}
		r = make_feeds(m, i);
		if (!r)
			r = s->engine->ops->prepare(s->engine, s->slice, &s->program, m->err);
	}
	if (!r)
		r = find_answers(m);
	if (!r)
		r = link_steps(m);
	return r;
}

static int try_to_make(struct maker *m, struct kerf_graph *g, struct kerf_engine *const *engines)
{
	const struct kerf_plan *plan = m->plan;
	struct kerf_routes *x = m->x;
	uint32_t i;

	m->again = false;
	x->graph = kerf_graph_ref(g);
	x->step = calloc((size_t)plan->n_step + 1, sizeof(*x->step));
	x->made = calloc((size_t)g->n_out + 1, sizeof(*x->made));
	if (!x->step || !x->made)
		return -ENOMEM;
	x->n_step = plan->n_step;
	for (i = 0; i < plan->n_step; i++)
		x->step[i].engine = engines[plan->step[i].engine];
	return make_routes(m);
}

int kerf_routes_make(struct kerf_graph *g, const struct kerf_plan *plan,
		     struct kerf_engine *const *engines, struct kerf_routes *x,
		     struct kerf_err *err)
{
	struct maker m = {.x = x, .plan = plan, .err = err};
	uint32_t i, at = 0;
	int r;

	memset(x, 0, sizeof(*x));
	r = kerf_plan_check(g, plan, err);
	if (r)
		return r;
	m.first = malloc(((size_t)plan->n_step + 2) * sizeof(*m.first));
	m.direct = calloc((size_t)plan->n_edge + 1, sizeof(*m.direct));
	r = -ENOMEM;
	if (!m.first || !m.direct)
		goto out;
	for (i = 0; i < plan->n_step; i++) {
		m.first[i] = at;
		while (at < plan->n_edge && plan->edge[at].to == i)
			at++;
	}
	m.first[plan->n_step] = at;
	m.first[plan->n_step + 1] = plan->n_edge;
	/* Whether a peer knows parts it tells when it is asked to make one. */
	do {
		kerf_routes_finish(x);
		r = try_to_make(&m, g, engines);
	} while (r && m.again);
out:
	free(m.first);
	free(m.direct);
	return r;
}

void kerf_routes_finish(struct kerf_routes *x)
{
	uint32_t i, k;

	for (i = 0; i < x->n_step; i++) {
		struct kerf_route *s = &x->step[i];

		if (s->program)
			s->program->engine->ops->release(s->program);
		for (k = 0; s->feed && k < s->slice->n_in; k++)
			free(s->feed[k].copy);
		free(s->feed);
		free(s->to.piece);
		free(s->back.piece);
		free(s->answer);
		free(s->next);
		free(s->then);
		kerf_graph_unref(s->slice);
	}
	free(x->step);
	free(x->store);
	free(x->made);
	kerf_graph_unref(x->graph);
	memset(x, 0, sizeof(*x));
}
