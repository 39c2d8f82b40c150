/* SPDX-License-Identifier: MIT */
/* Independent chains of multiply-adds in registers: the most this instruction set can do. */
#include "exec/cpu_peak.h"
#include "exec/vec.h"

/* As many chains as registers allow; more than latency x width of any core. */
#if defined(KERF_ISA_avx512) || defined(KERF_ISA_neon)
#define CHAINS 24
#else
#define CHAINS 12
#endif

static float chains(int64_t rounds)
{
	vf acc[CHAINS], a = vf_set1(0.5f), b = vf_set1(1.0f), sum = vf_zero();
	int i;

	_Pragma("GCC unroll 24") for (i = 0; i < CHAINS; i++)
		acc[i] = vf_set1((float)i);
	while (rounds--) {
		_Pragma("GCC unroll 24") for (i = 0; i < CHAINS; i++) {
			acc[i] = vf_fma(acc[i], a, b);
#if defined(__x86_64__)
			__asm__ volatile("" : "+x"(acc[i])); /* one chain is one chain */
#endif
		}
	}
	_Pragma("GCC unroll 24") for (i = 0; i < CHAINS; i++)
		sum += acc[i];
	return sum[0];
}

extern const struct kerf_cpu_peak_fns KERF_ISA_NAME(kerf_cpu_peak);

const struct kerf_cpu_peak_fns KERF_ISA_NAME(kerf_cpu_peak) = {
	.flops_per_round = 2 * CHAINS * VL,
	.run = chains,
};
