#!/bin/sh
# SPDX-License-Identifier: MIT
# The checking kernel: User-Mode Linux with KASAN, lockdep, kmemleak, object debugging and fault
# injection (uml.config), built from Debian's linux-source package under $KERF_KERNELS/uml. It is
# laid out there as kernels.sh lays out the others, so that `vm.sh --kernel uml` boots it.
# usage: uml.sh   exits 77 when what it needs is not to be had
set -eu
cd "$(dirname "$0")/../.."
: "${O:=build}" "${MAKE:=make}" "${JOBS:=2}" "${KERF_UML_SOURCE:=linux-source-6.12}"
case ${KERF_KERNELS:=$O/kernels} in /*) ;; *) KERF_KERNELS=$PWD/$KERF_KERNELS ;; esac
root=$KERF_KERNELS/uml
config=$PWD/tests/kernel/uml.config

skip() {
	echo "$*"
	exit 77
}

um() {
	env -u CC -u CFLAGS -u CPPFLAGS -u LDFLAGS -u MAKEFLAGS -u O nice -n 10 "$MAKE" -s \
		-C "$root/source" O="$root/build" ARCH=um "$@"
}

source() {
	for p in apt-cache apt-get; do
		command -v $p >/dev/null || skip "$p is not installed"
	done
	if ! apt-cache show "$KERF_UML_SOURCE" >/dev/null 2>&1; then
		[ "$(id -u)" != 0 ] || apt-get update -qq || :
		apt-cache show "$KERF_UML_SOURCE" >/dev/null 2>&1 || skip "apt has no $KERF_UML_SOURCE"
	fi
	echo "uml.sh: fetching and unpacking $KERF_UML_SOURCE" >&2
	mkdir -p "$KERF_KERNELS/debs"
	(cd "$KERF_KERNELS/debs" && apt-get download -qq "$KERF_UML_SOURCE") ||
		skip "apt-get could not download $KERF_UML_SOURCE"
	rm -rf "$root/unpack"
	mkdir -p "$root/unpack"
	dpkg-deb --fsys-tarfile "$(ls -t "$KERF_KERNELS/debs/${KERF_UML_SOURCE}"_*.deb | head -n 1)" |
		tar -xO "./usr/src/$KERF_UML_SOURCE.tar.xz" | nice xz -dc |
		tar -x -C "$root/unpack" --strip-components=1
	mv "$root/unpack" "$root/source"
}

# A fork that is killed half-way leaves a mark among the mappings (XA_ZERO_ENTRY), which this port takes
# for a mapping when the rest is torn down, and panics.
mend() {
	grep -q xa_is_zero "$1" || sed -i 's|^\tfor_each_vma(vmi, vma)$|& {\n\t\tif (xa_is_zero(vma))\n\t\t\tbreak;|
		s|^\t\tum_tlb_mark_sync(mm, vma->vm_start.*|&\n\t}|' "$1"
	grep -q xa_is_zero "$1"
}

stamp="$KERF_UML_SOURCE $(cat "$config" tests/kernel/uml.sh | cksum)"
[ "$(cat "$root/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
for tool in flex bison bc xz dpkg-deb depmod; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
[ -d "$root/source" ] || source
rm -f "$root/stamp" "$root/release"
mend "$root/source/arch/um/kernel/tlb.c"
mkdir -p "$root/build" "$root/boot"
KCONFIG_ALLCONFIG=$config um allnoconfig >"$root/build.log"
# What the configuration asks for and the kernel does not know would be missed in silence.
grep '^CONFIG_' "$config" | grep -vxFf "$root/build/.config" >&2 && {
	echo "uml.sh: the kernel does not take the options above" >&2
	exit 1
}
echo "uml.sh: building the kernel (minutes, once)" >&2
um -j"$JOBS" linux modules >>"$root/build.log" 2>&1 || {
	tail -n 20 "$root/build.log" >&2
	echo "uml.sh: the kernel does not build" >&2
	exit 1
}
rel=$(um kernelrelease)
rm -rf "$root/lib"
mkdir -p "$root/lib/modules/$rel"
cp "$root/build/modules.builtin" "$root/build/modules.builtin.modinfo" "$root/build/modules.order" \
	"$root/lib/modules/$rel"
ln -s "$root/build" "$root/lib/modules/$rel/build"
depmod -b "$root" "$rel"
cp --remove-destination "$root/build/linux" "$root/boot/linux"
echo "$rel" >"$root/release"
echo "$stamp" >"$root/stamp"
