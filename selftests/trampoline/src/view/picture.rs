// SPDX-License-Identifier: GPL-2.0

//! The stack frame as a picture, high addresses on top.

use super::{from_rbp, styled, wrap, FAINT, HEADING};
use crate::document::Hex;
use crate::reading::{metadata, Frame, Reading, Slot, SlotKind};

/// Columns of the position, with what is around it.
const POSITION: usize = 12;

/// Columns of the context's positions on the right: `ctx[-12]`.
const CONTEXT: usize = 9;

pub fn picture(reading: &Reading, width: usize) -> String {
    let frame = &reading.frame;
    let inner = width.saturating_sub(POSITION + CONTEXT + 3).clamp(16, 44);
    let mut text = styled(HEADING, &format!("Stack frame, {} bytes", frame.size));
    text.push_str("\n\n");
    let rule =
        |left: char, right: char| format!("{:POSITION$}{left}{}{right}\n", "", "─".repeat(inner));
    let mut next: Option<i32> = None;
    for slot in &frame.slots {
        let nested = next.is_some_and(|from| slot.end() > from);
        text.push_str(&match next {
            None => rule('┌', '┐'),
            // The caller's frame ends, the image's begins.
            Some(_) if slot.at == -8 || (slot.at < 0 && next == Some(0)) => {
                rule('╞', '╡').replace('─', "═")
            }
            Some(_) if nested => String::new(),
            Some(_) => rule('├', '┤'),
        });
        if let Some(from) = next.filter(|from| slot.end() < *from) {
            text.push_str(&padding(from - slot.end(), inner));
            text.push_str(&rule('├', '┤'));
        }
        text.push_str(&rows(frame, slot, inner));
        next = Some(next.map_or(slot.at, |from| from.min(slot.at)));
    }
    let bottom = 0i32.saturating_sub_unsigned(frame.size);
    if let Some(left) = next.map(|from| from - bottom).filter(|left| *left > 0) {
        text.push_str(&rule('├', '┤'));
        text.push_str(&padding(left, inner));
    }
    text.push_str(&rule('└', '┘'));
    text
}

fn padding(bytes: i32, inner: usize) -> String {
    let what = format!("{bytes} unused");
    format!(
        "{:POSITION$}│{}│\n",
        "",
        styled(FAINT, &format!(" {what:<0$}", inner - 1))
    )
}

/// The lines of one slot: the first one has its position.
fn rows(frame: &Frame, slot: &Slot, inner: usize) -> String {
    let mut text = String::new();
    let place = frame.ctx.map(|ctx| context(slot, ctx)).unwrap_or_default();
    for (nr, line) in wrap(&contents(slot), inner - 2).iter().enumerate() {
        let (position, place) = if nr == 0 {
            (format!("  {:<10}", from_rbp(slot.at)), place.as_str())
        } else {
            (" ".repeat(POSITION), "")
        };
        let position = styled(FAINT, &position);
        let place = styled(FAINT, place);
        let end = if place.is_empty() {
            String::new()
        } else {
            format!(" {place}")
        };
        text.push_str(&format!("{position}│ {line:<0$} │{end}\n", inner - 2));
    }
    text
}

/// What lives in a slot.
pub fn contents(slot: &Slot) -> String {
    match &slot.kind {
        SlotKind::CallerArgument { name: Some(name) } => format!("{name}, as the caller passes it"),
        SlotKind::CallerArgument { name: None } => "an argument, as the caller passes it".into(),
        SlotKind::SavedRbp => "rbp of the caller".into(),
        SlotKind::SavedRbx => "rbx of the caller".into(),
        SlotKind::Metadata { word: Hex(word) } => metadata(*word),
        SlotKind::FunctionAddress { address } => format!("address of the function, {address}"),
        SlotKind::RunContext => format!("run context, {} bytes", slot.size),
        SlotKind::BpfCookie => "- its BPF cookie".into(),
        SlotKind::PassedArgument { name: Some(name) } => format!("{name}, for the function"),
        SlotKind::PassedArgument { name: None } => "an argument for the function".into(),
        kind => kind.describe(),
    }
}

/// Position in a program's context, where a program can read or the kernel does.
pub fn context(slot: &Slot, ctx: i32) -> String {
    match slot.kind {
        SlotKind::ReturnValue
        | SlotKind::Argument { .. }
        | SlotKind::Metadata { .. }
        | SlotKind::FunctionAddress { .. }
        | SlotKind::SessionCookie { .. } => format!("ctx[{}]", (slot.at - ctx) / 8),
        _ => String::new(),
    }
}
