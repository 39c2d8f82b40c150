#!/bin/sh
# SPDX-License-Identifier: MIT
# The kernel tests, a line "NAME LIMIT_S SOURCE [PARAMETER=VALUE...]" each. A test says in a comment at its
# head what it needs: "limit-s: 200" seconds, "module-params: a=b ..." to be loaded with; and with
# "kernel-log: silent" that the module must not log anything meanwhile.
# usage: list.sh [NAME...] | --silent   (the names of those that say so)
cd "$(dirname "$0")/../.." || exit 1
says() {
	sed -n "1,20s|^.*$1: *\([^*]*[^* ]\).*|\1|p" "$2" | head -n 1
}
if [ "${1:-}" = --silent ]; then
	# shellcheck disable=SC2046
	echo $(grep -lE 'kernel-log: *silent' tests/kernel/test_*.c tests/kernel/guest_*.sh 2>/dev/null |
		sed 's|.*/||; s|\.[a-z]*$||')
	exit
fi
for t in tests/kernel/test_*.c tests/kernel/guest_*.sh; do
	[ -e "$t" ] || continue
	name=$(basename "${t%.*}")
	case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
	limit=$(says limit-s "$t")
	echo "$name ${limit:-${KERF_VM_LIMIT:-120}} $t $(says module-params "$t")"
done
