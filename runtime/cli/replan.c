/* SPDX-License-Identifier: MIT */
#include "cli/replan.h"

#include "steer/steer.h"

#include <stdio.h>
#include <stdlib.h>

struct kerf_cli_replan {
	const char *model;
	struct kerf_telemetry *telemetry;
	struct kerf_steer *steer;
};

static void changed(void *user, const struct kerf_plan *plan, const char *reason)
{
	struct kerf_cli_replan *r = user;

	fprintf(stderr, "kerf: plan %s\n", reason);
	kerf_cli_telemetry_plan(r->telemetry, plan, r->model, reason);
}

static void failed(void *user, const char *message)
{
	fprintf(stderr, "kerf: replanning: %s\n", message);
}

int kerf_cli_replan_start(const char *model, struct kerf_cli_setup *s, struct kerf_live *live,
			  double seconds, struct kerf_cli_replan **out, struct kerf_err *err)
{
	struct kerf_steer_config cfg = {.cluster = &s->cluster,
					.view = &s->view,
					.problem = &s->problem,
					.plan = &s->plan,
					.live = live,
					.telemetry = s->telemetry,
					.seconds = seconds,
					.changed = changed,
					.failed = failed};
	struct kerf_cli_replan *r;
	int ret;

	*out = NULL;
	if (!s->problem.op_s)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->model = model;
	r->telemetry = s->telemetry;
	cfg.user = r;
	ret = kerf_steer_start(&cfg, &r->steer, err);
	if (ret) {
		free(r);
		return ret;
	}
	*out = r;
	return 0;
}

uint32_t kerf_cli_replan_stop(struct kerf_cli_replan *r)
{
	uint32_t changes = r ? kerf_steer_stop(r->steer) : 0;

	free(r);
	return changes;
}
