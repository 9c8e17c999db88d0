# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Everything that must hold, and the count of what did.
#
# Sets:  passed, failed, skipped (the count).
# Reads: top, series, tree, vm; T, CPU, CMDLINE.

passed=0 failed=0 skipped=0

# --- Lint gates: each counts as one test -------------------------------------

lint() { # SERIES
	lock
	need_buildroot
	need_tree "$1"
	choose_rust rustfmt
	gate rustfmt format --check
	gate shellcheck in_root shellcheck -xa scripts/main.sh scripts/confine.sh \
		scripts/enter.sh scripts/guest-init .ci/run selftests/fuzz/run.sh \
		selftests/rust_fsession.sh
	gate "module, clippy" spotless CLIPPY=1
	gate "module, W=1" spotless W=1
	gate "test targets, W=1" spotless W=1 M="$top/selftests/targets"
	gate "programs, clippy" in_root env -C selftests cargo clippy --locked --workspace \
		--all-targets -- -D warnings
	gate "mutants, all of them fit" mutants_fit
	unlock
}

gate() { # NAME COMMAND...
	if (step LINT "$1" 60 "${@:2}"); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
}

# shellcheck disable=SC2120
format() { # [--check]
	local sources
	mapfile -t sources < <(find "$top"/{src,rust,selftests} -name target -prune -o -name '*.rs' -print)
	"${rust[@]}" rustfmt --edition 2021 "$@" "${sources[@]}"
}

# Sets `rust` (how to reach rustc, cargo and rustfmt): this machine's if COMMANDs
# are there and new enough for the crates of selftests/, else the build root's.
choose_rust() { # COMMAND...
	local oldest
	oldest=$(sed -n 's/^rust-version = "1\.\([0-9]*\)"$/\1/p' "$top/selftests/Cargo.toml")
	rust=()
	[[ $(rustc --version 2>/dev/null) =~ ^rustc\ 1\.([0-9]+) ]] &&
		((BASH_REMATCH[1] >= oldest)) && all_run "$@" && return
	lock
	need_buildroot
	rust=(in_root)
}

all_run() { # COMMAND...
	local one
	for one; do "$one" --version &>/dev/null || return; done
}

# A build from nothing that warns of nothing.
spotless() { # VARIABLE=VALUE [M=DIRECTORY]
	local "$1" MO='' output status=0
	rm -rf "$(module_directory)"
	output=$(kbuild "${@:2}" modules 2>&1) || status=$?
	printf '%s\n' "$output"
	((status == 0)) && ! grep -qi 'warning:' <<<"$output"
}

# --- Tests -------------------------------------------------------------------

hosttest() {
	choose_rust cargo cc
	cargo_tests "tests that need no kernel" \
		"${rust[@]}" env -C "$top/selftests" cargo test --locked --no-fail-fast
	# These need libbpf and its libraries.
	if [[ ! -d $root ]]; then
		say "skipped: tests of what links libbpf, which need the build root ('make lint' makes it)"
		skipped=$((skipped + 1))
	elif ((EUID)) && ! sudo -n true 2>/dev/null; then
		say "skipped: tests of what links libbpf, which run in the build root and need root for it"
		skipped=$((skipped + 1))
	else
		lock
		cargo_tests "tests of what links libbpf" in_root make -C selftests runner_tests
	fi
	unlock
}

cargo_tests() { # TEXT COMMAND...
	local status=0
	mkdir -p "$cache/log"
	(step TEST "$1" 300 "${@:2}") || status=$?
	tally $status "$(log_of TEST "$1")" \
		'^test .* \.\.\. ok$' '^test .* \.\.\. FAILED$' '^test .* \.\.\. ignored'
}

# Each FUNCTION in a VM of each series. An emulated one takes one CPU, so that
# series after the first take no time of their own: they run behind it, and are
# heard after it.
in_vms() { # FUNCTION...
	local nr behind=() one
	for ((nr = ${#series[@]} - 1; nr >= 0; nr--)); do
		need_vm "${series[nr]}"
		if ((nr > 0 && $(nproc) > 1)); then
			apart "$@" &>"$vm/said" &
			behind=("$! $vm" "${behind[@]}")
		else
			all_of "$@"
		fi
	done
	for one in "${behind[@]}"; do hear "${one%% *}" "${one#* }"; done
}

all_of() { # FUNCTION...
	local one
	for one; do "$one"; done
}

# In a process of its own, which leaves what it counted.
apart() { # FUNCTION...
	passed=0 failed=0 skipped=0
	all_of "$@"
	echo "$passed $failed $skipped" >"$vm/counts"
}

hear() { # PROCESS DIRECTORY
	local good bad=1 none
	tail -n +1 -f --pid="$1" "$2/said"
	# (What ended without them has said why.)
	[[ ! -f $2/counts ]] || read -r good bad none <"$2/counts"
	passed=$((passed + ${good:-0})) failed=$((failed + bad)) skipped=$((skipped + ${none:-0}))
}

# All of them, or what T names. With nothing asked for, those follow that take a VM
# of their own: a line each, of what tests it is for.
vmtest() {
	local names
	read -ra names <<<"${T:-}"
	selftests "${names[@]}"
	[[ -z ${T:-}${CPU:-}${CMDLINE:-} ]] || return 0
	# The same on the images of C, without hooks: what fails here is no fault of Rust.
	selftests --via link
	call_depth selftests --no-skips hooks_limit_shadow hooks_limit_takeover limit_image \
		largest_image largest_asleep
	# These leave ftrace dead until the next boot.
	selftests --dead
	# And these lock it down.
	selftests --lockdown
	# This one boots another one.
	selftests --kexec
}

# On a CPU that takes call-depth tracking, which can be emulated anywhere.
call_depth() { # FUNCTION ARGUMENT...
	local CPU=Skylake-Server-v4 CMDLINE=retbleed=stuff accelerator=tcg
	"$@"
}

# Boots a VM for them, which they may ruin.
selftests() { # [TEST...]
	local status=0 run=run_vm
	[[ " $* " != *' --kexec '* ]] || run=run_kexec
	$run test "$@" || status=$?
	tally_ktap $status
}

# The runner's own words are KTAP.
tally_ktap() { # STATUS [INDENT-OF-TESTS]
	local status=$1 plan points
	plan=$(awk -F '[.][.]' '/^ *1[.][.]/ { all += $2 } END { print all + 0 }' "$vm/output")
	points=$(grep -cE '^ *(not )?ok ' "$vm/output") || true
	((points == plan)) || { say "$points of $plan planned tests answered"; status=1; }
	tally "$status" "$vm/output" "^${2:-}ok (?!.*# SKIP)" '^ *not ok ' "^${2:-}ok .*# SKIP"
}

# KUnit's, too, which a kernel that has it runs whenever the module is loaded. Its
# suites are points like its tests, which are indented.
kunit() { # SERIES
	local status=0
	lock
	need_tree "$1"
	grep -qx CONFIG_KUNIT=y "$tree/.config" ||
		die "CONFIG_KUNIT=y is not set in $tree (Debian's kernels go without):" \
			"set it in a tree of your own and pass that as KDIR="
	need_vm "$1"
	run_vm kunit || status=$?
	tally_ktap $status ' +'
}

# Adds up the lines of FILE. A STATUS that no line accounts for is a failure of
# its own, and so is a run in which nothing ran. (4 is kselftest's "skipped".)
tally() { # STATUS FILE PASSED FAILED SKIPPED
	local good bad none
	good=$(grep -cP "$3" "$2") || true
	bad=$(grep -cP "$4" "$2") || true
	none=$(grep -cP "$5" "$2") || true
	if ((bad == 0 && (good + none == 0 || ($1 != 0 && $1 != 4)))); then bad=1; fi
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + none))
}

# The last line of a run, also of one that could not go on.
summary() { # EXIT-STATUS
	(($1 == 0 || failed > 0)) || failed=1
	say "done in $SECONDS s"
	printf '%d passed, %d failed' "$passed" "$failed"
	((skipped == 0)) || printf ', %d skipped' "$skipped"
	echo
	((failed == 0 && passed + skipped > 0))
}
