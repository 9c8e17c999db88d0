// SPDX-License-Identifier: GPL-2.0

//! The instructions of an image, as they are shown and compared.

use iced_x86::{Formatter, GasFormatter, Register, SymbolResolver, SymbolResult};
use serde::Serialize;

use super::calls::Calls;
use super::facts::{Fact, Step, Value};
use super::frame::{Frame, SlotKind};
use super::notes::Notes;
use super::phases::{phases, Phase};
use crate::document::{Hex, Trampoline};

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
    /// What is compared: the text without what depends on where the image, its programs and the
    /// kernel's functions are.
    #[serde(skip)]
    pub normal: String,
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
    let mut line = |index: usize, step: &Step, phase: Phase| {
        let offset = step.insn.ip().wrapping_sub(trampoline.addr.0) as usize;
        let bytes = trampoline.code.get(offset..offset + step.insn.len());
        let mut text = String::new();
        formatter.format(&step.insn, &mut text);
        let normal = normal(index, step, calls, frame, &text);
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
            normal,
        }
    };
    steps
        .iter()
        .zip(phases)
        .enumerate()
        .map(|(index, (step, phase))| line(index, step, phase))
        .collect()
}

/// The text of an instruction, places left out.
fn normal(index: usize, step: &Step, calls: &Calls, frame: &Frame, text: &str) -> String {
    let mnemonic = text.split(' ').next().unwrap_or_default();
    match step.fact {
        Fact::Jump { always, .. } => {
            format!("{mnemonic} {}", if always { "over" } else { "ahead" })
        }
        Fact::Call { .. } => match calls.bodies.iter().position(|body| *body == index) {
            // The program's tag says what it does, not what is done with it.
            Some(number) => {
                let name = calls
                    .programs
                    .get(number)
                    .and_then(super::ProgramCall::name);
                format!("call program {}", name.unwrap_or_default())
            }
            None if calls.function == Some(index) => "call function".into(),
            None => text.to_owned(),
        },
        Fact::Set {
            to,
            value: Value::Const(number),
        } => {
            let program = calls
                .programs
                .iter()
                .find(|call| call.lines.contains(&index));
            let is_image = program.is_none() && to == Register::RDI && number != 0;
            let is_function = frame.slots.iter().any(|slot| {
                slot.kind
                    == SlotKind::FunctionAddress {
                        address: Hex(number),
                    }
            });
            match program {
                Some(call) if call.prog.0 == number && number != 0 => "mov program".into(),
                _ if is_image => "mov image".into(),
                _ if is_function => "mov function".into(),
                _ => text.to_owned(),
            }
        }
        _ => text.to_owned(),
    }
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
