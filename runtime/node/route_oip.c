/* SPDX-License-Identifier: MIT */
/* The Open Inference Protocol's resources. */
#include "node/node_priv.h"

#include "net/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a request waits for a job's buffers before it gets 503. */
#define WAIT_MS 10000
/* JSON of a tensor element, and of everything that is not data. */
#define JSON_ELEMENT_BYTES 32
#define JSON_OTHER_BYTES (64u << 10)

struct infer {
	struct kerf_served *s;
	struct kerf_served_job *job;
	int64_t header_len; /* -1: absent */
	struct kerf_oip_request want;
	char *text; /* header of the reply, if it is not the usual one */
};

static struct kerf_node *node_of(struct kerf_http_request *r)
{
	return r->server_user;
}

void kerf_route_server(struct kerf_http_request *r)
{
	kerf_http_reply(r, 200, "application/json",
			"{\"name\":\"kerf\",\"version\":\"" KERF_VERSION
			"\",\"extensions\":[\"binary_tensor_data\"]}");
}

void kerf_route_live(struct kerf_http_request *r)
{
	kerf_http_reply(r, 200, "application/json", "{\"live\":true,\"ready\":true}");
}

/* A reference, or NULL after replying 404. Models have one version, "1". */
static struct kerf_served *find(struct kerf_http_request *r)
{
	struct kerf_served *s = NULL;

	if (!r->arg[1][0] || !strcmp(r->arg[1], "1"))
		s = kerf_node_get(node_of(r), r->arg[0]);
	if (!s)
		kerf_http_error(r, 404, "no model '%s'%s%s", r->arg[0],
				r->arg[1][0] ? " version " : "", r->arg[1]);
	return s;
}

void kerf_route_model(struct kerf_http_request *r)
{
	struct kerf_served *s = find(r);
	char *text;

	if (!s)
		return;
	if (kerf_oip_metadata(&s->spec, &text)) {
		kerf_http_error(r, 503, "out of memory");
	} else {
		kerf_http_reply(r, 200, "application/json", text);
		free(text);
	}
	kerf_node_put(node_of(r), s);
}

void kerf_route_model_ready(struct kerf_http_request *r)
{
	struct kerf_served *s = find(r);

	if (!s)
		return;
	kerf_http_reply(r, 200, "application/json", "{\"ready\":true}");
	kerf_node_put(node_of(r), s);
}

/* --- infer --- */

static int parse_header_len(struct kerf_http_request *r, int64_t *len)
{
	const char *s = kerf_http_header(r, KERF_OIP_LENGTH_HEADER);
	int64_t v = 0;

	*len = -1;
	if (!s)
		return 0;
	if (!*s || strlen(s) > 12 || s[strspn(s, "0123456789")])
		return kerf_http_error(r, 400, KERF_OIP_LENGTH_HEADER " is '%.40s'", s);
	for (; *s; s++)
		v = v * 10 + (*s - '0');
	if ((uint64_t)v > r->length)
		return kerf_http_error(r, 400, KERF_OIP_LENGTH_HEADER " is %lld, the body has %llu bytes",
				       (long long)v, (unsigned long long)r->length);
	*len = v;
	return 0;
}

/* Bounds the JSON by what the inputs can need, and charges what parsing it will take. */
static int admit_json(struct kerf_http_request *r, const struct infer *q)
{
	uint64_t elements = 0, json = q->header_len < 0 ? r->length : (uint64_t)q->header_len, max;
	uint32_t i;

	for (i = 0; i < q->s->spec.n_in; i++)
		elements += (uint64_t)kerf_tensor_count(&q->s->in[i].t);
	max = JSON_OTHER_BYTES + elements * JSON_ELEMENT_BYTES;
	if (json > max)
		return kerf_http_error(r, 413, "JSON of %llu bytes, at most %llu expected for these inputs",
				       (unsigned long long)json, (unsigned long long)max);
	if (r->length - json > q->s->in_bytes)
		return kerf_http_error(r, 413, "%llu bytes of binary data, the inputs have %llu",
				       (unsigned long long)(r->length - json),
				       (unsigned long long)q->s->in_bytes);
	if (!kerf_http_charge(r, json * KERF_JSON_BLOWUP))
		return kerf_http_error(r, 503, "too much JSON at once; binary data needs no such room");
	return 0;
}

void kerf_route_infer_begin(struct kerf_http_request *r)
{
	struct infer *q = calloc(1, sizeof(*q));

	r->user = q;
	if (!q) {
		kerf_http_error(r, 503, "out of memory");
		return;
	}
	q->s = find(r);
	if (!q->s || parse_header_len(r, &q->header_len))
		return;
	if (q->s->part) {
		kerf_http_error(r, 400, "'%s' has ports: it runs by its neighbours' messages and "
					"/kerf/v1/slices/%s/run", q->s->name, kerf_node_slice_id(q->s));
		return;
	}
	if (q->header_len) {
		admit_json(r, q);
		return;
	}
	if (r->length != q->s->in_bytes) {
		kerf_http_error(r, r->length > q->s->in_bytes ? 413 : 400,
				"raw request of %llu bytes, the inputs have %llu",
				(unsigned long long)r->length, (unsigned long long)q->s->in_bytes);
		return;
	}
	/* Without it the server keeps the body, and the job is taken when that is whole. */
	q->job = kerf_served_spare(q->s);
	r->in_pieces = q->job != NULL;
}

void kerf_route_infer_body(struct kerf_http_request *r, const void *data, size_t n)
{
	struct infer *q = r->user;

	kerf_served_fill(q->job, r->got, data, n);
}

/* Parts in order: the header, then what is binary. */
static void reply(struct kerf_http_request *r, struct infer *q, const char *text, size_t size)
{
	struct kerf_http_part part[KERF_OIP_TENSORS + 1];
	struct kerf_served_job *j = q->job;
	bool binary = false;
	uint32_t n = 0, i;
	char number[32];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)j->job.busy_ns);
	kerf_http_reply_header(r, "Kerf-Busy-Ns", number);
	part[n++] = (struct kerf_http_part){text, size};
	for (i = 0; i < q->s->spec.n_out; i++) {
		size_t bytes = kerf_tensor_bytes(&j->out[i]);

		if (q->want.form[i] != KERF_OIP_BINARY)
			continue;
		binary = true;
		if (!bytes)
			continue;
		if (n == 1 && j->out[i].data == j->first_out && size <= KERF_SERVED_HEADER_ROOM) {
			char *at = j->first_out - size;

			memcpy(at, text, size);
			part[0] = (struct kerf_http_part){at, size + bytes};
		} else {
			part[n++] = (struct kerf_http_part){j->out[i].data, bytes};
		}
	}
	if (binary) {
		snprintf(number, sizeof(number), "%zu", size);
		kerf_http_reply_header(r, KERF_OIP_LENGTH_HEADER, number);
	}
	kerf_http_reply_parts(r, 200, binary ? "application/octet-stream" : "application/json", part,
			      n);
}

static bool usual_reply(const struct infer *q)
{
	uint32_t i;

	if (q->want.id[0])
		return false;
	for (i = 0; i < q->s->spec.n_out; i++)
		if (q->want.form[i] != KERF_OIP_BINARY ||
		    !kerf_tensor_same_shape(&q->job->out[i], &q->s->out[i].t))
			return false;
	return true;
}

void kerf_route_infer(struct kerf_http_request *r)
{
	struct infer *q = r->user;
	struct kerf_err err = {""};
	uint32_t i;
	int status;
	size_t n;

	if (!q->job) {
		q->job = kerf_served_take(q->s, WAIT_MS);
		if (!q->job) {
			kerf_http_error(r, 503, "'%s' has %u requests in flight", q->s->name,
					q->s->depth);
			return;
		}
		status = kerf_oip_request_decode(&q->s->spec, r->body ? r->body : "", r->length,
						 q->header_len, q->job->in, &q->want, &err);
		if (status) {
			kerf_http_error_code(r, status, &err);
			return;
		}
	} else {
		for (i = 0; i < q->s->spec.n_out; i++)
			q->want.form[i] = KERF_OIP_BINARY;
	}
	kerf_node_count_job(node_of(r), 1, 0);
	status = kerf_served_run(q->job);
	kerf_node_count_job(node_of(r), -1, status);
	if (status) {
		kerf_fail(&err, status, "'%s' failed: %s", q->s->name, strerror(-status));
		kerf_http_error_code(r, status, &err);
		return;
	}
	if (usual_reply(q)) {
		reply(r, q, q->s->reply, q->s->reply_size);
	} else if (kerf_oip_reply_encode(&q->s->spec, &q->want, q->job->out, &q->text, &n)) {
		kerf_http_error(r, 503, "out of memory");
	} else {
		reply(r, q, q->text, n);
	}
}

void kerf_route_infer_done(struct kerf_http_request *r)
{
	struct infer *q = r->user;

	if (!q)
		return;
	if (q->job)
		kerf_served_give(q->job);
	if (q->s)
		kerf_node_put(node_of(r), q->s);
	free(q->text);
	free(q);
}
