/* SPDX-License-Identifier: MIT */
#include "telemetry/peers.h"

#include "telemetry/load_text.h"
#include "telemetry/predict.h"
#include "telemetry/record.h"
#include "telemetry/running.h"
#include "telemetry/tcp_info.h"
#include "util/clock.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TOLD 32
/* A transfer that has failed is not told: what it showed is not believed for longer. */
#define SHOWN_NS 10000000000u

struct peer {
	char url[KERF_URL_BYTES]; /* empty: free */
	uint64_t used_ns;
	uint32_t n_conn;
	struct kerf_predictor *up, *down;
	uint32_t rtt_us, min_rtt_us;
	uint32_t retransmits_gone; /* of connections that are closed */
	uint64_t acked, acked_before; /* bytes; as the window began */
	uint64_t goodput_bytes_s;
	struct kerf_node_load load;
	uint32_t loads_refused;
	char refused[KERF_REASON_BYTES];
	double rate[KERF_PEER_RATES]; /* of transfers up; number i, from 0, at i % KERF_PEER_RATES */
	uint64_t n_rate;
};

struct conn {
	struct peer *peer; /* NULL: free */
	int fd;
	uint64_t cookie;
	uint32_t at; /* where its record was last time */
	struct kerf_link_rec last; /* cookie 0: never seen */
	struct kerf_running running;
	uint64_t acked_before; /* when that began */
};

/* A transfer that was told to begin. */
struct begun {
	int fd;
	uint64_t cookie, start_ns, bytes; /* bytes 0: a free place */
	uint64_t acked;
};

/* A transfer that nothing was learned from yet. */
struct told {
	char url[KERF_URL_BYTES];
	struct kerf_transfer t;
};

struct kerf_peers {
	struct kerf_peers_config cfg;

	/*
	 * Learning takes some 20 us, and whoever tells has a job waiting: it is done when somebody
	 * asks, or at the next sample. Of more than fit, the oldest are forgotten, so thousands of
	 * small jobs a second do not cost more than a few dozen.
	 */
	pthread_mutex_t told_lock, learn_lock; /* learn_lock is taken before lock and told_lock */
	struct told told[TOLD];
	uint64_t n_told, n_learned;
	/* Under told_lock too; those from n_begun on are free. */
	struct begun begun[KERF_STATE_LINKS];
	uint32_t n_begun;

	pthread_mutex_t lock;
	struct peer peer[KERF_PEERS];
	struct conn conn[KERF_STATE_LINKS];
	uint64_t window_ns; /* when it began */
	uint64_t transfers;
	struct kerf_transfer_rec *log;
};

int kerf_peers_open(const struct kerf_peers_config *cfg, struct kerf_peers **out,
		    struct kerf_err *err)
{
	struct kerf_peers *p = calloc(1, sizeof(*p));

	*out = NULL;
	if (!p)
		return kerf_fail(err, -ENOMEM, "telemetry: out of memory");
	p->cfg = *cfg;
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->told_lock, NULL);
	pthread_mutex_init(&p->learn_lock, NULL);
	*out = p;
	return 0;
}

static void free_peer(struct peer *peer)
{
	kerf_predictor_close(peer->up);
	kerf_predictor_close(peer->down);
	memset(peer, 0, sizeof(*peer));
}

void kerf_peers_close(struct kerf_peers *p)
{
	uint32_t i;

	if (!p)
		return;
	for (i = 0; i < KERF_PEERS; i++)
		free_peer(&p->peer[i]);
	pthread_mutex_destroy(&p->learn_lock);
	pthread_mutex_destroy(&p->told_lock);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* --- the table, under the lock --- */

static struct peer *find(struct kerf_peers *p, const char *url)
{
	uint32_t i;

	for (i = 0; i < KERF_PEERS; i++)
		if (p->peer[i].url[0] && !strcmp(p->peer[i].url, url))
			return &p->peer[i];
	return NULL;
}

/* Finds it or makes it; NULL: no room, as all have connections, or no memory. */
static struct peer *get(struct kerf_peers *p, const char *url)
{
	struct peer *peer = find(p, url), *idle = NULL;
	uint32_t i;

	if (!peer && url[0] && strlen(url) < KERF_URL_BYTES) {
		for (i = 0; i < KERF_PEERS; i++) {
			peer = &p->peer[i];
			/* A free one was used at 0, before any other. */
			if (!peer->n_conn && (!idle || peer->used_ns < idle->used_ns))
				idle = peer;
		}
		peer = idle;
		if (peer) {
			free_peer(peer);
			if (kerf_predictor_open(NULL, &peer->up, NULL) ||
			    kerf_predictor_open(NULL, &peer->down, NULL)) {
				free_peer(peer);
				return NULL;
			}
			snprintf(peer->url, sizeof(peer->url), "%s", url);
		}
	}
	if (peer)
		peer->used_ns = kerf_now_ns();
	return peer;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) ? 0 : cookie;
}

/* The program's record of c, wherever it stands. */
static bool read_link(const struct kerf_peers *p, struct conn *c, struct kerf_link_rec *rec)
{
	uint32_t i;

	for (i = 0; i <= KERF_STATE_LINKS; i++) {
		uint32_t at = i ? i - 1 : c->at;
		const struct kerf_link_rec *from = &p->cfg.link[at];

		if (__atomic_load_n(&from->cookie, __ATOMIC_RELAXED) == c->cookie &&
		    kerf_record_read(from, rec, sizeof(*rec)) && rec->cookie == c->cookie &&
		    rec->life == KERF_LINK_LIVE) {
			c->at = at;
			return true;
		}
	}
	return false;
}

static bool read_conn(const struct kerf_peers *p, struct conn *c, uint64_t now_ns,
		      struct kerf_link_rec *rec)
{
	if (!c->cookie)
		return false;
	if (p->cfg.link && read_link(p, c, rec))
		return true;
	/* The cookie tells whether it still is the socket that was meant. */
	return p->cfg.sockets && !kerf_tcp_info_read(c->fd, now_ns, rec) &&
	       rec->cookie == c->cookie;
}

static void look(struct kerf_peers *p, struct conn *c, uint64_t now_ns)
{
	struct kerf_link_rec rec;

	if (!read_conn(p, c, now_ns, &rec))
		return;
	if (rec.bytes_acked >= c->acked_before)
		kerf_running_look(&c->running, c->peer->up, rec.bytes_acked - c->acked_before,
				  now_ns);
	if (rec.bytes_acked > c->last.bytes_acked)
		c->peer->acked += rec.bytes_acked - c->last.bytes_acked;
	/* What has not changed was seen already. */
	if (rec.updated_ns != c->last.updated_ns)
		kerf_predictor_link(c->peer->up, &rec);
	c->last = rec;
}

/* --- transfers that run --- */

/* Under told_lock; of fd, or if that is -1 the one that began at start_ns on cookie. */
static void end_begun(struct kerf_peers *p, int fd, uint64_t cookie, uint64_t start_ns)
{
	uint32_t i;

	for (i = 0; i < p->n_begun; i++) {
		struct begun *b = &p->begun[i];

		if (fd >= 0 ? b->fd == fd : b->cookie == cookie && b->start_ns == start_ns)
			b->bytes = 0;
	}
	while (p->n_begun && !p->begun[p->n_begun - 1].bytes)
		p->n_begun--;
}

static bool acked_by_now(const struct kerf_peers *p, int fd, uint64_t cookie, uint64_t *acked)
{
	struct conn c = {.fd = fd, .cookie = cookie};
	struct kerf_link_rec rec;

	/* The socket first: a program's record may be a round trip old. */
	if ((!p->cfg.sockets || kerf_tcp_info_read(fd, kerf_now_ns(), &rec) ||
	     rec.cookie != cookie) &&
	    !(p->cfg.link && read_link(p, &c, &rec)))
		return false;
	*acked = rec.bytes_acked;
	return true;
}

void kerf_peers_started(struct kerf_peers *p, const char *url, int fd,
			const struct kerf_transfer *t)
{
	struct begun b = {.fd = fd, .cookie = t->cookie, .start_ns = t->start_ns,
			  .bytes = t->bytes};
	bool seen = t->cookie && acked_by_now(p, fd, t->cookie, &b.acked);
	uint32_t i;

	pthread_mutex_lock(&p->told_lock);
	end_begun(p, fd, 0, 0);
	for (i = 0; i < p->n_begun && p->begun[i].bytes; i++)
		;
	if (seen && b.bytes && i < KERF_STATE_LINKS) {
		p->begun[i] = b;
		p->n_begun = KERF_MAX(p->n_begun, i + 1);
	}
	pthread_mutex_unlock(&p->told_lock);
}

/* Under the lock: what was told to begin or to end, to the connections. */
static void follow(struct kerf_peers *p)
{
	uint32_t i, k;

	pthread_mutex_lock(&p->told_lock);
	for (i = 0; i < KERF_STATE_LINKS; i++) {
		struct conn *c = &p->conn[i];
		const struct begun *b = NULL;

		for (k = 0; k < p->n_begun && c->peer && !b; k++)
			if (p->begun[k].bytes && p->begun[k].fd == c->fd &&
			    p->begun[k].cookie == c->cookie)
				b = &p->begun[k];
		if (!b) {
			c->running.bytes = 0;
		} else if (!c->running.bytes || c->running.start_ns != b->start_ns) {
			kerf_running_begin(&c->running, b->start_ns, b->bytes);
			c->acked_before = b->acked;
		}
	}
	pthread_mutex_unlock(&p->told_lock);
}

static bool on_the_way(const struct conn *c)
{
	return c->peer && c->running.bytes && !c->running.whole;
}

/* Two at once share the link, and each is slower than either would be. */
static void mark_shared(struct kerf_peers *p)
{
	struct conn *one[KERF_PEERS] = {NULL};
	uint32_t i;

	for (i = 0; i < KERF_STATE_LINKS; i++) {
		struct conn *c = &p->conn[i], **first = NULL;

		if (!on_the_way(c))
			continue;
		first = &one[c->peer - p->peer];
		if (*first)
			(*first)->running.shared = c->running.shared = true;
		*first = c;
	}
}

/* What was seen last of a transfer that began with another estimate takes its place. */
static void correct(const struct kerf_peers *p, const struct peer *peer, uint64_t now_ns,
		    struct kerf_link_estimate *est)
{
	const struct kerf_running *newest = NULL;
	uint32_t i;

	for (i = 0; i < KERF_STATE_LINKS; i++) {
		const struct kerf_running *r = &p->conn[i].running;

		if (p->conn[i].peer == peer && r->bytes && r->corrected && !r->shared &&
		    now_ns < r->seen_ns + SHOWN_NS && (!newest || r->seen_ns > newest->seen_ns))
			newest = r;
	}
	if (newest)
		*est = newest->now;
}

/* A short transfer may fall between two samples: what the kernel saw of it is seen now. */
static void look_again(struct kerf_peers *p, uint64_t cookie)
{
	uint32_t i;

	for (i = 0; i < KERF_STATE_LINKS && cookie; i++)
		if (p->conn[i].peer && p->conn[i].cookie == cookie)
			look(p, &p->conn[i], kerf_now_ns());
}

static void forget(struct conn *c)
{
	c->peer->n_conn--;
	c->peer->retransmits_gone += c->last.retransmits;
	c->peer->used_ns = kerf_now_ns();
	memset(c, 0, sizeof(*c));
}

/* --- what observers are told --- */

void kerf_peers_connected(struct kerf_peers *p, const char *url, int fd)
{
	struct conn *c = NULL;
	struct peer *peer;
	uint32_t i;

	pthread_mutex_lock(&p->told_lock);
	end_begun(p, fd, 0, 0);
	pthread_mutex_unlock(&p->told_lock);
	pthread_mutex_lock(&p->lock);
	for (i = 0; i < KERF_STATE_LINKS; i++) {
		/* One that closed without a word: its number was given again. */
		if (p->conn[i].peer && p->conn[i].fd == fd)
			forget(&p->conn[i]);
		if (!c && !p->conn[i].peer)
			c = &p->conn[i];
	}
	peer = c ? get(p, url) : NULL;
	if (peer) {
		*c = (struct conn){.peer = peer, .fd = fd, .cookie = cookie_of(fd)};
		peer->n_conn++;
		look(p, c, kerf_now_ns());
	}
	pthread_mutex_unlock(&p->lock);
}

static uint64_t to_ns(double s)
{
	return s > 0 && s < 1e9 ? (uint64_t)(s * 1e9) : 0;
}

static void log_transfer(struct kerf_peers *p, const struct peer *peer,
			 const struct kerf_transfer *t, const struct kerf_link_estimate *est)
{
	double low, high, s = kerf_estimate_s(est, (double)t->bytes, &low, &high);
	struct kerf_transfer_rec rec = {
		.node = (uint32_t)(peer - p->peer) + 1,
		.number = ++p->transfers,
		.transfer = *t,
	};

	if (isfinite(s)) {
		rec.predicted_ns = to_ns(s);
		rec.low_ns = to_ns(low);
		rec.high_ns = to_ns(high);
	}
	if (p->log)
		kerf_record_write(&p->log[rec.number % KERF_STATE_TRANSFERS], &rec, sizeof(rec));
}

void kerf_peers_transfer(struct kerf_peers *p, const char *url, const struct kerf_transfer *t)
{
	struct told *told;

	if (t->end_ns <= t->start_ns || t->hold_ns >= t->end_ns - t->start_ns || !t->bytes ||
	    strlen(url) >= KERF_URL_BYTES)
		return;
	pthread_mutex_lock(&p->told_lock);
	told = &p->told[p->n_told++ % TOLD];
	strcpy(told->url, url);
	told->t = *t;
	if (!t->down && t->cookie)
		end_begun(p, -1, t->cookie, t->start_ns);
	pthread_mutex_unlock(&p->told_lock);
}

#define RATE_BYTES 16384u /* what is smaller tells of latency */

/* What is left of a transfer's time beside the latency that was known, half of it at least. */
static void keep_rate(struct peer *peer, const struct kerf_transfer *t,
		      const struct kerf_link_estimate *est)
{
	double s = (double)(t->end_ns - t->start_ns - t->hold_ns) * 1e-9;
	double latency_s = est->rate_bytes_s ? (double)est->latency_ns * 1e-9 : 0;

	if (t->bytes < RATE_BYTES)
		return;
	if (latency_s > 0)
		s = s - latency_s > s / 2 ? s - latency_s : s / 2;
	peer->rate[peer->n_rate++ % KERF_PEER_RATES] = (double)t->bytes / s;
}

static void learn(struct kerf_peers *p, const char *url, const struct kerf_transfer *t)
{
	struct kerf_link_estimate est;
	struct kerf_predictor *with;
	struct peer *peer;

	pthread_mutex_lock(&p->lock);
	peer = get(p, url);
	if (peer) {
		with = t->down ? peer->down : peer->up;
		kerf_predictor_estimate(with, t->start_ns, &est);
		log_transfer(p, peer, t, &est);
		if (!t->down) {
			look_again(p, t->cookie);
			keep_rate(peer, t, &est);
		}
		kerf_predictor_learn(with, t);
		/* Where no connection can be asked, goodput is what the runtime saw itself. */
		if (!p->cfg.link && !p->cfg.sockets && !t->down)
			peer->acked += t->bytes;
	}
	pthread_mutex_unlock(&p->lock);
}

/* What was told until now, so TOLD at most, however fast more is told. Not under the lock. */
static void learn_all(struct kerf_peers *p)
{
	uint64_t until, passed = 0;
	struct told told;
	bool more;

	pthread_mutex_lock(&p->learn_lock);
	pthread_mutex_lock(&p->told_lock);
	until = p->n_told;
	pthread_mutex_unlock(&p->told_lock);
	do {
		pthread_mutex_lock(&p->told_lock);
		if (p->n_told - p->n_learned > TOLD) {
			passed += p->n_told - TOLD - p->n_learned;
			p->n_learned = p->n_told - TOLD;
		}
		more = p->n_learned < until;
		if (more)
			told = p->told[p->n_learned++ % TOLD];
		pthread_mutex_unlock(&p->told_lock);
		if (more)
			learn(p, told.url, &told.t);
	} while (more);
	/* Readers of the log see by the numbers that some are missing. */
	pthread_mutex_lock(&p->lock);
	p->transfers += passed;
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&p->learn_lock);
}

void kerf_peers_disconnected(struct kerf_peers *p, const char *url, int fd)
{
	uint32_t i;

	/* While the connection can still be asked. */
	learn_all(p);
	pthread_mutex_lock(&p->told_lock);
	end_begun(p, fd, 0, 0);
	pthread_mutex_unlock(&p->told_lock);
	pthread_mutex_lock(&p->lock);
	for (i = 0; i < KERF_STATE_LINKS; i++) {
		struct conn *c = &p->conn[i];

		if (c->peer && c->fd == fd && !strcmp(c->peer->url, url)) {
			look(p, c, kerf_now_ns());
			forget(c);
		}
	}
	pthread_mutex_unlock(&p->lock);
}

void kerf_peers_load(struct kerf_peers *p, const char *url, const char *text, size_t n)
{
	struct kerf_node_load load;
	struct kerf_err err = {""};
	char line[KERF_URL_BYTES + sizeof(err.msg)];
	int r = kerf_load_parse(text, n, kerf_now_ns(), &load, &err);
	bool first = false;
	struct peer *peer;

	pthread_mutex_lock(&p->lock);
	peer = get(p, url);
	if (peer && !r)
		peer->load = load;
	if (peer && r) {
		first = !peer->loads_refused;
		peer->loads_refused += peer->loads_refused != UINT32_MAX;
		if (first)
			snprintf(peer->refused, sizeof(peer->refused), "%.*s",
				 (int)sizeof(peer->refused) - 1, err.msg);
	}
	pthread_mutex_unlock(&p->lock);
	if (first && p->cfg.warn) {
		snprintf(line, sizeof(line), "%s: %s", url, err.msg);
		p->cfg.warn(p->cfg.warn_user, line);
	}
}

/* --- what is made of it --- */

/* The connection with the least smoothed round trip speaks for the path. */
static void best_rtt(struct kerf_peers *p)
{
	uint32_t best[KERF_PEERS], i;

	memset(best, 0xff, sizeof(best));
	for (i = 0; i < KERF_STATE_LINKS; i++) {
		const struct conn *c = &p->conn[i];
		size_t at = c->peer ? (size_t)(c->peer - p->peer) : 0;

		if (!c->peer || !(c->last.has & KERF_LINK_HAS_RTT) || !c->last.srtt_us ||
		    c->last.srtt_us >= best[at])
			continue;
		best[at] = c->last.srtt_us;
		c->peer->rtt_us = c->last.srtt_us;
		c->peer->min_rtt_us = c->last.min_rtt_us;
	}
}

void kerf_peers_sample(struct kerf_peers *p, uint64_t now_ns, bool end)
{
	uint32_t i;

	learn_all(p);
	pthread_mutex_lock(&p->lock);
	follow(p);
	for (i = 0; i < KERF_STATE_LINKS; i++)
		if (p->conn[i].peer)
			look(p, &p->conn[i], now_ns);
	mark_shared(p);
	best_rtt(p);
	for (i = 0; i < KERF_PEERS && end; i++) {
		struct peer *peer = &p->peer[i];
		uint64_t bytes = peer->acked - peer->acked_before;

		if (now_ns > p->window_ns)
			peer->goodput_bytes_s =
				(uint64_t)((double)bytes * 1e9 / (double)(now_ns - p->window_ns));
		peer->acked_before = peer->acked;
	}
	if (end)
		p->window_ns = now_ns;
	pthread_mutex_unlock(&p->lock);
}

static void show_running(const struct kerf_running *r, struct kerf_node_state *node)
{
	node->running_bytes = r->bytes;
	node->running_acked_bytes = r->acked;
	node->running_since_ns = r->start_ns;
	node->running_expected_ns = to_ns(r->expected_s);
	node->running_low_ns = to_ns(r->low_s);
	node->running_high_ns = to_ns(r->high_s);
}

uint32_t kerf_peers_state(struct kerf_peers *p, uint64_t now_ns, struct kerf_node_state *node)
{
	uint32_t i, n = 0;

	learn_all(p);
	pthread_mutex_lock(&p->lock);
	follow(p);
	for (i = 0; i < KERF_PEERS; i++) {
		const struct peer *peer = &p->peer[i];

		if (!peer->url[0]) {
			if (node[i].url[0])
				memset(&node[i], 0, sizeof(node[i]));
			continue;
		}
		memcpy(node[i].url, peer->url, sizeof(peer->url));
		node[i].connections = peer->n_conn;
		node[i].rtt_us = peer->rtt_us;
		node[i].min_rtt_us = peer->min_rtt_us;
		node[i].retransmits = peer->retransmits_gone;
		node[i].goodput_bytes_s = peer->goodput_bytes_s;
		kerf_predictor_estimate(peer->up, now_ns, &node[i].up);
		correct(p, peer, now_ns, &node[i].up);
		show_running(&(struct kerf_running){.bytes = 0}, &node[i]);
		kerf_predictor_estimate(peer->down, now_ns, &node[i].down);
		node[i].load = peer->load;
		node[i].loads_refused = peer->loads_refused;
		memcpy(node[i].refused, peer->refused, sizeof(peer->refused));
		n = i + 1;
	}
	for (i = 0; i < KERF_STATE_LINKS; i++) {
		const struct conn *c = &p->conn[i];
		struct kerf_node_state *to = c->peer ? &node[c->peer - p->peer] : NULL;

		if (!to)
			continue;
		to->retransmits += c->last.retransmits;
		if (on_the_way(c) &&
		    (!to->running_bytes || c->running.start_ns < to->running_since_ns))
			show_running(&c->running, to);
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

void kerf_peers_estimate(struct kerf_peers *p, const char *url, bool down, uint64_t now_ns,
			 struct kerf_link_estimate *est)
{
	struct peer *peer;
	uint32_t i;

	memset(est, 0, sizeof(*est));
	learn_all(p);
	pthread_mutex_lock(&p->lock);
	peer = find(p, url);
	if (peer)
		kerf_predictor_estimate(down ? peer->down : peer->up, now_ns, est);
	if (peer && !down) {
		follow(p);
		for (i = 0; i < KERF_STATE_LINKS; i++)
			if (p->conn[i].peer == peer && on_the_way(&p->conn[i]))
				look(p, &p->conn[i], now_ns);
		mark_shared(p);
		correct(p, peer, now_ns, est);
	}
	pthread_mutex_unlock(&p->lock);
}

uint32_t kerf_peers_rates(struct kerf_peers *p, const char *url, double *rate, uint32_t max,
			  uint64_t *all)
{
	const struct peer *peer;
	uint64_t n = 0, i, last = 0;

	learn_all(p);
	pthread_mutex_lock(&p->lock);
	peer = find(p, url);
	if (peer) {
		last = peer->n_rate;
		n = last < KERF_PEER_RATES ? last : KERF_PEER_RATES;
		n = n < max ? n : max;
		for (i = 0; i < n; i++)
			rate[i] = peer->rate[(last - n + i) % KERF_PEER_RATES];
	}
	pthread_mutex_unlock(&p->lock);
	if (all)
		*all = last;
	return (uint32_t)n;
}

void kerf_peers_links(struct kerf_peers *p, struct kerf_link_rec *out)
{
	uint32_t i;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < KERF_STATE_LINKS; i++)
		out[i] = p->conn[i].last;
	pthread_mutex_unlock(&p->lock);
}

void kerf_peers_log(struct kerf_peers *p, struct kerf_transfer_rec *ring)
{
	pthread_mutex_lock(&p->lock);
	p->log = ring;
	pthread_mutex_unlock(&p->lock);
}
