#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's own kernels, unpacked under $KERF_KERNELS (default $O/kernels) and never installed:
# VERSION/boot, VERSION/lib/modules, VERSION/usr/src. Paths inside them that name /usr/src are
# mended, so that modules build against them where they lie.
# usage: kernels.sh fetch VERSION...      exits 77 when apt has none of a version; 6.12-arm64: headers alone
#        kernels.sh kdir|release|root VERSION
#        kernels.sh mend VERSION RELEASE  what was unpacked by hand
#        kernels.sh checkpatch            fetches it out of linux-source, says where it is
set -eu
cd "$(dirname "$0")/../.."
O=${O:-build}
PATH=$PATH:/usr/sbin:/sbin # depmod
KERF_KERNELS=$(realpath -m "${KERF_KERNELS:-$O/kernels}")

die() {
	echo "kernels.sh: $*" >&2
	exit 1
}

release() {
	cat "$KERF_KERNELS/$1/release" 2>/dev/null || die "$1 is not there; \`make kernels\` fetches it"
}

# The newest release of VERSION's plain amd64 flavour that apt knows
newest() {
	apt-cache search --names-only "^linux-image-$1\.[0-9]+([-.+][0-9a-z]+)*-amd64(-unsigned)?$" |
		sed -n 's/^linux-image-\([^ ]*-amd64\)\(-unsigned\)\{0,1\} .*/\1/p' |
		grep -Ev -- '-(cloud|rt)-amd64$|\+bpo' | sort -Vu | tail -n 1
}

# The packages that building against RELEASE and booting it take
packages() {
	apt-cache show --no-all-versions "linux-image-$1" >/dev/null 2>&1 && echo "linux-image-$1" ||
		echo "linux-image-$1-unsigned"
	echo "linux-headers-$1"
	apt-cache depends --no-recommends --no-suggests "linux-headers-$1" |
		sed -n 's/^ *Depends: \(linux-\(headers\|kbuild\)-.*\)/\1/p'
}

# The ELF kernel inside a bzImage: QEMU enters it directly, which spares a guest without KVM
# several seconds of decompression
extract() {
	setup=$(od -An -tu1 -j497 -N1 "$1" | tr -d ' ')
	offset=$(od -An -tu4 -j584 -N4 "$1" | tr -d ' ')
	length=$(od -An -tu4 -j588 -N4 "$1" | tr -d ' ')
	tail -c "+$(((setup + 1) * 512 + offset + 1))" "$1" | head -c "$((length - 4))" >"$2.payload"
	case $(od -An -tx1 -N4 "$2.payload") in
	*"28 b5 2f fd") zstd -qdc "$2.payload" >"$2" ;;
	*"fd 37 7a 58") xz -dc "$2.payload" >"$2" ;;
	*) die "$1: compressed in a way not known here" ;;
	esac
	rm "$2.payload"
}

include_from() {
	sed -i "s|^include .*/usr/src/|include $1/usr/src/|" "$2/Makefile"
}

mend() {
	root=$1
	rel=$2
	headers=$root/usr/src/linux-headers-$rel
	common=$root/usr/src/linux-headers-${rel%-amd64}-common
	[ -d "$common" ] || die "$common is missing"
	# What the Makefile includes and the links name the place of an installed package.
	include_from "$root" "$headers"
	ln -sfn "$headers" "$root/lib/modules/$rel/build"
	ln -sfn "$common" "$root/lib/modules/$rel/source"
	depmod -b "$root" "$rel"
	extract "$root/boot/vmlinuz-$rel" "$root/boot/vmlinux"
}

fetch() {
	version=$1
	if [ "$version" = uml ]; then
		tests/kernel/uml.sh
		return
	fi
	root=$KERF_KERNELS/$version
	[ ! -e "$root/release" ] || return 0
	rel=$(newest "$version")
	if [ -z "$rel" ] && [ "$(id -u)" = 0 ]; then
		apt-get update -qq || :
		rel=$(newest "$version")
	fi
	[ -n "$rel" ] || {
		echo "apt has no linux-image-$version for amd64"
		exit 77
	}
	rm -rf "$root"
	mkdir -p "$KERF_KERNELS/debs" "$root"
	echo "kernels.sh: fetching $rel" >&2
	(cd "$KERF_KERNELS/debs" && packages "$rel" | xargs apt-get download -qq -o APT::Sandbox::User=root) ||
		die "apt-get could not download $rel"
	for p in $(packages "$rel"); do
		dpkg -x "$(ls -t "$KERF_KERNELS/debs/${p}"_*.deb | head -n 1)" "$root"
	done
	mend "$root" "$rel"
	echo "$rel" >"$root/release"
}

# The newest checkpatch.pl, out of the kernel's sources
checkpatch() {
	dir=$KERF_KERNELS/checkpatch
	[ ! -e "$dir/checkpatch.pl" ] || return 0
	source=$(apt-cache search --names-only '^linux-source-6\.[0-9]+$' | cut -d' ' -f1 | sort -V | tail -n 1)
	[ -n "$source" ] || {
		echo "apt has no linux-source"
		exit 77
	}
	mkdir -p "$KERF_KERNELS/debs" "$dir"
	echo "kernels.sh: fetching $source" >&2
	(cd "$KERF_KERNELS/debs" && ls "$source"_*.deb >/dev/null 2>&1 ||
		apt-get download -qq -o APT::Sandbox::User=root "$source") || die "apt-get could not download $source"
	dpkg-deb --fsys-tarfile "$(ls -t "$KERF_KERNELS/debs/$source"_*.deb | head -n 1)" |
		tar -xO "./usr/src/$source.tar.xz" | xz -dc | tar -x -C "$dir" --strip-components=2 \
		"$source/scripts/spelling.txt" "$source/scripts/const_structs.checkpatch" \
		"$source/scripts/checkpatch.pl"
}

# arm64's headers beside 6.12's, to compile against: what else that takes is the same for both
fetch_arm64() {
	fetch 6.12
	root=$KERF_KERNELS/6.12
	rel=$(release 6.12)
	rel=${rel%-amd64}-arm64
	headers=$root/usr/src/linux-headers-$rel
	[ ! -e "$headers/Makefile" ] || return 0
	command -v aarch64-linux-gnu-gcc-12 >/dev/null || {
		echo "aarch64-linux-gnu-gcc-12 is not installed"
		exit 77
	}
	(cd "$KERF_KERNELS/debs" &&
		apt-get download -qq -o APT::Sandbox::User=root "linux-headers-$rel:arm64" 2>/dev/null) || {
		echo "apt has no linux-headers-$rel:arm64"
		exit 77
	}
	dpkg -x "$(ls -t "$KERF_KERNELS/debs/linux-headers-$rel"_*.deb | head -n 1)" "$root"
	include_from "$root" "$headers"
}

command=${1:-}
[ $# = 0 ] || shift
case $command in
fetch)
	for v in "$@"; do
		case $v in
		6.12-arm64) fetch_arm64 ;;
		*) fetch "$v" ;;
		esac
	done
	;;
checkpatch)
	checkpatch
	echo "$KERF_KERNELS/checkpatch/checkpatch.pl"
	;;
mend)
	mend "$KERF_KERNELS/$1" "$2"
	echo "$2" >"$KERF_KERNELS/$1/release"
	;;
release) release "$1" ;;
root) echo "$KERF_KERNELS/$1" ;;
kdir)
	case $1 in
	6.12-arm64)
		rel=$(release 6.12)
		echo "$KERF_KERNELS/6.12/usr/src/linux-headers-${rel%-amd64}-arm64"
		exit
		;;
	esac
	echo "$KERF_KERNELS/$1/lib/modules/$(release "$1")/build"
	;;
*) die "usage: kernels.sh fetch VERSION... | kdir|release|root VERSION | checkpatch" ;;
esac
