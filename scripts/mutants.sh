# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Do the selftests notice? Each patch in selftests/mutants breaks the module in
# one way, which its first line tells, and the broken module goes through them. What
# breaks the builder goes through them in takeover, where nothing is compared with
# the C builder, then with the comparison if that has noticed nothing. What breaks
# the attach path, the hooks, the comparison or the end of images (attach-, hooks-,
# judge-, retire-) is no matter of takeover. Those in selftests/planted break lifetimes
# and locking, and the stress has to find them (teeth.sh).
#
# Sets:  nothing; counts in passed and failed.
# Reads: top, vm, suite; T, TIMEOUT. choose_patches() sets patches of its caller.

mutants() { # SERIES
	local patches patch name how alone=0 begin limit
	choose_patches mutants
	need_vm "$1"
	choose_accelerator
	# A test that fails of itself would notice everything.
	begin=$SECONDS
	step CONTROL "the selftests, with nothing broken" 345 control
	# One test may wait for what never comes.
	limit=${TIMEOUT:-$((SECONDS - begin + 400))}
	for patch in "${patches[@]}"; do
		name=$(basename "$patch" .patch)
		if (TIMEOUT=$limit step MUTANT "$name" 60 mutant "$patch"); then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
		fi
		how=$(tail -n 1 "$(log_of MUTANT "$name")")
		[[ $how != "noticed in takeover "* ]] || alone=$((alone + 1))
		printf '          %s\n' "$how"
	done
	say "$alone of $((passed + failed)) noticed by what programs see in takeover," \
		"$((passed - alone)) otherwise"
}

# All of selftests/DIRECTORY, or what T names.
choose_patches() { # DIRECTORY
	local name
	patches=("$top/selftests/$1"/*.patch)
	[[ -z ${T:-} ]] || patches=()
	for name in ${T:-}; do
		patches+=("$top/selftests/$1/$name.patch")
		[[ -f ${patches[-1]} ]] || die "there is no ${patches[-1]#"$top/"}"
	done
}

# Everything once, in the ways and the order in which the mutants go through it.
# (make vmtest has the other control: the tests on the images of C.)
control() {
	run_vm test --via takeover,device --fail-fast
}

# Succeeds when it is noticed; the last line of output says how.
mutant() { # PATCH
	local via by
	head -n 1 "$1"
	plant "$1" || return 1
	for via in $(ways "$1"); do
		if ! run_vm test --via "$via" --fail-fast; then
			by=$(noticed_by)
			[[ -n $by ]] || { echo "no answer from the guest, and no complaint"; return 1; }
			echo "noticed in $via by $by"
			return 0
		fi
	done
	echo "not noticed"
	return 1
}

ways() { # PATCH
	case ${1##*/} in
	attach-* | hooks-* | judge-* | retire-*) echo device ;;
	*) echo takeover device ;;
	esac
}

# Builds it into the initramfs.
plant() { # PATCH
	local copy=$vm/mutant
	break_copy "$1" "$copy" || return
	mkdir "$copy/build" && cp -a "$top/Kbuild" "$copy" || return
	if ! kbuild M="$copy" MO="$copy/build" modules; then
		echo "cannot be built, see above"
		return 1
	fi
	cp "$copy/build/rust_fsession.ko" "$suite/modules" && pack_initramfs
}

# Makes COPY, which holds the sources of src/ and rust/ as PATCH changes them.
break_copy() { # PATCH COPY
	local name=${1#"$top/"} changed
	rm -rf "$2" && mkdir -p "$2" && cp -a "$top"/{src,rust} "$2" || return
	in_root env -C "$2" busybox patch -p1 -i "$1" || { echo "$name no longer fits"; return 1; }
	changed=$(diff -ru "$top/src" "$2/src"; diff -ru "$top/rust" "$2/rust") || true
	printf '%s\n' "$changed"
	[[ -n $changed ]] || { echo "$name changes nothing"; return 1; }
}

# For lint: says which of them the sources have grown away from.
mutants_fit() {
	local copy patch status=0
	copy=$(temporary mutant)
	for patch in "$top"/selftests/{mutants,planted}/*.patch; do
		break_copy "$patch" "$copy" &>"$copy.said" || { tail -n 1 "$copy.said"; status=1; }
	done
	return $status
}

# What the last run failed of: nothing, if it only took too long.
noticed_by() {
	local by
	by=$(sed -nE 's/^not ok [0-9]+ ([^ ]*).*/\1/p' "$vm/output" | head -n 1)
	[[ -n $by ]] || ! grep -q '^# at the ' "$vm/output" || by="the kernel log"
	[[ -n $by ]] || ! splats "$vm/console" >/dev/null || by="the end of the kernel"
	printf '%s' "$by"
}
