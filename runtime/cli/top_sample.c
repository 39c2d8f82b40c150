/* SPDX-License-Identifier: MIT */
#include "cli/top.h"

#include "telemetry/record.h"

#include <string.h>

#define END(text) ((text)[sizeof(text) - 1] = 0)

static void bound_state(struct kerf_state *s)
{
	uint32_t i, k;

	s->n_node = KERF_MIN(s->n_node, (uint32_t)KERF_STATE_NODES);
	END(s->plan.policy);
	END(s->plan.model);
	END(s->plan.reason);
	END(s->plan.changed);
	for (i = 0; i < s->n_node; i++) {
		struct kerf_node_state *n = &s->node[i];

		END(n->url);
		END(n->refused);
		END(n->up.estimator);
		END(n->down.estimator);
		n->load.n_engine = KERF_MIN(n->load.n_engine, KERF_NODE_LOAD_ENGINES);
		for (k = 0; k < n->load.n_engine; k++)
			END(n->load.engine[k].name);
	}
}

static void take_links(const struct kerf_state_reader *r, struct kerf_top_sample *s)
{
	uint32_t i;

	for (i = 0, s->n_link = 0; i < r->n[KERF_REGION_LINKS]; i++) {
		struct kerf_link_rec *l = &s->link[s->n_link];

		if (kerf_record_read(&r->link[i], l, sizeof(*l)) && l->life == KERF_LINK_LIVE)
			s->n_link++;
	}
}

void kerf_top_take(const struct kerf_state_reader *r, uint64_t now_ns, struct kerf_top_sample *s)
{
	uint32_t i;

	s->now_ns = now_ns;
	s->alive = kerf_state_alive(r, now_ns);
	memcpy(&s->head, r->head, sizeof(s->head));
	for (i = 0; i < KERF_N_REGION; i++)
		END(s->head.region[i].reason);
	s->whole = r->state && kerf_record_read(r->state, &s->state, sizeof(s->state));
	bound_state(&s->state);
	take_links(r, s);
	for (i = 0, s->n_cpu = 0; i < r->n[KERF_REGION_CPUS]; i++) {
		if (!kerf_record_read(&r->cpu[i], &s->cpu[i], sizeof(s->cpu[i])))
			s->cpu[i].updated_ns = 0;
		if (s->cpu[i].updated_ns)
			s->n_cpu = i + 1;
	}
	for (i = 0, s->n_zone = 0; i < r->n[KERF_REGION_ZONES]; i++) {
		struct kerf_zone_rec *z = &s->zone[s->n_zone];

		if (!kerf_record_read(&r->zone[i], z, sizeof(*z)) || z->kind == KERF_ZONE_NONE)
			continue;
		END(z->name);
		s->n_zone++;
	}
	for (i = 0, s->n_engine = 0; i < r->n[KERF_REGION_ENGINES]; i++) {
		struct kerf_engine_rec *e = &s->engine[s->n_engine];

		memcpy(e, &r->engine[i], sizeof(*e));
		END(e->name);
		s->n_engine += e->kind != KERF_ENGINE_NONE;
	}
}

static double share(uint64_t before, uint64_t now, uint64_t time)
{
	return now > before ? (double)(now - before) / (double)time : 0;
}

bool kerf_top_cpu(const struct kerf_top_sample *before, const struct kerf_top_sample *now,
		  uint32_t i, struct kerf_top_cpu *out)
{
	struct kerf_cpu_rec a = before->cpu[i], b = now->cpu[i];
	uint64_t time = now->now_ns - before->now_ns;
	struct kerf_cpu_rec *both[] = {&a, &b};
	uint32_t k;

	memset(out, 0, sizeof(*out));
	if (!a.updated_ns || !b.updated_ns || !time || !(b.has & KERF_CPU_HAS_BUSY))
		return false;
	/* What runs since the last switch is not in the totals yet. */
	for (k = 0; k < 2; k++) {
		uint64_t at = k ? now->now_ns : before->now_ns;
		uint64_t runs = at > both[k]->switch_ns ? at - both[k]->switch_ns : 0;

		switch (both[k]->running) {
		case KERF_CPU_FAIR: both[k]->fair_ns += runs; break;
		case KERF_CPU_RT: both[k]->rt_ns += runs; break;
		case KERF_CPU_OWN: both[k]->own_ns += runs; break;
		}
	}
	out->fair = share(a.fair_ns, b.fair_ns, time);
	out->rt = share(a.rt_ns, b.rt_ns, time);
	out->own = share(a.own_ns, b.own_ns, time);
	out->wait = share(a.run_delay_ns, b.run_delay_ns, time);
	return true;
}
