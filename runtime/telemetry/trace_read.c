/* SPDX-License-Identifier: MIT */
/*
 * A trace may come from anywhere: lines and nesting are bounded, every number is checked against
 * its field, text against its room, and nothing of a line is believed before all of it is.
 */
#include "telemetry/trace_fields.h"

#include "telemetry/source_name.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct kerf_trace_reader {
	FILE *f;
	json_tokener *tokener;
	char *line;
	char *name;
	unsigned long number; /* of the line, from 1 */
	uint64_t t_ns;
	int failed; /* the trace is wrong from here on */
};

/* --- One field --- */

/* Text of the file in a sentence: short, and no control characters. */
static const char *shown(json_object *o, char *buf, size_t size)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	size_t n = text ? strlen(text) : 0, i;

	for (i = 0; i < n && i + 1 < size; i++)
		buf[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	buf[i] = 0;
	if (i < n && size > 4)
		memcpy(buf + size - 4, "...", 4);
	return buf;
}

static int wrong(struct kerf_err *err, const char *where, const char *expected, json_object *found)
{
	char buf[48];

	return kerf_fail(err, -EINVAL, "%s: expected %s, found %s", where, expected,
			 shown(found, buf, sizeof(buf)));
}

static int get_unsigned(json_object *v, uint64_t max, uint64_t *out, const char *where,
			struct kerf_err *err)
{
	char expected[64];

	if (json_object_is_type(v, json_type_int)) {
		*out = json_object_get_uint64(v); /* below 0: 0 */
		if (*out <= max && (*out || !json_object_get_int64(v)))
			return 0;
	}
	snprintf(expected, sizeof(expected), "a whole number from 0 to %llu",
		 (unsigned long long)max);
	return wrong(err, where, expected, v);
}

static int get_signed(json_object *v, size_t size, void *out, const char *where,
		      struct kerf_err *err)
{
	int64_t n = json_object_get_int64(v);

	/* Beyond either end json-c gives the end. */
	if (!json_object_is_type(v, json_type_int) || n == INT64_MAX || n == INT64_MIN ||
	    (size == 4 && (n < INT32_MIN || n > INT32_MAX)))
		return wrong(err, where,
			     size == 4 ? "a whole number of 32 bits" : "a whole number of 64 bits",
			     v);
	if (size == 4)
		*(int32_t *)out = (int32_t)n;
	else
		*(int64_t *)out = n;
	return 0;
}

static int get_real(json_object *v, double *out, const char *where, struct kerf_err *err)
{
	bool number =
		json_object_is_type(v, json_type_double) || json_object_is_type(v, json_type_int);

	*out = number ? json_object_get_double(v) + 0.0 : -1; /* -0 becomes 0 */
	return isfinite(*out) && *out >= 0 ? 0
					   : wrong(err, where, "a number of seconds, 0 or more", v);
}

/* Fits with its NUL, and has none inside. */
static int get_text(json_object *v, char *out, size_t size, const char *where, struct kerf_err *err)
{
	size_t n = json_object_is_type(v, json_type_string) ? (size_t)json_object_get_string_len(v)
							    : size;
	char expected[48];

	if (n < size && strlen(json_object_get_string(v)) == n) {
		memcpy(out, json_object_get_string(v), n + 1);
		return 0;
	}
	snprintf(expected, sizeof(expected), "text of at most %zu bytes", size - 1);
	return wrong(err, where, expected, v);
}

static void store_unsigned(void *p, size_t size, uint64_t v)
{
	switch (size) {
	case 1: *(uint8_t *)p = (uint8_t)v; break;
	case 2: *(uint16_t *)p = (uint16_t)v; break;
	case 4: *(uint32_t *)p = (uint32_t)v; break;
	default: *(uint64_t *)p = v;
	}
}

static int get_object(json_object *o, const struct kerf_trace_field *f, char *base,
		      const char *where, struct kerf_err *err);

static int get_source(json_object *v, uint8_t *out, const char *where, struct kerf_err *err)
{
	char name[16];
	int source = get_text(v, name, sizeof(name), where, NULL) ? -1 : kerf_source_find(name);

	if (source < 0)
		return wrong(err, where, "the name of a source", v);
	*out = (uint8_t)source;
	return 0;
}

static int get_address(json_object *v, struct kerf_link_rec *link, const char *where,
		       struct kerf_err *err)
{
	char text[INET6_ADDRSTRLEN];

	if (!get_text(v, text, sizeof(text), where, NULL)) {
		link->family = strchr(text, ':') ? AF_INET6 : AF_INET;
		if (inet_pton(link->family, text, link->remote_addr) == 1)
			return 0;
	}
	return wrong(err, where, "an IP address", v);
}

static int get_engines(json_object *v, const struct kerf_trace_field *sub,
		       struct kerf_node_load *load, const char *where, struct kerf_err *err)
{
	size_t n, i;

	if (!json_object_is_type(v, json_type_array))
		return wrong(err, where, "a list of engines", v);
	n = json_object_array_length(v);
	if (n > KERF_NODE_LOAD_ENGINES)
		return kerf_fail(err, -EINVAL, "%s: expected at most %d engines, found %zu", where,
				 KERF_NODE_LOAD_ENGINES, n);
	for (i = 0; i < n; i++) {
		char at[128];
		int r;

		snprintf(at, sizeof(at), "%.100s[%zu]", where, i);
		r = get_object(json_object_array_get_idx(v, i), sub, (char *)&load->engine[i], at,
			       err);
		if (r)
			return r;
	}
	load->n_engine = (uint8_t)n;
	return 0;
}

static int get_field(json_object *v, const struct kerf_trace_field *f, char *base,
		     const char *where, struct kerf_err *err)
{
	char *at = base + f->offset;
	uint64_t u;
	int r;

	switch (f->type) {
	case KERF_FIELD_UNSIGNED:
		r = get_unsigned(v, f->max, &u, where, err);
		if (!r)
			store_unsigned(at, f->size, u);
		return r;
	case KERF_FIELD_SIGNED: return get_signed(v, f->size, at, where, err);
	case KERF_FIELD_REAL: return get_real(v, (double *)at, where, err);
	case KERF_FIELD_TEXT: return get_text(v, at, f->size, where, err);
	case KERF_FIELD_SOURCE: return get_source(v, (uint8_t *)at, where, err);
	case KERF_FIELD_ADDRESS:
		return get_address(v, (void *)(at - offsetof(struct kerf_link_rec, remote_addr)),
				   where, err);
	case KERF_FIELD_OBJECT: return get_object(v, f->sub, at, where, err);
	case KERF_FIELD_ENGINES:
		return get_engines(v, f->sub,
				   (void *)(at - offsetof(struct kerf_node_load, engine)), where,
				   err);
	}
	return -EINVAL;
}

/* Members that no table has are of a later kerf, and are passed over. */
static int get_object(json_object *o, const struct kerf_trace_field *f, char *base,
		      const char *where, struct kerf_err *err)
{
	if (!json_object_is_type(o, json_type_object))
		return wrong(err, where, "an object", o);
	for (; f->name; f++) {
		json_object *v;
		char at[128];
		int r;

		if (!json_object_object_get_ex(o, f->name, &v))
			continue;
		snprintf(at, sizeof(at), "%s.%s", where, f->name);
		r = get_field(v, f, base, at, err);
		if (r)
			return r;
	}
	return 0;
}

/* --- One line --- */

/* 1: r->line is a whole line without its newline, of *n bytes; 0: the end. */
static int get_line(struct kerf_trace_reader *r, size_t *n, struct kerf_err *err)
{
	int c = 0;

	for (*n = 0; *n < KERF_TRACE_LINE;) {
		c = getc_unlocked(r->f);
		if (c == EOF || c == '\n')
			break;
		r->line[(*n)++] = (char)c;
	}
	if (c == '\n' || *n)
		r->number++;
	if (c == '\n')
		return 1;
	if (c != EOF)
		return kerf_fail(err, -EINVAL,
				 "expected a line of less than %u bytes, found a longer one",
				 KERF_TRACE_LINE);
	if (ferror(r->f))
		return kerf_fail(err, -EIO, "cannot be read: %s", strerror(errno));
	return *n ? kerf_fail(err, -EINVAL, "expected a newline at its end, found the file cut off")
		  : 0;
}

/* json-c makes the largest number of any that is larger: such a number is told here. */
static bool numbers_fit(const char *s)
{
	static const char most[] = "18446744073709551615";
	bool quoted = false;

	while (*s) {
		size_t n;

		if (*s == '"' || quoted) {
			quoted = *s == '"' ? !quoted : quoted;
			s += *s == '\\' && s[1] ? 2 : 1;
			continue;
		}
		n = strspn(s, "0123456789");
		if (s[n] != '.' && s[n] != 'e' && s[n] != 'E' &&
		    (n >= sizeof(most) || (n == sizeof(most) - 1 && memcmp(s, most, n) > 0)))
			return false;
		n += strspn(s + n, "0123456789.eE+-");
		s += n ? n : 1;
	}
	return true;
}

/* NULL: no object in JSON. */
static json_object *parse(struct kerf_trace_reader *r, size_t n, struct kerf_err *err)
{
	json_object *o;
	enum json_tokener_error why;

	json_tokener_reset(r->tokener);
	/* The NUL after the text ends numbers and comes before the bound. */
	r->line[n] = 0;
	if (!numbers_fit(r->line)) {
		kerf_fail(err, -EINVAL, "expected numbers of at most 64 bits, found a larger one");
		return NULL;
	}
	o = json_tokener_parse_ex(r->tokener, r->line, (int)n + 1);
	why = json_tokener_get_error(r->tokener);
	if (why == json_tokener_success && json_tokener_get_parse_end(r->tokener) >= n &&
	    json_object_is_type(o, json_type_object))
		return o;
	kerf_fail(err, -EINVAL, "expected an object in JSON, found %s",
		  why != json_tokener_success ? json_tokener_error_desc(why)
					      : "something else, or more than one");
	json_object_put(o);
	return NULL;
}

static int parse_kind(json_object *o, struct kerf_trace_rec *rec, struct kerf_err *err)
{
	static const char *const names[] = {
		[KERF_TRACE_LINK] = "link",	    [KERF_TRACE_NODE] = "node",
		[KERF_TRACE_TRANSFER] = "transfer", [KERF_TRACE_PLAN] = "plan",
		[KERF_TRACE_MARK] = "mark",
	};
	json_object *v = NULL, *other;
	char *u = (char *)&rec->u;
	uint32_t i;
	int r;

	for (i = 0; i < KERF_ARRAY_SIZE(names); i++) {
		if (!json_object_object_get_ex(o, names[i], &other))
			continue;
		if (v)
			return kerf_fail(err, -EINVAL,
					 "expected one kind of record, found %s and %s",
					 names[rec->kind], names[i]);
		v = other;
		rec->kind = (enum kerf_trace_kind)i;
		if (!v)
			return kerf_fail(err, -EINVAL, "%s: expected a record, found null",
					 names[i]);
	}
	if (!v)
		return 0;
	switch (rec->kind) {
	case KERF_TRACE_LINK: r = get_object(v, kerf_trace_link, u, "link", err); break;
	case KERF_TRACE_NODE:
		r = get_object(v, kerf_trace_node_head, (char *)rec, "node", err);
		if (!r)
			r = get_object(v, kerf_trace_node, u, "node", err);
		break;
	case KERF_TRACE_TRANSFER:
		r = get_object(v, kerf_trace_transfer_head, (char *)rec, "transfer", err);
		if (!r)
			r = get_object(v, kerf_trace_transfer, u, "transfer", err);
		break;
	case KERF_TRACE_PLAN: r = get_object(v, kerf_trace_plan, u, "plan", err); break;
	default: r = get_text(v, rec->u.mark, sizeof(rec->u.mark), "mark", err);
	}
	if (!r)
		r = kerf_trace_check(rec, err);
	return r ? r : 1;
}

/* 1: *rec is filled; 0: a kind of a later kerf. */
static int parse_record(struct kerf_trace_reader *r, size_t n, struct kerf_trace_rec *rec,
			struct kerf_err *err)
{
	json_object *o = parse(r, n, err), *v;
	int ret = -EINVAL;

	if (!o)
		return ret;
	if (!json_object_object_get_ex(o, "t_ns", &v)) {
		kerf_fail(err, ret, "t_ns: expected the record's time, found none");
	} else if (!get_unsigned(v, UINT64_MAX, &rec->t_ns, "t_ns", err)) {
		if (rec->t_ns < r->t_ns)
			kerf_fail(err, ret,
				  "t_ns: expected %llu (the last record's) or later, found %llu",
				  (unsigned long long)r->t_ns, (unsigned long long)rec->t_ns);
		else
			ret = parse_kind(o, rec, err);
	}
	if (ret >= 0)
		r->t_ns = rec->t_ns;
	json_object_put(o);
	return ret;
}

static int parse_head(struct kerf_trace_reader *r, struct kerf_err *err)
{
	uint64_t version;
	json_object *o, *v;
	char clock[16];
	size_t n;
	int ret = get_line(r, &n, err);

	if (!ret)
		return kerf_fail(err, -EINVAL, "expected a trace, found an empty file");
	if (ret < 0)
		return ret;
	o = parse(r, n, err);
	if (!o)
		return -EINVAL;
	if (!json_object_object_get_ex(o, "kerf_trace", &v))
		ret = kerf_fail(err, -EINVAL, "kerf_trace: expected a trace's version, found none");
	else
		ret = get_unsigned(v, UINT64_MAX, &version, "kerf_trace", err);
	if (!ret && version != KERF_TRACE_VERSION)
		ret = kerf_fail(err, -EINVAL, "kerf_trace: expected version %d, found %llu",
				KERF_TRACE_VERSION, (unsigned long long)version);
	if (!ret &&
	    (!json_object_object_get_ex(o, "clock", &v) ||
	     get_text(v, clock, sizeof(clock), "clock", NULL) || strcmp(clock, "monotonic")))
		ret = kerf_fail(err, -EINVAL,
				"clock: expected \"monotonic\", found another or none");
	json_object_put(o);
	return ret;
}

static int located(struct kerf_trace_reader *r, int ret, struct kerf_err *err)
{
	if (ret < 0) {
		kerf_fail(err, ret, "%s", strerror(-ret));
		if (r->number)
			kerf_err_prefix(err, "line %lu", r->number);
		kerf_err_prefix(err, "%s", r->name);
		r->failed = ret;
	}
	return ret;
}

int kerf_trace_next(struct kerf_trace_reader *r, struct kerf_trace_rec *rec, struct kerf_err *err)
{
	size_t n;
	int ret;

	if (r->failed)
		return kerf_fail(err, r->failed, "%s: was refused at line %lu", r->name, r->number);
	do {
		memset(rec, 0, sizeof(*rec));
		ret = get_line(r, &n, err);
		if (!ret)
			return 0;
		if (ret > 0)
			ret = parse_record(r, n, rec, err);
	} while (!ret);
	return located(r, ret, err);
}

int kerf_trace_read(FILE *f, const char *name, struct kerf_trace_reader **out, struct kerf_err *err)
{
	struct kerf_trace_reader *r = calloc(1, sizeof(*r));
	int ret = -ENOMEM;

	*out = NULL;
	if (!r) {
		fclose(f);
		return ret;
	}
	r->f = f;
	r->name = strdup(name);
	r->line = malloc(KERF_TRACE_LINE + 1);
	r->tokener = json_tokener_new_ex(KERF_TRACE_DEPTH);
	if (r->name && r->line && r->tokener) {
		/* Strict: numbers out of range and what follows the object are errors. */
		json_tokener_set_flags(r->tokener,
				       JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
		ret = located(r, parse_head(r, err), err);
	}
	if (ret) {
		kerf_trace_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

int kerf_trace_open(const char *path, struct kerf_trace_reader **r, struct kerf_err *err)
{
	FILE *f = fopen(path, "re");

	*r = NULL;
	if (!f)
		return kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	return kerf_trace_read(f, path, r, err);
}

void kerf_trace_close(struct kerf_trace_reader *r)
{
	if (!r)
		return;
	fclose(r->f);
	if (r->tokener)
		json_tokener_free(r->tokener);
	free(r->line);
	free(r->name);
	free(r);
}
