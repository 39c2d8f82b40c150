/* SPDX-License-Identifier: MIT */
#include "exec/worker.h"

#include "util/clock.h"

static void *worker_main(void *arg)
{
	struct kerf_worker *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct kerf_job *job;
		int status;

		while (!w->head && !w->stop)
			pthread_cond_wait(&w->wake, &w->lock);
		job = w->head;
		if (!job)
			break;
		w->head = job->next;
		if (!w->head)
			w->tail = &w->head;
		w->queued--;
		pthread_mutex_unlock(&w->lock);

		pthread_mutex_lock(&w->busy);
		kerf_job_start(job);
		status = w->run(job);
		job->end_ns = kerf_now_ns();
		pthread_mutex_unlock(&w->busy);
		job->busy_ns = job->end_ns - job->start_ns;
		kerf_job_done(job, status);

		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int kerf_worker_init(struct kerf_worker *w, uint32_t depth, int (*run)(struct kerf_job *job))
{
	int r;

	w->head = NULL;
	w->tail = &w->head;
	w->queued = 0;
	w->depth = depth;
	w->stop = false;
	w->run = run;
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->busy, NULL);
	pthread_cond_init(&w->wake, NULL);
	r = pthread_create(&w->thread, NULL, worker_main, w);
	if (r) {
		pthread_cond_destroy(&w->wake);
		pthread_mutex_destroy(&w->busy);
		pthread_mutex_destroy(&w->lock);
	}
	return -r;
}

void kerf_worker_finish(struct kerf_worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->busy);
	pthread_mutex_destroy(&w->lock);
}

int kerf_worker_submit(struct kerf_worker *w, struct kerf_job *job)
{
	int r = 0;

	job->next = NULL;
	pthread_mutex_lock(&w->lock);
	if (w->stop) {
		r = -ENODEV;
	} else if (w->depth && w->queued >= w->depth) {
		r = -EAGAIN;
	} else {
		*w->tail = job;
		w->tail = &job->next;
		w->queued++;
	}
	pthread_mutex_unlock(&w->lock);
	/* Not under the lock: the thread would wake only to wait for it. */
	if (!r)
		pthread_cond_signal(&w->wake);
	return r;
}

void kerf_worker_cancel(struct kerf_worker *w, struct kerf_job *job)
{
	struct kerf_job **p;
	bool found = false;

	pthread_mutex_lock(&w->lock);
	for (p = &w->head; *p && *p != job; p = &(*p)->next)
		;
	if (*p) {
		found = true;
		*p = job->next;
		if (!*p)
			w->tail = p;
		w->queued--;
	}
	pthread_mutex_unlock(&w->lock);
	if (!found)
		return;
	kerf_job_done(job, -ECANCELED);
}
