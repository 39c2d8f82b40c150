# SPDX-License-Identifier: MIT
# Built from the checkout that this recipe lies in: BBFILES += "<checkout>/packaging/yocto/*.bb".
SUMMARY = "Makes several small computers infer as one"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSES/MIT.txt;md5=f6d18124b4a470ce933fb638eba8b37c"
DEPENDS = "protobuf-c protobuf-c-native json-c nettle"

inherit pkgconfig externalsrc
EXTERNALSRC = "${THISDIR}/../.."
EXTERNALSRC_BUILD = "${WORKDIR}/build"

PACKAGECONFIG ??= "curl microhttpd drm ncurses"
PACKAGECONFIG[curl] = "WITH_CURL=yes,WITH_CURL=no,curl"
PACKAGECONFIG[microhttpd] = "WITH_MICROHTTPD=yes,WITH_MICROHTTPD=no,libmicrohttpd"
PACKAGECONFIG[drm] = "WITH_DRM=yes,WITH_DRM=no,libdrm"
PACKAGECONFIG[ncurses] = "WITH_NCURSES=yes,WITH_NCURSES=no,ncurses"
EXTRA_OEMAKE = "-C ${S} O=${B} prefix=${prefix} libdir=${libdir} ${PACKAGECONFIG_CONFARGS}"

do_compile() {
	oe_runmake all
}

do_install() {
	oe_runmake DESTDIR=${D} install
}
