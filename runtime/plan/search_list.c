/* SPDX-License-Identifier: MIT */
/*
 * Operators one by one to the engine on which they end first, counting what must follow:
 * list scheduling with a look ahead (Arabnejad and Barbosa, "List scheduling algorithm for
 * heterogeneous systems by an optimistic cost table", TPDS 2014). The table is tail(): graph
 * order stands for their ranks.
 *
 *	reach(v, r, e): from v on engine e, through its reader r:
 *		min over e' of (0 if e' = e, else move(v, e, e') + job(e')) + op(r, e') + tail(r,
 *		e')
 *	tail(o, e): max over what o makes of its way home and of reach through its readers
 *
 * Moves are monotone in bytes, and a job is paid at least once a step: both are lower bounds.
 */
#include "plan/search_priv.h"

#include <math.h>

struct moves {
	struct kerf_search *x;
	uint32_t codecs;
	double s[KERF_MAX_ENGINES][KERF_MAX_ENGINES]; /* of one value, from engine to engine */
	double home[KERF_MAX_ENGINES];
};

/* Engines of one node have the same moves. */
static void find_moves(struct moves *m, double bytes)
{
	struct kerf_search *x = m->x;
	const struct kerf_plan_engine *engine = x->p->engine;
	uint32_t a, b, i, k;

	for (a = 0; a < x->n_engine; a++) {
		for (i = 0; i < a && engine[i].node != engine[a].node; i++)
			;
		m->home[a] =
			i < a ? m->home[i]
			      : kerf_search_move_s(x, m->codecs, engine[a].node, x->p->home, bytes);
		for (b = 0; b < x->n_engine; b++) {
			for (k = 0; k < b && engine[k].node != engine[b].node; k++)
				;
			m->s[a][b] = i < a   ? m->s[i][b]
				     : k < b ? m->s[a][k]
					     : kerf_search_move_s(x, m->codecs, engine[a].node,
								  engine[b].node, bytes);
		}
	}
}

static void find_reach(struct moves *m, uint32_t slot)
{
	struct kerf_search *x = m->x;
	const struct kerf_problem *p = x->p;
	uint32_t o = x->reader[slot], from, to, ne = x->n_engine;
	double through[KERF_MAX_ENGINES];

	for (to = 0; to < ne; to++)
		through[to] = kerf_search_may(x, o, to)
				      ? p->op_s[(size_t)o * ne + to] + x->tail[(size_t)o * ne + to]
				      : INFINITY;
	for (from = 0; from < ne; from++) {
		double best = through[from];

		for (to = 0; to < ne; to++) {
			double s = through[to] + m->s[from][to] + p->engine[to].job_s;

			if (to != from && s < best)
				best = s;
		}
		x->reach[(size_t)slot * ne + from] = best;
	}
}

/* What is made by operator o, or given. */
static void find_tail(struct moves *m, uint32_t v, double *tail)
{
	struct kerf_search *x = m->x;
	uint32_t i, e;

	find_moves(m, x->bytes[v]);
	for (i = x->read_first[v]; i < x->read_first[v + 1]; i++) {
		if (!x->runs[x->reader[i]])
			continue;
		find_reach(m, i);
		for (e = 0; e < x->n_engine && tail; e++)
			tail[e] = fmax(tail[e], x->reach[(size_t)i * x->n_engine + e]);
	}
	for (e = 0; e < x->n_engine && tail && x->is_out[v]; e++)
		tail[e] = fmax(tail[e], m->home[e]);
}

void kerf_search_tails(struct kerf_search *x, uint32_t codecs)
{
	const struct kerf_problem *p = x->p;
	struct moves m = {.x = x, .codecs = codecs};
	uint32_t o, e, i, v;

	x->rest_s[x->n_op] = x->rest_j[x->n_op] = 0;
	for (o = x->n_op; o-- > 0;) {
		double s = INFINITY, j = INFINITY, *tail = &x->tail[(size_t)o * x->n_engine];

		x->rest_s[o] = x->rest_s[o + 1];
		x->rest_j[o] = x->rest_j[o + 1];
		if (!x->runs[o])
			continue;
		for (e = 0; e < x->n_engine; e++) {
			double op_s = p->op_s[(size_t)o * x->n_engine + e];

			tail[e] = 0;
			if (!kerf_search_may(x, o, e))
				continue;
			s = fmin(s, op_s);
			j = fmin(j, op_s * p->engine[e].active_w);
		}
		x->rest_s[o] += s;
		x->rest_j[o] += j;
		for (i = x->made_first[o]; i < x->made_first[o + 1]; i++)
			find_tail(&m, x->made[i], tail);
	}
	for (v = 0; v < x->n_value; v++)
		if (x->maker[v] == KERF_SEARCH_GIVEN)
			find_tail(&m, v, NULL);
	x->work += 4 * (uint64_t)x->n_op * x->n_engine;
}

bool kerf_search_list(struct kerf_search *x, uint32_t codecs, uint32_t *assign)
{
	const struct kerf_problem *p = x->p;
	double *done = x->rest_s; /* per operator: its end. The table's sums are not needed here. */
	double free_s[KERF_MAX_ENGINES] = {0};
	uint32_t o, e, i;

	for (o = 0; o < x->n_op; o++) {
		double least = INFINITY, end = INFINITY;

		assign[o] = KERF_PLAN_HOME;
		if (!x->runs[o])
			continue;
		for (e = 0; e < x->n_engine; e++) {
			double there = 0, s;

			if (!kerf_search_may(x, o, e))
				continue;
			for (i = x->in_first[o]; i < x->in_first[o + 1]; i++) {
				uint32_t v = x->in[i], m = x->maker[v], at;

				at = m == KERF_SEARCH_GIVEN ? p->home : p->engine[assign[m]].node;
				s = (m == KERF_SEARCH_GIVEN ? 0 : done[m]) +
				    kerf_search_move_s(x, codecs, at, p->engine[e].node,
						       x->bytes[v]);
				if (m == KERF_SEARCH_GIVEN || assign[m] != e)
					s += p->engine[e].job_s;
				there = fmax(there, s);
			}
			s = fmax(there, free_s[e]) + p->op_s[(size_t)o * x->n_engine + e];
			if (s + x->tail[(size_t)o * x->n_engine + e] < least) {
				least = s + x->tail[(size_t)o * x->n_engine + e];
				end = s;
				assign[o] = e;
			}
		}
		if (!(least < INFINITY))
			return false;
		done[o] = end;
		free_s[assign[o]] = end;
	}
	x->work += 2 * (uint64_t)x->n_op * x->n_engine;
	return true;
}
