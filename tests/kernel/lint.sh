#!/bin/sh
# SPDX-License-Identifier: MIT
# The module under W=1, sparse with byte orders, kernel-doc and checkpatch. What any of them says of our
# files is a failure.
# usage: lint.sh [VERSION...]
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${O:=build}" "${MAKE:=make}" "${KERF_KERNELS:=$O/kernels}"
[ $# -gt 0 ] || set -- 6.1 6.12 6.12-arm64
bad=0 done=''
command -v sparse >/dev/null || {
	echo "sparse is not installed"
	exit 77
}
for k in "$@"; do
	tests/kernel/kernels.sh fetch "$k" >"$O/lint-fetch" 2>&1 || {
		echo "$k is left out: $(tail -n 1 "$O/lint-fetch")"
		continue
	}
	done="$done $k"
	rm -rf "$O/lint/kmod"
	$MAKE -s -j"${JOBS:-$(nproc)}" kmod O="$O/lint" KDIR="$(tests/kernel/kernels.sh kdir "$k")" \
		KMOD_ARGS="W=1 C=2 CF=-D__CHECK_ENDIAN__" >"$O/lint.log" 2>&1 || {
		bad=1
		echo "$k: the module does not build"
	}
	# The kernel's own headers have warnings of their own for old and new tools.
	if grep -E '(^|/)(kmod|uapi)/[^ ]*: (warning|error)|^(WARNING|ERROR): modpost' "$O/lint.log"; then
		bad=1
		echo "$k: see above"
	fi
	doc=$(tests/kernel/kernels.sh kdir "$k")/scripts/kernel-doc
done
[ -n "$done" ] || {
	tail -n 1 "$O/lint-fetch"
	exit 77
}

if perl "$doc" -none kmod/*.[ch] uapi/*.h 2>&1 | grep -E 'warning|error'; then
	bad=1
	echo "kernel-doc: see above"
fi

if checkpatch=$(tests/kernel/kernels.sh checkpatch); then
	perl "$checkpatch" --no-tree --no-summary --terse --file --max-line-length=100 \
		--ignore SPDX_LICENSE_TAG,CONSTANT_COMPARISON kmod/*.[ch] uapi/*.h || bad=1
else
	echo "checkpatch is left out: $checkpatch"
fi
exit $bad
