// SPDX-License-Identifier: GPL-2.0

//! Where the tasks are in the kernel when an actor hangs: its own, and all the others
//! that wait for something that no signal ends.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use rustix::process::Pid;

use crate::kallsyms::IMAGE_PREFIX;

/// The stacks of the actor and of who may keep it waiting.
pub fn report(actor: Pid) -> String {
    let mut text = String::new();
    let tasks = format!("/proc/{}/task", actor.as_raw_nonzero());
    for task in entries(&tasks) {
        let _ = write!(text, "{}", stack(&task));
    }
    for process in entries("/proc") {
        for task in entries(process.join("task")) {
            if is_blocked(&task) {
                let _ = write!(text, "-- {}:\n{}", name(&task), stack(&task));
            }
        }
    }
    text
}

/// The stacks of all tasks that are in an image of the module.
pub fn in_images() -> String {
    let mut text = String::new();
    for process in entries("/proc") {
        for task in entries(process.join("task")) {
            let stack = stack(&task);
            if stack.contains(IMAGE_PREFIX) {
                let _ = write!(text, "-- {}:\n{stack}", name(&task));
            }
        }
    }
    text
}

fn name(task: &Path) -> String {
    let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
    let number = task.file_name().unwrap_or_default().to_string_lossy();
    format!("{} {number}", name.trim())
}

fn entries(directory: impl AsRef<Path>) -> Vec<std::path::PathBuf> {
    let Ok(directory) = fs::read_dir(directory) else {
        return Vec::new();
    };
    directory
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn stack(task: &Path) -> String {
    fs::read_to_string(task.join("stack")).unwrap_or_default()
}

fn is_blocked(task: &Path) -> bool {
    let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
    // The name, which is in parentheses, may hold anything.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim().chars().next());
    state == Some('D')
}
