# SPDX-License-Identifier: MIT
# Built from the checkout that this recipe lies in: BBFILES += "<checkout>/packaging/yocto/*.bb".
# The kernel needs what kerf.cfg lists: SRC_URI:append = " file://kerf.cfg" in a linux-yocto append.
SUMMARY = "kerf kernel module: accelerators as queues"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://LICENSES/GPL-2.0-only.txt;md5=b234ee4d69f5fce4486a80fdaf4a4263"

inherit module externalsrc
EXTERNALSRC = "${THISDIR}/../.."
EXTERNALSRC_BUILD = "${WORKDIR}/build"
MAKE_ARGS = "-C ${S} O=${B} KDIR=${STAGING_KERNEL_BUILDDIR} 'KMOD_ARGS=CC=\"${KERNEL_CC}\" LD=\"${KERNEL_LD}\"'"

do_compile() {
	oe_runmake ${MAKE_ARGS} kmod
}

do_install() {
	oe_runmake ${MAKE_ARGS} DESTDIR=${D} kmod-install
}

FILES:${PN} += "${nonarch_base_libdir}/udev/rules.d ${nonarch_libdir}/sysusers.d"
