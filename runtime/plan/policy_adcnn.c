/* SPDX-License-Identifier: MIT */
/*
 * ADCNN: S. Q. Zhang, J. Lin, Q. Zhang, "Adaptive distributed convolutional neural network
 * inference at the network edge with ADCNN", ICPP 2020.
 *
 * "Fully decomposable spatial partition": the first layers are cut into tiles whose borders are
 * padded as the image's are, so tiles exchange nothing and overlap nowhere. A central node hands
 * tiles to the others as they are fast, and runs the other layers itself.
 *
 * The answer is another one than the model's. The paper retrains the model with that padding until
 * about as much accuracy is left, and shrinks what tiles send (clipped ReLU, few bits, run
 * lengths). kerf does not train: what an untrained model loses is known when it was measured and
 * not before, so the plan's accuracy is not told, a goal with an accuracy floor is not met, and
 * goal.inexact has to allow it.
 *
 * Modelled: padded tiles, in bands; each to the node that would be done with it first; depth and
 * number of tiles, parameters there, are searched. Not: retraining; compression; tiles in a grid;
 * tiles that are left out when they are late.
 */
#include "plan/fused.h"
#include "plan/policy.h"

/* Its grid of 8 x 8 has as many; bands of as few rows would be padding for the most part. */
#define MOST_TILES 16

/* -ENODEV: home can run nothing of what each try leaves to it. */
static int try_tiles(const struct kerf_fused *f, struct kerf_choice *c, struct kerf_err *err)
{
	uint32_t worker[KERF_MAX_ENGINES], engine[MOST_TILES], n, n_try, i, last;
	struct kerf_fused_head h = {.engine = engine, .padded = true};
	struct kerf_fused_try tries[KERF_FUSED_TRIES];
	double speed[KERF_MAX_ENGINES];
	struct kerf_bands b = {0};
	int r = 0, refused = 0;

	n = kerf_fused_workers(f, worker, speed);
	n_try = kerf_fused_heads(f, true, MOST_TILES, n, worker, tries);
	for (i = 0; i < n_try && !r; i++) {
		kerf_fused_reach(f, &h.first, &last);
		h.meet = h.first;
		h.last = tries[i].last;
		h.n_tile = tries[i].n_tile;
		kerf_fused_deal(f, &h, n, worker, engine);
		r = kerf_fused_head(f, &h, &b, err);
		if (!r && kerf_bands_padded(f->p, &b))
			kerf_bands_offer(f->p, &b, "adcnn", c,
					 "the first %u operators in %u tiles with padded borders: "
					 "what that costs in accuracy is not known",
					 f->block[h.last].end, h.n_tile);
		kerf_bands_finish(&b);
		/* Deeper tiles leave less. */
		if (r == -ENODEV) {
			refused = r;
			r = 0;
		}
	}
	return r || c->have || c->have_near || c->error ? r : refused;
}

int kerf_policy_adcnn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice c = {0};
	struct kerf_fused *f;
	int r = kerf_fused_make(p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f);

	if (r)
		return r;
	r = try_tiles(f, &c, err);
	if (!r && !c.have && !c.have_near && !c.error)
		r = kerf_fail(err, -ENODEV, "no layers that padded tiles of whole rows can be made of");
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
