/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

#include "exec/meter.h"
#include "plan/plan_json.h"
#include "steer/view.h"

#include <stdlib.h>
#include <string.h>

int kerf_cli_number(const char *what, const char *arg, long min, long max, long *n,
		    struct kerf_err *err)
{
	char *end;

	errno = 0;
	*n = strtol(arg, &end, 10);
	if (errno || end == arg || *end || *n < min || *n > max)
		return kerf_fail(err, -EINVAL, "%s '%s': expected a whole number from %ld to %ld",
				 what, arg, min, max);
	return 0;
}

static int add_shape(struct kerf_cli_options *o, const char *arg, struct kerf_err *err)
{
	struct kerf_input_fix *fix =
		reallocarray((void *)o->load.fix, o->load.n_fix + 1, sizeof(*fix));
	int r;

	if (!fix)
		return -ENOMEM;
	o->load.fix = fix;
	memset(&fix[o->load.n_fix], 0, sizeof(*fix));
	r = kerf_input_fix_parse(arg, &fix[o->load.n_fix], err);
	o->load.n_fix += !r;
	return r;
}

static int choose_profile(struct kerf_profile_options *o, const char *arg, struct kerf_err *err)
{
	o->stored_only = !strcmp(arg, "stored");
	o->measure = !strcmp(arg, "measure");
	o->predicted = !strcmp(arg, "predicted");
	if (o->stored_only || o->measure || o->predicted || !strcmp(arg, "auto"))
		return 0;
	return kerf_fail(err, -EINVAL, "--profile '%s': expected auto, stored, measure or predicted", arg);
}

static int read_power(struct kerf_cli_options *o, const char *path, struct kerf_err *err)
{
	if (!o->power)
		o->power = malloc(sizeof(*o->power));
	o->profile.power = o->power;
	return o->power ? kerf_power_read(path, o->power, err) : -ENOMEM;
}

int kerf_cli_option(struct kerf_cli_options *o, int opt, const char *arg, struct kerf_err *err)
{
	long n;
	int r;

	switch (opt) {
	case 'o': o->on = arg; return 0;
	case 'P':
		o->policy = arg;
		return kerf_policy_find(arg)
			       ? 0
			       : kerf_fail(err, -EINVAL,
					   "unknown policy '%s'; 'kerf plan --policies' lists them", arg);
	case 's': return add_shape(o, arg, err);
	case 't':
		r = kerf_cli_number("--threads", arg, 1, 1024, &n, err);
		o->engine.threads = (int)n;
		return r;
	case 'I': o->engine.isa = arg; return 0;
	case 'p': o->engine.pin = true; return 0;
	case KERF_CLI_OPT_SHARE:
		r = kerf_cli_number("--share", arg, 1, 100, &n, err);
		o->engine.share = (int)n;
		return r;
	case 'd':
		r = kerf_cli_number("--depth", arg, 1, 64, &n, err);
		o->depth = o->engine.depth = o->goal.goal.in_flight = (uint32_t)n;
		return r;
	case 'c':
		r = kerf_cli_number("--cut", arg, 0, INT32_MAX, &n, err);
		o->cut = (uint32_t)n;
		return r;
	case 'k': o->engine.insecure = true; return 0;
	case 'j': o->json = true; return 0;
	case KERF_CLI_OPT_PLAN: o->plan = arg; return 0;
	case KERF_CLI_OPT_OBJECTIVE:
	case KERF_CLI_OPT_DEADLINE:
	case KERF_CLI_OPT_ACCURACY:
	case KERF_CLI_OPT_MEMORY:
	case KERF_CLI_OPT_KEEP:
	case KERF_CLI_OPT_CODECS:
	case KERF_CLI_OPT_INEXACT:
	case KERF_CLI_OPT_EXITS: return kerf_cli_goal_option(&o->goal, opt, arg, err);
	case KERF_CLI_OPT_POWER: return read_power(o, arg, err);
	case KERF_CLI_OPT_PROFILE: return choose_profile(&o->profile, arg, err);
	case KERF_CLI_OPT_TELEMETRY:
	case KERF_CLI_OPT_STATE:
	case KERF_CLI_OPT_BTF: return kerf_cli_telemetry_option(&o->measure, opt, arg, err);
	default: return -EINVAL; /* getopt said why */
	}
}

int kerf_cli_options_open(struct kerf_cli_options *o, struct kerf_err *err)
{
	int r;

	if (!o->measure.asked && !(o->on && strstr(o->on, "://")))
		return 0;
	r = kerf_cli_telemetry_open(&o->measure, &o->telemetry, err);
	if (!r && o->telemetry) {
		o->engine.observer = kerf_telemetry_observer(o->telemetry);
		if (o->measure.asked)
			kerf_cli_telemetry_say(o->telemetry, stderr);
	}
	return r;
}

void kerf_cli_options_finish(struct kerf_cli_options *o)
{
	uint32_t i;

	kerf_telemetry_close(o->telemetry);
	o->telemetry = NULL;
	for (i = 0; i < o->load.n_fix; i++)
		free((void *)o->load.fix[i].name);
	free((void *)o->load.fix);
	free(o->power);
	o->power = NULL;
}

static uint32_t cluster_engines(void *user, struct kerf_engine_rec *out, uint32_t max)
{
	struct kerf_cluster *c = user;

	return kerf_engine_records(c->engine, KERF_MIN(c->n_engine, max), out);
}

/* One engine, no goal, and no policy that makes more of one engine than one job. */
static bool nothing_to_decide(const struct kerf_cli_options *o, const struct kerf_cluster *c)
{
	const struct kerf_policy *policy = o->policy ? kerf_policy_find(o->policy) : NULL;

	return c->n_engine == 1 && !o->goal.asked && !o->priced &&
	       (!policy || policy->kind == KERF_POLICY_WHOLE || policy->kind == KERF_POLICY_CUT);
}

static int make_problem(const struct kerf_cli_options *o, struct kerf_cli_setup *s,
			struct kerf_err *err)
{
	int r;

	kerf_view_links(o->telemetry, &s->cluster, &s->view);
	r = kerf_cluster_probe(&s->cluster, &o->engine, &s->view, err);
	if (r)
		return r;
	/* The loads wait for what the probe was seen to do. */
	kerf_view_loads(o->telemetry, &s->cluster, true, &s->view);
	kerf_view_past(o->telemetry, &s->cluster, &s->view);
	r = kerf_cluster_problem(&s->cluster, s->graph, &o->profile, &s->view, &s->problem, err);
	s->problem.p.cut = o->cut;
	return r ? r : kerf_cli_goal_apply(&o->goal, &s->cluster, s->node, &s->problem.p, err);
}

static int read_plan(const struct kerf_cli_options *o, struct kerf_cli_setup *s,
		     struct kerf_err *err)
{
	const char *name[KERF_MAX_ENGINES];
	uint32_t i;

	if (o->policy || o->goal.asked)
		return kerf_fail(err, -EINVAL, "--plan %s: beside --policy and goals it has no meaning",
				 o->plan);
	for (i = 0; i < s->cluster.n_engine; i++)
		name[i] = s->cluster.info[i].name;
	return kerf_plan_read(s->graph, o->plan, name, s->cluster.n_engine, &s->plan, err);
}

int kerf_cli_prepare(const struct kerf_cli_options *o, struct kerf_cli_setup *s,
		     struct kerf_err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = kerf_model_load(o->model, &o->load, &s->graph, err);
	if (!r)
		r = kerf_cluster_open(o->on ? o->on : "cpu", &o->engine, &s->cluster, err);
	if (!r) {
		s->telemetry = o->telemetry;
		if (s->telemetry)
			kerf_telemetry_engines(s->telemetry, cluster_engines, &s->cluster);
		if (!o->plan && !nothing_to_decide(o, &s->cluster))
			r = make_problem(o, s, err);
	}
	if (r)
		kerf_cli_setup_finish(s);
	return r;
}

/* Where nobody was told what anything draws, all plans cost the same energy: nothing. */
static void warn_of_energy(const struct kerf_problem *p)
{
	const struct kerf_goal *g = &p->goal;
	double known = 0;
	uint32_t i;

	if (g->objective != KERF_FOR_ENERGY &&
	    (g->objective != KERF_FOR_WEIGHTED || g->energy_weight <= 0))
		return;
	for (i = 0; i < p->n_engine; i++)
		known += p->engine[i].active_w;
	for (i = 0; p->node && i < p->n_node; i++)
		known += p->node[i].idle_w + p->node[i].send_j_byte + p->node[i].receive_j_byte;
	if (known <= 0)
		fprintf(stderr, "kerf: energy: nothing is known of what engines and nodes draw, so "
				"no plan costs any; --power FILE tells\n");
}

int kerf_cli_ask(const struct kerf_policy *policy, const struct kerf_problem *p,
		 struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_plan other = {.n_step = 0};
	size_t end;
	int r = policy->plan(p, plan, err);

	/* A policy may leave what it cannot do much about to whoever asked. */
	if (!r)
		r = kerf_plan_meets(p, plan, err);
	if (r != -ENODEV)
		return r;
	if (!kerf_policy_find(NULL)->plan(p, &other, NULL)) {
		end = strlen(err->msg);
		snprintf(err->msg + end, sizeof(err->msg) - end, "; --policy %s has a plan",
			 kerf_policy_find(NULL)->name);
	}
	kerf_plan_finish(&other);
	return -EDOM;
}

int kerf_cli_plan(const struct kerf_cli_options *o, struct kerf_cli_setup *s, struct kerf_err *err)
{
	int r;

	if (o->plan) {
		r = read_plan(o, s, err);
	} else if (!s->problem.op_s) {
		r = kerf_plan_only(s->graph, s->cluster.info[0].name, &s->plan, err);
	} else {
		warn_of_energy(&s->problem.p);
		r = kerf_cli_ask(kerf_policy_find(o->policy), &s->problem.p, &s->plan, err);
	}
	if (!r)
		kerf_cli_telemetry_plan(s->telemetry, &s->plan, o->model, NULL);
	return r;
}

int kerf_cli_setup(const struct kerf_cli_options *o, struct kerf_cli_setup *s,
		   struct kerf_err *err)
{
	int r = kerf_cli_prepare(o, s, err);

	if (r)
		return r;
	r = kerf_cli_plan(o, s, err);
	if (r)
		kerf_cli_setup_finish(s);
	return r;
}

void kerf_cli_setup_finish(struct kerf_cli_setup *s)
{
	if (s->telemetry)
		kerf_telemetry_engines(s->telemetry, NULL, NULL);
	kerf_plan_finish(&s->plan);
	kerf_cluster_problem_finish(&s->problem);
	kerf_cluster_close(&s->cluster);
	kerf_graph_unref(s->graph);
	memset(s, 0, sizeof(*s));
}
