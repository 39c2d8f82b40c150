/* SPDX-License-Identifier: MIT */
/*
 * A cgroup v2 folder of this process's own, so that sockops programs see its connections and no
 * other's: kerf-bpf-PID beneath the cgroup it is in. The process, with all its threads, moves in
 * and at close back out. Sockets belong to the cgroup they were made in: open before there are
 * any. A folder is in use while its maker holds a lock on it, so that what a killed process left
 * is found and removed by the next one.
 */
#ifndef KERF_TELEMETRY_CGROUP_H
#define KERF_TELEMETRY_CGROUP_H

#include "util/err.h"

struct kerf_cgroup;

/* path NULL: made as above. Else that folder, as it is: nothing moves, nothing is removed. */
int kerf_cgroup_open(const char *path, struct kerf_cgroup **c, struct kerf_err *err);
void kerf_cgroup_close(struct kerf_cgroup *c); /* NULL allowed */
int kerf_cgroup_fd(const struct kerf_cgroup *c);
const char *kerf_cgroup_path(const struct kerf_cgroup *c);

/*
 * Where cgroup v2 is mounted and this process's folder in it, from the texts of
 * /proc/self/mountinfo and /proc/self/cgroup. -ENOENT with a sentence if there is none.
 */
int kerf_cgroup_find(const char *mountinfo, const char *cgroup, char *path, size_t size,
		     struct kerf_err *err);

#endif
