// SPDX-License-Identifier: GPL-2.0-only
/*
 * DRM devices: their node, what clients ask about them, and their end.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "kerf_drv.h"

static u64 kerf_client_id(struct drm_file *file)
{
#ifdef KERF_HAVE_CLIENT_ID
	return file->client_id;
#else
	static atomic64_t last_id = ATOMIC64_INIT(0);

	return atomic64_inc_return(&last_id);
#endif
}

static int kerf_open(struct drm_device *drm, struct drm_file *file)
{
	struct kerf_client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);

	if (!client)
		return -ENOMEM;
	drm_dev_get(drm);
	kref_init(&client->ref);
	client->kdev = to_kerf_device(drm);
	client->file = file;
	client->id = kerf_client_id(file);
	xa_init_flags(&client->queues, XA_FLAGS_ALLOC1);
	INIT_LIST_HEAD(&client->shares);
	file->driver_priv = client;
	return 0;
}

static void kerf_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct kerf_device *kdev = to_kerf_device(drm);
	struct kerf_client *client = file->driver_priv;

	spin_lock_irq(&kdev->lock);
	client->file = NULL;
	spin_unlock_irq(&kdev->lock);
	kerf_queue_close_all(client);
	kerf_client_put(client);
}

void kerf_client_get(struct kerf_client *client)
{
	kref_get(&client->ref);
}

static void kerf_client_release(struct kref *ref)
{
	struct kerf_client *client = container_of(ref, struct kerf_client, ref);
	struct drm_device *drm = &client->kdev->drm;

	xa_destroy(&client->queues);
	kerf_sched_client_fini(client);
	kfree(client);
	drm_dev_put(drm);
}

void kerf_client_put(struct kerf_client *client)
{
	kref_put(&client->ref, kerf_client_release);
}

static void kerf_query_device(struct kerf_device *kdev, struct kerf_client *client,
			      struct drm_kerf_device_info *info)
{
	u32 i;

	for (i = 0; i < KERF_MAX_ENGINES; i++)
		if (READ_ONCE(kdev->engines[i]))
			info->n_engines = i + 1;
	info->max_client_bytes = kdev->max_client_bytes;
	info->client_bytes = atomic64_read(&client->bytes);
	info->client_id = client->id;
}

static int kerf_query_engine(struct kerf_device *kdev, u32 index, struct drm_kerf_engine_info *info)
{
	struct kerf_engine *engine;

	engine = index < KERF_MAX_ENGINES ? kerf_engine_get(kdev, index) : NULL;
	if (!engine)
		return -ENOENT;
	info->engine_class = engine->engine_class;
	info->flags = engine->flags;
	info->depth = engine->depth;
	info->caps = engine->caps;
	memcpy(info->name, engine->name, sizeof(info->name));
	spin_lock_irq(&kdev->lock);
	info->state = engine->state;
	info->busy_ns = engine->busy_ns;
	info->jobs_done = engine->jobs_done;
	spin_unlock_irq(&kdev->lock);
	kerf_engine_put(engine);
	return 0;
}

static int kerf_dev_query_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct kerf_device *kdev = to_kerf_device(dev);
	struct drm_kerf_dev_query *args = data;
	union {
		struct drm_kerf_device_info device;
		struct drm_kerf_engine_info engine;
	} info = {};
	u32 size;
	int ret;

	if (args->pad)
		return -EINVAL;
	switch (args->type) {
	case KERF_QUERY_DEVICE:
		if (args->index)
			return -EINVAL;
		kerf_query_device(kdev, file->driver_priv, &info.device);
		size = sizeof(info.device);
		break;
	case KERF_QUERY_ENGINE:
		ret = kerf_query_engine(kdev, args->index, &info.engine);
		if (ret)
			return ret;
		size = sizeof(info.engine);
		break;
	default:
		return -EINVAL;
	}
	if (args->pointer &&
	    copy_to_user(u64_to_user_ptr(args->pointer), &info, min(args->size, size)))
		return -EFAULT;
	args->size = size;
	return 0;
}

/* The keys of Documentation/gpu/drm-usage-stats.rst. */
static void kerf_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct kerf_client *client = file->driver_priv;
	struct kerf_device *kdev = client->kdev;
	u32 i;

	for (i = 0; i < KERF_MAX_ENGINES; i++) {
		struct kerf_engine *engine = kerf_engine_get(kdev, i);

		if (!engine)
			continue;
		drm_printf(p, "drm-engine-%s:\t%llu ns\n", engine->name,
			   (u64)atomic64_read(&client->busy_ns[i]));
		if (engine->depth > 1)
			drm_printf(p, "drm-engine-capacity-%s:\t%u\n", engine->name, engine->depth);
		kerf_engine_put(engine);
	}
#ifdef KERF_HAVE_SHOW_FDINFO
	drm_show_memory_stats(p, file);
#else
	drm_printf(p, "drm-total-memory:\t%llu KiB\n", (u64)atomic64_read(&client->bytes) >> 10);
#endif
}

#ifndef KERF_HAVE_SHOW_FDINFO
static void drm_show_fdinfo(struct seq_file *m, struct file *f)
{
	struct drm_file *file = f->private_data;
	struct kerf_client *client = file->driver_priv;
	struct device *parent = client->kdev->drm.dev;
	struct drm_printer p = drm_seq_file_printer(m);

	drm_printf(&p, "drm-driver:\t%s\n", KERF_ACCEL_NAME);
	drm_printf(&p, "drm-client-id:\t%llu\n", client->id);
	if (dev_is_pci(parent))
		drm_printf(&p, "drm-pdev:\t%s\n", dev_name(parent));
	kerf_show_fdinfo(&p, file);
}
#endif

#define KERF_IOCTL(nr, function) DRM_IOCTL_DEF_DRV(KERF_##nr, function, DRM_RENDER_ALLOW)
static const struct drm_ioctl_desc kerf_ioctls[] = {
	KERF_IOCTL(DEV_QUERY, kerf_dev_query_ioctl),
	KERF_IOCTL(BO_CREATE, kerf_bo_create_ioctl),
	KERF_IOCTL(BO_INFO, kerf_bo_info_ioctl),
	KERF_IOCTL(BO_SYNC, kerf_bo_sync_ioctl),
	KERF_IOCTL(QUEUE_CREATE, kerf_queue_create_ioctl),
	KERF_IOCTL(QUEUE_DESTROY, kerf_queue_destroy_ioctl),
	KERF_IOCTL(SUBMIT, kerf_submit_ioctl),
	KERF_IOCTL(QUEUE_WAIT, kerf_queue_wait_ioctl),
	KERF_IOCTL(QUEUE_STATE, kerf_queue_state_ioctl),
	KERF_IOCTL(QUEUE_EVENTFD, kerf_queue_eventfd_ioctl),
};

static const struct file_operations kerf_fops = {
	.owner = THIS_MODULE,
	KERF_NODE_FOPS,
	.show_fdinfo = drm_show_fdinfo,
};

static const struct drm_driver kerf_driver = {
	.driver_features = DRIVER_GEM | DRIVER_SYNCOBJ | DRIVER_SYNCOBJ_TIMELINE | KERF_DRIVER_NODE,
	.name = KERF_ACCEL_NAME,
	.desc = "queues of jobs on accelerators",
#ifdef KERF_HAVE_DRIVER_DATE
	.date = "20261122",
#endif
	.major = 1,
	.minor = 0,
	.open = kerf_open,
	.postclose = kerf_postclose,
	.ioctls = kerf_ioctls,
	.num_ioctls = ARRAY_SIZE(kerf_ioctls),
	.fops = &kerf_fops,
	.gem_create_object = kerf_bo_create_object,
	.gem_prime_import_sg_table = drm_gem_shmem_prime_import_sg_table,
#ifdef KERF_HAVE_GEM_PRIME_MMAP
	.prime_handle_to_fd = drm_gem_prime_handle_to_fd,
	.prime_fd_to_handle = drm_gem_prime_fd_to_handle,
	.gem_prime_mmap = drm_gem_prime_mmap,
#endif
#ifdef KERF_HAVE_SHOW_FDINFO
	.show_fdinfo = kerf_show_fdinfo,
#endif
};

static void kerf_device_free_wq(struct drm_device *drm, void *wq)
{
	destroy_workqueue(wq);
}

static struct workqueue_struct *kerf_device_wq(struct kerf_device *kdev, const char *name,
					       unsigned int flags)
{
	struct workqueue_struct *wq;

	wq = alloc_workqueue("%s-%s", WQ_UNBOUND | flags, 0, name, dev_name(kdev->drm.dev));
	if (!wq || drmm_add_action_or_reset(&kdev->drm, kerf_device_free_wq, wq))
		return NULL;
	return wq;
}

struct kerf_device *kerf_device_create(struct device *parent)
{
	struct kerf_device *kdev;
	int ret;

	kdev = devm_drm_dev_alloc(parent, &kerf_driver, struct kerf_device, drm);
	if (IS_ERR(kdev))
		return kdev;
	kerf_sched_init(kdev);
	INIT_LIST_HEAD(&kdev->bos);
	/* Pages of BOs are pinned: half the machine stays for everything else. */
	kdev->max_client_bytes = (u64)(totalram_pages() / 2) << PAGE_SHIFT;
	ret = drmm_mutex_init(&kdev->drm, &kdev->engines_mutex);
	if (!ret)
		ret = drmm_mutex_init(&kdev->drm, &kdev->bos_mutex);
	if (ret)
		return ERR_PTR(ret);
	kdev->wq = kerf_device_wq(kdev, "kerf", WQ_HIGHPRI | WQ_MEM_RECLAIM);
	kdev->retire_wq = kerf_device_wq(kdev, "kerf-free", 0);
	if (!kdev->wq || !kdev->retire_wq)
		return ERR_PTR(-ENOMEM);
	kerf_debugfs_add(kdev);
	return kdev;
}

int kerf_device_register(struct kerf_device *kdev)
{
	return drm_dev_register(&kdev->drm, 0);
}

void kerf_device_remove(struct kerf_device *kdev)
{
	struct kerf_engine *engine;
	u32 i;

	drm_dev_unplug(&kdev->drm);
	kerf_debugfs_remove(kdev);
	spin_lock_irq(&kdev->lock);
	kdev->gone = true;
	spin_unlock_irq(&kdev->lock);
	for (i = 0; i < KERF_MAX_ENGINES; i++) {
		engine = kerf_engine_get(kdev, i);
		if (!engine)
			continue;
		kerf_engine_remove(engine, -ENODEV);
		kerf_engine_put(engine);
	}
	kerf_sched_flush(kdev);
	/* Clients may keep BOs for long; the parent's DMA mappings go with the parent. */
	kerf_bo_unmap_all(kdev);
}

u32 kerf_device_minor(const struct kerf_device *kdev)
{
	return kerf_node_minor(&kdev->drm)->index;
}
