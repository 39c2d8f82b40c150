/* SPDX-License-Identifier: MIT */
/* kerf's subcommands. Each takes its own argv (argv[0] is its name) and returns the exit status. */
#ifndef KERF_CLI_CLI_H
#define KERF_CLI_CLI_H

#include "util/err.h"

enum kerf_exit_status {
	KERF_EXIT_OK = 0,
	KERF_EXIT_FAILED = 1,
	KERF_EXIT_USAGE = 2,
	KERF_EXIT_MISSED = 3
};

struct kerf_command {
	const char *name, *what;
	int (*run)(int argc, char **argv);
};

int kerf_cmd_bench(int argc, char **argv);
int kerf_cmd_conformance(int argc, char **argv);
int kerf_cmd_gen(int argc, char **argv);
int kerf_cmd_inspect(int argc, char **argv);
int kerf_cmd_kerfd(int argc, char **argv); /* kerf under the name kerfd: node run */
int kerf_cmd_node(int argc, char **argv);
int kerf_cmd_plan(int argc, char **argv);
int kerf_cmd_profile(int argc, char **argv);
int kerf_cmd_record(int argc, char **argv);
int kerf_cmd_report(int argc, char **argv);
int kerf_cmd_run(int argc, char **argv);
int kerf_cmd_sim(int argc, char **argv);
int kerf_cmd_top(int argc, char **argv);

/* "kerf: sentence" to stderr; returns KERF_EXIT_MISSED for -EDOM, else KERF_EXIT_FAILED. */
int kerf_cli_fail(const struct kerf_err *err, int code);

#endif
