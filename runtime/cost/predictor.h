/* SPDX-License-Identifier: MIT */
/*
 * What operators cost on engines and in shapes that were never measured.
 *
 * A first guess comes from the engine's calibration (engine_cost.h) as a roofline does: the work of
 * the operator (FLOPs of products and convolutions, bytes of the rest) over the rate that the
 * engine had on the calibrated cases of the operator's family, the nearer in shape the more, and
 * the time of an operator that has nothing to do. For each family boosted trees (boost.h) then say
 * by what the guess is wrong, as a factor, from the operator's features, the guess itself and the
 * engine's figures. They are trained from stored profiles; on an engine without profiles its
 * calibration is all that is new.
 *
 * Others who predict operators and add them up: Neurosurgeon (Kang et al., ASPLOS 2017; regression
 * for each kind), nn-Meter (Zhang et al., MobiSys 2021; random forests for each fused kernel).
 */
#ifndef KERF_COST_PREDICTOR_H
#define KERF_COST_PREDICTOR_H

#include "cost/boost.h"
#include "cost/engine_cost.h"
#include "cost/profile.h"

/* Measured operators to learn from. Zeroed: empty. */
struct kerf_training {
	uint32_t n, room, n_profile;
	struct kerf_sample *sample;
	struct kerf_training_profile *profile;
};
struct kerf_sample {
	struct kerf_features f;
	double s;	  /* measured */
	double share;	  /* of its profile's time */
	uint32_t profile; /* index */
};
struct kerf_training_profile {
	char model[64];
	uint64_t fingerprint;
	double run_s;
	uint32_t n_op;
	struct kerf_engine_cost cost; /* with cases */
};

/*
 * A profile with features, of an engine with a calibration. 0, -EINVAL (it lacks either), -ENOMEM.
 */
int kerf_training_add(struct kerf_training *t, const struct kerf_profile *p,
		      const struct kerf_engine_cost *cost);
/*
 * Adds every stored profile that has features and whose engine is calibrated; *left_out (NULL
 * allowed) are the others. -ENOENT if there is none.
 */
int kerf_training_load(struct kerf_training *t, uint32_t *left_out, struct kerf_err *err);
void kerf_training_finish(struct kerf_training *t);

struct kerf_predictor {
	struct kerf_boost boost[KERF_N_FAMILY]; /* without trees: the guess stands */
	uint32_t n_sample, n_profile; /* it was trained from */
};
extern const int kerf_predictor_inputs; /* that a tree may ask about */

/* From the profiles that keep says (NULL: all). -ENODATA if none is left; -ENOMEM. */
int kerf_predictor_train(const struct kerf_training *t,
			 bool (*keep)(const struct kerf_training_profile *p, const void *user),
			 const void *user, struct kerf_predictor *p);
/* Seconds. cost has cases. */
double kerf_predictor_op(const struct kerf_predictor *p, const struct kerf_engine_cost *cost,
			 const struct kerf_features *f);
/* The first guess alone. */
double kerf_predictor_guess(const struct kerf_engine_cost *cost, const struct kerf_features *f);

/* A profile of g, marked as predicted. 0 or -ENOMEM; -EINVAL: cost has no cases. */
int kerf_predictor_profile(const struct kerf_predictor *p, const struct kerf_engine_cost *cost,
			   const struct kerf_graph *g, struct kerf_profile *out);

/* Beside the profiles: predictor.json. */
int kerf_predictor_save(const struct kerf_predictor *p, struct kerf_err *err);
int kerf_predictor_load(struct kerf_predictor *p, struct kerf_err *err);
void kerf_predictor_finish(struct kerf_predictor *p);

/* --- how good it is ----------------------------------------------------------- */

/* A profile, predicted by one that never saw its model, or its engine, or either. */
struct kerf_prediction {
	const struct kerf_training_profile *profile; /* the training's */
	double predicted_s, guess_s;
};
enum kerf_held_out {
	KERF_HELD_OUT_MODEL = 1,
	KERF_HELD_OUT_ENGINE = 2,
};
/*
 * out[t->n_profile], in t's order: of each profile the prediction by a predictor trained without
 * all profiles of its model (by name, in any size) or its engine (with any number of threads).
 * what: a sum of the above. -ENODATA if nothing is left to train from.
 */
bool kerf_training_same_engine(const struct kerf_training_profile *a,
			       const struct kerf_training_profile *b);
int kerf_predictor_hold_out(const struct kerf_training *t, int what, struct kerf_prediction *out);
/* |predicted / measured - 1| over the predictions that pick says (NULL: all): nearest rank. */
struct kerf_prediction_error {
	uint32_t n;
	double median, p90, worst, guess_median, guess_p90;
};
int kerf_prediction_errors(const struct kerf_prediction *v, uint32_t n,
			   bool (*pick)(const struct kerf_training_profile *p, const void *user),
			   const void *user, struct kerf_prediction_error *e);

#endif
