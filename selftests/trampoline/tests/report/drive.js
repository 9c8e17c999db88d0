// SPDX-License-Identifier: GPL-2.0
// Uses the page as people do, and tells in KTAP what came of it: see scripts/report.sh.

"use strict";
(async () => {
	const results = [];
	const check = (name, ok) => results.push(`${ok ? "ok" : "not ok"} ${results.length + 1} ${name}`);
	const all = (selector) => [...document.querySelectorAll(selector)];
	const later = (ms = 150) => new Promise((done) => setTimeout(done, ms));
	const visible = () => all("details.image").filter((image) => !image.hidden);
	const key = (name) =>
		(document.activeElement ?? document.body).dispatchEvent(
			new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
	const hover = (element) => element.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
	const type = (text) => {
		filter.value = text;
		filter.dispatchEvent(new Event("input"));
	};
	const filter = document.getElementById("filter");
	const hot = (what) => all(`${what}.hot`);
	const open = async (id) => {
		location.hash = id;
		await later();
		return document.getElementById(id);
	};
	const errors = [];
	addEventListener("error", (event) => errors.push(event.message));

	check("images wait to be unfolded", all(".listing").length === 0);

	// A permalink, and what is linked.
	const image = await open("image-vfs_read-7.2.12-deb13-amd64");
	check("a permalink unfolds its image", image.open && image.querySelector(".listing"));
	check("and scrolls to it", Math.abs(image.getBoundingClientRect().top) < 150);
	hover(image.querySelectorAll(".row .insn")[6]);
	check("an instruction has its slot and its phase",
		["td.insn", ".slot", ".chip", ".head"].every((what) => hot(what).length === 1));
	const file = [...image.querySelectorAll(".slot")].find((slot) => slot.textContent.includes("file"));
	hover(file);
	check("a slot has all its instructions", hot(".row").length === 4 && hot(".slot").length === 1);
	hover(image.querySelectorAll(".chip")[4]);
	check("a phase has its instructions, and their slots",
		hot(".row").length > 5 && all(".slot.warm").length > 1);
	file.click();
	hover(image.querySelector(".row .insn"));
	check("a click holds", hot(".slot")[0] === file);
	key("Escape");
	check("Escape lets go", hot(".slot").length === 0);
	const row = image.querySelector(".row");
	row.focus();
	key("ArrowDown");
	key("ArrowDown");
	check("arrows step through instructions",
		document.activeElement === image.querySelectorAll(".row")[2]);

	// The filter, for both sides and for tests.
	key("/");
	check("/ goes to the filter", document.activeElement === filter);
	type("kind:fmod_ret is:different");
	check("the filter takes words with a key", visible().length > 0
		&& visible().every((one) => one.querySelector(".verdict.different") && one.textContent.includes("fmod_ret")));
	const found = visible();
	key("Enter");
	await later();
	check("Enter unfolds the first one", found[0].open && document.activeElement.closest("details") === found[0]);
	key("j");
	check("j goes on", document.activeElement.closest("details") === found[1]);
	key("k");
	check("k goes back", document.activeElement.closest("details") === found[0]);
	key("o");
	check("o folds", !found[0].open);
	type("hooks_storm");
	check("tests are filtered as well", visible().length === 0
		&& all("details.tests").filter((tests) => !tests.hidden).length === 1);
	filter.focus();
	key("Escape");
	check("Escape takes the filter away", visible().length === all("details.image").length);
	type("no such thing");
	await open("image-do_exit-7.2.12-deb13-amd64");
	check("a permalink is stronger than the filter", filter.value === "");
	check("what is detached is struck out", all("[id^=image-do_exit] s").length > 3);

	// Help, theme, bytes.
	document.activeElement.blur();
	key("?");
	check("? helps", document.getElementById("help").open);
	key("?");
	check("and goes", !document.getElementById("help").open);
	const paper = () => getComputedStyle(document.body).backgroundColor;
	const before = paper();
	key("t");
	check("t changes the theme", paper() !== before);
	key("t");
	check("and back", paper() === before);
	check(`the page is ${matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"}, as the system is`,
		(before === "rgb(255, 255, 255)") !== matchMedia("(prefers-color-scheme: dark)").matches);
	const bytes = image.querySelector("td.bytes");
	key("b");
	check("b shows bytes", getComputedStyle(bytes).display !== "none");
	key("b");
	check("and hides them", getComputedStyle(bytes).display === "none");

	// Names are text.
	check("names are text", all("b").length === 0 && document.body.textContent.includes("<\/script><b>"));

	// Width.
	const body = image.querySelector(".body");
	const columns = getComputedStyle(body).gridTemplateColumns.split(" ").length;
	const wanted = innerWidth > 1100 ? 2 : 1;
	check(`columns where ${innerWidth} are there: ${wanted}`, columns === wanted);
	check("nothing sticks out", document.documentElement.scrollWidth <= innerWidth);

	// Paper: all is unfolded and drawn, and folded again.
	const folded = all("details:not([open])").length;
	dispatchEvent(new Event("beforeprint"));
	check("all is unfolded on paper", all("details:not([open])").length === 0
		&& all("details.image.drawn").length === all("details.image").length);
	dispatchEvent(new Event("afterprint"));
	check("and folded again", all("details:not([open])").length === folded);
	check(`no errors: ${errors}`, errors.length === 0);

	const told = document.createElement("pre");
	told.textContent = `\n${results.join("\n")}\n1..${results.length}\n`;
	document.body.append(told);
})();
