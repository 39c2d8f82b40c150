/* SPDX-License-Identifier: MIT */
/*
 * A power profile: what engines draw while they work and nodes while they wait, and what a byte
 * costs that is sent or received. A JSON file that people write, from a data sheet or a meter:
 *
 *   {"kerf_power": 1,
 *    "engines": {"cpu": {"active_w": 2.9}, "http://10.0.0.2:8470": {"active_w": 45}},
 *    "nodes": {"home": {"idle_w": 1.6, "send_j_byte": 2.8e-7, "receive_j_byte": 1.4e-7},
 *              "http://10.0.0.2:8470": {"idle_w": 20}}}
 *
 * Engines are named as in --on, nodes by the URL of one of their engines without its path; "home"
 * is this one, "*" whatever is not named. What is left out is 0. Other keys are refused: a figure
 * with a wrong name would silently count as nothing.
 */
#ifndef KERF_COST_POWER_H
#define KERF_COST_POWER_H

#include "util/err.h"

#define KERF_POWER_MAX 64

struct kerf_power_engine {
	char name[96];
	double active_w; /* above idle */
};

struct kerf_power_node {
	char name[96];
	double idle_w, send_j_byte, receive_j_byte;
};

struct kerf_power {
	uint32_t n_engine, n_node;
	struct kerf_power_engine engine[KERF_POWER_MAX];
	struct kerf_power_node node[KERF_POWER_MAX];
};

/* -ENOENT, -EINVAL with a sentence that names the file and the key. */
int kerf_power_read(const char *path, struct kerf_power *p, struct kerf_err *err);

/* The one of that name, else "*", else NULL. A node's name: "home" or "http://host:port". */
const struct kerf_power_engine *kerf_power_engine(const struct kerf_power *p, const char *name);
const struct kerf_power_node *kerf_power_node(const struct kerf_power *p, const char *name);

#endif
