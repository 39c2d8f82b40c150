// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/kerf/PARENT: engines, clients and queues of a device, a line each. Beside them
 * the knobs of engines that have some.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "kerf_drv.h"

static struct dentry *kerf_debugfs_root;

static const char *const kerf_class_names[] = {
	[KERF_ENGINE_SIM] = "sim",
	[KERF_ENGINE_NPU] = "npu",
	[KERF_ENGINE_USER] = "user",
};

static const char *const kerf_state_names[] = {
	[KERF_ENGINE_READY] = "ready",
	[KERF_ENGINE_WAITING] = "waiting",
	[KERF_ENGINE_DEAD] = "dead",
};

static int engines_show(struct seq_file *m, void *unused)
{
	struct kerf_device *kdev = m->private;
	u32 i;

	seq_puts(m, "index name class state depth running busy_ns jobs_done spurious resets\n");
	for (i = 0; i < KERF_MAX_ENGINES; i++) {
		struct kerf_engine *e = kerf_engine_get(kdev, i);

		if (!e)
			continue;
		spin_lock_irq(&kdev->lock);
		seq_printf(m, "%u %s %s %s %u %u %llu %llu %llu %llu\n", e->index, e->name,
			   kerf_class_names[e->engine_class], kerf_state_names[e->state], e->depth,
			   e->n_running, e->busy_ns, e->jobs_done, e->spurious, e->resets);
		spin_unlock_irq(&kdev->lock);
		kerf_engine_put(e);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(engines);

static int clients_show(struct seq_file *m, void *unused)
{
	struct kerf_device *kdev = m->private;
	struct drm_file *file;

	seq_puts(m, "id bytes cmd_bytes\n");
	mutex_lock(&kdev->drm.filelist_mutex);
	list_for_each_entry(file, &kdev->drm.filelist, lhead) {
		struct kerf_client *client = file->driver_priv;

		seq_printf(m, "%llu %lld %lld\n", client->id, atomic64_read(&client->bytes),
			   atomic64_read(&client->cmd_bytes));
	}
	mutex_unlock(&kdev->drm.filelist_mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(clients);

static void kerf_show_queue(struct seq_file *m, struct kerf_queue *q)
{
	spin_lock_irq(&q->client->kdev->lock);
	seq_printf(m, "%llu %u %s %u %u %u %u %llu %llu %llu %d %llu\n", q->client->id, q->id,
		   q->engine->name, q->priority, q->depth, q->n_jobs, q->running ? 1 : 0,
		   q->last_seqno, q->done_seqno, q->error_seqno, q->first_error, q->busy_ns);
	spin_unlock_irq(&q->client->kdev->lock);
}

static int queues_show(struct seq_file *m, void *unused)
{
	struct kerf_device *kdev = m->private;
	struct drm_file *file;
	u32 id;

	seq_puts(m, "client id engine priority depth jobs running last done error_seqno error ");
	seq_puts(m, "busy_ns\n");
	mutex_lock(&kdev->drm.filelist_mutex);
	list_for_each_entry(file, &kdev->drm.filelist, lhead) {
		for (id = 1; id <= KERF_MAX_QUEUES; id++) {
			struct kerf_queue *q = kerf_queue_find(file->driver_priv, id);

			if (!q)
				continue;
			kerf_show_queue(m, q);
			kerf_queue_put(q);
		}
	}
	mutex_unlock(&kdev->drm.filelist_mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(queues);

void kerf_debugfs_add(struct kerf_device *kdev)
{
	struct dentry *dir = debugfs_create_dir(dev_name(kdev->drm.dev), kerf_debugfs_root);

	kdev->debugfs = dir;
	debugfs_create_file("engines", 0444, dir, kdev, &engines_fops);
	debugfs_create_file("clients", 0444, dir, kdev, &clients_fops);
	debugfs_create_file("queues", 0444, dir, kdev, &queues_fops);
}

void kerf_debugfs_remove(struct kerf_device *kdev)
{
	debugfs_remove(kdev->debugfs);
	kdev->debugfs = NULL;
}

void kerf_debugfs_init(void)
{
	kerf_debugfs_root = debugfs_create_dir("kerf", NULL);
}

void kerf_debugfs_exit(void)
{
	debugfs_remove(kerf_debugfs_root);
}
