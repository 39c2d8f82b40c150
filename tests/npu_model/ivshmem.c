/* SPDX-License-Identifier: MIT */
/*
 * The model as QEMU sees it: an ivshmem server that is peer 0 itself. A client is sent 8-byte
 * little-endian words, some with a file descriptor: the protocol version 0; its own number; -1
 * with the memory of BAR 2; then for each peer its number with one eventfd a vector, peer 0's
 * (the kick) first and its own (the interrupts) last.
 */
#include "npu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENT 1 /* QEMU's peer number */

struct server {
	const struct npu_config *config;
	int listener, client, regs_fd, ram_fd, kick, irq[KERF_NPU_VECTORS];
	uint8_t *regs, *ram;
	bool bound; /* the socket's name is ours to take away */
};

static void say(void *arg, const char *format, ...)
{
	const struct server *s = arg;
	va_list ap;

	if (!s->config->verbose)
		return;
	va_start(ap, format);
	fprintf(stderr, "npu-model: ");
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static int complain(const char *what, const char *name)
{
	int r = -errno;

	fprintf(stderr, "npu-model: %s %s: %s\n", what, name, strerror(-r));
	return r;
}

/* --- what the device asks of its host -------------------------------------------------- */

static void raise_vector(void *arg, int vector)
{
	const struct server *s = arg;
	uint64_t one = 1;

	/* Full means that the other side has 2^64 - 1 interrupts to see already. */
	if (write(s->irq[vector], &one, sizeof(one)) < 0 && errno != EAGAIN)
		say(arg, "vector %d: %s", vector, strerror(errno));
}

/* A list in the tricks' file, which is taken away. A guest may have written it. */
static bool read_tricks(void *arg, struct npu_tricks *tricks)
{
	const struct server *s = arg;
	struct npu_tricks list = {0};
	char text[4096], *end;
	const char *bad;
	ssize_t n;
	int fd;

	if (!s->config->tricks_file)
		return false;
	fd = open(s->config->tricks_file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	unlink(s->config->tricks_file);
	text[KERF_MAX(n, 0)] = 0;
	end = strpbrk(text, " \n");
	if (end)
		*end = 0;
	if (!npu_tricks_parse(&list, text, &bad)) {
		fprintf(stderr, "npu-model: %s: what is '%s'?\n", s->config->tricks_file, bad);
		return false;
	}
	say(arg, "faults from this job on: %s", text);
	*tricks = list;
	return true;
}

/* QEMU sends nothing: what comes from it is its end. */
static bool client_is_there(struct server *s)
{
	char c[64];
	ssize_t n = recv(s->client, c, sizeof(c), MSG_DONTWAIT);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool wait_for_kick(void *arg, int64_t until_ns)
{
	struct server *s = arg;
	struct pollfd p[] = {{s->kick, POLLIN, 0}, {s->client, POLLIN, 0}};
	int64_t left = until_ns == INT64_MAX ? 0 : KERF_MAX(until_ns - npu_now_ns(), 0);
	struct timespec t = {left / 1000000000, left % 1000000000};
	uint64_t count;

	if (ppoll(p, 2, until_ns == INT64_MAX ? NULL : &t, NULL) < 0)
		return errno == EINTR;
	if (p[0].revents & POLLIN && read(s->kick, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return false;
	return !p[1].revents || client_is_there(s);
}

/* --- the server ------------------------------------------------------------------------ */

static int send_word(int client, int64_t word, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&word, sizeof(word)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	return sendmsg(client, &msg, MSG_NOSIGNAL) == sizeof(word) ? 0 : -EIO;
}

static int greet(const struct server *s)
{
	int i, r = send_word(s->client, 0, -1);

	if (!r)
		r = send_word(s->client, CLIENT, -1);
	if (!r)
		r = send_word(s->client, -1, s->regs_fd);
	if (!r)
		r = send_word(s->client, 0, s->kick);
	for (i = 0; !r && i < KERF_NPU_VECTORS; i++)
		r = send_word(s->client, CLIENT, s->irq[i]);
	return r;
}

static int listen_at(struct server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = s->config->socket;
	struct stat st;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return complain("socket", path);
	}
	strcpy(addr.sun_path, path);
	/* One left by a model that was killed; never anything but a socket. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)))
		return complain("socket", path);
	s->bound = true;
	return listen(s->listener, 1) ? complain("socket", path) : 0;
}

/* QEMU may come later and open the same file: it is made here if need be. */
static int map_ram(struct server *s)
{
	const struct npu_config *c = s->config;
	struct stat st;

	s->ram_fd = open(c->ram, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->ram_fd < 0 || fstat(s->ram_fd, &st))
		return complain("RAM", c->ram);
	if ((uint64_t)st.st_size < c->ram_size && ftruncate(s->ram_fd, (off_t)c->ram_size))
		return complain("RAM", c->ram);
	s->ram = mmap(NULL, c->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->ram_fd, 0);
	if (s->ram == MAP_FAILED)
		return complain("RAM", c->ram);
	return 0;
}

static int map_registers(struct server *s)
{
	int i;

	s->regs_fd = memfd_create("kerf-npu", MFD_CLOEXEC);
	if (s->regs_fd < 0 || ftruncate(s->regs_fd, KERF_NPU_REGS_SIZE))
		return complain("memory of", "registers");
	s->regs = mmap(NULL, KERF_NPU_REGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->regs_fd, 0);
	if (s->regs == MAP_FAILED)
		return complain("memory of", "registers");
	s->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (i = 0; i < KERF_NPU_VECTORS; i++)
		s->irq[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->kick < 0 || s->irq[0] < 0 || s->irq[1] < 0)
		return complain("eventfds of", "vectors");
	return 0;
}

static void finish(struct server *s)
{
	int i;

	for (i = 0; i < KERF_NPU_VECTORS; i++)
		close(s->irq[i]);
	close(s->kick);
	if (s->regs != MAP_FAILED)
		munmap(s->regs, KERF_NPU_REGS_SIZE);
	if (s->ram != MAP_FAILED)
		munmap(s->ram, s->config->ram_size);
	close(s->regs_fd);
	close(s->ram_fd);
	close(s->client);
	close(s->listener);
	if (s->bound)
		unlink(s->config->socket);
}

static int serve(struct server *s)
{
	struct npu_host host = {raise_vector, wait_for_kick, say, read_tricks, s};
	struct npu_device *device;
	int r = map_ram(s);

	if (!r)
		r = map_registers(s);
	if (!r)
		r = npu_device_new(s->regs, s->ram, s->config->ram_size, &host, &s->config->tricks,
				   &device);
	if (r)
		return r;
	r = listen_at(s);
	if (r)
		goto out;
	do
		s->client = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	while (s->client < 0 && errno == EINTR);
	if (s->client < 0) {
		r = complain("socket", s->config->socket);
		goto out;
	}
	say(s, "QEMU is there");
	r = greet(s);
	if (!r)
		npu_device_run(device);
	say(s, "QEMU went");
out:
	npu_device_free(device);
	return r;
}

int npu_serve(const struct npu_config *config)
{
	struct server s = {
		.config = config,
		.listener = -1,
		.client = -1,
		.regs_fd = -1,
		.ram_fd = -1,
		.kick = -1,
		.irq = {-1, -1},
		.regs = MAP_FAILED,
		.ram = MAP_FAILED,
	};
	int r = serve(&s);

	finish(&s);
	return r;
}
