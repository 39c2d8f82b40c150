// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues as a client sees them: making, ending, waiting. Who runs next is in kerf_sched.c.
 *
 * A queue is in its client's table until it is destroyed; its jobs hold it beyond that. Ids are the
 * smallest free number, so they are reused, as file descriptors are.
 */
#include <linux/capability.h>
#include <linux/slab.h>

#include "kerf_drv.h"

struct kerf_queue *kerf_queue_find(struct kerf_client *client, u32 id)
{
	struct kerf_queue *q;

	xa_lock(&client->queues);
	q = xa_load(&client->queues, id);
	if (q)
		kref_get(&q->ref);
	xa_unlock(&client->queues);
	return q;
}

void kerf_queue_get(struct kerf_queue *q)
{
	kref_get(&q->ref);
}

static void kerf_queue_release(struct kref *ref)
{
	struct kerf_queue *q = container_of(ref, struct kerf_queue, ref);

	kerf_sched_queue_fini(q);
	if (q->eventfd)
		eventfd_ctx_put(q->eventfd);
	kerf_engine_put(q->engine);
	kerf_client_put(q->client);
	kfree(q);
}

void kerf_queue_put(struct kerf_queue *q)
{
	kref_put(&q->ref, kerf_queue_release);
}

int kerf_queue_status(const struct kerf_queue *q, u64 seqno)
{
	if (!q->error_seqno || seqno < q->error_seqno)
		return 0;
	return seqno == q->error_seqno ? q->first_error : q->later_error;
}

int kerf_queue_create_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct kerf_device *kdev = to_kerf_device(dev);
	struct kerf_client *client = file->driver_priv;
	struct drm_kerf_queue_create *args = data;
	struct kerf_engine *engine;
	struct kerf_queue *q;
	int ret;

	if (args->flags || args->pad || args->priority > KERF_PRIORITY_HIGH || !args->depth ||
	    args->depth > KERF_MAX_QUEUE_DEPTH)
		return -EINVAL;
	if (args->priority == KERF_PRIORITY_HIGH && !capable(CAP_SYS_NICE))
		return -EACCES;
	engine = args->engine < KERF_MAX_ENGINES ? kerf_engine_get(kdev, args->engine) : NULL;
	if (!engine)
		return -ENOENT;
	if (READ_ONCE(engine->state) == KERF_ENGINE_DEAD) {
		ret = -EIO;
		goto put_engine;
	}

	q = kzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT);
	if (!q) {
		ret = -ENOMEM;
		goto put_engine;
	}
	kref_init(&q->ref);
	init_waitqueue_head(&q->wq);
	kerf_client_get(client);
	q->client = client;
	q->engine = engine;
	q->priority = args->priority;
	q->depth = args->depth;
	ret = kerf_sched_queue_init(q);
	if (ret)
		goto free;

	/* From here on another thread may find it, and destroy it. */
	kerf_queue_get(q);
	ret = xa_alloc(&client->queues, &q->id, q, XA_LIMIT(1, KERF_MAX_QUEUES), GFP_KERNEL);
	if (ret)
		kerf_queue_put(q);
	else
		args->queue_id = q->id;
	kerf_queue_put(q);
	return ret == -EBUSY ? -ENOSPC : ret;

free:
	kerf_client_put(client);
	kfree(q);
put_engine:
	kerf_engine_put(engine);
	return ret;
}

static int kerf_queue_close(struct kerf_client *client, u32 id)
{
	struct kerf_queue *q = xa_erase(&client->queues, id);

	if (!q)
		return -ENOENT;
	kerf_sched_queue_kill(q);
	kerf_queue_put(q);
	return 0;
}

void kerf_queue_close_all(struct kerf_client *client)
{
	struct kerf_queue *q;
	unsigned long id;

	xa_for_each(&client->queues, id, q)
		kerf_queue_close(client, id);
}

int kerf_queue_destroy_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct drm_kerf_queue_destroy *args = data;

	if (args->pad)
		return -EINVAL;
	return kerf_queue_close(file->driver_priv, args->queue_id);
}

static bool kerf_queue_reached(struct kerf_queue *q, u64 seqno)
{
	unsigned long flags;
	bool reached;

	spin_lock_irqsave(&q->client->kdev->lock, flags);
	reached = q->done_seqno >= seqno || q->destroyed;
	spin_unlock_irqrestore(&q->client->kdev->lock, flags);
	return reached;
}

int kerf_queue_wait_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct kerf_device *kdev = to_kerf_device(dev);
	struct drm_kerf_queue_wait *args = data;
	struct kerf_queue *q;
	int ret = 0;

	if (args->flags || args->pad)
		return -EINVAL;
	q = kerf_queue_find(file->driver_priv, args->queue_id);
	if (!q)
		return -ENOENT;

	spin_lock_irq(&kdev->lock);
	if (!args->seqno || args->seqno > q->last_seqno)
		ret = -EINVAL;
	spin_unlock_irq(&kdev->lock);
	if (!ret)
		ret = kerf_wait_until(q->wq, kerf_queue_reached(q, args->seqno), args->timeout_ns);
	if (ret)
		goto put;

	spin_lock_irq(&kdev->lock);
	if (q->destroyed)
		ret = -ENOENT;
	else
		args->status = kerf_queue_status(q, args->seqno);
	spin_unlock_irq(&kdev->lock);
put:
	if (drm_dev_is_unplugged(dev))
		ret = -ENODEV;
	kerf_queue_put(q);
	return ret;
}

int kerf_queue_state_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct kerf_device *kdev = to_kerf_device(dev);
	struct drm_kerf_queue_state *args = data;
	struct kerf_queue *q = kerf_queue_find(file->driver_priv, args->queue_id);

	if (!q)
		return -ENOENT;
	spin_lock_irq(&kdev->lock);
	args->first_error = q->first_error;
	args->done_seqno = q->done_seqno;
	args->error_seqno = q->error_seqno;
	args->last_seqno = q->last_seqno;
	args->busy_ns = q->busy_ns;
	spin_unlock_irq(&kdev->lock);
	kerf_queue_put(q);
	return 0;
}

int kerf_queue_eventfd_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct kerf_device *kdev = to_kerf_device(dev);
	struct drm_kerf_queue_eventfd *args = data;
	struct eventfd_ctx *ctx = NULL;
	struct kerf_queue *q;

	if (args->flags || args->pad)
		return -EINVAL;
	q = kerf_queue_find(file->driver_priv, args->queue_id);
	if (!q)
		return -ENOENT;
	if (args->fd != -1) {
		ctx = eventfd_ctx_fdget(args->fd);
		if (IS_ERR(ctx)) {
			kerf_queue_put(q);
			return PTR_ERR(ctx);
		}
	}
	spin_lock_irq(&kdev->lock);
	swap(q->eventfd, ctx);
	spin_unlock_irq(&kdev->lock);
	if (ctx)
		eventfd_ctx_put(ctx);
	kerf_queue_put(q);
	return 0;
}
