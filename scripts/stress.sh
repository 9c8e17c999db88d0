# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Everything at once in one VM, drawn from a seed (selftests/runner/src/stress).
#
# Sets:  nothing; stress_short() counts in passed and failed.
# Reads: vm, tree, release; SECONDS (the user's), SEED, ACTORS, CMDLINE, TIMEOUT, and
#        KDIR, KVER, FLAVOUR, KERNEL.

has_kasan() { grep -qx CONFIG_KASAN=y "$tree/.config"; }

# What finds a wrong access of memory at little cost, and whose each object is. KASAN
# finds more, and holds back what is freed, so that objects cannot be counted; what
# leaks there is for kmemleak.
stress_options() {
	if has_kasan; then
		echo slab_debug=-
	else
		echo kfence.sample_interval=100 slab_debug=FZPU
	fi
}

# After how many seconds an actor hangs. Under KASAN it takes seconds to attach a program,
# with forty others who do the same.
stress_patience() {
	if has_kasan; then echo 600; else echo 90; fi
}

# How long, by the environment: to bash SECONDS is a clock.
stress_seconds() {
	local seconds
	seconds=$(printenv SECONDS) || seconds=60
	[[ $seconds == [1-9]*([0-9]) ]] || die "for how many seconds? 'make stress SECONDS=60'"
	printf '%s' "$seconds"
}

# The user's variables that say which kernel it is.
stress_kernel() {
	local name words=()
	for name in KDIR KVER FLAVOUR KERNEL; do
		[[ -z ${!name:-} ]] || words+=("$name=${!name}")
	done
	printf '%s' "${words[*]}"
}

stress() { # SECONDS
	local CMDLINE=${CMDLINE:-$(stress_options)} TIMEOUT=${TIMEOUT:-$(($1 * 2 + 900))} status=0
	local kernel patience=${patience:-$(stress_patience)}
	kernel=$(stress_kernel)
	run_vm stress --seconds "$1" --patience "$patience" ${SEED:+--seed "$SEED"} \
		${ACTORS:+--actors "${ACTORS// /,}"} ${kernel:+--kernel "${kernel// /,}"} || status=$?
	# What ended with the kernel could not say it itself.
	if ((status)) && ! grep -q '^reproduce: ' "$vm/output"; then
		echo "reproduce: make stress${kernel:+ $kernel} SECONDS=$1 SEED=${SEED:-1}${ACTORS:+ ACTORS=\"$ACTORS\"}"
	fi
	return $status
}

# One test, in a VM of its own.
stress_short() {
	local text="everything at once, on Linux $release" log
	choose_accelerator
	log=$(log_of STRESS "$text")
	if (step STRESS "$text" 70s stress 30); then
		passed=$((passed + 1))
		grep '^  total: ' "$log" | sed 's/^  total:/         /' | fold -sw 70
	else
		failed=$((failed + 1))
	fi
}
