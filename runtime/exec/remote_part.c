/* SPDX-License-Identifier: MIT */
#include "exec/remote_part.h"

#include "exec/remote.h"
#include "net/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages of several requests may be under way to one neighbour; each is done with its reply. */
#define NEIGHBOUR_CONNS 4

/* --- Ports as JSON --- */

static const char *const codec_name[KERF_N_CODECS] = {"none", "f16", "int8"};

static int add(struct json_object *o, const char *name, struct json_object *v)
{
	return v && !json_object_object_add(o, name, v) ? 0 : -ENOMEM;
}

static int add_rows(struct json_object *o, const char *name, struct kerf_rows rows)
{
	struct json_object *pair;

	if (!rows.end)
		return 0;
	pair = json_object_new_array_ext(2);
	if (add(o, name, pair))
		return -ENOMEM;
	json_object_array_add(pair, json_object_new_int64(rows.begin));
	json_object_array_add(pair, json_object_new_int64(rows.end));
	return 0;
}

static int encode_piece(const struct kerf_piece *p, struct json_object *list)
{
	struct json_object *o = json_object_new_object();

	if (!o || json_object_array_add(list, o))
		return -ENOMEM;
	if (add(o, "io", json_object_new_int64(p->io)) || add_rows(o, "rows", p->rows) ||
	    add_rows(o, "channels", p->channels))
		return -ENOMEM;
	return p->codec ? add(o, "codec", json_object_new_string(codec_name[p->codec])) : 0;
}

static int encode_port(const struct kerf_port *p, bool in, const char *base,
		       struct json_object *list)
{
	struct json_object *o = json_object_new_object(), *pieces = json_object_new_array();
	uint32_t i;
	int r;

	if (!o || json_object_array_add(list, o)) {
		json_object_put(pieces);
		return -ENOMEM;
	}
	r = add(o, "pieces", pieces);
	if (!r && p->home)
		r = add(o, "home", json_object_new_boolean(true));
	if (!r && !in && !p->home && p->url[0] && strcmp(p->url, base) != 0)
		r = add(o, "url", json_object_new_string(p->url));
	if (!r && !in && !p->home)
		r = add(o, "slice", json_object_new_string(p->slice));
	if (!r && !in && !p->home)
		r = add(o, "port", json_object_new_int64(p->port));
	for (i = 0; i < p->n_piece && !r; i++)
		r = encode_piece(&p->piece[i], pieces);
	return r;
}

int kerf_part_encode(const struct kerf_part *part, const char *base, struct json_object **ports)
{
	struct json_object *o = json_object_new_object(), *list;
	uint32_t i;
	int r;

	if (!o)
		return -ENOMEM;
	list = json_object_new_array();
	r = add(o, "in", list);
	for (i = 0; i < part->n_in && !r; i++)
		r = encode_port(&part->in[i], true, base, list);
	list = json_object_new_array();
	if (!r)
		r = add(o, "out", list);
	for (i = 0; i < part->n_out && !r; i++)
		r = encode_port(&part->out[i], false, base, list);
	if (r)
		json_object_put(o);
	else
		*ports = o;
	return r;
}

static int decode_rows(struct json_object *o, const char *name, struct kerf_rows *rows,
		       struct kerf_err *err)
{
	struct json_object *list;
	int64_t pair[2];
	int r;

	if (!json_object_object_get_ex(o, name, NULL))
		return 0;
	if (kerf_json_array(o, name, 2, &list, err))
		return -EINVAL;
	r = kerf_json_ints(list, name, 0, INT32_MAX, pair, 2, err);
	if (r < 0)
		return r;
	if (r != 2 || pair[0] >= pair[1])
		return kerf_fail(err, -EINVAL, "'%s' of a piece must be a pair [begin, end)", name);
	*rows = (struct kerf_rows){pair[0], pair[1]};
	return 0;
}

static int decode_piece(struct json_object *o, struct kerf_piece *p, struct kerf_err *err)
{
	const char *codec = codec_name[KERF_CODEC_NONE];
	int64_t io;
	int r;

	if (!json_object_is_type(o, json_type_object))
		return kerf_fail(err, -EINVAL, "'pieces' holds what is no object");
	r = kerf_json_int(o, "io", 0, KERF_OIP_TENSORS - 1, &io, err);
	if (!r)
		r = decode_rows(o, "rows", &p->rows, err);
	if (!r)
		r = decode_rows(o, "channels", &p->channels, err);
	if (!r && json_object_object_get_ex(o, "codec", NULL))
		r = kerf_json_string(o, "codec", &codec, err);
	if (r)
		return r;
	p->io = (uint32_t)io;
	for (p->codec = KERF_CODEC_NONE; p->codec < KERF_N_CODECS; p->codec++)
		if (!strcmp(codec, codec_name[p->codec]))
			return 0;
	return kerf_fail(err, -EINVAL, "'codec' is '%.40s', expected none, f16 or int8", codec);
}

/* Where a port out leads. */
static int decode_address(struct json_object *o, struct kerf_port *p, struct kerf_err *err)
{
	const char *url, *slice, *host, *rest;
	int64_t port;
	int r;

	if (json_object_object_get_ex(o, "url", NULL)) {
		r = kerf_json_string(o, "url", &url, err);
		if (!r)
			r = kerf_url_split(url, p->url, sizeof(p->url), &host, &rest, err);
		if (r)
			return r;
		if (*rest || strspn(p->url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789.-_:/[]%") != strlen(p->url))
			return kerf_fail(err, -EINVAL, "'url' is '%.80s', expected http://HOST:PORT", url);
	}
	r = kerf_json_string(o, "slice", &slice, err);
	if (!r)
		r = kerf_json_int(o, "port", 0, KERF_PART_PORTS - 1, &port, err);
	if (r)
		return r;
	if (!*slice || strlen(slice) >= sizeof(p->slice) ||
	    strspn(slice, "0123456789abcdef") != strlen(slice))
		return kerf_fail(err, -EINVAL, "'slice' is '%.80s', expected a slice's id", slice);
	snprintf(p->slice, sizeof(p->slice), "%s", slice);
	p->port = (uint32_t)port;
	return 0;
}

static int decode_port(struct json_object *o, bool in, struct kerf_port *p, struct kerf_err *err)
{
	struct json_object *list;
	size_t i, n;
	int r;

	if (!json_object_is_type(o, json_type_object))
		return kerf_fail(err, -EINVAL, "a list of ports holds what is no object");
	r = kerf_json_bool_opt(o, "home", &p->home, err);
	if (!r && !in && !p->home)
		r = decode_address(o, p, err);
	if (!r)
		r = kerf_json_array(o, "pieces", KERF_PART_PIECES, &list, err);
	if (r)
		return r;
	n = json_object_array_length(list);
	if (!n)
		return kerf_fail(err, -EINVAL, "a port without 'pieces'");
	p->piece = calloc(n, sizeof(*p->piece));
	if (!p->piece)
		return -ENOMEM;
	p->n_piece = (uint32_t)n;
	for (i = 0; i < n && !r; i++)
		r = decode_piece(json_object_array_get_idx(list, i), &p->piece[i], err);
	return r;
}

static int decode_ports(struct json_object *o, const char *name, struct kerf_port **port,
			uint32_t *n_port, struct kerf_err *err)
{
	struct json_object *list;
	size_t i, n;
	int r = kerf_json_array(o, name, KERF_PART_PORTS, &list, err);

	if (r)
		return r;
	n = json_object_array_length(list);
	*port = calloc(n + 1, sizeof(**port));
	if (!*port)
		return -ENOMEM;
	*n_port = (uint32_t)n;
	for (i = 0; i < n && !r; i++) {
		r = decode_port(json_object_array_get_idx(list, i), !strcmp(name, "in"),
				&(*port)[i], err);
		if (r)
			kerf_err_prefix(err, "port %s %zu", name, i);
	}
	return r;
}

int kerf_part_decode(struct json_object *ports, struct kerf_part *part, struct kerf_err *err)
{
	int r;

	memset(part, 0, sizeof(*part));
	r = decode_ports(ports, "in", &part->in, &part->n_in, err);
	if (!r)
		r = decode_ports(ports, "out", &part->out, &part->n_out, err);
	if (r)
		kerf_part_finish(part);
	return r == -ENOENT ? -EINVAL : r;
}

/* --- Neighbours --- */

static void neighbour_close(struct kerf_engine *engine)
{
	struct remote_engine *e = (struct remote_engine *)engine;

	remote_wire_finish(e);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void port_release(struct kerf_program *program)
{
	struct remote_program *p = (struct remote_program *)program;

	free(p->in);
	free(p->head);
	free(p);
}

static const struct kerf_engine_ops neighbour_ops = {
	.abi = KERF_ENGINE_ABI,
	.kind = "neighbour",
	.close = neighbour_close,
	.release = port_release,
	.submit = remote_wire_submit,
	.cancel = remote_wire_cancel,
};

int kerf_neighbour_open(const char *url, bool insecure, const struct kerf_observer *observer,
			struct kerf_engine **neighbour, struct kerf_err *err)
{
	struct remote_engine *e = calloc(1, sizeof(*e));
	const char *host, *rest;
	int r;

	if (!e)
		return -ENOMEM;
	e->base.ops = &neighbour_ops;
	e->insecure = insecure;
	e->observer = observer;
	pthread_mutex_init(&e->lock, NULL);
	r = kerf_url_split(url, e->url, sizeof(e->url), &host, &rest, err);
	if (!r) {
		snprintf(e->host, sizeof(e->host), "%s", host);
		r = remote_wire_init(e, NEIGHBOUR_CONNS, err);
	}
	if (r) {
		pthread_mutex_destroy(&e->lock);
		free(e);
		return r;
	}
	*neighbour = &e->base;
	return 0;
}

bool kerf_neighbour_lost(struct kerf_engine *neighbour)
{
	struct remote_engine *e = (struct remote_engine *)neighbour;
	bool lost;

	pthread_mutex_lock(&e->lock);
	lost = e->dead;
	pthread_mutex_unlock(&e->lock);
	return lost;
}

int kerf_neighbour_port(struct kerf_engine *neighbour, const char *slice, uint32_t port,
			size_t bytes, bool failed, struct kerf_program **program)
{
	struct remote_engine *e = (struct remote_engine *)neighbour;
	struct remote_program *p = calloc(1, sizeof(*p));
	int n;

	if (!p)
		return -ENOMEM;
	p->base.engine = neighbour;
	p->base.part = p->base.takes = true;
	p->raw = true;
	p->in = calloc(1, sizeof(*p->in));
	if (!p->in)
		goto fail;
	p->in[0].t = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1, .dims = {(int64_t)bytes}};
	p->spec = (struct kerf_oip_spec){.n_in = 1, .in = p->in};
	p->in_bytes = bytes;
	n = asprintf(&p->head,
		     "POST /kerf/v1/slices/%s/ports/%u HTTP/1.1\r\nHost: %s\r\n"
		     "Content-Type: application/octet-stream\r\n%sContent-Length: %zu\r\n"
		     "Kerf-Request: 00000000000000000000\r\n\r\n",
		     slice, port, e->host, failed ? "Kerf-Failed: 1\r\n" : "", bytes);
	if (n < 0) {
		p->head = NULL;
		goto fail;
	}
	p->head_size = (size_t)n;
	p->number_at = p->head_size - 4 - REMOTE_NUMBER_DIGITS;
	*program = &p->base;
	return 0;
fail:
	port_release(&p->base);
	return -ENOMEM;
}
