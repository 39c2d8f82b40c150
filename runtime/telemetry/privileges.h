/* SPDX-License-Identifier: MIT */
/* What this process may do, given up once it is no longer needed. */
#ifndef KERF_TELEMETRY_PRIVILEGES_H
#define KERF_TELEMETRY_PRIVILEGES_H

#include "util/err.h"

/*
 * Takes CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYS_RESOURCE out of the calling
 * thread's effective, permitted, inheritable and ambient sets, and of its bounding set where that
 * is allowed; sets no_new_privs, so that no program it executes gets them back. Threads made
 * afterwards inherit this, those there are keep theirs. Others (a root's right to read
 * files) stay.
 */
int kerf_privileges_drop(struct kerf_err *err);

#endif
