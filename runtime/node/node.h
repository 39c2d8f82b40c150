/* SPDX-License-Identifier: MIT */
/*
 * A node: engines and models behind the Open Inference Protocol and kerf's own
 * resources (docs/protocol.md). Runs in whatever process opens it; kerfd is one.
 *
 * The table of resources is in routes.c; what they do is in route_oip.c (/v2) and
 * route_kerf.c (/kerf/v1).
 */
#ifndef KERF_NODE_NODE_H
#define KERF_NODE_NODE_H

#include "exec/engine.h"
#include "net/http_server.h"
#include "node/model_store.h"
#include "node/served.h"

#define KERF_NODE_ENGINES 16
#define KERF_NODE_MODELS 64
#define KERF_NODE_SLICES 64
#define KERF_NODE_GRAPHS 4

struct kerf_node_model {
	const char *name, *path;
};

struct kerf_node_config {
	const char *listen; /* NULL: 127.0.0.1:8470 */
	bool insecure;
	uint32_t n_engine;
	const char *const *engine; /* specs; the first is the default. None: cpu, ref, null */
	struct kerf_engine_config engine_config;
	/*
	 * Serve this engine to local processes through the kernel's queue of that name. NULL: no.
	 */
	const char *serve_engine, *serve_name;
	void (*serve_lost)(void *user); /* any thread: the kernel has given us up as its server */
	void *serve_user;
	uint32_t n_model;
	const struct kerf_node_model *model;
	const char *cache_dir;	 /* NULL: the user's cache */
	uint64_t cache_bytes;	 /* 0: 4 GiB */
	uint64_t slice_bytes;	 /* memory of prepared slices; 0: half the machine's */
	uint32_t max_connections; /* 0: 64 */
	uint64_t body_budget;	 /* 0: 256 MiB */
	uint32_t head_timeout_ms, body_timeout_ms; /* 0: the server's defaults */
	uint32_t part_timeout_ms; /* for all messages of a request to come; 0: 30 s */
	/*
	 * This machine's load as text (docs/protocol.md), for every reply: its length, at most
	 * size - 1 and a NUL. Any thread, at most once in 50 ms. NULL: nothing is said of it.
	 */
	size_t (*load_text)(void *user, char *text, size_t size);
	/*
	 * The link to the node at url as it is known here; rate 0: not known. Any thread. NULL: it
	 * never is.
	 */
	void (*estimate)(void *user, const char *url, bool down, struct kerf_link_estimate *est);
	void *load_user;
};

struct kerf_node;

/* Prepares every model, then listens. */
int kerf_node_open(const struct kerf_node_config *cfg, struct kerf_node **node,
		   struct kerf_err *err);
/* Answers what it has begun to answer, then goes. NULL allowed. */
void kerf_node_close(struct kerf_node *node);
uint16_t kerf_node_port(const struct kerf_node *node);
/* Its engines' counters (exec/meter.h); how many, at most max. Any thread. */
uint32_t kerf_node_engine_records(struct kerf_node *node, struct kerf_engine_rec *out,
				  uint32_t max);

#endif
