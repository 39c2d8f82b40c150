/* SPDX-License-Identifier: MIT */
/*
 * How a failure reaches the user: functions return 0 or a negative errno and,
 * where a sentence helps, take a struct kerf_err. The first failure is the one
 * kept, so a caller may add its own context without hiding the cause.
 * A sentence names the file, tensor or field, what was expected, what was found.
 */
#ifndef KERF_UTIL_ERR_H
#define KERF_UTIL_ERR_H

#include "util/base.h"

struct kerf_err {
	char msg[512]; /* one line, no newline at the end; empty while nothing failed */
};

/* Writes the sentence unless one is there already (or err is NULL); returns code. */
int kerf_fail(struct kerf_err *err, int code, const char *fmt, ...) KERF_PRINTF(3, 4);

/* Puts "context: " before the sentence. Used on the way up: file, then node. */
void kerf_err_prefix(struct kerf_err *err, const char *fmt, ...) KERF_PRINTF(2, 3);

#endif
