// SPDX-License-Identifier: GPL-2.0

//! What a trampoline is, in a few lines.

use uapi::device::flag_names;

use super::{styled, wrap, FAINT, HEADING};
use crate::document::{Owner, Trampoline};
use crate::reading::{ProgramCall, Reading};

/// Columns of the names on the left.
const NAME: usize = 11;

pub fn header(trampoline: &Trampoline, reading: &Reading, width: usize) -> String {
    let mut text = String::new();
    let title = trampoline
        .target
        .as_ref()
        .map_or(&trampoline.symbol, |target| &target.name);
    text.push_str(&format!("{}\n\n", styled(HEADING, title)));
    let mut row = |name: &str, value: &str| {
        let mut name = name;
        for line in wrap(value, width.saturating_sub(NAME + 2)) {
            let shown = styled(FAINT, &format!("{name:<NAME$}"));
            text.push_str(&format!("  {shown}{line}\n"));
            name = "";
        }
    };
    if let Some(target) = &trampoline.target {
        row("function", &target.declaration());
        if let Some(module) = &target.module {
            row("module", module);
        }
        if let Some(program) = target.program {
            row("of program", &program.to_string());
        }
    }
    row(
        "image",
        &format!(
            "{} at {}, {} bytes",
            trampoline.symbol,
            trampoline.addr,
            trampoline.code.len()
        ),
    );
    let flags = trampoline
        .module
        .as_ref()
        .map_or(reading.flags, |module| module.flags);
    row("flags", &flag_names(flags));
    if let Some(module) = &trampoline.module {
        row(
            "C builder",
            match module.identical {
                Some(true) => "identical",
                Some(false) => "DIFFERENT, the kernel log says where",
                None => "not asked",
            },
        );
    }
    for (nr, call) in reading.programs().into_iter().enumerate() {
        row(
            if nr == 0 { "programs" } else { "" },
            &program(trampoline, call),
        );
    }
    for (nr, owner) in trampoline.owners.iter().enumerate() {
        row(if nr == 0 { "owners" } else { "" }, &describe(owner));
    }
    text
}

/// A program with what matters of it.
pub fn program(trampoline: &Trampoline, call: &ProgramCall) -> String {
    let known = trampoline
        .programs
        .iter()
        .find(|known| Some(known.entry) == call.entry);
    let name = call.name().or(known.map(|known| known.name.as_str()));
    let mut text = format!("{:<8} {}", call.role.name(), name.unwrap_or("(no name)"));
    if let Some(known) = known {
        text.push_str(&format!(", id {}", known.id));
    }
    if let Some(index) = call.cookie_index {
        text.push_str(&format!(", session cookie ctx[-{index}]"));
    }
    if call.bpf_cookie != 0 {
        text.push_str(&format!(", BPF cookie {:#x}", call.bpf_cookie));
    }
    if call
        .enter
        .as_ref()
        .is_some_and(|enter| enter.contains("sleepable"))
    {
        text.push_str(", sleepable");
    }
    if call.detached {
        text.push_str(", detached");
    }
    text
}

pub fn describe(owner: &Owner) -> String {
    let what = match owner.link {
        Some(link) => format!("link {link}"),
        None => "/dev/rust_fsession".into(),
    };
    match owner.pid {
        Some(pid) => format!("{} ({pid}), {what}", owner.comm),
        None => format!("{what}, held by no process"),
    }
}
