/* SPDX-License-Identifier: MIT */
#include "net/link_request.h"

#include "net/http_client.h"
#include "net/json.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_S 1000000000ll
/* No link is that slow, and none that fast. */
#define MOST_S 3600
#define MOST_BYTES_S 1000000000000000ll

static int to_text(struct json_object *o, char **text)
{
	const char *s = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;

	*text = s ? strdup(s) : NULL;
	json_object_put(o);
	return *text ? 0 : -ENOMEM;
}

int kerf_link_request_encode(const char *peer, char **text)
{
	struct json_object *o = json_object_new_object();

	if (o)
		json_object_object_add(o, "peer", json_object_new_string(peer));
	return to_text(o, text);
}

int kerf_link_request_decode(const char *text, size_t n, char peer[KERF_URL_BYTES],
			     struct kerf_err *err)
{
	const char *url, *host, *rest;
	struct json_object *o;
	int r = kerf_json_parse(text, n, &o, err);

	if (r)
		return r;
	r = kerf_json_string(o, "peer", &url, err);
	if (!r)
		r = kerf_url_split(url, peer, KERF_URL_BYTES, &host, &rest, err);
	if (!r && *rest)
		r = kerf_fail(err, -EINVAL, "'peer' is '%.80s', expected http://HOST:PORT", url);
	json_object_put(o);
	return r == -ENOENT ? -EINVAL : r;
}

/* Every number of an estimate: its name, its least and its most. */
static const struct field {
	const char *name;
	size_t at;
	bool small; /* 32 bits, else 64 */
	int64_t min, max;
} fields[] = {
#define FIELD(NAME, MIN, MAX)                                                                      \
	{#NAME, offsetof(struct kerf_link_estimate, NAME),                                         \
	 sizeof(((struct kerf_link_estimate *)0)->NAME) == 4, MIN, MAX}
	FIELD(latency_ns, -MOST_S * NS_S, MOST_S * NS_S),
	FIELD(rate_bytes_s, 1, MOST_BYTES_S),
	FIELD(low_ppm, 0, UINT32_MAX),
	FIELD(high_ppm, 0, UINT32_MAX),
	FIELD(transfers, 0, UINT32_MAX),
	FIELD(low_ns, -MOST_S * NS_S, MOST_S * NS_S),
	FIELD(high_ns, -MOST_S * NS_S, MOST_S * NS_S),
	FIELD(window_bytes, 0, MOST_BYTES_S),
	FIELD(round_ns, 0, MOST_S * NS_S),
	FIELD(least_ns, 0, MOST_S * NS_S),
#undef FIELD
};

static struct json_object *estimate_json(const struct kerf_link_estimate *e)
{
	struct json_object *o = json_object_new_object();
	uint64_t now = kerf_now_ns();
	size_t i;

	for (i = 0; o && i < KERF_ARRAY_SIZE(fields); i++) {
		const char *at = (const char *)e + fields[i].at;
		uint32_t small;
		int64_t v;

		if (fields[i].small) {
			memcpy(&small, at, sizeof(small));
			v = small;
		} else {
			memcpy(&v, at, sizeof(v));
		}
		json_object_object_add(o, fields[i].name, json_object_new_int64(v));
	}
	if (o) {
		json_object_object_add(
			o, "age_ns",
			json_object_new_int64(now > e->updated_ns ? (int64_t)(now - e->updated_ns)
								  : 0));
		json_object_object_add(
			o, "estimator",
			json_object_new_string_len(
				e->estimator, (int)strnlen(e->estimator, sizeof(e->estimator))));
	}
	return o;
}

int kerf_link_reply_encode(const struct kerf_link_estimate *up,
			   const struct kerf_link_estimate *down, char **text)
{
	struct json_object *o = json_object_new_object();

	if (o) {
		json_object_object_add(o, "up", estimate_json(up));
		json_object_object_add(o, "down", estimate_json(down));
	}
	return to_text(o, text);
}

static int decode_estimate(struct json_object *all, const char *name, struct kerf_link_estimate *e,
			   struct kerf_err *err)
{
	struct json_object *o;
	const char *estimator;
	uint64_t now = kerf_now_ns();
	int64_t v;
	size_t i;
	int r = kerf_json_object(all, name, &o, err);

	memset(e, 0, sizeof(*e));
	for (i = 0; !r && i < KERF_ARRAY_SIZE(fields); i++) {
		char *at = (char *)e + fields[i].at;

		r = kerf_json_int(o, fields[i].name, fields[i].min, fields[i].max, &v, err);
		if (r)
			break;
		if (fields[i].small)
			memcpy(at, &(uint32_t){(uint32_t)v}, 4);
		else
			memcpy(at, &v, 8);
	}
	if (!r)
		r = kerf_json_int(o, "age_ns", 0, INT64_MAX, &v, err);
	if (!r)
		r = kerf_json_string(o, "estimator", &estimator, err);
	if (r)
		return -EPROTO;
	e->updated_ns = now > (uint64_t)v ? now - (uint64_t)v : 1;
	e->source = KERF_SOURCE_PEER;
	for (i = 0; estimator[i] && i < sizeof(e->estimator) - 1; i++)
		e->estimator[i] = estimator[i] >= ' ' && estimator[i] <= '~' ? estimator[i] : '?';
	return 0;
}

int kerf_link_reply_decode(const char *text, size_t n, struct kerf_link_estimate *up,
			   struct kerf_link_estimate *down, struct kerf_err *err)
{
	struct json_object *o;
	int r = kerf_json_parse(text, n, &o, err);

	if (r)
		return -EPROTO;
	r = decode_estimate(o, "up", up, err);
	if (!r)
		r = decode_estimate(o, "down", down, err);
	json_object_put(o);
	return r;
}
