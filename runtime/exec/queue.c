/* SPDX-License-Identifier: MIT */
#include "exec/queue.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xf86drm.h>

struct kerf_queue_dev {
	int fd, wake_fd;
	char path[64];
	pthread_t thread;
	pthread_mutex_t lock;
	struct kerf_queue_event *events; /* of jobs in flight */
	struct kerf_queue_work *work, **work_tail;
	bool stop, gone;
};

/* Not drmIoctl(), which calls again on EAGAIN: that is SUBMIT's "no room". */
static int ioctl_of(struct kerf_queue_dev *d, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(d->fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* --- Nodes --- */

/* The node's driver as sysfs has it, for nodes that may not be opened. */
static bool sysfs_says_kerf(const char *class, const char *name)
{
	char path[128], target[256];
	const char *last;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/%s/%.64s/device/driver", class, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	last = strrchr(target, '/');
	return !strncmp(last ? last + 1 : target, KERF_ACCEL_NAME, strlen(KERF_ACCEL_NAME));
}

static bool is_kerf(int fd)
{
	drmVersionPtr v = drmGetVersion(fd);
	bool kerf = v && !strcmp(v->name, KERF_ACCEL_NAME);

	drmFreeVersion(v);
	return kerf;
}

static int by_number(const void *a, const void *b)
{
	const struct kerf_queue_node *x = a, *y = b;
	size_t n = strlen(x->path), m = strlen(y->path);

	return n != m ? (n > m) - (n < m) : strcmp(x->path, y->path);
}

static uint32_t nodes_in(const char *dir, const char *prefix, const char *class,
			 struct kerf_queue_node *list, uint32_t max)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	uint32_t n = 0;

	while (d && n < max && (entry = readdir(d))) {
		struct kerf_queue_node *node = &list[n];
		int fd;

		if (strncmp(entry->d_name, prefix, strlen(prefix)) ||
		    snprintf(node->path, sizeof(node->path), "%s/%s", dir, entry->d_name) >=
			    (int)sizeof(node->path))
			continue;
		fd = open(node->path, O_RDWR | O_CLOEXEC);
		node->status = fd < 0 ? -errno : 0;
		n += fd < 0 ? sysfs_says_kerf(class, entry->d_name) : is_kerf(fd);
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
	qsort(list, n, sizeof(*list), by_number);
	return n;
}

uint32_t kerf_queue_nodes(struct kerf_queue_node list[KERF_QUEUE_NODES])
{
	uint32_t n = nodes_in("/dev/accel", "accel", "accel", list, KERF_QUEUE_NODES);

	return n + nodes_in("/dev/dri", "renderD", "drm", list + n, KERF_QUEUE_NODES - n);
}

const char *kerf_queue_why_none(const struct kerf_queue_node *list, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (list[i].status == -EACCES || list[i].status == -EPERM)
			return "no permission to open the device node (join the group it belongs "
			       "to)";
	if (n)
		return "the device node cannot be opened";
	return access("/sys/module/kerf", F_OK) ? "the kernel module kerf is not loaded"
						: "the kernel module kerf has found no device";
}

int kerf_queue_open_engine(uint32_t engine_class, const char *name, uint32_t number,
			   struct kerf_queue_dev **out, uint32_t *index, struct kerf_err *err)
{
	struct kerf_queue_node node[KERF_QUEUE_NODES];
	uint32_t n = kerf_queue_nodes(node), i, k, seen = 0, usable = 0;

	for (i = 0; i < n; i++) {
		struct drm_kerf_device_info device;
		struct kerf_queue_dev *d;

		if (node[i].status || kerf_queue_open(node[i].path, &d, NULL))
			continue;
		usable++;
		if (kerf_queue_device_info(d, &device))
			device.n_engines = 0;
		for (k = 0; k < device.n_engines; k++) {
			struct drm_kerf_engine_info e;

			if (kerf_queue_engine_info(d, k, &e) || e.engine_class != engine_class ||
			    (name && strncmp(e.name, name, sizeof(e.name))) || seen++ != number)
				continue;
			*out = d;
			*index = k;
			return 0;
		}
		kerf_queue_close(d);
	}
	if (!usable)
		return kerf_fail(err, n ? node[0].status : -ENOENT, "%s",
				 kerf_queue_why_none(node, n));
	return kerf_fail(err, -ENOENT, "the kernel's queues have %u such engine%s", seen,
			 seen == 1 ? "" : "s");
}

/* --- The device's thread --- */

/* Takes the event out of the list: false if it is not there. Lock held. */
static bool take_event(struct kerf_queue_event *e)
{
	if (!e->link)
		return false;
	*e->link = e->next;
	if (e->next)
		e->next->link = e->link;
	e->link = NULL;
	return true;
}

static void end_event(struct kerf_queue_dev *d, struct kerf_queue_event *e, uint64_t seqno,
		      int status)
{
	bool there;

	pthread_mutex_lock(&d->lock);
	there = take_event(e);
	pthread_mutex_unlock(&d->lock);
	if (there)
		e->done(e, seqno, status);
}

/* False when the node is of no more use. */
static bool read_events(struct kerf_queue_dev *d)
{
	uint64_t buf[512]; /* aligned for an event; read() gives whole ones */
	ssize_t n = read(d->fd, buf, sizeof(buf)), at = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	while (at + (ssize_t)sizeof(struct drm_event) <= n) {
		const struct drm_kerf_event *e = (const void *)((const char *)buf + at);

		if (e->base.length < sizeof(struct drm_event))
			return false;
		if (e->base.type == KERF_EVENT_JOB_DONE && e->base.length >= sizeof(*e))
			end_event(d, (struct kerf_queue_event *)(uintptr_t)e->cookie, e->seqno,
				  e->status);
		at += e->base.length;
	}
	return true;
}

static void fail_events(struct kerf_queue_dev *d)
{
	for (;;) {
		struct kerf_queue_event *e;

		pthread_mutex_lock(&d->lock);
		e = d->events;
		if (e)
			take_event(e);
		pthread_mutex_unlock(&d->lock);
		if (!e)
			return;
		e->done(e, 0, -ENODEV);
	}
}

static void run_work(struct kerf_queue_dev *d)
{
	struct kerf_queue_work *w, *next;

	pthread_mutex_lock(&d->lock);
	w = d->work;
	d->work = NULL;
	d->work_tail = &d->work;
	pthread_mutex_unlock(&d->lock);
	for (; w; w = next) {
		next = w->next;
		w->run(w);
	}
}

static void *device_main(void *arg)
{
	struct kerf_queue_dev *d = arg;
	struct pollfd p[2] = {{d->wake_fd, POLLIN, 0}, {d->fd, POLLIN, 0}};
	bool stop = false;

	while (!stop) {
		uint64_t count;

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents && read(d->wake_fd, &count, sizeof(count)) < 0)
			count = 0; /* somebody's wake-up that an earlier round served */
		if (p[1].revents && (p[1].revents & ~POLLIN || !read_events(d))) {
			p[1].fd = -1;
			pthread_mutex_lock(&d->lock);
			d->gone = true;
			pthread_mutex_unlock(&d->lock);
			fail_events(d);
		}
		run_work(d);
		pthread_mutex_lock(&d->lock);
		stop = d->stop && !d->work;
		pthread_mutex_unlock(&d->lock);
	}
	return NULL;
}

static void wake(struct kerf_queue_dev *d)
{
	uint64_t one = 1;

	/* Full only if 2^64 wake-ups wait already. */
	if (write(d->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void kerf_queue_post(struct kerf_queue_dev *d, struct kerf_queue_work *w)
{
	w->next = NULL;
	pthread_mutex_lock(&d->lock);
	*d->work_tail = w;
	d->work_tail = &w->next;
	pthread_mutex_unlock(&d->lock);
	wake(d);
}

/* --- Device --- */

int kerf_queue_open(const char *path, struct kerf_queue_dev **out, struct kerf_err *err)
{
	struct kerf_queue_dev *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	snprintf(d->path, sizeof(d->path), "%s", path);
	d->work_tail = &d->work;
	d->wake_fd = -1;
	d->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (d->fd < 0) {
		r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
		goto fail;
	}
	if (!is_kerf(d->fd)) {
		r = kerf_fail(err, -ENODEV, "%s: not a device node of kerf's", path);
		goto fail;
	}
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake_fd < 0) {
		r = -errno;
		goto fail;
	}
	pthread_mutex_init(&d->lock, NULL);
	r = -pthread_create(&d->thread, NULL, device_main, d);
	if (!r) {
		*out = d;
		return 0;
	}
	pthread_mutex_destroy(&d->lock);
fail:
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
	return kerf_fail(err, r, "%s: %s", path, strerror(-r));
}

void kerf_queue_close(struct kerf_queue_dev *d)
{
	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_mutex_unlock(&d->lock);
	wake(d);
	pthread_join(d->thread, NULL);
	pthread_mutex_destroy(&d->lock);
	close(d->wake_fd);
	close(d->fd);
	free(d);
}

const char *kerf_queue_path(const struct kerf_queue_dev *d)
{
	return d->path;
}

uint32_t kerf_queue_minor(const struct kerf_queue_dev *d)
{
	struct stat st;

	return fstat(d->fd, &st) ? 0 : minor(st.st_rdev);
}

static int query(struct kerf_queue_dev *d, uint32_t type, uint32_t index, void *info, size_t size)
{
	struct drm_kerf_dev_query q = {
		.type = type,
		.index = index,
		.size = (uint32_t)size,
		.pointer = (uintptr_t)info,
	};

	memset(info, 0, size);
	return ioctl_of(d, DRM_IOCTL_KERF_DEV_QUERY, &q);
}

int kerf_queue_device_info(struct kerf_queue_dev *d, struct drm_kerf_device_info *info)
{
	return query(d, KERF_QUERY_DEVICE, 0, info, sizeof(*info));
}

int kerf_queue_engine_info(struct kerf_queue_dev *d, uint32_t index,
			   struct drm_kerf_engine_info *info)
{
	int r = query(d, KERF_QUERY_ENGINE, index, info, sizeof(*info));

	info->name[sizeof(info->name) - 1] = 0;
	return r;
}

/* --- Buffers --- */

int kerf_bo_create(struct kerf_queue_dev *d, uint64_t size, uint32_t flags, struct kerf_bo *bo)
{
	struct drm_kerf_bo_create c = {.size = size, .flags = flags};
	int r = ioctl_of(d, DRM_IOCTL_KERF_BO_CREATE, &c);

	*bo = (struct kerf_bo){.dev = r ? NULL : d, .handle = c.handle, .size = c.size};
	return r;
}

int kerf_bo_import(struct kerf_queue_dev *d, int fd, struct kerf_bo *bo)
{
	struct drm_kerf_bo_info info = {.handle = 0};
	int r = drmPrimeFDToHandle(d->fd, fd, &info.handle) ? -errno : 0;

	*bo = (struct kerf_bo){.dev = NULL};
	if (r)
		return r;
	r = ioctl_of(d, DRM_IOCTL_KERF_BO_INFO, &info);
	if (r)
		drmCloseBufferHandle(d->fd, info.handle);
	else
		*bo = (struct kerf_bo){.dev = d, .handle = info.handle, .size = info.size};
	return r;
}

int kerf_bo_export(const struct kerf_bo *bo, int *fd)
{
	return drmPrimeHandleToFD(bo->dev->fd, bo->handle, DRM_CLOEXEC | DRM_RDWR, fd) ? -errno : 0;
}

int kerf_bo_map(struct kerf_bo *bo)
{
	struct drm_kerf_bo_info info = {.handle = bo->handle};
	void *p;
	int r;

	if (bo->map)
		return 0;
	r = ioctl_of(bo->dev, DRM_IOCTL_KERF_BO_INFO, &info);
	if (r)
		return r;
	p = mmap(NULL, bo->size, PROT_READ | PROT_WRITE, MAP_SHARED, bo->dev->fd,
		 (off_t)info.mmap_offset);
	if (p == MAP_FAILED)
		return -errno;
	bo->map = p;
	return 0;
}

int kerf_bo_sync(const struct kerf_bo *bo, uint32_t flags, uint64_t offset, uint64_t size)
{
#if defined(__x86_64__) || defined(__i386__)
	return 0;
#else
	struct drm_kerf_bo_sync s = {
		.handle = bo->handle, .flags = flags, .offset = offset, .size = size};

	return size ? ioctl_of(bo->dev, DRM_IOCTL_KERF_BO_SYNC, &s) : 0;
#endif
}

void kerf_bo_finish(struct kerf_bo *bo)
{
	if (!bo->dev)
		return;
	if (bo->map)
		munmap(bo->map, bo->size);
	drmCloseBufferHandle(bo->dev->fd, bo->handle);
	memset(bo, 0, sizeof(*bo));
}

/* --- Queues --- */

int kerf_queue_create(struct kerf_queue_dev *d, uint32_t engine, uint32_t priority, uint32_t depth,
		      struct kerf_queue *q)
{
	struct drm_kerf_queue_create c = {.engine = engine, .priority = priority, .depth = depth};
	int r = ioctl_of(d, DRM_IOCTL_KERF_QUEUE_CREATE, &c);

	*q = (struct kerf_queue){.dev = r ? NULL : d, .id = c.queue_id, .engine = engine};
	return r;
}

void kerf_queue_destroy(struct kerf_queue *q)
{
	struct drm_kerf_queue_destroy c = {.queue_id = q->id};

	/* Fails only where there is no queue any more. */
	if (q->dev)
		ioctl_of(q->dev, DRM_IOCTL_KERF_QUEUE_DESTROY, &c);
	q->dev = NULL;
}

int kerf_queue_submit(struct kerf_queue *q, struct drm_kerf_job *jobs, uint32_t n,
		      struct kerf_queue_event *event, uint64_t *last_seqno)
{
	struct kerf_queue_dev *d = q->dev;
	struct drm_kerf_submit s = {
		.queue_id = q->id,
		.jobs = {sizeof(*jobs), n, (uintptr_t)jobs},
	};
	int r;

	/* It may come before the ioctl returns. */
	if (event) {
		jobs[n - 1].flags |= KERF_JOB_EVENT;
		jobs[n - 1].cookie = (uintptr_t)event;
		pthread_mutex_lock(&d->lock);
		if (d->gone) {
			pthread_mutex_unlock(&d->lock);
			return -ENODEV;
		}
		event->next = d->events;
		event->link = &d->events;
		if (event->next)
			event->next->link = &event->next;
		d->events = event;
		pthread_mutex_unlock(&d->lock);
	}
	r = ioctl_of(d, DRM_IOCTL_KERF_SUBMIT, &s);
	if (r && event) {
		bool there;

		pthread_mutex_lock(&d->lock);
		there = take_event(event);
		pthread_mutex_unlock(&d->lock);
		/* The device's thread found it gone meanwhile, and told. */
		if (!there)
			return 0;
	}
	if (!r && last_seqno)
		*last_seqno = s.last_seqno;
	return r;
}

int kerf_queue_wait(const struct kerf_queue *q, uint64_t seqno, int64_t timeout_ns, int *status)
{
	struct drm_kerf_queue_wait w = {
		.queue_id = q->id, .seqno = seqno, .timeout_ns = timeout_ns};
	int r = ioctl_of(q->dev, DRM_IOCTL_KERF_QUEUE_WAIT, &w);

	*status = w.status;
	return r;
}

int kerf_queue_state(const struct kerf_queue *q, struct drm_kerf_queue_state *state)
{
	*state = (struct drm_kerf_queue_state){.queue_id = q->id};
	return ioctl_of(q->dev, DRM_IOCTL_KERF_QUEUE_STATE, state);
}

int kerf_queue_job_status(int status)
{
	switch (status) {
	case 0: return 0;
	case -ECANCELED:
	case -ENOMEM:
	case -EINVAL: return status;
	case -ETIME: return -ETIMEDOUT;
	default: return -EIO;
	}
}
