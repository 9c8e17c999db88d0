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

/// A stack begins with the program, its trampoline, and the function itself.
fn callers(function: &str, mut names: Vec<String>) -> Vec<String> {
    let is_function = |name: &String| name.split('+').next() == Some(function);
    if let Some(at) = names.iter().position(is_function) {
        names.drain(..=at);
    }
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
        let stack = names(&[
            "bpf_prog_1_session+0x1",
            "bpf_trampoline_2+0x3",
            "f+0x9",
            "g+0x4",
            "h",
        ]);
        assert_eq!(callers("f", stack), names(&["g+0x4", "h"]));
        assert_eq!(
            callers("f", names(&["g+0x4", "ff+1"])),
            names(&["g+0x4", "ff+1"])
        );
    }
}
