/* SPDX-License-Identifier: MIT */
#include "exec/cpu_isa.h"

#include <string.h>

#define DECLARE(isa)                                                                               \
	extern const struct kerf_cpu_map_fns kerf_cpu_map_##isa;                                   \
	extern const struct kerf_cpu_norm_fns kerf_cpu_norm_##isa;                                 \
	extern const struct kerf_cpu_pool_fns kerf_cpu_pool_##isa;                                 \
	extern const struct kerf_cpu_int8_fns kerf_cpu_int8_##isa;
#define ENTRY(isa)                                                                                 \
	{                                                                                          \
		#isa, NULL, &kerf_cpu_map_##isa, &kerf_cpu_norm_##isa, &kerf_cpu_pool_##isa,       \
			&kerf_cpu_int8_##isa, false                                                \
	}

#if defined(__x86_64__)
DECLARE(baseline)
DECLARE(avx2)
DECLARE(avx512)
static const struct kerf_isa built[] = {ENTRY(baseline), ENTRY(avx2), ENTRY(avx512)};
#elif defined(__aarch64__)
DECLARE(neon)
static const struct kerf_isa built[] = {ENTRY(neon)};
#else
DECLARE(baseline)
static const struct kerf_isa built[] = {ENTRY(baseline)};
#endif

static bool machine_has_dots(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512vnni");
#else
	return false;
#endif
}

int kerf_isa_init(struct kerf_isa *isa, const char *name)
{
	const struct kerf_cpu_isa *heavy = kerf_cpu_isa_find(name);
	unsigned i;

	for (i = 0; heavy && i < KERF_ARRAY_SIZE(built); i++)
		if (!strcmp(built[i].name, heavy->name)) {
			*isa = built[i];
			isa->heavy = heavy;
			isa->dots = isa->int8->dots.run && machine_has_dots();
			return 0;
		}
	return -ENOENT;
}
