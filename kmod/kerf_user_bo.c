// SPDX-License-Identifier: GPL-2.0-only
/*
 * BOs in the hands of engine servers: dma-bufs with the permission of a job's window, and which BOs
 * a server was given, so that it can be told when a mapping that it keeps is of no use any more.
 */
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_prime.h>

#include "kerf_user.h"

/* --- Dma-bufs --- */

static int kerf_user_rw_mmap(struct dma_buf *buf, struct vm_area_struct *vma)
{
	/* The shmem helper's fault handler counts from the mapping's start. */
	if (vma->vm_pgoff)
		return -EINVAL;
	return drm_gem_dmabuf_mmap(buf, vma);
}

/*
 * Neither has the ops of DRM's own: importing such a dma-buf into this very device would find the
 * BO behind it, which a reader could then write to, and which may have another dma-buf already: DRM
 * warns of that. So they are imported as those of any other driver.
 */
static const struct dma_buf_ops kerf_user_rw_ops = {
	.cache_sgt_mapping = true,
	.attach = drm_gem_map_attach,
	.detach = drm_gem_map_detach,
	.map_dma_buf = drm_gem_map_dma_buf,
	.unmap_dma_buf = drm_gem_unmap_dma_buf,
	.mmap = kerf_user_rw_mmap,
	.vmap = drm_gem_dmabuf_vmap,
	.vunmap = drm_gem_dmabuf_vunmap,
	.release = drm_gem_dmabuf_release,
};

/*
 * Devices map dma-bufs in both directions and the importing driver writes as it likes, so read-only
 * stands for: by the CPU.
 */
static int kerf_user_ro_attach(struct dma_buf *buf, struct dma_buf_attachment *attach)
{
	return -EACCES;
}

static struct sg_table *kerf_user_ro_map(struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	return ERR_PTR(-EACCES);
}

static void kerf_user_ro_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			       enum dma_data_direction dir)
{
}

static int kerf_user_ro_mmap(struct dma_buf *buf, struct vm_area_struct *vma)
{
	struct drm_gem_object *obj = buf->priv;

	/* Nor private and copied on write: pages of a BO cannot be. */
	if (vma->vm_flags & VM_MAYWRITE)
		return -EACCES;
	if (vma->vm_pgoff)
		return -EINVAL;
	if (obj->import_attach)
		return dma_buf_mmap(obj->import_attach->dmabuf, vma, 0);
	return drm_gem_prime_mmap(obj, vma);
}

static const struct dma_buf_ops kerf_user_ro_ops = {
	.attach = kerf_user_ro_attach,
	.map_dma_buf = kerf_user_ro_map,
	.unmap_dma_buf = kerf_user_ro_unmap,
	.mmap = kerf_user_ro_mmap,
	.release = drm_gem_dmabuf_release,
};

/**
 * kerf_user_export - a dma-buf of a BO with a window's permission
 * @obj: BO
 * @ref_flags: KERF_BO_REF_* of the window
 *
 * Not the one that PRIME keeps for the BO's owner: that is open for whatever the owner asked.
 */
struct dma_buf *kerf_user_export(struct drm_gem_object *obj, u32 ref_flags)
{
	struct dma_buf_export_info info = {
		.exp_name = KBUILD_MODNAME,
		.owner = THIS_MODULE,
		.ops = &kerf_user_ro_ops,
		.size = obj->size,
		.flags = O_RDONLY,
		.priv = obj,
		.resv = obj->resv,
	};

	if (ref_flags & KERF_BO_REF_WRITE) {
		if (obj->import_attach) {
			get_dma_buf(obj->import_attach->dmabuf);
			return obj->import_attach->dmabuf;
		}
		info.ops = &kerf_user_rw_ops;
		info.flags = O_RDWR;
	}
	return drm_gem_dmabuf_export(obj->dev, &info);
}

/* --- Which BOs a server knows --- */

struct kerf_user_known {
	struct hlist_node node;
	struct list_head link;
	u64 id;
};

static DEFINE_SPINLOCK(kerf_user_bo_lock);
static LIST_HEAD(kerf_user_bo_lists);

static struct kerf_user_known *kerf_user_bos_find(struct kerf_user_bos *bos, u64 id)
{
	struct kerf_user_known *known;

	hash_for_each_possible(bos->known, known, node, id)
		if (known->id == id)
			return known;
	return NULL;
}

/* Under the lock. */
static void kerf_user_bos_gone(struct kerf_user_bos *bos, u64 id)
{
	struct kerf_user_known *known = kerf_user_bos_find(bos, id);

	if (!known)
		return;
	hash_del(&known->node);
	list_add_tail(&known->link, &bos->gone);
	wake_up(bos->wq);
}

void kerf_user_bo_gone(struct kerf_bo *bo)
{
	struct kerf_user_bos *bos;

	spin_lock(&kerf_user_bo_lock);
	list_for_each_entry(bos, &kerf_user_bo_lists, link)
		kerf_user_bos_gone(bos, bo->id);
	spin_unlock(&kerf_user_bo_lock);
}

void kerf_user_bos_init(struct kerf_user_bos *bos, wait_queue_head_t *wq)
{
	hash_init(bos->known);
	INIT_LIST_HEAD(&bos->gone);
	bos->wq = wq;
	spin_lock(&kerf_user_bo_lock);
	list_add(&bos->link, &kerf_user_bo_lists);
	spin_unlock(&kerf_user_bo_lock);
}

void kerf_user_bos_fini(struct kerf_user_bos *bos)
{
	struct kerf_user_known *known;
	struct hlist_node *tmp;
	u32 i;

	spin_lock(&kerf_user_bo_lock);
	list_del(&bos->link);
	spin_unlock(&kerf_user_bo_lock);
	hash_for_each_safe(bos->known, i, tmp, known, node)
		kfree(known);
	kerf_user_bos_told(bos, &bos->gone);
}

int kerf_user_bos_remember(struct kerf_user_bos *bos, struct kerf_bo *bo)
{
	struct kerf_user_known *known = kzalloc(sizeof(*known), GFP_KERNEL);
	int ret = 0;

	if (!known)
		return -ENOMEM;
	known->id = bo->id;
	spin_lock(&kerf_user_bo_lock);
	if (kerf_user_bos_find(bos, bo->id)) {
		kfree(known);
	} else if (bos->n_known == KERF_SERVER_MAX_BOS) {
		kfree(known);
		ret = -ENOSPC;
	} else {
		hash_add(bos->known, &known->node, known->id);
		bos->n_known++;
	}
	/* A job may refer to a BO whose last handle went before the server asked for it. */
	if (!ret && !atomic_read(&bo->handles))
		kerf_user_bos_gone(bos, bo->id);
	spin_unlock(&kerf_user_bo_lock);
	return ret;
}

bool kerf_user_bos_pending(struct kerf_user_bos *bos)
{
	return !list_empty_careful(&bos->gone);
}

u32 kerf_user_bos_take(struct kerf_user_bos *bos, struct list_head *told,
		       struct kerf_server_record *rec, u32 max)
{
	struct kerf_user_known *known, *tmp;
	u32 n = 0;

	spin_lock(&kerf_user_bo_lock);
	list_for_each_entry_safe(known, tmp, &bos->gone, link) {
		if (n == max)
			break;
		list_move_tail(&known->link, told);
		rec[n++] = (struct kerf_server_record){.event = KERF_SERVER_BO_GONE,
						       .bo_id = known->id};
	}
	spin_unlock(&kerf_user_bo_lock);
	return n;
}

void kerf_user_bos_untake(struct kerf_user_bos *bos, struct list_head *told)
{
	spin_lock(&kerf_user_bo_lock);
	list_splice_init(told, &bos->gone);
	spin_unlock(&kerf_user_bo_lock);
}

void kerf_user_bos_told(struct kerf_user_bos *bos, struct list_head *told)
{
	struct kerf_user_known *known, *tmp;
	u32 n = 0;

	list_for_each_entry_safe(known, tmp, told, link) {
		kfree(known);
		n++;
	}
	INIT_LIST_HEAD(told);
	spin_lock(&kerf_user_bo_lock);
	bos->n_known -= n;
	spin_unlock(&kerf_user_bo_lock);
}
