# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Does the stress find what is wrong? Each patch in selftests/planted breaks the module
# in lifetime or locking, which its first line tells.
#
# Sets:  nothing; counts in passed and failed.
# Reads: top, vm; T, ACTORS. choose_patches() sets patches of teeth(), which sets
#        patience for stress().

# Those that have to do with the module itself: neighbours take their time.
module_actors="device shared links loads mode module calls sleepers inside asleep leaving preempt"

# Each has SECONDS to be found.
teeth() { # SERIES
	local patches patch name seconds patience=90 ACTORS=${ACTORS:-$module_actors}
	seconds=$(stress_seconds)
	choose_patches planted
	need_vm "$1"
	choose_accelerator
	# What complains of itself would find everything.
	step CONTROL "the stress, with nothing broken" "$((seconds + 30))s" stress "$seconds"
	for patch in "${patches[@]}"; do
		name=$(basename "$patch" .patch)
		if (step PLANTED "$name" "$((seconds + 40))s" planted "$patch" "$seconds"); then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
		fi
		printf '          %s\n' "$(tail -n 1 "$(log_of PLANTED "$name")")"
	done
	say "$passed of $((passed + failed)) found"
}

# Succeeds when it is found; the last line of output says how.
planted() { # PATCH SECONDS
	# A kernel that is broken enough says no more, and does not end either.
	local by TIMEOUT=${TIMEOUT:-$(($2 * 2 + 160))}
	head -n 1 "$1"
	plant "$1" || return 1
	if stress "$2"; then
		echo "not found"
		return 1
	fi
	by=$(found_by)
	# To take too long is no finding.
	[[ -n $by ]] || { echo "no answer from the guest, and no complaint"; return 1; }
	echo "found $by"
}

# After how long, and by what. Who died with the kernel has said when it lived last.
found_by() {
	local by
	by=$(sed -nE 's/^stress: FAIL (after [0-9]+ s): (.{0,90}).*/\1 by: \2/p' "$vm/output" | head -n 1)
	if [[ $by == *"kernel log has a splat"* || -z $by ]]; then
		by="$(grep -oE '^stress: FAIL after [0-9]+ s|^at [0-9]+ s' "$vm/output" | tail -n 1 |
			grep -oE '[0-9]+ s')"
		by=$(splats "$vm/console" | sed -E 's/^\[[0-9. ]*\] //' | head -n 1 | cut -c 1-90 |
			sed "s/^/after ${by:-0 s} by: /")
	fi
	printf '%s' "$by"
}
