/* SPDX-License-Identifier: MIT */
/* What the predictor learns from: stored profiles, each with its engine's calibration. */
#include "cost/predictor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int kerf_training_add(struct kerf_training *t, const struct kerf_profile *p,
		      const struct kerf_engine_cost *cost)
{
	struct kerf_training_profile *profile;
	uint32_t i;

	if (!p->op || !cost->has_cases || p->predicted)
		return -EINVAL;
	profile = reallocarray(t->profile, t->n_profile + 1, sizeof(*profile));
	if (!profile)
		return -ENOMEM;
	t->profile = profile;
	if (t->n + p->n_op > t->room) {
		uint32_t room = 2 * (t->room + p->n_op);
		struct kerf_sample *more = reallocarray(t->sample, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->sample = more;
		t->room = room;
	}
	profile += t->n_profile;
	memset(profile, 0, sizeof(*profile));
	memcpy(profile->model, p->model, sizeof(profile->model));
	profile->fingerprint = p->fingerprint;
	profile->run_s = p->run_s;
	profile->n_op = p->n_op;
	profile->cost = *cost;
	for (i = 0; i < p->n_op; i++)
		t->sample[t->n++] = (struct kerf_sample){
			.f = p->op[i],
			.s = p->op_s[i],
			.share = p->run_s > 0 ? p->op_s[i] / p->run_s : 0,
			.profile = t->n_profile,
		};
	t->n_profile++;
	return 0;
}

struct loading {
	struct kerf_training *t;
	uint32_t left_out;
};

static int add_one(const struct kerf_profile *p, void *user)
{
	struct loading *l = user;
	struct kerf_engine_cost cost;
	int r = kerf_engine_cost_load(p->engine, p->machine, &cost, NULL);

	if (!r)
		r = kerf_training_add(l->t, p, &cost);
	if (r && r != -ENOMEM) {
		l->left_out++;
		r = 0;
	}
	return r;
}

int kerf_training_load(struct kerf_training *t, uint32_t *left_out, struct kerf_err *err)
{
	struct loading l = {.t = t};
	uint32_t bad = 0;
	struct kerf_err why = {""};
	int r = kerf_profile_each(add_one, &l, &bad, &why);

	if (left_out)
		*left_out = l.left_out + bad;
	if (r && r != -ENOENT)
		return kerf_fail(err, r, "%s", why.msg);
	if (!t->n_profile)
		r = kerf_fail(err, -ENOENT,
			      "no stored profile that a predictor can learn from; 'kerf profile MODEL' makes one");
	return r;
}

void kerf_training_finish(struct kerf_training *t)
{
	free(t->sample);
	free(t->profile);
	memset(t, 0, sizeof(*t));
}
