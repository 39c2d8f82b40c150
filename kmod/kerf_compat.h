/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where kernels differ. probe.sh asks the headers that the module is built against and sets
 * KERF_HAVE_*; versions are never compared, because Debian's stable updates carry changes of later
 * releases.
 */
#ifndef KERF_COMPAT_H
#define KERF_COMPAT_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>

#ifdef KERF_HAVE_ACCEL
#include <drm/drm_accel.h>
#define KERF_DRIVER_NODE DRIVER_COMPUTE_ACCEL
#define KERF_NODE_FOPS DRM_ACCEL_FOPS
#define kerf_node_minor(drm) ((drm)->accel)
#else
#define KERF_DRIVER_NODE DRIVER_RENDER
#define KERF_NODE_FOPS DRM_GEM_FOPS
#define kerf_node_minor(drm) ((drm)->render)
#endif

static inline void kerf_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef KERF_HAVE_EVENTFD_SIGNAL_COUNT
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

static inline void kerf_hrtimer_setup(struct hrtimer *timer,
				      enum hrtimer_restart (*function)(struct hrtimer *))
{
#ifdef KERF_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = function;
#endif
}

static inline void kerf_vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef KERF_HAVE_VM_FLAGS_CLEAR
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

#endif
