/* SPDX-License-Identifier: MIT */
/*
 * A node's state without a node, for tests of the tools: two peers on links that change, load
 * that moves, transfers with what was expected of them, plans that change.
 * usage: state_server SOCKET; ends at SIGTERM, or with whoever started it.
 */
#include "unit/state_fixture.h"
#include "util/rng.h"

#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TICK_NS 10000000u

struct scene {
	struct fixture f;
	struct kerf_state s;
	struct kerf_rng rng;
	uint64_t transfers, begin_ns;
};

static double noise(struct scene *c, double sigma)
{
	double sum = 0;
	int i;

	for (i = 0; i < 12; i++)
		sum += (double)(kerf_rng_next(&c->rng) >> 11) * 0x1p-53;
	return sigma * (sum - 6);
}

/* 20 Mbit/s, then 80, in turns of a second; the other link is of 400 with some noise. */
static double rate_of(struct scene *c, uint32_t node, uint64_t now)
{
	bool slow = (now - c->begin_ns) / 1000000000u % 2 == 0;

	return node == 1 ? (slow ? 2.5e6 : 1e7) : 5e7 * (1 + noise(c, 0.05));
}

static void node(struct scene *c, uint32_t i, uint64_t now)
{
	struct kerf_node_state *n = &c->s.node[i];
	struct kerf_node_load *l = &n->load;
	double rate = rate_of(c, i, now),
	       busy = 1500 + 1000 * sin((double)(now - c->begin_ns) * 1e-9 * 3);

	if (i) {
		/* A peer may call itself, and its engines, anything. */
		snprintf(n->url, sizeof(n->url),
			 i == 1 ? "http://10.0.0.2:8470" : "http://b\033[31mo<b>&\"x\":8470");
		n->connections = 1;
		n->min_rtt_us = i == 1 ? 380 : 20000;
		n->rtt_us = n->min_rtt_us + (uint32_t)(100 * fabs(noise(c, 1)));
		n->goodput_bytes_s = (uint64_t)(rate * 0.9);
		n->up = (struct kerf_link_estimate){.updated_ns = now,
						    .latency_ns = n->rtt_us * 1000,
						    .rate_bytes_s = (uint64_t)rate,
						    .low_ppm = 920000,
						    .high_ppm = 1090000,
						    .transfers = (uint32_t)c->transfers,
						    .source = KERF_SOURCE_BTF,
						    .estimator = "rls"};
		n->down = n->up;
		n->down.rate_bytes_s /= 2;
	}
	/* The second peer was heard of last half a second ago. */
	l->updated_ns = i == 2 ? now - 500000000 : now;
	l->has = KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_RUN_DELAY | KERF_LOAD_HAS_MEMORY |
		 KERF_LOAD_HAS_PRESSURE | KERF_LOAD_HAS_FREQ;
	l->source = i ? KERF_SOURCE_PEER : KERF_SOURCE_BTF;
	l->source_memory = l->source_sensor = i ? KERF_SOURCE_PEER : KERF_SOURCE_PROC;
	l->n_cpu = 4;
	l->fair_permille = (uint32_t)busy;
	l->own_permille = 900;
	l->waiting_permille = (uint32_t)(busy / 5);
	l->slowdown_permille = 1000 + (uint32_t)(busy / 4);
	l->cpu_pressure_permille = 120;
	l->memory_bytes = 8ull << 30;
	l->memory_available_bytes = 5ull << 30;
	l->freq_khz = 1800000;
	l->max_khz = 2400000;
	if (i != 1) {
		l->has |= KERF_LOAD_HAS_TEMPERATURE | KERF_LOAD_HAS_POWER;
		l->temperature_mc = 61500;
		l->power_mw = 7200;
	}
	l->n_engine = 1;
	snprintf(l->engine[0].name, sizeof(l->engine[0].name), i == 2 ? "npu\n:0" : "cpu");
	l->engine[0].kind = KERF_ENGINE_RUNTIME;
	l->engine[0].source = i ? KERF_SOURCE_PEER : KERF_SOURCE_RUNTIME;
	l->engine[0].depth = 3;
	l->engine[0].running = 1;
	l->engine[0].busy_permille = 730;
	l->engine[0].wait_us = 1200;
	l->engine[0].jobs++;
}

static void transfer(struct scene *c, uint32_t to, uint64_t now)
{
	double bytes = exp(11.5 + 3.7 * (double)(kerf_rng_next(&c->rng) >> 11) * 0x1p-53);
	double s = bytes / rate_of(c, to, now), predicted = s * exp(noise(c, 0.06));
	struct kerf_transfer_rec t = {.node = to,
				      .number = ++c->transfers,
				      .predicted_ns = (uint64_t)(predicted * 1e9),
				      .low_ns = (uint64_t)(predicted * 0.92e9),
				      .high_ns = (uint64_t)(predicted * 1.09e9),
				      .transfer = {.cookie = to,
						   .start_ns = now - (uint64_t)(s * 1e9),
						   .end_ns = now,
						   .bytes = (uint64_t)bytes,
						   .down = (uint32_t)(c->transfers & 1)}};

	if (c->transfers < 4) /* nothing was learned yet */
		t.predicted_ns = t.low_ns = t.high_ns = 0;
	kerf_record_write((struct kerf_transfer_rec *)c->f.region[KERF_REGION_TRANSFERS].data +
				  t.number % KERF_STATE_TRANSFERS,
			  &t, sizeof(t));
}

static void plan(struct scene *c, uint64_t now)
{
	uint64_t epoch = 1 + (now - c->begin_ns) / 1000000000u;
	struct kerf_plan_note *p = &c->s.plan;

	p->requests += 3;
	p->observed_ns = 21000000 + (uint64_t)(1e6 * fabs(noise(c, 1)));
	if (p->epoch == epoch)
		return;
	*p = (struct kerf_plan_note){.since_ns = now,
				     .epoch = epoch,
				     .predicted_ns = 20500000,
				     .n_step = 3,
				     .policy = "kerf",
				     .model = "resnet18"};
	snprintf(p->reason, sizeof(p->reason),
		 "the first 12 operators stay here, the rest is faster there");
	snprintf(p->changed, sizeof(p->changed),
		 "http://10.0.0.2:8470 up went from 20 to 80 Mbit/s");
}

static void kernel_records(struct scene *c, uint64_t now)
{
	struct kerf_engine_rec *e = c->f.region[KERF_REGION_ENGINES].data;
	struct kerf_link_rec l = {.life = KERF_LINK_LIVE,
				  .cookie = 4711,
				  .updated_ns = now,
				  .has = KERF_LINK_HAS_RTT | KERF_LINK_HAS_RATE,
				  .source = KERF_SOURCE_BTF,
				  .family = AF_INET,
				  .remote_addr = {10, 0, 0, 2},
				  .remote_port = 8470,
				  .local_port = 40000,
				  .srtt_us = c->s.node[1].rtt_us,
				  .min_rtt_us = 380,
				  .rttvar_us = 40,
				  .cwnd_segments = 10,
				  .mss_bytes = 1448,
				  .rate_bytes_s = 2500000,
				  .bytes_acked = (now - c->begin_ns) / 1000};
	uint32_t i;

	kerf_record_write(c->f.region[KERF_REGION_LINKS].data, &l, sizeof(l));
	for (i = 0; i < 2; i++) {
		struct kerf_cpu_rec cpu = {.has = KERF_CPU_HAS_BUSY | KERF_CPU_HAS_RT |
						  KERF_CPU_HAS_RUN_DELAY | KERF_CPU_HAS_OWN,
					   .updated_ns = now,
					   .switch_ns = now,
					   .source = KERF_SOURCE_BTF,
					   .begin_ns = c->begin_ns,
					   .fair_ns = (now - c->begin_ns) / 2,
					   .own_ns = (now - c->begin_ns) / 4,
					   .run_delay_ns = (now - c->begin_ns) / 10};

		kerf_record_write((struct kerf_cpu_rec *)c->f.region[KERF_REGION_CPUS].data + i,
				  &cpu, sizeof(cpu));
	}
	snprintf(e->name, sizeof(e->name), "npu:0");
	e->source = KERF_SOURCE_BPF;
	e->done = ++e->started;
	e->queued = e->started + 2;
	e->busy_ns += TICK_NS / 2;
	e->wait_ns += TICK_NS / 4;
	e->updated_ns = now;
	e->kind = KERF_ENGINE_QUEUE;
}

int main(int argc, char **argv)
{
	const struct timespec tick = {.tv_nsec = TICK_NS};
	struct scene *c = calloc(1, sizeof(*c));
	struct kerf_err err = {""};
	struct kerf_state_head *head;
	sigset_t stop;
	uint32_t i;

	if (argc != 2 || !c)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	kerf_rng_seed(&c->rng, 1);
	if (fixture_make(&c->f))
		return 1;
	head = fixture_head(&c->f);
	head->pid = (uint32_t)getpid();
	head->region[KERF_REGION_LINKS].source = KERF_SOURCE_BTF;
	snprintf(head->region[KERF_REGION_ENGINES].reason, sizeof(head->region[0].reason),
		 "no tracepoints of a GPU scheduler");
	c->begin_ns = kerf_now_ns();
	c->s.n_node = 3;
	do {
		uint64_t now = kerf_now_ns();

		for (i = 0; i < 3; i++)
			node(c, i, now);
		plan(c, now);
		c->s.updated_ns = now;
		kernel_records(c, now);
		kerf_record_write(c->f.region[KERF_REGION_STATE].data, &c->s, sizeof(c->s));
		transfer(c, 1 + (uint32_t)kerf_rng_below(&c->rng, 2), now);
		__atomic_store_n(&head->alive_ns, now, __ATOMIC_RELAXED);
		if (!c->f.publisher &&
		    kerf_publisher_open(argv[1], c->f.fd, &c->f.publisher, &err)) {
			fprintf(stderr, "%s\n", err.msg);
			return 1;
		}
	} while (sigtimedwait(&stop, NULL, &tick) < 0);
	fixture_free(&c->f);
	free(c);
	return 0;
}
