/* SPDX-License-Identifier: MIT */
/* Independent chains of multiply-adds in registers: the most this instruction set can do. */
#include "exec/cpu_peak.h"
#include "exec/vec.h"

/* Named one by one, so that they are registers at any level of optimisation. */
#define EACH(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11)
#define CHAINS 12 /* more than latency x width of the cores we know; fewer than registers */
#define BEGIN(i) vf acc##i = vf_set1((float)i);
#define STEP(i) acc##i = vf_fma(acc##i, a, b);
#define SUM(i) sum += acc##i;

static float chains(int64_t rounds)
{
	vf a = vf_set1(0.5f), b = vf_set1(1.0f), sum = vf_zero();

	EACH(BEGIN)
	while (rounds--) {
		EACH(STEP)
	}
	EACH(SUM)
	return sum[0];
}

extern const struct kerf_cpu_peak_fns KERF_ISA_NAME(kerf_cpu_peak);

const struct kerf_cpu_peak_fns KERF_ISA_NAME(kerf_cpu_peak) = {
	.flops_per_round = 2 * CHAINS * VL,
	.run = chains,
};
