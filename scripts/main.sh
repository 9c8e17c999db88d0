#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: main.sh TARGET
#
# What the Makefile's targets do; `make help` tells them and their variables.
#
# Sets:  series (those that a test run goes through), counting (the run ends with the
#        count of tests), vm_limit (the seconds that a VM gets without TIMEOUT).
# Reads: top, cache, base, root, tree, release, inside, accelerator; KDIR, KVER,
#        KERNEL, FLAVOUR, SECONDS, CALLS, SEED, INSTALL_MOD_PATH.

# shellcheck source=scripts/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=scripts/buildroot.sh
. "$top/scripts/buildroot.sh"
# shellcheck source=scripts/kernel.sh
. "$top/scripts/kernel.sh"
# shellcheck source=scripts/ownkernel.sh
. "$top/scripts/ownkernel.sh"
# shellcheck source=scripts/tree.sh
. "$top/scripts/tree.sh"
# shellcheck source=scripts/vm.sh
. "$top/scripts/vm.sh"
# shellcheck source=scripts/kexec.sh
. "$top/scripts/kexec.sh"
# shellcheck source=scripts/compare.sh
. "$top/scripts/compare.sh"
# shellcheck source=scripts/test.sh
. "$top/scripts/test.sh"
# shellcheck source=scripts/kselftest.sh
. "$top/scripts/kselftest.sh"
# shellcheck source=scripts/mutants.sh
. "$top/scripts/mutants.sh"
# shellcheck source=scripts/stress.sh
. "$top/scripts/stress.sh"
# shellcheck source=scripts/teeth.sh
. "$top/scripts/teeth.sh"
# shellcheck source=scripts/bench.sh
. "$top/scripts/bench.sh"
# shellcheck source=scripts/report.sh
. "$top/scripts/report.sh"
# shellcheck source=scripts/look.sh
. "$top/scripts/look.sh"
# shellcheck source=scripts/hostmutants.sh
. "$top/scripts/hostmutants.sh"

counting='' vm_limit=1500
case ${KDIR:+own}${KVER:-} in
own*)	series=(own) ;;
?*)	series=("$KVER") ;;
*)	series=(7.2 7.3) ;;
esac
[[ -z ${KDIR:-} || -z ${KERNEL:-}${FLAVOUR:-} ]] || die "KDIR= is a kernel already: leave KERNEL= and FLAVOUR= out"
if [[ -n ${KERNEL:-} ]]; then
	[[ -z ${FLAVOUR:-} ]] || die "KERNEL=$KERNEL has no flavours: leave FLAVOUR= out"
	[[ -n ${KVER:-} ]] || series=(7.2)
	# What watches every access takes memory and time.
	: "${MEM:=3072}"
	vm_limit=7200
fi

finish() {
	local status=$? left
	for left in $(jobs -p); do kill "$left" 2>/dev/null || true; done
	# (After an interrupt, that is for the next run.)
	((status > 128)) || for left in "$cache"/tmp/*."$$"; do discard "$left"; done
	# Root, at work for somebody else, leaves nothing of root's behind.
	if ((EUID == 0)) && [[ -d $top/build ]]; then chown -R --reference="$top" "$top/build"; fi
	[[ -z $counting ]] || { summary $status && status=0 || status=1; }
	exit $status
}
trap finish EXIT

# All that a VM of the kernel SERIES takes.
need_vm() {
	lock
	need_buildroot
	need_tree "$1"
	check_bootable
	build_all
	need_initramfs
	unlock
}

# For `tree`: the module, and the selftests with what they need.
build_all() {
	step MODULE "rust_fsession.ko for Linux $release" 12 kbuild modules
	step TARGETS "modules for the selftests to trace" 7 build_targets
	step USER "programs and BPF objects" 120 build_user
}

# They are no part of the module: built apart, never installed.
build_targets() {
	kbuild M="$top/selftests/targets" MO="$(module_directory)/targets" "$@" modules
}

build_user() {
	in_root make -C selftests bins bpf VMLINUX_BTF="$tree/vmlinux" OUTPUT="$(module_directory)/user" \
		CARGO_TARGET_DIR="$base/cargo" V=1
}

# The compilers may be in the build root, the place to install to is not.
install_module() {
	local place
	[[ -z ${INSTALL_MOD_PATH:-} ]] || INSTALL_MOD_PATH=$(realpath -m "$INSTALL_MOD_PATH")
	place=${INSTALL_MOD_PATH:-}/lib/modules
	((${#inside[@]} == 0)) || inside+=(-b "$place")
	if ! { mkdir -p "$place" && [[ -w $place ]]; } 2>/dev/null; then
		need_root "installing in $place"
		as_root mkdir -p "$place"
		if ((${#inside[@]})); then inside+=(-r); else inside=(as_root); fi
	fi
	kbuild modules_install
}

clean() {
	rm -rf "$top/build" "$top/selftests/target" "$top/rust-project.json"
	# What a build without the Makefile left beside the sources.
	[[ -z ${KDIR:-} ]] || make -C "$KDIR" M="$top" clean
}

# Drops the trees that no link names (any more), and what another list of
# packages made.
prune() {
	local one used
	used=$(find "$base" -maxdepth 1 -type l -exec realpath {} +)
	for one in "$base"/linux-*-amd64 "$base"/{linux,building}-*-+([0-9a-f]) "$cache"/+([0-9a-f]); do
		[[ ! -d $one || -L $one || $one == "$base" || $used == *"$one"* ]] ||
			step CLEAN "${one##*/}" 1 discard "$one"
	done
}

case $1 in
run)
	need_vm "${series[0]}"
	run_vm demo
	say "all of it held, on Linux $release, in $SECONDS s"
	;;
test)
	counting=yes
	lint "${series[0]}"
	hosttest
	need_figures
	in_vms vmtest stress_short bench_short matrix
	;;
vmtest)
	counting=yes
	in_vms vmtest
	;;
kunit)
	counting=yes
	kunit "${series[0]}"
	;;
vng)
	counting=yes
	for one in "${series[@]}"; do vng "$one"; done
	;;
kselftest)
	counting=yes
	kselftest
	;;
mutants)
	counting=yes
	mutants "${series[0]}"
	;;
stress)
	seconds=$(stress_seconds)
	need_vm "${series[0]}"
	stress "$seconds"
	;;
bench)
	bench
	;;
teeth)
	counting=yes
	teeth "${series[0]}"
	;;
hostbench)
	hostbench
	;;
hostmutants)
	counting=yes
	hostmutants
	;;
compare)
	need_vm "${series[0]}"
	compare
	;;
badinput)
	# To bash it is a clock, what was asked for is in the environment.
	seconds=$(printenv SECONDS) || seconds=
	need_vm "${series[0]}"
	run_vm badinput ${seconds:+--seconds "$seconds"} ${CALLS:+--calls "$CALLS"} \
		${SEED:+--seed "$SEED"}
	;;
faults)
	need_vm "${series[0]}"
	status=0
	MEM=${MEM:-2048} run_vm faults || status=$?
	# What did not run is no success.
	((status != 4)) || say "skipped: Linux $release injects no faults (KERNEL=debug does)"
	exit $status
	;;
matrix)
	counting=yes
	in_vms matrix
	;;
lint)
	counting=yes
	lint "${series[0]}"
	;;
hosttest)
	counting=yes
	hosttest
	;;
captures)
	captures "${series[0]}"
	;;
report)
	report
	;;
report-test)
	counting=yes
	report_test
	;;
fuzz)
	# To bash it is a clock, what was asked for is in the environment.
	seconds=$(printenv SECONDS) || seconds=60
	[[ $seconds == [1-9]*([0-9]) ]] || die "for how many seconds? 'make fuzz SECONDS=60'"
	lock
	need_buildroot
	step USER "fuzz target" 10 in_root selftests/fuzz/run.sh build "$base/fuzz"
	unlock
	text="arbitrary input, for $seconds s"
	step FUZZ "$text" "${seconds}s" in_root selftests/fuzz/run.sh "$seconds" "$base/fuzz"
	tail -n 1 "$(log_of FUZZ "$text")"
	;;
shell)
	need_vm "${series[0]}"
	choose_accelerator
	say "a shell in Linux $release ($accelerator); leave it with 'poweroff -f' or Ctrl-A X"
	boot "$accelerator" 0 shell -serial mon:stdio || true
	;;
fmt)
	choose_rust rustfmt
	# shellcheck disable=SC2119
	format
	;;
kernel)
	lock
	need_tree "${series[0]}"
	say "the kernel tree is $tree"
	;;
modules)
	lock
	need_tree "${series[0]}"
	kbuild modules
	say "the module is $(module_directory)/rust_fsession.ko"
	;;
modules_install)
	lock
	need_tree "${series[0]}"
	install_module
	;;
rust-analyzer)
	lock
	need_tree "${series[0]}"
	kbuild rust-analyzer
	"${inside[@]}" "$top/scripts/rust-analyzer.py" "$(module_directory)" "${inside:+$root}" \
		>"$top/rust-project.json.$$"
	publish "$top/rust-project.json.$$" "$top/rust-project.json"
	;;
update)
	lock
	need_buildroot
	for one in "$base"/linux-+([0-9]).+([0-9])?(-+([a-z])); do
		one=${one##*/linux-}
		FLAVOUR=${one#"${one%%-*}"} FLAVOUR=${FLAVOUR#-}
		need_kernel "${one%%-*}" update
	done
	# Those of our own are built anew by who asks for one.
	for one in "$base"/linux-+([0-9]).+([0-9])-+([a-z])-+([0-9a-f]); do
		if [[ -L $one ]] && ! is_newest "$one"; then rm "$one"; fi
	done
	prune
	;;
clean)
	clean
	;;
distclean)
	clean
	lock
	need_root "removing the build root"
	step CLEAN "$cache" 1 discard "$cache"
	;;
esac
