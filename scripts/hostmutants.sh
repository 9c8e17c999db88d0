# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Do the host tests notice? cargo-mutants changes the pure rooms of src/ in every
# small way that it knows, and runs the tests of selftests/builder on each.
#
# Sets:  mutants_version; counts in passed, failed and skipped.
# Reads: top, base; T. cargo_mutants() and judged() read work and only of
#        hostmutants().

# The newest that Debian's rustc builds.
mutants_version=26.0.0

hostmutants() {
	local work found=$top/build/mutants.out one only=() number text
	for one in ${T:-}; do only+=(--file "$one"); done
	lock
	need_buildroot
	need_cargo_mutants
	work=$(temporary hostmutants)
	mkdir -p "$work/tmp" "$top/build"
	host_workspace "$work/tree"
	unlock
	number=$(cargo_mutants --list | wc -l)
	((number)) || die "nothing in ${T:-src} to change: T= takes names of files"
	text="$number changes of the pure rooms"
	step MUTANTS "$text" "$number" judged
	for one in missed timeout; do
		sed "s|^.*/src/|          $one: src/|" "$found/$one.txt"
	done
	# What does not compile cannot be noticed, and taking long is no notice.
	passed=$(wc -l <"$found/caught.txt")
	failed=$(cat "$found"/{missed,timeout}.txt | wc -l)
	skipped=$(wc -l <"$found/unviable.txt")
}

need_cargo_mutants() {
	local new
	[[ ! -d $base/cargo-mutants-$mutants_version ]] || return 0
	new=$(temporary cargo-mutants)
	step USER "cargo-mutants $mutants_version" 330 in_root cargo install --locked \
		--version "$mutants_version" --root "$new" --target-dir "$new/target" cargo-mutants
	rm -r "$new/target"
	publish "$new" "$base/cargo-mutants-$mutants_version"
}

# cargo-mutants follows `#[path]` as far as the workspace reaches, so that of the
# copy begins above src/.
host_workspace() { # DIRECTORY
	mkdir -p "$1/selftests"
	cp -a "$top/src" "$1"
	cp -a "$top/selftests/builder" "$1/selftests"
	cp "$top/selftests/Cargo.lock" "$1"
	sed -E 's|^(members = ).*|\1["selftests/builder"]|; /^default-members/d' \
		"$top/selftests/Cargo.toml" >"$1/Cargo.toml"
	# Building takes most of the time, then the tests that take arbitrary input.
	printf '\n[profile.dev]\ndebug = false\nopt-level = 1\n' >>"$1/Cargo.toml"
}

# (Bits that are put together do not overlap, so xor does what or does.)
cargo_mutants() { # [OPTION...]
	in_root env -C "$work/tree" -u CARGO_TARGET_DIR TMPDIR="$work/tmp" \
		PROPTEST_MAX_SHRINK_ITERS=0 "$base/cargo-mutants-$mutants_version/bin/cargo-mutants" \
		mutants --exclude tests.rs --exclude '**/tests/**' --exclude-re 'replace \| with \^' \
		"${only[@]}" "$@"
}

# Those that are missed (2) or take too long (3) are counted by others.
judged() {
	local status=0
	cargo_mutants --jobs "$(nproc)" --caught --unviable --colors never --output "$top/build" ||
		status=$?
	((status == 2 || status == 3)) || return $status
}
