/* SPDX-License-Identifier: MIT */
#include "telemetry/privileges.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Younger than the C library's headers may be. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

static const int dropped[] = {CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_RESOURCE};

int kerf_privileges_drop(struct kerf_err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3];
	size_t i;

	if (syscall(SYS_capget, &head, set))
		return kerf_fail(err, -errno, "capget: %s", strerror(errno));
	/* Needs CAP_SETPCAP; without it what is dropped below can still not come back. */
	for (i = 0; i < KERF_ARRAY_SIZE(dropped); i++)
		prctl(PR_CAPBSET_DROP, dropped[i], 0, 0, 0);
	for (i = 0; i < KERF_ARRAY_SIZE(dropped); i++) {
		struct __user_cap_data_struct *word = &set[dropped[i] / 32];
		uint32_t keep = ~(1u << dropped[i] % 32);

		/* The kernel takes it out of the ambient set too when it leaves one of these. */
		word->effective &= keep;
		word->permitted &= keep;
		word->inheritable &= keep;
	}
	head.pid = 0;
	if (syscall(SYS_capset, &head, set))
		return kerf_fail(err, -errno, "capset: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return kerf_fail(err, -errno, "no_new_privs: %s", strerror(errno));
	return 0;
}
