/* SPDX-License-Identifier: MIT */
#include "telemetry/recorder.h"

#include "telemetry/record.h"

#include <stdlib.h>
#include <string.h>

struct kerf_recorder {
	const struct kerf_state_reader *from;
	struct kerf_trace_writer *to;
	struct kerf_recorder_count count;
	uint64_t last_transfer;
	bool begun;				     /* a state was recorded */
	struct kerf_link_rec link[KERF_STATE_LINKS]; /* as recorded last; free: nothing was */
	struct kerf_state state, now;
	struct kerf_trace_rec rec;
};

static uint64_t newest_transfer(const struct kerf_state_reader *from)
{
	struct kerf_transfer_rec t;
	uint64_t newest = 0;
	uint32_t i;

	for (i = 0; i < from->n[KERF_REGION_TRANSFERS]; i++)
		if (kerf_record_read(&from->transfer[i], &t, sizeof(t)))
			newest = KERF_MAX(newest, t.number);
	return newest;
}

int kerf_recorder_open(const struct kerf_state_reader *from, struct kerf_trace_writer *to,
		       struct kerf_recorder **out)
{
	struct kerf_recorder *r = calloc(1, sizeof(*r));

	*out = r;
	if (!r)
		return -ENOMEM;
	r->from = from;
	r->to = to;
	r->last_transfer = newest_transfer(from);
	return 0;
}

void kerf_recorder_close(struct kerf_recorder *r)
{
	free(r);
}

void kerf_recorder_counted(const struct kerf_recorder *r, struct kerf_recorder_count *count)
{
	*count = r->count;
}

/* r->rec, whose u is filled. */
static int put(struct kerf_recorder *r, enum kerf_trace_kind kind, uint64_t now_ns)
{
	int ret;

	r->rec.kind = kind;
	r->rec.t_ns = now_ns;
	ret = kerf_trace_put(r->to, &r->rec);
	if (ret == -EINVAL) {
		r->count.refused++;
		ret = 0;
	} else if (!ret) {
		r->count.records++;
	}
	memset(&r->rec, 0, sizeof(r->rec));
	return ret;
}

static int put_link(struct kerf_recorder *r, const struct kerf_link_rec *link, uint64_t now_ns)
{
	r->rec.u.link = *link;
	return put(r, KERF_TRACE_LINK, now_ns);
}

static int step_links(struct kerf_recorder *r, uint64_t now_ns)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; i < r->from->n[KERF_REGION_LINKS] && !ret; i++) {
		struct kerf_link_rec now, *last = &r->link[i];

		if (!kerf_record_read(&r->from->link[i], &now, sizeof(now)) ||
		    (now.life == KERF_LINK_FREE && last->life == KERF_LINK_FREE) ||
		    (now.seq == last->seq && now.cookie == last->cookie))
			continue;
		if (last->life != KERF_LINK_FREE &&
		    (now.life == KERF_LINK_FREE || now.cookie != last->cookie)) {
			const struct kerf_link_rec closed = {.cookie = last->cookie};

			ret = put_link(r, &closed, now_ns);
		}
		if (!ret && now.life != KERF_LINK_FREE)
			ret = put_link(r, &now, now_ns);
		*last = now;
	}
	return ret;
}

static int step_state(struct kerf_recorder *r, uint64_t now_ns)
{
	uint32_t i, n;
	int ret = 0;

	if (!r->from->n[KERF_REGION_STATE])
		return 0;
	if (!kerf_record_read(r->from->state, &r->now, sizeof(r->now))) {
		r->count.torn++;
		return 0;
	}
	n = KERF_MIN(r->now.n_node, (uint32_t)KERF_STATE_NODES);
	memset(&r->now.node[n], 0, (KERF_STATE_NODES - n) * sizeof(r->now.node[0]));
	for (i = 0; i < KERF_STATE_NODES && !ret; i++) {
		if (!memcmp(&r->now.node[i], &r->state.node[i], sizeof(r->now.node[i])) &&
		    (i || r->begun))
			continue;
		r->rec.node = i;
		r->rec.u.node = r->now.node[i];
		ret = put(r, KERF_TRACE_NODE, now_ns);
	}
	if (!ret && memcmp(&r->now.plan, &r->state.plan, sizeof(r->now.plan))) {
		r->rec.u.plan = r->now.plan;
		ret = put(r, KERF_TRACE_PLAN, now_ns);
	}
	r->state = r->now;
	r->begun = true;
	return ret;
}

static int step_transfers(struct kerf_recorder *r, uint64_t now_ns)
{
	uint64_t newest = newest_transfer(r->from), n = r->last_transfer + 1;
	int ret = 0;

	/* Numbers that went back are another publisher's, which never shares our memory. */
	if (newest <= r->last_transfer)
		return 0;
	if (newest > KERF_STATE_TRANSFERS && n <= newest - KERF_STATE_TRANSFERS) {
		r->count.missed += newest - KERF_STATE_TRANSFERS + 1 - n;
		n = newest - KERF_STATE_TRANSFERS + 1;
	}
	/* n 0: after the last number there is, which a publisher may write too. */
	for (; n && n <= newest && !ret; n++) {
		struct kerf_transfer_rec t;

		if (!kerf_record_read(&r->from->transfer[n % KERF_STATE_TRANSFERS], &t,
				      sizeof(t)) ||
		    t.number != n) {
			r->count.missed++;
			continue;
		}
		r->rec.node = t.node;
		r->rec.u.transfer = t.transfer;
		r->rec.predicted_s = (double)t.predicted_ns / 1e9;
		r->rec.low_s = (double)t.low_ns / 1e9;
		r->rec.high_s = (double)t.high_ns / 1e9;
		ret = put(r, KERF_TRACE_TRANSFER, now_ns);
	}
	r->last_transfer = newest;
	return ret;
}

int kerf_recorder_step(struct kerf_recorder *r, uint64_t now_ns)
{
	/* Nodes first: what follows refers to them. */
	int ret = step_state(r, now_ns);

	if (!ret)
		ret = step_links(r, now_ns);
	return ret ? ret : step_transfers(r, now_ns);
}
