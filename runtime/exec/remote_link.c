/* SPDX-License-Identifier: MIT */
#include "exec/remote_link.h"

#include "net/http_client.h"
#include "net/link_request.h"

#include <stdlib.h>
#include <string.h>

#define LINK_MS 45000

int kerf_remote_link(const char *url, const char *peer, bool insecure,
		     struct kerf_link_estimate *up, struct kerf_link_estimate *down,
		     struct kerf_err *err)
{
	struct kerf_http_call call = {.method = "POST", .path = "/kerf/v1/links",
				      .timeout_ms = LINK_MS};
	struct kerf_http_client *client;
	struct kerf_http_result res;
	char *text;
	int r = kerf_http_client_open(url, insecure, &client, err);

	if (r)
		return r;
	r = kerf_link_request_encode(peer, &text);
	if (r)
		goto close;
	call.body = text;
	call.size = strlen(text);
	r = kerf_http_call_ok(client, &call, &res, err);
	free(text);
	if (r)
		goto close;
	r = kerf_link_reply_decode(res.body, res.size, up, down, err);
	free(res.body);
close:
	kerf_http_client_close(client);
	return r;
}
