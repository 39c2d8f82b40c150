/* SPDX-License-Identifier: MIT */
#include "cli/goal.h"

#include "cli/options.h"
#include "plan/goal.h"

#include <stdlib.h>
#include <string.h>

static int number(const char *what, const char *arg, double max, double *x, struct kerf_err *err)
{
	char *end;

	errno = 0;
	*x = strtod(arg, &end);
	if (errno || end == arg || *end || !(*x >= 0 && *x <= max))
		return kerf_fail(err, -EINVAL, "%s '%s': expected a number from 0 to %g", what, arg, max);
	return 0;
}

/* "NODE=MB": names may hold '=', numbers do not. */
static int split_limit(const char *text, size_t *name, double *mb, struct kerf_err *err)
{
	const char *eq = strrchr(text, '=');
	int r;

	if (!eq || eq == text)
		return kerf_fail(err, -EINVAL, "--memory '%s': expected NODE=MB", text);
	*name = (size_t)(eq - text);
	r = number("--memory NODE=", eq + 1, 1e9, mb, err);
	if (!r && !(*mb > 0))
		r = kerf_fail(err, -EINVAL, "--memory '%s': expected more than 0 MB", text);
	return r;
}

int kerf_cli_goal_option(struct kerf_cli_goal *g, int opt, const char *arg, struct kerf_err *err)
{
	size_t name;
	double mb;
	long n;
	int r;

	g->asked = true;
	switch (opt) {
	case KERF_CLI_OPT_OBJECTIVE: return kerf_goal_objective(&g->goal, arg, err);
	case KERF_CLI_OPT_DEADLINE:
		r = number("--deadline", arg, 1e9, &g->goal.deadline_s, err);
		g->goal.deadline_s /= 1e3;
		return r;
	case KERF_CLI_OPT_ACCURACY:
		return number("--accuracy", arg, 1, &g->goal.accuracy, err);
	case KERF_CLI_OPT_MEMORY:
		if (g->n_memory == KERF_CLI_MAX_MEMORY)
			return kerf_fail(err, -E2BIG, "--memory: more than %d", KERF_CLI_MAX_MEMORY);
		g->memory[g->n_memory++] = arg;
		return split_limit(arg, &name, &mb, err);
	case KERF_CLI_OPT_KEEP:
		r = kerf_cli_number("--keep", arg, 0, INT32_MAX, &n, err);
		g->goal.keep = (uint32_t)n;
		return r;
	case KERF_CLI_OPT_CODECS: return kerf_goal_codecs(&g->goal, arg, err);
	case KERF_CLI_OPT_INEXACT: g->goal.inexact = true; return 0;
	case KERF_CLI_OPT_EXITS: g->goal.exits = true; return 0;
	default: return -EINVAL;
	}
}

static int limit(const char *text, const struct kerf_cluster *c, uint32_t home,
		 struct kerf_plan_node *node, struct kerf_err *err)
{
	size_t name;
	double mb;
	uint32_t e;
	int r = split_limit(text, &name, &mb, err);

	if (r)
		return r;
	if (name == strlen("home") && !strncmp(text, "home", name)) {
		node[home].memory_bytes = mb * 1e6;
		return 0;
	}
	for (e = 0; e < c->n_engine; e++)
		if (strlen(c->info[e].name) == name && !strncmp(text, c->info[e].name, name)) {
			node[c->node[e]].memory_bytes = mb * 1e6;
			return 0;
		}
	return kerf_fail(err, -EINVAL, "--memory '%s': no such engine; the first is %s", text,
			 c->info[0].name);
}

int kerf_cli_goal_apply(const struct kerf_cli_goal *g, const struct kerf_cluster *c,
			struct kerf_plan_node node[KERF_MAX_ENGINES + 1], struct kerf_problem *p,
			struct kerf_err *err)
{
	uint32_t i;
	int r = 0;

	p->goal = g->goal;
	if (!g->n_memory)
		return 0;
	memset(node, 0, (KERF_MAX_ENGINES + 1) * sizeof(*node));
	if (p->node)
		memcpy(node, p->node, p->n_node * sizeof(*node));
	p->node = node;
	for (i = 0; i < g->n_memory && !r; i++)
		r = limit(g->memory[i], c, p->home, node, err);
	return r;
}
