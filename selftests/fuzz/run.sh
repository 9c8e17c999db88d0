#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: run.sh build DIRECTORY
#        run.sh SECONDS DIRECTORY
#
# Builds the fuzz target, or runs it on one CPU for so long. DIRECTORY keeps what
# was built, the log, and the corpus: every input that led somewhere new, and any
# that failed. A later run begins with these. The last line tells the count.

set -eu

die() { echo "fuzz: $*" >&2; exit 1; }

[ $# -eq 2 ] || die "usage: run.sh build DIRECTORY, then run.sh SECONDS DIRECTORY"
seconds=$1 directory=$2
triple=x86_64-unknown-linux-gnu
fuzz=$directory/target/$triple/release/fuzz
corpus=$directory/corpus
log=$directory/log

# What `cargo fuzz` asks a nightly compiler for, in words that a stable one
# knows: counters for libFuzzer, and comparisons that it can see into. With the
# target named, build scripts and macros are built without them.
if [ "$seconds" = build ]; then
	coverage="-Cpasses=sancov-module"
	for option in level=4 inline-8bit-counters pc-table trace-compares; do
		coverage="$coverage -Cllvm-args=-sanitizer-coverage-$option"
	done
	RUSTFLAGS=$coverage exec cargo build --locked --release --target $triple \
		--manifest-path "${0%/*}/Cargo.toml" --target-dir "$directory/target"
fi

[ -x "$fuzz" ] || die "no $fuzz: run.sh build $directory makes it"
mkdir -p "$corpus"

status=0
"$fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
	-artifact_prefix="$corpus/" "$corpus" >"$log" 2>&1 || status=$?

if [ $status -ne 0 ]; then
	grep -A 3 'panicked at' "$log" || tail -n 20 "$log"
	input=$(sed -n 's/.*Test unit written to //p' "$log")
	[ -n "$input" ] || die "libFuzzer failed, the whole log is $log"
	die "the builder failed on $input; the next run begins with it. The whole log is $log"
fi

# "Done 123 runs in 60 second(s)"
done=$(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second(s)$/\1 inputs in \2 s/p' "$log")
[ -n "$done" ] || die "no count in $log"
seed=$(sed -n 's/^INFO: Seed: \([0-9]*\)$/\1/p' "$log")
echo "fuzzed $done with seed $seed, $(find "$corpus" -type f | wc -l) in the corpus, failed 0"
