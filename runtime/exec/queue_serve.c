/* SPDX-License-Identifier: MIT */
#include "exec/queue_serve.h"

#include <kerf_server.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUCKETS 256u
#define RECORDS 16
#define TIMEOUT_MS 60000 /* of jobs that do not say: preparing a large slice takes its time */
#define MAX_ATTEMPTS 3
#define KEPT_MAPS 4096 /* of 65530 that a process may have */

_Static_assert(KERF_SERVE_WINDOWS == KERF_MAX_JOB_BOS, "every job fits");

/* A buffer, mapped whole; one entry for each permission it was given with. */
struct kerf_serve_map {
	struct kerf_serve_map *next;
	uint64_t bo_id;
	void *data;
	uint64_t size;
	bool writable, gone;
	uint32_t refs;
	struct kerf_serve_map *older, *newer; /* while nobody refers to it */
};

struct kerf_serve {
	struct kerf_serve_config cfg;
	int fd, stop_fd;
	pthread_t thread;
	const struct kerf_server_slot *slots;
	size_t table_size;
	struct kerf_serve_job job[KERF_SERVER_MAX_DEPTH]; /* by slot */

	pthread_mutex_t lock;
	pthread_cond_t idle;
	uint32_t in_flight;
	struct kerf_serve_map *map[BUCKETS];
	struct kerf_serve_map *oldest, *newest; /* those without a reference, by last use */
	uint32_t n_map;
};

/* --- Mappings --- */

static struct kerf_serve_map **bucket(struct kerf_serve *s, uint64_t bo_id)
{
	return &s->map[bo_id % BUCKETS];
}

/* Into and out of the list of those without a reference. Under s->lock. */
static void rest(struct kerf_serve *s, struct kerf_serve_map *m)
{
	m->older = s->newest;
	m->newer = NULL;
	*(m->older ? &m->older->newer : &s->oldest) = m;
	s->newest = m;
}

static void wake(struct kerf_serve *s, struct kerf_serve_map *m)
{
	*(m->older ? &m->older->newer : &s->oldest) = m->newer;
	*(m->newer ? &m->newer->older : &s->newest) = m->older;
}

/* One without a reference: unlinks and frees. Under s->lock. */
static void drop_map(struct kerf_serve *s, struct kerf_serve_map *m)
{
	struct kerf_serve_map **p;

	wake(s, m);
	for (p = bucket(s, m->bo_id); *p != m; p = &(*p)->next)
		;
	*p = m->next;
	s->n_map--;
	munmap(m->data, m->size);
	free(m);
}

static void put_map(struct kerf_serve *s, struct kerf_serve_map *m)
{
	pthread_mutex_lock(&s->lock);
	if (!--m->refs) {
		rest(s, m);
		if (m->gone)
			drop_map(s, m);
	}
	pthread_mutex_unlock(&s->lock);
}

static struct kerf_serve_map *find_map(struct kerf_serve *s, uint64_t bo_id, bool writable)
{
	struct kerf_serve_map *m;

	pthread_mutex_lock(&s->lock);
	for (m = *bucket(s, bo_id); m; m = m->next)
		if (m->bo_id == bo_id && m->writable == writable && !m->gone)
			break;
	if (m && !m->refs++)
		wake(s, m);
	pthread_mutex_unlock(&s->lock);
	return m;
}

static int make_map(struct kerf_serve *s, const struct kerf_serve_job *job, uint32_t window,
		    struct kerf_serve_map **out)
{
	const struct kerf_server_window *w = &s->slots[job->slot].window[window];
	struct kerf_server_get_bo get = {
		.slot = job->slot, .generation = job->generation, .window = window};
	struct kerf_serve_map *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m)
		return -ENOMEM;
	if (ioctl(s->fd, KERF_SERVER_IOCTL_GET_BO, &get)) {
		r = -errno;
		free(m);
		return r;
	}
	m->bo_id = w->bo_id;
	m->size = w->bo_size;
	m->writable = w->flags & KERF_BO_REF_WRITE;
	m->refs = 1;
	m->data = mmap(NULL, m->size, PROT_READ | (m->writable ? PROT_WRITE : 0), MAP_SHARED,
		       get.fd, 0);
	if (m->data == MAP_FAILED)
		r = -errno;
	close(get.fd);
	if (r) {
		free(m);
		return r;
	}
	pthread_mutex_lock(&s->lock);
	m->next = *bucket(s, m->bo_id);
	*bucket(s, m->bo_id) = m;
	if (++s->n_map > KEPT_MAPS && s->oldest)
		drop_map(s, s->oldest);
	pthread_mutex_unlock(&s->lock);
	*out = m;
	return 0;
}

static void bo_gone(struct kerf_serve *s, uint64_t bo_id)
{
	struct kerf_serve_map *m, *next;

	s->cfg.bo_gone(s->cfg.user, bo_id);
	pthread_mutex_lock(&s->lock);
	for (m = *bucket(s, bo_id); m; m = next) {
		next = m->next;
		if (m->bo_id != bo_id)
			continue;
		m->gone = true;
		if (!m->refs)
			drop_map(s, m);
	}
	pthread_mutex_unlock(&s->lock);
}

/* --- Jobs --- */

static void end_job(struct kerf_serve_job *job, uint32_t n_mapped, int status, uint64_t busy_ns)
{
	struct kerf_serve *s = job->serve;
	struct kerf_server_done done = {.slot = job->slot,
					.generation = job->generation,
					.status = status,
					.busy_ns = busy_ns};
	uint32_t i;

	for (i = 0; i < n_mapped; i++)
		put_map(s, job->map[i]);
	pthread_mutex_lock(&s->lock);
	/* The slot's next job may be read as soon as this is written: it is counted before. */
	if (!--s->in_flight)
		pthread_cond_signal(&s->idle);
	/* Refused only when the kernel has given this server up; the serving thread is told too. */
	if (write(s->fd, &done, sizeof(done)) < 0)
		done.status = -errno;
	pthread_mutex_unlock(&s->lock);
}

void kerf_serve_done(struct kerf_serve_job *job, int status, uint64_t busy_ns)
{
	end_job(job, job->n_window, status, busy_ns);
}

static void run_job(struct kerf_serve *s, const struct kerf_server_record *rec)
{
	const struct kerf_server_slot *slot = &s->slots[rec->slot];
	struct kerf_serve_job *job = &s->job[rec->slot];
	uint32_t i;
	int r = 0;

	*job = (struct kerf_serve_job){.serve = s,
				       .client_id = slot->client_id,
				       .cmd = slot->cmd,
				       .cmd_size = slot->cmd_size,
				       .n_window = slot->n_windows,
				       .slot = rec->slot,
				       .generation = rec->generation};
	pthread_mutex_lock(&s->lock);
	s->in_flight++;
	pthread_mutex_unlock(&s->lock);
	for (i = 0; i < job->n_window; i++) {
		const struct kerf_server_window *w = &slot->window[i];
		bool writable = w->flags & KERF_BO_REF_WRITE;

		job->map[i] = find_map(s, w->bo_id, writable);
		if (!job->map[i])
			r = make_map(s, job, i, &job->map[i]);
		if (r)
			break;
		job->window[i] = (struct kerf_serve_window){
			.bo_id = w->bo_id,
			.data = (char *)job->map[i]->data + w->offset,
			.size = w->size,
			.writable = writable,
		};
	}
	if (r)
		end_job(job, i, -EIO, 0);
	else
		s->cfg.run(s->cfg.user, job);
}

static void *serve_main(void *arg)
{
	struct kerf_serve *s = arg;
	struct pollfd p[2] = {{s->stop_fd, POLLIN, 0}, {s->fd, POLLIN, 0}};
	struct kerf_server_record rec[RECORDS];
	ssize_t n, i;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			return NULL;
		n = read(s->fd, rec, sizeof(rec));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			break;
		for (i = 0; i < n / (ssize_t)sizeof(rec[0]); i++) {
			if (rec[i].event == KERF_SERVER_RUN)
				run_job(s, &rec[i]);
			else if (rec[i].event == KERF_SERVER_CANCEL &&
				 rec[i].generation == s->job[rec[i].slot].generation)
				s->cfg.cancel(s->cfg.user, rec[i].slot);
			else if (rec[i].event == KERF_SERVER_BO_GONE)
				bo_gone(s, rec[i].bo_id);
		}
	}
	s->cfg.lost(s->cfg.user);
	return NULL;
}

/* --- Life --- */

static int register_server(struct kerf_serve *s, struct kerf_err *err)
{
	struct kerf_server_register reg = {
		.caps = s->cfg.caps,
		.depth = s->cfg.depth,
		.recovery = s->cfg.grace_ms ? KERF_SERVER_WAIT : KERF_SERVER_FAIL,
		.grace_ms = s->cfg.grace_ms,
		.timeout_ms = TIMEOUT_MS,
		.max_attempts = MAX_ATTEMPTS,
	};
	const char *name = s->cfg.name;
	int r;

	if (snprintf(reg.name, sizeof(reg.name), "%s", name) >= (int)sizeof(reg.name))
		return kerf_fail(err, -EINVAL, "engine name '%s': at most %zu characters", name,
				 sizeof(reg.name) - 1);
	s->fd = open(KERF_SERVER_NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0) {
		r = -errno;
		return kerf_fail(err, r, "%s: %s%s", KERF_SERVER_NODE, strerror(-r),
				 r == -ENOENT	? " (is the kernel module kerf loaded?)"
				 : r == -EACCES ? " (it is root's and the group kerf's)"
						: "");
	}
	if (!ioctl(s->fd, KERF_SERVER_IOCTL_REGISTER, &reg)) {
		s->table_size = reg.table_size;
		return 0;
	}
	r = -errno;
	switch (r) {
	case -EEXIST:
		return kerf_fail(err, r, "engine '%s' has a server, or is not one of servers", name);
	case -EPERM:
		return kerf_fail(err, r, "engine '%s' waits for a server of another user", name);
	case -EINVAL:
		return kerf_fail(err, r,
				 "engine '%s': expected a name of a-z 0-9 . _ : - and, if it waits for "
				 "a server, the depth it had",
				 name);
	default:
		return kerf_fail(err, r, "engine '%s': %s", name, strerror(-r));
	}
}

static void free_serve(struct kerf_serve *s)
{
	uint32_t i;

	for (i = 0; i < BUCKETS; i++)
		while (s->map[i])
			drop_map(s, s->map[i]);
	if (s->slots)
		munmap((void *)s->slots, s->table_size);
	if (s->fd >= 0)
		close(s->fd);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int kerf_serve_open(const struct kerf_serve_config *cfg, struct kerf_serve **out,
		    struct kerf_err *err)
{
	struct kerf_serve *s = calloc(1, sizeof(*s));
	void *table;
	int r;

	if (!s)
		return -ENOMEM;
	s->cfg = *cfg;
	s->fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = s->stop_fd < 0 ? -errno : register_server(s, err);
	if (r)
		goto fail;
	table = mmap(NULL, s->table_size, PROT_READ, MAP_SHARED, s->fd, 0);
	if (table == MAP_FAILED) {
		r = -errno;
		goto fail;
	}
	s->slots = table;
	r = -pthread_create(&s->thread, NULL, serve_main, s);
	if (r)
		goto fail;
	*out = s;
	return 0;
fail:
	free_serve(s);
	return kerf_fail(err, r, "cannot serve '%s': %s", cfg->name, strerror(-r));
}

void kerf_serve_close(struct kerf_serve *s)
{
	uint64_t one = 1;

	if (!s)
		return;
	/* A counter at 0 takes it. */
	while (write(s->stop_fd, &one, sizeof(one)) < 0)
		;
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	while (s->in_flight)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	free_serve(s);
}
