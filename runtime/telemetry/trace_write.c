/* SPDX-License-Identifier: MIT */
#include "telemetry/trace_fields.h"

#include "telemetry/source_name.h"
#include "util/utf8.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER ((size_t)256 << 10)

struct kerf_trace_writer {
	FILE *f;
	char *path, *buffer;
	uint64_t t_ns; /* of the last record */
	int failed;    /* the first error; nothing is written after it */
};

static int add(json_object *o, const char *key, json_object *value)
{
	if (value && !json_object_object_add(o, key, value))
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

/* Text of kernels and peers may be any bytes; a line of JSON is UTF-8: other bytes become '?'. */
static int add_text(json_object *o, const char *key, const char *text, size_t size)
{
	size_t n = strnlen(text, size - 1), i, len;
	char copy[512];

	if (!n)
		return 0;
	n = KERF_MIN(n, sizeof(copy));
	memcpy(copy, text, n);
	for (i = 0; i < n; i += len) {
		len = kerf_utf8_length(copy + i, n - i);
		if (!len) {
			copy[i] = '?';
			len = 1;
		}
	}
	return add(o, key, json_object_new_string_len(copy, (int)n));
}

/* The shortest decimal number that reads back as the same double. */
static int add_real(json_object *o, const char *key, double v)
{
	char text[32];
	int digits;

	for (digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return add(o, key, json_object_new_double_s(v, text));
}

static uint64_t load_unsigned(const void *p, size_t size)
{
	switch (size) {
	case 1: return *(const uint8_t *)p;
	case 2: return *(const uint16_t *)p;
	case 4: return *(const uint32_t *)p;
	default: return *(const uint64_t *)p;
	}
}

static int add_object(json_object *o, const char *key, const struct kerf_trace_field *f,
		      const char *base);

static int add_engines(json_object *o, const struct kerf_trace_field *f, const char *base)
{
	const struct kerf_node_load *load =
		(const void *)(base + f->offset - offsetof(struct kerf_node_load, engine));
	json_object *list;
	int r = 0;
	uint32_t i;

	if (!load->n_engine)
		return 0;
	list = json_object_new_array();
	for (i = 0; list && !r && i < load->n_engine && i < KERF_NODE_LOAD_ENGINES; i++) {
		json_object *e = json_object_new_object();

		if (!e || json_object_array_add(list, e)) {
			json_object_put(e);
			r = -ENOMEM;
			break;
		}
		r = add_object(e, NULL, f->sub, (const char *)&load->engine[i]);
	}
	if (r) {
		json_object_put(list);
		return r;
	}
	return add(o, f->name, list);
}

static int add_address(json_object *o, const struct kerf_trace_field *f, const char *base)
{
	const struct kerf_link_rec *link =
		(const void *)(base + f->offset - offsetof(struct kerf_link_rec, remote_addr));
	char text[INET6_ADDRSTRLEN];

	if ((link->family != AF_INET && link->family != AF_INET6) ||
	    !inet_ntop(link->family, link->remote_addr, text, sizeof(text)))
		return 0;
	return add(o, f->name, json_object_new_string(text));
}

static int add_field(json_object *o, const struct kerf_trace_field *f, const char *base)
{
	const char *at = base + f->offset;
	uint64_t u;
	int64_t n;

	switch (f->type) {
	case KERF_FIELD_UNSIGNED:
		u = load_unsigned(at, f->size);
		/* A bit more than the reader allows is a mistake of whoever filled it. */
		if (u > f->max)
			return -EINVAL;
		return u ? add(o, f->name, json_object_new_uint64(u)) : 0;
	case KERF_FIELD_SIGNED:
		n = f->size == 4 ? *(const int32_t *)at : *(const int64_t *)at;
		if (n == INT64_MIN || n == INT64_MAX)
			return -EINVAL;
		return n ? add(o, f->name, json_object_new_int64(n)) : 0;
	case KERF_FIELD_REAL:
		return *(const double *)at != 0 ? add_real(o, f->name, *(const double *)at) : 0;
	case KERF_FIELD_TEXT: return add_text(o, f->name, at, f->size);
	case KERF_FIELD_SOURCE:
		if (*(const uint8_t *)at >= KERF_N_SOURCE)
			return -EINVAL;
		return *at ? add(o, f->name,
				 json_object_new_string(kerf_source_name(*(const uint8_t *)at)))
			   : 0;
	case KERF_FIELD_ADDRESS: return add_address(o, f, base);
	case KERF_FIELD_OBJECT: return add_object(o, f->name, f->sub, at);
	case KERF_FIELD_ENGINES: return add_engines(o, f, base);
	}
	return -EINVAL;
}

/* key NULL: into o itself. An object without members is left out. */
static int add_object(json_object *o, const char *key, const struct kerf_trace_field *f,
		      const char *base)
{
	json_object *sub = key ? json_object_new_object() : o;
	int r = sub ? 0 : -ENOMEM;

	for (; !r && f->name; f++)
		r = add_field(sub, f, base);
	if (!key)
		return r;
	if (!r && json_object_object_length(sub))
		return add(o, key, sub);
	json_object_put(sub);
	return r;
}

int kerf_trace_members(json_object *o, const struct kerf_trace_field *f, const void *base)
{
	return add_object(o, NULL, f, base);
}

static int fill(json_object *o, const struct kerf_trace_rec *rec)
{
	const char *u = (const char *)&rec->u;
	const struct kerf_trace_field *head = NULL, *body;
	json_object *kind;
	const char *name;
	int r;

	switch (rec->kind) {
	case KERF_TRACE_LINK: name = "link", body = kerf_trace_link; break;
	case KERF_TRACE_NODE:
		name = "node", body = kerf_trace_node, head = kerf_trace_node_head;
		break;
	case KERF_TRACE_TRANSFER:
		name = "transfer", body = kerf_trace_transfer, head = kerf_trace_transfer_head;
		break;
	case KERF_TRACE_PLAN: name = "plan", body = kerf_trace_plan; break;
	case KERF_TRACE_MARK:
		r = add_text(o, "mark", rec->u.mark, sizeof(rec->u.mark));
		return r || rec->u.mark[0] ? r : add(o, "mark", json_object_new_string(""));
	default: return -EINVAL;
	}
	kind = json_object_new_object();
	r = kind ? 0 : -ENOMEM;
	if (!r && head)
		r = add_object(kind, NULL, head, (const char *)rec);
	if (!r)
		r = add_object(kind, NULL, body, u);
	if (!r)
		return add(o, name, kind);
	json_object_put(kind);
	return r;
}

static int put_line(struct kerf_trace_writer *w, json_object *o)
{
	size_t n;
	const char *text = json_object_to_json_string_length(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);

	if (!text)
		return -ENOMEM;
	errno = 0;
	if (fwrite(text, 1, n, w->f) == n && putc('\n', w->f) != EOF)
		return 0;
	return errno ? -errno : -EIO;
}

int kerf_trace_create(const char *path, struct kerf_trace_writer **out, struct kerf_err *err)
{
	struct kerf_trace_writer *w = calloc(1, sizeof(*w));
	json_object *head = json_object_new_object();
	int r = -ENOMEM;

	*out = NULL;
	if (!w || !head)
		goto fail;
	w->path = strdup(path);
	w->buffer = malloc(BUFFER);
	if (!w->path || !w->buffer)
		goto fail;
	w->f = fopen(path, "we");
	if (!w->f) {
		r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
		goto fail;
	}
	setvbuf(w->f, w->buffer, _IOFBF, BUFFER);
	r = add(head, "kerf_trace", json_object_new_int(KERF_TRACE_VERSION));
	if (!r)
		r = add(head, "clock", json_object_new_string("monotonic"));
	if (!r)
		r = put_line(w, head);
	if (r)
		goto fail;
	json_object_put(head);
	*out = w;
	return 0;
fail:
	json_object_put(head);
	if (w) {
		if (w->f)
			fclose(w->f);
		free(w->path);
		free(w->buffer);
	}
	free(w);
	return r;
}

int kerf_trace_put(struct kerf_trace_writer *w, const struct kerf_trace_rec *rec)
{
	json_object *o;
	int r;

	if (w->failed)
		return w->failed;
	if (rec->t_ns < w->t_ns || rec->node >= KERF_STATE_NODES || kerf_trace_check(rec, NULL))
		return -EINVAL;
	o = json_object_new_object();
	r = o ? add(o, "t_ns", json_object_new_uint64(rec->t_ns)) : -ENOMEM;
	if (!r)
		r = fill(o, rec);
	if (!r) {
		w->t_ns = rec->t_ns;
		/* A line may stand in the file in part: what follows would make it worse. */
		r = w->failed = put_line(w, o);
	}
	json_object_put(o);
	return r;
}

int kerf_trace_finish(struct kerf_trace_writer *w, struct kerf_err *err)
{
	int r = w->failed;

	errno = 0;
	if (fclose(w->f) && !r)
		r = errno ? -errno : -EIO;
	if (r)
		kerf_fail(err, r, "%s: the trace is not whole: %s", w->path, strerror(-r));
	free(w->buffer);
	free(w->path);
	free(w);
	return r;
}
