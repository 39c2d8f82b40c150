/* SPDX-License-Identifier: MIT */
/*
 * Auto-Split: Banitalebi-Dehkordi, Vedula, Pei, Xia, Wang, Zhang, "Auto-Split: a general framework
 * of collaborative edge-cloud AI", KDD 2021.
 *
 * Modelled. A network is split between an edge device of little memory and the cloud; the split
 * and the bit-width of what is sent are chosen together, for least latency while the device's
 * memory and a bound on the error hold. As in the paper candidates are found first: splits that,
 * at the smallest width allowed, send no more than sending the input would. All here and all
 * there are candidates. Then all widths of each are looked at, and those that miss a limit, of
 * memory or error, go. (The paper leaves out splits whose device part does not fit beforehand,
 * which comes to the same.)
 *
 * How it is mapped. Widths are the codecs that the goal allows (32, 16 and 8 bits), for float32
 * values on the cut; the error is the problem's codec_loss against the goal's accuracy. Splits are
 * positions in the topological order (scan.h), and every pair of an engine of home and another one
 * is tried.
 *
 * Not modelled: the paper also quantises weights and activations of the device's part, each layer
 * with a width of its own (2 to 8 bits), and measures the distortion of each; a kerf plan runs
 * the model as it is, so memory here is that of the model's own weights. It returns a list of
 * solutions to choose from; here the goal chooses.
 */
#include "plan/policy.h"
#include "plan/scan.h"

#include <math.h>
#include <stdlib.h>

/* Splits that send no more than the input would as it is. */
static void find_candidates(const struct kerf_scan *s, uint32_t codecs, bool *allowed)
{
	double input = kerf_scan_live_bytes(s, 0, KERF_CODEC_NONE);
	uint32_t k, codec;

	for (k = 0; k <= s->n; k++) {
		double least = INFINITY;

		for (codec = 0; codec < KERF_N_CODECS; codec++)
			if (codecs >> codec & 1)
				least = fmin(least,
					     kerf_scan_live_bytes(s, k, (enum kerf_codec)codec));
		allowed[k] = !k || k == s->n || k == s->p->goal.keep || least <= input;
	}
}

int kerf_policy_autosplit(const struct kerf_problem *p, struct kerf_plan *plan,
			  struct kerf_err *err)
{
	uint32_t codecs = kerf_scan_codecs(p);
	struct kerf_scan_cut best = {.runs = false};
	struct kerf_scan scan;
	bool *allowed;
	int r = kerf_scan_begin(&scan, p, err);

	if (r)
		return r;
	allowed = malloc((size_t)scan.n + 1);
	if (!allowed) {
		kerf_scan_finish(&scan);
		return -ENOMEM;
	}
	find_candidates(&scan, codecs, allowed);
	kerf_scan_search(&scan, codecs, allowed, &best);
	free(allowed);
	return kerf_scan_end(&scan, &best, "autosplit", plan, err);
}
