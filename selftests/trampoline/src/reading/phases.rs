// SPDX-License-Identifier: GPL-2.0

//! The parts of an image, and what each instruction is for.

use iced_x86::{Formatter, GasFormatter, SymbolResolver, SymbolResult};
use serde::Serialize;

use super::calls::{Calls, Role};
use super::facts::{Fact, Step, Value};
use super::frame::{Frame, Metadata, SlotKind};
use crate::document::{Hex, Trampoline};

/// A part of an image, in the order in which they follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Sets up the frame.
    Frame,
    SaveArguments,
    /// Takes a reference to the image, so that it stays while the function runs.
    TakeImage,
    /// Clears session cookies and the return value.
    ClearSession,
    EntryPrograms,
    Call,
    ReturnPrograms,
    PutImage,
    Epilogue,
}

impl Phase {
    /// As a heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::SaveArguments => "save arguments",
            Self::TakeImage => "take the image",
            Self::ClearSession => "clear session",
            Self::EntryPrograms => "entry programs",
            Self::Call => "call",
            Self::ReturnPrograms => "return programs",
            Self::PutImage => "put the image",
            Self::Epilogue => "epilogue",
        }
    }
}

/// An instruction of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub addr: Hex,
    /// Bytes from the start of the image.
    pub offset: u32,
    #[serde(with = "hex::serde")]
    pub bytes: Vec<u8>,
    /// In the syntax of objdump, addresses named.
    pub text: String,
    pub phase: Phase,
    /// Index in [`Reading::calls`](super::Reading::calls), where it belongs to a program.
    pub call: Option<usize>,
    /// The slot of the frame that it accesses, in bytes from rbp.
    pub slot: Option<i32>,
    /// What it is for, where that can be said.
    pub note: Option<String>,
    /// It never runs: the program is detached.
    pub skipped: bool,
}

pub(super) fn lines(
    steps: &[Step],
    calls: &Calls,
    frame: &Frame,
    trampoline: &Trampoline,
) -> Vec<Line> {
    let phases = phases(steps, calls, frame);
    let notes = Notes {
        steps,
        calls,
        frame,
        trampoline,
    };
    let mut formatter = formatter(trampoline);
    let skipped = skipped(steps, calls);
    let line = |index: usize, step: &Step, phase: Phase| {
        let offset = step.insn.ip().wrapping_sub(trampoline.addr.0) as usize;
        let bytes = trampoline.code.get(offset..offset + step.insn.len());
        let mut text = String::new();
        formatter.format(&step.insn, &mut text);
        Line {
            addr: Hex(step.insn.ip()),
            offset: offset as u32,
            bytes: bytes.unwrap_or_default().to_vec(),
            text,
            phase,
            call: calls
                .programs
                .iter()
                .position(|call| call.lines.contains(&index)),
            slot: slot_of(&step.fact),
            note: notes.note(index, &step.fact),
            skipped: skipped.get(index).copied().unwrap_or(false),
        }
    };
    let mut line = line;
    steps
        .iter()
        .zip(phases)
        .enumerate()
        .map(|(index, (step, phase))| line(index, step, phase))
        .collect()
}

fn slot_of(fact: &Fact) -> Option<i32> {
    match *fact {
        Fact::Store { at, .. } | Fact::Load { at, .. } | Fact::CompareSlot { at } => Some(at),
        Fact::Set {
            value: Value::Frame(at),
            ..
        } => Some(at),
        _ => None,
    }
}

/// Which instructions a detached program leaves out.
fn skipped(steps: &[Step], calls: &Calls) -> Vec<bool> {
    let mut skipped = vec![false; steps.len()];
    for call in calls.programs.iter().filter(|call| call.detached) {
        let mut from = None;
        for index in call.lines.clone() {
            if let Some(Fact::Jump { to, always: true }) = steps.get(index).map(|step| step.fact) {
                from.get_or_insert((index + 1, to));
            }
        }
        if let Some(range) = from.and_then(|(from, to)| skipped.get_mut(from..to)) {
            range.fill(true);
        }
    }
    skipped
}

/// The phase of each instruction. A phase begins where what it is known by begins to be prepared.
fn phases(steps: &[Step], calls: &Calls, frame: &Frame) -> Vec<Phase> {
    let mut starts: Vec<(usize, Phase)> = vec![(0, Phase::Frame)];
    let is_argument = |at: i32| {
        matches!(
            frame.slot(at).map(|slot| &slot.kind),
            Some(SlotKind::Argument { .. })
        )
    };
    let before_calls = [calls.tramp_enter, calls.function, first_program(calls)];
    let before_calls = before_calls
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(steps.len());
    let saves = steps
        .iter()
        .take(before_calls)
        .position(|step| matches!(step.fact, Fact::Store { at, .. } if is_argument(at)));
    starts.extend(saves.map(|at| (prepared(steps, at, 0), Phase::SaveArguments)));
    if let Some(call) = calls.tramp_enter {
        let from = prepared(steps, call, 0);
        starts.push((from, Phase::TakeImage));
        starts.push((call + 1, Phase::ClearSession));
    }
    let entry = |role: Role, half: Option<super::Half>| {
        role != Role::Fexit && half != Some(super::Half::Return)
    };
    let mut programs = calls.programs.iter();
    let first = programs.clone().find(|call| entry(call.role, call.half));
    starts.extend(first.map(|call| (call.lines.start, Phase::EntryPrograms)));
    let last_entry = calls
        .programs
        .iter()
        .rfind(|call| entry(call.role, call.half));
    if let Some(function) = calls.function {
        let floor = last_entry.map_or(calls.tramp_enter.map_or(0, |at| at + 1), |call| {
            call.lines.end
        });
        let from = steps
            .get(floor..function)
            .and_then(|between| {
                between
                    .iter()
                    .position(|step| !matches!(step.fact, Fact::Store { .. } | Fact::Set { .. }))
            })
            .map_or(function, |at| floor + at);
        // Everything between the programs and the call restores arguments.
        starts.push((if last_entry.is_some() { floor } else { from }, Phase::Call));
        let stores = matches!(
            steps.get(function + 1).map(|step| step.fact),
            Some(Fact::Store { at: -8, .. })
        );
        let back = function + 1 + usize::from(stores);
        starts.push((back, Phase::ReturnPrograms));
    }
    let last = programs.next_back().map(|call| call.lines.end);
    let after = last.unwrap_or(0).max(calls.function.map_or(0, |at| at + 2));
    match calls.tramp_exit {
        Some(call) => {
            starts.push((prepared(steps, call, after.min(call)), Phase::PutImage));
            starts.push((call + 1, Phase::Epilogue));
        }
        None => starts.push((after.min(steps.len()), Phase::Epilogue)),
    }
    let mut phases = vec![Phase::Frame; steps.len()];
    for (from, phase) in starts {
        if let Some(rest) = phases.get_mut(from..) {
            rest.fill(phase);
        }
    }
    // A program is never torn apart.
    for call in &calls.programs {
        let phase = if entry(call.role, call.half) {
            Phase::EntryPrograms
        } else {
            Phase::ReturnPrograms
        };
        if let Some(range) = phases.get_mut(call.lines.clone()) {
            range.fill(phase);
        }
    }
    phases
}

fn first_program(calls: &Calls) -> Option<usize> {
    calls.programs.first().map(|call| call.lines.start)
}

/// Where the registers for the instruction at `index` begin to be set, not before `floor`.
fn prepared(steps: &[Step], index: usize, floor: usize) -> usize {
    let mut from = index;
    while let Some(before) = from.checked_sub(1).filter(|before| *before >= floor) {
        let prepares = steps.get(before).is_some_and(|step| {
            matches!(
                step.fact,
                Fact::Account
                    | Fact::Set {
                        value: Value::Const(_),
                        ..
                    }
                    | Fact::Load { .. }
            )
        });
        if !prepares {
            break;
        }
        from = before;
    }
    from
}

/// Says what an instruction is for.
struct Notes<'a> {
    steps: &'a [Step],
    calls: &'a Calls,
    frame: &'a Frame,
    trampoline: &'a Trampoline,
}

impl Notes<'_> {
    fn note(&self, index: usize, fact: &Fact) -> Option<String> {
        let text = match *fact {
            Fact::Reserve(bytes) => format!("frame of {bytes} bytes"),
            Fact::Push {
                value: Value::Initial(iced_x86::Register::RAX),
            } => "tail call counter".into(),
            Fact::Store { at, value, .. } => self.store(at, value)?,
            Fact::Load { at, to } => self.load(at, to)?,
            Fact::Set {
                value: Value::Frame(at),
                ..
            } => self.address(at)?,
            Fact::Set {
                value: Value::Const(number),
                ..
            } => self.constant(index, number)?,
            Fact::CompareSlot { .. } => "did it replace the function?".into(),
            Fact::Call { .. } => self.call(index)?,
            Fact::Jump { always: true, .. } if self.is_detached(index) => {
                "detached: over the program".into()
            }
            Fact::Jump { always: false, .. } => self.condition(index)?,
            Fact::Account => "count the call for the return stack".into(),
            Fact::Preamble => "check of an indirect call".into(),
            Fact::DropReturnAddress => "return for the function, to its caller".into(),
            Fact::Return => self.return_to(),
            Fact::Other if self.is_patch_site(index) => "room for a jump, to detach".into(),
            _ => return None,
        };
        Some(text)
    }

    fn store(&self, at: i32, value: Value) -> Option<String> {
        let slot = self.frame.slot(at)?;
        Some(match (&slot.kind, value) {
            (SlotKind::Metadata { .. }, Value::Const(word)) => metadata(word),
            (SlotKind::BpfCookie, Value::Const(cookie)) => format!("BPF cookie {cookie:#x}"),
            (SlotKind::RunContext, Value::Const(cookie)) => format!("BPF cookie {cookie:#x}"),
            (SlotKind::SessionCookie { .. } | SlotKind::ReturnValue, Value::Const(0)) => {
                format!("clear {}", slot.kind.describe())
            }
            (_, Value::Const(0)) if at != slot.at => {
                format!("clear the rest of {}", slot.kind.describe())
            }
            (SlotKind::PassedArgument { .. }, _) => format!("pass {}", slot.kind.describe()),
            (kind, _) => format!("save {}", kind.describe()),
        })
    }

    fn load(&self, at: i32, to: iced_x86::Register) -> Option<String> {
        let kind = &self.frame.slot(at)?.kind;
        Some(match kind {
            SlotKind::SavedRbx | SlotKind::ReturnValue => format!("restore {}", kind.describe()),
            SlotKind::Argument { .. } if to != iced_x86::Register::RAX => {
                format!("restore {}", kind.describe())
            }
            SlotKind::ReturnAddress { .. } => "the function, behind its entry".into(),
            kind => kind.describe(),
        })
    }

    fn address(&self, at: i32) -> Option<String> {
        if Some(at) == self.calls.ctx {
            return Some("context of the program".into());
        }
        (Some(at) == self.calls.run_ctx).then(|| "run context".into())
    }

    fn constant(&self, index: usize, number: u64) -> Option<String> {
        let of = |call: &&super::ProgramCall| call.lines.contains(&index);
        let call = self.calls.programs.iter().find(of)?;
        // The BPF cookie, which is stored, may be any number.
        let next = self.steps.get(index + 1).map(|step| &step.fact);
        let passed = !matches!(next, Some(Fact::Store { .. }));
        let name = call.name().unwrap_or("the program");
        (passed && call.prog.0 == number).then(|| format!("program {name}"))
    }

    fn call(&self, index: usize) -> Option<String> {
        if Some(index) == self.calls.function {
            let name = self
                .trampoline
                .target
                .as_ref()
                .map(|target| target.name.as_str());
            return Some(format!("call {}", name.unwrap_or("the function")));
        }
        let number = self.calls.bodies.iter().position(|body| *body == index)?;
        let call = self.calls.programs.get(number)?;
        let name = call.name().unwrap_or("the program");
        let half = match call.half {
            Some(super::Half::Entry) => ", at entry",
            Some(super::Half::Return) => ", at return",
            None => "",
        };
        Some(format!("run {name} ({}{half})", call.role.name()))
    }

    fn condition(&self, index: usize) -> Option<String> {
        let call = self
            .calls
            .programs
            .iter()
            .position(|call| call.lines.contains(&index))?;
        let body = *self.calls.bodies.get(call)?;
        Some(if index < body {
            "refused: do not run it".into()
        } else {
            "yes: leave the function out".into()
        })
    }

    fn return_to(&self) -> String {
        let drops = self
            .steps
            .iter()
            .any(|step| step.fact == Fact::DropReturnAddress);
        if drops || self.calls.function.is_some() {
            "return to the function's caller".into()
        } else {
            "return".into()
        }
    }

    fn is_detached(&self, index: usize) -> bool {
        let of = |call: &super::ProgramCall| call.detached && call.lines.contains(&index);
        self.calls.programs.iter().any(of)
    }

    fn is_patch_site(&self, index: usize) -> bool {
        let is_nop = self.steps.get(index).is_some_and(super::calls::is_nop);
        is_nop
            && self
                .calls
                .programs
                .iter()
                .any(|call| call.lines.contains(&index))
    }
}

/// The function metadata word in words.
pub fn metadata(word: u64) -> String {
    let meta = Metadata::new(word);
    let words = if meta.nr_args == 1 { "word" } else { "words" };
    let half = if meta.is_return { ", at return" } else { "" };
    let cookie = meta
        .cookie_index
        .map_or(String::new(), |index| format!(", cookie ctx[-{index}]"));
    format!("metadata: {} {words}{half}{cookie}", meta.nr_args)
}

/// Names addresses as the document does, and those within the image by their offset.
struct Names {
    symbols: std::collections::BTreeMap<Hex, String>,
    image: std::ops::Range<u64>,
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        _: &iced_x86::Instruction,
        _: u32,
        _: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        if self.image.contains(&address) {
            let offset = format!("+{:#x}", address - self.image.start);
            return Some(SymbolResult::with_string(address, offset));
        }
        let name = self.symbols.get(&Hex(address))?;
        Some(SymbolResult::with_str(address, name))
    }
}

fn formatter(trampoline: &Trampoline) -> GasFormatter {
    let end = trampoline
        .addr
        .0
        .saturating_add(trampoline.code.len() as u64);
    let names = Names {
        symbols: trampoline.symbols.clone(),
        image: trampoline.addr.0..end,
    };
    let mut formatter = GasFormatter::with_options(Some(Box::new(names)), None);
    let options = formatter.options_mut();
    options.set_show_branch_size(false);
    options.set_branch_leading_zeros(false);
    options.set_displacement_leading_zeros(false);
    options.set_uppercase_hex(false);
    options.set_hex_prefix("0x");
    options.set_space_after_operand_separator(false);
    options.set_small_hex_numbers_in_decimal(false);
    formatter
}
