// SPDX-License-Identifier: GPL-2.0

//! The parts of an image.

use serde::Serialize;

use super::calls::{Calls, Role};
use super::facts::{Fact, Step, Value};
use super::frame::{Frame, SlotKind};

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
    /// In their order.
    pub const ALL: [Self; 9] = [
        Self::Frame,
        Self::SaveArguments,
        Self::TakeImage,
        Self::ClearSession,
        Self::EntryPrograms,
        Self::Call,
        Self::ReturnPrograms,
        Self::PutImage,
        Self::Epilogue,
    ];

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

/// The phase of each instruction. A phase begins where what it is known by begins to be prepared.
pub(super) fn phases(steps: &[Step], calls: &Calls, frame: &Frame) -> Vec<Phase> {
    let mut starts: Vec<(usize, Phase)> = vec![(0, Phase::Frame)];
    let is_argument = |at: i32| {
        matches!(
            frame.slot(at).map(|slot| &slot.kind),
            Some(SlotKind::Argument { .. })
        )
    };
    let first_program = calls.programs.first().map(|call| call.lines.start);
    let before_calls = [calls.tramp_enter, calls.function, first_program];
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
    let first = calls
        .programs
        .iter()
        .find(|call| entry(call.role, call.half));
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
    let last = calls.programs.last().map(|call| call.lines.end);
    let after = last.unwrap_or(0).max(calls.function.map_or(0, |at| at + 2));
    match calls.tramp_exit {
        Some(call) => {
            starts.push((prepared(steps, call, after.min(call)), Phase::PutImage));
            starts.push((call + 1, Phase::Epilogue));
        }
        None if after == 0 => {
            let leave = steps.iter().position(|step| step.fact == Fact::Leave);
            starts.extend(leave.map(|at| (prepared(steps, at, 0), Phase::Epilogue)));
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
