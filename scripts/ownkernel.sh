# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Kernels that Debian does not ship, built from its source: KERNEL=debug and
# KERNEL=cfi. Each is tinyconfig with fragments on top; .config.own is what they
# share. A tree is kept in the cache, under a name that holds what made it.
#
# Sets:  tree (in need_own_kernel), unpack_source, configure, compile.
# Reads: top, cache, base; KERNEL, KVER, descriptor 9 of lib.sh.

# need_own_kernel SERIES: sets `tree` to KERNEL of SERIES. Another run may use the
# cache while this one builds, and a build that was interrupted goes on here.
need_own_kernel() {
	local series=$1 fragments key version name work
	[[ -f $top/.config.$KERNEL && $KERNEL != @(own|fragment) ]] ||
		die "there is no kernel called '$KERNEL': KERNEL can be one of debug, cfi"
	fragments=("$top"/.config.{fragment,own,"$KERNEL"} "$top/selftests/config")
	key=$(cat "${fragments[@]}" | sha256sum | cut -c1-8)
	unset tree
	if [[ ! -e $base/linux-$series-$KERNEL-$key ]]; then
		source_of "$series"
		work=$base/building-$name-$KERNEL-$key
		unlock
		exec 8>"$base/building.lock"
		flock -n 8 || { say "another run is building a kernel, waiting for it"; flock 8; }
		[[ -d $base/linux-$name-$KERNEL-$key ]] || build_kernel
		exec 8>&-
		lock
		ln -sfn "linux-$name-$KERNEL-$key" "$cache/tmp/link.$$"
		publish "$cache/tmp/link.$$" "$base/linux-$series-$KERNEL-$key"
	fi
	tree=$(realpath "$base/linux-$series-$KERNEL-$key")
}

# Sets `version`, that of the newest source package.
source_of() { # SERIES
	step FIND "Debian's newest $1 source" 10 in_root -r apt-get update -o APT::Update::Error-Mode=any
	version=$(in_root apt-cache policy "linux-source-$1" | sed -n 's/^ *Candidate: //p')
	[[ $version == [0-9]* ]] || die "Debian has no source of Linux $1: KVER= names a series that it has"
	name=${version//\~/.}
}

build_kernel() {
	local text="Linux $version, $KERNEL"
	need_space 12000 "a kernel of our own"
	if [[ ! -f $work/.config ]]; then
		rm -rf "$work"
		mkdir -p "$work/debian"
		step FETCH "$text" 5 in_root env -C "$work/debian" apt-get download "linux-source-$series=$version"
		step UNPACK "$text" 160 in_root bash -euc "$unpack_source" -- "$work"
		check_source "$work" "Debian's $version"
		step CONFIG "$text" 30 in_root bash -euc "$configure" -- "$work" "${fragments[@]}"
	fi
	# Half an hour and more on two cores.
	step BUILD "$text" 3200 in_root bash -euc "$compile" -- "$work"
	publish "$work" "$base/linux-$name-$KERNEL-$key"
}

# All of these run in the build root, with the new tree as first argument.
# shellcheck disable=SC2016
unpack_source='
cd "$1/debian"
dpkg-deb -x linux-source-*.deb .
tar -C .. --checkpoint=1000 --checkpoint-action=echo --strip-components=1 \
	-xf usr/src/linux-source-*.tar.xz
rm -rf ../debian
'
# The configuration appears when it is whole: an option that did not take has a
# dependency that nobody thought of.
# shellcheck disable=SC2016
configure='
cd "$1"; shift
export KCONFIG_CONFIG=.config.new
make LLVM=1 tinyconfig
scripts/kconfig/merge_config.sh -m "$KCONFIG_CONFIG" "$@"
make LLVM=1 olddefconfig
! cat "$@" | grep "^CONFIG_" | grep -vxFf "$KCONFIG_CONFIG"
mv "$KCONFIG_CONFIG" .config
'
# Modules and a VM take the tree without its object files, which are most of it.
# shellcheck disable=SC2016
compile='
cd "$1"
make LLVM=1 -j"$(nproc)" bzImage modules
find . \( -path ./scripts -o -path ./tools \) -prune -o \
	\( -name "*.o" -o -name "*.a" -o -name ".*.cmd" \) -exec rm -f {} +
rm -f vmlinux.unstripped .tmp_vmlinux*
'

# Whether LINK to a kernel of ours leads to what Debian's newest source makes.
is_newest() { # LINK
	local series=${1##*/linux-} version name
	source_of "${series%%-*}"
	[[ $(readlink "$1") == linux-"$name"-* ]]
}
