/* SPDX-License-Identifier: MIT */
/*
 * What /proc says: the CPUs' counters in the form that BPF programs write them in, memory and
 * pressure. One thread.
 */
#ifndef KERF_TELEMETRY_LOAD_PROC_H
#define KERF_TELEMETRY_LOAD_PROC_H

#include "kerf_state.h"

#include <stdbool.h>
#include <stdint.h>

struct kerf_proc;

/* cpus: keep CPU records too. NULL if there is no memory. */
struct kerf_proc *kerf_proc_open(const char *root, bool cpus);
void kerf_proc_close(struct kerf_proc *p); /* NULL allowed */

/*
 * Brings the CPU records up to now, out of stat, schedstat and this process's own threads. Times
 * are as coarse as the kernel tells them (10 ms); there is no way to tell real-time tasks apart.
 */
void kerf_proc_update(struct kerf_proc *p, uint64_t now_ns);
const struct kerf_cpu_rec *kerf_proc_cpus(const struct kerf_proc *p); /* NULL: not kept */

/* The total that this process's threads waited for a CPU, as of the last update. */
uint64_t kerf_proc_own_delay_ns(const struct kerf_proc *p);

bool kerf_proc_memory(struct kerf_proc *p, uint64_t *total, uint64_t *available);

/* Total time in which some task was held up by want of it, us. */
bool kerf_proc_cpu_pressure(struct kerf_proc *p, uint64_t *us);
bool kerf_proc_memory_pressure(struct kerf_proc *p, uint64_t *us);

/* The CPUs that the calling thread may use, a bit each; false: not known. */
bool kerf_proc_allowed(struct kerf_proc *p, uint8_t *bits, uint32_t max);

/* The calling thread's nice value; 0 if it is not known. */
int kerf_proc_nice(struct kerf_proc *p);

#endif
