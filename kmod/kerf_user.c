// SPDX-License-Identifier: GPL-2.0-only
/*
 * Engines whose server is a process: /dev/kerf-server (uapi/kerf_server.h).
 *
 * run() only marks a slot and wakes the server. What the job consists of is copied into the slot
 * table when the server reads, in its own time, so starting a job costs the scheduler nothing and
 * its locks are not held for 64 KiB of commands. For a running job's memory to last as long as that
 * copy takes, the reader holds jobs_mutex and the core, which lets go of a job only after
 * unprepare(), passes through it.
 *
 * A slot is, seen from here: idle; in @run (started, not read yet); in @taken (the server has it).
 * A job that is taken from the server (timeout) leaves its slot in @taken and @held until the
 * server answers.
 */
#include <linux/bitops.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "kerf_user.h"

#define KERF_USER_RECORDS 16 /* of one read() */

/**
 * struct kerf_server - an open file of /dev/kerf-server
 * @ue: what it serves, held with its device; set once, by REGISTER
 * @table: slot table
 * @table_size: its bytes
 * @wq: woken when there is something to read
 * @bos: BOs it was given
 * @given_up: it no longer serves; under kdev->lock, as what follows
 * @run: slots whose job it has not read
 * @taken: slots whose job it has read and not answered
 * @cancel: slots in @run or @taken that it is to be told CANCEL of
 * @held: slots in @taken whose job is no longer running
 * @generation: of the job in each slot
 * @stuck_work: gives it up if it still holds all slots
 */
struct kerf_server {
	struct kerf_user_engine *ue;
	struct kerf_server_slot *table;
	size_t table_size;
	wait_queue_head_t wq;
	struct kerf_user_bos bos;
	bool given_up;
	u64 run;
	u64 taken;
	u64 cancel;
	u64 held;
	u32 generation[KERF_SERVER_MAX_DEPTH];
	struct delayed_work stuck_work;
};

/* The device that carries the engines (NULL: none any more), and the engines. */
static DEFINE_MUTEX(kerf_user_mutex);
static struct kerf_device *kerf_user_kdev;
static LIST_HEAD(kerf_user_engines);
static struct workqueue_struct *kerf_user_wq; /* of their delayed work, which is code of this module */

static struct kerf_user_engine *to_user_engine(struct kerf_engine *engine)
{
	return container_of(engine, struct kerf_user_engine, base);
}

/* NULL before REGISTER; else it stays. */
static struct kerf_user_engine *kerf_server_engine(struct kerf_server *server)
{
	/* What REGISTER set up before is seen too. */
	return smp_load_acquire(&server->ue);
}

/* --- The engine --- */

static int kerf_user_validate(struct kerf_engine *engine, struct kerf_job *job)
{
	return 0; /* The commands are the server's own. */
}

static int kerf_user_prepare(struct kerf_engine *engine, struct kerf_job *job)
{
	return 0;
}

static void kerf_user_unprepare(struct kerf_engine *engine, struct kerf_job *job)
{
	struct kerf_user_engine *ue = to_user_engine(engine);

	/* Who found the job in its slot, where it no longer is, is through with it now. */
	mutex_lock(&ue->jobs_mutex);
	mutex_unlock(&ue->jobs_mutex);
}

static enum kerf_run_result kerf_user_run(struct kerf_engine *engine, struct kerf_job *job,
					  u32 generation)
{
	struct kerf_server *server = to_user_engine(engine)->server;

	server->generation[job->slot] = generation;
	server->run |= BIT_ULL(job->slot);
	wake_up_interruptible_poll(&server->wq, EPOLLIN);
	return KERF_RUN_STARTED;
}

/*
 * The core stops nobody here: the job ends for its client, and its slot stays with the server, or
 * is free if the server never saw it.
 */
static bool kerf_user_progress(struct kerf_engine *engine, u32 slot)
{
	struct kerf_device *kdev = engine->kdev;
	u64 bit = BIT_ULL(slot);
	struct kerf_server *server;
	bool expired = false;
	u32 generation = 0;

	spin_lock_irq(&kdev->lock);
	server = to_user_engine(engine)->server;
	if (!server || !engine->slots[slot].job ||
	    time_before(jiffies, engine->slots[slot].deadline)) {
		/* It has ended meanwhile, or is about to go to a successor. */
	} else if (server->run & bit) {
		server->run &= ~bit;
		server->cancel &= ~bit;
		expired = true;
	} else if (server->taken & bit) {
		server->held |= bit;
		server->cancel |= bit;
		engine->slots[slot].held = true;
		wake_up_interruptible_poll(&server->wq, EPOLLIN);
		if (hweight64(server->held) == engine->depth)
			mod_delayed_work(kerf_user_wq, &server->stuck_work,
					 msecs_to_jiffies(KERF_SERVER_STUCK_MS));
		expired = true;
	}
	if (expired)
		generation = engine->slots[slot].generation;
	spin_unlock_irq(&kdev->lock);
	if (expired)
		kerf_engine_done(engine, slot, generation, -ETIME, 0);
	return true;
}

static void kerf_user_stop(struct kerf_engine *engine)
{
	struct kerf_server *server;

	spin_lock_irq(&engine->kdev->lock);
	server = to_user_engine(engine)->server;
	if (server)
		server->run = 0;
	spin_unlock_irq(&engine->kdev->lock);
}

static int kerf_user_reset(struct kerf_engine *engine)
{
	return 0;
}

static void kerf_user_abandon(struct kerf_engine *engine, u32 slot)
{
	struct kerf_server *server = to_user_engine(engine)->server;

	if (!server || !((server->run | server->taken) & BIT_ULL(slot)))
		return;
	server->cancel |= BIT_ULL(slot);
	wake_up_interruptible_poll(&server->wq, EPOLLIN);
}

static void kerf_user_release(struct kerf_engine *engine)
{
	struct kerf_user_engine *ue = to_user_engine(engine);

	mutex_destroy(&ue->jobs_mutex);
	kfree(ue);
}

static const struct kerf_engine_ops kerf_user_ops = {
	.validate = kerf_user_validate,
	.prepare = kerf_user_prepare,
	.run = kerf_user_run,
	.progress = kerf_user_progress,
	.stop = kerf_user_stop,
	.reset = kerf_user_reset,
	.unprepare = kerf_user_unprepare,
	.abandon = kerf_user_abandon,
	.release = kerf_user_release,
};

/* --- The end of engines and servers, under kerf_user_mutex --- */

static void kerf_user_remove(struct kerf_user_engine *ue, int error)
{
	list_del_init(&ue->link);
	if (cancel_delayed_work(&ue->grace_work))
		kerf_engine_put(&ue->base);
	kerf_engine_remove(&ue->base, error);
}

static void kerf_user_grace_work(struct work_struct *work)
{
	struct kerf_user_engine *ue =
		container_of(to_delayed_work(work), struct kerf_user_engine, grace_work);

	mutex_lock(&kerf_user_mutex);
	/* A successor may have come, and died, while this waited for the mutex. */
	if (!list_empty(&ue->link) && !ue->server && time_after_eq(jiffies, ue->grace_end))
		kerf_user_remove(ue, -EOWNERDEAD);
	mutex_unlock(&kerf_user_mutex);
	kerf_engine_put(&ue->base);
}

/* The server serves no more. Its engine goes with @error, or waits for a successor if that is 0. */
static void kerf_server_detach(struct kerf_server *server, int error)
{
	struct kerf_user_engine *ue = server->ue;
	struct kerf_device *kdev = ue->base.kdev;
	u32 i;

	if (server->given_up)
		return;
	kerf_engine_pause(&ue->base, KERF_ENGINE_WAITING);
	spin_lock_irq(&kdev->lock);
	ue->server = NULL;
	server->given_up = true;
	/*
	 * The slots are a successor's from now on: nothing that still runs in a call of this one
	 * may touch them.
	 */
	server->run = 0;
	server->taken = 0;
	server->cancel = 0;
	server->held = 0;
	for (i = 0; i < ue->base.depth; i++)
		ue->base.slots[i].held = false;
	spin_unlock_irq(&kdev->lock);
	wake_up_interruptible_poll(&server->wq, EPOLLHUP);
	cancel_delayed_work(&server->stuck_work);

	if (error) {
		kerf_user_remove(ue, error);
		return;
	}
	kerf_engine_requeue_all(&ue->base, -EOWNERDEAD);
	ue->grace_end = jiffies + msecs_to_jiffies(ue->grace_ms);
	kref_get(&ue->base.ref);
	if (mod_delayed_work(kerf_user_wq, &ue->grace_work, msecs_to_jiffies(ue->grace_ms)))
		kerf_engine_put(&ue->base);
}

static int kerf_server_death(const struct kerf_server *server)
{
	return server->ue->recovery == KERF_SERVER_WAIT ? 0 : -EOWNERDEAD;
}

static void kerf_server_stuck_work(struct work_struct *work)
{
	struct kerf_server *server =
		container_of(to_delayed_work(work), struct kerf_server, stuck_work);
	struct kerf_engine *engine = &server->ue->base;
	bool stuck;

	mutex_lock(&kerf_user_mutex);
	spin_lock_irq(&engine->kdev->lock);
	stuck = hweight64(server->held) == engine->depth;
	spin_unlock_irq(&engine->kdev->lock);
	if (stuck)
		kerf_server_detach(server, kerf_server_death(server));
	mutex_unlock(&kerf_user_mutex);
}

/* --- REGISTER --- */

static int kerf_register_check(const struct kerf_server_register *reg)
{
	size_t len = strnlen(reg->name, sizeof(reg->name));

	if (!len || len == sizeof(reg->name) || strspn(reg->name, "abcdefghijklmnopqrstuvwxyz0123456789._:-") != len ||
	    memchr_inv(reg->name + len, 0, sizeof(reg->name) - len))
		return -EINVAL;
	if (!reg->depth || reg->depth > KERF_SERVER_MAX_DEPTH || reg->flags)
		return -EINVAL;
	if (!reg->timeout_ms || reg->timeout_ms > KERF_MAX_TIMEOUT_MS)
		return -EINVAL;
	if (!reg->max_attempts || reg->max_attempts > KERF_SERVER_MAX_ATTEMPTS)
		return -EINVAL;
	switch (reg->recovery) {
	case KERF_SERVER_FAIL:
		return reg->grace_ms ? -EINVAL : 0;
	case KERF_SERVER_WAIT:
		return !reg->grace_ms || reg->grace_ms > KERF_SERVER_MAX_GRACE_MS ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static struct kerf_user_engine *kerf_user_find(const char *name)
{
	struct kerf_user_engine *ue;

	list_for_each_entry(ue, &kerf_user_engines, link)
		if (!strcmp(ue->base.name, name))
			return ue;
	return NULL;
}

static void kerf_user_take_policy(struct kerf_user_engine *ue,
				  const struct kerf_server_register *reg)
{
	ue->recovery = reg->recovery;
	ue->grace_ms = reg->grace_ms;
	ue->base.timeout_ms = reg->timeout_ms;
	ue->base.max_attempts = reg->max_attempts;
}

/* From here on jobs may run. */
static int kerf_user_create(struct kerf_server *server, const struct kerf_server_register *reg)
{
	struct kerf_user_engine *ue = kzalloc(sizeof(*ue), GFP_KERNEL);
	int ret;

	if (!ue)
		return -ENOMEM;
	ue->base.ops = &kerf_user_ops;
	ue->base.engine_class = KERF_ENGINE_USER;
	ue->base.depth = reg->depth;
	ue->base.caps = reg->caps;
	memcpy(ue->base.name, reg->name, sizeof(ue->base.name));
	mutex_init(&ue->jobs_mutex);
	ue->uid = current_euid();
	INIT_DELAYED_WORK(&ue->grace_work, kerf_user_grace_work);
	kerf_user_take_policy(ue, reg);
	ue->server = server;
	ret = kerf_engine_add(kerf_user_kdev, &ue->base);
	if (ret) {
		kerf_user_release(&ue->base);
		return ret;
	}
	kref_get(&ue->base.ref);
	list_add_tail(&ue->link, &kerf_user_engines);
	smp_store_release(&server->ue, ue); /* with table and engine, see kerf_server_engine() */
	return 0;
}

static int kerf_user_succeed(struct kerf_server *server, struct kerf_user_engine *ue,
			     const struct kerf_server_register *reg)
{
	struct kerf_device *kdev = ue->base.kdev;

	if (ue->server)
		return -EEXIST;
	if (!uid_eq(current_euid(), ue->uid) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (reg->depth != ue->base.depth || reg->caps != ue->base.caps)
		return -EINVAL;
	if (cancel_delayed_work(&ue->grace_work))
		kerf_engine_put(&ue->base);
	kref_get(&ue->base.ref);
	spin_lock_irq(&kdev->lock);
	kerf_user_take_policy(ue, reg);
	ue->server = server;
	spin_unlock_irq(&kdev->lock);
	smp_store_release(&server->ue, ue); /* with table and engine, see kerf_server_engine() */
	kerf_engine_resume(&ue->base);
	return 0;
}

static int kerf_register_ioctl(struct kerf_server *server, struct kerf_server_register __user *user)
{
	struct kerf_server_register reg;
	struct kerf_user_engine *ue;
	int ret;

	if (copy_from_user(&reg, user, sizeof(reg)))
		return -EFAULT;
	ret = kerf_register_check(&reg);
	if (ret)
		return ret;

	mutex_lock(&kerf_user_mutex);
	if (server->ue) {
		ret = -EBUSY;
		goto unlock;
	}
	if (!kerf_user_kdev) {
		ret = -ENODEV;
		goto unlock;
	}
	server->table_size = PAGE_ALIGN(reg.depth * sizeof(*server->table));
	server->table = vmalloc_user(server->table_size);
	if (!server->table) {
		ret = -ENOMEM;
		goto unlock;
	}
	ue = kerf_user_find(reg.name);
	if (ue) {
		reg.flags = KERF_SERVER_SUCCESSOR;
		ret = kerf_user_succeed(server, ue, &reg);
	} else {
		ret = kerf_user_create(server, &reg);
	}
	if (ret) {
		vfree(server->table);
		server->table = NULL;
		goto unlock;
	}
	drm_dev_get(&kerf_user_kdev->drm);
	reg.engine = server->ue->base.index;
	reg.minor = kerf_device_minor(kerf_user_kdev);
	reg.table_size = server->table_size;
unlock:
	mutex_unlock(&kerf_user_mutex);
	if (ret)
		return ret;
	/*
	 * Without the mutex: a page fault takes as long as a user likes, and other servers die
	 * meanwhile. Who gives memory that cannot be written is told so, and is the server of
	 * nothing any more.
	 */
	if (copy_to_user(user, &reg, sizeof(reg))) {
		mutex_lock(&kerf_user_mutex);
		kerf_server_detach(server, kerf_server_death(server));
		mutex_unlock(&kerf_user_mutex);
		ret = -EFAULT;
	}
	return ret;
}

/* --- read() --- */

/* The job in @slot, if it is still the one that was started there. Under kdev->lock. */
static struct kerf_job *kerf_server_job(struct kerf_server *server, u32 slot)
{
	struct kerf_slot *s = &server->ue->base.slots[slot];

	return s->generation == server->generation[slot] ? s->job : NULL;
}

static void kerf_server_fill(struct kerf_server_slot *entry, const struct kerf_job *job,
			     u32 generation)
{
	u32 i;

	entry->generation = generation;
	entry->attempt = job->attempts;
	entry->client_id = job->queue->client->id;
	entry->seqno = job->seqno;
	entry->cookie = job->cookie;
	entry->queue_id = job->queue->id;
	entry->timeout_ms = job->timeout_ms;
	entry->cmd_size = job->cmd_size;
	entry->n_windows = job->n_bos;
	for (i = 0; i < job->n_bos; i++) {
		const struct kerf_job_bo *bo = &job->bos[i];

		entry->window[i] = (struct kerf_server_window){
			.bo_id = to_kerf_bo(bo->obj)->id,
			.bo_size = bo->obj->size,
			.offset = bo->offset,
			.size = bo->size,
			.flags = bo->flags,
		};
	}
	memcpy(entry->cmd, job->cmd, job->cmd_size);
}

/* One job that was started; false if there is none. Under jobs_mutex. */
static bool kerf_server_take_run(struct kerf_server *server, struct kerf_server_record *rec)
{
	struct kerf_device *kdev = server->ue->base.kdev;
	struct kerf_job *job = NULL;
	u32 slot;

	spin_lock_irq(&kdev->lock);
	while (server->run && !job) {
		slot = __ffs64(server->run);
		server->run &= ~BIT_ULL(slot);
		job = kerf_server_job(server, slot);
	}
	if (job) {
		server->taken |= BIT_ULL(slot);
		*rec = (struct kerf_server_record){
			.event = KERF_SERVER_RUN,
			.slot = slot,
			.generation = server->generation[slot],
		};
	}
	spin_unlock_irq(&kdev->lock);
	if (job)
		kerf_server_fill(&server->table[rec->slot], job, rec->generation);
	return job;
}

/* One that is to be cancelled, of those that the server has; false if there is none. */
static bool kerf_server_take_cancel(struct kerf_server *server, struct kerf_server_record *rec)
{
	struct kerf_device *kdev = server->ue->base.kdev;
	u64 cancel;

	spin_lock_irq(&kdev->lock);
	cancel = server->cancel & server->taken;
	if (cancel) {
		u32 slot = __ffs64(cancel);

		server->cancel &= ~BIT_ULL(slot);
		*rec = (struct kerf_server_record){
			.event = KERF_SERVER_CANCEL,
			.slot = slot,
			.generation = server->generation[slot],
		};
	}
	spin_unlock_irq(&kdev->lock);
	return cancel;
}

/*
 * What was taken could not be told: as before. A job that ended meanwhile leaves no trace: nobody
 * knew of it.
 */
static void kerf_server_untake(struct kerf_server *server, const struct kerf_server_record *rec)
{
	struct kerf_engine *engine = &server->ue->base;
	u64 bit = BIT_ULL(rec->slot);
	bool held = false;

	spin_lock_irq(&engine->kdev->lock);
	if (server->generation[rec->slot] != rec->generation || !(server->taken & bit)) {
		/* Answered, by who guessed right or by another thread. */
	} else if (rec->event == KERF_SERVER_CANCEL) {
		server->cancel |= bit;
	} else if (server->held & bit) {
		server->taken &= ~bit;
		server->cancel &= ~bit;
		server->held &= ~bit;
		held = true;
	} else {
		server->taken &= ~bit;
		server->run |= bit;
	}
	spin_unlock_irq(&engine->kdev->lock);
	if (held)
		kerf_engine_unhold(engine, rec->slot);
}

static bool kerf_server_readable(struct kerf_server *server)
{
	struct kerf_device *kdev = server->ue->base.kdev;
	bool ready;

	spin_lock_irq(&kdev->lock);
	ready = server->given_up || server->run || (server->cancel & server->taken);
	spin_unlock_irq(&kdev->lock);
	return ready || kerf_user_bos_pending(&server->bos);
}

static bool kerf_server_given_up(struct kerf_server *server)
{
	struct kerf_device *kdev = server->ue->base.kdev;
	bool given_up;

	spin_lock_irq(&kdev->lock);
	given_up = server->given_up;
	spin_unlock_irq(&kdev->lock);
	return given_up;
}

static ssize_t kerf_server_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct kerf_server *server = file->private_data;
	struct kerf_user_engine *ue = kerf_server_engine(server);
	struct kerf_server_record rec[KERF_USER_RECORDS];
	u32 max = min_t(size_t, count / sizeof(rec[0]), ARRAY_SIZE(rec));
	LIST_HEAD(told);
	u32 n = 0, n_jobs;

	if (!ue)
		return -ENOTCONN;
	if (!max)
		return -EINVAL;
	for (;;) {
		if (kerf_server_given_up(server))
			return -ESHUTDOWN;
		mutex_lock(&ue->jobs_mutex);
		while (n < max && kerf_server_take_run(server, &rec[n]))
			n++;
		mutex_unlock(&ue->jobs_mutex);
		while (n < max && kerf_server_take_cancel(server, &rec[n]))
			n++;
		n_jobs = n;
		n += kerf_user_bos_take(&server->bos, &told, &rec[n], max - n);
		if (n)
			break;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(server->wq, kerf_server_readable(server)))
			return -ERESTARTSYS;
	}
	if (copy_to_user(buf, rec, n * sizeof(rec[0]))) {
		while (n_jobs)
			kerf_server_untake(server, &rec[--n_jobs]);
		kerf_user_bos_untake(&server->bos, &told);
		return -EFAULT;
	}
	kerf_user_bos_told(&server->bos, &told);
	return n * sizeof(rec[0]);
}

/* --- write() --- */

static int kerf_done_check(const struct kerf_server *server, struct kerf_server_done *done)
{
	u32 depth = server->ue->base.depth;

	if (done->slot >= depth || done->pad || done->status > 0 || done->status < -MAX_ERRNO)
		return -EINVAL;
	done->slot = array_index_nospec(done->slot, depth);
	return 0;
}

/*
 * What clients are told is bounded by struct drm_kerf_queue_wait; -ETIME and the like are the
 * kernel's to say.
 */
static int kerf_done_error(const struct kerf_server_done *done)
{
	return !done->status || done->status == -EFAULT ? done->status : -EIO;
}

static int kerf_server_done(struct kerf_server *server, const struct kerf_server_done *done)
{
	struct kerf_engine *engine = &server->ue->base;
	u64 bit = BIT_ULL(done->slot);
	bool held;

	spin_lock_irq(&engine->kdev->lock);
	if (server->given_up) {
		spin_unlock_irq(&engine->kdev->lock);
		return -ESHUTDOWN;
	}
	if (!(server->taken & bit) || server->generation[done->slot] != done->generation) {
		engine->spurious++;
		spin_unlock_irq(&engine->kdev->lock);
		return 0;
	}
	held = server->held & bit;
	server->taken &= ~bit;
	server->cancel &= ~bit;
	server->held &= ~bit;
	spin_unlock_irq(&engine->kdev->lock);
	if (held)
		kerf_engine_unhold(engine, done->slot);
	else
		kerf_engine_done_sleepable(engine, done->slot, done->generation,
					   kerf_done_error(done), done->busy_ns);
	return 0;
}

static ssize_t kerf_server_write(struct file *file, const char __user *buf, size_t count,
				 loff_t *pos)
{
	struct kerf_server *server = file->private_data;
	struct kerf_server_done done;
	size_t at;
	int ret;

	if (!kerf_server_engine(server))
		return -ENOTCONN;
	if (count % sizeof(done))
		return -EINVAL;
	for (at = 0; at < count; at += sizeof(done)) {
		ret = copy_from_user(&done, buf + at, sizeof(done))
			      ? -EFAULT
			      : kerf_done_check(server, &done);
		if (!ret)
			ret = kerf_server_done(server, &done);
		if (ret)
			return at ? at : ret;
		cond_resched();
	}
	return count;
}

/* --- GET_BO --- */

/* The BO of a window of what runs, with a reference. */
static int kerf_server_window_bo(struct kerf_server *server, const struct kerf_server_get_bo *args,
				 struct drm_gem_object **obj, u32 *flags)
{
	struct kerf_user_engine *ue = server->ue;
	struct kerf_device *kdev = ue->base.kdev;
	struct kerf_job *job = NULL;
	int ret = 0;

	mutex_lock(&ue->jobs_mutex);
	spin_lock_irq(&kdev->lock);
	if (server->given_up)
		ret = -ESHUTDOWN;
	else if (!(server->taken & ~server->held & BIT_ULL(args->slot)) ||
		 server->generation[args->slot] != args->generation)
		ret = -ESTALE;
	else
		job = kerf_server_job(server, args->slot);
	spin_unlock_irq(&kdev->lock);
	if (!ret && !job)
		ret = -ESTALE;
	if (!ret && args->window >= job->n_bos)
		ret = -EINVAL;
	if (!ret) {
		const struct kerf_job_bo *bo =
			&job->bos[array_index_nospec(args->window, job->n_bos)];

		*obj = bo->obj;
		*flags = bo->flags;
		drm_gem_object_get(*obj);
	}
	mutex_unlock(&ue->jobs_mutex);
	return ret;
}

static int kerf_get_bo_ioctl(struct kerf_server *server, struct kerf_server_get_bo __user *user)
{
	struct kerf_server_get_bo args;
	struct drm_gem_object *obj;
	struct dma_buf *buf;
	u32 flags;
	int ret;

	if (!kerf_server_engine(server))
		return -ENOTCONN;
	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.flags || args.pad || args.slot >= server->ue->base.depth)
		return -EINVAL;
	args.slot = array_index_nospec(args.slot, server->ue->base.depth);
	ret = kerf_server_window_bo(server, &args, &obj, &flags);
	if (ret)
		return ret;
	args.fd = get_unused_fd_flags(O_CLOEXEC);
	if (args.fd < 0) {
		ret = args.fd;
		goto put_object;
	}
	buf = kerf_user_export(obj, flags);
	if (IS_ERR(buf)) {
		ret = PTR_ERR(buf);
		goto put_fd;
	}
	if (copy_to_user(user, &args, sizeof(args)))
		ret = -EFAULT;
	else
		ret = kerf_user_bos_remember(&server->bos, to_kerf_bo(obj));
	if (ret)
		goto put_buf;
	fd_install(args.fd, buf->file);
	drm_gem_object_put(obj);
	return 0;

put_buf:
	dma_buf_put(buf);
put_fd:
	put_unused_fd(args.fd);
put_object:
	drm_gem_object_put(obj);
	return ret;
}

/* --- The file --- */

static int kerf_server_open(struct inode *inode, struct file *file)
{
	struct kerf_server *server = kzalloc(sizeof(*server), GFP_KERNEL);

	if (!server)
		return -ENOMEM;
	init_waitqueue_head(&server->wq);
	INIT_DELAYED_WORK(&server->stuck_work, kerf_server_stuck_work);
	kerf_user_bos_init(&server->bos, &server->wq);
	file->private_data = server;
	return stream_open(inode, file);
}

static int kerf_server_release(struct inode *inode, struct file *file)
{
	struct kerf_server *server = file->private_data;
	struct kerf_user_engine *ue = server->ue;

	if (ue) {
		mutex_lock(&kerf_user_mutex);
		kerf_server_detach(server, kerf_server_death(server));
		mutex_unlock(&kerf_user_mutex);
		cancel_delayed_work_sync(&server->stuck_work);
	}
	kerf_user_bos_fini(&server->bos);
	vfree(server->table);
	kfree(server);
	if (ue) {
		struct drm_device *drm = &ue->base.kdev->drm;

		kerf_engine_put(&ue->base);
		drm_dev_put(drm);
	}
	return 0;
}

static long kerf_server_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kerf_server *server = file->private_data;

	switch (cmd) {
	case KERF_SERVER_IOCTL_REGISTER:
		return kerf_register_ioctl(server, (void __user *)arg);
	case KERF_SERVER_IOCTL_GET_BO:
		return kerf_get_bo_ioctl(server, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static __poll_t kerf_server_poll(struct file *file, poll_table *wait)
{
	struct kerf_server *server = file->private_data;

	if (!kerf_server_engine(server))
		return EPOLLERR;
	poll_wait(file, &server->wq, wait);
	if (kerf_server_given_up(server))
		return EPOLLHUP;
	return EPOLLOUT | EPOLLWRNORM | (kerf_server_readable(server) ? EPOLLIN | EPOLLRDNORM : 0);
}

static int kerf_server_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kerf_server *server = file->private_data;

	if (!kerf_server_engine(server))
		return -ENOTCONN;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	kerf_vm_flags_clear(vma, VM_MAYWRITE);
	return remap_vmalloc_range(vma, server->table, vma->vm_pgoff);
}

static const struct file_operations kerf_server_fops = {
	.owner = THIS_MODULE,
	.open = kerf_server_open,
	.release = kerf_server_release,
	.read = kerf_server_read,
	.write = kerf_server_write,
	.poll = kerf_server_poll,
	.unlocked_ioctl = kerf_server_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = kerf_server_mmap,
};

static struct miscdevice kerf_server_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kerf-server",
	.fops = &kerf_server_fops,
	.mode = 0600,
};

int kerf_user_init(struct kerf_device *kdev)
{
	int ret;

	kerf_user_wq = alloc_workqueue("kerf-user", WQ_UNBOUND, 0);
	if (!kerf_user_wq)
		return -ENOMEM;
	kerf_user_kdev = kdev;
	/* Not the number of last time, which another may have got while the device was unbound */
	kerf_server_misc.minor = MISC_DYNAMIC_MINOR;
	ret = misc_register(&kerf_server_misc);
	if (ret) {
		kerf_user_kdev = NULL;
		destroy_workqueue(kerf_user_wq);
	}
	return ret;
}

void kerf_user_exit(void)
{
	struct kerf_user_engine *ue, *tmp;

	misc_deregister(&kerf_server_misc);
	mutex_lock(&kerf_user_mutex);
	kerf_user_kdev = NULL;
	list_for_each_entry_safe(ue, tmp, &kerf_user_engines, link) {
		if (ue->server)
			kerf_server_detach(ue->server, -ENODEV);
		else
			kerf_user_remove(ue, -ENODEV);
	}
	mutex_unlock(&kerf_user_mutex);
	destroy_workqueue(kerf_user_wq);
}
