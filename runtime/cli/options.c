/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

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

int kerf_cli_option(struct kerf_cli_options *o, int opt, const char *arg, struct kerf_err *err)
{
	long n;
	int r;

	switch (opt) {
	case 'o': o->on = arg; return 0;
	case 'P':
		o->policy = arg;
		return kerf_policy_find(arg) ? 0 : kerf_fail(err, -EINVAL, "unknown policy '%s'", arg);
	case 's': return add_shape(o, arg, err);
	case 't':
		r = kerf_cli_number("--threads", arg, 1, 1024, &n, err);
		o->engine.threads = (int)n;
		return r;
	case 'I': o->engine.isa = arg; return 0;
	case 'p': o->engine.pin = true; return 0;
	case 'd':
		r = kerf_cli_number("--depth", arg, 1, 64, &n, err);
		o->depth = (uint32_t)n;
		return r;
	case 'c':
		r = kerf_cli_number("--cut", arg, 0, INT32_MAX, &n, err);
		o->cut = (uint32_t)n;
		return r;
	case 'k': o->engine.insecure = true; return 0;
	case 'j': o->json = true; return 0;
	default: return -EINVAL; /* getopt said why */
	}
}

void kerf_cli_options_finish(struct kerf_cli_options *o)
{
	uint32_t i;

	for (i = 0; i < o->load.n_fix; i++)
		free((void *)o->load.fix[i].name);
	free((void *)o->load.fix);
}

int kerf_cli_setup(const struct kerf_cli_options *o, struct kerf_cli_setup *s,
		   struct kerf_err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = kerf_model_load(o->model, &o->load, &s->graph, err);
	if (!r)
		r = kerf_cluster_open(o->on ? o->on : "cpu", &o->engine, &s->cluster, err);
	if (r)
		goto fail;
	if (s->cluster.n_engine == 1) {
		r = kerf_plan_only(s->graph, s->cluster.info[0].name, &s->plan, err);
	} else {
		r = kerf_cluster_probe(&s->cluster, &o->engine, &s->view, err);
		if (!r)
			r = kerf_cluster_problem(&s->cluster, s->graph, &o->profile, &s->view,
						 &s->problem, err);
		s->problem.p.cut = o->cut;
		if (!r)
			r = kerf_policy_find(o->policy)->plan(&s->problem.p, &s->plan, err);
	}
	if (!r)
		return 0;
fail:
	kerf_cli_setup_finish(s);
	return r;
}

void kerf_cli_setup_finish(struct kerf_cli_setup *s)
{
	kerf_plan_finish(&s->plan);
	kerf_cluster_problem_finish(&s->problem);
	kerf_cluster_close(&s->cluster);
	kerf_graph_unref(s->graph);
	memset(s, 0, sizeof(*s));
}
