# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The selftests elsewhere than in the VM of vm.sh: in virtme-ng's, and on this
# machine. Sourced after test.sh.
#
# Sets:  nothing; counts in passed, failed and skipped.
# Reads: tree, release, suite, vm, accelerator; T, CPU, SMP, MEM, TIMEOUT.

# virtme-ng shows the guest the build root instead of an initramfs.
vng() { # SERIES
	local status=0 console job begin options
	need_vm "$1"
	choose_accelerator
	console=$(module_directory)/console.log
	: >"$vm/qemu"
	begin=$SECONDS
	# Verbose, the kernel log goes to standard error.
	options=(--verbose --cpus "${SMP:-2}" --memory "${MEM:-1024}M" --user root
		--append "$(kernel_options "$accelerator")")
	if [[ $accelerator == tcg ]]; then
		options+=(--disable-kvm --qemu-opts="$(emulated_cpus)")
	elif [[ -n ${CPU:-} ]]; then
		options+=(--qemu-opts="-cpu $CPU")
	fi
	# (What is below /tmp or /var/tmp, the guest does not see.)
	job="/mnt/rust_fsession.sh ${T:-}
echo \"guest: done, status \$?, taint \$(cat /proc/sys/kernel/tainted)\""
	printf '  %-7s %s\n\n' VNG "Linux $release ($accelerator)"
	in_root -b "$suite:/mnt" env -C / timeout --foreground "${TIMEOUT:-$vm_limit}" \
		vng --run "$tree/arch/x86/boot/bzImage" "${options[@]}" --exec "$job" \
		</dev/null 2>"$vm/console" | output || true
	cp "$vm/console" "$console"
	judge "$console" $((SECONDS - begin)) || status=$?
	tally_ktap $status
}

# On the running kernel, in the way that `make -C selftests run_tests` goes.
kselftest() {
	local running status=0
	running=$(uname -r)
	grep -qs bpf_tramp_skip /sys/kernel/btf/vmlinux || {
		none "Linux $running has no BTF, or no fsession that fits: it takes 7.2 or newer"
		return
	}
	lock
	need_tree "$(cut -d. -f1,2 <<<"$running")"
	[[ $release == "$running" ]] || {
		none "the tree is Linux $release, this machine runs $running: give its tree as KDIR="
		return
	}
	build_all
	need_suite
	unlock
	need_root "running the selftests"
	# shellcheck disable=SC2086 # T may name several tests.
	as_root "$suite/rust_fsession.sh" ${T:-} | tee "$vm/output" || status=$?
	if ((status == 4)) && grep -q '^1\.\.0 # SKIP' "$vm/output"; then
		skipped=$((skipped + 1))
	else
		tally_ktap $status
	fi
}

# Nothing could be run, and why.
none() { # REASON
	printf 'TAP version 13\n1..0 # SKIP %s\n' "$1"
	skipped=$((skipped + 1))
}
