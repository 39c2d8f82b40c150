/* SPDX-License-Identifier: MIT */
#include "util/digest.h"

#include <string.h>

void kerf_sha256(const void *data, size_t n, uint8_t out[32])
{
	struct sha256_ctx c;

	sha256_init(&c);
	sha256_update(&c, n, data);
	sha256_digest(&c, 32, out);
}

void kerf_hex(const uint8_t *data, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digit[data[i] >> 4];
		out[2 * i + 1] = digit[data[i] & 15];
	}
	out[2 * n] = 0;
}

bool kerf_sha256_parse(const char *hex, uint8_t out[32])
{
	size_t i;

	if (strlen(hex) != 64)
		return false;
	memset(out, 0, 32);
	for (i = 0; i < 64; i++) {
		int v;

		if (hex[i] >= '0' && hex[i] <= '9')
			v = hex[i] - '0';
		else if (hex[i] >= 'a' && hex[i] <= 'f')
			v = hex[i] - 'a' + 10;
		else
			return false;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | v);
	}
	return true;
}
