/* SPDX-License-Identifier: MIT */
/* UTF-8 (RFC 3629): shortest forms, no surrogates. */
#ifndef KERF_UTIL_UTF8_H
#define KERF_UTIL_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at text, of which there are n (at least 1); 0: it is none. */
static inline size_t kerf_utf8_length(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80   ? 1
		     : s[0] < 0xc2 ? 0
		     : s[0] < 0xe0 ? 2
		     : s[0] < 0xf0 ? 3
		     : s[0] < 0xf5 ? 4
				   : 0,
	       i;
	uint32_t c = len > 1 ? s[0] & (0x7fu >> len) : s[0];

	if (!len || len > n)
		return 0;
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[len] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0 : len;
}

#endif
