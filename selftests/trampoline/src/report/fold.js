// SPDX-License-Identifier: GPL-2.0
// Images unfold, are filtered, and have links of their own.

const images = [...document.querySelectorAll("details.image")];
const shownImages = () => images.filter((image) => !image.hidden);

// An image that is unfolded is drawn when it comes near.
const near = new IntersectionObserver((entries) => {
	for (const { isIntersecting, target } of entries) {
		if (!isIntersecting) continue;
		near.unobserve(target);
		if (target.open) draw(target);
	}
}, { rootMargin: "600px" });

for (const image of images) {
	image.addEventListener("toggle", () => {
		if (image.open && !image.classList.contains("drawn")) near.observe(image);
	});
}

const go = (image, unfold) => {
	if (unfold) {
		image.open = true;
		draw(image);
	}
	image.querySelector("summary").focus({ preventScroll: true });
	image.scrollIntoView({ block: "start" });
};

const goToLink = () => {
	let id = location.hash.slice(1);
	try {
		id = decodeURIComponent(id);
	} catch {
		return;
	}
	const image = document.getElementById(id);
	if (!images.includes(image)) return;
	if (image.hidden) {
		filter.value = "";
		applyFilter();
	}
	go(image, true);
};
addEventListener("hashchange", goToLink);

// The image that the keyboard is in, or the one at the top of the window.
const current = () => {
	const focused = document.activeElement?.closest?.("details.image");
	if (focused && !focused.hidden) return focused;
	return null;
};
const step = (by) => {
	const all = shownImages();
	if (!all.length) return;
	const from = current();
	if (from) {
		const next = all[all.indexOf(from) + by];
		if (next) go(next, false);
		return;
	}
	const below = all.findIndex((image) => image.getBoundingClientRect().bottom > 80);
	const index = below < 0 ? all.length - 1 : below;
	go(all[Math.max(0, by > 0 ? index : index - 1)], false);
};

// --- Filter: all words have to be found, with `key:` in what has that name.

const filter = document.getElementById("filter");
const found = document.getElementById("found");
const filtered = [...document.querySelectorAll("[data-words]")].map((element) => ({
	element,
	lines: element.dataset.words.split("\n"),
}));

const matches = (lines, word) => {
	const key = /^[a-z]+:/.exec(word)?.[0] ?? "";
	const text = word.slice(key.length);
	return lines.some((line) => line.startsWith(key) && line.slice(line.indexOf(":") + 1).includes(text));
};

const applyFilter = () => {
	const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
	for (const { element, lines } of filtered) {
		element.hidden = !words.every((word) => matches(lines, word));
	}
	for (const group of document.querySelectorAll("details.tests")) {
		group.hidden = !group.querySelector("tbody tr:not([hidden])");
	}
	const left = shownImages().length;
	found.textContent = words.length && images.length ? `${left} of ${images.length} images` : "";
	const none = document.getElementById("none");
	if (none) none.hidden = left > 0;
};
filter.addEventListener("input", applyFilter);

// --- All of them

const unfold = document.getElementById("unfold");
unfold.hidden = images.length === 0;
unfold.addEventListener("click", () => {
	const open = shownImages().some((image) => !image.open);
	for (const image of shownImages()) image.open = open;
	unfold.textContent = open ? "Fold all" : "Unfold all";
});

// On paper everything is unfolded.
let folded = [];
addEventListener("beforeprint", () => {
	folded = [...document.querySelectorAll("details:not([open])")];
	for (const details of folded) details.open = true;
	for (const image of shownImages()) draw(image);
});
addEventListener("afterprint", () => {
	for (const details of folded) details.open = false;
});
