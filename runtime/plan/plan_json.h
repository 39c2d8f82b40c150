/* SPDX-License-Identifier: MIT */
/*
 * A plan as JSON, for the model and the engines it was made for (docs/planner.md has the form).
 * Operators and values are ids, so the file says which model and which graph they are ids of.
 */
#ifndef KERF_PLAN_PLAN_JSON_H
#define KERF_PLAN_PLAN_JSON_H

#include "plan/plan.h"

struct json_object;

/* engine[i]: the name of plan's engine i. NULL: no memory. The caller's to put. */
struct json_object *kerf_plan_to_json(const struct kerf_graph *g, const struct kerf_plan *plan,
				      const char *const *engine);

/*
 * Reads a plan for g whose engines are among engine[0 .. n_engine). Text may come from
 * anywhere: it is bounded, and the plan has passed kerf_plan_check(). -EINVAL with a sentence, also
 * where the file is for another model (both hashes are told); -E2BIG, -ENOMEM.
 */
int kerf_plan_from_json(struct kerf_graph *g, const char *text, size_t size,
			const char *const *engine, uint32_t n_engine, struct kerf_plan *plan,
			struct kerf_err *err);

/* The same from a file, which sentences then name. */
int kerf_plan_read(struct kerf_graph *g, const char *path, const char *const *engine,
		   uint32_t n_engine, struct kerf_plan *plan, struct kerf_err *err);

#define KERF_PLAN_MAX_JSON ((size_t)64 << 20)

#endif
