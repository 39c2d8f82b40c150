/* SPDX-License-Identifier: MIT */
#include "exec/cluster.h"

#include "cost/predictor.h"
#include "exec/measure.h"
#include "exec/remote_link.h"
#include "net/http_client.h"
#include "net/probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a job costs beside its operators where its engine is: a thread woken twice. */
#define JOB_S 20e-6
/* A node that is slower than this beside an idle one is no place to measure what it can do. */
#define LOADED 1.1
#define CALIBRATION_S 0.2

/*
 * Accuracy that a codec on any edge costs, where nobody measured the model's: docs/planner.md says
 * how that is done. Half floats round at 2^-11 of a value; 8 bits are what quantised networks have.
 */
static const double codec_loss[KERF_N_CODECS] = {
	[KERF_CODEC_F16] = 0.0001,
	[KERF_CODEC_INT8] = 0.005,
};

/* The node of a remote engine: that of another of its address, or the next. */
static uint32_t node_of(struct kerf_cluster *c, uint32_t engine)
{
	char url[KERF_URL_BYTES], other[KERF_URL_BYTES];
	uint32_t i;

	kerf_cluster_url(c, engine, url);
	for (i = 0; i < engine; i++) {
		kerf_cluster_url(c, i, other);
		if (url[0] && !strcmp(url, other))
			return c->node[i];
	}
	return c->n_node++;
}

static int open_one(struct kerf_cluster *c, const char *spec, const struct kerf_engine_config *cfg,
		    struct kerf_err *err)
{
	struct kerf_engine_config own = cfg ? *cfg : (struct kerf_engine_config){.threads = 0};
	uint32_t i = c->n_engine;
	int r;

	if (strncmp(spec, "http://", 7))
		own.depth = 0;
	if (i == KERF_MAX_ENGINES)
		return kerf_fail(err, -E2BIG, "--on names more than %d engines", KERF_MAX_ENGINES);
	r = kerf_engine_open(spec, &own, &c->engine[i], err);
	if (r)
		return r;
	c->engine[i]->ops->describe(c->engine[i], &c->info[i]);
	c->n_engine++;
	c->node[i] = c->info[i].remote ? node_of(c, i) : 0;
	return 0;
}

int kerf_cluster_open(const char *list, const struct kerf_engine_config *cfg,
		      struct kerf_cluster *c, struct kerf_err *err)
{
	char *copy = strdup(list), *save = NULL, *spec;
	int r = copy ? 0 : -ENOMEM;

	memset(c, 0, sizeof(*c));
	c->n_node = 1;
	for (spec = copy ? strtok_r(copy, ",", &save) : NULL; spec && !r;
	     spec = strtok_r(NULL, ",", &save))
		r = open_one(c, spec, cfg, err);
	if (!r && !c->n_engine)
		r = kerf_fail(err, -EINVAL, "no engine named: expected e.g. cpu,http://HOST:PORT");
	free(copy);
	if (r)
		kerf_cluster_close(c);
	return r;
}

void kerf_cluster_close(struct kerf_cluster *c)
{
	while (c->n_engine)
		kerf_engine_close(c->engine[--c->n_engine]);
}

void kerf_cluster_url(const struct kerf_cluster *c, uint32_t engine, char url[KERF_URL_BYTES])
{
	const char *host, *rest;

	if (!c->info[engine].remote ||
	    kerf_url_split(c->info[engine].name, url, KERF_URL_BYTES, &host, &rest, NULL))
		url[0] = 0;
}

static bool known(const struct kerf_cluster_view *view, uint32_t engine)
{
	return view->up[engine].rate_bytes_s && view->down[engine].rate_bytes_s;
}

/* Another engine of the same node has the same link: takes what is known of that. */
static bool copy_known(const struct kerf_cluster *c, uint32_t engine,
		       struct kerf_cluster_view *view)
{
	char url[KERF_URL_BYTES], other[KERF_URL_BYTES];
	uint32_t i;

	kerf_cluster_url(c, engine, url);
	for (i = 0; i < c->n_engine; i++) {
		kerf_cluster_url(c, i, other);
		if (!url[0] || strcmp(url, other) || !known(view, i))
			continue;
		view->up[engine] = view->up[i];
		view->down[engine] = view->down[i];
		return true;
	}
	return false;
}

/* An engine of a node other than home. */
static uint32_t engine_at(const struct kerf_cluster *c, uint32_t node)
{
	uint32_t i;

	for (i = 0; c->node[i] != node; i++)
		;
	return i;
}

/* One question for both ways; a node that cannot say leaves them unknown. */
static void ask_between(const struct kerf_cluster *c, const struct kerf_engine_config *cfg,
			struct kerf_cluster_view *view)
{
	struct kerf_link_estimate up, down;
	char url[KERF_URL_BYTES], peer[KERF_URL_BYTES];
	uint32_t a, b;

	for (a = 1; a < c->n_node; a++)
		for (b = a + 1; b < c->n_node; b++) {
			if (view->between[a][b].rate_bytes_s && view->between[b][a].rate_bytes_s)
				continue;
			kerf_cluster_url(c, engine_at(c, a), url);
			kerf_cluster_url(c, engine_at(c, b), peer);
			if (!url[0] || !peer[0] ||
			    kerf_remote_link(url, peer, cfg->insecure, &up, &down, NULL))
				continue;
			view->between[a][b] = up;
			view->between[b][a] = down;
		}
}

int kerf_cluster_probe(struct kerf_cluster *c, const struct kerf_engine_config *cfg,
		       struct kerf_cluster_view *view, struct kerf_err *err)
{
	struct kerf_probe found;
	uint32_t i;
	int r;

	for (i = 0; i < c->n_engine; i++) {
		if (!c->info[i].remote || known(view, i) || copy_known(c, i, view))
			continue;
		r = kerf_probe_run(c->info[i].name, cfg->insecure, &kerf_probe_short, cfg->observer,
				   &found, err);
		if (r)
			return r;
		view->up[i] = found.up;
		view->down[i] = found.down;
	}
	ask_between(c, cfg, view);
	return 0;
}

int kerf_cluster_engine_cost(struct kerf_cluster *c, uint32_t engine, bool calibrate,
			     struct kerf_engine_cost *cost, struct kerf_err *err)
{
	const struct kerf_engine_info *info = &c->info[engine];
	char name[sizeof(cost->engine)];
	int r;

	kerf_engine_words(info, name, sizeof(name));
	/* A damaged file is made anew. */
	r = kerf_engine_cost_load(name, info->machine, cost, NULL);
	if (r == -ENOMEM || !calibrate || cost->has_cases)
		return r == -ENOMEM ? r : 0;
	if (!c->engine[engine]->ops->profile)
		return kerf_fail(err, -EOPNOTSUPP, "engine %s cannot profile", info->name);
	r = kerf_measure_calibration(c->engine[engine], CALIBRATION_S, cost, err);
	if (r)
		return kerf_fail(err, r, "engine %s: cannot calibrate: %s", info->name, strerror(-r));
	kerf_engine_cost_save(cost, NULL); /* it serves also where it cannot be stored */
	return 0;
}

static int predict(struct kerf_cluster *c, uint32_t engine, const struct kerf_graph *g,
		   struct kerf_profile *p, struct kerf_err *err)
{
	struct kerf_predictor predictor;
	struct kerf_engine_cost cost;
	int r = kerf_predictor_load(&predictor, err);

	if (r == -ENOENT && err)
		err->msg[0] = 0;
	if (r)
		return kerf_fail(err, r, "no stored profile of this model on %s, and no predictor: "
				 "'kerf profile --train' makes one", c->info[engine].name);
	r = kerf_cluster_engine_cost(c, engine, true, &cost, err);
	if (!r)
		r = kerf_predictor_profile(&predictor, &cost, g, p);
	kerf_predictor_finish(&predictor);
	return r;
}

int kerf_cluster_profile(struct kerf_cluster *c, uint32_t engine, struct kerf_graph *g,
			 const struct kerf_profile_options *opt, double *slowdown,
			 struct kerf_profile *p, struct kerf_err *err)
{
	bool loaded = slowdown && *slowdown > LOADED;
	const struct kerf_engine_info *info = &c->info[engine];
	double seconds = opt->seconds > 0 ? opt->seconds : 1;
	char name[sizeof(p->engine)];
	int r = -ENOENT;

	kerf_engine_words(info, name, sizeof(name));
	if (!opt->measure)
		r = kerf_profile_load(g, name, info->machine, p, NULL);
	if (!r)
		return 0;
	if (opt->stored_only)
		return kerf_fail(err, r, "no stored profile of this model on %s; 'kerf profile' makes one",
				 info->name);
	if (opt->predicted)
		return predict(c, engine, g, p, err);
	r = kerf_measure_profile(c->engine[engine], g, seconds, 5, p, err);
	/* One engine gets no tiles. */
	if (!r && (opt->tiles || c->n_engine > 1))
		r = kerf_measure_tiles(c->engine[engine], g, seconds, p, err);
	if (r) {
		kerf_profile_finish(p);
		return r;
	}
	if (slowdown)
		*slowdown = 1;
	if (loaded && !opt->measure)
		return 0;
	/* What was measured serves also where it cannot be stored, unless that was asked for. */
	r = kerf_profile_save(p, opt->measure ? err : NULL);
	if (r && opt->measure)
		kerf_profile_finish(p);
	return opt->measure ? r : 0;
}

/* What a value costs at either end of a cut on engine e, and a job beside its operators. */
static void fill_apart(const struct kerf_graph *g, const struct kerf_engine_cost *cost,
		       uint32_t n_engine, uint32_t e, struct kerf_cluster_problem *cp)
{
	uint32_t v;

	cp->p.engine[e].job_s = cost->has_job || cost->has_apart ? cost->job_s : JOB_S;
	for (v = 0; cost->has_apart && v < g->n_value; v++)
		if (!kerf_value_is_const(&g->value[v]))
			cp->apart_s[(size_t)v * n_engine + e] =
				cost->apart_fixed_s +
				cost->apart_byte_s * (double)kerf_tensor_bytes(&g->value[v].t);
}

/* Home's codecs, and how long its calibrated addition takes. */
struct codecs {
	double add_s, f16_byte_s, int8_byte_s;
};

/*
 * Of this machine they were measured; of another one the engine's calibration tells how fast it
 * moves memory, and codecs are taken to be as much slower or faster. home is filled first.
 */
static void fill_codecs(const struct kerf_engine_cost *cost, struct codecs *home,
			struct kerf_plan_node *n)
{
	double add_s = cost->has_cases ? cost->case_s[KERF_CASE_ADD] : 0;
	double scale = home->add_s > 0 && add_s > 0 ? add_s / home->add_s : 1;

	if (cost->has_codec) {
		home->add_s = add_s;
		home->f16_byte_s = cost->f16_byte_s;
		home->int8_byte_s = cost->int8_byte_s;
		scale = 1;
	}
	n->codec_byte_s[KERF_CODEC_F16] = home->f16_byte_s * scale;
	n->codec_byte_s[KERF_CODEC_INT8] = home->int8_byte_s * scale;
}

/* Once an engine; one that cannot run any of g's operators alone keeps the usual figure. */
static void measure_job(struct kerf_engine *engine, struct kerf_graph *g,
			struct kerf_engine_cost *cost)
{
	cost->has_job = engine->ops->profile && !kerf_measure_job(engine, g, &cost->job_s, NULL);
	if (cost->has_job)
		kerf_engine_cost_save(cost, NULL); /* it serves also where it cannot be stored */
}

static int fill_engine(struct kerf_cluster *c, uint32_t e, struct kerf_graph *g,
		       const struct kerf_profile_options *opt, double slowdown,
		       double others, struct codecs *codecs, struct kerf_cluster_problem *cp,
		       struct kerf_err *err)
{
	struct kerf_engine *engine = c->engine[e];
	struct kerf_engine_cost cost;
	struct kerf_profile profile;
	uint32_t o;
	int r = kerf_cluster_engine_cost(c, e, false, &cost, err);

	if (r)
		return r;
	/* Beyond what was fitted the power overtakes an engine that serves one after the other. */
	cp->sharing[e] = cost.has_sharing
				 ? fmin(kerf_sharing_factor(cost.sharing_d, 1 + others), 1 + others)
				 : 1;
	slowdown *= cp->sharing[e];
	r = kerf_cluster_profile(c, e, g, opt, &slowdown, &profile, err);
	if (r)
		return r;
	cp->predicted[e] = profile.predicted;
	if (!cost.has_job && !opt->stored_only && !profile.predicted)
		measure_job(engine, g, &cost);
	fill_apart(g, &cost, c->n_engine, e, cp);
	fill_codecs(&cost, codecs, &cp->node[c->node[e]]);
	if (cost.has_power && !cp->p.engine[e].active_w)
		cp->p.engine[e].active_w = cost.active_w;
	for (o = 0; o < g->n_op; o++) {
		size_t at = (size_t)o * c->n_engine + e;

		cp->op_s[at] = INFINITY;
		if (!engine->ops->supports(engine, g, &g->op[o]))
			continue;
		cp->op_s[at] = profile.op_s[o] * slowdown;
		if (profile.op_fixed_s)
			cp->op_fixed_s[at] = profile.op_fixed_s[o] * slowdown;
	}
	kerf_profile_finish(&profile);
	return 0;
}

/* More than any plan can need: a node that has it is not limited. */
static double most_bytes(const struct kerf_outline *x, const struct kerf_graph *g)
{
	double sum = 0;
	uint32_t i;

	for (i = 0; i < g->n_op; i++)
		sum += x->weight_bytes[i];
	for (i = 0; i < g->n_value; i++)
		sum += x->value_bytes[i];
	return sum;
}

/*
 * The node of engine e: its memory, and what it draws: what was written of it goes before what its
 * board measures.
 */
static void fill_node(const struct kerf_cluster *c, uint32_t e, const struct kerf_power *power,
		      double measured_w, struct kerf_cluster_problem *cp)
{
	struct kerf_plan_node *n = &cp->node[c->node[e]];
	const struct kerf_power_engine *engine =
		power ? kerf_power_engine(power, c->info[e].name) : NULL;
	const struct kerf_power_node *node;
	char url[KERF_URL_BYTES];

	kerf_cluster_url(c, e, url);
	node = power ? kerf_power_node(power, url[0] ? url : "home") : NULL;
	if ((double)c->info[e].memory_bytes < most_bytes(cp->outline, cp->p.graph))
		n->memory_bytes = fmax(n->memory_bytes, (double)c->info[e].memory_bytes);
	n->idle_w = node ? node->idle_w : measured_w;
	n->send_j_byte = node ? node->send_j_byte : 0;
	n->receive_j_byte = node ? node->receive_j_byte : 0;
	if (engine)
		cp->p.engine[e].active_w = engine->active_w;
}

/* Where nobody measured the least, it is half a round. */
static struct kerf_link_model link_model(const struct kerf_link_estimate *e)
{
	return (struct kerf_link_model){
		.latency_s = (double)e->latency_ns * 1e-9,
		.least_s = (double)(e->least_ns ? e->least_ns : e->round_ns / 2) * 1e-9,
		.rate_bytes_s = (double)e->rate_bytes_s,
		.window_bytes = (double)e->window_bytes,
		.round_s = (double)e->round_ns * 1e-9,
		.low = e->low_ppm * 1e-6,
		.low_s = (double)e->low_ns * 1e-9,
		.high = e->high_ppm * 1e-6,
		.high_s = (double)e->high_ns * 1e-9,
	};
}

static void fill_past(const struct kerf_cluster_view *view, struct kerf_cluster_problem *cp)
{
	cp->p.n_past_rate = KERF_MIN(view->n_past_rate, (uint32_t)KERF_MAX_PAST);
	memcpy(cp->past_rate, view->past_rate, cp->p.n_past_rate * sizeof(*cp->past_rate));
	cp->p.past_rate = cp->past_rate;
}

int kerf_cluster_problem(struct kerf_cluster *c, struct kerf_graph *g,
			 const struct kerf_profile_options *opt,
			 const struct kerf_cluster_view *view, struct kerf_cluster_problem *cp,
			 struct kerf_err *err)
{
	struct kerf_problem *p = &cp->p;
	struct codecs codecs = {0};
	uint32_t i, k;
	int r = 0;

	memset(cp, 0, sizeof(*cp));
	cp->link = calloc((size_t)c->n_node * c->n_node, sizeof(*cp->link));
	cp->op_s = calloc((size_t)g->n_op * c->n_engine + 1, sizeof(*cp->op_s));
	cp->op_fixed_s = calloc((size_t)g->n_op * c->n_engine + 1, sizeof(*cp->op_fixed_s));
	cp->apart_s = calloc((size_t)g->n_value * c->n_engine + 1, sizeof(*cp->apart_s));
	cp->node = calloc(c->n_node, sizeof(*cp->node));
	cp->past_rate = calloc(KERF_MAX_PAST, sizeof(*cp->past_rate));
	if (!cp->node || !cp->past_rate || !cp->link || !cp->op_s || !cp->op_fixed_s ||
	    !cp->apart_s || kerf_outline_make(g, &cp->outline)) {
		kerf_cluster_problem_finish(cp);
		return -ENOMEM;
	}
	p->graph = g;
	p->outline = cp->outline;
	p->n_engine = c->n_engine;
	p->n_node = c->n_node;
	p->link = cp->link;
	p->op_s = cp->op_s;
	p->op_fixed_s = cp->op_fixed_s;
	p->apart_s = cp->apart_s;
	p->node = cp->node;
	p->codec_loss = codec_loss;
	fill_past(view, cp);
	for (i = 0; i < c->n_engine && !r; i++) {
		double slowdown = c->info[i].threads ? fmax(view->slowdown[i], 1) : 1;

		p->engine[i].name = c->info[i].name;
		p->engine[i].node = c->node[i];
		fill_node(c, i, opt->power, view->node_w[i], cp);
		r = fill_engine(c, i, g, opt, slowdown, view->others[i], &codecs, cp, err);
		if (!c->info[i].remote)
			continue;
		cp->link[c->node[i]] = link_model(&view->up[i]);
		cp->link[c->node[i] * c->n_node] = link_model(&view->down[i]);
	}
	for (i = 1; i < c->n_node; i++)
		for (k = 1; k < c->n_node; k++)
			if (i != k)
				cp->link[i * c->n_node + k] = link_model(&view->between[i][k]);
	if (r)
		kerf_cluster_problem_finish(cp);
	return r;
}

static void update_link(const struct kerf_link_estimate *e, struct kerf_link_model *link)
{
	if (e->rate_bytes_s)
		*link = link_model(e);
}

void kerf_cluster_problem_update(const struct kerf_cluster *c, const struct kerf_cluster_view *was,
				 const struct kerf_cluster_view *now,
				 struct kerf_cluster_problem *cp)
{
	uint32_t n = c->n_node, i, k;

	fill_past(now, cp);
	for (i = 0; i < c->n_engine; i++) {
		double factor = fmax(now->slowdown[i], 1) / fmax(was->slowdown[i], 1);

		for (k = 0; k < cp->p.graph->n_op && c->info[i].threads; k++) {
			cp->op_s[(size_t)k * c->n_engine + i] *= factor;
			cp->op_fixed_s[(size_t)k * c->n_engine + i] *= factor;
		}
		if (!c->info[i].remote)
			continue;
		update_link(&now->up[i], &cp->link[c->node[i]]);
		update_link(&now->down[i], &cp->link[c->node[i] * n]);
	}
	for (i = 1; i < n; i++)
		for (k = 1; k < n; k++)
			if (i != k)
				update_link(&now->between[i][k], &cp->link[i * n + k]);
}

void kerf_cluster_problem_finish(struct kerf_cluster_problem *cp)
{
	kerf_outline_free(cp->outline);
	free(cp->link);
	free(cp->op_s);
	free(cp->op_fixed_s);
	free(cp->apart_s);
	free(cp->past_rate);
	free(cp->node);
	memset(cp, 0, sizeof(*cp));
}
