/* SPDX-License-Identifier: MIT */
#include "node/node_priv.h"
#include "node/part.h"
#include "node/serve_queue.h"

#include "exec/meter.h"
#include "graph/import.h"
#include "graph/memplan.h"
#include "graph/slice.h"
#include "util/clock.h"
#include "util/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_LISTEN "127.0.0.1:8470"
#define DEFAULT_CACHE_BYTES (4ull << 30)
#define MODEL_DEPTH 4u
#define PART_MS 30000
/* The load is asked for no oftener. */
#define LOAD_NS 50000000u
#define SLICE_NAME KERF_NODE_SLICE_NAME

/* --- Tables --- */

struct kerf_served *kerf_node_get(struct kerf_node *n, const char *name)
{
	struct kerf_served *s;

	pthread_mutex_lock(&n->lock);
	for (s = n->served; s; s = s->next)
		if (!strcmp(s->name, name))
			break;
	if (s) {
		s->refs++;
		s->used_ns = kerf_now_ns();
	}
	pthread_mutex_unlock(&n->lock);
	return s;
}

void kerf_node_put(struct kerf_node *n, struct kerf_served *s)
{
	bool last;

	pthread_mutex_lock(&n->lock);
	last = !--s->refs && s->gone;
	pthread_mutex_unlock(&n->lock);
	if (last)
		kerf_served_free(s);
}

void kerf_node_hold(struct kerf_node *n, struct kerf_served *s)
{
	pthread_mutex_lock(&n->lock);
	s->refs++;
	pthread_mutex_unlock(&n->lock);
}

void kerf_node_put_later(struct kerf_node *n, struct kerf_served *s)
{
	pthread_mutex_lock(&n->lock);
	if (!--s->refs && s->gone) {
		s->next = n->put;
		n->put = s;
	}
	if (n->put || n->stopping)
		pthread_cond_broadcast(&n->changed);
	pthread_mutex_unlock(&n->lock);
}

struct kerf_served *kerf_node_slice(struct kerf_node *n, const char *id)
{
	char name[KERF_HTTP_ARG_MAX + sizeof(SLICE_NAME)];

	snprintf(name, sizeof(name), SLICE_NAME "%s", id);
	return kerf_node_get(n, name);
}

void kerf_node_count_job(struct kerf_node *n, int step, int status)
{
	pthread_mutex_lock(&n->lock);
	n->jobs_in_flight += (uint32_t)step;
	if (step < 0) {
		n->jobs++;
		n->failures += status != 0;
	}
	pthread_mutex_unlock(&n->lock);
}

static void publish(struct kerf_node *n, struct kerf_served *s)
{
	pthread_mutex_lock(&n->lock);
	s->next = n->served;
	s->used_ns = kerf_now_ns();
	n->served = s;
	pthread_cond_broadcast(&n->changed);
	pthread_mutex_unlock(&n->lock);
}

static bool is_slice(const struct kerf_served *s)
{
	return !strncmp(s->name, SLICE_NAME, strlen(SLICE_NAME));
}

/* Takes s out of the table; the caller frees it if that is the answer. Under n->lock. */
static bool unpublish(struct kerf_node *n, struct kerf_served *s)
{
	struct kerf_served **p;

	for (p = &n->served; *p != s; p = &(*p)->next)
		;
	*p = s->next;
	n->n_slice--;
	s->gone = true;
	return !s->refs;
}

const char *kerf_node_slice_id(const struct kerf_served *s)
{
	return s->name + strlen(SLICE_NAME);
}

int kerf_node_drop_slice(struct kerf_node *n, const char *id)
{
	struct kerf_served *s;

	pthread_mutex_lock(&n->lock);
	for (s = n->served; s; s = s->next)
		if (is_slice(s) && !strcmp(kerf_node_slice_id(s), id))
			break;
	if (s) {
		unpublish(n, s);
		s->refs++;
	}
	pthread_mutex_unlock(&n->lock);
	if (!s)
		return -ENOENT;
	if (s->part)
		kerf_node_part_stop(s->part, "the slice was deleted");
	kerf_node_put(n, s);
	return 0;
}

static uint64_t slice_bytes(const struct kerf_node *n)
{
	const struct kerf_served *s;
	uint64_t bytes = 0;

	for (s = n->served; s; s = s->next)
		if (is_slice(s))
			bytes += s->bytes;
	return bytes;
}

/* Drops idle slices, the one used longest ago first, until bytes and one more fit. */
static int make_room(struct kerf_node *n, uint64_t bytes)
{
	struct kerf_served *s, *oldest;
	bool fits;

	for (;;) {
		oldest = NULL;
		pthread_mutex_lock(&n->lock);
		fits = n->n_slice < KERF_NODE_SLICES && slice_bytes(n) + bytes <= n->slice_bytes;
		for (s = n->served; s && !fits; s = s->next)
			if (is_slice(s) && !s->refs && (!oldest || s->used_ns < oldest->used_ns))
				oldest = s;
		if (oldest)
			unpublish(n, oldest);
		pthread_mutex_unlock(&n->lock);
		if (fits)
			return 0;
		if (!oldest)
			return -ENOSPC;
		kerf_served_free(oldest);
	}
}

struct kerf_engine *kerf_node_engine(struct kerf_node *n, const char *name)
{
	uint32_t i;

	for (i = 0; i < n->n_engine; i++)
		if (!*name || !strcmp(n->engine_info[i].name, name))
			return n->engine[i];
	return NULL;
}

/* --- Slices --- */

static void graph_key(const struct kerf_slice_request *q, char key[KERF_SHA256_HEX])
{
	struct sha256_ctx c;
	uint8_t digest[32];
	uint32_t i;

	sha256_init(&c);
	sha256_update(&c, sizeof(q->model), (const uint8_t *)q->model);
	for (i = 0; i < q->n_shape; i++) {
		const struct kerf_slice_shape *s = &q->shape[i];

		sha256_update(&c, strlen(s->name) + 1, (const uint8_t *)s->name);
		sha256_update(&c, sizeof(s->rank), (const uint8_t *)&s->rank);
		sha256_update(&c, (size_t)s->rank * sizeof(s->dims[0]), (const uint8_t *)s->dims);
	}
	sha256_digest(&c, sizeof(digest), digest);
	kerf_hex(digest, sizeof(digest), key);
}

static int load_graph(struct kerf_node *n, const struct kerf_slice_request *q,
		      struct kerf_graph **g, struct kerf_err *err)
{
	struct kerf_input_fix fix[KERF_SLICE_SHAPES];
	struct kerf_load_options opt = {.n_fix = q->n_shape, .fix = fix};
	char *path = kerf_model_store_path(n->store, q->model);
	uint32_t i;
	int r;

	if (!path)
		return kerf_fail(err, -ENOENT, "model %s is not stored here", q->model);
	memset(fix, 0, sizeof(fix));
	for (i = 0; i < q->n_shape; i++) {
		fix[i].name = q->shape[i].name;
		fix[i].t.rank = q->shape[i].rank;
		memcpy(fix[i].t.dims, q->shape[i].dims, sizeof(fix[i].t.dims));
	}
	r = kerf_model_load(path, &opt, g, err);
	free(path);
	return r;
}

/* A reference to the whole graph, loaded or from an earlier slice. Under prepare_lock. */
static int whole_graph(struct kerf_node *n, const struct kerf_slice_request *q,
		       struct kerf_graph **g, struct kerf_err *err)
{
	struct kerf_node_graph *slot = &n->graph[0];
	char key[KERF_SHA256_HEX];
	uint32_t i;
	int r;

	graph_key(q, key);
	for (i = 0; i < KERF_NODE_GRAPHS; i++)
		if (n->graph[i].graph && !strcmp(n->graph[i].key, key))
			break;
	if (i < KERF_NODE_GRAPHS) {
		slot = &n->graph[i];
	} else {
		struct kerf_graph *fresh;

		r = load_graph(n, q, &fresh, err);
		if (r)
			return r;
		for (i = 1; i < KERF_NODE_GRAPHS; i++)
			if (n->graph[i].used_ns < slot->used_ns)
				slot = &n->graph[i];
		kerf_graph_unref(slot->graph);
		slot->graph = fresh;
		memcpy(slot->key, key, sizeof(key));
	}
	slot->used_ns = kerf_now_ns();
	*g = kerf_graph_ref(slot->graph);
	return 0;
}

static int make_slice(struct kerf_graph *whole, const struct kerf_slice_request *q,
		      struct kerf_graph **slice, struct kerf_err *err)
{
	struct kerf_slice_spec spec = {.rows = {q->row_begin, q->row_end},
				       .channels = {q->channel_begin, q->channel_end},
				       .padded = q->padded};
	uint32_t *ids, i, k, n = 0;
	int r;

	if (!q->n_range) {
		*slice = kerf_graph_ref(whole);
		return 0;
	}
	if (q->range[q->n_range - 1].end > whole->n_op)
		return kerf_fail(err, -EINVAL, "'ops' ends at %u, the graph has %u operators",
				 q->range[q->n_range - 1].end, whole->n_op);
	ids = malloc(whole->n_op * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (i = 0; i < q->n_range; i++)
		for (k = q->range[i].begin; k < q->range[i].end; k++)
			ids[n++] = k;
	spec.op = ids;
	spec.n_op = n;
	r = kerf_slice_make(whole, &spec, slice, err);
	free(ids);
	return r;
}

static int check_fingerprint(const struct kerf_graph *g, const struct kerf_slice_request *q,
			     struct kerf_err *err)
{
	uint64_t ours = kerf_graph_fingerprint(g);

	if (ours == q->fingerprint)
		return 0;
	return kerf_fail(err, -ESTALE,
			 "the graph's fingerprint is %016" PRIx64 " here, %016" PRIx64
			 " in the request: the two nodes run different versions of kerf",
			 ours, q->fingerprint);
}

static uint64_t job_bytes(const struct kerf_graph *g)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < g->n_in; i++)
		n += kerf_tensor_bytes(&g->value[g->in[i]].t);
	for (i = 0; i < g->n_out; i++)
		n += kerf_tensor_bytes(&g->value[g->out[i]].t);
	return n;
}

/*
 * What an engine is about to take for activations. Models come from anybody, and the
 * smallest of files can ask for a tensor of 64 GiB: this is asked before it is filled.
 */
static int arena_bytes(const struct kerf_graph *g, const struct kerf_engine *e, uint64_t *bytes)
{
	struct kerf_memplan plan = {0};
	uint32_t i;
	int r;

	*bytes = 0;
	if (e->ops == &kerf_engine_ref) { /* a tensor for each value */
		for (i = 0; i < g->n_value; i++)
			if (g->value[i].producer >= 0)
				*bytes += kerf_tensor_bytes(&g->value[i].t);
		return 0;
	}
	r = kerf_memplan_make(g, NULL, NULL, &plan);
	if (r)
		return r;
	*bytes = plan.bytes;
	kerf_memplan_finish(&plan);
	return 0;
}

static bool is_bounded(const struct kerf_graph *g)
{
	uint32_t i;
	bool bounded = false;

	for (i = 0; i < g->n_in; i++)
		bounded = bounded || g->value[g->in[i]].bounded;
	for (i = 0; i < g->n_out; i++)
		bounded = bounded || g->value[g->out[i]].bounded;
	return bounded;
}

/* The request's ports, if it has any: checked. */
static int read_part(const struct kerf_slice_request *q, const struct kerf_graph *slice,
		     struct kerf_part *part, struct kerf_err *err)
{
	int r;

	memset(part, 0, sizeof(*part));
	if (!q->ports)
		return 0;
	if (is_bounded(slice))
		return kerf_fail(err, -EOPNOTSUPP, "'ports': the slice has values whose dims are known "
						   "only at run time");
	r = kerf_part_decode(q->ports, part, err);
	return r ? r : kerf_part_check(slice, part, err);
}

static int make_served(struct kerf_node *n, const struct kerf_slice_request *q,
		       struct kerf_engine *engine, const char *name, struct kerf_graph *slice,
		       struct kerf_part *part, struct kerf_served **s, struct kerf_err *err)
{
	/* One more job than the peer has in flight: it may be told before we are through. */
	uint32_t depth = q->depth + 1;
	uint64_t arena = 0;
	int r = arena_bytes(slice, engine, &arena);

	if (!r)
		r = make_room(n, arena +
				 (job_bytes(slice) + kerf_node_part_bytes(slice, part)) * depth);
	if (!r)
		r = kerf_served_new(name, slice, engine, depth, s, err);
	if (!r && q->ports)
		r = kerf_node_part_new(n, *s, part, err);
	if (!r)
		r = make_room(n, (*s)->bytes);
	return r;
}

static int prepare_slice(struct kerf_node *n, const struct kerf_slice_request *q,
			 struct kerf_engine *engine, const char *name, struct kerf_served **out,
			 struct kerf_err *err)
{
	struct kerf_graph *whole, *slice = NULL;
	struct kerf_served *s = NULL;
	struct kerf_part part = {0};
	int r = whole_graph(n, q, &whole, err);

	if (r)
		return r;
	r = check_fingerprint(whole, q, err);
	if (!r)
		r = make_slice(whole, q, &slice, err);
	if (!r)
		r = read_part(q, slice, &part, err);
	if (!r)
		r = make_served(n, q, engine, name, slice, &part, &s, err);
	if (r == -ENOSPC)
		kerf_fail(err, r, "no memory left for another slice: %llu bytes are allowed",
			  (unsigned long long)n->slice_bytes);
	if (r && s)
		kerf_served_free(s);
	kerf_part_finish(&part);
	kerf_graph_unref(slice);
	kerf_graph_unref(whole);
	*out = s;
	return r;
}

int kerf_node_add_slice(struct kerf_node *n, const struct kerf_slice_request *q,
			struct kerf_served **out, struct kerf_err *err)
{
	struct kerf_engine *engine = kerf_node_engine(n, q->engine);
	char name[KERF_SERVED_NAME_MAX];
	struct kerf_served *s = NULL;
	uint64_t id;
	int r;

	if (!engine)
		return kerf_fail(err, -EINVAL, "no engine '%s' here", q->engine);
	pthread_mutex_lock(&n->lock);
	id = n->id_salt + n->slices_made++;
	pthread_mutex_unlock(&n->lock);
	/* Multiplying by an odd number keeps ids apart and makes them hard to mistake. */
	snprintf(name, sizeof(name), SLICE_NAME "%016" PRIx64, id * 0x9e3779b97f4a7c15u);
	pthread_mutex_lock(&n->prepare_lock);
	r = prepare_slice(n, q, engine, name, &s, err);
	if (!r) {
		s->refs = 1;
		pthread_mutex_lock(&n->lock);
		n->n_slice++;
		pthread_mutex_unlock(&n->lock);
		publish(n, s);
	}
	pthread_mutex_unlock(&n->prepare_lock);
	*out = s;
	return r;
}

/* --- What every reply tells --- */

void kerf_node_load(struct kerf_node *n, char text[KERF_LOAD_TEXT])
{
	uint64_t now = kerf_now_ns();
	size_t size;

	text[0] = 0;
	if (!n->load_text)
		return;
	pthread_mutex_lock(&n->load_lock);
	if (!n->load_ns || now - n->load_ns >= LOAD_NS) {
		size = n->load_text(n->load_user, n->load, sizeof(n->load));
		n->load[KERF_MIN(size, sizeof(n->load) - 1)] = 0;
		n->load_ns = now;
	}
	memcpy(text, n->load, strlen(n->load) + 1);
	pthread_mutex_unlock(&n->load_lock);
}

static void on_reply(struct kerf_http_request *r, int64_t hold_ns)
{
	char text[KERF_LOAD_TEXT];

	kerf_node_load(r->server_user, text);
	if (text[0])
		kerf_http_reply_header(r, "Kerf-Load", text);
	if (hold_ns < 0)
		return;
	snprintf(text, sizeof(text), "%lld", (long long)hold_ns);
	kerf_http_reply_header(r, "Kerf-Hold-Ns", text);
}

/* --- Life --- */

static int open_engine(struct kerf_node *n, const char *spec, const struct kerf_node_config *cfg,
		       struct kerf_err *err)
{
	struct kerf_engine_info *info = &n->engine_info[n->n_engine];
	struct kerf_engine *e;
	int r;

	if (n->n_engine == KERF_NODE_ENGINES)
		return kerf_fail(err, -EINVAL, "more than %d engines", KERF_NODE_ENGINES);
	r = kerf_engine_open(spec, &cfg->engine_config, &e, err);
	if (r)
		return r;
	n->engine[n->n_engine++] = e;
	e->ops->describe(e, info);
	return 0;
}

static int open_engines(struct kerf_node *n, const struct kerf_node_config *cfg,
			struct kerf_err *err)
{
	static const char *const all[] = {"cpu", "ref", "null"};
	const char *const *spec = cfg->n_engine ? cfg->engine : all;
	uint32_t count = cfg->n_engine ? cfg->n_engine : KERF_ARRAY_SIZE(all), i;
	int r;

	for (i = 0; i < count; i++) {
		r = open_engine(n, spec[i], cfg, err);
		if (r)
			return r;
	}
	if (!cfg->serve_engine || kerf_node_engine(n, cfg->serve_engine))
		return 0;
	return open_engine(n, cfg->serve_engine, cfg, err);
}

static int open_serve(struct kerf_node *n, const struct kerf_node_config *cfg, struct kerf_err *err)
{
#ifdef WITH_DRM
	return kerf_node_serve_open(n, cfg->serve_engine, cfg->serve_name, cfg->serve_lost,
				    cfg->serve_user, &n->serve, err);
#else
	return kerf_fail(err, -EOPNOTSUPP, "this build has no kernel queues (libdrm)");
#endif
}

static int add_model(struct kerf_node *n, const struct kerf_node_model *m, struct kerf_err *err)
{
	struct kerf_served *s;
	struct kerf_graph *g;
	int r;

	if (!*m->name || strlen(m->name) >= KERF_SERVED_NAME_MAX || strpbrk(m->name, "/%?# ") ||
	    !strncmp(m->name, SLICE_NAME, strlen(SLICE_NAME)))
		return kerf_fail(err, -EINVAL, "--model '%s': not a usable name", m->name);
	s = kerf_node_get(n, m->name);
	if (s) {
		kerf_node_put(n, s);
		return kerf_fail(err, -EINVAL, "--model '%s': given twice", m->name);
	}
	r = kerf_model_load(m->path, NULL, &g, err);
	if (r)
		return r;
	r = kerf_served_new(m->name, g, n->engine[0], MODEL_DEPTH, &s, err);
	kerf_graph_unref(g);
	if (r)
		return r;
	publish(n, s);
	n->n_model++;
	return 0;
}

/* What people know this node by: the address it listens on, or its name if that is any. */
static void set_label(struct kerf_node *n, const char *listen)
{
	const char *colon = strrchr(listen, ':');
	char host[72] = "";

	snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - listen) : 0, listen);
	if (!strcmp(host, "0.0.0.0") || !strcmp(host, "[::]") || !host[0])
		if (gethostname(host, sizeof(host) - 1))
			host[0] = 0;
	snprintf(n->label, sizeof(n->label), "%s:%u", host, kerf_node_port(n));
}

int kerf_node_open(const struct kerf_node_config *cfg, struct kerf_node **node,
		   struct kerf_err *err)
{
	struct kerf_node *n = calloc(1, sizeof(*n));
	struct kerf_http_config http = {.listen = cfg->listen ? cfg->listen : DEFAULT_LISTEN,
					.insecure = cfg->insecure,
					.max_connections = cfg->max_connections,
					.body_budget = cfg->body_budget,
					.head_timeout_ms = cfg->head_timeout_ms,
					.body_timeout_ms = cfg->body_timeout_ms,
					.routes = kerf_node_routes,
					.reply = on_reply,
					.user = n};
	pthread_condattr_t attr;
	uint32_t i;
	int r;

	if (!n)
		return -ENOMEM;
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&n->link_lock, NULL);
	pthread_mutex_init(&n->probe_lock, NULL);
	pthread_mutex_init(&n->prepare_lock, NULL);
	pthread_mutex_init(&n->load_lock, NULL);
	n->load_text = cfg->load_text;
	n->estimate = cfg->estimate;
	n->load_user = cfg->load_user;
	n->start_ns = kerf_now_ns();
	n->id_salt = kerf_clock_ns(CLOCK_REALTIME);
	n->slice_bytes = cfg->slice_bytes ? cfg->slice_bytes : kerf_machine_memory() / 2;
	n->part_timeout_ns = (cfg->part_timeout_ms ? cfg->part_timeout_ms : PART_MS) * 1000000ull;
	n->insecure = cfg->insecure;
	n->observer = cfg->engine_config.observer;
	r = open_engines(n, cfg, err);
	if (!r)
		r = kerf_node_keep(n, err);
	if (!r)
		r = kerf_model_store_open(cfg->cache_dir,
					  cfg->cache_bytes ? cfg->cache_bytes : DEFAULT_CACHE_BYTES,
					  &n->store, err);
	if (!r && cfg->n_model > KERF_NODE_MODELS)
		r = kerf_fail(err, -EINVAL, "%u models, at most %d", cfg->n_model, KERF_NODE_MODELS);
	for (i = 0; !r && i < cfg->n_model; i++)
		r = add_model(n, &cfg->model[i], err);
	if (!r)
		r = kerf_http_server_open(&http, &n->server, err);
	if (!r)
		set_label(n, http.listen);
	if (!r && cfg->serve_engine)
		r = open_serve(n, cfg, err);
	if (r) {
		kerf_node_close(n);
		return r;
	}
	*node = n;
	return 0;
}

void kerf_node_close(struct kerf_node *n)
{
	struct kerf_served *s, *next;
	uint32_t i;

	if (!n)
		return;
	kerf_node_stop_parts(n);
	kerf_http_server_close(n->server);
	kerf_node_keep_end(n);
#ifdef WITH_DRM
	kerf_node_serve_close(n->serve);
#endif
	for (s = n->served; s; s = next) {
		next = s->next;
		kerf_served_free(s);
	}
	for (i = 0; i < KERF_NODE_GRAPHS; i++)
		kerf_graph_unref(n->graph[i].graph);
	kerf_model_store_close(n->store);
	for (i = 0; i < n->n_engine; i++)
		kerf_engine_close(n->engine[i]);
	pthread_mutex_destroy(&n->load_lock);
	pthread_mutex_destroy(&n->probe_lock);
	pthread_mutex_destroy(&n->link_lock);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->prepare_lock);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

uint32_t kerf_node_engine_records(struct kerf_node *n, struct kerf_engine_rec *out, uint32_t max)
{
	return kerf_engine_records(n->engine, KERF_MIN(n->n_engine, max), out);
}

uint16_t kerf_node_port(const struct kerf_node *n)
{
	return kerf_http_server_port(n->server);
}
