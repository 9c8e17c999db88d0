# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Do the selftests notice? The builder is broken in one way after the other, and
# each broken module goes through them: in takeover, where nothing is compared
# with the C builder, then with the comparison if that has noticed nothing.

mutants() { # SERIES
	local what file change how alone=0
	need_vm "$1"
	choose_accelerator
	while IFS='|' read -r what file change; do
		[[ -z ${T:-} || " $T " == *" ${what// /-} "* ]] || continue
		if (step MUTANT "$what" 60 mutant "$file" "$change"); then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
		fi
		how=$(tail -n 1 "$(log_of MUTANT "$what")")
		[[ $how != "noticed in takeover "* ]] || alone=$((alone + 1))
		printf '          %s\n' "$how"
	done < <(sed -E '/^(#|$)/d; s/ *\| */|/g' "$top/selftests/mutants")
	say "$alone of $((passed + failed)) noticed by what programs see," \
		"$((passed - alone)) by the comparison only"
}

# Succeeds when it is noticed; the last line of output says how.
mutant() { # FILE CHANGE
	local via by
	plant "$@" || { echo "cannot be built, see above"; return 1; }
	for via in takeover device; do
		if ! TIMEOUT=${TIMEOUT:-600} run_vm test --via "$via" --fail-fast --timeout 60; then
			by=$(noticed_by)
			[[ -n $by ]] || { echo "no answer from the guest, and no complaint"; return 1; }
			echo "noticed in $via by $by"
			return 0
		fi
	done
	echo "not noticed"
	return 1
}

# Builds it into the initramfs.
plant() { # FILE CHANGE
	local copy=$vm/mutant
	rm -rf "$copy" &&
		mkdir -p "$copy/build" "$copy/selftests/builder" &&
		cp -a "$top"/{Kbuild,src,rust} "$copy" &&
		cp -a "$top/selftests/builder/src" "$copy/selftests/builder" &&
		sed -i "$2" "$copy/src/$1" &&
		! diff -u "$top/src/$1" "$copy/src/$1" &&
		kbuild M="$copy" MO="$copy/build" modules &&
		cp "$copy/build/rust_fsession.ko" "$suite/modules" &&
		pack_initramfs
}

# What the last run failed of: nothing, if it only took too long.
noticed_by() {
	local by
	by=$(sed -nE 's/^not ok [0-9]+ ([^ ]*).*/\1/p' "$vm/output" | head -n 1)
	[[ -n $by ]] || ! splats "$vm/console" >/dev/null || by="the end of the kernel"
	printf '%s' "$by"
}
