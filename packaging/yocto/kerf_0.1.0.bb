# SPDX-License-Identifier: MIT
# Built from the checkout that this recipe lies in: BBFILES += "<checkout>/packaging/yocto/*.bb".
SUMMARY = "Makes several small computers infer as one"
# The BPF programs within, where they are built: GPL-2.0-only or BSD-2-Clause
LICENSE = "MIT${@bb.utils.contains('PACKAGECONFIG', 'bpf', ' & (GPL-2.0-only | BSD-2-Clause)', '', d)}"
LIC_FILES_CHKSUM = "file://LICENSES/MIT.txt;md5=f6d18124b4a470ce933fb638eba8b37c \
	file://LICENSES/BSD-2-Clause.txt;md5=7f757bada45735dff6cec54adb131c36 \
	file://LICENSES/GPL-2.0-only.txt;md5=b234ee4d69f5fce4486a80fdaf4a4263"
DEPENDS = "protobuf-c protobuf-c-native json-c nettle"

inherit pkgconfig externalsrc
EXTERNALSRC = "${THISDIR}/../.."
EXTERNALSRC_BUILD = "${WORKDIR}/build"

PACKAGECONFIG ??= "curl microhttpd drm ncurses"
PACKAGECONFIG[curl] = "WITH_CURL=yes,WITH_CURL=no,curl"
PACKAGECONFIG[microhttpd] = "WITH_MICROHTTPD=yes,WITH_MICROHTTPD=no,libmicrohttpd"
PACKAGECONFIG[drm] = "WITH_DRM=yes,WITH_DRM=no,libdrm"
PACKAGECONFIG[ncurses] = "WITH_NCURSES=yes,WITH_NCURSES=no,ncurses"
# clang-native is meta-clang's. The kernel's part is kerf-bpf.cfg.
PACKAGECONFIG[bpf] = "WITH_BPF=yes,WITH_BPF=no,libbpf clang-native bpftool-native"
EXTRA_OEMAKE = "-C ${S} O=${B} prefix=${prefix} libdir=${libdir} ${PACKAGECONFIG_CONFARGS}"

do_compile() {
	oe_runmake all
}

do_install() {
	oe_runmake DESTDIR=${D} install
}
