// SPDX-License-Identifier: GPL-2.0

//! Calls inside of calls, indented.

use std::collections::BTreeMap;

use anstyle::Style;

use super::calls::{Key, Step};
use super::lines::{self, called, result, Layout, Traced};
use super::record::{Entry, Return};

/// Columns a level.
const STEP: usize = 2;

/// An entry is held until the next record of its task tells whether something is inside of it.
#[derive(Default)]
pub struct Tree(BTreeMap<Key, (Entry, usize)>);

/// What is printed above a line: the stack of an entry.
type Above<'a> = &'a dyn Fn(&Entry) -> String;

impl Tree {
    /// The lines that a step makes known.
    pub fn step(
        &mut self,
        layout: &Layout,
        all: &[Traced],
        step: Step,
        stack: Above<'_>,
    ) -> String {
        let mut text = String::new();
        match step {
            Step::Enter { entry, depth } => {
                let key = Key::of(&entry.task);
                if let Some((outer, depth)) = self.0.insert(key, (entry, depth)) {
                    text += &open(layout, all, &outer, depth, stack);
                }
            }
            Step::Leave { call, depth } => {
                let Some(traced) = all.get(call.entry.function) else {
                    return text;
                };
                let key = Key::of(&call.entry.task);
                if self
                    .0
                    .get(&key)
                    .is_some_and(|(held, _)| *held == call.entry)
                {
                    self.0.remove(&key);
                    text += &lines::call(layout, traced, &call, STEP * depth);
                    text += &stack(&call.entry);
                    return text;
                }
                let mut pieces = vec![(Style::new(), "}".to_owned())];
                pieces.extend(result(traced, call.ret.as_ref()));
                pieces.push((Style::new().dimmed(), format!("  /* {} */", traced.name)));
                let time = call.ret.as_ref().map_or(call.entry.entered, |ret| ret.time);
                let duration = call.ret.as_ref().map(Return::duration);
                text += &layout.line(time, duration, &call.entry.task, STEP * depth, &pieces);
            }
        }
        text
    }

    /// Opens what is held, as nothing has happened for some time.
    pub fn flush(&mut self, layout: &Layout, all: &[Traced], stack: Above<'_>) -> String {
        std::mem::take(&mut self.0)
            .into_values()
            .map(|(entry, depth)| open(layout, all, &entry, depth, stack))
            .collect()
    }
}

fn open(layout: &Layout, all: &[Traced], entry: &Entry, depth: usize, stack: Above<'_>) -> String {
    let Some(traced) = all.get(entry.function) else {
        return String::new();
    };
    let mut pieces = called(traced, entry);
    pieces.push((Style::new(), " {".into()));
    let line = layout.line(entry.entered, None, &entry.task, STEP * depth, &pieces);
    line + &stack(entry)
}

#[cfg(test)]
mod tests {
    use super::super::calls::Calls;
    use super::super::lines::examples::{entry, plain, ret, write};
    use super::super::record::Record;
    use super::*;

    fn traced() -> Vec<Traced> {
        let mut short = write();
        short.signature.params.truncate(1);
        let named = |name: &str| Traced {
            name: name.into(),
            ..short.clone()
        };
        vec![named("outer"), named("inner")]
    }

    fn of(function: usize, mut entry: Entry) -> Record {
        entry.function = function;
        Record::Entry(entry)
    }

    fn back(function: usize, mut ret: Return) -> Record {
        ret.function = function;
        Record::Return(ret)
    }

    #[test]
    fn calls_inside_of_calls_are_indented() {
        let records = [
            of(0, entry(1000)),
            of(1, entry(2000)),
            back(1, ret(2000, 2500, 0)),
            of(1, entry(3000)),
            back(1, ret(3000, 3100, -2)),
            back(0, ret(1000, 9000, 6)),
            of(1, entry(10_000)),
        ];
        let (mut calls, mut tree) = (Calls::default(), Tree::default());
        let layout = Layout::default();
        let stack = |_: &Entry| String::new();
        let mut text = String::new();
        for record in records {
            for step in calls.take(record) {
                text += &tree.step(&layout, &traced(), step, &stack);
            }
        }
        text += &tree.flush(&layout, &traced(), &stack);
        for step in calls.finish() {
            text += &tree.step(&layout, &traced(), step, &stack);
        }
        insta::assert_snapshot!(plain(&text), @r"
                  cat-153           outer(file=0xffff888004c1e300) {
          500 ns  cat-153             inner(file=0xffff888004c1e300) = 0
          100 ns  cat-153             inner(file=0xffff888004c1e300) = -ENOENT
        8.000 us  cat-153           } = 6  /* outer */
                  cat-153           inner(file=0xffff888004c1e300) {
                  cat-153           } = ?  /* inner */
        ");
    }
}
