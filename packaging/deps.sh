#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what kerf needs on Debian. Run by `make deps`, `make demo`, `make check`.
# usage: packaging/deps.sh build|bpf|demo|test|arm64|kernel...
# What is installed already costs nothing; without root and with something missing, says
# what to install and fails.
set -eu

build="pkg-config libprotobuf-c-dev protobuf-c-compiler libjson-c-dev nettle-dev
libmicrohttpd-dev libcurl4-gnutls-dev libdrm-dev libncurses-dev"
bpf="clang bpftool libbpf-dev libelf-dev zlib1g-dev"
demo="iproute2"
test="libcmocka-dev libonnx-testdata python3-onnx iproute2 procps"
arm64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libprotobuf-c-dev:arm64
libjson-c-dev:arm64 nettle-dev:arm64 libcmocka-dev:arm64 libbpf-dev:arm64 libncurses-dev:arm64"
kernel="qemu-system-x86 busybox-static kmod cpio bc xz-utils zstd gcc-12 libelf-dev
libdrm-dev linux-libc-dev sparse pahole perl procps python3"

want=
for set in "$@"; do
	case $set in
	build) want="$want $build" ;;
	bpf) want="$want $bpf" ;;
	demo) want="$want $demo" ;;
	test) want="$want $test" ;;
	arm64) want="$want $arm64" ;;
	kernel) want="$want $kernel" ;;
	*)
		echo "deps.sh: unknown set '$set'" >&2
		exit 2
		;;
	esac
done

if ! command -v dpkg-query >/dev/null; then
	echo "deps.sh: not a Debian system; install by hand: $want" >&2
	exit 0
fi
missing=
for p in $want; do
	case $p in *:*) ;; *) p=$p:$(dpkg --print-architecture) ;; esac
	state=$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null ||
		dpkg-query -W -f='${Status}' "${p%:*}:all" 2>/dev/null || true)
	[ "$state" = "install ok installed" ] || missing="$missing ${p%:"$(dpkg --print-architecture)"}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "deps.sh: as root: apt-get install$missing" >&2
	exit 1
fi
echo "deps.sh: installing$missing" >&2
case $missing in
*:arm64*) [ "$(dpkg --print-architecture)" = arm64 ] || dpkg --add-architecture arm64 ;;
esac
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
