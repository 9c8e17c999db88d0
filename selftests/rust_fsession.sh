#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: rust_fsession.sh [ARGUMENT...]
#
# The selftests on the running kernel, in KTAP: loads the modules beside it, has
# bin/runner do what the ARGUMENTs say (everything, unless they name tests), and
# unloads the modules. Exits with 4, kselftest's "skipped", where this machine
# lacks something, but fails where what fits the machine does not work.

skip() {
	echo "TAP version 13"
	echo "1..0 # SKIP $*"
	exit 4
}

fail() { # NAME WHY
	echo "TAP version 13"
	echo "1..1"
	echo "# $2"
	echo "not ok 1 $1"
	exit 1
}

load() { # MODULE
	why=$(insmod "$here/modules/$1.ko" 2>&1) || {
		unload
		fail "load_$1" "$1.ko does not load: ${why#*"$1.ko": }; dmesg may say more"
	}
}

# A line in the kernel log, for the runner to begin at.
mark() { # WHAT
	mark="rust_fsession.sh: $1, process $$"
	echo "$mark" >/dev/kmsg
}

# An image keeps its module for as long as a task could be in there, which is
# some grace periods after the detach.
unload() {
	for module in rust_fsession rust_fsession_targets; do
		tries=50
		while [ -e "/sys/module/$module" ] && ! rmmod "$module" 2>/dev/null; do
			tries=$((tries - 1))
			[ $tries -gt 0 ] || { rmmod "$module"; return 1; }
			sleep 0.2
		done
	done
}

# Usually they are there; a minimal system may have left them out.
mounted() { # TYPE DIRECTORY
	grep -q " $2 $1 " /proc/mounts || mount -t "$1" "$1" "$2" || skip "no $1 in $2"
}

# Where they are run from the sources, what was built is elsewhere.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
[ -e "$here/bin/runner" ] || here=${OUTPUT:-$here}

[ "$(id -u)" = 0 ] || skip "it takes root"
[ -r /sys/kernel/btf/vmlinux ] || skip "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)"
grep -q bpf_tramp_skip /sys/kernel/btf/vmlinux ||
	skip "Linux $(uname -r) has no fsession that fits: it takes 7.2 or newer"
for file in bin/runner modules/rust_fsession.ko modules/rust_fsession_targets.ko; do
	[ -e "$here/$file" ] || fail build "$here/$file is not there: build the selftests first"
done
mounted debugfs /sys/kernel/debug
mounted tracefs /sys/kernel/tracing
mounted bpf /sys/fs/bpf

# Somebody's module may be another build.
unload || fail unload "rust_fsession.ko is loaded and in use"
# What the kernel says of loading and unloading counts as well.
mark begin
load rust_fsession
load rust_fsession_targets
"$here/bin/runner" --since "$mark" "$@"
status=$?
mark end
# Where ftrace has died (--dead), the module stays until the next boot.
[ "$(cat /sys/module/rust_fsession/initstate 2>/dev/null)" = going ] || unload || status=1
"$here/bin/runner" --only-log --since "$mark" || status=1
exit $status
