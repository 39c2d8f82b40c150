/* SPDX-License-Identifier: MIT */
/* POST /kerf/v1/slices/ID/profile: one run of a slice, each operator's time. */
#include "node/node_priv.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

static void reply_times(struct kerf_http_request *r, const uint64_t *op_ns, uint32_t n)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	uint32_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_int64((int64_t)op_ns[i]));
	json_object_object_add(o, "op_ns", list);
	kerf_http_reply(r, 200, "application/json",
			json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static void profile(struct kerf_http_request *r, struct kerf_served *s)
{
	const struct kerf_engine_ops *ops = s->engine->ops;
	uint64_t *op_ns = calloc(s->program->slice->n_op + 1, sizeof(*op_ns));
	struct kerf_served_job *j;
	int status;

	if (!op_ns || !ops->profile || s->part) {
		kerf_http_error(r, op_ns ? 501 : 503, "this engine cannot profile%s",
				s->part ? " a slice with ports" : "");
		free(op_ns);
		return;
	}
	j = kerf_served_take(s, 10000);
	if (!j) {
		kerf_http_error(r, 503, "the slice is busy");
		free(op_ns);
		return;
	}
	status = ops->profile(s->program, j->in, j->out, op_ns);
	kerf_served_give(j);
	if (status)
		kerf_http_error(r, 500, "the slice failed");
	else
		reply_times(r, op_ns, s->program->slice->n_op);
	free(op_ns);
}

void kerf_route_slice_profile(struct kerf_http_request *r)
{
	struct kerf_node *n = r->server_user;
	char name[KERF_HTTP_ARG_MAX + 16];
	struct kerf_served *s;

	snprintf(name, sizeof(name), "kerf-slice-%s", r->arg[0]);
	s = kerf_node_get(n, name);
	if (!s) {
		kerf_http_error(r, 404, "no slice '%s'", r->arg[0]);
		return;
	}
	profile(r, s);
	kerf_node_put(n, s);
}
