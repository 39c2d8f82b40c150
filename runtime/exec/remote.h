/* SPDX-License-Identifier: MIT */
/*
 * The remote engine's two halves: remote.c talks about engines, models and slices,
 * remote_wire.c moves jobs.
 */
#ifndef KERF_EXEC_REMOTE_H
#define KERF_EXEC_REMOTE_H

#include "exec/engine.h"
#include "net/http_client.h"
#include "net/oip.h"

#include <pthread.h>

/* Digits of a request's number in a head: as many as any has, so that heads are of one size. */
#define REMOTE_NUMBER_DIGITS 20
/* Connections of one engine, however many parts it has. */
#define REMOTE_MAX_CONNS 32

struct remote_conn;

struct remote_engine {
	struct kerf_engine base;
	struct kerf_engine_info info;
	char url[256], host[256], engine[64]; /* "http://h:p", "h:p", "cpu" or "" */
	bool insecure;
	const struct kerf_observer *observer; /* NULL: nobody is told */

	/* Calls other than jobs, one at a time. */
	pthread_mutex_t call_lock;
	struct kerf_http_client *client;

	/* Jobs. */
	pthread_mutex_t lock;
	struct kerf_job *queue, **queue_tail; /* waiting for a connection */
	struct remote_conn *conn;
	uint32_t n_conn; /* of them to be used; grows */
	struct remote_conn *line; /* the first one's turn it is to send (remote_turn.c) */
	bool dead, stop;
	struct kerf_err lost; /* why it is dead */
	bool look; /* the reactor's: a connection needs its attention */
	int epoll_fd, event_fd;
	pthread_t reactor;

	/* Signs of life (remote_life.c): the reactor's, but for those that any thread sets. */
	uint64_t patience_ns;
	struct kerf_wire *question;	 /* NULL: none is under way */
	uint64_t asked_ns, heard_ns;	 /* asked: 0: not */
	bool heard;			 /* something moved since the last look; any thread */
	bool suspect;			 /* it said good-bye to an idle connection */
	bool told;
	pthread_mutex_t watch_lock;	 /* of who watches; held while they are told */
	struct kerf_watch *watch;
	uint64_t calling_ns;		 /* since when a call is under way, 0: none; any thread */
};

struct remote_program {
	struct kerf_program base;
	struct kerf_program_info info;
	char id[64], name[96]; /* the peer's slice, and its name as a model */
	struct kerf_oip_io *in, *out;
	struct kerf_oip_spec spec;
	bool bounded;	/* an output's dims may shrink */
	bool raw;	/* bodies are messages of ports, without OIP headers */
	char *head;	/* HTTP head of every job */
	size_t head_size;
	size_t number_at; /* where in head the job's request number goes; 0: nowhere */
	struct remote_program *failure; /* of a part: says that a request failed */
	char *reply;	/* OIP header of a reply whose outputs have their full shapes */
	size_t reply_size;
	uint64_t in_bytes, out_bytes;
};

/* n connections, opened when first needed; a thread that waits on them. */
int remote_wire_init(struct remote_engine *e, uint32_t n, struct kerf_err *err);
void remote_wire_finish(struct remote_engine *e);
/* n connections more, as far as there may be: parts wait in them for their neighbours. */
void remote_wire_grow(struct remote_engine *e, uint32_t n);
int remote_wire_submit(struct kerf_job *job);
void remote_wire_cancel(struct kerf_job *job);

/* 0 or -ENODEV, with the reason why the engine is dead. */
int remote_wire_lost(struct remote_engine *e, struct kerf_err *err);
/* The peer is gone: the engine is dead. why's sentence, or none. */
void remote_wire_lose(struct remote_engine *e, const struct kerf_err *why);

/* remote_life.c. A patience of 0 becomes 10 s. */
void remote_life_init(struct remote_engine *e);
void remote_life_finish(struct remote_engine *e);
int remote_life_tick_ms(const struct remote_engine *e); /* how often to look */
void remote_life_heard(struct remote_engine *e); /* something moved; any thread */
/* Tells who watches that the engine is dead; once. The reactor's. */
void remote_life_tell(struct remote_engine *e);
void remote_life_watch(struct kerf_engine *engine, struct kerf_watch *w);
void remote_life_unwatch(struct kerf_engine *engine, struct kerf_watch *w);
void remote_life_answered(struct remote_engine *e);
/*
 * A look; since_ns: when the oldest thing that is waited for began, 0: there is none. May block 2
 * s.
 */
bool remote_life_lost(struct remote_engine *e, uint64_t since_ns, struct kerf_err *why);

/*
 * kerf_http_call(), ok: kerf_http_call_ok(), broken off when the peer is lost, and not begun if it
 * is already. A peer that cannot be reached or does not answer in time is lost for others too. With
 * e->call_lock, once there are jobs.
 */
int remote_call(struct remote_engine *e, struct kerf_http_call *call, bool ok,
		struct kerf_http_result *res, struct kerf_err *err);

/* remote_profile.c */
int kerf_remote_profile(struct kerf_program *program, const struct kerf_tensor *in,
			struct kerf_tensor *out, uint64_t *op_ns);

#endif
