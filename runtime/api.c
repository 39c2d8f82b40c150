/* SPDX-License-Identifier: MIT */
/* The public API (kerf.h) over graph, cluster, plan and session. */
#include "kerf.h"

#include "exec/cluster.h"
#include "exec/live.h"
#include "graph/import.h"
#include "plan/goal.h"
#include "plan/plan_json.h"
#include "steer/steer.h"
#include "steer/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DEPTH 2

struct kerf_handle {
	struct kerf_graph *graph;
	struct kerf_cluster cluster;
	struct kerf_plan plan; /* the first */
	struct kerf_live *live;
	struct slot *slot; /* tensors of requests in flight */
	uint32_t depth;
	/* If its plan may be changed: who measures, what is known, who decides. */
	struct kerf_telemetry *telemetry;
	struct kerf_cluster_view *view;
	struct kerf_cluster_problem *problem;
	struct kerf_steer *steer;
};

/* The session wants tensors where callers give pointers; one set for each request. */
struct slot {
	struct kerf_handle *handle;
	struct kerf_tensor *in, *out;
	int64_t *const *dims; /* the caller's */
	kerf_done done;
	void *user;
	int busy;
};

/*
 * The caller's struct as this version knows it. Fields it does not know must be zero,
 * so that nothing asked for is silently left out.
 */
static int take_config(const struct kerf_config *from, struct kerf_config *to,
		       struct kerf_err *err)
{
	size_t i;

	if (!from)
		return 0;
	if (from->size < sizeof(from->size))
		return kerf_fail(err, -EINVAL, "config: size is %zu", from->size);
	for (i = sizeof(*to); i < from->size; i++)
		if (((const char *)from)[i])
			return kerf_fail(err, -E2BIG, "config: a field that this version has not");
	memcpy(to, from, KERF_MIN(from->size, sizeof(*to)));
	if ((to->flags & ~(KERF_INSECURE | KERF_INEXACT | KERF_EXITS)) || to->reserved ||
	    to->reserved2 || to->reserved3 || to->threads < 0)
		return kerf_fail(err, -EINVAL, "config: unknown flag, or negative threads");
	if (to->replan_ms < KERF_REPLAN_ASKED)
		return kerf_fail(err, -EINVAL, "config: replan_ms %d", to->replan_ms);
	return 0;
}

/* *asked: there is something for a plan to meet. */
static int take_goal(const struct kerf_config *cfg, struct kerf_goal *goal, bool *asked,
		     struct kerf_err *err)
{
	int r = 0;

	*goal = (struct kerf_goal){.deadline_s = cfg->deadline_ms * 1e-3,
				   .in_flight = cfg->depth ? cfg->depth : DEFAULT_DEPTH,
				   .accuracy = cfg->accuracy,
				   .keep = cfg->keep,
				   .inexact = cfg->flags & KERF_INEXACT,
				   .exits = cfg->flags & KERF_EXITS};
	*asked = cfg->objective || cfg->deadline_ms != 0 || cfg->accuracy != 0 || cfg->codecs ||
		 cfg->keep || cfg->flags & (KERF_INEXACT | KERF_EXITS);
	if (!(cfg->deadline_ms >= 0 && cfg->deadline_ms <= 1e9) ||
	    !(cfg->accuracy >= 0 && cfg->accuracy <= 1))
		return kerf_fail(err, -EINVAL,
				 "config: deadline_ms %g, accuracy %g: expected 0 to 1e9, 0 to 1",
				 cfg->deadline_ms, cfg->accuracy);
	if (cfg->plan && (cfg->policy || *asked || cfg->replan_ms))
		return kerf_fail(err, -EINVAL,
				 "config: beside a plan, policy, goals and replan_ms have no meaning");
	if (cfg->objective)
		r = kerf_goal_objective(goal, cfg->objective, err);
	if (!r && cfg->codecs)
		r = kerf_goal_codecs(goal, cfg->codecs, err);
	return r;
}

static int read_plan(struct kerf_handle *k, const char *path, struct kerf_err *err)
{
	const char *name[KERF_MAX_ENGINES];
	uint32_t i;

	for (i = 0; i < k->cluster.n_engine; i++)
		name[i] = k->cluster.info[i].name;
	return kerf_plan_read(k->graph, path, name, k->cluster.n_engine, &k->plan, err);
}

static int parse_shapes(const char *text, struct kerf_load_options *load, struct kerf_err *err)
{
	char *copy = text ? strdup(text) : NULL, *save = NULL, *one;
	int r = text && !copy ? -ENOMEM : 0;

	for (one = copy ? strtok_r(copy, ";", &save) : NULL; one && !r;
	     one = strtok_r(NULL, ";", &save)) {
		struct kerf_input_fix *fix =
			reallocarray((void *)load->fix, load->n_fix + 1, sizeof(*fix));

		if (!fix) {
			r = -ENOMEM;
			break;
		}
		load->fix = fix;
		memset(&fix[load->n_fix], 0, sizeof(*fix));
		r = kerf_input_fix_parse(one, &fix[load->n_fix], err);
		load->n_fix += !r;
	}
	free(copy);
	return r;
}

static void free_shapes(struct kerf_load_options *load)
{
	while (load->n_fix)
		free((void *)load->fix[--load->n_fix].name);
	free((void *)load->fix);
}

/* Telemetry if the plan may be changed; before engines are opened, which tell it. */
static int measure(struct kerf_handle *k, const struct kerf_config *cfg,
		   struct kerf_engine_config *engine, struct kerf_err *err)
{
	const struct kerf_telemetry_config telemetry = {.best = KERF_SOURCE_NONE};
	int r;

	if (!cfg->replan_ms)
		return 0;
	r = kerf_telemetry_open(&telemetry, &k->telemetry, err);
	if (!r)
		engine->observer = kerf_telemetry_observer(k->telemetry);
	return r;
}

static int make_problem(struct kerf_handle *k, const struct kerf_engine_config *engine,
			struct kerf_err *err)
{
	const struct kerf_profile_options profile = {.seconds = 0};
	int r;

	k->view = calloc(1, sizeof(*k->view));
	k->problem = calloc(1, sizeof(*k->problem));
	if (!k->view || !k->problem)
		return -ENOMEM;
	r = kerf_cluster_probe(&k->cluster, engine, k->view, err);
	if (r)
		return r;
	/* The loads wait for what the probe was seen to do. */
	kerf_view_loads(k->telemetry, &k->cluster, true, k->view);
	kerf_view_past(k->telemetry, &k->cluster, k->view);
	return kerf_cluster_problem(&k->cluster, k->graph, &profile, k->view, k->problem, err);
}

static void drop_problem(struct kerf_handle *k)
{
	if (k->problem)
		kerf_cluster_problem_finish(k->problem);
	free(k->problem);
	free(k->view);
	k->problem = NULL;
	k->view = NULL;
}

static int make_plan(struct kerf_handle *k, const struct kerf_config *cfg,
		     const struct kerf_engine_config *engine, struct kerf_err *err)
{
	const struct kerf_policy *policy = kerf_policy_find(cfg->policy);
	struct kerf_goal goal;
	bool asked;
	int r = take_goal(cfg, &goal, &asked, err);

	if (r)
		return r;
	if (!policy)
		return kerf_fail(err, -EINVAL, "unknown policy '%s'", cfg->policy);
	if (cfg->plan)
		return read_plan(k, cfg->plan, err);
	/* One engine, no goal, and no policy that makes more of one engine than one job. */
	if (k->cluster.n_engine == 1 && !asked &&
	    (!cfg->policy || policy->kind == KERF_POLICY_WHOLE || policy->kind == KERF_POLICY_CUT))
		return kerf_plan_only(k->graph, k->cluster.info[0].name, &k->plan, err);
	r = make_problem(k, engine, err);
	if (r)
		return r;
	k->problem->p.goal = goal;
	r = policy->plan(&k->problem->p, &k->plan, err);
	if (!r)
		r = kerf_plan_meets(&k->problem->p, &k->plan, err);
	if (!cfg->replan_ms)
		drop_problem(k);
	return r;
}

/* Where there is something to decide, and it may be decided again. */
static int start_steer(struct kerf_handle *k, const struct kerf_config *cfg, struct kerf_err *err)
{
	const struct kerf_steer_config steer = {
		.cluster = &k->cluster,
		.view = k->view,
		.problem = k->problem,
		.plan = &k->plan,
		.live = k->live,
		.telemetry = k->telemetry,
		.seconds = cfg->replan_ms > 0 ? cfg->replan_ms * 1e-3 : 0};

	return k->problem ? kerf_steer_start(&steer, &k->steer, err) : 0;
}

static int make_slots(struct kerf_handle *k)
{
	const struct kerf_graph *g = k->graph;
	uint32_t i, j;

	k->slot = calloc(k->depth, sizeof(*k->slot));
	for (i = 0; k->slot && i < k->depth; i++) {
		struct slot *s = &k->slot[i];

		s->handle = k;
		s->in = calloc(g->n_in + g->n_out + 1, sizeof(*s->in));
		if (!s->in)
			return -ENOMEM;
		s->out = s->in + g->n_in;
		for (j = 0; j < g->n_in; j++)
			s->in[j] = g->value[g->in[j]].t;
		for (j = 0; j < g->n_out; j++)
			s->out[j] = g->value[g->out[j]].t;
	}
	return k->slot ? 0 : -ENOMEM;
}

int kerf_open(const char *model, const struct kerf_config *config, struct kerf_handle **handle,
	      char *message, size_t message_size)
{
	struct kerf_handle *k = calloc(1, sizeof(*k));
	struct kerf_config cfg = {0};
	struct kerf_engine_config engine = {0};
	struct kerf_load_options load = {0};
	struct kerf_err err = {""};
	int r = k ? 0 : -ENOMEM;

	if (!r)
		r = take_config(config, &cfg, &err);
	k->depth = engine.depth = cfg.depth ? cfg.depth : DEFAULT_DEPTH;
	engine.threads = cfg.threads;
	engine.insecure = cfg.flags & KERF_INSECURE;
	if (!r)
		r = parse_shapes(cfg.shapes, &load, &err);
	if (!r)
		r = kerf_model_load(model, &load, &k->graph, &err);
	free_shapes(&load);
	if (!r)
		r = measure(k, &cfg, &engine, &err);
	if (!r)
		r = kerf_cluster_open(cfg.engines ? cfg.engines : "cpu", &engine, &k->cluster, &err);
	if (!r)
		r = make_plan(k, &cfg, &engine, &err);
	if (!r)
		r = make_slots(k);
	if (!r)
		r = kerf_live_open(k->graph, &k->plan, k->cluster.engine, k->depth, &k->live, &err);
	if (!r)
		r = start_steer(k, &cfg, &err);
	if (!r) {
		*handle = k;
		return 0;
	}
	if (message && message_size)
		snprintf(message, message_size, "%s", err.msg[0] ? err.msg : strerror(-r));
	kerf_close(k);
	return r;
}

void kerf_close(struct kerf_handle *k)
{
	uint32_t i;

	if (!k)
		return;
	kerf_steer_stop(k->steer);
	kerf_live_close(k->live);
	for (i = 0; k->slot && i < k->depth; i++)
		free(k->slot[i].in);
	free(k->slot);
	kerf_plan_finish(&k->plan);
	drop_problem(k);
	kerf_cluster_close(&k->cluster);
	kerf_telemetry_close(k->telemetry);
	kerf_graph_unref(k->graph);
	free(k);
}

uint32_t kerf_inputs(const struct kerf_handle *k)
{
	return k->graph->n_in;
}

uint32_t kerf_outputs(const struct kerf_handle *k)
{
	return k->graph->n_out;
}

static int describe(const struct kerf_graph *g, const int32_t *ids, uint32_t n, uint32_t i,
		    struct kerf_io_info *info)
{
	struct kerf_io_info out = {0};
	const struct kerf_value *v;

	if (i >= n || info->size < sizeof(info->size))
		return -EINVAL;
	v = &g->value[ids[i]];
	out.size = KERF_MIN(info->size, sizeof(out));
	out.name = v->name;
	out.datatype = kerf_dtype_oip(v->t.dtype);
	out.dims = v->t.dims;
	out.rank = (uint32_t)v->t.rank;
	out.flags = v->bounded ? KERF_BOUNDED : 0;
	out.bytes = kerf_tensor_bytes(&v->t);
	memcpy(info, &out, out.size);
	return 0;
}

int kerf_input(const struct kerf_handle *k, uint32_t i, struct kerf_io_info *info)
{
	return describe(k->graph, k->graph->in, k->graph->n_in, i, info);
}

int kerf_output(const struct kerf_handle *k, uint32_t i, struct kerf_io_info *info)
{
	return describe(k->graph, k->graph->out, k->graph->n_out, i, info);
}

static bool is_aligned(const void *const *p, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (!p[i] || (uintptr_t)p[i] % KERF_ALIGN)
			return false;
	return true;
}

/* A free slot filled with the caller's pointers. -EAGAIN when all are busy, or -EINVAL. */
static int take_slot(struct kerf_handle *k, const void *const *inputs, void *const *outputs,
		     int64_t *const *dims, struct slot **slot)
{
	uint32_t i, j;

	if (!is_aligned(inputs, k->graph->n_in) ||
	    !is_aligned((const void *const *)outputs, k->graph->n_out))
		return -EINVAL;
	for (i = 0; i < k->depth; i++) {
		struct slot *s = &k->slot[i];

		if (__atomic_exchange_n(&s->busy, 1, __ATOMIC_ACQUIRE))
			continue;
		for (j = 0; j < k->graph->n_in; j++)
			s->in[j].data = (void *)inputs[j];
		/* Its last request may have had other dims, of an exit. */
		for (j = 0; j < k->graph->n_out; j++) {
			s->out[j] = k->graph->value[k->graph->out[j]].t;
			s->out[j].data = outputs[j];
		}
		s->dims = dims;
		*slot = s;
		return 0;
	}
	return -EAGAIN;
}

/* Tells the caller the outputs' dims of a request that went well, and frees its slot. */
static void finish_slot(struct slot *s, int status)
{
	uint32_t i;

	for (i = 0; !status && s->dims && i < s->handle->graph->n_out; i++)
		if (s->dims[i])
			memcpy(s->dims[i], s->out[i].dims,
			       (size_t)s->out[i].rank * sizeof(s->out[i].dims[0]));
	__atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE);
}

int kerf_run(struct kerf_handle *k, const void *const *inputs, void *const *outputs,
	     int64_t *const *dims)
{
	struct slot *s;
	int r = take_slot(k, inputs, outputs, dims, &s);

	if (r)
		return r;
	r = kerf_live_run(k->live, s->in, s->out);
	finish_slot(s, r);
	return r;
}

static void slot_done(void *user, int status)
{
	struct slot *s = user;
	kerf_done done = s->done;
	void *arg = s->user;

	finish_slot(s, status);
	done(arg, status);
}

int kerf_submit(struct kerf_handle *k, const void *const *inputs, void *const *outputs,
		int64_t *const *dims, kerf_done done, void *user)
{
	struct slot *s;
	int r = take_slot(k, inputs, outputs, dims, &s);

	if (r)
		return r;
	s->done = done;
	s->user = user;
	r = kerf_live_submit(k->live, s->in, s->out, slot_done, s);
	if (r)
		finish_slot(s, r);
	return r;
}

void *kerf_buffer(size_t bytes)
{
	return kerf_tensor_alloc(bytes);
}

const char *kerf_plan_reason(const struct kerf_handle *k)
{
	return k->plan.reason;
}

int kerf_get_reason(struct kerf_handle *k, char *text, size_t size)
{
	struct kerf_steer_now now;

	if (!size)
		return -EINVAL;
	if (k->steer)
		kerf_steer_now(k->steer, &now);
	snprintf(text, size, "%s", k->steer ? now.reason : k->plan.reason);
	return 0;
}

int kerf_replan(struct kerf_handle *k, int *changed, char *reason, size_t reason_size)
{
	struct kerf_err err = {""};
	char why[256] = "";
	bool is = false;
	int r = k->steer ? kerf_steer_look(k->steer, &is, why, &err) : -ENOTSUP;

	if (changed)
		*changed = is;
	if (!k->steer)
		kerf_fail(&err, r, "nothing to decide: opened without replan_ms, or with one engine");
	if (reason && reason_size)
		snprintf(reason, reason_size, "%s", !r ? why : err.msg[0] ? err.msg : strerror(-r));
	return r;
}

int kerf_get_stats(struct kerf_handle *k, struct kerf_stats *stats)
{
	struct kerf_session_stats s;
	struct kerf_stats out = {.predicted_s = k->plan.total_s, .steps = k->plan.n_step};
	struct kerf_steer_now now;
	size_t size = stats->size;

	if (size < sizeof(size))
		return -EINVAL;
	kerf_live_stats(k->live, &s);
	if (k->steer) {
		kerf_steer_now(k->steer, &now);
		out.replans = now.changes;
		out.predicted_s = now.total_s;
		out.steps = now.n_step;
	}
	out.size = KERF_MIN(size, sizeof(out));
	out.requests = s.requests;
	out.failures = s.failures;
	out.weight_bytes = s.weight_bytes;
	out.arena_bytes = s.arena_bytes;
	out.tensor_bytes = s.tensor_bytes;
	out.depth = s.depth;
	memcpy(stats, &out, out.size);
	return 0;
}

const char *kerf_version(void)
{
	return KERF_VERSION;
}
