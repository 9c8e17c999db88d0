// SPDX-License-Identifier: GPL-2.0

//! Dynamic events: kprobes, kretprobes, fprobes and uprobes on what is traced.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::tracing::{read, replace, write};

const FUNCTIONS: [&str; 6] = [
    "vfs_read",
    "eventfd_read",
    "bpf_fentry_test1",
    "bpf_fentry_test4",
    "__x64_sys_getpgid",
    "bpf_fentry_test7",
];

fn missing(file: &str, text: &str) -> Option<String> {
    match read(file) {
        Err(err) => Some(format!("{err:#}")),
        Ok(_) if text.is_empty() => None,
        Ok(_) => match read("README") {
            Ok(readme) if readme.contains(text) => None,
            _ => Some(format!("no '{text}' in {file}")),
        },
    }
}

/// Makes the event `definition` with this name, has it happen, and removes it.
fn event(turn: &mut Turn<'_>, file: &str, name: &str, definition: &str) -> Result<()> {
    turn.say(definition)?;
    let made = write(file, &format!("{definition}\n"));
    if let Err(err) = &made {
        // ftrace is off, a direct call is there, the function is away.
        turn.say(format!("{definition}: {err:#}"))?;
        turn.count(Count::Refused, 1);
        return Ok(());
    }
    let enable = format!("events/stress/{name}/enable");
    let enabled = write(&enable, "1");
    if enabled.is_ok() && turn.draw.once_in(3) {
        // Walks the stack, through an image where the function is called from one.
        let trigger = format!("events/stress/{name}/trigger");
        let _ = write(&trigger, "stacktrace");
        turn.pause(40)?;
        let _ = replace(&trigger, "!stacktrace");
    }
    turn.pause(150)?;
    if enabled.is_ok() {
        write(&enable, "0")?;
        turn.count(Count::Actions, 1);
    } else {
        turn.count(Count::Refused, 1);
    }
    let (_, name) = definition.split_once(':').context("no name")?;
    let name = name.split(' ').next().unwrap_or_default();
    write(file, &format!("-:{name}\n"))?;
    turn.pause(100)
}

fn on_functions(turn: &mut Turn<'_>, file: &str, kind: &str, name: &str) -> Result<()> {
    while turn.next()? {
        let function = *turn.draw.pick(&FUNCTIONS);
        event(
            turn,
            file,
            name,
            &format!("{kind}:stress/{name} {function}"),
        )?;
    }
    Ok(())
}

pub fn kprobe(turn: &mut Turn<'_>) -> Result<()> {
    on_functions(turn, "kprobe_events", "p", "kprobe")
}

pub fn kretprobe(turn: &mut Turn<'_>) -> Result<()> {
    on_functions(turn, "kprobe_events", "r", "kretprobe")
}

pub fn no_kprobes() -> Option<String> {
    missing("kprobe_events", "")
}

pub fn fprobe(turn: &mut Turn<'_>) -> Result<()> {
    while turn.next()? {
        let function = *turn.draw.pick(&FUNCTIONS);
        let exit = if turn.draw.once_in(2) { "%return" } else { "" };
        let definition = format!("f:stress/fprobe {function}{exit}");
        event(turn, "dynamic_events", "fprobe", &definition)?;
    }
    Ok(())
}

pub fn no_fprobe() -> Option<String> {
    missing("dynamic_events", "f[:")
}

/// On the first instruction of this program, which is started meanwhile.
pub fn uprobe(turn: &mut Turn<'_>) -> Result<()> {
    let program = fs::read_link("/proc/self/exe")?;
    let offset = entry_offset(&fs::read(&program)?).context("no ELF file")?;
    while turn.next()? {
        let definition = format!("p:stress/uprobe {}:{offset:#x}", program.display());
        let mut child = Command::new(&program)
            .arg("--list")
            .stdout(Stdio::null())
            .spawn()?;
        event(turn, "uprobe_events", "uprobe", &definition)?;
        child.wait()?;
    }
    Ok(())
}

pub fn no_uprobes() -> Option<String> {
    missing("uprobe_events", "")
}

/// Where in the file the entry point is.
fn entry_offset(elf: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let (entry, segments) = (word(24)?, word(32)? as usize);
    let (size, number) = (usize::from(half(54)?), usize::from(half(56)?));
    (0..number).find_map(|nr| {
        let at = segments + nr * size;
        let (offset, start, len) = (word(at + 8)?, word(at + 16)?, word(at + 32)?);
        // PT_LOAD
        let loaded = elf.get(at..at + 4)? == [1, 0, 0, 0];
        (loaded && (start..start + len).contains(&entry)).then(|| entry - start + offset)
    })
}
