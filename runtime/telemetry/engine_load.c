/* SPDX-License-Identifier: MIT */
#include "telemetry/engine_load.h"

#include "util/base.h"

#include <stdio.h>
#include <string.h>

#define MOST UINT16_MAX

static bool has_name(const struct kerf_engine_rec *r)
{
	return r->name[0];
}

static bool same_name(const struct kerf_engine_rec *a, const struct kerf_engine_rec *b)
{
	return !strncmp(a->name, b->name, sizeof(a->name));
}

/* The same engine, whoever counts. */
static bool same_engine(const struct kerf_engine_rec *a, const struct kerf_engine_rec *b)
{
	return a->kind == b->kind && a->device == b->device && a->index == b->index &&
	       (a->kind == KERF_ENGINE_QUEUE || same_name(a, b));
}

/* Its counters go on from before. A torn read makes none smaller, so smaller is another engine. */
static bool goes_on(const struct kerf_engine_rec *now, const struct kerf_engine_rec *before)
{
	return now->source == before->source && now->queued >= before->queued &&
	       now->started >= before->started && now->done >= before->done &&
	       now->dropped >= before->dropped && now->errors >= before->errors &&
	       now->wait_ns >= before->wait_ns && now->busy_ns >= before->busy_ns;
}

/* Signed: counters are read one after the other, and an end may be seen before its beginning. */
static uint16_t how_many(uint64_t more, uint64_t less)
{
	int64_t n = (int64_t)(more - less);

	return (uint16_t)(n < 0 ? 0 : KERF_MIN(n, MOST));
}

/* Engines of rec, each once. At most KERF_ENGINE_WINDOW; how many. */
static uint32_t gather(const struct kerf_engine_rec *rec, uint32_t n, struct kerf_engine_rec *out)
{
	uint32_t i, k, n_out = 0;

	for (i = 0; i < n; i++) {
		struct kerf_engine_rec *o;

		if (rec[i].kind == KERF_ENGINE_NONE || rec[i].kind > KERF_ENGINE_RUNTIME)
			continue;
		for (k = 0; k < n_out && !same_engine(&out[k], &rec[i]); k++)
			;
		o = &out[k];
		if (k == KERF_ENGINE_WINDOW)
			continue;
		if (k == n_out) {
			*o = rec[i];
			n_out++;
		} else if (rec[i].source > o->source) {
			struct kerf_engine_rec worse = *o;

			*o = rec[i];
			if (!has_name(o))
				memcpy(o->name, worse.name, sizeof(o->name));
		} else if (!has_name(o)) {
			memcpy(o->name, rec[i].name, sizeof(o->name));
		}
		o->name[sizeof(o->name) - 1] = 0;
	}
	return n_out;
}

/* Until now; < 0: no figure (two threads' crossings of idle are half done). */
static int64_t occupied(const struct kerf_engine_rec *r, uint64_t now_ns)
{
	int64_t t = (int64_t)r->occupied_ns;

	return t < 0 ? (int64_t)((uint64_t)t + now_ns) : t;
}

/* How long it was busy of a window of span_ns; moves seen->occupied_ns on. */
static uint64_t busy_ns(struct kerf_engine_seen *seen, uint64_t done_busy_ns, uint64_t now_ns,
			uint64_t span_ns)
{
	int64_t until = occupied(&seen->rec, now_ns);
	uint64_t busy;

	if (until >= 0 && (uint64_t)until >= seen->occupied_ns) {
		busy = (uint64_t)until - seen->occupied_ns;
		seen->occupied_ns = (uint64_t)until;
		return KERF_MIN(busy, span_ns);
	}
	/* What the jobs say that ended; the word is right again in the next window. */
	busy = KERF_MIN(done_busy_ns, span_ns);
	seen->occupied_ns += busy;
	return busy;
}

static void name_of(const struct kerf_engine_rec *r, char *name, size_t size)
{
	if (has_name(r))
		snprintf(name, size, "%s", r->name);
	else
		snprintf(name, size, "queue:%u.%u", r->device, r->index);
}

/* seen: as it was at the window's begin, all zeros for a new engine; becomes what it is now. */
static void measure(struct kerf_engine_seen *seen, const struct kerf_engine_rec *now,
		    uint64_t now_ns, uint64_t span_ns, struct kerf_engine_load *load)
{
	uint64_t done = now->done - seen->rec.done;
	uint64_t wait_ns = now->wait_ns - seen->rec.wait_ns;
	uint64_t done_busy_ns = now->busy_ns - seen->rec.busy_ns;

	seen->rec = *now;
	*load = (struct kerf_engine_load){
		.source = now->source,
		.kind = (uint8_t)now->kind,
		.depth = how_many(now->queued, now->started + now->dropped),
		.running = how_many(now->started, now->done),
		.jobs = now->done,
		.errors = now->errors,
	};
	name_of(now, load->name, sizeof(load->name));
	if (done)
		seen->wait_us = (uint32_t)KERF_MIN(wait_ns / done / 1000, UINT32_MAX);
	else if (!load->depth && !load->running)
		seen->wait_us = 0;
	load->wait_us = seen->wait_us;
	if (span_ns)
		load->busy_permille =
			(uint32_t)((double)busy_ns(seen, done_busy_ns, now_ns, span_ns) * 1000 /
				   (double)span_ns);
}

/* By what matters to who would place a job there */
static bool busier(const struct kerf_engine_load *a, const struct kerf_engine_load *b)
{
	uint32_t jobs_a = a->depth + a->running, jobs_b = b->depth + b->running;

	if (a->busy_permille != b->busy_permille)
		return a->busy_permille > b->busy_permille;
	return jobs_a != jobs_b ? jobs_a > jobs_b : a->jobs > b->jobs;
}

/* Whether load[i] is among the busiest; of equals, the first are. */
static bool is_chosen(const struct kerf_engine_load *load, uint32_t n, uint32_t i)
{
	uint32_t k, before = 0;

	for (k = 0; k < n; k++)
		before += busier(&load[k], &load[i]) || (k < i && !busier(&load[i], &load[k]));
	return before < KERF_NODE_LOAD_ENGINES;
}

static struct kerf_engine_seen *find(struct kerf_engine_window *w, const struct kerf_engine_rec *r)
{
	uint32_t i;

	for (i = 0; i < w->n; i++)
		if (same_engine(&w->seen[i].rec, r))
			return &w->seen[i];
	return NULL;
}

void kerf_engine_window_end(struct kerf_engine_window *w, const struct kerf_engine_rec *rec,
			    uint32_t n, uint64_t now_ns, struct kerf_node_load *load)
{
	struct kerf_engine_rec now[KERF_ENGINE_WINDOW];
	struct kerf_engine_seen seen[KERF_ENGINE_WINDOW];
	struct kerf_engine_load all[KERF_ENGINE_WINDOW];
	uint64_t span_ns = w->at_ns && now_ns > w->at_ns ? now_ns - w->at_ns : 0;
	uint32_t i, n_now = gather(rec, n, now), n_load = 0;

	memset(seen, 0, n_now * sizeof(*seen));
	for (i = 0; i < n_now; i++) {
		const struct kerf_engine_seen *before = find(w, &now[i]);
		int64_t until = occupied(&now[i], now_ns);

		if (before && goes_on(&now[i], &before->rec)) {
			seen[i] = *before;
		} else if (!w->at_ns) {
			seen[i].rec = now[i];
			seen[i].occupied_ns = until < 0 ? 0 : (uint64_t)until;
		}
		measure(&seen[i], &now[i], now_ns, span_ns, &all[i]);
	}
	memset(load->engine, 0, sizeof(load->engine));
	for (i = 0; i < n_now; i++)
		if (is_chosen(all, n_now, i))
			load->engine[n_load++] = all[i];
	load->n_engine = (uint8_t)n_load;
	memcpy(w->seen, seen, n_now * sizeof(*seen));
	w->n = n_now;
	w->at_ns = now_ns;
}
