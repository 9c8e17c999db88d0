# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian's kernels, made ready for Rust modules: a source tree with the shipped
# configuration, Rust metadata built by the compilers that built the kernel, and
# the shipped symbols, BTF and image in the places where a built tree has them.
#
# Sets:  tree (in need_kernel), unpack, prepare.
# Reads: top, cache, base; KVER, FLAVOUR. read_compilers() sets rustc, cc and major of
#        prepare_kernel(), find_kernel() sets release of need_kernel().

# need_kernel SERIES [update]: sets `tree` to the newest kernel of SERIES, in FLAVOUR.
# What was found is kept as a link, so that only the first run asks the network.
need_kernel() {
	local series=$1 link=$base/linux-$1${FLAVOUR:+-$FLAVOUR} release
	unset tree
	if [[ -e $link && -z ${2:-} ]]; then
		tree=$(realpath "$link")
	else
		find_kernel "$series"
		[[ -d $base/linux-$release ]] || prepare_kernel "$release"
		tree=$base/linux-$release
		ln -sfn "linux-$release" "$cache/tmp/link.$$"
		publish "$cache/tmp/link.$$" "$link"
	fi
	[[ $tree == */linux-"$series".* ]] || say "Debian has no $series kernel any more, taking ${tree##*/linux-}"
}

# Sets `release`: of SERIES, or the newest there is unless the user asked for
# SERIES by name.
find_kernel() { # SERIES
	local releases flavours
	step FIND "Debian's newest $1 kernel" 10 in_root -r apt-get update -o APT::Update::Error-Mode=any
	releases=$(in_root apt-cache pkgnames linux-headers- |
		sed -nE 's/^linux-headers-([0-9.]+\+deb[0-9]+(-[a-z]+)?-amd64)$/\1/p' | sort -V)
	flavours=$(sed -nE 's/.*\+deb[0-9]+-([a-z]+)-amd64$/\1/p' <<<"$releases" | sort -u | paste -sd ' ')
	releases=$(grep -E "\+deb[0-9]+${FLAVOUR:+-$FLAVOUR}-amd64$" <<<"$releases") ||
		die "Debian has no flavour '$FLAVOUR', FLAVOUR can be one of: $flavours"
	release=$(grep "^${1/./\\.}\\." <<<"$releases" | tail -n 1) || true
	[[ -z $release ]] || return 0
	[[ -z ${KVER:-} ]] ||
		die "Debian has no $1 kernel, KVER can be one of:" \
			"$(grep -oE '^[0-9]+\.[0-9]+' <<<"$releases" | uniq | paste -sd ' ')"
	release=$(tail -n 1 <<<"$releases")
}

prepare_kernel() { # RELEASE
	local release=$1 version binary new rustc cc major
	need_space 2000 "the kernel tree"
	version=$(in_root apt-cache show "linux-headers-$release" | sed -n 's/^Version: //p')
	# The signed image lags behind a new upload.
	binary=$(in_root apt-cache pkgnames linux-binary- | sort |
		grep -m 1 -Fx -e "linux-binary-$release" -e "linux-binary-unsigned-$release") ||
		die "Debian has no linux-binary package of $release: take Linux 7.2 or newer"
	new=$(temporary linux)
	mkdir -p "$new/debian"
	step FETCH "Linux $release, $version" 5 in_root env -C "$new/debian" apt-get download \
		"linux-source-$(cut -d. -f1,2 <<<"$release")=$version" "linux-headers-$release=$version" \
		"linux-base-$release=$version" "$binary=$version"
	step UNPACK "Linux $release" 160 in_root bash -euc "$unpack" -- "$new" "$release"
	check_source "$new" "Debian's $release"
	check_configuration "$new" "Debian's $release" "$top/.config.fragment"
	read_compilers "$new"
	fits_buildroot || die "Debian's $release was built with $cc $major and $rustc, not with what the" \
		"build root has: run 'make distclean' and the same command again"
	step PREPARE "Rust metadata for Linux $release" 222 in_root bash -euc "$prepare" -- "$new" "$release"
	publish "$new" "$base/linux-$release"
}

# Both run in the build root, with the new tree and the release as arguments.
# No module needs the drivers' code, more than half of the source.
# shellcheck disable=SC2016
unpack='
cd "$1"
for package in debian/*.deb; do dpkg-deb -x "$package" debian; done
tar --checkpoint=1000 --checkpoint-action=echo --strip-components=1 \
	--exclude="*/drivers/*.c" --exclude="*/sound/*.c" --exclude="*/amd/include" \
	-xf debian/usr/src/linux-source-*.tar.xz
cp "debian/usr/lib/modules/$2/config" .config
'
# shellcheck disable=SC2016
prepare='
cd "$1"
# Its key is with whoever built the kernel.
scripts/config -d MODULE_SIG_ALL
make olddefconfig
make -j"$(nproc)" KERNELRELEASE="$2" modules_prepare
cp "debian/usr/src/linux-headers-$2"/{Module.symvers,vmlinux} .
cp "debian/usr/lib/modules/$2"/vmlinuz* arch/x86/boot/bzImage
rm -rf debian
'
