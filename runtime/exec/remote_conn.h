/* SPDX-License-Identifier: MIT */
/* One connection of a remote engine, for the files that work on it; c->lock for all of it. */
#ifndef KERF_EXEC_REMOTE_CONN_H
#define KERF_EXEC_REMOTE_CONN_H

#include "exec/remote.h"
#include "net/http_head.h"

/* Head and OIP header of a reply; of its data only what one read brings along. */
#define REMOTE_HEAD_ROOM (64u << 10)
/* Of the reply of a peer that refuses this much is kept, to say why. */
#define REMOTE_REFUSAL_MAX (REMOTE_HEAD_ROOM / 2)

struct remote_conn {
	struct remote_engine *e;
	pthread_mutex_t lock;
	struct kerf_wire *wire; /* NULL: not connected */
	bool connected;		/* the same, for a look from outside c->lock */
	struct kerf_job *job;	/* changes under e->lock; NULL: free to take */
	bool started;		/* job is on its way */
	bool canceled, retried, wants_out;
	struct remote_conn *next_in_line;
	uint64_t deadline_ns;
	bool moved; /* something did, since it was looked at */
	int unsent; /* in the socket, when it was looked at */

	/* Sending: the first bytes lie in tx, the rest in the job's inputs. */
	size_t tx_size, tx_done;
	uint64_t sent;	  /* of the inputs, including what lies in tx */
	char *tx;

	/* Receiving. */
	char *rx;
	size_t rx_size;	  /* bytes in rx */
	bool in_data;	  /* heads are read; data goes to the outputs */
	struct kerf_http_head head;
	uint64_t received; /* of the outputs */
	uint64_t expected;

	/* For the observer. */
	uint64_t cookie;
	uint64_t first_ns; /* the reply's first read was over, and brought first_bytes */
	size_t first_bytes, heads;
	bool waited; /* for more of the reply, after that */
	/* The load that was told last. */
	char load[KERF_LOAD_TEXT];
	size_t load_size;
	uint64_t load_ns;
};

static inline struct remote_program *remote_program_of(const struct kerf_job *job)
{
	return (struct remote_program *)job->program;
}

/*
 * remote_reply.c: reads what has come. 1: the reply is whole; 0: more to come; or a negative errno.
 */
int remote_reply_read(struct remote_conn *c);
bool remote_reply_good(const struct remote_conn *c);

/*
 * remote_turn.c: whose turn it is to send. take(): true if it is c's now, else c is in the line.
 * leave(): c has sent all, or will not; who is next is launched by the reactor.
 */
void remote_turn_prepare(const struct remote_conn *c); /* it was just connected */
bool remote_turn_take(struct remote_conn *c);
bool remote_turn_is(const struct remote_conn *c);
bool remote_turn_nearly_sent(const struct remote_conn *c); /* all that the socket has taken */
void remote_turn_leave(struct remote_conn *c);

#endif
