/* SPDX-License-Identifier: MIT */
/* Text of peers and kernels on a terminal: what is not printable ASCII is shown as '?'. */
#ifndef KERF_CLI_CLEAN_H
#define KERF_CLI_CLEAN_H

#include <stddef.h>

/* Returns out, at most size - 1 characters. */
static inline const char *kerf_clean(const char *text, char *out, size_t size)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < size; i++)
		out[i] = text[i] < 0x20 || text[i] > 0x7e ? '?' : text[i];
	out[i] = 0;
	return out;
}

#endif
