# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts share: messages, steps, root rights, the cache and its lock.
# Sourced first by every script that make calls.
#
# Each file's head says which variables of the other files it uses. Those in capital
# letters come from the user, by make; `make help` explains them.
#
# Sets:  top (the checkout), cache; descriptor 9 while it has the lock.
# Reads: XDG_CACHE_HOME, V.

set -euo pipefail
shopt -s inherit_errexit extglob nullglob
export LC_ALL=C.UTF-8

# What was interrupted did not fail.
trap 'echo; exit 130' INT

say() { printf 'rust_fsession: %s\n' "$*"; }
die() { say "$@" >&2; exit 1; }

# Under `sudo make` everything still belongs to the caller: the caches are the
# caller's, and root is asked for only where it is needed.
if [[ $EUID -eq 0 && ${SUDO_UID:-0} -ne 0 ]]; then
	home=$(getent passwd "$SUDO_UID" | cut -d: -f6)
	exec setpriv --reuid="$SUDO_UID" --regid="$SUDO_GID" --init-groups \
		env -u SUDO_UID -u SUDO_GID HOME="$home" USER="${SUDO_USER:-}" "$0" "$@"
fi

top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd -P)
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}
[[ $cache == /* ]] || die "XDG_CACHE_HOME must be an absolute path, not '$cache'"
cache=$(realpath -m "$cache")/rust_fsession
[[ $top$cache != *[[:space:]:]* ]] ||
	die "kernel builds take no spaces or colons in paths: move $top or set XDG_CACHE_HOME"

# --- Root rights -------------------------------------------------------------

as_root() { if ((EUID)); then sudo -- "$@"; else "$@"; fi; }

# Asks for a password now, rather than behind a progress bar.
need_root() { # WHAT-FOR
	((EUID)) || return 0
	command -v sudo >/dev/null ||
		die "$1 needs root: install sudo, or run the same command as root"
	sudo -n true 2>/dev/null && return
	say "$1 needs root, asking sudo"
	sudo -v || die "sudo refused: get sudo rights for $(id -un), or run the same command as root"
}

# --- The cache ---------------------------------------------------------------

# Everything is made under tmp/ and renamed into place once it is whole, so a
# name that exists is complete. A temporary ends in its maker's process id.
temporary() { # NAME
	mkdir -p "$cache/tmp"
	printf '%s' "$cache/tmp/$1.$$"
}

publish() { # TEMPORARY FINAL
	mv -T "$1" "$2"
}

# Waits for another run on the same cache; the lock ends with the process.
lock() {
	mkdir -p "$cache/tmp" "$cache/log" 2>/dev/null ||
		die "cannot write $cache: set XDG_CACHE_HOME to a directory of yours"
	exec 9>"$cache/lock"
	if ! flock -n 9; then
		say "another run is building in $cache, waiting for it"
		flock 9
	fi
	# A distclean may have taken the file away in the meantime.
	[[ $cache/lock -ef /dev/fd/9 ]] || { lock; return; }
	sweep
}

unlock() { exec 9>&-; }

# Removes what a killed run left behind.
sweep() {
	local left
	for left in "$cache"/tmp/*.*; do
		[[ ! -d /proc/${left##*.} ]] || continue
		[[ -O $left ]] || need_root "cleaning up a build root"
		step CLEAN "what an interrupted run left" 1 discard "$left"
	done
}

# A build root belongs to root.
discard() { # PATH
	rm -rf --one-file-system -- "$1" 2>/dev/null || as_root rm -rf --one-file-system -- "$1"
}

need_space() { # MEGABYTES WHAT
	local free
	free=$(df --output=avail -BM "$cache" | tail -n 1)
	free=${free//[!0-9]/}
	((free >= $1)) ||
		die "$2 needs $1 MB, $cache has $free MB: make room or set XDG_CACHE_HOME"
}

# --- Steps -------------------------------------------------------------------

# step TAG TEXT LINES COMMAND...: one line on the screen for one step of work.
# COMMAND's output goes to a log, and its share of the LINES it usually prints
# is the progress bar; 60s, in the place of LINES, is the time that it takes. Ends
# the script when COMMAND fails.
step() {
	local tag=$1 text=$2 lines=$3 log bar='' status=0 begin=${EPOCHREALTIME/./}
	shift 3
	log=$(log_of "$tag" "$text")
	printf '  %-7s %-44s ' "$tag" "$text"
	if [[ ${V:-} == 1 ]]; then
		printf '\n+ %s\n' "$*"
		"$@" 2>&1 | tee "$log" || status=$?
		printf '  %-7s %-44s ' "$tag" "$text"
	else
		if [[ -t 1 ]]; then progress "$lines" "$log" & bar=$!; fi
		"$@" >"$log" 2>&1 || status=$?
		[[ -z $bar ]] || { kill "$bar" && wait "$bar"; } 2>/dev/null || true
	fi
	printf '%7.1f s' "$(((${EPOCHREALTIME/./} - begin) / 100000))e-1"
	[[ -z $bar ]] || printf '\e[K'
	echo
	((status == 0)) || failed "$text" "$log"
}

log_of() { # TAG TEXT
	printf '%s' "$cache/log/$1-${2//[![:alnum:].+]/-}.log"
}

# Draws behind the step's text until it is killed, or its script is gone.
progress() { # LINES|SECONDSs LOG
	local width=14 begin=$SECONDS all=${1%s} done full='##############' rest='..............' back
	while sleep 0.5 && [[ -d /proc/$$ ]]; do
		if [[ $1 == *s ]]; then done=$((SECONDS - begin)); else done=$(wc -l <"$2"); fi
		done=$((done < all ? done * width / all : width))
		printf -v back '[%s%s] %3d s' "${full:0:done}" "${rest:0:width-done}" $((SECONDS - begin))
		printf '%s\e[%dD' "$back" ${#back}
	done
}

# What apt and cargo say when nothing answers.
no_network='Could not (resolve|connect to)|Temporary failure (resolving|in name resolution)'
no_network+='|Failed to fetch|Unable to connect to|failed to download|Network is unreachable'

failed() { # TEXT LOG
	if grep -qE "$no_network" "$2"; then
		die "no network for '$1': check the connection (or http_proxy)" \
			"and run the same command again; log: $2"
	elif grep -q 'No space left on device' "$2"; then
		die "the disk is full: make room or set XDG_CACHE_HOME, then run the same command again"
	fi
	tail -n 20 "$2" | sed 's/^/  | /' >&2
	die "'$1' failed, the whole log is $2"
}
