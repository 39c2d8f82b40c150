/* SPDX-License-Identifier: MIT */
#include "net/http_head.h"

#include <string.h>
#include <strings.h>

/* Digits, blanks around them. */
static int number(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	while (i < n && (s[i] == ' ' || s[i] == '\t'))
		i++;
	if (i == n)
		return -EPROTO;
	for (; i < n; i++)
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return -EPROTO;
	if (v > INT64_MAX)
		return -EPROTO;
	*out = v;
	return 0;
}

static bool is(const char *s, size_t n, const char *name)
{
	return strlen(name) == n && !strncasecmp(s, name, n);
}

/* Whether a comma-separated list holds word. */
static bool lists(const char *s, size_t n, const char *word)
{
	size_t w = strlen(word), i;

	for (i = 0; i + w <= n; i++)
		if (!strncasecmp(s + i, word, w))
			return true;
	return false;
}

static int field(const char *s, size_t n, struct kerf_http_head *h, bool *has_length)
{
	const char *colon = memchr(s, ':', n);
	uint64_t v;
	size_t k;
	int r = 0;

	if (!colon || colon == s)
		return -EPROTO;
	k = (size_t)(colon - s);
	n -= k + 1;
	colon++;
	if (is(s, k, "Content-Length")) {
		r = number(colon, n, &v);
		if (!r && *has_length && v != h->length)
			r = -EPROTO;
		if (!r)
			h->length = v;
		*has_length = true;
	} else if (is(s, k, "Transfer-Encoding")) {
		r = -EPROTO;
	} else if (is(s, k, "Connection")) {
		h->close = lists(colon, n, "close");
	} else if (is(s, k, "Inference-Header-Content-Length")) {
		r = number(colon, n, &v);
		if (!r)
			h->oip_length = (int64_t)v;
	} else if (is(s, k, "Kerf-Busy-Ns")) {
		if (number(colon, n, &h->busy_ns))
			h->busy_ns = 0;
	} else if (is(s, k, "Kerf-Hold-Ns")) {
		h->hold_ns = number(colon, n, &v) ? -1 : (int64_t)v;
	} else if (is(s, k, "Kerf-Load")) {
		while (n && (*colon == ' ' || *colon == '\t')) {
			colon++;
			n--;
		}
		h->load = n && n < KERF_LOAD_TEXT ? colon : NULL;
		h->load_size = h->load ? n : 0;
	}
	return r;
}

static ssize_t one_head(const char *buf, size_t n, struct kerf_http_head *h)
{
	const char *end = memmem(buf, n, "\r\n\r\n", 4), *p, *eol;
	bool has_length = false;

	if (!end)
		return n >= KERF_HTTP_REPLY_HEAD_MAX ? -EMSGSIZE : 0;
	if ((size_t)(end - buf) + 4 > KERF_HTTP_REPLY_HEAD_MAX)
		return -EMSGSIZE;
	memset(h, 0, sizeof(*h));
	h->oip_length = h->hold_ns = -1;
	if (end - buf < 12 || memcmp(buf, "HTTP/1.1 ", 9) || buf[9] < '1' || buf[9] > '5' ||
	    buf[10] < '0' || buf[10] > '9' || buf[11] < '0' || buf[11] > '9')
		return -EPROTO;
	h->status = (buf[9] - '0') * 100 + (buf[10] - '0') * 10 + (buf[11] - '0');
	p = memmem(buf, (size_t)(end - buf) + 2, "\r\n", 2);
	for (p += 2; p < end; p = eol + 2) {
		eol = memmem(p, (size_t)(end + 2 - p), "\r\n", 2);
		if (field(p, (size_t)(eol - p), h, &has_length))
			return -EPROTO;
	}
	if (!has_length && h->status >= 200 && h->status != 204)
		return -EPROTO;
	return end + 4 - buf;
}

ssize_t kerf_http_head_parse(const char *buf, size_t n, struct kerf_http_head *head)
{
	size_t used = 0;
	ssize_t k;

	do {
		k = one_head(buf + used, n - used, head);
		if (k <= 0)
			return used && !k && n >= KERF_HTTP_REPLY_HEAD_MAX ? -EMSGSIZE : k;
		used += (size_t)k;
	} while (head->status < 200);
	return (ssize_t)used;
}
