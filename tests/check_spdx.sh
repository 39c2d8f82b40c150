#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source file names its licence in its first three lines, and every such licence has its text.
cd "$(dirname "$0")/.." || exit 1
bad=0
list=$(git ls-files 2>/dev/null) || { echo "not a git checkout"; exit 77; }
for f in $list; do
	case $f in
	*.c | *.h | *.sh | *.py | *.proto | *.map | Makefile | .ci/run | *.mk) ;;
	*) continue ;;
	esac
	id=$(head -n 3 "$f" | sed -n 's/.*SPDX-License-Identifier: \([^ *]*\).*/\1/p')
	if [ -z "$id" ]; then
		echo "$f: no SPDX-License-Identifier"
		bad=1
	elif [ ! -e "LICENSES/$id.txt" ]; then
		echo "$f: LICENSES/$id.txt is missing"
		bad=1
	fi
done
exit $bad
