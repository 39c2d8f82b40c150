#!/bin/sh
# SPDX-License-Identifier: MIT
# The client printed in docs/uapi.md compiles as it stands, and each uapi header compiles alone, as C and as C++.
cd "$(dirname "$0")/.." || exit 1
CC=${CC:-cc}
drm=$(${PKG_CONFIG:-pkg-config} --cflags libdrm 2>/dev/null)
if ! echo '#include <drm.h>' | $CC $drm -fsyntax-only -xc - 2>/dev/null; then
	echo "drm.h not found: libdrm-dev is missing"
	exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
awk '/^```c$/ {on = 1; next} /^```$/ {on = 0} on' docs/uapi.md >"$dir/client.c"
[ -s "$dir/client.c" ] || { echo "docs/uapi.md: no client in it"; exit 1; }
# shellcheck disable=SC2086
$CC -Wall -Wextra -Werror $drm -Iuapi -o "$dir/client" "$dir/client.c" || exit 1
for h in uapi/*.h; do
	for lang in c c++; do
		[ $lang = c ] || command -v "${CXX:-c++}" >/dev/null || continue
		compiler=$CC
		[ $lang = c ] || compiler=${CXX:-c++}
		# shellcheck disable=SC2086
		printf '#include "%s"\n' "$h" | $compiler -Wall -Wextra -Wpedantic -Werror $drm -I. \
			-fsyntax-only -x$lang - || exit 1
	done
done
