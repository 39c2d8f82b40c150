/* SPDX-License-Identifier: MIT */
/*
 * Files of /proc and /sys: opened once, read again and again from their start, never trusted: what
 * is missing, empty, cut short or not a number is just not there.
 */
#ifndef KERF_TELEMETRY_LOAD_FILE_H
#define KERF_TELEMETRY_LOAD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* root "/" and the rest by a format. A file descriptor or -1. Never waits, not for a FIFO either.
 */
int kerf_load_file_open(const char *root, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void kerf_load_file_close(int fd); /* -1 allowed */

/*
 * At most size - 1 bytes from the start, and a NUL. How many there are before the first NUL; 0
 * also if it cannot be read.
 */
size_t kerf_load_file_read(int fd, char *text, size_t size);

/* The next decimal number after blanks; false at anything else, or if it does not fit. */
bool kerf_load_number(const char **text, uint64_t *value);

/* A file that is one number. */
bool kerf_load_file_number(int fd, uint64_t *value);
bool kerf_load_file_signed(int fd, int64_t *value);

/* The first word of a file, of printable characters, cut to size - 1. */
bool kerf_load_file_word(const char *root, const char *path, char *word, size_t size);

/* "0-3,8" as a bit a CPU; CPUs from max on are left out. How many bits were set. */
uint32_t kerf_load_cpulist(const char *text, uint8_t *bits, uint32_t max);

#endif
