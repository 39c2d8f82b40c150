/* SPDX-License-Identifier: MIT */
/* Options that run, bench, plan and profile share: the model, the engines, the policy. */
#ifndef KERF_CLI_OPTIONS_H
#define KERF_CLI_OPTIONS_H

#include "cli/goal.h"
#include "cli/telemetry.h"
#include "exec/cluster.h"
#include "exec/session.h"
#include "graph/op.h"
#include "graph/import.h"

#include <getopt.h>

struct kerf_cli_options {
	const char *model;
	const char *on;	    /* engines; "cpu" */
	const char *policy; /* NULL: the default */
	const char *plan;   /* file: nobody plans */
	struct kerf_engine_config engine;
	struct kerf_load_options load;
	struct kerf_profile_options profile;
	struct kerf_power *power; /* --power; profile.power is this */
	uint32_t depth, cut;
	struct kerf_cli_goal goal;
	bool json;
	bool priced; /* what the plan costs is asked for, also where there is no choice */
	struct kerf_cli_telemetry_options measure;
	struct kerf_telemetry *telemetry; /* NULL: none; kerf_cli_options_open() */
};

enum { KERF_CLI_OPT_PROFILE = 400, KERF_CLI_OPT_POWER, KERF_CLI_OPT_SHARE };

/* Rows of a getopt_long table; a command puts its own before them. */
#define KERF_CLI_LONG_OPTIONS                                                                      \
	{"on", required_argument, NULL, 'o'}, {"policy", required_argument, NULL, 'P'},            \
		{"shape", required_argument, NULL, 's'}, {"threads", required_argument, NULL, 't'}, \
		{"isa", required_argument, NULL, 'I'}, {"pin", no_argument, NULL, 'p'},            \
		{"share", required_argument, NULL, KERF_CLI_OPT_SHARE},                            \
		{"depth", required_argument, NULL, 'd'}, {"insecure", no_argument, NULL, 'k'},     \
		{"plan", required_argument, NULL, KERF_CLI_OPT_PLAN},                              \
		{"cut", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},                            \
		KERF_CLI_GOAL_LONG_OPTIONS, KERF_CLI_TELEMETRY_LONG_OPTIONS,                       \
		{"profile", required_argument, NULL, KERF_CLI_OPT_PROFILE},                        \
		{"power", required_argument, NULL, KERF_CLI_OPT_POWER},                            \
		{"help", no_argument, NULL, 'h'},                                                  \
	{                                                                                          \
		NULL, 0, NULL, 0                                                                   \
	}

#define KERF_CLI_OPTIONS_HELP                                                                      \
	"  --on ENGINES        engines, home first: cpu, ref, null, npu:N,\n"                     \
	"                      q:NAME, http://HOST:PORT[/ENGINE]\n"                               \
	"                      (default cpu)\n"                                                    \
	"  --policy NAME       who plans (default kerf); 'kerf plan --policies' lists them\n"      \
	"  --plan FILE         instead: what 'kerf plan --json' wrote, for the same engines\n"     \
	"  --cut N             for policy cut: operators that stay here\n"                         \
	KERF_CLI_GOAL_HELP                                                                         \
	"  --profile NAME      costs of operators: auto (default: stored, else measured now), stored,\n" \
	"                      measure (again), predicted (stored, else predicted: kerf profile --train)\n" \
	"  --power FILE        what engines and nodes draw (docs/planner.md), for plans by energy\n" \
	"  --shape NAME:DIMS   fix an input's shape: data:1,3,224,224\n"                           \
	"  --threads N         threads of the cpu engine (default: all CPUs)\n"                    \
	"  --isa NAME          kernels of the cpu engine: auto, baseline, avx2, avx512, neon\n"    \
	"  --pin               bind each thread to a CPU\n"                                        \
	"  --share PERCENT     the cpu engine's one thread is a core of so much of this one's speed\n" \
	"  --depth N           requests in flight (default 2)\n"                                   \
	"  --insecure          talk plain TCP to other than loopback\n"                            \
	"  --json              machine-readable output\n"                                         \
	"  --state PATH        serve readers of the state, as kerf top, on this socket\n"        \
	KERF_CLI_TELEMETRY_HELP

/* Takes one option of the shared table. 0, or -EINVAL with a sentence. */
int kerf_cli_option(struct kerf_cli_options *o, int opt, const char *arg, struct kerf_err *err);

/*
 * Opens telemetry where it is asked for or engines of other nodes are used; before other threads
 * are made.
 */
int kerf_cli_options_open(struct kerf_cli_options *o, struct kerf_err *err);
void kerf_cli_options_finish(struct kerf_cli_options *o);

/* "--runs": a whole number in [min, max]. */
int kerf_cli_number(const char *what, const char *arg, long min, long max, long *n,
		    struct kerf_err *err);

/* Model, engines, links, problem and plan, made in that order from the options. */
struct kerf_cli_setup {
	struct kerf_graph *graph;
	struct kerf_cluster cluster;
	struct kerf_cluster_view view;
	struct kerf_cluster_problem problem;
	struct kerf_plan_node node[KERF_MAX_ENGINES + 1]; /* the problem's, with limits */
	struct kerf_plan plan;
	struct kerf_telemetry *telemetry; /* not its own */
};

/*
 * With one engine and nothing asked of the plan there is nothing to decide, so nothing is profiled
 * or probed. -EDOM: no plan meets what is asked.
 */
int kerf_cli_setup(const struct kerf_cli_options *o, struct kerf_cli_setup *s,
		   struct kerf_err *err);
/* Its two halves: all but the plan, then the plan. After a failure of the second, finish. */
int kerf_cli_prepare(const struct kerf_cli_options *o, struct kerf_cli_setup *s,
		     struct kerf_err *err);
int kerf_cli_plan(const struct kerf_cli_options *o, struct kerf_cli_setup *s, struct kerf_err *err);
/*
 * A policy's plan that meets the goal. -EDOM also where this policy has none at all; then the
 * sentence says whether the default one has. err is not NULL.
 */
int kerf_cli_ask(const struct kerf_policy *policy, const struct kerf_problem *p,
		 struct kerf_plan *plan, struct kerf_err *err);
void kerf_cli_setup_finish(struct kerf_cli_setup *s);

/* The engine that inputs and outputs are for alone, or NULL. */
static inline struct kerf_engine *kerf_cli_only_engine(const struct kerf_cli_setup *s)
{
	return s->cluster.n_engine == 1 ? s->cluster.engine[0] : NULL;
}

#endif
