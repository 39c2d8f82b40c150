#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source file names its licence in its first three lines, every licence and exception in
# that expression has its text in LICENSES, and each part of the tree has the licence it should.
cd "$(dirname "$0")/.." || exit 1
bad=0
list=$(git ls-files 2>/dev/null) || { echo "not a git checkout"; exit 77; }
complain() {
	echo "$*"
	bad=1
}
for f in $list; do
	case $f in
	*.c | *.h | *.S | *.sh | *.py | *.proto | *.map | Makefile | */Makefile | .ci/run | *.mk) ;;
	Kbuild | */Kbuild | *.rules | *.conf | *.cfg) ;;
	*) continue ;;
	esac
	# "A WITH B OR C": the words between the operators
	id=$(head -n 3 "$f" | sed -n 's/.*SPDX-License-Identifier: *//p' |
		sed 's, *\*/.*,,; s, *-->.*,,; s/[[:space:]]*$//' | head -n 1)
	[ -n "$id" ] || {
		complain "$f: no SPDX-License-Identifier"
		continue
	}
	for name in $(echo "$id" | tr -d '()' | sed 's/ \(WITH\|OR\|AND\) / /g'); do
		[ -e "LICENSES/$name.txt" ] || complain "$f: LICENSES/$name.txt is missing"
	done
	case $f in
	kmod/* | tests/kernel/gpu_jobs/* | Kbuild) want="GPL-2.0-only" ;;
	uapi/*) want="GPL-2.0-only WITH Linux-syscall-note OR MIT" ;;
	*.bpf.c) want="GPL-2.0-only OR BSD-2-Clause" ;;
	bpf/*) continue ;;
	*) want="MIT" ;;
	esac
	[ "$(echo "$id" | tr -d '()')" = "$want" ] || complain "$f: $id, but $want is what stands there"
done
exit $bad
