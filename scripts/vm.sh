# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The virtual machine: an initramfs with the module and the userspace programs,
# QEMU, and the judgement of what happened in there.
#
# Sets:  vm (the directory of one VM), suite (what it runs, below vm), accelerator.
# Reads: top, root, tree, release, vm_limit; KERNEL, ACCEL, CPU, SMP, MEM, CMDLINE,
#        TIMEOUT, initramfs, counted and beside (the file of a third serial port), which a
#        caller may have as local variables for a VM of its own.

check_bootable() {
	[[ -f $tree/arch/x86/boot/bzImage && -f $tree/vmlinux ]] ||
		die "$tree has no vmlinux and arch/x86/boot/bzImage to boot: run 'make -C $tree'"
	check_configuration "$tree" "$tree" "$top/selftests/config"
}

# Gathers what was built for `tree` in $vm/suite, as kselftest installs it; with
# it, a run needs nothing that another one may be building.
need_suite() {
	local built
	built=$(module_directory)
	vm=$(temporary "vm-$release")
	suite=$vm/suite
	rm -rf "$vm"
	mkdir -p "$suite"/{bin,obj,modules}
	cp "$built"/user/bin/* "$suite/bin"
	cp "$built"/user/obj/*.bpf.o "$suite/obj"
	cp "$built/rust_fsession.ko" "$built"/targets/*.ko "$suite/modules"
	cp "$top/selftests/rust_fsession.sh" "$suite"
}

# Makes $vm/initramfs: the suite, and an init that runs it.
need_initramfs() {
	need_suite
	mkdir "$suite"/{proc,sys,dev,tmp}
	cp "$root/usr/bin/busybox" "$suite/bin"
	cp "$top/scripts/guest-init" "$suite/init"
	pack_initramfs
}

pack_initramfs() { pack "$suite" "$vm/initramfs"; }

pack() { # DIRECTORY FILE
	# shellcheck disable=SC2016
	in_root sh -c 'cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 >"$2"' -- "$@"
}

# run_vm JOB...: boots `tree` and has its init do JOB, whose output comes through
# live and is in $vm/output afterwards; the kernel log is beside the module. Fails
# when the job does, when the guest does not answer, when its kernel complained.
run_vm() {
	local console begin=$SECONDS
	console=$(module_directory)/console.log
	choose_accelerator
	printf '  %-7s %s\n\n' VM "Linux $release ($accelerator)"
	qemu "$accelerator" "${TIMEOUT:-$vm_limit}" "$*"
	cp "$vm/console" "$console"
	# The tests and the walk along faults know which warnings to expect; other jobs
	# expect none.
	[[ $1 == @(test|faults) ]] || warnings "$console" || return
	judge "$console" $((SECONDS - begin))
}

# Fails where the module said anything: on the console are warnings and errors only.
warnings() { # CONSOLE
	local said
	said=$(grep -avFf <(listed harmless) "$1" | grep -aE '(^|[] ])rust_fsession: ' | head -n 20) ||
		return 0
	printf '%s\n' "$said" | sed 's/^/  | /' >&2
	say "the module complained (above), the whole log is $1" >&2
	return 1
}

judge() { # CONSOLE SECONDS
	local complaints status taint
	complaints=$(splats "$1" | head -n 20) || true
	if [[ -n $complaints ]]; then
		printf '%s\n' "$complaints" | sed 's/^/  | /' >&2
		say "the guest's kernel complained (above), the whole log is $1" >&2
		return 1
	fi
	read -r status taint < <(sed -nE 's/^guest: done, status (.*), taint (.*)$/\1 \2/p' "$vm/output") || true
	if [[ -z $status ]]; then
		tail -n 5 "$vm/qemu" "$1" | sed 's/^/  | /' >&2
		if grep -q '^guest: up' "$vm/output"; then
			say "the guest stopped in the middle of its job after $2 s" \
				"(TIMEOUT= gives it longer), its log is $1" >&2
		else
			say "the guest never answered in $2 s under $accelerator (ACCEL=)," \
				"its log is $1" >&2
		fi
		return 1
	fi
	# That it warned, a kernel may owe to a splat of its own.
	! grep -aqFf <(listed known) "$1" || taint=$((taint & ~(1 << 9)))
	if tainted "$taint"; then
		say "the guest's kernel is tainted ($taint) by more than the module, its log is $1" >&2
		return 1
	fi
	return "$status"
}

# The list in selftests/splats, which tells how it is read, as the runner has it:
# the lines of LOG that no kernel log may hold, whatever the job in the guest says.
splats() { # LOG
	local texts
	texts=$(listed splat | sed 's/.*/\\Q&\\E/' | paste -sd '|')
	grep -avFf <(listed harmless) "$1" | without_known | grep -aP "(?<!\w)($texts)"
}

# Drops of each splat that is the kernel's own matter what gives it away.
without_known() {
	KNOWN=$(listed known) awk '
		BEGIN { n = split(ENVIRON["KNOWN"], known, "\n") }
		{ for (i = 1; i <= n; i++) if (index($0, known[i])) { open++; next } }
		open && /Call Trace:/ { open--; next }
		{ print }'
}

# The same in /proc/sys/kernel/tainted.
tainted() { # TAINT
	local bit
	for bit in $(listed taint); do ! (($1 >> bit & 1)) || return 0; done
	return 1
}

listed() { # KIND
	sed -n "s/^$1 //p" "$top/selftests/splats"
}

# KVM has to prove itself: on a nested machine the device node alone says little.
choose_accelerator() {
	[[ ${accelerator:=${ACCEL:-auto}} == auto ]] || return 0
	accelerator=tcg
	[[ -w /dev/kvm ]] || return 0
	qemu kvm 15 probe
	! grep -q '^guest: done' "$vm/output" || accelerator=kvm
}

qemu() { # ACCELERATOR SECONDS JOB
	: >"$vm/console"
	boot "$@" -serial stdio </dev/null 2>"$vm/qemu" | output || true
}

# Keeps and shows what comes from a guest, as plain text.
output() {
	sed -u -e 's/\x1b\[[0-9;?]*[A-Za-z]//g; s/[\x00-\x08\x0b-\x1f\x7f]//g' \
		-e "w $vm/output" -e '/^guest: /d'
}

boot() { # ACCELERATOR SECONDS JOB [QEMU-OPTION...]
	local accelerator=$1 limit=$2 job=$3 options cpus=(-accel kvm -cpu "${CPU:-host}")
	shift 3
	options=$(kernel_options "$accelerator")
	[[ $accelerator == kvm ]] || read -ra cpus <<<"$(emulated_cpus)"
	in_root timeout --foreground "$limit" qemu-system-x86_64 \
		"${cpus[@]}" -smp "${SMP:-2}" -m "${MEM:-1024}" \
		-display none -nodefaults -no-user-config -no-reboot \
		-kernel "$tree/arch/x86/boot/bzImage" -initrd "${initramfs:-$vm/initramfs}" \
		-append "console=ttyS0 loglevel=6 $options -- $job" \
		-serial "file:$vm/console" "$@" ${beside:+-serial "file:$beside"}
}

# With a thread for each CPU, one that translates code while another one patches it
# may keep the breakpoint that patching begins with, and dies of it later.
emulated_cpus() {
	local cpu=max
	# While the kernel identifies its CPU, it takes addresses for as wide as they are with
	# four levels of pages; with five, KASAN calls an interrupt's accesses wild then.
	[[ ${KERNEL:-} != debug ]] || cpu=max,la57=off
	printf '%s' "-accel tcg,thread=single -cpu ${CPU:-$cpu}${counted:+ $counting_clock}"
}

# A nanosecond an instruction, and the same random numbers and date each time.
counting_clock="-icount shift=0,sleep=off -seed 1 -rtc base=2026-01-01,clock=vm"

kernel_options() { # ACCELERATOR
	# Emulated time runs unevenly on a busy machine, too much so for the kernel to
	# calibrate its delays (its guess may be wrong by orders of magnitude), to hold
	# one clock against another, to see whether the timer's interrupts arrive, and to
	# call a CPU stuck that was not let run.
	[[ $1 != tcg ]] || printf 'lpj=8000000 tsc=nowatchdog no_timer_check %s ' \
		'watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120'
	printf 'panic=-1 oops=panic %s' "${CMDLINE:-}"
}
