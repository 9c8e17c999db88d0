// SPDX-License-Identifier: GPL-2.0

//! What an instruction is for, in a few words.

use super::calls::Calls;
use super::facts::{Fact, Step, Value};
use super::frame::{Frame, Metadata, SlotKind};
use crate::document::Trampoline;

/// Says what an instruction is for.
pub(super) struct Notes<'a> {
    pub(super) steps: &'a [Step],
    pub(super) calls: &'a Calls,
    pub(super) frame: &'a Frame,
    pub(super) trampoline: &'a Trampoline,
}

impl Notes<'_> {
    pub(super) fn note(&self, index: usize, fact: &Fact) -> Option<String> {
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
