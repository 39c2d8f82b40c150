/* SPDX-License-Identifier: MIT */
/*
 * Runs a command with every telemetry program attached, or with none, and says what it cost:
 *
 *   attach on|off COMMAND [ARGUMENT...]
 *
 * The command runs in kerf's own cgroup, so that its sockets are measured like kerf's. The last
 * line on stderr: "cpu_ns=... wall_ns=... attached=link_core,sched,...": processor time of the
 * command and all its children.
 */
#include "telemetry/source.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t children_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

int main(int argc, char **argv)
{
	struct kerf_bpf_config cfg = {.best = KERF_SOURCE_PROC};
	struct kerf_bpf *bpf;
	struct kerf_err err = {""};
	const char *separator = "";
	uint64_t start;
	int status, i;
	pid_t pid;

	if (argc < 3 || (strcmp(argv[1], "on") && strcmp(argv[1], "off"))) {
		fprintf(stderr, "usage: attach on|off COMMAND [ARGUMENT...]\n");
		return 2;
	}
	if (!strcmp(argv[1], "on"))
		cfg.best = KERF_SOURCE_BTF;
	if (kerf_bpf_open(&cfg, &bpf, &err)) {
		fprintf(stderr, "attach: %s\n", err.msg);
		return 1;
	}
	start = kerf_now_ns();
	pid = fork();
	if (!pid) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		perror("attach");
		kerf_bpf_close(bpf);
		return 1;
	}
	fprintf(stderr, "cpu_ns=%llu wall_ns=%llu attached=", (unsigned long long)children_ns(),
		(unsigned long long)(kerf_now_ns() - start));
	for (i = 0; i < KERF_N_BPF; i++) {
		if (kerf_bpf_why(bpf, i))
			continue;
		fprintf(stderr, "%s%s", separator, kerf_bpf_name(i));
		separator = ",";
	}
	fputc('\n', stderr);
	kerf_bpf_close(bpf);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
