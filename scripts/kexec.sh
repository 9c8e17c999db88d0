# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A VM whose kernel boots another one (selftests/runner/src/tests/kexec.rs). The test
# begins in the one and ends in the other, whose init has a small suite.
#
# Sets:  nothing.
# Reads: tree, vm, suite; CMDLINE.

# As run_vm. Both kernels have the same console, and what the first one did last is
# only there.
run_kexec() { # JOB...
	local initramfs=$vm/initramfs-kexec console line
	pack_kexec "$initramfs" || return
	# What the programs of kexec.bpf.c print goes to the console.
	CMDLINE="${CMDLINE:-} tp_printk" run_vm "$@" || return
	console=$(module_directory)/console.log
	warnings "$console" || return
	# There a thread writes to the console, and does not live to write the last lines.
	! grep -qx CONFIG_PREEMPT_RT=y "$tree/.config" || return 0
	for line in 'kexec: device_shutdown() has returned' 'Starting new kernel' \
		'kexec: machine_shutdown() has returned'; do
		grep -aqF "$line" "$console" && continue
		say "the first kernel did not say '$line', the whole log is $console" >&2
		return 1
	done
}

# The usual initramfs, behind it one with the other kernel and what that boots into.
pack_kexec() { # FILE
	local first=$vm/kexec-first second=$vm/kexec-second
	rm -rf "$first" "$second"
	mkdir -p "$first/kexec" "$second"/{bin,obj,modules,proc,sys,dev,tmp}
	cp "$suite"/bin/{busybox,runner} "$second/bin"
	cp "$suite/obj/probe.bpf.o" "$second/obj"
	cp "$suite/modules/rust_fsession.ko" "$second/modules"
	cp "$suite/init" "$second"
	cp "$tree/arch/x86/boot/bzImage" "$first/kexec"
	pack "$second" "$first/kexec/initrd" && pack "$first" "$1.second" || return
	cat "$vm/initramfs" "$1.second" >"$1"
	rm -rf "$first" "$second" "$1.second"
}
