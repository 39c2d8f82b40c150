/* SPDX-License-Identifier: MIT */
/*
 * Neurosurgeon: Kang, Hauswald, Gao, Rovinski, Mudge, Mars, Tang, "Neurosurgeon: collaborative
 * intelligence between the cloud and mobile edge", ASPLOS 2017.
 *
 * Modelled. A network is a chain of layers; those before a point run on the device, the others in
 * the cloud. With each layer's time on either side predicted and the link's rate known, every point
 * is looked at and the one of least latency, or least energy, is taken. All here and all there are
 * points as well.
 *
 * How it is mapped. Points are positions in the topological order: in a DAG a cut there sends all
 * values that live there (scan.h). What the paper predicts by a regression for each kind of layer
 * is the problem's op_s, measured or predicted. The paper's energy is the phone's: active_w, idle_w
 * and send_j_byte of home, those of other nodes being 0; if they are not, they count. Goals
 * other than latency and energy are served by the same scan. Constraints rule points out. Every
 * pair of an engine of home and another one is tried.
 *
 * Not modelled: the paper leaves out the way back of the answer; here it is paid for.
 */
#include "plan/policy.h"
#include "plan/scan.h"

int kerf_policy_neurosurgeon(const struct kerf_problem *p, struct kerf_plan *plan,
			     struct kerf_err *err)
{
	struct kerf_scan_cut best = {.runs = false};
	struct kerf_scan scan;
	int r = kerf_scan_begin(&scan, p, err);

	if (r)
		return r;
	kerf_scan_search(&scan, 1u << KERF_CODEC_NONE, NULL, &best);
	return kerf_scan_end(&scan, &best, "neurosurgeon", plan, err);
}
