# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What `fsession` shows: of a VM in README.md, and of whole runs as a page.
#
# Sets:  nothing.
# Reads: top, vm, release, series, T.

# Puts what the guest's job says between README's marks.
captures() { # SERIES
	local readme=$top/README.md said
	need_vm "$1"
	run_vm captures
	said=$(sed '/^guest: /d' "$vm/output" | tr -d '\r')
	[[ $said == *'$ fsession trace'* ]] || die "the guest has captured nothing"
	SAID=$said awk '
		/^<!-- make captures: end -->$/ { inside = 0 }
		!inside
		/^<!-- make captures: begin -->$/ { print "```\n" ENVIRON["SAID"] "\n```"; inside = 1 }
	' "$readme" >"$readme.new"
	mv "$readme.new" "$readme"
	say "README.md has what fsession shows on Linux $release"
}

# The tests of each series (T= names some), and all images of programs of each kind by
# both builders, with the figures of `make bench`.
report() {
	local one mode dir page=$top/build/report.html dumps=() tests=() bench=()
	for one in "${series[@]}"; do
		need_vm "$one"
		dir=$(module_directory)
		# (What fails is in the page.)
		# shellcheck disable=SC2086
		run_vm test ${T:-} || true
		cp "$vm/output" "$dir/tests.log"
		tests+=(--tests "$dir/tests.log")
		for mode in off takeover; do
			beside=$vm/dump run_vm dump "$mode"
			cp "$vm/dump" "$dir/$mode.json"
			dumps+=(--dump "$dir/$mode.json")
		done
	done
	for one in "$top"/doc/bench/*.json; do
		[[ ! -e $one ]] || bench+=(--bench "$one")
	done
	in_root "$dir/user/bin/fsession" report "${dumps[@]}" "${tests[@]}" "${bench[@]}" \
		--title "rust_fsession, $(date +%F)" -o "$page"
	picture "$page"
	say "$page, in $SECONDS s: open it in a browser"
	[[ -z ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]] || ! command -v xdg-open >/dev/null || xdg-open "$page"
}

# The picture in README, of the top of the page, where there is a browser to take it.
picture() { # PAGE
	local browser profile options=(--headless --disable-gpu --hide-scrollbars)
	browser=$(command -v chromium chromium-browser google-chrome | head -n 1) || true
	[[ -n $browser ]] || { say "no picture of it for README: that takes chromium"; return 0; }
	profile=$(mktemp -d)
	((EUID)) || options+=(--no-sandbox)
	"$browser" "${options[@]}" --user-data-dir="$profile" --window-size=1280,1100 \
		--virtual-time-budget=5000 --screenshot="$top/doc/report.png" "file://$1" >/dev/null 2>&1 || true
	rm -rf "$profile"
}
