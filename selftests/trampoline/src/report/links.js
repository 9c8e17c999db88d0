// SPDX-License-Identifier: GPL-2.0
// Links instructions, slots and phases of an image: what the pointer or the keyboard is on shows
// what belongs to it. A click, or Space, holds it.

const link = (image, body, parts, said) => {
	let held = null;

	const clear = () => {
		for (const element of body.querySelectorAll(".hot, .warm")) element.classList.remove("hot", "warm");
		for (const chip of parts.chips.keys()) chip.setAttribute("aria-pressed", "false");
	};
	const heat = (half, heat) => {
		for (const cell of half.cells) cell.classList.add(heat);
		half.row.element.classList.add(heat);
	};
	const heatPhase = (nr, heat) => {
		const phase = parts.phases[nr];
		phase.element.classList.add(heat);
		for (const head of phase.heads) head.classList.add(heat);
	};

	const onHalves = (halves) => {
		const words = [];
		for (const half of halves) {
			heat(half, "hot");
			heatPhase(half.phase, "hot");
			const slot = parts.slots.get(half.slot);
			slot?.element.classList.add("hot");
			words.push(`${half.text} · phase ${half.phase + 1}, ${PHASES[half.phase]}` + (slot ? ` · ${slot.name}` : ""));
		}
		said.textContent = [...new Set(words)].join("\n");
	};
	const onSlot = (slot) => {
		slot.element.classList.add("hot");
		for (const half of slot.rows) heat(half, "hot");
		for (const phase of slot.phases) heatPhase(phase, "hot");
		const count = new Set(slot.rows.map((half) => half.row)).size;
		const phases = [...slot.phases].map((phase) => PHASES[phase]).join(", ");
		said.textContent = `${slot.name} · ${count} instruction${count === 1 ? "" : "s"}` + (phases ? ` · ${phases}` : "");
	};
	const onPhase = (nr) => {
		const phase = parts.phases[nr];
		heatPhase(nr, "hot");
		phase.element.setAttribute("aria-pressed", "true");
		for (const half of phase.rows) {
			heat(half, "hot");
			parts.slots.get(half.slot)?.element.classList.add("warm");
		}
		const count = new Set(phase.rows.map((half) => half.row)).size;
		said.textContent = `Phase ${nr + 1}, ${PHASES[nr]} · ${count} instruction${count === 1 ? "" : "s"}`;
	};

	const bySlot = new Map([...parts.slots.values()].map((slot) => [slot.element, slot]));
	const byHead = new Map(parts.phases.flatMap((phase, nr) => phase.heads.map((head) => [head, nr])));

	// What is shown for an element of the page: a function, or null.
	const shownBy = (element) => {
		const half = parts.halves.get(element.closest?.("td"));
		if (half) return () => onHalves([half]);
		const tr = element.closest?.("tr");
		if (parts.rows.has(tr)) return () => onHalves(parts.rows.get(tr).halves);
		if (byHead.has(tr)) return () => onPhase(byHead.get(tr));
		const slot = bySlot.get(element.closest?.(".slot"));
		if (slot) return () => onSlot(slot);
		const chip = element.closest?.(".chip");
		return parts.chips.has(chip) ? () => onPhase(parts.chips.get(chip)) : null;
	};
	const show = (what) => {
		clear();
		(what ?? held)?.();
		if (!what && !held) said.textContent = "";
	};

	body.addEventListener("mouseover", (event) => held || show(shownBy(event.target)));
	body.addEventListener("mouseleave", () => show(null));
	body.addEventListener("focusin", (event) => {
		if (event.target.matches(":focus-visible")) show(shownBy(event.target));
	});
	body.addEventListener("focusout", () => show(null));
	const hold = (element) => {
		const what = shownBy(element);
		held = held ? null : what;
		body.classList.toggle("held", Boolean(held));
		show(what);
	};
	body.addEventListener("click", (event) => {
		if (!String(getSelection())) hold(event.target);
	});

	// One element of each group can be reached by Tab, the others by the arrows.
	const groups = [
		[...parts.chips.keys()].filter((chip) => chip.isConnected),
		[...bySlot.keys()],
		[...parts.rows.keys()],
	];
	for (const group of groups) {
		if (group.length) group[0].tabIndex = 0;
		const step = (from, by) => {
			const next = group[group.indexOf(from) + by];
			if (!next) return;
			from.tabIndex = -1;
			next.tabIndex = 0;
			next.focus();
		};
		const keys = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
		for (const element of group) {
			element.addEventListener("keydown", (event) => {
				if (event.key in keys) step(element, keys[event.key]);
				else if (event.key === " ") hold(element);
				else return;
				event.preventDefault();
			});
		}
	}
	image.letGo = () => {
		held = null;
		body.classList.remove("held");
		show(null);
	};
};
