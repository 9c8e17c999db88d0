# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What it costs, in instructions that QEMU counts (selftests/runner/src/bench), and what
# the host makes of it (selftests/figures).
#
# Sets:  nothing; bench_short() counts in passed, failed and skipped.
# Reads: top, base, vm, release, series; TIMEOUT, WHOLE.

# Where there is KVM, how long calls take.
bench_time() { # JSON
	local SMP=1
	run_vm bench --time || return
	figures take "$vm/output" "$1"
}

# One VM of one CPU whose TSC counts instructions, idle time skipped. All that it could
# get from the machine around it is fixed.
bench_boot() { # JSON [OPTION...]
	local SMP=1 accelerator=tcg counted=yes limit=900
	[[ " $* " != *' --whole '* ]] || limit=7200
	local TIMEOUT=${TIMEOUT:-$limit}
	run_vm bench "${@:2}" || return
	figures take "$vm/output" "$1"
}

figures() {
	in_root build/cargo/release/figures "$@"
}

need_figures() {
	lock
	need_buildroot
	step USER "tables and plots" 60 build_figures
	unlock
}

# In the checkout: cargo takes what another one has built at a place for both for its own.
build_figures() {
	in_root cargo build --locked --release --quiet --manifest-path selftests/figures/Cargo.toml \
		--target-dir build/cargo
}

# The builder without a kernel.
hostbench() {
	choose_rust cargo cc
	"${rust[@]}" env -C "$top/selftests" cargo bench --locked --package hostbench
}

# Until two boots have counted the same: QEMU lets a busy host come between a guest that
# waits and its timers, now and then. The third one must be like one of the first two.
count_twice() { # DIRECTORY
	local one=$1/bench.json other=$1/again.json third=$1/third.json
	step BENCH "Linux $release" 90s bench_boot "$one" ${WHOLE:+--whole}
	step BENCH "Linux $release, again" 90s bench_boot "$other" ${WHOLE:+--whole}
	if (step SAME "both runs" 1 figures same "$one" "$other"); then return; fi
	step BENCH "Linux $release, a third time" 90s bench_boot "$third" ${WHOLE:+--whole}
	if (step SAME "the first and the third run" 1 figures same "$one" "$third"); then return; fi
	step SAME "the second and the third run" 1 figures same "$other" "$third"
	mv "$third" "$one"
}

# Each series.
bench() {
	local one json=() dir
	need_figures
	for one in "${series[@]}"; do
		need_vm "$one"
		dir=$(module_directory)
		count_twice "$dir"
		choose_accelerator
		if [[ $accelerator == kvm ]]; then
			step BENCH "Linux $release, time" 30s bench_time "$dir/time.json"
			figures time "$dir/bench.json" "$dir/time.json"
		fi
		json+=("$dir/bench.json")
	done
	for one in "${json[@]}"; do
		echo
		figures show "$one"
	done
	mkdir -p "$top/doc"
	figures report "$top/doc" "$top/README.md" "${json[@]}"
	say "instructions, not time: doc/bench.md has all of it, in $SECONDS s"
}

# One test: building in takeover costs no more than selftests/figures/limits lets it.
bench_short() {
	local text="what building costs, on Linux $release" short=$vm/bench.json log
	# (What watches every access is paid for by each builder in its own way.)
	if has_kasan; then
		say "skipped: what building costs, which under KASAN says nothing"
		skipped=$((skipped + 1))
	elif (step BENCH "$text" 15s bench_boot "$short" --short) &&
		(step LIMITS "$text" 1 figures check "$short" selftests/figures/limits); then
		passed=$((passed + 1))
		log=$(log_of LIMITS "$text")
		sed 's/^/          /' "$log"
	else
		failed=$((failed + 1))
	fi
}
