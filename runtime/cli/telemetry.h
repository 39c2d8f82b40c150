/* SPDX-License-Identifier: MIT */
/* Telemetry of a command: how it is asked for, what is told of it, what a plan takes from it. */
#ifndef KERF_CLI_TELEMETRY_H
#define KERF_CLI_TELEMETRY_H

#include "exec/cluster.h"
#include "telemetry/telemetry.h"

#include <getopt.h>
#include <stdio.h>

struct kerf_cli_telemetry_options {
	enum kerf_source best;
	bool off, asked; /* asked: some option was given */
	const char *state; /* socket; NULL: not given */
	const char *btf;   /* file; NULL: the kernel's */
};

enum { KERF_CLI_OPT_TELEMETRY = 256, KERF_CLI_OPT_STATE, KERF_CLI_OPT_BTF };

#define KERF_CLI_TELEMETRY_LONG_OPTIONS                                                            \
	{"telemetry", required_argument, NULL, KERF_CLI_OPT_TELEMETRY},                            \
		{"state", required_argument, NULL, KERF_CLI_OPT_STATE},                            \
		{"btf", required_argument, NULL, KERF_CLI_OPT_BTF}

#define KERF_CLI_TELEMETRY_HELP                                                                    \
	"  --telemetry NAME    measure links and load by: auto (default: the best there is), btf\n" \
	"                      (BPF with type information), bpf (BPF without), proc (TCP_INFO,\n"  \
	"                      /proc and /sys), off\n"                                             \
	"  --btf FILE          types of a kernel that has no /sys/kernel/btf/vmlinux\n"

/* 0, or -EINVAL with a sentence. */
int kerf_cli_telemetry_option(struct kerf_cli_telemetry_options *o, int opt, const char *arg,
			      struct kerf_err *err);

/*
 * Opens and gives up the privileges that it needed; no other thread may be there yet. *t NULL and
 * 0: off. Publishes if a socket was named.
 */
int kerf_cli_telemetry_open(const struct kerf_cli_telemetry_options *o, struct kerf_telemetry **t,
			    struct kerf_err *err);

/* Who measures what, in a line, and a line for each that something better could measure. */
void kerf_cli_telemetry_say(struct kerf_telemetry *t, FILE *f);

/* "BPF with BTF", "/proc and /sys", ... */
const char *kerf_cli_source(unsigned int source);

/* kerf inspect --telemetry: opens everything, says what came of it. The exit status. */
int kerf_inspect_telemetry(bool json);

/*
 * plan is in force from now on; changed: why not the one before, NULL: what both predicted. And how
 * n requests of it went so far.
 */
void kerf_cli_telemetry_plan(struct kerf_telemetry *t, const struct kerf_plan *plan,
			     const char *model, const char *changed);
void kerf_cli_telemetry_requests(struct kerf_telemetry *t, uint64_t n, double median_s);

#endif
