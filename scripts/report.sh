# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The report's page in a browser, used by a script as people use it.
#
# Sets:  counts in passed, failed and skipped.
# Reads: top, rust.

# Name, width, options of the browser.
screens=(
	"wide|1440|"
	"between|900|"
	"narrow|500|"
	"dark|1440|--force-dark-mode"
)

report_test() {
	local pages=$top/build/report browser one name width options
	mkdir -p "$pages"
	choose_rust cargo cc
	step TEST "the page itself" 30 "${rust[@]}" env -C "$top/selftests" "REPORT_PAGES=$pages" \
		cargo test --locked --package trampoline --test report
	browser=$(command -v chromium chromium-browser google-chrome | head -n 1) || true
	if [[ -z $browser ]]; then
		say "skipped: the page in a browser, which takes chromium ('apt install chromium')"
		skipped=$((skipped + 1))
		return
	fi
	for one in "${screens[@]}"; do
		IFS='|' read -r name width options <<<"$one"
		on_screen "$name" "$width" ${options:+"$options"}
	done
}

on_screen() { # NAME WIDTH [OPTION...]
	local status=0
	(step TEST "the page in a browser, $1" 40 drive "${@:2}") || status=$?
	tally $status "$(log_of TEST "the page in a browser, $1")" '^ok ' '^not ok ' '^skipped'
}

# Fails if the script has not come to its end. (The browser takes no sandbox from root.)
drive() { # WIDTH [OPTION...]
	local profile said options=(--headless --disable-gpu --window-size="$1,900" "${@:2}")
	((EUID)) || options+=(--no-sandbox)
	profile=$(mktemp -d)
	said=$("$browser" "${options[@]}" --user-data-dir="$profile" --timeout=20000 \
		--virtual-time-budget=20000 --dump-dom "file://$pages/driven.html" 2>/dev/null |
		grep -E '^(not )?ok |^1\.\.')
	rm -rf "$profile"
	printf '%s\n' "$said"
	grep -q '^1\.\.' <<<"$said" && ! grep -q '^not ok ' <<<"$said"
}
