/* SPDX-License-Identifier: MIT */
/* Predictions of what was held out of the training, beside what was measured. */
#include "cost/predictor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct held_out {
	const struct kerf_training_profile *of;
	int what;
};

/* Engines that differ in no more than their threads: "cpu: AMD EPYC, avx2, 1 thread". */
bool kerf_training_same_engine(const struct kerf_training_profile *a,
			       const struct kerf_training_profile *b)
{
	const char *x = a->cost.engine, *y = b->cost.engine;
	const char *end = strrchr(x, ','), *other = strrchr(y, ',');

	if (strcmp(a->cost.machine, b->cost.machine))
		return false;
	if (!end || !other)
		return !strcmp(x, y);
	return end - x == other - y && !strncmp(x, y, (size_t)(end - x));
}

static bool is_out(const struct kerf_training_profile *p, const struct held_out *h)
{
	if (h->what & KERF_HELD_OUT_MODEL && !strcmp(p->model, h->of->model))
		return true;
	return h->what & KERF_HELD_OUT_ENGINE && kerf_training_same_engine(p, h->of);
}

static bool keep(const struct kerf_training_profile *p, const void *user)
{
	return !is_out(p, user);
}

/* The same are held out for both. */
static bool same_fold(const struct kerf_training_profile *a, const struct kerf_training_profile *b,
		      int what)
{
	return (!(what & KERF_HELD_OUT_MODEL) || !strcmp(a->model, b->model)) &&
	       (!(what & KERF_HELD_OUT_ENGINE) || kerf_training_same_engine(a, b));
}

int kerf_predictor_hold_out(const struct kerf_training *t, int what, struct kerf_prediction *out)
{
	bool *done = calloc(t->n_profile + 1, 1), *fold = calloc(t->n_profile + 1, 1);
	uint32_t i, j;
	int r = done && fold ? 0 : -ENOMEM;

	memset(out, 0, t->n_profile * sizeof(*out));
	for (i = 0; i < t->n_profile && !r; i++) {
		const struct held_out h = {&t->profile[i], what};
		struct kerf_predictor p;

		if (done[i])
			continue;
		for (j = 0; j < t->n_profile; j++) {
			fold[j] = !done[j] && same_fold(&t->profile[i], &t->profile[j], what);
			done[j] |= fold[j];
		}
		r = kerf_predictor_train(t, keep, &h, &p);
		for (j = 0; j < t->n && !r; j++) {
			const struct kerf_sample *s = &t->sample[j];
			struct kerf_prediction *v = &out[s->profile];
			const struct kerf_engine_cost *cost = &t->profile[s->profile].cost;

			if (!fold[s->profile])
				continue;
			v->profile = &t->profile[s->profile];
			v->predicted_s += kerf_predictor_op(&p, cost, &s->f);
			v->guess_s += kerf_predictor_guess(cost, &s->f);
		}
		kerf_predictor_finish(&p);
	}
	free(done);
	free(fold);
	return r;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double rank(const double *sorted, uint32_t n, double q)
{
	uint32_t i = (uint32_t)ceil(q * n);

	return n ? sorted[i ? i - 1 : 0] : 0;
}

int kerf_prediction_errors(const struct kerf_prediction *v, uint32_t n,
			   bool (*pick)(const struct kerf_training_profile *p, const void *user),
			   const void *user, struct kerf_prediction_error *e)
{
	double *by = calloc(2 * (size_t)n + 1, sizeof(*by)), *guess = by ? by + n : NULL;
	uint32_t i, k = 0;

	memset(e, 0, sizeof(*e));
	if (!by)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (!v[i].profile || v[i].profile->run_s <= 0 ||
		    (pick && !pick(v[i].profile, user)))
			continue;
		by[k] = fabs(v[i].predicted_s / v[i].profile->run_s - 1);
		guess[k++] = fabs(v[i].guess_s / v[i].profile->run_s - 1);
	}
	qsort(by, k, sizeof(*by), compare);
	qsort(guess, k, sizeof(*guess), compare);
	e->n = k;
	e->median = rank(by, k, 0.5);
	e->p90 = rank(by, k, 0.9);
	e->worst = rank(by, k, 1);
	e->guess_median = rank(guess, k, 0.5);
	e->guess_p90 = rank(guess, k, 0.9);
	free(by);
	return 0;
}
