#!/bin/sh
# SPDX-License-Identifier: MIT
# No file has the marks that a merge leaves where it could not decide.
cd "$(dirname "$0")/.." || exit 1
git rev-parse >/dev/null 2>&1 || { echo "not a git checkout"; exit 77; }
! git grep -nIE '^(<{7}|>{7}|\|{7})( |$)'
