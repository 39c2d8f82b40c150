/* SPDX-License-Identifier: MIT */
#include "telemetry/load_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int kerf_load_file_open(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n, m;

	n = snprintf(path, sizeof(path), "%s/", root);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -1;
	va_start(ap, fmt);
	m = vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
	va_end(ap);
	if (m < 0 || (size_t)m >= sizeof(path) - (size_t)n)
		return -1;
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void kerf_load_file_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

size_t kerf_load_file_read(int fd, char *text, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (fd >= 0 && n < size - 1) {
		got = pread(fd, text + n, size - 1 - n, (off_t)n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	return strlen(text);
}

bool kerf_load_number(const char **text, uint64_t *value)
{
	const char *s = *text;
	uint64_t v = 0;

	while (*s == ' ' || *s == '\t')
		s++;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	*text = s;
	*value = v;
	return true;
}

bool kerf_load_file_number(int fd, uint64_t *value)
{
	char text[32];
	const char *s = text;

	return kerf_load_file_read(fd, text, sizeof(text)) && kerf_load_number(&s, value) &&
	       (*s == '\n' || *s == '\0');
}

bool kerf_load_file_signed(int fd, int64_t *value)
{
	char text[32];
	const char *s = text;
	uint64_t v;
	bool minus;

	if (!kerf_load_file_read(fd, text, sizeof(text)))
		return false;
	minus = *s == '-';
	s += minus;
	if (!kerf_load_number(&s, &v) || v > INT64_MAX || (*s != '\n' && *s != '\0'))
		return false;
	*value = minus ? -(int64_t)v : (int64_t)v;
	return true;
}

bool kerf_load_file_word(const char *root, const char *path, char *word, size_t size)
{
	char text[128];
	size_t n;
	int fd = kerf_load_file_open(root, "%s", path);

	kerf_load_file_read(fd, text, sizeof(text));
	kerf_load_file_close(fd);
	for (n = 0; n < size - 1 && text[n] > ' ' && text[n] < 0x7f; n++)
		word[n] = text[n];
	memset(word + n, 0, size - n);
	return n > 0;
}

uint32_t kerf_load_cpulist(const char *text, uint8_t *bits, uint32_t max)
{
	uint32_t n = 0;
	uint64_t first, last, i;

	memset(bits, 0, (max + 7) / 8);
	while (kerf_load_number(&text, &first)) {
		last = first;
		if (*text == '-') {
			text++;
			if (!kerf_load_number(&text, &last))
				break;
		}
		for (i = first; i <= last && i < max; i++) {
			n += !(bits[i / 8] >> i % 8 & 1);
			bits[i / 8] |= (uint8_t)(1u << i % 8);
		}
		if (*text != ',')
			break;
		text++;
	}
	return n;
}
