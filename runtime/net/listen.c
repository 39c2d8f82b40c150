/* SPDX-License-Identifier: MIT */
#include "net/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool kerf_addr_is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
	return false;
}

bool kerf_host_is_loopback(const char *host)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	bool all;

	if (getaddrinfo(host, NULL, &hints, &list))
		return false;
	all = list != NULL;
	for (a = list; a; a = a->ai_next)
		all = all && kerf_addr_is_loopback(a->ai_addr);
	freeaddrinfo(list);
	return all;
}

/* "host:port" or "[host]:port". */
static int split(const char *address, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;

	if (!n || n >= size || !colon[1])
		return -EINVAL;
	if (address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	memcpy(host, address, n);
	host[n] = 0;
	*port = colon + 1;
	return 0;
}

int kerf_listen(const char *address, bool insecure, uint16_t *port, struct kerf_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
	struct sockaddr_storage got;
	struct addrinfo *a = NULL;
	socklen_t len = sizeof(got);
	char host[256];
	const char *service;
	int fd, r, on = 1;

	if (split(address, host, sizeof(host), &service) ||
	    getaddrinfo(host, service, &hints, &a))
		return kerf_fail(err, -EINVAL, "--listen '%s': expected ADDRESS:PORT, both numeric",
				 address);
	if (!insecure && !kerf_addr_is_loopback(a->ai_addr)) {
		freeaddrinfo(a);
		return kerf_fail(err, -EPERM,
				 "--listen %s: plain TCP beyond loopback needs --insecure", address);
	}
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&got, &len))
		goto fail;
	freeaddrinfo(a);
	*port = ntohs(got.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&got)->sin6_port
						: ((struct sockaddr_in *)&got)->sin_port);
	return fd;
fail:
	r = kerf_fail(err, -errno, "--listen %s: %s", address, strerror(errno));
	freeaddrinfo(a);
	if (fd >= 0)
		close(fd);
	return r;
}
