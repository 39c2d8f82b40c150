/* SPDX-License-Identifier: MIT */
#include "cli/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool kerf_cli_inexact(const struct kerf_plan *plan, char why[96])
{
	static const char *const name[KERF_N_CODECS] = {"none", "f16", "int8"};
	uint32_t n[KERF_N_CODECS] = {0}, padded = 0, i;
	size_t at = 0;

	for (i = 0; i < plan->n_step; i++)
		padded += plan->step[i].padded;
	for (i = 0; i < plan->n_edge; i++)
		n[plan->edge[i].codec]++;
	why[0] = 0;
	if (padded)
		at = (size_t)snprintf(why, 96, "%u tiles with padded borders", padded);
	for (i = KERF_CODEC_NONE + 1; i < KERF_N_CODECS; i++)
		if (n[i] && at < 96)
			at += (size_t)snprintf(why + at, 96 - at, "%s%s on %u edges", at ? ", " : "",
					       name[i], n[i]);
	return at;
}

/* Classes of an output of scores: all of its dims but the first and one are 1. 0: it is none. */
static int64_t classes(const struct kerf_tensor *t)
{
	int64_t n = 0;
	int i;

	for (i = 1; i < t->rank; i++) {
		if (t->dims[i] == 1)
			continue;
		if (n)
			return 0;
		n = t->dims[i];
	}
	return n;
}

static int64_t largest(const struct kerf_tensor *t, int64_t from, int64_t n)
{
	int64_t best = from, i;

	for (i = from + 1; i < from + n; i++)
		if (kerf_tensor_float(t, i) > kerf_tensor_float(t, best))
			best = i;
	return best;
}

static void compare(const struct kerf_tensor *whole, const struct kerf_tensor *t,
		    struct kerf_cli_difference *d)
{
	int64_t n = kerf_tensor_count(whole), class = classes(whole), i;
	double error2 = 0, value2 = 0, value_max = 0;

	d->same_dims = kerf_tensor_same_shape(whole, t);
	if (!d->same_dims)
		return;
	d->same_bits = !memcmp(whole->data, t->data, kerf_tensor_bytes(whole));
	for (i = 0; i < n; i++) {
		double x = (double)kerf_tensor_float(whole, i), y = (double)kerf_tensor_float(t, i);

		if (!isfinite(x))
			continue;
		error2 += (y - x) * (y - x);
		value2 += x * x;
		d->max_abs = fmax(d->max_abs, isfinite(y) ? fabs(y - x) : INFINITY);
		value_max = fmax(value_max, fabs(x));
	}
	d->rms = value2 > 0 ? sqrt(error2 / value2) : 0;
	d->max = value_max > 0 ? d->max_abs / value_max : 0;
	for (i = 0; class > 1 && i < n; i += class) {
		d->rows++;
		d->top1 += largest(whole, i, class) == largest(t, i, class);
	}
}

int kerf_cli_differences(const struct kerf_cli_setup *s, const struct kerf_plan *plan,
			 const struct kerf_io *io, struct kerf_cli_difference *d,
			 struct kerf_err *err)
{
	const struct kerf_engine_info *home = &s->cluster.info[0];
	struct kerf_session *session = NULL;
	struct kerf_plan whole = {.exit = -1};
	struct kerf_io out = {0};
	uint32_t i;
	int r;

	memset(d, 0, io->n_out * sizeof(*d));
	if (home->remote || !strcmp(home->kind, "null"))
		return kerf_fail(err, -EOPNOTSUPP, "the whole run to compare with needs an engine that "
						   "computes here, first in --on; it is %s", home->name);
	r = kerf_plan_only(s->graph, home->name, &whole, err);
	if (!r)
		r = kerf_io_make_on(kerf_cli_only_engine(s), s->graph, 1, &out);
	if (!r)
		r = kerf_session_open(s->graph, &whole, s->cluster.engine, 1, &session, err);
	if (!r) {
		r = kerf_session_run(session, io->in, out.out, NULL);
		if (r)
			kerf_session_why(session, err);
	}
	for (i = 0; i < io->n_out && !r; i++) {
		d[i].made = plan->exit < 0 || s->graph->exit[plan->exit].output == i;
		if (d[i].made)
			compare(&out.out[i], &io->out[i], &d[i]);
	}
	kerf_session_close(session);
	kerf_io_finish(&out);
	kerf_plan_finish(&whole);
	if (r && err && err->msg[0])
		kerf_err_prefix(err, "the whole run to compare with");
	return r;
}

void kerf_cli_difference_text(const char *output, const struct kerf_cli_difference *d, char *text,
			      size_t size)
{
	char top[64] = "";

	if (d->rows == 1)
		snprintf(top, sizeof(top), ", top-1 %s", d->top1 ? "the same" : "another");
	else if (d->rows)
		snprintf(top, sizeof(top), ", top-1 the same in %lld of %lld rows", (long long)d->top1,
			 (long long)d->rows);
	if (!d->same_dims)
		snprintf(text, size, "output '%.60s': another shape than the whole run's", output);
	else if (d->same_bits)
		snprintf(text, size, "output '%.60s': the whole run's bits", output);
	else
		snprintf(text, size, "output '%.60s': against the whole run an RMS error of %.3g, the largest "
			 "%.3g (%.3g of the largest value)%s", output, d->rms, d->max_abs, d->max, top);
}

void kerf_cli_say_differences(const char *label, const struct kerf_graph *g,
			      const struct kerf_cli_difference *d)
{
	char text[320];
	uint32_t i;

	for (i = 0; i < g->n_out; i++) {
		if (!d[i].made)
			continue;
		kerf_cli_difference_text(g->value[g->out[i]].name, &d[i], text, sizeof(text));
		fprintf(stderr, "kerf: %s: %s\n", label, text);
	}
}
