/* SPDX-License-Identifier: MIT */
/* SHA-256 (nettle), whole or in pieces, and hexadecimal. */
#ifndef KERF_UTIL_DIGEST_H
#define KERF_UTIL_DIGEST_H

#include "util/base.h"

#include <nettle/sha2.h>

#define KERF_SHA256_HEX 65 /* with the NUL */

void kerf_sha256(const void *data, size_t n, uint8_t out[32]);
void kerf_hex(const uint8_t *data, size_t n, char *out); /* 2n + 1 bytes */
/* Exactly 64 lower-case hex digits; false otherwise. */
bool kerf_sha256_parse(const char *hex, uint8_t out[32]);

#endif
