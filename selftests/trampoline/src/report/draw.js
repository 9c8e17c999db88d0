// SPDX-License-Identifier: GPL-2.0
// Draws an image from its data: the frame's picture, the phases, the listing.
// Text gets into the page as text nodes only.

const PHASES = JSON.parse(document.getElementById("phases").textContent);

// make("td.text", {title: "…"}, "text", child …)
const make = (what, attributes = {}, ...children) => {
	const [tag, ...classes] = what.split(".");
	const element = document.createElement(tag);
	if (classes.length) element.className = classes.join(" ");
	for (const [name, value] of Object.entries(attributes)) {
		if (value !== null && value !== undefined) element.setAttribute(name, value);
	}
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
};

const badge = (phase) =>
	make(`span.badge.phase${phase}`, { title: PHASES[phase] }, String(phase + 1));

// What an image consists of, for highlighting. Each part has `phases` and `slots` that it is
// linked to: slots as "side:number".
const slotKey = (data, side, slot) => `${data.one_frame ? 0 : side}:${slot}`;

const drawFacts = (data) => {
	// By name, then by value: which sides say so.
	const facts = new Map();
	data.sides.forEach((side, nr) => {
		for (const [name, value] of side.facts) {
			if (!facts.has(name)) facts.set(name, new Map());
			const values = facts.get(name);
			values.set(value, [...(values.get(value) ?? []), nr]);
		}
	});
	const dl = make("dl");
	for (const [name, values] of facts) {
		let title = name;
		for (const [value, sides] of values) {
			const one = data.sides.length > sides.length ? make("span.side", {}, data.sides[sides[0]].label) : null;
			dl.append(make("dt", {}, title), make("dd", {}, one, one ? " " : null, value));
			title = "";
		}
	}
	const unreadable = data.sides.filter((side) => side.unreadable);
	return make("div.facts", {}, dl,
		...unreadable.map((side) => make("p.failed", {}, `${side.label}: ${side.unreadable}`)));
};

// The frame of one side. The parts are added to `parts.slots`.
const drawFrame = (data, side, parts) => {
	const { cells, frame_size, label } = data.sides[side];
	const list = make("ol.frame", { "aria-label": `Stack frame of ${label}, from high to low addresses` });
	let above = true;
	for (const cell of cells) {
		const item = make("li.slot", {},
			make("span.at", {}, cell.at),
			make("span.what", {}, cell.what),
			make("span.ctx", {}, cell.ctx),
			make("span.badges"));
		item.style.setProperty("--words", Math.min(4, Math.max(1, Math.ceil(cell.size / 8))));
		if (cell.nested) item.classList.add("nested");
		if (above && !cell.above) item.classList.add("first");
		above = cell.above;
		if (cell.slot === null) {
			item.classList.add("unused");
		} else {
			item.tabIndex = -1;
			parts.slots.set(slotKey(data, side, cell.slot), {
				element: item,
				name: `${cell.at} ${cell.what}`,
				phases: new Set(),
				rows: [],
			});
		}
		list.append(item);
	}
	const several = data.sides.length > 1 && !data.one_frame;
	const title = several ? `${label}: ${frame_size} bytes` : `Stack frame, ${frame_size} bytes`;
	return make("section", {}, make("h4", {}, title), list);
};

// Half of a row: the cells of one side.
const drawHalf = (data, side, insn, parts, row, sign) => {
	if (!insn) return [make("td.offset.none"), make("td.bytes.none"), make("td.insn.none")];
	const cells = [
		make("td.offset", {}, insn.o.toString(16)),
		make("td.bytes", {}, insn.b.replace(/../g, "$& ").replace(/(?:.. ){7}(?=.)/g, "$&\n").trimEnd()),
		make("td.insn", {}, sign ? make("span.sign", {}, sign) : null,
			make(insn.x ? "s" : "span", {}, insn.t)),
	];
	const slot = insn.s === undefined ? null : slotKey(data, side, insn.s);
	const half = { row, cells, phase: insn.p, slot, text: insn.t };
	for (const cell of cells) parts.halves.set(cell, half);
	row.halves.push(half);
	parts.phases[insn.p]?.rows.push(half);
	const known = parts.slots.get(slot);
	if (known) {
		known.phases.add(insn.p);
		known.rows.push(half);
	}
	return cells;
};

// What is different has the sign of its side.
const signOf = (sign, side) => ({ "≠": side, "~": "~" })[sign] ?? null;

const notes = (left, right) => {
	if (!right || !left) return [(left ?? right).n ?? ""];
	if (left.n === right.n) return [left.n ?? ""];
	return [left.n, right.n].map((note) => note ?? "–");
};

const drawListing = (data, parts) => {
	const several = data.sides.length > 1;
	const body = make("tbody");
	const columns = several ? 8 : 5;
	let phase = -1;
	let call;
	for (const [sign, left, right] of data.rows) {
		const one = left ?? right;
		if (one.p !== phase) {
			phase = one.p;
			const title = make("th", { colspan: columns, scope: "rowgroup" }, badge(phase), ` ${PHASES[phase]}`);
			const head = make(`tr.head.phase${phase}`, {}, title);
			parts.phases[phase].heads.push(head);
			body.append(head);
		}
		const row = { element: null, halves: [] };
		const text = notes(left, right);
		const tr = make(`tr.row.phase${phase}`, { tabindex: -1 },
			make("td.stripe", {}),
			...drawHalf(data, 0, left, parts, row, several ? signOf(sign, "−") : null),
			...(several ? drawHalf(data, 1, right, parts, row, signOf(sign, "+")) : []),
			make("td.note", {}, ...text.flatMap((note, nr) => (nr ? [make("br"), note] : [note]))));
		if (sign === "=") tr.classList.add("same");
		if (sign === "~") tr.classList.add("moved");
		if (sign === "≠") tr.classList.add("other");
		if (one.c !== call && one.c !== undefined) tr.classList.add("begins");
		call = one.c;
		row.element = tr;
		parts.rows.set(tr, row);
		body.append(tr);
	}
	const table = make(several ? "table.listing.two" : "table.listing.one", {}, body);
	if (several) {
		const names = data.sides.map((side, nr) =>
			make("th", { colspan: 3, scope: "colgroup" }, make("span.sign", {}, "−+"[nr]), side.label));
		table.prepend(make("thead", {}, make("tr", {}, make("td.stripe"), ...names, make("td.note"))));
	}
	return table;
};

const drawPhases = (data, parts) => {
	const list = make("div.phases", { role: "group", "aria-label": "Phases" });
	const used = new Set(data.rows.flatMap(([, left, right]) => [left?.p, right?.p]));
	PHASES.forEach((name, nr) => {
		const chip = make(`button.chip.phase${nr}`, { type: "button", tabindex: -1, "aria-pressed": "false" }, badge(nr), ` ${name}`);
		parts.phases.push({ element: chip, rows: [], heads: [] });
		parts.chips.set(chip, nr);
		if (used.has(nr)) list.append(chip);
	});
	return list;
};

// Fills an unfolded image, once.
const draw = (image) => {
	if (image.classList.contains("drawn")) return;
	image.classList.add("drawn");
	const data = JSON.parse(image.querySelector("script").textContent);
	// (1 says that the right one is the left one once more.)
	for (const row of data.rows) if (row[2] === 1) row[2] = row[1];
	const parts = { slots: new Map(), rows: new Map(), halves: new Map(), chips: new Map(), phases: [] };
	const phases = drawPhases(data, parts);
	const sides = data.one_frame ? [0] : data.sides.map((_, nr) => nr);
	const frames = sides
		.filter((side) => data.sides[side].cells.length)
		.map((side) => drawFrame(data, side, parts));
	const listing = drawListing(data, parts);
	for (const slot of parts.slots.values()) {
		slot.element.querySelector(".badges").append(...[...slot.phases].sort((a, b) => a - b).map(badge));
	}
	const said = make("p.told", { "aria-live": "polite" });
	const body = make(data.sides.length > 1 ? "div.body.pair" : "div.body", {},
		drawFacts(data),
		phases,
		make("div.picture", {}, ...frames, said),
		make("div.code", {}, listing));
	image.append(body);
	link(image, body, parts, said);
};
