/* SPDX-License-Identifier: MIT */
/*
 * The remote engine: an engine of another node. Preparing a slice uploads the model if
 * the peer lacks it and names the slice by (model, shapes, operators, rows); the peer
 * makes it from its own copy and the fingerprints of the two graphs must agree.
 */
#include "exec/remote.h"
#include "exec/part.h"
#include "exec/remote_part.h"
#include "exec/remote_slice.h"

#include "graph/op.h"
#include "net/json.h"
#include "net/slice_request.h"
#include "util/clock.h"
#include "util/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DEPTH 2u
#define UPLOAD_PIECE (4u << 20)
#define UPLOAD_MS 120000
#define PREPARE_MS 300000

static struct remote_engine *engine_of(struct kerf_engine *e)
{
	return (struct remote_engine *)e;
}

static bool still_there(void *user, bool moved)
{
	struct remote_engine *e = user;

	if (moved)
		remote_life_heard(e);
	return !remote_wire_lost(e, NULL);
}

int remote_call(struct remote_engine *e, struct kerf_http_call *call, bool ok,
		struct kerf_http_result *res, struct kerf_err *err)
{
	struct kerf_err why = {""};
	int r = remote_wire_lost(e, &why);

	if (!r) {
		call->going = still_there;
		call->user = e;
		__atomic_store_n(&e->calling_ns, kerf_now_ns(), __ATOMIC_RELAXED);
		r = (ok ? kerf_http_call_ok : kerf_http_call)(e->client, call, res, &why);
		__atomic_store_n(&e->calling_ns, 0, __ATOMIC_RELAXED);
		if (r && remote_wire_lost(e, NULL)) {
			why.msg[0] = 0;
			remote_wire_lost(e, &why);
		} else if (r == -ECONNREFUSED || r == -ETIMEDOUT) {
			remote_wire_lose(e, &why);
		}
	}
	return r ? kerf_fail(err, r, "%s", why.msg) : 0;
}

/* --- Opening --- */

static void copy_text(struct json_object *o, const char *name, char *dst, size_t n)
{
	const char *s;

	if (kerf_json_string(o, name, &s, NULL))
		return;
	snprintf(dst, n, "%s", s);
	/* It will be shown on a terminal, and comes from who knows where. */
	for (; *dst; dst++)
		if ((unsigned char)*dst < 0x20 || *dst == 0x7f)
			*dst = '?';
}

/* Finds the wanted engine, or the node's first, in its status. */
static int read_status(struct remote_engine *e, struct json_object *status, struct kerf_err *err)
{
	struct json_object *list, *o = NULL;
	char device[sizeof(e->info.device)] = "";
	int64_t memory = 0, dtypes = 0, threads = 0;
	const char *name = NULL;
	size_t i;

	if (kerf_json_array(status, "engines", 64, &list, err))
		return -EPROTO;
	for (i = 0; i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		if (!json_object_is_type(o, json_type_object) ||
		    kerf_json_string(o, "name", &name, err))
			return kerf_fail(err, -EPROTO, "an engine without a name");
		if (!e->engine[0] || !strcmp(e->engine, name))
			break;
	}
	if (i == json_object_array_length(list))
		return kerf_fail(err, -ENOENT, "the node has no engine '%s'", e->engine);
	if (snprintf(e->engine, sizeof(e->engine), "%s", name) >= (int)sizeof(e->engine))
		return kerf_fail(err, -EPROTO, "engine name too long");
	if (kerf_json_int_opt(o, "memory_bytes", 0, INT64_MAX, &memory, err) ||
	    kerf_json_int_opt(o, "dtypes", 0, UINT32_MAX, &dtypes, err) ||
	    kerf_json_int_opt(o, "threads", 0, UINT32_MAX, &threads, err))
		return -EPROTO;
	copy_text(o, "device", device, sizeof(device));
	copy_text(o, "machine", e->info.machine, sizeof(e->info.machine));
	e->info.memory_bytes = (uint64_t)memory;
	e->info.dtypes = (uint32_t)dtypes;
	e->info.threads = (uint32_t)threads;
	snprintf(e->info.device, sizeof(e->info.device), "%.40s on %.40s: %.40s", e->engine, e->host,
		 device);
	return 0;
}

/* How busy the node is before it does anything for us. */
static void tell_load(struct remote_engine *e, struct json_object *status)
{
	const char *text;
	size_t n;

	if (!e->observer || !e->observer->load || kerf_json_string(status, "load", &text, NULL))
		return;
	n = strlen(text);
	if (n && n < KERF_LOAD_TEXT)
		e->observer->load(e->observer->user, e->url, text, n);
}

static int get_status(struct remote_engine *e, struct kerf_err *err)
{
	const struct kerf_http_call call = {.method = "GET", .path = "/kerf/v1/status"};
	struct kerf_http_result res;
	struct json_object *o;
	int r = kerf_http_call_ok(e->client, &call, &res, err);

	if (r)
		return r;
	r = kerf_json_parse(res.body, res.size, &o, err);
	free(res.body);
	if (!r) {
		r = read_status(e, o, err);
		if (!r)
			tell_load(e, o);
		json_object_put(o);
	}
	if (r)
		kerf_err_prefix(err, "%s", e->url);
	return r;
}

static int remote_open(const char *spec, const struct kerf_engine_config *cfg,
		       struct kerf_engine **engine, struct kerf_err *err)
{
	struct remote_engine *e = calloc(1, sizeof(*e));
	const char *host, *rest;
	uint32_t depth = cfg->depth ? cfg->depth : DEFAULT_DEPTH;
	int r;

	if (!e)
		return -ENOMEM;
	e->base.ops = &kerf_engine_remote;
	e->insecure = cfg->insecure;
	e->observer = cfg->observer;
	e->patience_ns = cfg->patience_ms * 1000000ull;
	r = kerf_url_split(spec, e->url, sizeof(e->url), &host, &rest, err);
	if (r)
		goto free_engine;
	snprintf(e->host, sizeof(e->host), "%s", host);
	if (snprintf(e->engine, sizeof(e->engine), "%s", *rest ? rest + 1 : "") >=
		    (int)sizeof(e->engine) ||
	    strchr(e->engine, '/')) {
		r = kerf_fail(err, -EINVAL, "'%s': expected http://HOST:PORT[/ENGINE]", spec);
		goto free_engine;
	}
	pthread_mutex_init(&e->call_lock, NULL);
	pthread_mutex_init(&e->lock, NULL);
	r = kerf_http_client_open(e->url, e->insecure, &e->client, err);
	if (!r)
		r = get_status(e, err);
	if (r)
		goto close_client;
	snprintf(e->info.name, sizeof(e->info.name), "%s", spec);
	snprintf(e->info.kind, sizeof(e->info.kind), "remote");
	e->info.depth = KERF_MIN(depth, KERF_SLICE_DEPTH);
	e->info.remote = true;
	r = remote_wire_init(e, e->info.depth, err);
	if (r)
		goto close_client;
	*engine = &e->base;
	return 0;
close_client:
	kerf_http_client_close(e->client);
	pthread_mutex_destroy(&e->lock);
	pthread_mutex_destroy(&e->call_lock);
free_engine:
	free(e);
	return r;
}

static void remote_close(struct kerf_engine *engine)
{
	struct remote_engine *e = engine_of(engine);

	remote_wire_finish(e);
	kerf_http_client_close(e->client);
	pthread_mutex_destroy(&e->lock);
	pthread_mutex_destroy(&e->call_lock);
	free(e);
}

static void remote_describe(struct kerf_engine *engine, struct kerf_engine_info *info)
{
	*info = engine_of(engine)->info;
}

static bool remote_supports(struct kerf_engine *engine, const struct kerf_graph *g,
			    const struct kerf_op *op)
{
	return op->def->eval != NULL;
}

/* --- The model --- */

/* What the peer has of a model. */
static int model_stored(struct remote_engine *e, const char *path, int64_t *stored, bool *complete,
			struct kerf_err *err)
{
	struct kerf_http_call call = {.method = "GET", .path = path};
	struct kerf_http_result res;
	struct json_object *o;
	int r = remote_call(e, &call, false, &res, err);

	*stored = 0;
	*complete = false;
	if (r)
		return r;
	if (res.status == 404) {
		free(res.body);
		return 0;
	}
	r = kerf_json_parse(res.body, res.size, &o, err);
	free(res.body);
	if (r)
		return r;
	if (kerf_json_int(o, "stored", 0, INT64_MAX, stored, err) ||
	    kerf_json_bool(o, "complete", complete, err))
		r = -EPROTO;
	json_object_put(o);
	return r;
}

static int upload_model(struct remote_engine *e, const char *path, const struct kerf_file *f,
			int64_t stored, struct kerf_err *err)
{
	size_t at = (size_t)stored;

	if (at >= f->size)
		at = 0;
	while (at < f->size) {
		size_t n = KERF_MIN(f->size - at, UPLOAD_PIECE);
		char range[96];
		struct kerf_http_call call = {.method = "PUT", .path = path, .header = range,
					      .type = "application/octet-stream", .body = f->data + at,
					      .size = n, .timeout_ms = UPLOAD_MS};
		struct kerf_http_result res;
		int r;

		snprintf(range, sizeof(range), "Content-Range: bytes %zu-%zu/%zu", at, at + n - 1,
			 f->size);
		r = remote_call(e, &call, true, &res, err);
		if (r)
			return r;
		free(res.body);
		kerf_file_forget((struct kerf_file *)f, f->data + at, n);
		at += n;
	}
	return 0;
}

static int ensure_model(struct remote_engine *e, const struct kerf_graph *whole, const char *sha,
			struct kerf_err *err)
{
	char path[128];
	int64_t stored;
	bool complete;
	int r;

	snprintf(path, sizeof(path), "/kerf/v1/models/%s", sha);
	r = model_stored(e, path, &stored, &complete, err);
	if (r || complete)
		return r;
	if (!whole->file)
		return kerf_fail(err, -EOPNOTSUPP, "%s has no model %s, and here it is not in a file",
				 e->url, sha);
	r = upload_model(e, path, whole->file, stored, err);
	if (r != -EBADMSG || !stored)
		return r;
	/* What was stored was not the beginning of this model, and is gone now. */
	if (err)
		err->msg[0] = 0;
	return upload_model(e, path, whole->file, 0, err);
}

/* --- The slice --- */

static int fill_io(const struct kerf_graph *g, const int32_t *ids, uint32_t n,
		   struct kerf_oip_io **list, bool *bounded, struct kerf_err *err)
{
	struct kerf_oip_io *io;
	uint32_t i;

	if (n > KERF_OIP_TENSORS)
		return kerf_fail(err, -EOPNOTSUPP, "a slice of %u inputs or outputs, at most %u", n,
				 KERF_OIP_TENSORS);
	io = calloc(n + 1, sizeof(*io));
	if (!io)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		io[i].name = g->value[ids[i]].name;
		io[i].t = g->value[ids[i]].t;
		io[i].t.data = NULL;
		*bounded = *bounded || g->value[ids[i]].bounded;
	}
	*list = io;
	return 0;
}

/* The peer's list of inputs or outputs must be ours: same order, names, dtypes, shapes. */
static int compare_io(struct json_object *o, const char *key, const struct kerf_oip_io *io,
		      uint32_t n, struct kerf_err *err)
{
	struct json_object *list, *shape;
	uint32_t i;

	if (kerf_json_array(o, key, KERF_OIP_TENSORS, &list, err))
		return -EPROTO;
	if (json_object_array_length(list) != n)
		return kerf_fail(err, -EPROTO, "the peer's slice has %zu %s, expected %u",
				 json_object_array_length(list), key, n);
	for (i = 0; i < n; i++) {
		struct json_object *t = json_object_array_get_idx(list, i);
		struct kerf_tensor got = {.rank = 0};
		const char *name, *dtype;
		char a[KERF_SHAPE_TEXT], b[KERF_SHAPE_TEXT];

		if (!json_object_is_type(t, json_type_object) ||
		    kerf_json_string(t, "name", &name, err) ||
		    kerf_json_string(t, "datatype", &dtype, err) ||
		    kerf_json_array(t, "shape", KERF_MAX_RANK, &shape, err))
			return kerf_fail(err, -EPROTO, "the peer's %s are not tensors", key);
		got.rank = kerf_json_ints(shape, "shape", 0, KERF_MAX_TENSOR_BYTES, got.dims,
					  KERF_MAX_RANK, err);
		if (got.rank < 0)
			return -EPROTO;
		got.dtype = kerf_dtype_by_oip(dtype);
		if (strcmp(name, io[i].name) || got.dtype != io[i].t.dtype ||
		    !kerf_tensor_same_shape(&got, &io[i].t))
			return kerf_fail(err, -EPROTO, "the peer's slice has '%.60s' %s, expected '%.60s' %s",
					 name, kerf_tensor_text(&got, a), io[i].name,
					 kerf_tensor_text(&io[i].t, b));
	}
	return 0;
}

static int read_slice(struct remote_program *p, struct json_object *o, bool part,
		      struct kerf_err *err)
{
	int64_t weights = 0, arena = 0;
	bool has_ports = false;
	const char *id;

	if (kerf_json_string(o, "id", &id, err))
		return -EPROTO;
	if (strlen(id) >= sizeof(p->id) || strspn(id, "0123456789abcdef") != strlen(id))
		return kerf_fail(err, -EPROTO, "the peer's slice id is '%.80s'", id);
	snprintf(p->id, sizeof(p->id), "%s", id);
	snprintf(p->name, sizeof(p->name), "kerf-slice-%s", id);
	if (kerf_json_int_opt(o, "weight_bytes", 0, INT64_MAX, &weights, err) ||
	    kerf_json_int_opt(o, "arena_bytes", 0, INT64_MAX, &arena, err) ||
	    compare_io(o, "inputs", p->in, p->spec.n_in, err))
		return -EPROTO;
	p->info.weight_bytes = (size_t)weights;
	p->info.arena_bytes = (size_t)arena;
	/* Who does not know ports has made a slice without them. */
	if (kerf_json_bool_opt(o, "ports", &has_ports, err))
		return -EPROTO;
	if (part && !has_ports)
		return kerf_fail(err, -EOPNOTSUPP, "the peer does not take pieces from its neighbours");
	return compare_io(o, "outputs", p->out, p->spec.n_out, err);
}

static int post_slice(struct remote_engine *e, struct remote_program *p,
		      const struct kerf_slice_request *q, struct kerf_err *err)
{
	struct kerf_http_call call = {.method = "POST", .path = "/kerf/v1/slices",
				      .timeout_ms = PREPARE_MS};
	struct kerf_http_result res;
	struct json_object *o;
	char *text;
	int r = kerf_slice_request_encode(q, &text);

	if (r)
		return r;
	call.body = text;
	call.size = strlen(text);
	r = remote_call(e, &call, true, &res, err);
	free(text);
	if (r)
		return r;
	r = kerf_json_parse(res.body, res.size, &o, err);
	free(res.body);
	if (r)
		return r;
	r = read_slice(p, o, q->ports != NULL, err);
	json_object_put(o);
	return r;
}

static void delete_slice(struct remote_engine *e, const struct remote_program *p)
{
	char path[128];
	struct kerf_http_call call = {.method = "DELETE", .path = path, .timeout_ms = 2000};
	struct kerf_http_result res;

	if (!p->id[0])
		return;
	snprintf(path, sizeof(path), "/kerf/v1/slices/%s", p->id);
	pthread_mutex_lock(&e->call_lock);
	/* A peer that is gone has no slice left; a node drops idle ones by itself. */
	if (!remote_call(e, &call, false, &res, NULL))
		free(res.body);
	pthread_mutex_unlock(&e->call_lock);
}

/* What every job sends first, and what its reply will most likely begin with. */
static int make_heads(struct remote_engine *e, struct remote_program *p)
{
	struct kerf_tensor out[KERF_OIP_TENSORS];
	struct kerf_oip_request all;
	uint32_t i;
	int n;

	n = asprintf(&p->head,
		     "POST /v2/models/%s/infer HTTP/1.1\r\nHost: %s\r\n"
		     "Content-Type: application/octet-stream\r\n" KERF_OIP_LENGTH_HEADER
		     ": 0\r\nContent-Length: %llu\r\n\r\n",
		     p->name, e->host, (unsigned long long)p->in_bytes);
	if (n < 0) {
		p->head = NULL;
		return -ENOMEM;
	}
	p->head_size = (size_t)n;
	memset(&all, 0, sizeof(all));
	for (i = 0; i < p->spec.n_out; i++) {
		out[i] = p->out[i].t;
		all.form[i] = KERF_OIP_BINARY;
	}
	return kerf_oip_reply_encode(&p->spec, &all, out, &p->reply, &p->reply_size);
}

static uint32_t set_message(const struct kerf_graph *g, bool in, const struct kerf_port *port,
			    uint32_t n, struct kerf_oip_io *io, uint64_t *bytes)
{
	uint32_t i;

	*bytes = 0;
	for (i = 0; i < n && !port[i].home; i++)
		;
	if (i == n)
		return 0;
	*bytes = kerf_port_bytes(g, in, &port[i]);
	io[0] = (struct kerf_oip_io){.t = {.dtype = KERF_U8, .rank = 1, .dims = {(int64_t)*bytes}}};
	return 1;
}

static void free_program(struct remote_program *p)
{
	if (!p)
		return;
	free_program(p->failure);
	kerf_graph_unref(p->base.slice);
	free(p->in);
	free(p->out);
	free(p->head);
	free(p->reply);
	free(p);
}

/* The head of a request to the part's run. */
static int make_run_head(struct remote_engine *e, struct remote_program *p, const char *id,
			 const char *more)
{
	int n = asprintf(&p->head,
			 "POST /kerf/v1/slices/%s/run HTTP/1.1\r\nHost: %s\r\n"
			 "Content-Type: application/octet-stream\r\n%sContent-Length: %llu\r\n"
			 "Kerf-Request: 00000000000000000000\r\n\r\n",
			 id, e->host, more, (unsigned long long)p->in_bytes);

	if (n < 0) {
		p->head = NULL;
		return -ENOMEM;
	}
	p->head_size = (size_t)n;
	p->number_at = p->head_size - 4 - REMOTE_NUMBER_DIGITS;
	return 0;
}

static int make_failure(struct remote_engine *e, struct remote_program *p)
{
	struct remote_program *f = calloc(1, sizeof(*f));

	p->failure = f;
	if (f)
		f->in = calloc(1, sizeof(*f->in));
	if (!f || !f->in)
		return -ENOMEM;
	f->base.engine = &e->base;
	f->base.part = f->base.takes = f->raw = true;
	f->in_bytes = KERF_PART_WHY;
	f->in->t = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1, .dims = {KERF_PART_WHY}};
	f->spec = (struct kerf_oip_spec){.n_in = 1, .in = f->in};
	return make_run_head(e, f, p->id, "Kerf-Failed: 1\r\n");
}

/* A part's jobs carry home's messages, not the values that were compared with the peer's. */
static int make_part(struct remote_engine *e, struct remote_program *p,
		     const struct kerf_part *part)
{
	const struct kerf_graph *g = p->base.slice;
	int r;

	p->raw = true;
	p->spec.n_in = set_message(g, true, part->in, part->n_in, p->in, &p->in_bytes);
	p->spec.n_out = set_message(g, false, part->out, part->n_out, p->out, &p->out_bytes);
	p->base.part = true;
	p->base.takes = p->spec.n_in;
	p->base.gives = p->spec.n_out;
	r = make_run_head(e, p, p->id, "");
	if (!r)
		r = make_failure(e, p);
	if (r)
		return r;
	if (p->spec.n_in + p->spec.n_out)
		remote_wire_grow(e, e->info.depth);
	return 0;
}

static void remote_release(struct kerf_program *program)
{
	struct remote_program *p = (struct remote_program *)program;

	delete_slice(engine_of(program->engine), p);
	free_program(p);
}

static struct kerf_program *remote_part_failure(const struct kerf_program *program)
{
	const struct remote_program *p = (const struct remote_program *)program;

	return p->failure ? &p->failure->base : NULL;
}

static int remote_prepare_part(struct kerf_engine *engine, struct kerf_graph *slice,
			       const struct kerf_part *part /* or NULL */,
			       struct kerf_program **program, struct kerf_err *err)
{
	struct remote_engine *e = engine_of(engine);
	struct remote_program *p = calloc(1, sizeof(*p));
	struct kerf_slice_request q = {.n_shape = 0};
	const struct kerf_graph *whole = slice;
	uint64_t start = kerf_now_ns();
	bool bounded_in = false;
	int r;

	if (!p)
		return -ENOMEM;
	p->base.engine = engine;
	p->base.slice = kerf_graph_ref(slice);
	r = fill_io(slice, slice->in, slice->n_in, &p->in, &bounded_in, err);
	/* A job's request is made when the slice is prepared: its shapes are in it. */
	if (!r && bounded_in)
		r = kerf_fail(err, -EOPNOTSUPP,
			      "a slice that reads a value whose dims are known only at run time "
			      "cannot be remote");
	if (!r)
		r = fill_io(slice, slice->out, slice->n_out, &p->out, &p->bounded, err);
	if (r)
		goto release;
	p->spec = (struct kerf_oip_spec){p->name, slice->n_in, slice->n_out, p->in, p->out};
	p->in_bytes = kerf_oip_bytes(p->in, slice->n_in);
	p->out_bytes = kerf_oip_bytes(p->out, slice->n_out);
	snprintf(q.engine, sizeof(q.engine), "%s", e->engine);
	q.depth = e->info.depth;
	r = kerf_slice_describe(slice, &q, err);
	if (!r && part && p->bounded)
		r = kerf_fail(err, -EOPNOTSUPP,
			      "a value whose dims are known only at run time cannot travel in pieces");
	if (!r && part)
		r = kerf_part_encode(part, e->url, &q.ports);
	if (r)
		goto release;
	while (whole->parent)
		whole = whole->parent;
	pthread_mutex_lock(&e->call_lock);
	r = ensure_model(e, whole, q.model, err);
	if (!r)
		r = post_slice(e, p, &q, err);
	pthread_mutex_unlock(&e->call_lock);
	if (!r)
		r = part ? make_part(e, p, part) : make_heads(e, p);
	if (r)
		goto release;
	kerf_slice_request_finish(&q);
	p->info.prepare_ns = kerf_now_ns() - start;
	*program = &p->base;
	return 0;
release:
	if (err && err->msg[0])
		kerf_err_prefix(err, "%s", e->url);
	kerf_slice_request_finish(&q);
	remote_release(&p->base);
	return r;
}

static int remote_prepare(struct kerf_engine *engine, struct kerf_graph *slice,
			  struct kerf_program **program, struct kerf_err *err)
{
	return remote_prepare_part(engine, slice, NULL, program, err);
}

static void remote_part_address(const struct kerf_program *program, char url[256], char slice[64])
{
	const struct remote_program *p = (const struct remote_program *)program;

	snprintf(url, 256, "%s", engine_of(program->engine)->url);
	snprintf(slice, 64, "%s", p->id);
}

static void remote_program_info(const struct kerf_program *p, struct kerf_program_info *info)
{
	*info = ((const struct remote_program *)p)->info;
}

const struct kerf_engine_ops kerf_engine_remote = {
	.abi = KERF_ENGINE_ABI,
	.kind = "remote",
	.open = remote_open,
	.close = remote_close,
	.describe = remote_describe,
	.prepare_part = remote_prepare_part,
	.part_address = remote_part_address,
	.part_failure = remote_part_failure,
	.supports = remote_supports,
	.prepare = remote_prepare,
	.release = remote_release,
	.program_info = remote_program_info,
	.submit = remote_wire_submit,
	.cancel = remote_wire_cancel,
	.watch = remote_life_watch,
	.unwatch = remote_life_unwatch,
	.profile = kerf_remote_profile,
};
