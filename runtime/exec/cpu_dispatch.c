/* SPDX-License-Identifier: MIT */
/* Which instruction sets this build has and this machine runs. */
#include "exec/cpu_kernels.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define ISA(isa)                                                             \
	extern const struct kerf_cpu_tile_fns kerf_cpu_tile_##isa;           \
	extern const struct kerf_cpu_depthwise_fns kerf_cpu_depthwise_##isa; \
	extern const struct kerf_cpu_peak_fns kerf_cpu_peak_##isa;           \
	static const struct kerf_cpu_isa isa_##isa = {                       \
		.name = #isa,                                                \
		.tile = &kerf_cpu_tile_##isa,                                \
		.depthwise = &kerf_cpu_depthwise_##isa,                      \
		.peak = &kerf_cpu_peak_##isa,                                \
	};

#if defined(__x86_64__)
ISA(avx512)
ISA(avx2)
ISA(baseline)
static const struct kerf_cpu_isa *const all[] = {&isa_avx512, &isa_avx2, &isa_baseline};
#elif defined(__aarch64__)
ISA(neon)
static const struct kerf_cpu_isa *const all[] = {&isa_neon};
#else
ISA(baseline)
static const struct kerf_cpu_isa *const all[] = {&isa_baseline};
#endif

#if defined(__x86_64__)
/* clang 14 has no name for it in __builtin_cpu_supports(). */
static bool has_f16c(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

/* What the compiler was told to use in isa_avx2.o and isa_avx512.o (Makefile). */
static bool runs_here(const struct kerf_cpu_isa *isa)
{
#if defined(__x86_64__)
	bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();

	if (isa == &isa_avx2)
		return avx2;
	if (isa == &isa_avx512)
		return avx2 && __builtin_cpu_supports("avx512f") &&
		       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		       __builtin_cpu_supports("avx512dq");
#endif
	return true;
}

const struct kerf_cpu_isa *kerf_cpu_isa_at(int n)
{
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(all); i++)
		if (runs_here(all[i]) && !n--)
			return all[i];
	return NULL;
}

const struct kerf_cpu_isa *kerf_cpu_isa_find(const char *name)
{
	const struct kerf_cpu_isa *isa;
	int i;

	for (i = 0; (isa = kerf_cpu_isa_at(i)); i++)
		if (!name || !strcmp(name, "auto") || !strcmp(name, isa->name))
			return isa;
	return NULL;
}
