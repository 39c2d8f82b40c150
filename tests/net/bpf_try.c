// SPDX-License-Identifier: MIT
/*
 * Tries every BPF object here and says how it went, a line each: "NAME attached" or "NAME no: WHY".
 * --refuse makes a seccomp filter answer bpf() first, as a container's does; with a COMMAND that
 * runs instead, under the filter.
 */
#include "telemetry/source.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuse_bpf(int code)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(insns) / sizeof(insns[0]), insns};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &prog))
		return -errno;
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: bpf_try [--refuse EPERM|ENOSYS] [--best bpf] [--btf FILE] "
			"[COMMAND [ARG...]]\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct kerf_bpf_config cfg = {0};
	struct kerf_err err = {0};
	struct kerf_bpf *b;
	int i, code = 0;

	for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (strcmp(argv[i], "--refuse") == 0 && strcmp(argv[i + 1], "EPERM") == 0)
			code = EPERM;
		else if (strcmp(argv[i], "--refuse") == 0 && strcmp(argv[i + 1], "ENOSYS") == 0)
			code = ENOSYS;
		else if (strcmp(argv[i], "--best") == 0 && strcmp(argv[i + 1], "bpf") == 0)
			cfg.best = KERF_SOURCE_BPF;
		else if (strcmp(argv[i], "--btf") == 0)
			cfg.btf = argv[i + 1];
		else
			return usage();
	}
	if (i < argc && strncmp(argv[i], "--", 2) == 0)
		return usage();
	if (code && refuse_bpf(code)) {
		perror("bpf_try: seccomp");
		return 77;
	}
	if (i < argc) {
		execvp(argv[i], argv + i);
		perror(argv[i]);
		return 127;
	}
	if (kerf_bpf_open(&cfg, &b, &err)) {
		fprintf(stderr, "bpf_try: %s\n", err.msg);
		return 1;
	}
	for (i = 0; i < KERF_N_BPF; i++) {
		const char *why = kerf_bpf_why(b, (enum kerf_bpf_object)i);

		printf("%s %s%s\n", kerf_bpf_name((enum kerf_bpf_object)i),
		       why ? "no: " : "attached", why ? why : "");
	}
	kerf_bpf_close(b);
	return 0;
}
