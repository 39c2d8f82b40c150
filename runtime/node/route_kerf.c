/* SPDX-License-Identifier: MIT */
/* kerf's own resources: status, models by hash, slices, and the probe's two ends. */
#include "node/node_priv.h"

#include "net/json.h"
#include "net/rate_fit.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBE_MAX (16u << 20)
#define PROBE_PART (256u << 10)

static struct kerf_node *node_of(struct kerf_http_request *r)
{
	return r->server_user;
}

static void reply_json(struct kerf_http_request *r, int status, struct json_object *o)
{
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;

	if (text)
		kerf_http_reply(r, status, "application/json", text);
	else
		kerf_http_error(r, 503, "out of memory");
	json_object_put(o);
}

static void add_text(struct json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, json_object_new_string(s));
}

static void add_number(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)v));
}

/* --- status --- */

static struct json_object *engines_json(const struct kerf_node *n)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; list && i < n->n_engine; i++) {
		const struct kerf_engine_info *info = &n->engine_info[i];
		struct json_object *o = json_object_new_object();

		if (!o)
			break;
		add_text(o, "name", info->name);
		add_text(o, "kind", info->kind);
		add_text(o, "device", info->device);
		add_text(o, "machine", info->machine);
		add_number(o, "dtypes", info->dtypes);
		add_number(o, "memory_bytes", info->memory_bytes);
		add_number(o, "depth", info->depth);
		add_number(o, "threads", info->threads);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *cache_json(struct kerf_node *n)
{
	struct json_object *o = json_object_new_object();

	if (o) {
		add_number(o, "bytes", kerf_model_store_bytes(n->store));
		add_number(o, "limit_bytes", kerf_model_store_limit(n->store));
	}
	return o;
}

void kerf_route_status(struct kerf_http_request *r)
{
	struct kerf_node *n = node_of(r);
	struct json_object *o = json_object_new_object(), *names = json_object_new_array();
	struct kerf_served *s;
	char host[256] = "", load[KERF_LOAD_TEXT];

	if (!o || !names) {
		json_object_put(o);
		json_object_put(names);
		kerf_http_error(r, 503, "out of memory");
		return;
	}
	if (gethostname(host, sizeof(host) - 1))
		host[0] = 0;
	add_text(o, "node", host);
	add_text(o, "version", KERF_VERSION);
	add_text(o, "compiler", __VERSION__);
	add_number(o, "uptime_s", (kerf_now_ns() - n->start_ns) / 1000000000u);
	json_object_object_add(o, "engines", engines_json(n));
	pthread_mutex_lock(&n->lock);
	for (s = n->served; s; s = s->next)
		json_object_array_add(names, json_object_new_string(s->name));
	add_number(o, "slices", n->n_slice);
	add_number(o, "jobs_in_flight", n->jobs_in_flight);
	add_number(o, "jobs", n->jobs);
	add_number(o, "failures", n->failures);
	pthread_mutex_unlock(&n->lock);
	json_object_object_add(o, "served", names);
	json_object_object_add(o, "cache", cache_json(n));
	kerf_node_load(n, load);
	if (load[0])
		add_text(o, "load", load);
	reply_json(r, 200, o);
}

/* --- models by hash --- */

static bool check_sha(struct kerf_http_request *r)
{
	uint8_t sha[32];

	if (kerf_sha256_parse(r->arg[0], sha))
		return true;
	kerf_http_error(r, 400, "'%.80s' is not 64 lower-case hex digits", r->arg[0]);
	return false;
}

static void reply_stored(struct kerf_http_request *r, int status, uint64_t stored, bool complete)
{
	struct json_object *o = json_object_new_object();

	if (o) {
		add_text(o, "sha256", r->arg[0]);
		add_number(o, "stored", stored);
		json_object_object_add(o, "complete", json_object_new_boolean(complete));
	}
	reply_json(r, status, o);
}

void kerf_route_stored(struct kerf_http_request *r)
{
	uint64_t stored;
	bool complete;

	if (!check_sha(r))
		return;
	if (kerf_model_store_find(node_of(r)->store, r->arg[0], &stored, &complete))
		reply_stored(r, 200, stored, complete);
	else
		kerf_http_error(r, 404, "model %s is not stored here", r->arg[0]);
}

/* "bytes FIRST-LAST/TOTAL"; without the field the body is the whole file. */
static int parse_range(struct kerf_http_request *r, uint64_t *at, uint64_t *total)
{
	const char *s = kerf_http_header(r, "Content-Range");
	unsigned long long first, last, all;
	int end = 0;

	*at = 0;
	*total = r->length;
	if (!s)
		return 0;
	/* No sign, no blanks: sscanf would take them. */
	if (strlen(s) > 80 || strncmp(s, "bytes ", 6) || strspn(s + 6, "0123456789-/") != strlen(s + 6) ||
	    sscanf(s, "bytes %19llu-%19llu/%19llu%n", &first, &last, &all, &end) != 3 || s[end] ||
	    last < first || last >= all || last - first + 1 != r->length)
		return kerf_http_error(r, 400,
				       "Content-Range is '%.80s', expected bytes FIRST-LAST/TOTAL for a body of %llu",
				       s, (unsigned long long)r->length);
	*at = first;
	*total = all;
	return 0;
}

void kerf_route_upload_begin(struct kerf_http_request *r)
{
	struct kerf_err err = {""};
	struct kerf_upload *u;
	uint64_t at, total;
	int status;

	if (!check_sha(r) || parse_range(r, &at, &total))
		return;
	if (!r->length) {
		kerf_http_error(r, 400, "an empty body is no model");
		return;
	}
	status = kerf_upload_begin(node_of(r)->store, r->arg[0], at, total, &u, &err);
	if (status) {
		kerf_http_error_code(r, status, &err);
		return;
	}
	r->user = u;
	r->in_pieces = true;
}

void kerf_route_upload_body(struct kerf_http_request *r, const void *data, size_t n)
{
	struct kerf_err err = {""};
	int status = kerf_upload_write(r->user, data, n, &err);

	if (status)
		kerf_http_error_code(r, status, &err);
}

void kerf_route_upload(struct kerf_http_request *r)
{
	struct kerf_err err = {""};
	uint64_t stored;
	bool complete;
	int status = kerf_upload_end(r->user, &stored, &complete, &err);

	r->user = NULL;
	if (status == -EBADMSG)
		kerf_http_error(r, 422, "%s", err.msg);
	else if (status)
		kerf_http_error_code(r, status, &err);
	else
		reply_stored(r, complete ? 201 : 202, stored, complete);
}

/* The connection broke: what came is kept, the next upload goes on from there. */
void kerf_route_upload_done(struct kerf_http_request *r)
{
	uint64_t stored;
	bool complete;

	if (r->user && kerf_upload_end(r->user, &stored, &complete, NULL))
		r->user = NULL;
}

/* --- slices --- */

static struct json_object *io_json(const struct kerf_oip_io *io, uint32_t n)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;
	int k;

	for (i = 0; list && i < n; i++) {
		struct json_object *o = json_object_new_object(), *shape = json_object_new_array();

		if (!o || !shape) {
			json_object_put(o);
			json_object_put(shape);
			break;
		}
		add_text(o, "name", io[i].name);
		add_text(o, "datatype", kerf_dtype_oip(io[i].t.dtype));
		for (k = 0; k < io[i].t.rank; k++)
			json_object_array_add(shape, json_object_new_int64(io[i].t.dims[k]));
		json_object_object_add(o, "shape", shape);
		json_object_array_add(list, o);
	}
	return list;
}

static void reply_slice(struct kerf_http_request *r, int status, const struct kerf_served *s)
{
	struct json_object *o = json_object_new_object();

	if (o) {
		add_text(o, "id", strrchr(s->name, '-') + 1);
		add_text(o, "name", s->name);
		json_object_object_add(o, "inputs", io_json(s->in, s->spec.n_in));
		json_object_object_add(o, "outputs", io_json(s->out, s->spec.n_out));
		add_number(o, "weight_bytes", s->info.weight_bytes);
		add_number(o, "arena_bytes", s->info.arena_bytes);
		add_number(o, "prepare_ns", s->info.prepare_ns);
		if (s->part)
			json_object_object_add(o, "ports", json_object_new_boolean(true));
	}
	reply_json(r, status, o);
}

void kerf_route_slice_new(struct kerf_http_request *r)
{
	struct kerf_slice_request q;
	struct kerf_err err = {""};
	struct kerf_served *s;
	int status;

	if (!kerf_http_charge(r, r->length * KERF_JSON_BLOWUP)) {
		kerf_http_error(r, 503, "too much JSON at once");
		return;
	}
	status = kerf_slice_request_decode(r->body ? r->body : "", r->length, &q, &err);
	if (status) {
		kerf_http_error_code(r, status, &err);
		return;
	}
	status = kerf_node_add_slice(node_of(r), &q, &s, &err);
	kerf_slice_request_finish(&q);
	if (status) {
		kerf_http_error_code(r, status, &err);
		return;
	}
	reply_slice(r, 201, s);
	kerf_node_put(node_of(r), s);
}

void kerf_route_slice(struct kerf_http_request *r)
{
	struct kerf_served *s = kerf_node_slice(node_of(r), r->arg[0]);

	if (!s) {
		kerf_http_error(r, 404, "no slice '%s'", r->arg[0]);
		return;
	}
	reply_slice(r, 200, s);
	kerf_node_put(node_of(r), s);
}

void kerf_route_slice_delete(struct kerf_http_request *r)
{
	if (kerf_node_drop_slice(node_of(r), r->arg[0]))
		kerf_http_error(r, 404, "no slice '%s'", r->arg[0]);
	else
		kerf_http_reply(r, 200, "application/json", "{}");
}

/* --- the probe's ends --- */

void kerf_route_sink_begin(struct kerf_http_request *r)
{
	struct kerf_rate_fit *f = calloc(1, sizeof(*f));

	if (!f) {
		kerf_http_error(r, 503, "out of memory");
		return;
	}
	kerf_rate_begin(f, r->length);
	r->user = f;
	r->in_pieces = true;
}

void kerf_route_sink_body(struct kerf_http_request *r, const void *data, size_t n)
{
	kerf_rate_mark(r->user, n, kerf_now_ns());
}

void kerf_route_sink(struct kerf_http_request *r)
{
	const struct kerf_rate_fit *f = r->user;
	struct json_object *o = json_object_new_object();

	if (o) {
		add_number(o, "bytes", f->got);
		add_number(o, "ns", f->end_ns - f->start_ns);
		json_object_object_add(o, "bytes_s", json_object_new_double(kerf_rate_bytes_s(f)));
	}
	reply_json(r, 200, o);
}

void kerf_route_sink_done(struct kerf_http_request *r)
{
	free(r->user);
}

void kerf_route_source(struct kerf_http_request *r)
{
	static const char zeros[PROBE_PART];
	const char *s = kerf_http_query(r, "bytes");
	struct kerf_http_part part[PROBE_MAX / PROBE_PART];
	unsigned long n = 0;
	uint32_t k = 0;

	if (!s || !*s || strlen(s) > 9 || s[strspn(s, "0123456789")] ||
	    (n = strtoul(s, NULL, 10)) > PROBE_MAX || !n) {
		kerf_http_error(r, 400, "?bytes= must be 1 to %u", PROBE_MAX);
		return;
	}
	for (; n; n -= part[k++].size)
		part[k] = (struct kerf_http_part){zeros, KERF_MIN(n, PROBE_PART)};
	kerf_http_reply_parts(r, 200, "application/octet-stream", part, k);
}
