/* SPDX-License-Identifier: MIT */
#include "exec/cpu_isa.h"

#include <string.h>

int kerf_isa_init(struct kerf_isa *isa, const char *name)
{
	if (name && strcmp(name, "auto") && strcmp(name, "baseline"))
		return -ENOENT;
	isa->heavy = NULL;
	isa->name = "baseline";
	return 0;
}
