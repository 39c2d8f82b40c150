/* SPDX-License-Identifier: MIT */
#include "plan/scan.h"
#include "plan/goal.h"
#include "plan/policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A scale and a zero point of KERF_CODEC_INT8 (price.c). */
#define INT8_HEAD 8

struct kerf_scan_pos {
	/* Of the operators before; the totals stand at n. */
	uint32_t n_run;
	double weights;
	/* Values that live here, made or given before and read from here on. */
	uint32_t n_live, n_made, n_f32, n_bounded; /* n_made: not given */
	double f32_bytes, other_bytes;
	/* Outputs made from here on. */
	uint32_t n_down;
	double down_bytes;
	/* Most that one operator holds: before, and from here on. */
	double peak_here, peak_there;
	/* Of the pair: operators before on here, from here on on there; entering and leaving. */
	double here_s, there_s, apart_here_s, apart_there_s;
};

static bool counts(const struct kerf_scan *s, const struct kerf_value *v)
{
	return !kerf_value_is_const(v) && (v->producer < 0 || s->runs[v->producer]);
}

/* Where v is made (0: given) and the last operator that runs reads it, plus one. */
static bool life(const struct kerf_scan *s, uint32_t v, uint32_t *from, uint32_t *to)
{
	const struct kerf_outline *x = s->p->outline;
	const struct kerf_value *value = &s->p->graph->value[v];
	uint32_t i;

	if (!counts(s, value))
		return false;
	*from = (uint32_t)(value->producer + 1);
	*to = 0;
	for (i = x->first[v + 1]; i > x->first[v] && !*to; i--)
		*to = s->runs[x->reader[i - 1]] ? x->reader[i - 1] + 1 : 0;
	return *to > *from;
}

/* The exit's operators are those that its output is made of. */
static void mark_runs(struct kerf_scan *s)
{
	const struct kerf_graph *g = s->p->graph;
	int32_t v = s->exit >= 0 ? g->out[g->exit[s->exit].output] : -1;
	uint32_t o;
	int k;

	for (o = 0; o < g->n_op; o++)
		s->runs[o] = s->exit < 0;
	if (v >= 0 && g->value[v].producer >= 0)
		s->runs[g->value[v].producer] = true;
	for (o = g->n_op; o-- > 0;)
		for (k = 0; s->runs[o] && k < g->op[o].n_in; k++)
			if (g->op[o].in[k] >= 0 && g->value[g->op[o].in[k]].producer >= 0)
				s->runs[g->value[g->op[o].in[k]].producer] = true;
}

/* Sums over differences, as in outline.c; counters wrap, and their sums wrap back. */
static void find_live(struct kerf_scan *s)
{
	const struct kerf_graph *g = s->p->graph;
	const struct kerf_outline *x = s->p->outline;
	struct kerf_scan_pos *pos = s->pos;
	uint32_t v, k, from, to;

	for (v = 0; v < g->n_value; v++) {
		bool f32 = g->value[v].t.dtype == KERF_F32, made = g->value[v].producer >= 0;

		if (x->is_out[v] && made && s->runs[g->value[v].producer]) {
			pos[g->value[v].producer].n_down++;
			pos[g->value[v].producer].down_bytes += x->value_bytes[v];
		}
		if (!life(s, v, &from, &to))
			continue;
		pos[from].n_live++;
		pos[to].n_live--;
		pos[from].n_made += made;
		pos[to].n_made -= made;
		pos[from].n_f32 += f32;
		pos[to].n_f32 -= f32;
		pos[from].n_bounded += g->value[v].bounded;
		pos[to].n_bounded -= g->value[v].bounded;
		*(f32 ? &pos[from].f32_bytes : &pos[from].other_bytes) += x->value_bytes[v];
		*(f32 ? &pos[to].f32_bytes : &pos[to].other_bytes) -= x->value_bytes[v];
	}
	for (k = 1; k <= s->n; k++) {
		pos[k].n_live += pos[k - 1].n_live;
		pos[k].n_made += pos[k - 1].n_made;
		pos[k].n_f32 += pos[k - 1].n_f32;
		pos[k].n_bounded += pos[k - 1].n_bounded;
		pos[k].f32_bytes += pos[k - 1].f32_bytes;
		pos[k].other_bytes += pos[k - 1].other_bytes;
	}
	for (k = s->n; k-- > 0;) {
		pos[k].n_down += pos[k + 1].n_down;
		pos[k].down_bytes += pos[k + 1].down_bytes;
	}
}

static void find_memory(struct kerf_scan *s)
{
	const struct kerf_outline *x = s->p->outline;
	struct kerf_scan_pos *pos = s->pos;
	uint32_t o;

	for (o = 0; o < s->n; o++) {
		double held = s->runs[o] ? x->op_live[o] : 0;

		pos[o + 1].n_run = pos[o].n_run + s->runs[o];
		pos[o + 1].weights = pos[o].weights + (s->runs[o] ? x->weight_bytes[o] : 0);
		pos[o].peak_there = held;
		pos[o + 1].peak_here = fmax(pos[o].peak_here, held);
	}
	for (o = s->n; o-- > 0;)
		pos[o].peak_there = fmax(pos[o].peak_there, pos[o + 1].peak_there);
}

int kerf_scan_make(struct kerf_scan *s, const struct kerf_problem *p, int32_t exit)
{
	*s = (struct kerf_scan){.p = p, .exit = exit, .n = p->graph->n_op};
	s->pos = calloc((size_t)s->n + 2, sizeof(*s->pos));
	s->runs = malloc(((size_t)s->n + 1) * sizeof(*s->runs));
	if (!s->pos || !s->runs) {
		kerf_scan_finish(s);
		return -ENOMEM;
	}
	mark_runs(s);
	find_live(s);
	find_memory(s);
	return 0;
}

void kerf_scan_pair(struct kerf_scan *s, uint32_t here, uint32_t there)
{
	const struct kerf_problem *p = s->p;
	struct kerf_scan_pos *pos = s->pos;
	uint32_t o, v, from, to;

	s->here = here;
	s->there = there;
	pos[0].here_s = pos[s->n].there_s = 0;
	for (o = 0; o < s->n; o++)
		pos[o + 1].here_s =
			pos[o].here_s + (s->runs[o] ? p->op_s[(size_t)o * p->n_engine + here] : 0);
	for (o = s->n; o-- > 0;)
		pos[o].there_s = pos[o + 1].there_s +
				 (s->runs[o] ? p->op_s[(size_t)o * p->n_engine + there] : 0);
	for (o = 0; o <= s->n; o++)
		pos[o].apart_here_s = pos[o].apart_there_s = 0;
	for (v = 0; p->apart_s && v < p->graph->n_value; v++) {
		const double *apart = &p->apart_s[(size_t)v * p->n_engine];

		/* Given values enter from home: that is no other step. */
		if (p->graph->value[v].producer < 0 || !life(s, v, &from, &to))
			continue;
		pos[from].apart_here_s += apart[here];
		pos[to].apart_here_s -= apart[here];
		pos[from].apart_there_s += apart[there];
		pos[to].apart_there_s -= apart[there];
	}
	for (o = 1; o <= s->n; o++) {
		pos[o].apart_here_s += pos[o - 1].apart_here_s;
		pos[o].apart_there_s += pos[o - 1].apart_there_s;
	}
}

void kerf_scan_finish(struct kerf_scan *s)
{
	free(s->pos);
	free(s->runs);
	s->pos = NULL;
	s->runs = NULL;
}

bool kerf_scan_next_pair(const struct kerf_problem *p, uint32_t *here, uint32_t *there)
{
	uint32_t h = *here, t = *there;

	if (h == UINT32_MAX)
		h = 0;
	for (t++; h < p->n_engine; h++, t = 0) {
		if (p->engine[h].node != p->home)
			continue;
		for (; t < p->n_engine; t++)
			if (t != h || p->n_engine == 1) {
				*here = h;
				*there = t;
				return true;
			}
	}
	return false;
}

uint32_t kerf_scan_codecs(const struct kerf_problem *p)
{
	return p->goal.codecs | 1u << KERF_CODEC_NONE;
}

double kerf_scan_live_bytes(const struct kerf_scan *s, uint32_t k, enum kerf_codec codec)
{
	const struct kerf_scan_pos *pos = &s->pos[k];
	double f32 = pos->f32_bytes;

	return pos->other_bytes + (codec == KERF_CODEC_F16    ? f32 / 2
				   : codec == KERF_CODEC_INT8 ? f32 / 4 + INT8_HEAD * pos->n_f32
							      : f32);
}

/* Fills stages, bytes and latency; false if the plan cannot be. */
static bool stages(const struct kerf_scan *s, struct kerf_scan_cut *cut)
{
	const struct kerf_problem *p = s->p;
	const struct kerf_scan_pos *pos = &s->pos[cut->k];
	uint32_t home = p->home, away = p->engine[s->there].node;
	uint32_t n_here = pos->n_run, n_there = s->pos[s->n].n_run - n_here;
	double began, ended;

	if (n_there && s->here == s->there)
		return false;
	cut->here_s = n_here ? pos->here_s + p->engine[s->here].job_s : 0;
	cut->there_s = n_there ? pos->there_s + p->engine[s->there].job_s : 0;
	if (n_here && n_there) {
		cut->here_s += pos->apart_here_s;
		cut->there_s += pos->apart_there_s;
	}
	if (n_there && away != home && pos->n_live) {
		if (pos->n_bounded)
			return false;
		cut->wire_bytes = kerf_scan_live_bytes(s, cut->k, cut->codec);
		cut->up_s =
			kerf_problem_carry_s(p, home, away, cut->wire_bytes, 0, &cut->up_hold_s);
	}
	began = pos->n_made ? cut->here_s : 0;
	ended = began + cut->up_s;
	if (cut->codec != KERF_CODEC_NONE && cut->wire_bytes > 0 && p->node) {
		cut->encode_s = pos->f32_bytes * p->node[home].codec_byte_s[cut->codec];
		cut->decode_s = pos->f32_bytes * p->node[away].codec_byte_s[cut->codec];
	}
	ended += cut->encode_s + cut->decode_s;
	ended += cut->there_s;
	if (n_there && away != home && pos->n_down) {
		cut->wire_bytes += pos->down_bytes;
		cut->down_s =
			kerf_problem_carry_s(p, away, home, pos->down_bytes, 0, &cut->down_hold_s);
	}
	cut->total_s = fmax(cut->here_s, ended + cut->down_s);
	return isfinite(cut->total_s);
}

static void energy(const struct kerf_scan *s, struct kerf_scan_cut *cut)
{
	const struct kerf_problem *p = s->p;
	uint32_t home = p->home, away = p->engine[s->there].node;
	bool takes_part = away != home && s->pos[s->n].n_run > s->pos[cut->k].n_run;

	cut->energy_j = cut->here_s * p->engine[s->here].active_w +
			cut->there_s * p->engine[s->there].active_w;
	if (!p->node)
		return;
	cut->energy_j += p->node[home].idle_w * cut->total_s;
	if (!takes_part)
		return;
	cut->energy_j += p->node[away].idle_w * cut->total_s;
	if (cut->wire_bytes > 0) {
		double down = s->pos[cut->k].down_bytes, up = cut->wire_bytes - down;

		cut->energy_j += up * (p->node[home].send_j_byte + p->node[away].receive_j_byte) +
				 down * (p->node[away].send_j_byte + p->node[home].receive_j_byte);
	}
	if (cut->encode_s + cut->decode_s > 0)
		cut->energy_j += cut->encode_s * kerf_problem_coding_w(p, home) +
				 cut->decode_s * kerf_problem_coding_w(p, away);
}

static double over(double bytes, double limit)
{
	return limit > 0 && bytes / limit - 1 > 1e-12 ? bytes / limit - 1 : 0;
}

/* By what share a node's limit is missed, as struct kerf_plan's over. */
static double memory(const struct kerf_scan *s, struct kerf_scan_cut *cut)
{
	const struct kerf_problem *p = s->p;
	const struct kerf_scan_pos *pos = &s->pos[cut->k];
	uint32_t home = p->home, away = p->engine[s->there].node;
	double here = pos->weights + pos->peak_here;
	double there = s->pos[s->n].weights - pos->weights + pos->peak_there;

	if (home == away) {
		here = s->pos[s->n].weights + fmax(pos->peak_here, pos->peak_there);
		there = 0;
	}
	cut->memory_bytes = fmax(here, there);
	if (!p->node)
		return 0;
	return fmax(over(here, p->node[home].memory_bytes),
		    over(there, p->node[away].memory_bytes));
}

/* True if it is known as far as the goal asks. */
static bool accuracy(const struct kerf_scan *s, struct kerf_scan_cut *cut)
{
	const struct kerf_graph *g = s->p->graph;
	bool coded = cut->codec != KERF_CODEC_NONE && s->pos[cut->k].f32_bytes > 0 &&
		     s->p->engine[s->there].node != s->p->home &&
		     s->pos[s->n].n_run > s->pos[cut->k].n_run;

	cut->accuracy = s->exit >= 0 ? g->exit[s->exit].accuracy : g->accuracy;
	if (coded && s->p->codec_loss && cut->accuracy > 0)
		cut->accuracy = fmax(cut->accuracy - s->p->codec_loss[cut->codec], 0);
	return !coded || cut->accuracy > 0 || s->p->goal.accuracy <= 0;
}

/* An operator that has to stay on home is away. */
static bool strays(const struct kerf_scan *s, uint32_t k)
{
	uint32_t keep = KERF_MIN(s->p->goal.keep, s->n);

	return s->p->engine[s->there].node != s->p->home && k < keep &&
	       s->pos[keep].n_run > s->pos[k].n_run;
}

void kerf_scan_at(const struct kerf_scan *s, uint32_t k, enum kerf_codec codec,
		  struct kerf_scan_cut *cut)
{
	struct kerf_plan figures = {.exit = s->exit};
	bool known;

	*cut = (struct kerf_scan_cut){.exit = s->exit,
				      .here = s->here,
				      .there = s->there,
				      .k = k,
				      .codec = codec,
				      .cost = INFINITY};
	cut->runs = stages(s, cut);
	if (!cut->runs)
		return;
	cut->period_s =
		fmax(fmax(cut->here_s, cut->there_s), fmax(cut->up_hold_s, cut->down_hold_s));
	cut->period_s = fmax(cut->period_s, fmax(cut->encode_s, cut->decode_s));
	cut->period_s = kerf_period_s(&s->p->goal, cut->period_s, cut->total_s);
	energy(s, cut);
	figures.over = memory(s, cut);
	known = accuracy(s, cut);
	figures.total_s = cut->total_s;
	figures.period_s = cut->period_s;
	figures.energy_j = cut->energy_j;
	figures.memory_bytes = cut->memory_bytes;
	figures.accuracy = cut->accuracy;
	cut->cost = kerf_plan_cost(s->p, &figures);
	cut->violation = kerf_plan_violation(s->p, &figures) + (known ? 0 : 1) +
			 (strays(s, k) ? KERF_GOAL_BROKEN : 0);
}

bool kerf_scan_better(const struct kerf_scan_cut *a, const struct kerf_scan_cut *b)
{
	if (a->runs != b->runs)
		return a->runs;
	if (a->runs && a->violation != b->violation)
		return a->violation < b->violation;
	return a->runs && a->cost < b->cost;
}

void kerf_scan_search(struct kerf_scan *s, uint32_t codecs, const bool *allowed,
		      struct kerf_scan_cut *best)
{
	uint32_t here = UINT32_MAX, there = UINT32_MAX, k, codec;
	struct kerf_scan_cut cut;

	while (kerf_scan_next_pair(s->p, &here, &there)) {
		kerf_scan_pair(s, here, there);
		for (k = 0; k <= s->n; k++)
			for (codec = 0; codec < KERF_N_CODECS; codec++) {
				if (!(codecs >> codec & 1) || (allowed && !allowed[k]))
					continue;
				kerf_scan_at(s, k, (enum kerf_codec)codec, &cut);
				if (kerf_scan_better(&cut, best))
					*best = cut;
			}
	}
}

static int make_plan(const struct kerf_scan *s, const struct kerf_scan_cut *cut,
		     struct kerf_plan *plan)
{
	const struct kerf_graph *g = s->p->graph;
	uint32_t *assign = malloc(((size_t)s->n + 1) * sizeof(*assign)), o, v, from, to;
	uint8_t *codec = calloc((size_t)g->n_value + 1, 1);
	int r = assign && codec ? 0 : -ENOMEM;

	for (o = 0; !r && o < s->n; o++)
		assign[o] = !s->runs[o] ? KERF_PLAN_HOME : o < cut->k ? cut->here : cut->there;
	for (v = 0; !r && cut->codec != KERF_CODEC_NONE && v < g->n_value; v++)
		if (g->value[v].t.dtype == KERF_F32 && life(s, v, &from, &to) && from <= cut->k &&
		    to > cut->k)
			codec[v] = (uint8_t)cut->codec;
	if (!r)
		r = kerf_plan_from_assignment(
			s->p, assign, cut->codec == KERF_CODEC_NONE ? NULL : codec, plan, NULL);
	if (!r && s->exit >= 0) {
		plan->exit = s->exit;
		r = kerf_plan_price(s->p, plan);
		if (r)
			kerf_plan_finish(plan);
	}
	free(assign);
	free(codec);
	return r;
}

/* "the first 12 of 40 operators on cpu, the rest on b/cpu: 8.1 ms + 1.2 ms up + ..." */
static void tell(const struct kerf_scan *s, const struct kerf_scan_cut *cut, char *out, size_t n)
{
	static const char *const codecs[KERF_N_CODECS] = {"", " as fp16", " as int8"};
	const struct kerf_problem *p = s->p;
	const struct kerf_graph *g = p->graph;
	uint32_t before = 0, all = 0, o;
	size_t at = 0;

	for (o = 0; o < s->n; o++) {
		all += s->runs[o];
		before += o < cut->k && s->runs[o];
	}
	if (s->exit >= 0)
		at = (size_t)snprintf(out, n, "exit '%.200s': ",
				      g->value[g->out[g->exit[s->exit].output]].name);
	out += at;
	n -= at;
	if (before == all)
		snprintf(out, n, "everything on %s", p->engine[cut->here].name);
	else if (!before)
		snprintf(out, n, "everything on %s: %.2f ms there, %.2f ms up%s, %.2f ms down",
			 p->engine[cut->there].name, cut->there_s * 1e3, cut->up_s * 1e3,
			 codecs[cut->codec], cut->down_s * 1e3);
	else
		snprintf(out, n,
			 "the first %u of %u operators on %s, the rest on %s: %.2f ms + %.2f ms "
			 "up%s + %.2f ms + %.2f ms down",
			 before, all, p->engine[cut->here].name,
			 p->engine[cut->there].name, cut->here_s * 1e3, cut->up_s * 1e3,
			 codecs[cut->codec], cut->there_s * 1e3, cut->down_s * 1e3);
}

void kerf_scan_offer(const struct kerf_scan *s, const struct kerf_scan_cut *cut,
		     struct kerf_choice *choice)
{
	struct kerf_plan plan;
	int r = make_plan(s, cut, &plan);

	if (!r)
		tell(s, cut, plan.reason, sizeof(plan.reason));
	kerf_choice_offer(s->p, choice, &plan, r);
}

int kerf_scan_begin(struct kerf_scan *s, const struct kerf_problem *p, struct kerf_err *err)
{
	int r = kerf_problem_home_engine(p, err);

	return r < 0 ? r : kerf_scan_make(s, p, -1);
}

int kerf_scan_end(struct kerf_scan *s, const struct kerf_scan_cut *best, const char *policy,
		  struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	int r;

	if (best->runs)
		kerf_scan_offer(s, best, &choice);
	r = kerf_choice_end(s->p, &choice, plan, err);
	kerf_scan_finish(s);
	if (!r)
		plan->policy = policy;
	return r;
}
