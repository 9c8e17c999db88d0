// SPDX-License-Identifier: GPL-2.0

//! The flags that an image was built with, as they show in its code.

use uapi::device::flag::*;

use super::calls::{Calls, Role};
use super::facts::{Fact, Step, Value};
use super::frame::{Frame, SlotKind};

/// The flags that show. What is called through a pointer shows only where calls through pointers
/// are checked.
pub(super) fn shown(steps: &[Step], calls: &Calls, frame: &Frame) -> u32 {
    let has = |wanted: fn(&Fact) -> bool| steps.iter().any(|step| wanted(&step.fact));
    let slot = |wanted: fn(&SlotKind) -> bool| frame.slots.iter().any(|slot| wanted(&slot.kind));
    let mut flags = 0;
    let mut set = |flag: u32, shows: bool| flags |= if shows { flag } else { 0 };
    set(CALL_ORIG, calls.function.is_some());
    set(
        SKIP_FRAME,
        has(|fact| matches!(fact, Fact::DropReturnAddress)),
    );
    set(
        IP_ARG,
        slot(|kind| matches!(kind, SlotKind::FunctionAddress { .. })),
    );
    set(
        TAIL_CALL_CTX,
        slot(|kind| matches!(kind, SlotKind::TailCallCount)),
    );
    set(INDIRECT, has(|fact| matches!(fact, Fact::Preamble)));
    set(
        RET_FENTRY_RET,
        calls
            .programs
            .iter()
            .any(|call| call.role == Role::StructOps),
    );
    let function = calls.function.and_then(|index| steps.get(index));
    set(
        ORIG_STACK,
        function.is_some_and(|step| {
            matches!(
                step.fact,
                Fact::Call {
                    through: Value::Slot(8),
                    ..
                }
            )
        }),
    );
    // The function runs after the image, with the arguments that it found.
    let last = calls.programs.last().map_or(0, |call| call.lines.end);
    let is_argument = |at: i32| {
        matches!(
            frame.slot(at).map(|slot| &slot.kind),
            Some(SlotKind::Argument { .. })
        )
    };
    let restores = steps
        .iter()
        .skip(last)
        .any(|step| matches!(step.fact, Fact::Load { at, .. } if is_argument(at)));
    set(RESTORE_REGS, calls.function.is_none() && restores);
    flags
}
