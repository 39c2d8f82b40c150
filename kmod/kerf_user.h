/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kerf_user.c (servers and their engines) and kerf_user_bo.c (the BOs they were given) share.
 */
#ifndef KERF_USER_H
#define KERF_USER_H

#include <linux/hashtable.h>

#include "../uapi/kerf_server.h"
#include "kerf_drv.h"

struct dma_buf;
struct kerf_server;

static_assert(KERF_MAX_SLOTS >= KERF_SERVER_MAX_DEPTH); /* and sets of slots are u64 */

/**
 * struct kerf_user_engine - an engine whose server is a process
 * @base: engine
 * @server: who serves it, NULL while it waits for a successor; under kdev->lock
 * @jobs_mutex: held by who reads a running job's commands and windows without kdev->lock; unprepare() passes it
 * @link: in the list of engines, under its mutex, as what follows
 * @uid: of the first server; a successor has it too, or CAP_SYS_ADMIN
 * @recovery: enum kerf_server_recovery
 * @grace_ms: how long it waits for a successor
 * @grace_end: jiffies, while it waits
 * @grace_work: at @grace_end
 */
struct kerf_user_engine {
	struct kerf_engine base;
	struct kerf_server *server;
	struct mutex jobs_mutex;
	struct list_head link;
	kuid_t uid;
	u32 recovery;
	u32 grace_ms;
	unsigned long grace_end;
	struct delayed_work grace_work;
};

/**
 * struct kerf_user_bos - the BOs that a server was given and that are not gone
 * @link: in the list of all, under its lock, as what follows
 * @known: by id
 * @n_known: entries of @known and @gone
 * @gone: those the server is still to be told of
 * @wq: woken when there is one in @gone
 */
struct kerf_user_bos {
	struct list_head link;
	DECLARE_HASHTABLE(known, 8);
	u32 n_known;
	struct list_head gone;
	wait_queue_head_t *wq;
};

/* kerf_user_bo.c; process context */
void kerf_user_bos_init(struct kerf_user_bos *bos, wait_queue_head_t *wq);
void kerf_user_bos_fini(struct kerf_user_bos *bos);
int kerf_user_bos_remember(struct kerf_user_bos *bos, struct kerf_bo *bo); /* -ENOMEM, -ENOSPC */
bool kerf_user_bos_pending(struct kerf_user_bos *bos);
/* Moves up to @max gone entries to @told and fills a record for each; their number. */
u32 kerf_user_bos_take(struct kerf_user_bos *bos, struct list_head *told,
		       struct kerf_server_record *rec, u32 max);
void kerf_user_bos_untake(struct kerf_user_bos *bos, struct list_head *told); /* they could not be told */
void kerf_user_bos_told(struct kerf_user_bos *bos, struct list_head *told);
struct dma_buf *kerf_user_export(struct drm_gem_object *obj, u32 ref_flags);

#endif
