# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A kernel tree to build against, Debian's, one made of its source, or the user's own: what it must have,
# which compilers fit it, and Kbuild.
#
# Sets:  tree, release (of the kernel), inside (the words before a command that takes
#        the tree's compilers: in_root or none), LLVM as a tree of the user's has it.
# Reads: top, root; KDIR, KERNEL, MO, and the variables of Kbuild that kbuild() hands on.
#        read_compilers() sets rustc, cc and major of its caller.

need_tree() { # SERIES
	if [[ -n ${KDIR:-} ]]; then
		tree=$(realpath -e "$KDIR" 2>/dev/null) || die "KDIR=$KDIR is not there"
		check_tree
		choose_compilers
	else
		need_buildroot
		inside=(in_root)
		if [[ -n ${KERNEL:-} ]]; then
			need_own_kernel "$1"
			LLVM=1
		else
			need_kernel "$1"
		fi
	fi
	release=$(<"$tree/include/config/kernel.release")
}

check_tree() {
	[[ -f $tree/.config && -f $tree/Makefile ]] ||
		die "$tree is not a configured kernel tree: KDIR is where its .config and Makefile are"
	# A directory of objects (O=) has a link to its source.
	if [[ -d $tree/source ]]; then
		check_source "$tree/source" "$tree"
	else
		check_source "$tree" "$tree"
	fi
	check_configuration "$tree" "$tree" "$top/.config.fragment"
	[[ -f $tree/rust/libkernel.rmeta && -f $tree/Module.symvers &&
		-f $tree/include/config/kernel.release ]] ||
		die "$tree is not built, a module needs its Rust metadata and Module.symvers:" \
			"run 'make -C $tree' first"
}

check_source() { # SOURCE NAME
	local needed
	for needed in BPF_TRAMP_FSESSION 'struct bpf_tramp_skip'; do
		grep -qs "$needed" "$1/include/linux/bpf.h" ||
			die "$2 has no $needed in include/linux/bpf.h: it takes Linux 7.2 or newer"
	done
}

# Tells every option that is missing, in one message.
check_configuration() { # TREE NAME FRAGMENT
	local missing
	missing=$(grep '^CONFIG_.*=y$' "$3" | grep -vxFf "$1/.config" | cut -d= -f1 | paste -sd ' ') || true
	[[ -z $missing ]] ||
		die "the configuration of $2 lacks $missing;" \
			"merge ${3#"$top/"} into it and rebuild (see README.md)"
}

# The compilers have to be those of the tree: Rust metadata is good for one
# rustc only. This machine's come first, the build root's are the other choice.
choose_compilers() {
	local rustc cc major
	read_compilers "$tree"
	if [[ $cc == clang ]]; then LLVM=${LLVM:-1}; else LLVM=; fi
	inside=()
	command -v bindgen >/dev/null &&
		same_compilers "$("${RUSTC:-rustc}" --version 2>&1)" "$("${CC:-$cc${LLVM#1}}" -dumpversion 2>&1)" &&
		return
	say "this machine lacks the tree's $cc $major, ${rustc%% (*} or bindgen, taking the build root's"
	need_buildroot
	inside=(in_root)
	fits_buildroot ||
		die "$tree was built with $cc $major and $rustc, which neither this machine nor the" \
			"build root has: pass RUSTC= and CC= (LLVM=), or rebuild the tree"
}

read_compilers() { # TREE
	rustc=$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\(.*\)"/\1/p' "$1/.config")
	cc=gcc
	! grep -qx CONFIG_CC_IS_CLANG=y "$1/.config" || cc=clang
	major=$(sed -nE "s/^CONFIG_${cc^^}_VERSION=([0-9]+)[0-9]{4}$/\1/p" "$1/.config")
}

fits_buildroot() {
	same_compilers "$(<"$root/etc/rustc-version")" "$(<"$root/etc/$cc-version")"
}

same_compilers() { # RUSTC CC
	[[ $1 == "$rustc" && ${2%%.*} == "$major" ]]
}

# kbuild GOAL...: runs Kbuild on the checkout, in a directory of the kernel's
# own, so that builds for several kernels do not meet.
kbuild() {
	local flags=(-C "$tree" M="$top" MO="$(module_directory)" --no-print-directory) name
	local names=(V W C CLIPPY KCOV LLVM KCFLAGS KRUSTFLAGS INSTALL_MOD_PATH)
	if [[ ${inside[0]:-} == in_root ]]; then flags+=("-j$(nproc)"); else names+=(CC RUSTC); fi
	for name in "${names[@]}"; do
		[[ -z ${!name:-} ]] || flags+=("$name=${!name}")
	done
	"${inside[@]}" make "${flags[@]}" "$@"
}

module_directory() {
	printf '%s' "${MO:-$top/build/$release${W:+.W$W}${CLIPPY:+.clippy}}"
}
