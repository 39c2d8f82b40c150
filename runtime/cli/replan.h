/* SPDX-License-Identifier: MIT */
/* --replan of a command: steer/steer.h, with what it changes on stderr and in the plan's note. */
#ifndef KERF_CLI_REPLAN_H
#define KERF_CLI_REPLAN_H

#include "cli/options.h"
#include "exec/live.h"

struct kerf_cli_replan;

/*
 * s's plan is in force in live, and s's problem and view are in other hands until it is stopped;
 * a look every `seconds`. model: as notes of plans name it. Nothing to decide (*r NULL, 0) where
 * there is no problem.
 */
int kerf_cli_replan_start(const char *model, struct kerf_cli_setup *s, struct kerf_live *live,
			  double seconds, struct kerf_cli_replan **r, struct kerf_err *err);
/* Waits for a change under way. How often the plan was changed. NULL allowed. */
uint32_t kerf_cli_replan_stop(struct kerf_cli_replan *r);

#endif
