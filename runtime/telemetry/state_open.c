/* SPDX-License-Identifier: MIT */
/*
 * Whoever serves the socket may be anybody: nothing it hands over is mapped before the kernel
 * has told that it is a BPF array or a sealed memfd of just the size that is read, since a file
 * that shrinks later would kill its readers with SIGBUS.
 */
#include "telemetry/publish.h"
#include "telemetry/publish_wire.h"

#include "util/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_NS 2000000000ull
#define BEAT_NS 1000000000ull
#define MOST_FDS 253 /* in a message (SCM_MAX_FD): with room for all, all can be closed */

/* What this kerf reads of each region. */
static const struct {
	const char *name;
	size_t record, min, max;
	size_t member; /* the pointer in struct kerf_state_reader */
} layout[KERF_N_REGION] = {
#define REGION(type, least, most, where) \
	sizeof(type), least, most, offsetof(struct kerf_state_reader, where)
	[KERF_REGION_HEAD] = {"head", REGION(struct kerf_state_head, 1, 1, head)},
	[KERF_REGION_LINKS] = {"links", REGION(struct kerf_link_rec, 1, KERF_STATE_LINKS, link)},
	[KERF_REGION_CPUS] = {"cpus", REGION(struct kerf_cpu_rec, 1, KERF_STATE_CPUS, cpu)},
	[KERF_REGION_ENGINES] = {"engines",
				 REGION(struct kerf_engine_rec, 1, KERF_STATE_ENGINES, engine)},
	[KERF_REGION_ZONES] = {"zones", REGION(struct kerf_zone_rec, 1, KERF_STATE_ZONES, zone)},
	[KERF_REGION_STATE] = {"state", REGION(struct kerf_state, 1, 1, state)},
	[KERF_REGION_TRANSFERS] = {"transfers",
				   REGION(struct kerf_transfer_rec, KERF_STATE_TRANSFERS,
					  KERF_STATE_TRANSFERS, transfer)},
#undef REGION
};

/* --- The message --- */

struct received {
	struct kerf_state_hello hello;
	int fd[KERF_N_REGION]; /* in the order of hello.regions; ours */
	uint32_t n_fd;
};

static void close_all(struct received *m)
{
	while (m->n_fd)
		close(m->fd[--m->n_fd]);
}

/* Everything that came is taken or closed; false: more than we take. */
static bool take_fds(struct msghdr *m, struct received *out)
{
	bool fits = !(m->msg_flags & MSG_CTRUNC);
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), i;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (out->n_fd < KERF_N_REGION) {
				out->fd[out->n_fd++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

static int receive(int from, uint64_t deadline, struct received *out, struct kerf_err *err)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MOST_FDS * sizeof(int))];
	} control;
	struct iovec body = {.iov_base = &out->hello, .iov_len = sizeof(out->hello)};
	struct msghdr m = {.msg_iov = &body,
			   .msg_iovlen = 1,
			   .msg_control = control.space,
			   .msg_controllen = sizeof(control.space)};
	struct pollfd p = {.fd = from, .events = POLLIN};
	ssize_t n;
	bool fits;

	do {
		uint64_t now = kerf_now_ns();
		int r = poll(&p, 1, now < deadline ? (int)((deadline - now) / 1000000) + 1 : 0);

		if (!r)
			return kerf_fail(err, -EPROTO, "expected a state, found no answer in 2 s");
		n = r < 0 ? -1 : recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return kerf_fail(err, -errno, "%s", strerror(errno));
	fits = take_fds(&m, out);
	if (!n)
		return kerf_fail(err, -EPROTO, "expected a state, found that it was hung up");
	if ((size_t)n != sizeof(out->hello) || m.msg_flags & MSG_TRUNC ||
	    out->hello.magic != KERF_STATE_MAGIC)
		return kerf_fail(err, -EPROTO,
				 "expected the greeting of a kerf state, found %zd other bytes", n);
	if (out->hello.version != KERF_STATE_VERSION)
		return kerf_fail(err, -EPROTO, "expected a state of version %u, found version %u",
				 KERF_STATE_VERSION, out->hello.version);
	if (!fits || out->hello.regions >> KERF_N_REGION ||
	    (uint32_t)__builtin_popcount(out->hello.regions) != out->n_fd)
		return kerf_fail(
			err, -EPROTO,
			"expected a file descriptor for each region of mask %#x, found %s%u",
			out->hello.regions, fits ? "" : "more than ", out->n_fd);
	if (!(out->hello.regions >> KERF_REGION_HEAD & 1))
		return kerf_fail(err, -EPROTO, "expected a head among the regions, found none");
	return 0;
}

static int dial(const char *path, uint64_t deadline, struct received *out, struct kerf_err *err)
{
	struct timeval patience = {.tv_sec = PATIENCE_NS / 1000000000};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(at.sun_path))
		return kerf_fail(err, -ENAMETOOLONG,
				 "expected a socket's path of at most %zu bytes",
				 sizeof(at.sun_path) - 1);
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return kerf_fail(err, -errno, "%s", strerror(errno));
	/* connect() waits where the backlog is full */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at))) {
		r = receive(fd, deadline, out, err);
		goto out;
	}
	r = -errno;
	if (r == -ENOENT || r == -ECONNREFUSED)
		kerf_fail(err, r, "nobody publishes a state there (no node runs?)");
	else if (r == -EACCES || r == -EPERM)
		kerf_fail(err, r, "%s: the state is for its node's user and the socket's group",
			  strerror(-r));
	else if (r == -EPROTOTYPE || r == -EAGAIN || r == -EINPROGRESS)
		r = kerf_fail(err, -EPROTO, "expected the socket of a state, found %s",
			      r == -EPROTOTYPE ? "one of another kind" : "no answer in 2 s");
	else
		kerf_fail(err, r, "%s", strerror(-r));
out:
	close(fd);
	return r;
}

/* --- Regions --- */

/* A line "name:\tNUMBER" of /proc/self/fdinfo. */
static bool info_number(const char *text, const char *name, uint64_t *v)
{
	const char *at = strstr(text, name);
	char *end;

	if (!at || (at != text && at[-1] != '\n'))
		return false;
	at += strlen(name);
	errno = 0;
	*v = strtoull(at, &end, 10);
	return !errno && end != at;
}

/* 1: a BPF array, whose *bytes never change; 0: something else. */
static int map_size(int fd, uint64_t *bytes)
{
	uint64_t type, value, entries;
	char path[64], text[2048];
	ssize_t n;
	int info;

	/* What a file is called cannot begin without a slash. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = 0;
	if (strcmp(text, "anon_inode:bpf-map"))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return 0;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	if (n <= 0)
		return 0;
	text[n] = 0;
	if (!info_number(text, "map_type:", &type) || type != 2 /* BPF_MAP_TYPE_ARRAY */ ||
	    !info_number(text, "value_size:", &value) ||
	    !info_number(text, "max_entries:", &entries))
		return 0;
	/* Both are of 32 bits. The kernel lays values out in multiples of 8 bytes. */
	*bytes = ((value & UINT32_MAX) + 7) / 8 * 8 * (entries & UINT32_MAX);
	return 1;
}

static int map_region(int fd, enum kerf_region region, uint64_t expected, const void **data,
		      struct kerf_err *err)
{
	const char *name = layout[region].name;
	int seals = fcntl(fd, F_GET_SEALS); /* asks no file system, which could hang */
	uint64_t bytes;
	struct stat st;

	if (seals >= 0) {
		if (!(seals & F_SEAL_SHRINK))
			return kerf_fail(err, -EPROTO,
					 "region %s: expected memory sealed against shrinking, "
					 "found seals %#x",
					 name, (unsigned int)seals);
		if (fstat(fd, &st))
			return kerf_fail(err, -EPROTO, "region %s: %s", name, strerror(errno));
		bytes = (uint64_t)st.st_size;
	} else if (!map_size(fd, &bytes)) {
		return kerf_fail(
			err, -EPROTO,
			"region %s: expected a BPF array or a sealed memfd, found something else",
			name);
	}
	if (bytes != expected)
		return kerf_fail(err, -EPROTO, "region %s: expected %llu bytes, found %llu", name,
				 (unsigned long long)expected, (unsigned long long)bytes);
	*data = mmap(NULL, expected, PROT_READ, MAP_SHARED, fd, 0);
	if (*data == MAP_FAILED) {
		*data = NULL;
		return kerf_fail(err, -EPROTO, "region %s: cannot be mapped for reading: %s", name,
				 strerror(errno));
	}
	return 0;
}

static const void **member(struct kerf_state_reader *r, enum kerf_region region)
{
	return (const void **)((char *)r + layout[region].member);
}

static int map_one(struct kerf_state_reader *r, enum kerf_region region, int fd, uint64_t records,
		   struct kerf_err *err)
{
	size_t size = layout[region].record * records;
	int ret = map_region(fd, region, size, member(r, region), err);

	if (!ret) {
		r->n[region] = (uint32_t)records;
		r->size[region] = size;
	}
	return ret;
}

static int check_head(const struct kerf_state_head *head, struct kerf_err *err)
{
	if (head->magic != KERF_STATE_MAGIC || head->version != KERF_STATE_VERSION)
		return kerf_fail(err, -EPROTO,
				 "head: expected %#x, version %u, found %#x, version %u",
				 KERF_STATE_MAGIC, KERF_STATE_VERSION, head->magic, head->version);
	if (head->n_region != KERF_N_REGION)
		return kerf_fail(err, -EPROTO, "head: expected %d regions, found %u", KERF_N_REGION,
				 head->n_region);
	return 0;
}

static int map_all(struct kerf_state_reader *r, const struct received *m, struct kerf_err *err)
{
	uint32_t region, at = 0;
	int ret;

	ret = map_one(r, KERF_REGION_HEAD, m->fd[at++], 1, err);
	if (!ret)
		ret = check_head(r->head, err);
	for (region = KERF_REGION_HEAD + 1; region < KERF_N_REGION && !ret; region++) {
		/* Read once: the head is in memory that its owner can change. */
		uint32_t bytes =
			__atomic_load_n(&r->head->region[region].record_bytes, __ATOMIC_RELAXED);
		uint32_t records =
			__atomic_load_n(&r->head->region[region].records, __ATOMIC_RELAXED);

		if (!(m->hello.regions >> region & 1))
			continue;
		if (bytes != layout[region].record || records < layout[region].min ||
		    records > layout[region].max)
			ret = kerf_fail(err, -EPROTO,
					"region %s: expected %zu to %zu records of %zu bytes, "
					"found %u of %u",
					layout[region].name, layout[region].min, layout[region].max,
					layout[region].record, records, bytes);
		else
			ret = map_one(r, (enum kerf_region)region, m->fd[at++], records, err);
	}
	return ret;
}

int kerf_state_open(const char *path, struct kerf_state_reader *r, struct kerf_err *err)
{
	uint64_t deadline = kerf_now_ns() + PATIENCE_NS;
	struct received m = {0};
	uint32_t i;
	int ret;

	memset(r, 0, sizeof(*r));
	if (!path)
		path = getenv("KERF_STATE");
	if (!path || !*path)
		path = KERF_STATE_SOCKET;
	ret = dial(path, deadline, &m, err);
	if (!ret)
		ret = map_all(r, &m, err);
	close_all(&m);
	if (ret) {
		kerf_state_close(r);
		kerf_err_prefix(err, "%s", path);
		return ret;
	}
	for (i = 0; i < r->n[KERF_REGION_CPUS]; i++)
		if (__atomic_load_n(&r->cpu[i].updated_ns, __ATOMIC_RELAXED))
			r->n_cpu = i + 1;
	return 0;
}

void kerf_state_close(struct kerf_state_reader *r)
{
	uint32_t i;

	for (i = 0; i < KERF_N_REGION; i++)
		if (r->size[i])
			munmap((void *)*member(r, (enum kerf_region)i), r->size[i]);
	memset(r, 0, sizeof(*r));
}

bool kerf_state_alive(const struct kerf_state_reader *r, uint64_t now_ns)
{
	uint64_t beat = __atomic_load_n(&r->head->alive_ns, __ATOMIC_RELAXED);

	return beat >= now_ns || now_ns - beat <= BEAT_NS;
}
