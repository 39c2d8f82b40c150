#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Prints kerf_probe.h: what the headers of the kernel that the module is built for offer. It is asked by
# compiling, since distributions carry changes back into kernels of an older number.
# usage: probe.sh COMPILER FLAG...
set -u

compiles() {
	printf '%s\n' "$text" | "$@" -Werror=implicit-function-declaration -fsyntax-only -x c - 2>&1
}

# probe NAME: KERF_HAVE_NAME if the text on stdin compiles
probe() {
	name=$1
	text=$(cat)
	shift
	if compiles "$@" >/dev/null; then
		echo "#define KERF_HAVE_$name 1"
	else
		echo "/* no KERF_HAVE_$name */"
	fi
}

# What must compile, so that a broken tree is not taken for an old one
text='#include <linux/module.h>
#include <drm/drm_drv.h>
#include <drm/drm_gem_shmem_helper.h>
#if !IS_ENABLED(CONFIG_DRM) || !IS_ENABLED(CONFIG_DRM_GEM_SHMEM_HELPER)
#error "this kernel has no CONFIG_DRM or no CONFIG_DRM_GEM_SHMEM_HELPER: see docs/kernel.md"
#endif'
compiles "$@" >&2 || exit 1

echo "/* SPDX-License-Identifier: GPL-2.0-only */"
echo "/* Written by probe.sh */"

# A compute accelerator's own node, /dev/accel/accelN (6.2)
probe ACCEL "$@" <<'EOF'
#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#if !IS_ENABLED(CONFIG_DRM_ACCEL)
#error
#endif
int f(void) { return DRIVER_COMPUTE_ACCEL; }
EOF

# The DRM core prints fdinfo's head (6.5)
probe SHOW_FDINFO "$@" <<'EOF'
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
struct drm_driver d = { .show_fdinfo = NULL };
void *f(void) { return drm_show_fdinfo; }
EOF

# struct drm_driver's date (until 6.13)
probe DRIVER_DATE "$@" <<'EOF'
#include <drm/drm_drv.h>
struct drm_driver d = { .date = "" };
EOF

# eventfd_signal() takes a count (until 6.7)
probe EVENTFD_SIGNAL_COUNT "$@" <<'EOF'
#include <linux/eventfd.h>
void f(struct eventfd_ctx *c) { eventfd_signal(c, 1); }
EOF

# MODULE_IMPORT_NS() takes a bare word (until 6.12)
probe IMPORT_NS_WORD "$@" <<'EOF'
#include <linux/module.h>
MODULE_IMPORT_NS(DMA_BUF);
EOF

# hrtimer_setup() (6.13)
probe HRTIMER_SETUP "$@" <<'EOF'
#include <linux/hrtimer.h>
void f(struct hrtimer *t) { hrtimer_setup(t, NULL, CLOCK_MONOTONIC, HRTIMER_MODE_REL); }
EOF

# An open file's number for fdinfo (6.5)
probe CLIENT_ID "$@" <<'EOF'
#include <drm/drm_file.h>
u64 f(struct drm_file *file) { return file->client_id; }
EOF

# PRIME must be asked for, callback by callback (until 6.5)
probe GEM_PRIME_MMAP "$@" <<'EOF'
#include <drm/drm_drv.h>
#include <drm/drm_prime.h>
struct drm_driver d = { .gem_prime_mmap = drm_gem_prime_mmap };
EOF

# Flags of a mapping are changed through functions (6.3)
probe VM_FLAGS_CLEAR "$@" <<'EOF'
#include <linux/mm.h>
void f(struct vm_area_struct *vma) { vm_flags_clear(vma, VM_MAYWRITE); }
EOF
