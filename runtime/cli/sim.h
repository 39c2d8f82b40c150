/* SPDX-License-Identifier: MIT */
#ifndef KERF_CLI_SIM_H
#define KERF_CLI_SIM_H

#include "sim/sim.h"

/* Latencies, requests over time and the busiest nodes, as an SVG. 0 or -ENOMEM. */
int kerf_sim_svg(const struct kerf_sim *sim, const struct kerf_sim_result *r, FILE *f);

#endif
