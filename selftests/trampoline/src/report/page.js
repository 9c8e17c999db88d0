// SPDX-License-Identifier: GPL-2.0
// Keys and the theme.

const root = document.documentElement;
const help = document.getElementById("help");

// Dark or light, as the system has it until somebody chooses. (A page from a file may have no
// storage.)
const stored = (value) => {
	try {
		if (value) localStorage.setItem("theme", value);
		return localStorage.getItem("theme");
	} catch {
		return value ?? null;
	}
};
const isDark = () =>
	root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const changeTheme = () => {
	root.dataset.theme = isDark() ? "light" : "dark";
	stored(root.dataset.theme);
};
const before = stored();
if (before === "dark" || before === "light") root.dataset.theme = before;
document.getElementById("theme").addEventListener("click", changeTheme);

const showHelp = () => (help.open ? help.close() : help.showModal());
document.getElementById("keys").addEventListener("click", showHelp);

const keys = {
	j: () => step(1),
	k: () => step(-1),
	o: () => {
		const image = current();
		if (!image) return;
		image.open = !image.open;
		image.querySelector("summary").focus();
	},
	"/": () => {
		filter.focus();
		filter.select();
	},
	b: () => root.classList.toggle("with-bytes"),
	d: () => root.classList.toggle("only-different"),
	t: changeTheme,
	"?": showHelp,
	Escape: () => images.forEach((image) => image.letGo?.()),
};

addEventListener("keydown", (event) => {
	if (event.ctrlKey || event.altKey || event.metaKey) return;
	if (event.target === filter) {
		if (event.key === "Escape") {
			filter.value = "";
			applyFilter();
			filter.blur();
		} else if (event.key === "Enter") {
			// (What follows of the key would fold it again.)
			event.preventDefault();
			const [first] = shownImages();
			if (first) go(first, true);
		}
		return;
	}
	if (help.open && event.key !== "?") return;
	if (event.key in keys) {
		event.preventDefault();
		keys[event.key]();
	}
});

goToLink();
