/* SPDX-License-Identifier: MIT */
#include "telemetry/replay.h"

#include <stdlib.h>

struct kerf_replay {
	struct kerf_trace_reader *from;
	struct kerf_state state;
	struct kerf_trace_rec next;
	uint64_t t_ns;
	bool more;  /* next is filled */
	int failed; /* what ended the trace, told when it is reached */
	struct kerf_err why;
};

static void advance(struct kerf_replay *r)
{
	int ret = kerf_trace_next(r->from, &r->next, &r->why);

	r->more = ret == 1;
	r->failed = ret < 0 ? ret : 0;
}

static void apply(struct kerf_replay *r)
{
	const struct kerf_trace_rec *rec = &r->next;
	struct kerf_state *s = &r->state;

	s->updated_ns = rec->t_ns;
	if (rec->kind == KERF_TRACE_PLAN)
		s->plan = rec->u.plan;
	if (rec->kind != KERF_TRACE_NODE)
		return;
	s->node[rec->node] = rec->u.node;
	if (s->n_node <= rec->node)
		s->n_node = rec->node + 1;
	/* Free places at the end are none. */
	while (s->n_node > 1 && !s->node[s->n_node - 1].url[0])
		s->n_node--;
}

int kerf_replay_open(const char *path, struct kerf_replay **out, struct kerf_err *err)
{
	struct kerf_replay *r = calloc(1, sizeof(*r));
	int ret;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	ret = kerf_trace_open(path, &r->from, err);
	if (ret) {
		free(r);
		return ret;
	}
	advance(r);
	*out = r;
	return 0;
}

void kerf_replay_close(struct kerf_replay *r)
{
	if (!r)
		return;
	kerf_trace_close(r->from);
	free(r);
}

int kerf_replay_to(struct kerf_replay *r, uint64_t t_ns, struct kerf_err *err)
{
	if (t_ns < r->t_ns)
		return kerf_fail(err, -EINVAL,
				 "a replay goes on: expected %llu ns or later, found %llu",
				 (unsigned long long)r->t_ns, (unsigned long long)t_ns);
	r->t_ns = t_ns;
	while (r->more && r->next.t_ns <= t_ns) {
		apply(r);
		advance(r);
	}
	return r->failed ? kerf_fail(err, r->failed, "%s", r->why.msg) : 0;
}

uint64_t kerf_replay_next_ns(const struct kerf_replay *r)
{
	return r->more ? r->next.t_ns : UINT64_MAX;
}

const struct kerf_state *kerf_replay_state(const struct kerf_replay *r)
{
	return &r->state;
}
