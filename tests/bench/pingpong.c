/* SPDX-License-Identifier: MIT */
/*
 * Two processes that answer each other, over pipes or over TCP on loopback:
 *
 *   pingpong pipe|tcp BYTES ROUNDS     prints "wall_ns=... cpu_ns=..." of one round trip
 *
 * cpu_ns is both processes' processor time, the kernel's work for them included.
 */
#include "util/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BYTES (1u << 20)

struct ends {
	int in[2], out[2]; /* [0]: the parent's, [1]: the child's */
};

static bool move(ssize_t (*call)(int, void *, size_t), int fd, char *data, size_t n)
{
	while (n) {
		ssize_t k = call(fd, data, n);

		if (k <= 0)
			return false;
		data += k;
		n -= (size_t)k;
	}
	return true;
}

static ssize_t put(int fd, void *data, size_t n)
{
	return write(fd, data, n);
}

static bool make_pipes(struct ends *e)
{
	int there[2], back[2];

	if (pipe(there) || pipe(back))
		return false;
	*e = (struct ends){{back[0], there[0]}, {there[1], back[1]}};
	return true;
}

static bool make_tcp(struct ends *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, i;
	int fd[2] = {socket(AF_INET, SOCK_STREAM, 0), -1};

	if (listener < 0 || fd[0] < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&a, &n) ||
	    connect(fd[0], (struct sockaddr *)&a, sizeof(a)))
		return false;
	fd[1] = accept(listener, NULL, NULL);
	if (fd[1] < 0)
		return false;
	close(listener);
	for (i = 0; i < 2; i++) {
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		e->in[i] = e->out[i] = fd[i];
	}
	return true;
}

static uint64_t used_ns(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

int main(int argc, char **argv)
{
	static char data[MAX_BYTES];
	size_t bytes = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long rounds = argc == 4 ? strtoul(argv[3], NULL, 10) : 0, i;
	struct ends e;
	uint64_t start, wall;
	pid_t child;

	if (!bytes || bytes > MAX_BYTES || !rounds ||
	    (strcmp(argv[1], "pipe") && strcmp(argv[1], "tcp"))) {
		fprintf(stderr, "usage: pingpong pipe|tcp BYTES ROUNDS\n");
		return 2;
	}
	if (strcmp(argv[1], "tcp") ? !make_pipes(&e) : !make_tcp(&e)) {
		perror("pingpong");
		return 1;
	}
	child = fork();
	if (!child) {
		for (i = 0; i < rounds; i++)
			if (!move(read, e.in[1], data, bytes) || !move(put, e.out[1], data, bytes))
				_exit(1);
		_exit(0);
	}
	start = kerf_now_ns();
	for (i = 0; child > 0 && i < rounds; i++)
		if (!move(put, e.out[0], data, bytes) || !move(read, e.in[0], data, bytes))
			break;
	wall = kerf_now_ns() - start;
	if (i < rounds || waitpid(child, NULL, 0) < 0) {
		fprintf(stderr, "pingpong: the other end failed\n");
		return 1;
	}
	printf("wall_ns=%.0f cpu_ns=%.0f\n", (double)wall / (double)rounds,
	       (double)(used_ns(RUSAGE_SELF) + used_ns(RUSAGE_CHILDREN)) / (double)rounds);
	return 0;
}
