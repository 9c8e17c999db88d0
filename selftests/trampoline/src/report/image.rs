// SPDX-License-Identifier: GPL-2.0

//! One entry of the page: a summary that is always there, and the data that the script draws when
//! it is unfolded.

use maud::{html, Markup, PreEscaped};
use serde::Serialize;

use super::entries::{name, Entry, Shown};
use super::json;
use crate::diff::{By, Diff};
use crate::reading::{Error, Frame, Line, Phase, Reading, Role, SlotKind};
use crate::view::header::{describe, program};
use crate::view::{from_rbp, picture};
use uapi::device::flag_names;

/// An entry with what its images say.
pub struct Drawn<'a> {
    entry: &'a Entry<'a>,
    left: Result<Reading, Error>,
    right: Option<Result<Reading, Error>>,
    pub verdict: Verdict,
}

/// What holds of two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is one only.
    Alone,
    Identical,
    /// The same instructions, with other addresses.
    Moved,
    Different,
}

impl Verdict {
    /// In a word, as the filter takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Identical => "identical",
            Self::Moved => "moved",
            Self::Different => "different",
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Alone => "one image",
            Self::Identical => "= identical",
            Self::Moved => "~ other addresses only",
            Self::Different => "≠ different",
        }
    }
}

/// What the script draws.
#[derive(Serialize)]
struct Data {
    sides: Vec<SideData>,
    /// Both sides have one frame, the first one's.
    one_frame: bool,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct SideData {
    label: String,
    facts: Vec<(&'static str, String)>,
    frame_size: u32,
    cells: Vec<Cell>,
    /// Why there is nothing else.
    unreadable: Option<String>,
}

/// A part of the frame's picture, from the top down.
#[derive(Serialize, PartialEq, Default)]
struct Cell {
    /// `rbp-0x28`; empty for bytes that are not used.
    at: String,
    /// Bytes.
    size: u32,
    what: String,
    /// `ctx[-1]`, or empty.
    ctx: String,
    /// It lies within the one below.
    nested: bool,
    /// It belongs to the caller.
    above: bool,
    /// Number of the slot, none for bytes that are not used.
    slot: Option<usize>,
}

/// How two instructions compare: `=`, `~` (other addresses) or `≠`, and the instructions.
#[derive(Serialize)]
struct Row(char, Option<Insn>, Right);

/// The instruction on the right.
#[derive(Serialize)]
#[serde(untagged)]
enum Right {
    Insn(Option<Insn>),
    /// The one on the left once more: 1.
    Same(u8),
}

/// An instruction, as the script takes it.
#[derive(Serialize, PartialEq)]
struct Insn {
    /// Offset.
    o: u32,
    /// Bytes.
    b: String,
    /// Text.
    t: String,
    /// Number of its phase.
    p: usize,
    /// Number of its program's call.
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<usize>,
    /// Number of the slot that it accesses.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<usize>,
    /// Note.
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    /// It never runs.
    #[serde(skip_serializing_if = "is_false")]
    x: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde has it
fn is_false(flag: &bool) -> bool {
    !flag
}

impl<'a> Drawn<'a> {
    pub fn new(entry: &'a Entry<'a>) -> Self {
        let left = Reading::new(entry.left.trampoline);
        let right = entry.right.map(|right| Reading::new(right.trampoline));
        let verdict = match &entry.right {
            None => Verdict::Alone,
            Some(right) if right.trampoline.code == entry.left.trampoline.code => {
                Verdict::Identical
            }
            Some(_) => match (&left, &right) {
                (Ok(left), Some(Ok(right))) if same(left, right) => Verdict::Moved,
                _ => Verdict::Different,
            },
        };
        Self {
            entry,
            left,
            right,
            verdict,
        }
    }

    pub fn html(&self) -> Markup {
        let shown = self.entry.left;
        let target = shown.trampoline.target.as_ref();
        let kinds = self.kinds();
        let programs = self.programs();
        html! {
            details.image id=(self.entry.id) data-words=(self.words(&kinds, &programs)) {
                summary {
                    h3 { (name(shown.trampoline)) }
                    @if let Some(module) = target.and_then(|target| target.module.as_deref()) {
                        span.faint { "[" (module) "]" }
                    }
                    @for kind in &kinds { span.kind { (kind) } }
                    span.programs { (programs.join(", ")) }
                    span.bytes { (shown.trampoline.code.len())
                        @if let Some(right) = self.entry.right {
                            @if right.trampoline.code.len() != shown.trampoline.code.len() {
                                " / " (right.trampoline.code.len())
                            }
                        }
                        " bytes" }
                    @if !self.is_readable() { span.unreadable { "✗ unreadable" } }
                    span class={ "verdict " (self.verdict.name()) } { (self.verdict.told()) }
                    span.sides { (shown.side.label)
                        @if let Some(right) = self.entry.right { " | " (right.side.label) } }
                    a.permalink href={ "#" (self.entry.id) } aria-label="Permalink" { "#" }
                }
                script type="application/json" { (PreEscaped(json(&self.data()))) }
            }
        }
    }

    fn is_readable(&self) -> bool {
        self.left.is_ok() && !matches!(self.right, Some(Err(_)))
    }

    fn readings(&self) -> impl Iterator<Item = &Reading> {
        let right = self.right.iter().flatten();
        self.left.iter().chain(right)
    }

    /// The kinds of programs, in the order in which they run.
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<Role> = Vec::new();
        for call in self.readings().flat_map(|reading| &reading.calls) {
            if !kinds.contains(&call.role) {
                kinds.push(call.role);
            }
        }
        kinds.into_iter().map(Role::name).collect()
    }

    fn programs(&self) -> Vec<String> {
        let mut programs: Vec<String> = Vec::new();
        for call in self.readings().flat_map(|reading| &reading.calls) {
            if let Some(name) = call.name() {
                if !programs.iter().any(|known| known == name) {
                    programs.push(name.to_owned());
                }
            }
        }
        programs
    }

    /// What the filter looks at: `word` or `key:word`, a line each.
    fn words(&self, kinds: &[&str], programs: &[String]) -> String {
        let shown = [Some(self.entry.left), self.entry.right];
        let shown = || shown.iter().flatten();
        let mut words = vec![format!("target:{}", name(self.entry.left.trampoline))];
        words.extend(programs.iter().map(|program| format!("program:{program}")));
        words.extend(kinds.iter().map(|kind| format!("kind:{kind}")));
        words.push(format!("is:{}", self.verdict.name()));
        words.extend((!self.is_readable()).then(|| "is:unreadable".to_owned()));
        words.extend(shown().map(|shown| format!("symbol:{}", shown.trampoline.symbol)));
        words.extend(shown().map(|shown| format!("kernel:{}", shown.side.label)));
        words.join("\n").to_lowercase()
    }

    fn data(&self) -> Data {
        let mut sides = vec![side(&self.entry.left, &self.left)];
        if let (Some(shown), Some(reading)) = (&self.entry.right, &self.right) {
            sides.push(side(shown, reading));
        }
        let one_frame = match &mut sides[..] {
            [left, right] if left.cells == right.cells => {
                right.cells.clear();
                true
            }
            [_, _] => false,
            _ => true,
        };
        let rows = match (&self.left, &self.right) {
            (Ok(left), Some(Ok(right))) => rows(left, right),
            (Ok(left), _) => {
                let rows = left.lines.iter();
                rows.map(|line| Row('=', Some(insn(line, &left.frame)), Right::Insn(None)))
                    .collect()
            }
            (Err(_), Some(Ok(right))) => {
                let rows = right.lines.iter();
                rows.map(|line| Row('≠', None, Right::Insn(Some(insn(line, &right.frame)))))
                    .collect()
            }
            (Err(_), _) => Vec::new(),
        };
        Data {
            sides,
            one_frame,
            rows,
        }
    }
}

fn side(shown: &Shown, reading: &Result<Reading, Error>) -> SideData {
    let reading = reading.as_ref();
    SideData {
        label: shown.side.label.clone(),
        facts: facts(shown, reading.ok()),
        frame_size: reading.map_or(0, |reading| reading.frame.size),
        cells: reading.map_or_else(|_| Vec::new(), |reading| cells(&reading.frame)),
        unreadable: reading.err().map(ToString::to_string),
    }
}

/// What is known of an image, as names and values.
fn facts(shown: &Shown, reading: Option<&Reading>) -> Vec<(&'static str, String)> {
    let trampoline = shown.trampoline;
    let mut facts = Vec::new();
    if let Some(target) = &trampoline.target {
        facts.push(("function", target.declaration()));
    }
    let (symbol, addr, bytes) = (&trampoline.symbol, trampoline.addr, trampoline.code.len());
    facts.push(("image", format!("{symbol} at {addr}, {bytes} bytes")));
    let flags = trampoline.module.as_ref().map(|module| module.flags);
    if let Some(flags) = flags.or(reading.map(|reading| reading.flags)) {
        facts.push(("flags", flag_names(flags)));
    }
    for call in reading.map(Reading::programs).unwrap_or_default() {
        facts.push(("program", program(trampoline, call)));
    }
    for owner in &trampoline.owners {
        facts.push(("owner", describe(owner)));
    }
    facts
}

/// The frame's picture.
fn cells(frame: &Frame) -> Vec<Cell> {
    let unused = |bytes: i32, above| Cell {
        what: format!("{bytes} bytes not used"),
        size: bytes.unsigned_abs(),
        above,
        ..Cell::default()
    };
    let mut cells = Vec::new();
    let mut within = Vec::new();
    // Where the lowest one so far begins.
    let mut from: Option<i32> = None;
    for (nr, slot) in frame.slots.iter().enumerate() {
        let nested = slot.kind == SlotKind::BpfCookie;
        let place = frame.ctx.map(|ctx| picture::context(slot, ctx));
        let cell = Cell {
            at: from_rbp(slot.at),
            size: slot.size,
            what: picture::contents(slot).trim_start().to_owned(),
            ctx: place.unwrap_or_default(),
            nested,
            above: slot.at >= 0,
            slot: Some(nr),
        };
        if nested {
            within.push(cell);
            continue;
        }
        if let Some(bytes) = from.map(|from| from - slot.end()).filter(|gap| *gap > 0) {
            cells.push(unused(bytes, slot.end() > 0));
        }
        cells.push(cell);
        if slot.kind == SlotKind::RunContext {
            cells.append(&mut within);
        }
        from = Some(slot.at);
    }
    cells.append(&mut within);
    let bottom = 0i32.saturating_sub_unsigned(frame.size);
    if let Some(bytes) = from.map(|from| from - bottom).filter(|gap| *gap > 0) {
        cells.push(unused(bytes, false));
    }
    cells
}

fn insn(line: &Line, frame: &Frame) -> Insn {
    let slot = line.slot.and_then(|at| frame.slot(at));
    Insn {
        o: line.offset,
        b: hex::encode(&line.bytes),
        t: line.text.clone(),
        p: Phase::ALL
            .iter()
            .position(|phase| *phase == line.phase)
            .unwrap_or(0),
        c: line.call,
        s: slot.and_then(|slot| frame.slots.iter().position(|one| one == slot)),
        n: line.note.clone(),
        x: line.skipped,
    }
}

/// Both do the same, though their addresses may differ.
fn same(left: &Reading, right: &Reading) -> bool {
    Diff::new(left, right, By::Meaning).is_equal()
}

/// Both listings, line by line.
fn rows(left: &Reading, right: &Reading) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in Diff::new(left, right, By::Meaning).runs {
        let ones = left.lines.get(run.a).unwrap_or_default();
        let others = right.lines.get(run.b).unwrap_or_default();
        for nr in 0..ones.len().max(others.len()) {
            let (one, other) = (ones.get(nr), others.get(nr));
            let sign = match (one, other) {
                (Some(one), Some(other)) if one.bytes == other.bytes => '=',
                (Some(_), Some(_)) if run.equal => '~',
                _ => '≠',
            };
            let one = one.map(|line| insn(line, &left.frame));
            let other = other.map(|line| insn(line, &right.frame));
            let other = match one == other {
                true => Right::Same(1),
                false => Right::Insn(other),
            };
            rows.push(Row(sign, one, other));
        }
    }
    rows
}
