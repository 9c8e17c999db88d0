#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: confine.sh OWNER COMMAND...
#
# Runs COMMAND as root in mount and process namespaces of its own: nothing it
# mounts or starts outlives it, nor the process OWNER, however that one ends.

set -euo pipefail

setpriv --pdeathsig KILL unshare --mount --mount-proc --pid --fork --kill-child "${@:2}" <&0 &
tail --pid="$1" -f /dev/null >/dev/null 2>&1 &
status=0
wait -n || status=$?
kill "$!" 2>/dev/null || true
exit "$status"
