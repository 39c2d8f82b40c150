/* SPDX-License-Identifier: MIT */
#ifndef KERF_EXEC_CPU_PEAK_H
#define KERF_EXEC_CPU_PEAK_H

#include <stdint.h>

struct kerf_cpu_peak_fns {
	int flops_per_round;
	float (*run)(int64_t rounds); /* the result is of no use, but must be used */
};

#endif
