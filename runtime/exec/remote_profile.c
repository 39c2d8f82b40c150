/* SPDX-License-Identifier: MIT */
/* Profiling on another node: the peer runs its slice and says what each operator took. */
#include "exec/remote.h"
#include "net/json.h"

#include <stdio.h>
#include <stdlib.h>

#define PROFILE_MS 120000

static int read_times(const struct remote_program *p, struct json_object *o, uint64_t *op_ns,
		      struct kerf_err *err)
{
	uint32_t n = p->base.slice->n_op, i;
	struct json_object *list;

	if (kerf_json_array(o, "op_ns", n, &list, err) || json_object_array_length(list) != n)
		return -EPROTO;
	for (i = 0; i < n; i++) {
		int64_t ns = json_object_get_int64(json_object_array_get_idx(list, i));

		if (ns < 0 || ns > (int64_t)PROFILE_MS * 1000000)
			return -EPROTO;
		op_ns[i] = (uint64_t)ns;
	}
	return 0;
}

/* The peer fills the inputs, so in[] and out[] are not looked at. */
int kerf_remote_profile(struct kerf_program *program, const struct kerf_tensor *in,
			struct kerf_tensor *out, uint64_t *op_ns)
{
	struct remote_program *p = (struct remote_program *)program;
	struct remote_engine *e = (struct remote_engine *)program->engine;
	char path[128];
	struct kerf_http_call call = {.method = "POST", .path = path, .body = "",
				      .timeout_ms = PROFILE_MS};
	struct kerf_http_result res;
	struct json_object *o;
	int r;

	snprintf(path, sizeof(path), "/kerf/v1/slices/%s/profile", p->id);
	pthread_mutex_lock(&e->call_lock);
	r = remote_call(e, &call, true, &res, NULL);
	pthread_mutex_unlock(&e->call_lock);
	if (r)
		return r;
	r = kerf_json_parse(res.body, res.size, &o, NULL);
	free(res.body);
	if (r)
		return r;
	r = read_times(p, o, op_ns, NULL);
	json_object_put(o);
	return r;
}
