/* SPDX-License-Identifier: MIT */
/* POST /kerf/v1/links: the link to another node, as it is known here or found out now. */
#include "node/node_priv.h"

#include "net/json.h"
#include "net/link_request.h"
#include "net/probe.h"

#include <stdlib.h>
#include <time.h>

/* One probe at a time; who comes meanwhile waits so long. */
#define WAIT_S 10

static int probe(struct kerf_node *n, const char *peer, struct kerf_link_estimate *up,
		 struct kerf_link_estimate *down, struct kerf_err *err)
{
	struct kerf_probe found;
	struct timespec until;
	int r;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	if (pthread_mutex_timedlock(&n->probe_lock, &until))
		return kerf_fail(err, -EAGAIN, "another link is being probed");
	r = kerf_probe_run(peer, n->insecure, &kerf_probe_short, n->observer, &found, err);
	pthread_mutex_unlock(&n->probe_lock);
	if (r)
		return r == -EIO || r == -EPROTO ? -EREMOTEIO : r;
	*up = found.up;
	*down = found.down;
	return 0;
}

void kerf_route_links(struct kerf_http_request *r)
{
	struct kerf_link_estimate up = {.rate_bytes_s = 0}, down = up;
	struct kerf_node *n = r->server_user;
	struct kerf_err err = {""};
	char peer[KERF_URL_BYTES], *text;
	int status;

	if (!kerf_http_charge(r, r->length * KERF_JSON_BLOWUP)) {
		kerf_http_error(r, 503, "too much JSON at once");
		return;
	}
	status = kerf_link_request_decode(r->body ? r->body : "", r->length, peer, &err);
	if (!status && n->estimate) {
		n->estimate(n->load_user, peer, false, &up);
		n->estimate(n->load_user, peer, true, &down);
	}
	if (!status && (!up.rate_bytes_s || !down.rate_bytes_s))
		status = probe(n, peer, &up, &down, &err);
	if (!status)
		status = kerf_link_reply_encode(&up, &down, &text);
	if (status) {
		kerf_http_error_code(r, status, &err);
		return;
	}
	kerf_http_reply(r, 200, "application/json", text);
	free(text);
}
