/* SPDX-License-Identifier: MIT */
/*
 * Readers are served one after the other: accepted, sent one message that the kernel keeps for
 * them, hung up once they have it. Descriptors in messages that nobody reads count against us, as
 * many as we may open (unix(7), ETOOMANYREFS); so there are few of them, and fewer of one user's.
 * So no reader can hold those of other users, or us.
 */
#include "telemetry/publish.h"
#include "telemetry/publish_wire.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define GROUP "kerf"
#define BACKLOG 64
#define UNREAD 32
#define UNREAD_USER 8
#define LOOK_MS 100

struct kerf_publisher {
	struct sockaddr_un at;
	struct stat made; /* the socket, to remove no other */
	int listen_fd, stop_fd;
	bool bound, running;
	pthread_t thread;
	struct kerf_state_hello hello;
	int fd[KERF_N_REGION]; /* ours: those of hello.regions, in order */
	uint32_t n_fd;
	struct unread {
		int fd;
		uid_t user;
	} unread[UNREAD]; /* the thread's */
	uint32_t n_unread;
};

/* --- Serving --- */

static void serve(const struct kerf_publisher *p, int to)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(p->fd))];
	} control = {0};
	struct iovec body = {.iov_base = (void *)&p->hello, .iov_len = sizeof(p->hello)};
	struct msghdr m = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = control.space};
	struct cmsghdr *c;
	size_t n = p->n_fd * sizeof(int);

	m.msg_controllen = CMSG_SPACE(n);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), p->fd, n);
	/* A reader that is gone already is no concern of ours. */
	(void)!sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Hangs up where the message is read, or will never be. */
static void hang_up(struct kerf_publisher *p)
{
	uint32_t i, n = 0;
	int bytes;

	for (i = 0; i < p->n_unread; i++)
		if (!ioctl(p->unread[i].fd, SIOCOUTQ, &bytes) && bytes)
			p->unread[n++] = p->unread[i];
		else
			close(p->unread[i].fd);
	p->n_unread = n;
}

static void take(struct kerf_publisher *p, int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	uint32_t i, same = 0;

	hang_up(p);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n))
		peer.uid = (uid_t)-1;
	for (i = 0; i < p->n_unread; i++)
		same += p->unread[i].user == peer.uid;
	if (p->n_unread == UNREAD || same == UNREAD_USER) {
		close(fd);
		return;
	}
	serve(p, fd);
	p->unread[p->n_unread++] = (struct unread){fd, peer.uid};
	hang_up(p);
}

static void *run(void *arg)
{
	struct kerf_publisher *p = arg;
	struct pollfd w[2] = {{.fd = p->stop_fd, .events = POLLIN},
			      {.fd = p->listen_fd, .events = POLLIN}};

	for (;;) {
		int fd;

		if (poll(w, 2, p->n_unread ? LOOK_MS : -1) < 0 && errno != EINTR)
			return NULL;
		if (w[0].revents)
			return NULL;
		hang_up(p);
		fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			take(p, fd);
		} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			/* No descriptor is left: whoever waits goes on waiting, without our
			 * spinning. */
			poll(w, 1, LOOK_MS);
		}
	}
}

/* --- The socket --- */

static int set_address(struct sockaddr_un *at, const char *path, struct kerf_err *err)
{
	size_t n = strlen(path);

	if (!n || n >= sizeof(at->sun_path))
		return kerf_fail(err, -ENAMETOOLONG,
				 "%s: expected a socket's path of 1 to %zu bytes, found %zu", path,
				 sizeof(at->sun_path) - 1, n);
	at->sun_family = AF_UNIX;
	memcpy(at->sun_path, path, n + 1);
	return 0;
}

/*
 * Two publishers that both find a stale socket would each remove the other's new one, so the
 * folder is locked from the look to the bind. *fd is to be closed.
 */
static int lock_folder(const char *path, int *fd, struct kerf_err *err)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	const char *slash = strrchr(path, '/');
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)] = ".";
	int tries, r;

	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + (slash == path),
			 path);
	if (mkdir(folder, 0755) && errno != EEXIST)
		return kerf_fail(err, -errno, "%s: %s", folder, strerror(errno));
	*fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return kerf_fail(err, -errno, "%s: %s", folder, strerror(errno));
	for (tries = 0; tries < 50; tries++) {
		if (!flock(*fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK)
			break;
		nanosleep(&pause, NULL);
	}
	r = kerf_fail(err, -errno, "%s: cannot be locked: %s", folder, strerror(errno));
	close(*fd);
	return r;
}

/* Whether nobody listens on the socket that stands there. */
static bool is_stale(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	bool stale;

	if (fd < 0)
		return false;
	stale = !lstat(at->sun_path, &st) && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)at, sizeof(*at)) && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/*
 * Members of the group read the state; where there is no such group, ours does. By descriptor, so
 * that in a folder of somebody else's it is the socket that is changed, not what he puts there.
 */
static int give_to_group(struct kerf_publisher *p)
{
	int fd = open(p->at.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct group g, *found;
	char buf[4096], self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fd < 0 || fstat(fd, &p->made)) {
		r = -errno;
	} else if (!S_ISSOCK(p->made.st_mode)) {
		r = -EEXIST;
	} else {
		p->bound = true;
		if (!getgrnam_r(GROUP, &g, buf, sizeof(buf), &found) && found)
			(void)!fchownat(fd, "", (uid_t)-1, found->gr_gid, AT_EMPTY_PATH);
		r = chmod(self, 0660) ? -errno : 0;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* Where a dead publisher's socket stands, in its place. */
static int bind_at(struct kerf_publisher *p, struct kerf_err *err)
{
	const struct sockaddr *at = (const struct sockaddr *)&p->at;
	const char *path = p->at.sun_path;
	struct stat st;

	if (!bind(p->listen_fd, at, sizeof(p->at)))
		return 0;
	if (errno != EADDRINUSE)
		return kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (is_stale(&p->at)) {
		if (unlink(path) || bind(p->listen_fd, at, sizeof(p->at)))
			return kerf_fail(err, -errno,
					 "%s: nobody serves there any more, but it cannot be "
					 "replaced: %s",
					 path, strerror(errno));
		return 0;
	}
	return kerf_fail(err, -EADDRINUSE, "%s: expected a free place, found %s", path,
			 !lstat(path, &st) && !S_ISSOCK(st.st_mode) ? "a file that is no socket"
								    : "somebody serving there");
}

static int listen_at(struct kerf_publisher *p, struct kerf_err *err)
{
	const char *path = p->at.sun_path;
	int lock = -1, r = lock_folder(path, &lock, err);

	if (r)
		return r;
	p->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode before bind: the socket is never open to others, not for a moment. */
	if (p->listen_fd < 0 || fchmod(p->listen_fd, 0600))
		goto fail;
	r = bind_at(p, err);
	if (r)
		goto out;
	r = give_to_group(p);
	if (!r && listen(p->listen_fd, BACKLOG))
		r = -errno;
	if (r)
		kerf_fail(err, r, "%s: %s", path, strerror(-r));
	goto out;
fail:
	r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
out:
	close(lock);
	return r;
}

/* --- Open, close --- */

/* Signals are for the threads that know what to do about them. */
static int start(struct kerf_publisher *p)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	p->running = !r;
	return r;
}

int kerf_publisher_open(const char *path, const int *fd, struct kerf_publisher **out,
			struct kerf_err *err)
{
	struct kerf_publisher *p = calloc(1, sizeof(*p));
	uint32_t i;
	int r;

	*out = NULL;
	if (!p)
		return -ENOMEM;
	p->listen_fd = -1;
	p->stop_fd = eventfd(0, EFD_CLOEXEC);
	p->hello =
		(struct kerf_state_hello){.magic = KERF_STATE_MAGIC, .version = KERF_STATE_VERSION};
	r = p->stop_fd < 0 ? -errno : 0;
	for (i = 0; i < KERF_N_REGION && !r; i++) {
		if (fd[i] < 0)
			continue;
		p->fd[p->n_fd] = fcntl(fd[i], F_DUPFD_CLOEXEC, 0);
		if (p->fd[p->n_fd] < 0) {
			r = kerf_fail(err, -errno, "region %u: %s", i, strerror(errno));
			break;
		}
		p->n_fd++;
		p->hello.regions |= 1u << i;
	}
	if (!r && !(p->hello.regions >> KERF_REGION_HEAD & 1))
		r = kerf_fail(err, -EINVAL, "a state to be published has a head");
	if (!r)
		r = set_address(&p->at, path, err);
	if (!r)
		r = listen_at(p, err);
	if (!r)
		r = start(p);
	if (r) {
		kerf_publisher_close(p);
		return r;
	}
	*out = p;
	return 0;
}

void kerf_publisher_close(struct kerf_publisher *p)
{
	struct stat st;
	uint32_t i;

	if (!p)
		return;
	if (p->running) {
		(void)!eventfd_write(p->stop_fd, 1);
		pthread_join(p->thread, NULL);
	}
	if (p->bound && !lstat(p->at.sun_path, &st) && st.st_dev == p->made.st_dev &&
	    st.st_ino == p->made.st_ino)
		unlink(p->at.sun_path);
	for (i = 0; i < p->n_unread; i++)
		close(p->unread[i].fd);
	for (i = 0; i < p->n_fd; i++)
		close(p->fd[i]);
	if (p->listen_fd >= 0)
		close(p->listen_fd);
	if (p->stop_fd >= 0)
		close(p->stop_fd);
	free(p);
}
