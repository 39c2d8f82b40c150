/* SPDX-License-Identifier: MIT */
#include "sim/scenario.h"

#include "sim/fields.h"
#include "util/file.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LIST 10000
#define MAX_POINTS 1000000
#define MAX_S 1e9

/* The element of a table whose first member is its name. */
static uint32_t find_text(const struct kerf_field_at *at, const char *key, const char *text,
			  const void *table, size_t size, uint32_t n, const char *what)
{
	char expected[64];
	uint32_t i;

	for (i = 0; i < n && !at->f->failed; i++)
		if (!strcmp((const char *)table + i * size, text))
			return i;
	snprintf(expected, sizeof(expected), "the name of one of the %s", what);
	kerf_field_fail(at, key, expected, NULL);
	return 0;
}

static uint32_t find(const struct kerf_field_at *at, const char *key, const void *table,
		     size_t size, uint32_t n, const char *what)
{
	const char *text = kerf_field_text(at, key, "");
	struct json_object *v = NULL;
	char expected[64];
	uint32_t i;

	for (i = 0; i < n && !at->f->failed; i++)
		if (!strcmp((const char *)table + i * size, text))
			return i;
	snprintf(expected, sizeof(expected), "the name of one of the %s", what);
	json_object_object_get_ex(at->o, key, &v);
	kerf_field_fail(at, key, expected, v);
	return 0;
}

/* A table of n zeroed rows for a list, which may be absent unless needed. */
static void *table(const struct kerf_field_at *at, const char *key, size_t size, bool needed,
		   uint32_t *n, struct json_object **list)
{
	void *rows;

	*list = kerf_field_list(at, key, MAX_LIST, needed, n);
	rows = calloc(*n + 1, size);
	if (!rows && !at->f->failed)
		at->f->failed = -ENOMEM;
	if (!rows)
		*n = 0;
	return rows;
}

static char *copy_text(const struct kerf_field_at *at, const char *key)
{
	const char *text = kerf_field_text(at, key, "");
	char *copy = at->f->failed ? NULL : strdup(text);

	if (!copy && !at->f->failed)
		at->f->failed = -ENOMEM;
	return copy;
}

static void read_model(const struct kerf_field_at *at, struct kerf_scenario_model *m)
{
	kerf_field_only(at, "name file gen size");
	kerf_field_name(at, "name", m->name, sizeof(m->name), "");
	if (kerf_field_has(at, "file") == kerf_field_has(at, "gen"))
		kerf_field_fail(at, "file", "either it or gen", at->o);
	if (kerf_field_has(at, "file"))
		m->file = copy_text(at, "file");
	if (kerf_field_has(at, "gen"))
		m->arch = copy_text(at, "gen");
	if (kerf_field_has(at, "size"))
		m->size = copy_text(at, "size");
}

static void read_engine(const struct kerf_field_at *at, struct kerf_scenario_engine *e)
{
	kerf_field_only(at, "name flops_s bytes_s op_s profile_engine profile_machine factor job_s active_w "
			    "variation");
	kerf_field_name(at, "name", e->name, sizeof(e->name), "");
	if (kerf_field_has(at, "flops_s") == kerf_field_has(at, "profile_engine"))
		kerf_field_fail(at, "flops_s", "either it or profile_engine", at->o);
	if (kerf_field_has(at, "profile_engine")) {
		e->engine = copy_text(at, "profile_engine");
		e->machine = copy_text(at, "profile_machine");
	} else {
		e->flops_s = kerf_field_number(at, "flops_s", 1, 1e18, NAN);
		e->bytes_s = kerf_field_number(at, "bytes_s", 1, 1e18, INFINITY);
		e->op_s = kerf_field_number(at, "op_s", 0, 1, 0);
	}
	e->factor = kerf_field_number(at, "factor", 1e-6, 1e6, 1);
	e->job_s = kerf_field_number(at, "job_s", 0, 1, 20e-6);
	e->active_w = kerf_field_number(at, "active_w", 0, 1e6, 0);
	e->variation = kerf_field_number(at, "variation", 0, 1, 0);
}

static void read_node(const struct kerf_field_at *at, const struct kerf_scenario *s,
		      struct kerf_scenario_node *n)
{
	struct json_object *list;
	uint32_t i;

	kerf_field_only(at, "name count engines memory_bytes idle_w send_j_byte receive_j_byte f16_byte_s "
			    "int8_byte_s");
	kerf_field_name(at, "name", n->name, sizeof(n->name), "");
	n->count = (uint32_t)kerf_field_number(at, "count", 1, KERF_SCENARIO_MAX_NODES, 1);
	list = kerf_field_list(at, "engines", KERF_MAX_ENGINES, true, &n->n_engine);
	n->engine = calloc(n->n_engine + 1, sizeof(*n->engine));
	if (!n->engine && !at->f->failed)
		at->f->failed = -ENOMEM;
	for (i = 0; i < n->n_engine && !at->f->failed; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (!json_object_is_type(v, json_type_string))
			kerf_field_fail(at, "engines", "names", v);
		else
			n->engine[i] = find_text(at, "engines", json_object_get_string(v), s->engine,
						 sizeof(*s->engine), s->n_engine, "engines");
	}
	n->about.memory_bytes = kerf_field_number(at, "memory_bytes", 0, 1e15, 0);
	n->about.idle_w = kerf_field_number(at, "idle_w", 0, 1e6, 0);
	n->about.send_j_byte = kerf_field_number(at, "send_j_byte", 0, 1, 0);
	n->about.receive_j_byte = kerf_field_number(at, "receive_j_byte", 0, 1, 0);
	n->about.codec_byte_s[KERF_CODEC_F16] = kerf_field_number(at, "f16_byte_s", 0, 1, 0);
	n->about.codec_byte_s[KERF_CODEC_INT8] = kerf_field_number(at, "int8_byte_s", 0, 1, 0);
}

/*
 * Numbers of a text file, between spaces, commas or ends of lines; what follows a # is left out.
 * malloc'ed; NULL after a failure.
 */
static double *read_numbers(const struct kerf_field_at *at, const char *key, uint32_t *n)
{
	const char *path = kerf_field_text(at, key, ""), *c;
	double *x = NULL, *more;
	void *text = NULL;
	uint32_t room = 0;
	size_t size;
	char *end;

	*n = 0;
	if (!at->f->failed)
		at->f->failed =
			kerf_file_read(path, KERF_SCENARIO_MAX_FILE, &text, &size, at->f->err);
	for (c = text; c && !at->f->failed; c = end) {
		c += strspn(c, " ,;\t\r\n");
		end = (char *)c + (*c == '#' ? strcspn(c, "\n") : 0);
		if (!*c || end != c) {
			if (!*c)
				break;
			continue;
		}
		if (*n == room) {
			room = room * 2 + 64;
			more = reallocarray(x, room, sizeof(*x));
			if (!more) {
				at->f->failed = -ENOMEM;
				break;
			}
			x = more;
		}
		x[(*n)++] = strtod(c, &end);
		if (end == c || *n > 2 * MAX_POINTS)
			at->f->failed = kerf_fail(at->f->err, -EINVAL,
						  "%s: expected up to %d numbers, found '%.20s' as number %u", path,
						  2 * MAX_POINTS, c, *n);
	}
	free(text);
	if (at->f->failed) {
		free(x);
		x = NULL;
		*n = 0;
	}
	return x;
}

/* The pairs of either field, one after the other. */
static double *read_points(const struct kerf_field_at *at, uint32_t *n)
{
	struct json_object *list;
	double *x;
	uint32_t i, k;

	if (kerf_field_has(at, "points_file") == kerf_field_has(at, "points_s_bit_s"))
		kerf_field_fail(at, "points_s_bit_s", "either it or points_file", at->o);
	if (kerf_field_has(at, "points_file")) {
		x = read_numbers(at, "points_file", &k);
		*n = k / 2;
		if (!at->f->failed && (!k || k % 2))
			kerf_field_fail(at, "points_file", "pairs of time and rate in it", NULL);
		return x;
	}
	list = kerf_field_list(at, "points_s_bit_s", MAX_POINTS, true, n);
	x = calloc(2 * (size_t)*n + 1, sizeof(*x));
	if (!x && !at->f->failed)
		at->f->failed = -ENOMEM;
	for (i = 0; i < *n && !at->f->failed; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		bool pair =
			json_object_is_type(v, json_type_array) && json_object_array_length(v) == 2;

		for (k = 0; k < 2; k++)
			x[2 * i + k] =
				pair ? json_object_get_double(json_object_array_get_idx(v, k)) : -1;
	}
	return x;
}

static void read_trace(const struct kerf_field_at *at, struct kerf_scenario_trace *t)
{
	double *x;
	uint32_t i;

	kerf_field_only(at, "name points_s_bit_s points_file period_s");
	kerf_field_name(at, "name", t->name, sizeof(t->name), "");
	x = read_points(at, &t->rate.n);
	t->rate.t = calloc(t->rate.n + 1, sizeof(double));
	t->rate.rate = calloc(t->rate.n + 1, sizeof(double));
	if ((!t->rate.t || !t->rate.rate) && !at->f->failed)
		at->f->failed = -ENOMEM;
	for (i = 0; i < t->rate.n && !at->f->failed; i++) {
		double time = x[2 * i], rate = x[2 * i + 1];

		if (!(time >= 0 && time <= MAX_S && rate >= 0 && rate <= 1e15) ||
		    (i ? time <= t->rate.t[i - 1] : time > 0))
			at->f->failed = kerf_fail(at->f->err, -EINVAL,
						  "%s: %s.%s: expected pairs of rising times from 0, and rates, found [%g,%g] as number %u",
						  at->f->path, at->where,
						  kerf_field_has(at, "points_file") ? "points_file"
										    : "points_s_bit_s",
						  time, rate, i);
		t->rate.t[i] = time;
		t->rate.rate[i] = rate / 8;
	}
	free(x);
	t->rate.period = kerf_field_number(at, "period_s", 0, MAX_S, 0);
	if (!at->f->failed && t->rate.period > 0 && t->rate.period <= t->rate.t[t->rate.n - 1])
		kerf_field_fail(at, "period_s", "more than the last point's time", at->o);
}

static struct kerf_link_model read_direction(const struct kerf_field_at *at, const char *rate,
					     double absent, bool traced)
{
	return (struct kerf_link_model){
		.rate_bytes_s = kerf_field_number(at, rate, 1, 1e15, traced ? 8 : absent) / 8,
		.latency_s = kerf_field_number(at, "latency_s", 0, 1e3, 0),
		.window_bytes = kerf_field_number(at, "window_bytes", 0, 1e12, 0),
		.round_s = kerf_field_number(at, "round_s", 0, 1e3, 0),
	};
}

static void read_link(const struct kerf_field_at *at, const struct kerf_scenario *s,
		      struct kerf_scenario_link *l)
{
	bool traced = kerf_field_has(at, "trace");

	kerf_field_only(at, "from to pattern medium rate_bit_s back_bit_s latency_s window_bytes round_s trace "
			    "shift_s");
	l->from = find(at, "from", s->node, sizeof(*s->node), s->n_node, "nodes");
	l->to = find(at, "to", s->node, sizeof(*s->node), s->n_node, "nodes");
	l->pattern = (enum kerf_scenario_pattern)kerf_field_choice(at, "pattern", "spread all ring",
								   l->from == l->to ? 1 : 0);
	if (!at->f->failed && l->from == l->to && l->pattern == KERF_SCENARIO_SPREAD)
		kerf_field_fail(at, "pattern", "all or ring within one group of nodes", at->o);
	if (!at->f->failed && l->from != l->to && l->pattern == KERF_SCENARIO_RING)
		kerf_field_fail(at, "pattern", "spread or all between two groups of nodes", at->o);
	l->medium = (enum kerf_scenario_medium)kerf_field_choice(at, "medium", "own from to one", 0);
	l->there = read_direction(at, "rate_bit_s", NAN, traced);
	l->back = read_direction(at, "back_bit_s", l->there.rate_bytes_s * 8, traced);
	l->trace = !traced ? KERF_SIM_NONE
			   : find(at, "trace", s->trace, sizeof(*s->trace), s->n_trace, "traces");
	l->shift_s = kerf_field_number(at, "shift_s", 0, MAX_S, 0);
}

static void read_times(const struct kerf_field_at *at, struct kerf_scenario_arrivals *a)
{
	struct json_object *list;
	uint32_t i;

	if (kerf_field_has(at, "times_file")) {
		a->times = read_numbers(at, "times_file", &a->n);
	} else {
		list = kerf_field_list(at, "times_s", MAX_POINTS, true, &a->n);
		a->times = calloc(a->n + 1, sizeof(double));
		if (!a->times && !at->f->failed)
			at->f->failed = -ENOMEM;
		for (i = 0; i < a->n && !at->f->failed; i++)
			a->times[i] = json_object_get_double(json_object_array_get_idx(list, i));
	}
	for (i = 0; i < a->n && !at->f->failed; i++)
		if (!(a->times[i] >= (i ? a->times[i - 1] : 0) && a->times[i] <= MAX_S))
			at->f->failed = kerf_fail(at->f->err, -EINVAL,
						  "%s: %s.%s: expected times that do not fall, found %g as number %u",
						  at->f->path, at->where,
						  kerf_field_has(at, "times_file") ? "times_file" : "times_s",
						  a->times[i], i);
	if (!at->f->failed && !a->n)
		kerf_field_fail(at, "times_file", "times in it", NULL);
}

static void read_arrivals(const struct kerf_field_at *at, const struct kerf_scenario *s,
			  struct kerf_scenario_arrivals *a)
{
	int kinds = kerf_field_has(at, "poisson_hz") + kerf_field_has(at, "every_s") +
		    kerf_field_has(at, "times_s") + kerf_field_has(at, "times_file") +
		    kerf_field_has(at, "clients");

	kerf_field_only(at, "node model poisson_hz every_s times_s times_file clients think_s");
	a->node = find(at, "node", s->node, sizeof(*s->node), s->n_node, "nodes");
	a->model = find(at, "model", s->model, sizeof(*s->model), s->n_model, "models");
	if (kinds != 1) {
		kerf_field_fail(at, "", "one of poisson_hz, every_s, times_s, times_file, clients", at->o);
	} else if (kerf_field_has(at, "poisson_hz")) {
		a->kind = KERF_SIM_POISSON;
		a->mean_s = 1 / kerf_field_number(at, "poisson_hz", 1e-9, 1e9, NAN);
	} else if (kerf_field_has(at, "every_s")) {
		a->kind = KERF_SIM_REGULAR;
		a->mean_s = kerf_field_number(at, "every_s", 1e-9, MAX_S, NAN);
	} else if (!kerf_field_has(at, "clients")) {
		a->kind = KERF_SIM_TIMES;
		read_times(at, a);
	} else {
		a->kind = KERF_SIM_CLOSED;
		a->n = (uint32_t)kerf_field_number(at, "clients", 1, 1e6, NAN);
		a->mean_s = kerf_field_number(at, "think_s", 0, MAX_S, 0);
	}
}

static void read_failure(const struct kerf_field_at *at, const struct kerf_scenario *s,
			 struct kerf_scenario_failure *f)
{
	kerf_field_only(at, "node index from_s to_s mean_up_s mean_down_s");
	f->node = find(at, "node", s->node, sizeof(*s->node), s->n_node, "nodes");
	f->index = KERF_SIM_NONE;
	if (kerf_field_has(at, "index"))
		f->index = (uint32_t)kerf_field_number(at, "index", 0, s->node[f->node].count - 1.0, NAN);
	if (kerf_field_has(at, "mean_up_s")) {
		f->mean_up_s = kerf_field_number(at, "mean_up_s", 1e-3, MAX_S, NAN);
		f->mean_down_s = kerf_field_number(at, "mean_down_s", 1e-3, MAX_S, NAN);
		return;
	}
	f->from_s = kerf_field_number(at, "from_s", 0, MAX_S, NAN);
	f->to_s = kerf_field_number(at, "to_s", f->from_s, MAX_S, INFINITY);
}

static void read_goal(const struct kerf_field_at *top, struct kerf_goal *g)
{
	static const char *const codecs = "none f16 int8";
	struct kerf_field_at at = {.f = top->f, .where = "goal"};
	struct json_object *list;
	uint32_t n, i;

	if (!kerf_field_has(top, "goal"))
		return;
	json_object_object_get_ex(top->o, "goal", &at.o);
	if (!json_object_is_type(at.o, json_type_object)) {
		kerf_field_fail(&at, "", "an object", at.o);
		return;
	}
	kerf_field_only(&at, "objective latency_weight energy_weight period_weight deadline_s accuracy keep "
			     "codecs inexact exits");
	g->objective = (enum kerf_objective)kerf_field_choice(
		&at, "objective", "latency throughput energy memory weighted", 0);
	g->latency_weight = kerf_field_number(&at, "latency_weight", 0, 1e12, 0);
	g->energy_weight = kerf_field_number(&at, "energy_weight", 0, 1e12, 0);
	g->period_weight = kerf_field_number(&at, "period_weight", 0, 1e12, 0);
	g->deadline_s = kerf_field_number(&at, "deadline_s", 0, 1e6, 0);
	g->accuracy = kerf_field_number(&at, "accuracy", 0, 1, 0);
	g->keep = (uint32_t)kerf_field_number(&at, "keep", 0, 1e6, 0);
	g->inexact = kerf_field_bool(&at, "inexact", false);
	g->exits = kerf_field_bool(&at, "exits", false);
	list = kerf_field_list(&at, "codecs", KERF_N_CODECS, false, &n);
	for (i = 0; i < n && !at.f->failed; i++) {
		struct kerf_field_at one = {.f = at.f, .o = json_object_new_object(), .where = "goal"};

		json_object_object_add(one.o, "codecs",
				       json_object_get(json_object_array_get_idx(list, i)));
		g->codecs |= 1U << kerf_field_choice(&one, "codecs", codecs, -1);
		json_object_put(one.o);
	}
}

/* What is not there is the default, which the options have as 0; a 0 is theirs below it. */
static double option(const struct kerf_field_at *at, const char *key, double max)
{
	double x = kerf_field_number(at, key, 0, max, 0);

	return kerf_field_has(at, key) && !(x > 0) ? -1 : x;
}

static void read_replan(const struct kerf_field_at *up, struct kerf_replan_options *o)
{
	struct kerf_field_at at = {.f = up->f, .where = "replan"};

	if (up->f->failed || !json_object_object_get_ex(up->o, "replan", &at.o))
		return;
	if (!json_object_is_type(at.o, json_type_object)) {
		kerf_field_fail(up, "replan", "an object", at.o);
		return;
	}
	kerf_field_only(&at, "gain noise spread interval_s horizon_s settle_s");
	o->gain = option(&at, "gain", 1);
	o->noise = option(&at, "noise", 1e3);
	o->spread = option(&at, "spread", 1e3);
	o->interval_s = option(&at, "interval_s", MAX_S);
	o->horizon_s = option(&at, "horizon_s", MAX_S);
	o->settle_s = option(&at, "settle_s", MAX_S);
}

static void read_top(const struct kerf_field_at *at, struct kerf_scenario *s)
{
	kerf_field_only(at, "kerf_scenario name seed duration_s warmup_s requests policy goal models engines "
			    "nodes links traces arrivals failures retries detect_s refresh_s smooth_s "
			    "see_load replan");
	kerf_field_number(at, "kerf_scenario", 1, 1, NAN);
	kerf_field_name(at, "name", s->name, sizeof(s->name), "scenario");
	kerf_field_name(at, "policy", s->policy, sizeof(s->policy), "kerf");
	if (!at->f->failed && !kerf_policy_find(s->policy))
		at->f->failed = kerf_fail(at->f->err, -EINVAL, "%s: policy: unknown policy '%s'",
					  at->f->path, s->policy);
	s->seed = (uint64_t)kerf_field_number(at, "seed", 0, 9e15, 1);
	s->duration_s = kerf_field_number(at, "duration_s", 1e-6, MAX_S, NAN);
	s->warmup_s = kerf_field_number(at, "warmup_s", 0, s->duration_s, 0);
	s->max_requests = (uint64_t)kerf_field_number(at, "requests", 0, 5e7, 0);
	s->retries = (uint32_t)kerf_field_number(at, "retries", 0, 100, 2);
	s->detect_s = kerf_field_number(at, "detect_s", 0, 1e6, 0.2);
	s->refresh_s = kerf_field_number(at, "refresh_s", 0, MAX_S, 1);
	s->smooth_s = kerf_field_number(at, "smooth_s", 1e-6, MAX_S, 2);
	s->see_load = kerf_field_bool(at, "see_load", true);
	read_goal(at, &s->goal);
	read_replan(at, &s->replan);
}

static void read_lists(const struct kerf_field_at *at, struct kerf_scenario *s)
{
	struct json_object *list;
	uint32_t i;

#define EACH(rows, n, key, needed, read)                                                           \
	s->rows = table(at, key, sizeof(*s->rows), needed, &s->n, &list);                          \
	for (i = 0; i < s->n && !at->f->failed; i++) {                                             \
		struct kerf_field_at e = kerf_field_element(at, key, list, i);                     \
                                                                                                   \
		if (!at->f->failed)                                                                \
			read;                                                                      \
	}
	EACH(model, n_model, "models", true, read_model(&e, &s->model[i]))
	EACH(engine, n_engine, "engines", true, read_engine(&e, &s->engine[i]))
	EACH(node, n_node, "nodes", true, read_node(&e, s, &s->node[i]))
	for (i = 1; i < s->n_node; i++)
		s->node[i].first = s->node[i - 1].first + s->node[i - 1].count;
	EACH(trace, n_trace, "traces", false, read_trace(&e, &s->trace[i]))
	EACH(link, n_link, "links", false, read_link(&e, s, &s->link[i]))
	EACH(arrivals, n_arrivals, "arrivals", true, read_arrivals(&e, s, &s->arrivals[i]))
	EACH(failure, n_failure, "failures", false, read_failure(&e, s, &s->failure[i]))
#undef EACH
}

int kerf_scenario_read(const char *path, struct kerf_scenario *s, struct kerf_err *err)
{
	struct json_tokener *tok = json_tokener_new_ex(8);
	struct kerf_fields f = {.path = path, .err = err};
	struct kerf_field_at at = {.f = &f};
	void *text = NULL;
	size_t n;
	int r;

	memset(s, 0, sizeof(*s));
	r = tok ? kerf_file_read(path, KERF_SCENARIO_MAX_FILE, &text, &n, err) : -ENOMEM;
	if (r)
		goto out;
	at.o = json_tokener_parse_ex(tok, text, (int)n + 1);
	if (!at.o || !json_object_is_type(at.o, json_type_object)) {
		r = kerf_fail(err, -EINVAL, "%s: expected a JSON object: %s, at byte %zu", path,
			      json_tokener_error_desc(json_tokener_get_error(tok)),
			      json_tokener_get_parse_end(tok));
		goto out;
	}
	read_top(&at, s);
	if (!f.failed)
		read_lists(&at, s);
	r = f.failed;
out:
	if (r)
		kerf_scenario_finish(s);
	json_object_put(at.o);
	json_tokener_free(tok);
	free(text);
	return r;
}

void kerf_scenario_finish(struct kerf_scenario *s)
{
	uint32_t i;

	for (i = 0; i < s->n_model; i++) {
		free(s->model[i].file);
		free(s->model[i].arch);
		free(s->model[i].size);
	}
	for (i = 0; i < s->n_engine; i++) {
		free(s->engine[i].engine);
		free(s->engine[i].machine);
	}
	for (i = 0; i < s->n_node; i++)
		free(s->node[i].engine);
	for (i = 0; i < s->n_trace; i++) {
		free(s->trace[i].rate.t);
		free(s->trace[i].rate.rate);
	}
	for (i = 0; i < s->n_arrivals; i++)
		free(s->arrivals[i].times);
	free(s->model);
	free(s->engine);
	free(s->node);
	free(s->link);
	free(s->trace);
	free(s->arrivals);
	free(s->failure);
	memset(s, 0, sizeof(*s));
}
