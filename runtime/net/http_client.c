/* SPDX-License-Identifier: MIT */
#include "net/http_client.h"

#include "net/json.h"
#include "net/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 2000L
#define CALL_MS 10000L

int kerf_url_split(const char *url, char *base, size_t base_size, const char **host,
		   const char **rest, struct kerf_err *err)
{
	size_t n;

	if (strncmp(url, "http://", 7))
		return kerf_fail(err, -EINVAL, "'%s': expected http://HOST:PORT", url);
	n = 7 + strcspn(url + 7, "/?#@ ");
	if (n == 7 || n >= base_size || (url[n] && url[n] != '/'))
		return kerf_fail(err, -EINVAL, "'%s': expected http://HOST:PORT", url);
	memcpy(base, url, n);
	base[n] = 0;
	*host = base + 7;
	*rest = url + n;
	return 0;
}

#ifdef WITH_CURL

#include <curl/curl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct kerf_http_client {
	CURL *curl;
	char base[256];
	char *reply;
	size_t size, max;
	const struct kerf_http_call *call;
	curl_off_t moved; /* as it was when the call was looked at */
};

struct kerf_wire {
	CURL *curl;
	curl_socket_t fd;
};

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A vanished peer answers no probe: 2 + 3 x 1 s, or 5 s with data under way. */
static int on_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
	unsigned user_timeout_ms = 5000;
	int on = 1, idle = 2, interval = 1, count = 3;

	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
		       sizeof(user_timeout_ms)))
		return CURL_SOCKOPT_ERROR;
	return CURL_SOCKOPT_OK;
}

/*
 * The address itself, once more: a name may have stood for loopback when it was looked
 * up for check_peer, and stand for another host by now.
 */
static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
	const bool *insecure = user;

	if (!*insecure && !kerf_addr_is_loopback(&a->addr))
		return CURL_SOCKET_BAD;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int check_peer(const char *base, bool insecure, struct kerf_err *err)
{
	char host[256];
	size_t n;

	if (insecure)
		return 0;
	snprintf(host, sizeof(host), "%s", base + 7);
	n = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
	host[n] = 0;
	if (kerf_host_is_loopback(host[0] == '[' ? host + 1 : host))
		return 0;
	return kerf_fail(err, -EPERM, "%s: plain TCP beyond loopback needs --insecure", base);
}

static int new_curl(const char *base, bool insecure, CURL **curl, struct kerf_err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const bool yes = true, no = false;
	int r = check_peer(base, insecure, err);
	CURL *c;

	if (r)
		return r;
	pthread_once(&once, init_curl);
	c = curl_easy_init();
	if (!c)
		return -ENOMEM;
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, insecure ? (void *)&yes : (void *)&no);
	*curl = c;
	return 0;
}

static int curl_code(CURLcode code)
{
	switch (code) {
	case CURLE_OK: return 0;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST: return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY: return -ENOMEM;
	default: return -EIO;
	}
}

/* --- Calls --- */

static size_t on_reply(char *data, size_t one, size_t n, void *user)
{
	struct kerf_http_client *c = user;
	char *p;

	if (n > c->max - c->size)
		return 0;
	p = realloc(c->reply, c->size + n + 1);
	if (!p)
		return 0;
	memcpy(p + c->size, data, n);
	c->reply = p;
	c->size += n;
	p[c->size] = 0;
	return n;
}

/* What lies in the socket still has not been taken. */
static int on_progress(void *user, curl_off_t all_down, curl_off_t down, curl_off_t all_up,
		       curl_off_t up)
{
	struct kerf_http_client *c = user;
	curl_socket_t fd = CURL_SOCKET_BAD;
	curl_off_t moved = down + up;
	int unsent;

	if (!c->call->going)
		return 0;
	if (!curl_easy_getinfo(c->curl, CURLINFO_ACTIVESOCKET, &fd) && fd != CURL_SOCKET_BAD &&
	    !ioctl(fd, SIOCOUTQ, &unsent))
		moved -= unsent;
	up = c->moved;
	c->moved = moved;
	return !c->call->going(c->call->user, moved != up);
}

int kerf_http_client_open(const char *base, bool insecure, struct kerf_http_client **out,
			  struct kerf_err *err)
{
	struct kerf_http_client *c = calloc(1, sizeof(*c));
	const char *host, *rest;
	int r;

	if (!c)
		return -ENOMEM;
	r = kerf_url_split(base, c->base, sizeof(c->base), &host, &rest, err);
	if (!r)
		r = new_curl(c->base, insecure, &c->curl, err);
	if (r) {
		free(c);
		return r;
	}
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_reply);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
	curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
	*out = c;
	return 0;
}

void kerf_http_client_close(struct kerf_http_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c->reply);
	free(c);
}

int kerf_http_call(struct kerf_http_client *c, const struct kerf_http_call *call,
		   struct kerf_http_result *result, struct kerf_err *err)
{
	struct curl_slist *list = NULL;
	char url[1024], line[160];
	bool head = !strcmp(call->method, "HEAD");
	long status = 0;
	CURLcode code;
	int r = 0;

	if (snprintf(url, sizeof(url), "%s%s", c->base, call->path) >= (int)sizeof(url))
		return kerf_fail(err, -EINVAL, "%s: the path is too long", c->base);
	snprintf(line, sizeof(line), "Content-Type: %s",
		 call->type ? call->type : "application/json");
	list = curl_slist_append(NULL, "Expect:");
	if (list && call->body && !curl_slist_append(list, line))
		r = -ENOMEM;
	if (list && call->header && !curl_slist_append(list, call->header))
		r = -ENOMEM;
	if (!list || r) {
		curl_slist_free_all(list);
		return -ENOMEM;
	}
	c->size = 0;
	c->moved = 0;
	c->call = call;
	c->max = call->max_reply ? call->max_reply : 1u << 20;
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS,
			 call->timeout_ms ? (long)call->timeout_ms : CALL_MS);
	curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(c->curl, CURLOPT_NOBODY, head ? 1L : 0L);
	if (call->body) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, call->body);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->size);
	}
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, head ? NULL : call->method);
	code = curl_easy_perform(c->curl);
	curl_slist_free_all(list);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
	if (code != CURLE_OK)
		return kerf_fail(err, curl_code(code), "%s: %s", url, curl_easy_strerror(code));
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (!c->reply) {
		c->reply = calloc(1, 1);
		if (!c->reply)
			return -ENOMEM;
	}
	c->reply[c->size] = 0;
	*result = (struct kerf_http_result){(int)status, c->reply, c->size};
	c->reply = NULL;
	c->size = 0;
	return 0;
}

/* --- Wires --- */

int kerf_wire_open(const char *base, bool insecure, struct kerf_wire **out, struct kerf_err *err)
{
	struct kerf_wire *w = calloc(1, sizeof(*w));
	CURLcode code;
	int r;

	if (!w)
		return -ENOMEM;
	r = new_curl(base, insecure, &w->curl, err);
	if (r) {
		free(w);
		return r;
	}
	curl_easy_setopt(w->curl, CURLOPT_URL, base);
	curl_easy_setopt(w->curl, CURLOPT_CONNECT_ONLY, 1L);
	code = curl_easy_perform(w->curl);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(w->curl, CURLINFO_ACTIVESOCKET, &w->fd);
	if (code != CURLE_OK || w->fd == CURL_SOCKET_BAD) {
		r = kerf_fail(err, code ? curl_code(code) : -EIO, "%s: %s", base,
			      curl_easy_strerror(code));
		kerf_wire_close(w);
		return r;
	}
	*out = w;
	return 0;
}

void kerf_wire_close(struct kerf_wire *w)
{
	if (!w)
		return;
	curl_easy_cleanup(w->curl);
	free(w);
}

int kerf_wire_fd(const struct kerf_wire *w)
{
	return w->fd;
}

/*
 * Past libcurl, which receives no more than its buffer holds (16 KiB) at a time: on plain
 * TCP there is nothing between these bytes and the socket.
 */
static ssize_t moved(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -EIO;
}

ssize_t kerf_wire_send(struct kerf_wire *w, const void *data, size_t n)
{
	return moved(send(w->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL));
}

ssize_t kerf_wire_recv(struct kerf_wire *w, void *data, size_t n)
{
	ssize_t k = recv(w->fd, data, n, MSG_DONTWAIT);

	return k || !n ? moved(k) : -EPIPE;
}

#else

int kerf_http_client_open(const char *base, bool insecure, struct kerf_http_client **c,
			  struct kerf_err *err)
{
	return kerf_fail(err, -ENOSYS, "%s: kerf was built without libcurl: it cannot reach a node",
			 base);
}

void kerf_http_client_close(struct kerf_http_client *c)
{
}

int kerf_http_call(struct kerf_http_client *c, const struct kerf_http_call *call,
		   struct kerf_http_result *result, struct kerf_err *err)
{
	return -ENOSYS;
}

int kerf_wire_open(const char *base, bool insecure, struct kerf_wire **w, struct kerf_err *err)
{
	return kerf_fail(err, -ENOSYS, "kerf was built without libcurl: it cannot reach a node");
}

void kerf_wire_close(struct kerf_wire *w)
{
}

int kerf_wire_fd(const struct kerf_wire *w)
{
	return -1;
}

ssize_t kerf_wire_send(struct kerf_wire *w, const void *data, size_t n)
{
	return -ENOSYS;
}

ssize_t kerf_wire_recv(struct kerf_wire *w, void *data, size_t n)
{
	return -ENOSYS;
}

#endif

/* The peer's sentence, if its body has one. */
static void fail_status(const struct kerf_http_call *call,
			const struct kerf_http_result *res, int code, struct kerf_err *err)
{
	struct json_object *o;
	const char *text = NULL;

	if (!kerf_json_parse(res->body, res->size, &o, NULL)) {
		if (!kerf_json_string(o, "error", &text, NULL))
			kerf_fail(err, code, "%s %s: %s", call->method, call->path, text);
		json_object_put(o);
	}
	kerf_fail(err, code, "%s %s: HTTP status %d", call->method, call->path, res->status);
}

static int status_code(int status)
{
	switch (status) {
	case 404: return -ENOENT;
	case 409: return -ESTALE;
	case 413: return -EFBIG;
	case 422: return -EBADMSG;
	case 501: return -EOPNOTSUPP;
	case 503: return -EAGAIN;
	case 507: return -ENOSPC;
	default: return status < 500 ? -EINVAL : -EIO;
	}
}

int kerf_http_call_ok(struct kerf_http_client *c, const struct kerf_http_call *call,
		      struct kerf_http_result *res, struct kerf_err *err)
{
	int r = kerf_http_call(c, call, res, err);

	if (r || (res->status >= 200 && res->status < 300))
		return r;
	r = status_code(res->status);
	fail_status(call, res, r, err);
	free(res->body);
	res->body = NULL;
	return r;
}
