#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: enter.sh ROOT DIRECTORY[:PLACE]... -- COMMAND...
#
# Gives ROOT proc, dev, the machine's network names and each DIRECTORY at PLACE or
# its own path, and runs COMMAND. Called through confine.sh, which takes the mounts away.

set -euo pipefail

root=$1
shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
for name in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
	[[ ! -e $name || ! -e $root$name ]] || mount --bind "$(realpath "$name")" "$root$name"
done
while [[ $1 != -- ]]; do
	mkdir -p "$root${1#*:}"
	mount --bind "${1%:*}" "$root${1#*:}"
	shift
done
shift
# Not exec: the first process of a namespace is deaf to its own abort().
"$@"
