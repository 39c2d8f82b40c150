/* SPDX-License-Identifier: MIT */
/* Options that say what a plan is for: objective, constraints, what may be given up. */
#ifndef KERF_CLI_GOAL_H
#define KERF_CLI_GOAL_H

#include "exec/cluster.h"
#include "plan/plan.h"

enum {
	KERF_CLI_OPT_OBJECTIVE = 300,
	KERF_CLI_OPT_DEADLINE,
	KERF_CLI_OPT_ACCURACY,
	KERF_CLI_OPT_MEMORY,
	KERF_CLI_OPT_KEEP,
	KERF_CLI_OPT_CODECS,
	KERF_CLI_OPT_INEXACT,
	KERF_CLI_OPT_EXITS,
	KERF_CLI_OPT_PLAN,
};

#define KERF_CLI_GOAL_LONG_OPTIONS                                                                 \
	{"objective", required_argument, NULL, KERF_CLI_OPT_OBJECTIVE},                            \
		{"deadline", required_argument, NULL, KERF_CLI_OPT_DEADLINE},                      \
		{"accuracy", required_argument, NULL, KERF_CLI_OPT_ACCURACY},                      \
		{"memory", required_argument, NULL, KERF_CLI_OPT_MEMORY},                          \
		{"keep", required_argument, NULL, KERF_CLI_OPT_KEEP},                              \
		{"codecs", required_argument, NULL, KERF_CLI_OPT_CODECS},                          \
		{"inexact", no_argument, NULL, KERF_CLI_OPT_INEXACT},                              \
		{"exits", no_argument, NULL, KERF_CLI_OPT_EXITS}

#define KERF_CLI_GOAL_HELP                                                                         \
	"  --objective NAME    latency (default), throughput, energy, memory,\n"                   \
	"                      weighted:L,E[,P]: L a second of latency + E a joule\n"              \
	"                      + P a second between requests\n"                                    \
	"  --deadline MS       of one request; exit status 3 if no plan meets it\n"                \
	"  --accuracy X        at least, from 0 to 1\n"                                            \
	"  --memory NODE=MB    at most, on the node of an engine of --on, or home\n"               \
	"  --keep N            the first N operators stay here\n"                                  \
	"  --codecs LIST       what values may travel as: f16,int8\n"                              \
	"  --inexact           tiles with a wrong border may be used\n"                            \
	"  --exits             earlier exits may be taken\n"

#define KERF_CLI_MAX_MEMORY (KERF_MAX_ENGINES + 1)

struct kerf_cli_goal {
	struct kerf_goal goal;
	bool asked; /* any of the options was given */
	uint32_t n_memory;
	const char *memory[KERF_CLI_MAX_MEMORY]; /* "NODE=MB" */
};

/* Takes one option. 0, or -EINVAL with a sentence. */
int kerf_cli_goal_option(struct kerf_cli_goal *g, int opt, const char *arg, struct kerf_err *err);

/*
 * Puts goal and memory limits into the problem of cluster c. node: room for the nodes as the
 * problem has them, and limits besides; it lives as long as the problem.
 */
int kerf_cli_goal_apply(const struct kerf_cli_goal *g, const struct kerf_cluster *c,
			struct kerf_plan_node node[KERF_MAX_ENGINES + 1], struct kerf_problem *p,
			struct kerf_err *err);

#endif
