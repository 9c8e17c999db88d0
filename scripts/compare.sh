# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Both builders of one kernel on many inputs, on machines with other mitigations.
#
# Sets:  variants; counts in passed, failed and skipped.
# Reads: release, accelerator; CASES, SEED, CASE, CPU, CMDLINE.

# Name, CPU model, kernel options, and what shows that the guest has it. A model
# is emulated, whatever this machine is, and so has to have it.
variants=(
	"mitigations=off||mitigations=off|spectre_v2:Vulnerable"
	"spectre_v2=retpoline||spectre_v2=retpoline|spectre_v2:Retpolines"
	"retbleed=stuff|Skylake-Server-v4|retbleed=stuff|retbleed:Stuffing"
	"aligned thunks|Icelake-Server||indirect_target_selection:Aligned"
	"untrained return thunk|EPYC-Rome||retbleed:untrained"
	"safe return thunk|EPYC-Milan||spec_rstack_overflow:Safe"
	"IBT|||cpu:ibt"
	"ibt=off||ibt=off|off:ibt"
)

compare() {
	run_vm compare ${CASES:+--cases "$CASES"} ${SEED:+--seed "$SEED"} ${CASE:+--case "$CASE"}
}

# The machine as it is, with the whole grid, then the variants: each is one test.
matrix() {
	local one
	choose_accelerator
	variant "default|${CPU:-}|${CMDLINE:-}|" --whole-grid
	for one in "${variants[@]}"; do variant "$one"; done
}

variant() { # "NAME|CPU|KERNEL OPTIONS|NEED" [OPTION]
	local name CPU CMDLINE need accelerator=$accelerator CASES=${CASES:-20000} text log
	IFS='|' read -r name CPU CMDLINE need <<<"$1"
	[[ -z $CPU ]] || accelerator=tcg
	text="$release, $name"
	log=$(log_of COMPARE "$text")
	if ! (step COMPARE "$text" 14 run_variant "${@:2}"); then
		failed=$((failed + 1))
	elif grep -q '^not run: ' "$log"; then
		grep '^not run: ' "$log" | sed 's/^/          /'
		skipped=$((skipped + 1))
	else
		grep -E '^(grid of|seeds|compared) ' "$log" | sed 's/^/          /'
		passed=$((passed + 1))
	fi
}

# What does not apply is no failure here; the log tells it.
run_variant() { # [OPTION]
	local status=0
	run_vm compare "$@" --cases "$CASES" ${SEED:+--seed "$SEED"} ${need:+--need "$need"} ||
		status=$?
	((status != 4)) || ! must_apply || { say "$name: it has to apply here"; return 1; }
	((status == 4)) || return $status
}

# QEMU can emulate all that the variants take, save IBT.
must_apply() {
	[[ $accelerator == tcg && $need != *:ibt ]]
}
