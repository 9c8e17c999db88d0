# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Everything at once in one VM, drawn from a seed (selftests/runner/src/stress).
#
# Sets:  nothing; stress_short() counts in passed and failed.
# Reads: vm, tree, release; SECONDS (the user's), SEED, ACTORS, CMDLINE, T, TIMEOUT.

# What finds a wrong access of memory at little cost, where there is no KASAN; and whose
# each object is.
stress_options() {
	if grep -qx CONFIG_KASAN=y "$tree/.config"; then
		echo slab_debug=U
	else
		echo kfence.sample_interval=100 slab_debug=FZPU
	fi
}

# How long, by the environment: to bash SECONDS is a clock.
stress_seconds() {
	local seconds
	seconds=$(printenv SECONDS) || seconds=60
	[[ $seconds == [1-9]*([0-9]) ]] || die "for how many seconds? 'make stress SECONDS=60'"
	printf '%s' "$seconds"
}

stress() { # SECONDS
	local CMDLINE=${CMDLINE:-$(stress_options)} TIMEOUT=${TIMEOUT:-$(($1 * 2 + 600))} status=0
	run_vm stress --seconds "$1" ${SEED:+--seed "$SEED"} ${ACTORS:+--actors "${ACTORS// /,}"} ||
		status=$?
	# What ended with the kernel could not say it itself.
	if ((status)) && ! grep -q '^reproduce: ' "$vm/output"; then
		echo "reproduce: make stress SECONDS=$1 SEED=${SEED:-1}${ACTORS:+ ACTORS=\"$ACTORS\"}"
	fi
	return $status
}

# One test, in a VM of its own.
stress_short() {
	local text="everything at once, on Linux $release" log
	[[ -z ${T:-}${CPU:-}${CMDLINE:-} ]] || return 0
	choose_accelerator
	log=$(log_of STRESS "$text")
	if (step STRESS "$text" 60s stress 15); then
		passed=$((passed + 1))
		grep '^  total: ' "$log" | sed 's/^  total:/         /'
	else
		failed=$((failed + 1))
	fi
}
