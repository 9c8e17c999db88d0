# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The build root: a Debian tree of its own, with the compilers that built
# Debian's kernels, in the cache. Everything is built and run in there, so the
# machine itself needs nothing but mmdebstrap.
#
# Sets:  base (what this build root and its kernels have in the cache), root (the
#        build root); for itself debian, mirror, packages, preferences, key.
# Reads: top, cache, tree; MIRROR.

mirror=${MIRROR:-http://deb.debian.org/debian}
debian=trixie
packages=(
	# A kernel tree and its modules; rust-src for the kernel's own `core`.
	gcc libc6-dev make bc bison flex kmod libelf-dev libssl-dev pahole
	rustc rust-src rustfmt rust-clippy cargo bindgen python3 rsync xz-utils zstd
	# BPF objects and static userspace.
	clang lld llvm bpftool libdw-dev zlib1g-dev libzstd-dev pkg-config ca-certificates
	# Running and checking it; virtme-ng's guest runs in here, too.
	qemu-system-x86 busybox-static cpio shellcheck
	virtme-ng virtiofsd mount udev iproute2
)
# All of elfutils has to come from the one suite: its newer libelf.a links
# statically, and bpftool there knows fsession.
preferences="Package: bpftool src:elfutils
Pin: release n=$debian-backports
Pin-Priority: 900"

# What is made from one package list shares a directory, named after the list.
key=$(printf '%s\n' "$debian" "${packages[@]}" "$preferences" | sha256sum | cut -c1-8)
base=$cache/$key
root=$base/root

need_buildroot() {
	local for="the build root (mounts and chroot)"
	[[ ! -d $root ]] || { need_root "$for"; return 0; }
	[[ $(uname -m) == x86_64 ]] || die "the build root is amd64, this machine is $(uname -m)"
	command -v apt-get >/dev/null || die "the build root needs a Debian machine: no apt-get here"
	need_space 6000 "a build root with a kernel"
	need_root "$for"
	[[ -x /usr/bin/mmdebstrap && -e /usr/share/keyrings/debian-archive-keyring.gpg ]] ||
		step ROOT "mmdebstrap on this machine" 60 install_mmdebstrap
	local new
	new=$(temporary root)
	step ROOT "Debian $debian build root" 1900 debootstrap "$new"
	mkdir -p "$base"
	as_root mv -T "$new" "$root"
}

install_mmdebstrap() {
	as_root apt-get update &&
		as_root apt-get install -y --no-install-recommends mmdebstrap debian-archive-keyring
}

debootstrap() { # DIRECTORY
	local names proxy
	names=$(IFS=,; echo "${packages[*]}")
	proxy=$(apt-config dump Acquire::http::Proxy)
	# shellcheck disable=SC2016 # $1 is for the hook's own shell.
	as_root "$top/scripts/confine.sh" $$ mmdebstrap --mode=root --variant=apt --verbose \
		--include="$names" ${proxy:+--aptopt="$proxy"} \
		--aptopt='Acquire::http::Timeout "20"' --aptopt='Acquire::Retries "2"' \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--setup-hook="echo '$preferences' >\"\$1/etc/apt/preferences\"" \
		--customize-hook='ln -s ../bin/busybox "$1/usr/sbin/poweroff"' \
		--customize-hook='chroot "$1" rustc --version >"$1/etc/rustc-version"' \
		--customize-hook='chroot "$1" gcc -dumpversion >"$1/etc/gcc-version"' \
		--customize-hook='chroot "$1" clang -dumpversion >"$1/etc/clang-version"' \
		"$debian" "$1" "deb $mirror $debian main" "deb $mirror $debian-updates main" \
		"deb $mirror $debian-backports main"
}

# in_root [-r] [-b DIRECTORY[:PLACE]] COMMAND...: runs COMMAND in the build root, in
# the checkout, as the caller (-r: as root), with a small environment of its own.
# The checkout, the cache, `tree` and DIRECTORY are in there, at their own paths or
# at PLACE.
in_root() {
	local user groups name environment=() binds=("$top" "$cache")
	user=$(id -u):$(id -g) groups=$(id -G)
	while [[ $1 == -* ]]; do
		case $1 in
		-r)	user=0:0 groups=0 ;;
		-b)	binds+=("$2"); shift ;;
		esac
		shift
	done
	[[ -z ${tree:-} ]] || binds+=("$tree")
	[[ ! -d ${tree:-}/source ]] || binds+=("$(realpath "$tree/source")")
	[[ ! -t 1 ]] || environment+=("TERM=${TERM:-dumb}")
	for name in {http,https,all,no}_proxy {HTTP,HTTPS,ALL,NO}_PROXY \
		"${!CARGO_HTTP_@}" "${!CARGO_NET_@}"; do
		[[ -z ${!name:-} ]] || environment+=("$name=${!name}")
	done
	as_root "$top/scripts/confine.sh" $$ "$top/scripts/enter.sh" "$root" "${binds[@]}" -- \
		chroot --userspec="$user" --groups="${groups// /,}" "$root" \
		env -i -C "$top" PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/tmp \
		CARGO_HOME="$cache/cargo" CARGO_TARGET_DIR="$base/cargo" "${environment[@]}" "$@"
}
