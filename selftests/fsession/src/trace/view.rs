// SPDX-License-Identifier: GPL-2.0

//! What is printed of calls.

use std::cell::OnceCell;

use crate::kernel::kallsyms::Kallsyms;

use super::calls::{Calls, Step};
use super::json;
use super::lines::{self, Layout, Traced};
use super::record::{Entry, Record};
use super::tree::Tree;

/// How calls are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line a call, when it returns.
    Lines,
    /// Entry and return, indented.
    Tree,
    /// An object a call, when it returns.
    Json,
}

pub struct View {
    style: Style,
    layout: Layout,
    traced: Vec<Traced>,
    calls: Calls,
    tree: Tree,
    frames: Frames,
    /// Calls that are over.
    pub over: u64,
}

/// Names of the frames of a stack.
#[derive(Default)]
struct Frames(OnceCell<Option<Kallsyms>>);

impl View {
    pub fn new(style: Style, layout: Layout, traced: Vec<Traced>) -> Self {
        Self {
            style,
            layout,
            traced,
            calls: Calls::default(),
            tree: Tree::default(),
            frames: Frames::default(),
            over: 0,
        }
    }

    pub fn header(&self) -> String {
        match self.style {
            Style::Json => String::new(),
            _ => self.layout.header(),
        }
    }

    /// The lines that a record makes known.
    pub fn record(&mut self, record: Record) -> String {
        let steps = self.calls.take(record);
        self.steps(steps)
    }

    /// For a moment nothing has happened: calls that take long are shown by their entry.
    pub fn pause(&mut self) -> String {
        let (layout, traced) = (&self.layout, &self.traced);
        self.tree.flush(layout, traced, &|entry| {
            self.frames.lines(layout, traced, entry)
        })
    }

    /// Calls that have not returned.
    pub fn finish(&mut self) -> String {
        let text = self.pause();
        let steps = std::mem::take(&mut self.calls).finish();
        text + &self.steps(steps)
    }

    fn steps(&mut self, steps: Vec<Step>) -> String {
        let mut text = String::new();
        let (layout, traced, frames) = (&self.layout, &self.traced, &self.frames);
        let stack = |entry: &Entry| frames.lines(layout, traced, entry);
        for step in steps {
            if matches!(step, Step::Leave { .. }) {
                self.over += 1;
            }
            match (self.style, step) {
                (Style::Tree, step) => text += &self.tree.step(layout, traced, step, &stack),
                (_, Step::Enter { .. }) => (),
                (style, Step::Leave { call, .. }) => {
                    let Some(function) = traced.get(call.entry.function) else {
                        continue;
                    };
                    if style == Style::Json {
                        let frames = frames.names(&function.name, &call.entry.stack);
                        // (Strings and numbers always have a JSON form.)
                        text += &json::call(function, &call, &frames).unwrap_or_default();
                        text.push('\n');
                    } else {
                        text += &lines::call(layout, function, &call, 0);
                        text += &stack(&call.entry);
                    }
                }
            }
        }
        text
    }
}

impl Frames {
    fn lines(&self, layout: &Layout, traced: &[Traced], entry: &Entry) -> String {
        let name = traced.get(entry.function).map_or("", |traced| &traced.name);
        layout.stack(&self.names(name, &entry.stack))
    }

    /// The callers of `function`, the nearest first. Addresses where names are not told.
    fn names(&self, function: &str, stack: &[u64]) -> Vec<String> {
        if stack.is_empty() {
            return Vec::new();
        }
        let kallsyms = self.0.get_or_init(|| Kallsyms::load().ok());
        let names: Vec<String> = stack
            .iter()
            .map(|addr| {
                let name = kallsyms.as_ref().and_then(|all| all.name(*addr));
                name.unwrap_or_else(|| format!("{addr:#x}"))
            })
            .collect();
        callers(function, names)
    }
}

/// A stack begins with the program and its trampoline. The function itself is there where the
/// kernel can tell that it is inside of it.
fn callers(function: &str, mut names: Vec<String>) -> Vec<String> {
    let is_inner = |name: &String| {
        let symbol = name.split('+').next().unwrap_or_default();
        let is_ours = |prefix: &&str| symbol.starts_with(*prefix);
        symbol == function || ["bpf_prog_", "bpf_trampoline_"].iter().any(is_ours)
    };
    let inner = names.iter().take_while(|name| is_inner(name)).count();
    names.drain(..inner);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_begin_with_the_caller() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        let caller = names(&["g+0x4", "bpf_prog_3_f+0x1", "h"]);
        let program = ["bpf_prog_1_session+0x1", "bpf_trampoline_2+0x3"];
        for inner in [&[][..], &program, &[program[0], program[1], "f+0x9"]] {
            let stack = [names(inner), caller.clone()].concat();
            assert_eq!(callers("f", stack), caller);
        }
        assert_eq!(callers("g", names(&["ff+0x1"])), names(&["ff+0x1"]));
    }
}
