/* SPDX-License-Identifier: MIT */
/* A thread that looks at the state now and then, and changes a live session's plan when that pays. */
#ifndef KERF_CLI_REPLAN_H
#define KERF_CLI_REPLAN_H

#include "cli/options.h"
#include "exec/live.h"

struct kerf_cli_replan;

/*
 * s's plan is in force in live, and s's problem and view are the thread's until it is stopped; it
 * looks every `seconds`. Says on stderr what it changes, and why it cannot if so. model: as notes
 * of plans name it.
 */
int kerf_cli_replan_start(const char *model, struct kerf_cli_setup *s, struct kerf_live *live,
			  double seconds, struct kerf_cli_replan **r, struct kerf_err *err);
/* Waits for a change under way. How often the plan was changed. NULL allowed. */
uint32_t kerf_cli_replan_stop(struct kerf_cli_replan *r);

#endif
