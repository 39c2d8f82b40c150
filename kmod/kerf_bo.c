// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffer objects: zeroed shmem pages, or a dma-buf of another driver. A client is charged for what
 * it holds handles of, whoever made it, so that sharing cannot be used to get around the limit.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/overflow.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "kerf_drv.h"

#define KERF_BO_FLAGS (KERF_BO_NO_MMAP | KERF_BO_WC)
#define KERF_SYNC_FLAGS (KERF_SYNC_READ | KERF_SYNC_WRITE | KERF_SYNC_END)

static int kerf_bo_open(struct drm_gem_object *obj, struct drm_file *file)
{
	struct kerf_client *client = file->driver_priv;

	if (atomic64_add_return(obj->size, &client->bytes) > client->kdev->max_client_bytes) {
		atomic64_sub(obj->size, &client->bytes);
		return -ENOSPC;
	}
	atomic_inc(&to_kerf_bo(obj)->handles);
	return 0;
}

static void kerf_bo_close(struct drm_gem_object *obj, struct drm_file *file)
{
	struct kerf_client *client = file->driver_priv;

	atomic64_sub(obj->size, &client->bytes);
	if (atomic_dec_and_test(&to_kerf_bo(obj)->handles))
		kerf_user_bo_gone(to_kerf_bo(obj));
}

static void kerf_bo_unmap(struct kerf_device *kdev, struct drm_gem_shmem_object *shmem)
{
	if (!shmem->sgt)
		return;
	dma_unmap_sgtable(kdev->drm.dev, shmem->sgt, DMA_BIDIRECTIONAL, 0);
	sg_free_table(shmem->sgt);
	kfree(shmem->sgt);
	shmem->sgt = NULL;
}

static void kerf_bo_free(struct drm_gem_object *obj)
{
	struct kerf_device *kdev = to_kerf_device(obj->dev);

	/* In one go, so that no mapping is left once kerf_bo_unmap_all() has seen the list. */
	mutex_lock(&kdev->bos_mutex);
	list_del(&to_kerf_bo(obj)->link);
	if (!obj->import_attach)
		kerf_bo_unmap(kdev, to_drm_gem_shmem_obj(obj));
	mutex_unlock(&kdev->bos_mutex);
	drm_gem_shmem_free(to_drm_gem_shmem_obj(obj));
}

static int kerf_bo_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	if (to_kerf_bo(obj)->flags & KERF_BO_NO_MMAP)
		return -EACCES;
	return drm_gem_shmem_mmap(to_drm_gem_shmem_obj(obj), vma);
}

#ifdef KERF_HAVE_SHOW_FDINFO
static enum drm_gem_object_status kerf_bo_status(struct drm_gem_object *obj)
{
	struct drm_gem_shmem_object *shmem = to_drm_gem_shmem_obj(obj);

	return READ_ONCE(shmem->pages) || READ_ONCE(shmem->sgt) ? DRM_GEM_OBJECT_RESIDENT : 0;
}
#endif

static const struct drm_gem_object_funcs kerf_bo_funcs = {
	.free = kerf_bo_free,
	.open = kerf_bo_open,
	.close = kerf_bo_close,
	.print_info = drm_gem_shmem_object_print_info,
	.pin = drm_gem_shmem_object_pin,
	.unpin = drm_gem_shmem_object_unpin,
	.get_sg_table = drm_gem_shmem_object_get_sg_table,
	.vmap = drm_gem_shmem_object_vmap,
	.vunmap = drm_gem_shmem_object_vunmap,
	.mmap = kerf_bo_mmap,
	.vm_ops = &drm_gem_shmem_vm_ops,
#ifdef KERF_HAVE_SHOW_FDINFO
	.status = kerf_bo_status,
#endif
};

struct drm_gem_object *kerf_bo_create_object(struct drm_device *dev, size_t size)
{
	static atomic64_t last_id = ATOMIC64_INIT(0);
	struct kerf_bo *bo = kzalloc(sizeof(*bo), GFP_KERNEL_ACCOUNT);

	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->id = atomic64_inc_return(&last_id);
	INIT_LIST_HEAD(&bo->link);
	INIT_LIST_HEAD(&bo->readers);
	INIT_LIST_HEAD(&bo->writers);
	init_waitqueue_head(&bo->idle);
	bo->shmem.base.funcs = &kerf_bo_funcs;
	return &bo->shmem.base;
}

int kerf_bo_create_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct kerf_device *kdev = to_kerf_device(dev);
	struct drm_kerf_bo_create *args = data;
	struct drm_gem_shmem_object *shmem;
	struct drm_gem_object *obj;
	int ret;

	if (!args->size || args->flags & ~KERF_BO_FLAGS)
		return -EINVAL;
	if (args->size > kdev->max_client_bytes)
		return -ENOSPC;

	shmem = drm_gem_shmem_create(dev, args->size);
	if (IS_ERR(shmem))
		return PTR_ERR(shmem);
	obj = &shmem->base;
	to_kerf_bo(obj)->flags = args->flags;
	shmem->map_wc = !!(args->flags & KERF_BO_WC);
	mutex_lock(&kdev->bos_mutex);
	list_add(&to_kerf_bo(obj)->link, &kdev->bos);
	mutex_unlock(&kdev->bos_mutex);

	ret = drm_gem_handle_create(file, obj, &args->handle);
	if (!ret)
		args->size = obj->size;
	drm_gem_object_put(obj);
	return ret;
}

int kerf_bo_info_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct drm_kerf_bo_info *args = data;
	struct drm_gem_object *obj = drm_gem_object_lookup(file, args->handle);

	if (!obj)
		return -ENOENT;
	args->flags = to_kerf_bo(obj)->flags;
	args->mmap_offset =
		args->flags & KERF_BO_NO_MMAP ? 0 : drm_vma_node_offset_addr(&obj->vma_node);
	args->size = obj->size;
	drm_gem_object_put(obj);
	return 0;
}

/*
 * The range alone and to the byte: on a machine whose devices do not snoop, caring for a
 * neighbour's cache lines would undo what the CPU is writing there.
 */
static void kerf_bo_sync_range(struct drm_gem_object *obj, u64 offset, u64 size,
			       enum dma_data_direction dir, bool end)
{
	struct sg_table *sgt = READ_ONCE(to_drm_gem_shmem_obj(obj)->sgt);
	struct device *dev = obj->dev->dev;
	struct scatterlist *sg;
	u64 start = 0;
	int i;

	if (!sgt)
		return;
	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 from = max(offset, start);
		u64 to = min(offset + size, start + sg_dma_len(sg));

		/* By pages, since an IOMMU may have joined pages that are apart. */
		while (from < to) {
			dma_addr_t addr = sg_dma_address(sg) + (from - start);
			size_t n = min_t(u64, to - from, PAGE_SIZE - offset_in_page(addr));

			if (end)
				dma_sync_single_for_device(dev, addr, n, dir);
			else
				dma_sync_single_for_cpu(dev, addr, n, dir);
			from += n;
			cond_resched();
		}
		start += sg_dma_len(sg);
	}
}

/* The jobs up to window @last that write @bo are done, and if @for_write those that read it. */
static bool kerf_bo_idle(struct kerf_bo *bo, u64 last, bool for_write)
{
	struct kerf_device *kdev = to_kerf_device(bo->shmem.base.dev);
	struct kerf_job_bo *reader, *writer;
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&kdev->lock, flags);
	reader = list_first_entry_or_null(&bo->readers, struct kerf_job_bo, reader);
	writer = list_first_entry_or_null(&bo->writers, struct kerf_job_bo, writer);
	idle = !(writer && writer->began <= last) &&
	       !(for_write && reader && reader->began <= last);
	spin_unlock_irqrestore(&kdev->lock, flags);
	return idle;
}

/* Those that are submitted meanwhile are not waited for, or it might never end. */
static int kerf_bo_wait(struct kerf_bo *bo, bool for_write, s64 timeout_ns)
{
	struct kerf_device *kdev = to_kerf_device(bo->shmem.base.dev);
	u64 last;

	spin_lock_irq(&kdev->lock);
	last = bo->began;
	spin_unlock_irq(&kdev->lock);
	return kerf_wait_until(bo->idle, kerf_bo_idle(bo, last, for_write), timeout_ns);
}

int kerf_bo_sync_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct drm_kerf_bo_sync *args = data;
	bool for_write = args->flags & KERF_SYNC_WRITE;
	bool for_read = args->flags & KERF_SYNC_READ;
	bool end = args->flags & KERF_SYNC_END;
	enum dma_data_direction dir = for_read && for_write ? DMA_BIDIRECTIONAL :
				      for_write		    ? DMA_TO_DEVICE :
							      DMA_FROM_DEVICE;
	struct drm_gem_object *obj;
	struct kerf_bo *bo;
	int idx, ret = 0;
	u64 last;

	if (args->flags & ~KERF_SYNC_FLAGS || !(for_read || for_write) || !args->size ||
	    check_add_overflow(args->offset, args->size, &last))
		return -EINVAL;
	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;
	bo = to_kerf_bo(obj);
	if (last > obj->size) {
		ret = -EINVAL;
		goto put;
	}

	if (!end)
		ret = kerf_bo_wait(bo, for_write, args->timeout_ns);
	if (!drm_dev_enter(dev, &idx)) {
		ret = -ENODEV;
		goto put;
	}
	if (ret)
		goto exit;

	if (!obj->import_attach)
		kerf_bo_sync_range(obj, args->offset, args->size, dir, end);
	else if (end)
		ret = dma_buf_end_cpu_access(obj->import_attach->dmabuf, dir);
	else
		ret = dma_buf_begin_cpu_access(obj->import_attach->dmabuf, dir);
exit:
	drm_dev_exit(idx);
put:
	drm_gem_object_put(obj);
	return ret;
}

void kerf_bo_unmap_all(struct kerf_device *kdev)
{
	struct kerf_bo *bo;

	mutex_lock(&kdev->bos_mutex);
	list_for_each_entry(bo, &kdev->bos, link)
		kerf_bo_unmap(kdev, &bo->shmem);
	mutex_unlock(&kdev->bos_mutex);
}

void kerf_bo_begin(struct kerf_job_bo *window)
{
	struct kerf_bo *bo = to_kerf_bo(window->obj);

	window->began = ++bo->began;
	if (window->flags & KERF_BO_REF_READ)
		list_add_tail(&window->reader, &bo->readers);
	if (window->flags & KERF_BO_REF_WRITE)
		list_add_tail(&window->writer, &bo->writers);
}

void kerf_bo_end(struct kerf_job_bo *window)
{
	struct kerf_bo *bo = to_kerf_bo(window->obj);

	if (window->flags & KERF_BO_REF_READ)
		list_del(&window->reader);
	if (window->flags & KERF_BO_REF_WRITE)
		list_del(&window->writer);
	wake_up_all(&bo->idle);
}
