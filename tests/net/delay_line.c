/* SPDX-License-Identifier: MIT */
/*
 * A delay line: two TUN devices, each in a network namespace of its own; what is sent into
 * one comes out of the other a fixed time later, in order. It stands in for netem where
 * the kernel has none.
 *
 * One thread. The devices carry segments as large as TCP makes them (IFF_VNET_HDR and
 * TUNSETOFFLOAD), so that one read and one write move up to 64 KiB, and checksums are left
 * to whoever needs them. Packets wait in a ring of bytes for each direction; while that is
 * full nothing is read and the device's own queue drops, as a router's would. Rate and loss are
 * the business of the devices' queueing disciplines (lib.sh).
 *
 * usage: delay_line NETNS_A NETNS_B DEVICE ONE_WAY_US
 * The namespaces are paths (/run/netns/NAME). Both devices are up when "ready" is printed; they
 * live as long as this process. SIGTERM or the end of whoever started it ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX (sizeof(struct virtio_net_hdr) + 65536)
#define RING_BYTES (64u << 20) /* 100 ms at 5 Gbit/s; touched only as far as it is used */
#define QUEUE_PACKETS 4000     /* of a device, while we are not running */
#define BATCH 64	       /* packets moved in one direction before the other has its turn */
#define MAX_DELAY_US 10000000

struct packet {
	uint64_t due_ns;
	uint32_t bytes; /* 0: the rest of the ring is unused, go on at its start */
	uint32_t pad;
	unsigned char data[];
};

/* Records of struct packet from head to tail, each whole, 16-byte aligned. */
struct ring {
	unsigned char *base;
	size_t head, tail, used;
};

struct direction {
	int from, to;
	struct ring ring;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static size_t record_bytes(size_t data)
{
	return (sizeof(struct packet) + data + 15) & ~(size_t)15;
}

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "delay_line: %s %s: %s\n", what, name, strerror(errno));
	return -1;
}

/* --- Devices --- */

static int set_up(const char *name)
{
	struct ifreq ifr = {.ifr_qlen = QUEUE_PACKETS};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = -1;

	if (s < 0)
		return fail("socket for", name);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(s, SIOCSIFTXQLEN, &ifr) || ioctl(s, SIOCGIFFLAGS, &ifr))
		goto out;
	ifr.ifr_flags |= IFF_UP;
	r = ioctl(s, SIOCSIFFLAGS, &ifr);
out:
	if (r)
		fail("cannot bring up", name);
	close(s);
	return r;
}

/* A TUN device in the namespace at path; this thread is left there. */
static int open_device(const char *path, const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int ns = open(path, O_RDONLY | O_CLOEXEC), fd, header = sizeof(struct virtio_net_hdr);

	if (ns < 0)
		return fail("cannot open namespace", path);
	if (setns(ns, CLONE_NEWNET)) {
		close(ns);
		return fail("cannot enter namespace", path);
	}
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail("cannot open", "/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETHDRSZ, &header) ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)) {
		fail("cannot make device", name);
		close(fd);
		return -1;
	}
	if (set_up(name)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* --- Packets --- */

/* Room for one more record of the largest size, all in one piece; NULL: there is none. */
static struct packet *ring_room(struct ring *r)
{
	size_t need = record_bytes(PACKET_MAX);
	struct packet *p;

	if (RING_BYTES - r->tail < need) {
		size_t rest = RING_BYTES - r->tail;

		if (r->used + rest + need > RING_BYTES)
			return NULL;
		if (rest) {
			p = (struct packet *)(r->base + r->tail);
			p->bytes = 0;
		}
		r->used += rest;
		r->tail = 0;
	}
	return r->used + need <= RING_BYTES ? (struct packet *)(r->base + r->tail) : NULL;
}

static void ring_push(struct ring *r, const struct packet *p)
{
	size_t n = record_bytes(p->bytes);

	r->tail += n;
	r->used += n;
}

static struct packet *ring_first(struct ring *r)
{
	struct packet *p;

	if (!r->used)
		return NULL;
	p = (struct packet *)(r->base + r->head);
	if (r->head == RING_BYTES || !p->bytes) {
		r->used -= RING_BYTES - r->head;
		r->head = 0;
		p = (struct packet *)r->base;
	}
	return r->used ? p : NULL;
}

static void ring_pop(struct ring *r, const struct packet *p)
{
	size_t n = record_bytes(p->bytes);

	r->head += n;
	r->used -= n;
}

/* What the device has for us. -1: it is gone. */
static int take(struct direction *d, uint64_t delay_ns)
{
	struct packet *p;
	int i;

	for (i = 0; i < BATCH && (p = ring_room(&d->ring)); i++) {
		ssize_t n = read(d->from, p->data, PACKET_MAX);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : fail("read from", "the device");
		if (!n)
			return 0;
		p->due_ns = now_ns() + delay_ns;
		p->bytes = (uint32_t)n;
		ring_push(&d->ring, p);
	}
	return 0;
}

/* Sends what is due; when the next one is, or UINT64_MAX. */
static uint64_t give(struct direction *d)
{
	struct packet *p;
	int i;

	for (i = 0; i < BATCH && (p = ring_first(&d->ring)); i++) {
		if (p->due_ns > now_ns())
			return p->due_ns;
		/* The receiver refuses what is malformed: lost, as on any line. */
		if (write(d->to, p->data, p->bytes) < 0 && errno != EINVAL && errno != ENOMEM &&
		    errno != ENOBUFS)
			fail("write to", "the device");
		ring_pop(&d->ring, p);
	}
	return ring_first(&d->ring) ? 0 : UINT64_MAX;
}

static int run(struct direction d[2], uint64_t delay_ns)
{
	struct pollfd pfd[2] = {{.fd = d[0].from}, {.fd = d[1].from}};

	for (;;) {
		uint64_t due[2] = {give(&d[0]), give(&d[1])};
		uint64_t next = due[0] < due[1] ? due[0] : due[1], now = now_ns();
		uint64_t wait = next > now ? next - now : 0;
		struct timespec ts = {.tv_sec = (time_t)(wait / 1000000000u),
				      .tv_nsec = (long)(wait % 1000000000u)};
		int i;

		for (i = 0; i < 2; i++)
			pfd[i].events = ring_room(&d[i].ring) ? POLLIN : 0;
		if (ppoll(pfd, 2, next == UINT64_MAX ? NULL : &ts, NULL) < 0 && errno != EINTR)
			return fail("poll", "");
		for (i = 0; i < 2; i++)
			if (pfd[i].revents && take(&d[i], delay_ns))
				return -1;
	}
}

static bool parse_delay(const char *s, uint64_t *us)
{
	char *end;

	errno = 0;
	*us = strtoull(s, &end, 10);
	return *s >= '0' && *s <= '9' && !*end && !errno && *us <= MAX_DELAY_US;
}

int main(int argc, char **argv)
{
	struct sched_param first = {.sched_priority = 1};
	struct direction d[2];
	uint64_t us;
	pid_t parent = getppid();
	int fd[2], i;

	if (argc != 5 || !parse_delay(argv[4], &us)) {
		fprintf(stderr, "usage: delay_line NETNS_A NETNS_B DEVICE ONE_WAY_US (at most %d)\n",
			MAX_DELAY_US);
		return 2;
	}
	/* A shell that was killed cannot end us. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return 1;
	for (i = 0; i < 2; i++) {
		fd[i] = open_device(argv[1 + i], argv[3]);
		if (fd[i] < 0)
			return 1;
	}
	for (i = 0; i < 2; i++) {
		d[i] = (struct direction){.from = fd[i], .to = fd[!i]};
		d[i].ring.base = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (d[i].ring.base == MAP_FAILED) {
			fail("no memory for", "the ring");
			return 1;
		}
	}
	/* A line does not wait for a CPU, and its delay is not rounded up by 50 us. */
	sched_setscheduler(0, SCHED_FIFO, &first);
	prctl(PR_SET_TIMERSLACK, 1);
	puts("ready");
	fflush(stdout);
	return run(d, us * 1000) ? 1 : 0;
}
