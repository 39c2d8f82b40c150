/* SPDX-License-Identifier: MIT */
/* What the node's files share. */
#ifndef KERF_NODE_NODE_PRIV_H
#define KERF_NODE_NODE_PRIV_H

#include "node/node.h"
#include "net/slice_request.h"

#define KERF_NODE_SLICE_NAME "kerf-slice-"

struct kerf_node_graph {
	char key[KERF_SHA256_HEX]; /* digest of model and shapes */
	struct kerf_graph *graph;  /* NULL: free */
	uint64_t used_ns;
};

struct kerf_node {
	struct kerf_http_server *server;
	struct kerf_model_store *store;
	uint64_t start_ns, slice_bytes;
	struct kerf_node_serve *serve; /* NULL: none */

	uint32_t n_engine;
	struct kerf_engine *engine[KERF_NODE_ENGINES];
	struct kerf_engine_info engine_info[KERF_NODE_ENGINES];

	/* One model is loaded or packed at a time: both take much memory. */
	pthread_mutex_t prepare_lock;
	struct kerf_node_graph graph[KERF_NODE_GRAPHS];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct kerf_served *served; /* models and slices */
	uint32_t n_model, n_slice;
	uint64_t slices_made;
	uint64_t id_salt;
	uint32_t jobs_in_flight;
	uint64_t jobs, failures;

	/*
	 * Of parts. The keeper frees what was put where it cannot be freed, and ends what waits
	 * long.
	 */
	struct kerf_served *put; /* to be freed */
	bool stopping;
	bool has_keeper;
	pthread_t keeper;
	uint64_t part_timeout_ns;
	char label[96]; /* "10.77.0.2:8470", for sentences */
	bool insecure;
	const struct kerf_observer *observer; /* is told of messages to neighbours; NULL: nobody */
	pthread_mutex_t link_lock, probe_lock;
	struct kerf_node_link *link;

	/* This machine's load, as it was asked for last. */
	size_t (*load_text)(void *user, char *text, size_t size); /* NULL: nobody tells */
	void (*estimate)(void *user, const char *url, bool down, struct kerf_link_estimate *est);
	void *load_user;
	pthread_mutex_t load_lock;
	uint64_t load_ns;
	char load[KERF_LOAD_TEXT];
};

/* The load as text, terminated; empty if there is none. Any thread. */
void kerf_node_load(struct kerf_node *n, char text[KERF_LOAD_TEXT]);

extern const struct kerf_http_route kerf_node_routes[];

/* A reference to what has this name, or NULL. It counts as a use. */
struct kerf_served *kerf_node_get(struct kerf_node *n, const char *name);
void kerf_node_put(struct kerf_node *n, struct kerf_served *s);
/* One more reference, for who has one. */
void kerf_node_hold(struct kerf_node *n, struct kerf_served *s);
/* As put, from where nothing can be freed: a job's done, a connection's thread. */
void kerf_node_put_later(struct kerf_node *n, struct kerf_served *s);
/* step 1: a job begins; -1: it ended with status. */
void kerf_node_count_job(struct kerf_node *n, int step, int status);
/* part_keep.c: the keeper's thread; stopping fails what parts wait for, and waits for the rest. */
int kerf_node_keep(struct kerf_node *n, struct kerf_err *err);
void kerf_node_stop_parts(struct kerf_node *n);
void kerf_node_keep_end(struct kerf_node *n);

/* An engine by name; "" is the default. NULL if there is none. */
struct kerf_engine *kerf_node_engine(struct kerf_node *n, const char *name);

/*
 * Makes and publishes a slice; *s is a reference. -ENOENT if the model is not stored,
 * -ESTALE if the fingerprints differ, -ENOSPC if slices in use leave no room.
 */
int kerf_node_add_slice(struct kerf_node *n, const struct kerf_slice_request *q,
			struct kerf_served **s, struct kerf_err *err);
/* A reference to the slice of this id, or NULL. */
struct kerf_served *kerf_node_slice(struct kerf_node *n, const char *id);
/* Its name among slices. */
const char *kerf_node_slice_id(const struct kerf_served *s);
/* Takes it out of the table; jobs that run end well. -ENOENT. */
int kerf_node_drop_slice(struct kerf_node *n, const char *id);

/* /v2 */
void kerf_route_server(struct kerf_http_request *r);
void kerf_route_live(struct kerf_http_request *r);
void kerf_route_model(struct kerf_http_request *r);
void kerf_route_model_ready(struct kerf_http_request *r);
void kerf_route_infer_begin(struct kerf_http_request *r);
void kerf_route_infer_body(struct kerf_http_request *r, const void *data, size_t n);
void kerf_route_infer(struct kerf_http_request *r);
void kerf_route_infer_done(struct kerf_http_request *r);

/* /kerf/v1 */
void kerf_route_status(struct kerf_http_request *r);
void kerf_route_stored(struct kerf_http_request *r);
void kerf_route_upload_begin(struct kerf_http_request *r);
void kerf_route_upload_body(struct kerf_http_request *r, const void *data, size_t n);
void kerf_route_upload(struct kerf_http_request *r);
void kerf_route_upload_done(struct kerf_http_request *r);
void kerf_route_slice_new(struct kerf_http_request *r);
void kerf_route_slice(struct kerf_http_request *r);
void kerf_route_slice_profile(struct kerf_http_request *r);
void kerf_route_slice_delete(struct kerf_http_request *r);
void kerf_route_run_begin(struct kerf_http_request *r);
void kerf_route_port_begin(struct kerf_http_request *r);
void kerf_route_message_body(struct kerf_http_request *r, const void *data, size_t n);
void kerf_route_run(struct kerf_http_request *r);
void kerf_route_port(struct kerf_http_request *r);
void kerf_route_message_done(struct kerf_http_request *r);
void kerf_route_links(struct kerf_http_request *r);
void kerf_route_sink_begin(struct kerf_http_request *r);
void kerf_route_sink_body(struct kerf_http_request *r, const void *data, size_t n);
void kerf_route_sink(struct kerf_http_request *r);
void kerf_route_sink_done(struct kerf_http_request *r);
void kerf_route_source(struct kerf_http_request *r);

#endif
