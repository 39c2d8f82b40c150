/* SPDX-License-Identifier: MIT */
/* The parts joined: sources opened from the best down, one thread that samples them. */
#include "telemetry/telemetry.h"

#include "telemetry/engine_load.h"
#include "telemetry/ladder.h"
#include "telemetry/load.h"
#include "telemetry/load_text.h"
#include "telemetry/peers.h"
#include "telemetry/privileges.h"
#include "telemetry/share.h"
#include "util/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PERIOD_MS 50
/* Connections are looked at each period; a window, which loads are means of, is longer. */
#define PERIODS_WINDOW 2
#define RETRY_NS 1000000000u

struct kerf_telemetry {
	struct kerf_telemetry_config cfg;
	struct kerf_state_head head;
	struct kerf_bpf *bpf;
	struct kerf_load *load;
	struct kerf_peers *peers;
	struct kerf_observer observer;

	/* The sampler's. */
	pthread_t thread;
	bool running;
	uint32_t period;
	uint64_t retried_ns;
	struct kerf_engine_window window;
	struct kerf_engine_rec engine[KERF_ENGINE_WINDOW];
	struct kerf_node_state node[KERF_PEERS];
	struct kerf_link_rec link[KERF_STATE_LINKS];

	pthread_mutex_t engines_lock;
	kerf_engines_fn engines;
	void *engines_user;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	struct kerf_state state;
	struct kerf_share *share; /* NULL: nobody can read */
};

/* --- one sample --- */

/* The kernel's engines, then this process's. */
static uint32_t read_engines(struct kerf_telemetry *t)
{
	const struct kerf_engine_rec *kernel = NULL;
	uint32_t n = 0, i;
	size_t size;
	int fd;

	if (t->bpf)
		kernel = kerf_bpf_region(t->bpf, KERF_REGION_ENGINES, &fd, &size);
	for (i = 0; kernel && i < KERF_STATE_ENGINES; i++)
		if (__atomic_load_n(&kernel[i].kind, __ATOMIC_ACQUIRE))
			t->engine[n++] = kernel[i];
	pthread_mutex_lock(&t->engines_lock);
	if (t->engines)
		n += t->engines(t->engines_user, t->engine + n, KERF_ENGINE_WINDOW - n);
	pthread_mutex_unlock(&t->engines_lock);
	return n;
}

static void end_window(struct kerf_telemetry *t, uint64_t now, struct kerf_node_load *load)
{
	uint32_t n;

	if (t->load)
		kerf_load_sample(t->load, now, load);
	load->updated_ns = now;
	n = read_engines(t);
	kerf_engine_window_end(&t->window, t->engine, n, now, load);
	pthread_mutex_lock(&t->lock);
	if (t->state.updated_ns)
		t->state.window_ns = (uint32_t)(now - t->state.node[0].load.updated_ns);
	t->state.node[0].load = *load;
	if (t->share) {
		kerf_share_cpus(t->share, t->load ? kerf_load_cpus(t->load) : NULL);
		kerf_share_zones(t->share, t->load ? kerf_load_zones(t->load) : NULL);
		kerf_share_engines(t->share, t->engine, n);
	}
	pthread_mutex_unlock(&t->lock);
}

/* What was not there when we opened may have come: kerf's module. */
static void retry(struct kerf_telemetry *t, uint64_t now)
{
	struct kerf_state_head head = t->head;

	if (!t->bpf || now - t->retried_ns < RETRY_NS)
		return;
	t->retried_ns = now;
	kerf_bpf_retry(t->bpf);
	kerf_ladder_regions(t->bpf, t->cfg.best, &head);
	if (!memcmp(head.region, t->head.region, sizeof(head.region)))
		return;
	pthread_mutex_lock(&t->lock);
	t->head = head;
	if (t->share)
		kerf_share_regions(t->share, &head);
	pthread_mutex_unlock(&t->lock);
}

static void sample(struct kerf_telemetry *t)
{
	struct kerf_node_load load = {0};
	uint64_t now = kerf_now_ns();
	bool end = t->period++ % PERIODS_WINDOW == 0;
	uint32_t n;

	kerf_peers_sample(t->peers, now, end);
	if (end)
		end_window(t, now, &load);
	n = kerf_peers_state(t->peers, now, t->node);
	pthread_mutex_lock(&t->lock);
	/* Most places are free, and were before. */
	memcpy(t->state.node + 1, t->node,
	       (KERF_MAX(n + 1, t->state.n_node) - 1) * sizeof(t->node[0]));
	t->state.n_node = n + 1;
	t->state.updated_ns = now;
	if (t->share) {
		kerf_share_state(t->share, &t->state);
		kerf_peers_links(t->peers, t->link);
		kerf_share_links(t->share, t->link);
		kerf_share_beat(t->share, now);
	}
	pthread_mutex_unlock(&t->lock);
}

static void *sampler(void *arg)
{
	struct kerf_telemetry *t = arg;
	uint64_t period = t->cfg.period_ms * 1000000ull, next = kerf_now_ns() + period;
	bool stop = false;

	while (!stop) {
		struct timespec until = {(time_t)(next / 1000000000), (long)(next % 1000000000)};
		uint64_t now;

		pthread_mutex_lock(&t->lock);
		while (!t->stop && kerf_now_ns() < next)
			pthread_cond_timedwait(&t->wake, &t->lock, &until);
		stop = t->stop;
		pthread_mutex_unlock(&t->lock);
		if (stop)
			break;
		sample(t);
		retry(t, kerf_now_ns());
		/* Late once is not early the next time. */
		now = kerf_now_ns();
		next = KERF_MAX(next + period, now + period / 2);
	}
	return NULL;
}

/* --- what the observer is told --- */

static void connected(void *user, const char *url, int fd)
{
	struct kerf_telemetry *t = user;

	kerf_peers_connected(t->peers, url, fd);
}

static void disconnected(void *user, const char *url, int fd)
{
	struct kerf_telemetry *t = user;

	kerf_peers_disconnected(t->peers, url, fd);
}

static void transfer(void *user, const char *url, const struct kerf_transfer *tr)
{
	struct kerf_telemetry *t = user;

	kerf_peers_transfer(t->peers, url, tr);
}

static void started(void *user, const char *url, int fd, const struct kerf_transfer *tr)
{
	struct kerf_telemetry *t = user;

	kerf_peers_started(t->peers, url, fd, tr);
}

static void peer_load(void *user, const char *url, const char *text, size_t n)
{
	struct kerf_telemetry *t = user;

	kerf_peers_load(t->peers, url, text, n);
}

/* --- opening and closing --- */

static const void *region(const struct kerf_telemetry *t, enum kerf_region r)
{
	size_t size;
	int fd;

	return t->bpf ? kerf_bpf_region(t->bpf, r, &fd, &size) : NULL;
}

/* A file that was named and is none would only show as sources that fail. */
static int check_btf(const char *path, struct kerf_err *err)
{
	unsigned char magic[4] = {0};
	FILE *f = fopen(path, "re");
	bool raw, elf;

	if (!f)
		return kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (fread(magic, 1, sizeof(magic), f) != sizeof(magic))
		magic[0] = 0;
	fclose(f);
	raw = magic[0] == 0x9f && magic[1] == 0xeb;
	elf = !memcmp(magic, "\177ELF", 4);
	return raw || elf ? 0 : kerf_fail(err, -EINVAL, "%s: neither BTF nor an ELF file with it", path);
}

static int open_sources(struct kerf_telemetry *t, struct kerf_err *err)
{
	enum kerf_source best = t->cfg.best;
	const struct kerf_bpf_config bpf = {.best = best, .btf = t->cfg.btf};
	struct kerf_load_config load = {.proc = t->cfg.proc, .sys = t->cfg.sys};
	struct kerf_peers_config peers = {
		.sockets = kerf_source_allowed(KERF_SOURCE_TCP_INFO, best),
		.warn = t->cfg.warn,
		.warn_user = t->cfg.warn_user,
	};
	int r = t->cfg.btf ? check_btf(t->cfg.btf, err) : 0;

	if (!r && kerf_source_allowed(KERF_SOURCE_BPF, best))
		r = kerf_bpf_open(&bpf, &t->bpf, err);
	if (r)
		return r;
	peers.link = region(t, KERF_REGION_LINKS);
	load.cpu = region(t, KERF_REGION_CPUS);
	load.zone = region(t, KERF_REGION_ZONES);
	r = kerf_peers_open(&peers, &t->peers, err);
	if (!r && kerf_source_allowed(KERF_SOURCE_PROC, best))
		r = kerf_load_open(&load, &t->load, err);
	return r;
}

static void fill_head(struct kerf_telemetry *t)
{
	t->head = (struct kerf_state_head){
		.magic = KERF_STATE_MAGIC,
		.version = KERF_STATE_VERSION,
		.pid = (uint32_t)getpid(),
		.n_region = KERF_N_REGION,
		.started_ns = kerf_now_ns(),
	};
	t->head.alive_ns = t->head.started_ns;
	kerf_ladder_regions(t->bpf, t->cfg.best, &t->head);
}

static int start(struct kerf_telemetry *t, struct kerf_err *err)
{
	sigset_t all, before;
	int r;

	/* Signals are the program's, and go to its own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&t->thread, NULL, sampler, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return kerf_fail(err, -r, "telemetry: thread: %s", strerror(r));
	t->running = true;
	pthread_setname_np(t->thread, "kerf-telemetry");
	return 0;
}

int kerf_telemetry_open(const struct kerf_telemetry_config *cfg, struct kerf_telemetry **out,
			struct kerf_err *err)
{
	struct kerf_telemetry *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;
	int r;

	*out = NULL;
	if (!t)
		return kerf_fail(err, -ENOMEM, "telemetry: out of memory");
	t->cfg = *cfg;
	if (!t->cfg.period_ms)
		t->cfg.period_ms = PERIOD_MS;
	t->observer = (struct kerf_observer){
		t, connected, disconnected, transfer, peer_load, started};
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->engines_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = open_sources(t, err);
	if (!r && t->cfg.drop_privileges)
		r = kerf_privileges_drop(err);
	if (!r) {
		fill_head(t);
		sample(t);
		r = start(t, err);
	}
	if (r) {
		kerf_telemetry_close(t);
		return r;
	}
	*out = t;
	return 0;
}

void kerf_telemetry_close(struct kerf_telemetry *t)
{
	if (!t)
		return;
	if (t->running) {
		pthread_mutex_lock(&t->lock);
		t->stop = true;
		pthread_cond_signal(&t->wake);
		pthread_mutex_unlock(&t->lock);
		pthread_join(t->thread, NULL);
	}
	kerf_peers_close(t->peers);
	kerf_share_close(t->share);
	kerf_load_close(t->load);
	kerf_bpf_close(t->bpf);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->engines_lock);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int kerf_telemetry_publish(struct kerf_telemetry *t, const char *path, struct kerf_err *err)
{
	struct kerf_state_head head;
	struct kerf_share *share;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	head = t->head;
	if (t->share)
		r = kerf_fail(err, -EBUSY, "%s: the state is published already", path);
	pthread_mutex_unlock(&t->lock);
	if (!r)
		r = kerf_share_open(path, t->bpf, &head, &share, err);
	if (r)
		return r;
	pthread_mutex_lock(&t->lock);
	t->share = share;
	kerf_share_regions(share, &t->head); /* retry() may have changed it meanwhile */
	kerf_share_state(share, &t->state);
	kerf_share_beat(share, kerf_now_ns());
	pthread_mutex_unlock(&t->lock);
	kerf_peers_log(t->peers, kerf_share_transfers(share));
	return 0;
}

/* --- answers --- */

void kerf_telemetry_head(struct kerf_telemetry *t, struct kerf_state_head *head)
{
	pthread_mutex_lock(&t->lock);
	*head = t->head;
	pthread_mutex_unlock(&t->lock);
}

const struct kerf_bpf *kerf_telemetry_bpf(const struct kerf_telemetry *t)
{
	return t->bpf;
}

const struct kerf_observer *kerf_telemetry_observer(struct kerf_telemetry *t)
{
	return &t->observer;
}

void kerf_telemetry_engines(struct kerf_telemetry *t, kerf_engines_fn fn, void *user)
{
	pthread_mutex_lock(&t->engines_lock);
	t->engines = fn;
	t->engines_user = user;
	pthread_mutex_unlock(&t->engines_lock);
}

void kerf_telemetry_plan(struct kerf_telemetry *t, const struct kerf_plan_note *note)
{
	pthread_mutex_lock(&t->lock);
	t->state.plan = *note;
	if (t->share)
		kerf_share_state(t->share, &t->state);
	pthread_mutex_unlock(&t->lock);
}

void kerf_telemetry_state(struct kerf_telemetry *t, struct kerf_state *state)
{
	pthread_mutex_lock(&t->lock);
	*state = t->state;
	pthread_mutex_unlock(&t->lock);
}

size_t kerf_telemetry_load_text(struct kerf_telemetry *t, char *text, size_t size)
{
	struct kerf_node_load load;

	pthread_mutex_lock(&t->lock);
	load = t->state.node[0].load;
	pthread_mutex_unlock(&t->lock);
	return kerf_load_format(&load, text, size);
}

void kerf_telemetry_estimate(struct kerf_telemetry *t, const char *url, bool down,
			     struct kerf_link_estimate *est)
{
	kerf_peers_estimate(t->peers, url, down, kerf_now_ns(), est);
}

uint32_t kerf_telemetry_rates(struct kerf_telemetry *t, const char *url, double *rate, uint32_t max,
			      uint64_t *all)
{
	return kerf_peers_rates(t->peers, url, rate, max, all);
}
