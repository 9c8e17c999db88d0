// SPDX-License-Identifier: GPL-2.0

//! Entries and returns, put together to calls.

use std::collections::HashMap;

use super::record::{Entry, Record, Return, Task};

/// What a record makes known, in this order where it is several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call has begun, inside of so many others of its task.
    Enter { entry: Entry, depth: usize },
    /// A call is over. Its return is none if that was not seen.
    Leave { call: Call, depth: usize },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub entry: Entry,
    pub ret: Option<Return>,
}

/// The calls that have not returned yet, by task. A task's calls end in reverse order.
#[derive(Default)]
pub struct Calls(HashMap<Key, Vec<Entry>>);

/// The idle tasks of all CPUs have number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u32, u32);

impl Key {
    pub fn of(task: &Task) -> Self {
        Self(task.tid, if task.tid == 0 { task.cpu } else { 0 })
    }
}

impl Calls {
    pub fn take(&mut self, record: Record) -> Vec<Step> {
        match record {
            Record::Entry(entry) => {
                let open = self.0.entry(Key::of(&entry.task)).or_default();
                let depth = open.len();
                open.push(entry.clone());
                vec![Step::Enter { entry, depth }]
            }
            Record::Return(ret) => self.leave(ret),
        }
    }

    fn leave(&mut self, ret: Return) -> Vec<Step> {
        let key = Key::of(&ret.task);
        let Some(open) = self.0.get_mut(&key) else {
            return Vec::new();
        };
        let names = |entry: &Entry| (entry.entered, entry.function) == (ret.entered, ret.function);
        // Of what is inside of it the return is lost.
        let Some(at) = open.iter().rposition(names) else {
            return Vec::new();
        };
        let inner = open.split_off(at);
        if open.is_empty() {
            self.0.remove(&key);
        }
        let mut ret = Some(ret);
        let leave = |(nr, entry)| Step::Leave {
            call: Call {
                entry,
                ret: if nr == 0 { ret.take() } else { None },
            },
            depth: at + nr,
        };
        let mut steps: Vec<Step> = inner.into_iter().enumerate().map(leave).collect();
        steps.reverse();
        steps
    }

    /// What has not returned, when nothing more is recorded: inner calls first.
    pub fn finish(self) -> Vec<Step> {
        let mut tasks: Vec<Vec<Entry>> = self.0.into_values().collect();
        tasks.sort_by_key(|open| open.first().map(|entry| entry.entered));
        tasks
            .into_iter()
            .flat_map(|open| open.into_iter().enumerate().rev())
            .map(|(depth, entry)| Step::Leave {
                call: Call { entry, ret: None },
                depth,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(tid: u32, cpu: u32) -> Task {
        Task {
            tid,
            cpu,
            ..Task::default()
        }
    }

    fn entry(tid: u32, entered: u64) -> Entry {
        Entry {
            task: task(tid, 0),
            entered,
            ..Entry::default()
        }
    }

    fn ret(tid: u32, entered: u64) -> Return {
        Return {
            task: task(tid, 1),
            entered,
            ..Return::default()
        }
    }

    /// Depth, entry and whether there is a return of what has been left.
    fn left(steps: Vec<Step>) -> Vec<(usize, u64, bool)> {
        steps
            .into_iter()
            .filter_map(|step| match step {
                Step::Leave { call, depth } => {
                    Some((depth, call.entry.entered, call.ret.is_some()))
                }
                Step::Enter { .. } => None,
            })
            .collect()
    }

    #[test]
    fn tasks_do_not_mix() {
        let mut calls = Calls::default();
        for (tid, entered) in [(1, 10), (2, 11), (1, 12)] {
            calls.take(Record::Entry(entry(tid, entered)));
        }
        assert_eq!(
            left(calls.take(Record::Return(ret(2, 11)))),
            [(0, 11, true)]
        );
        assert_eq!(
            left(calls.take(Record::Return(ret(1, 12)))),
            [(1, 12, true)]
        );
        assert_eq!(
            left(calls.take(Record::Return(ret(1, 10)))),
            [(0, 10, true)]
        );
        assert!(calls.finish().is_empty());
    }

    #[test]
    fn a_lost_return_ends_with_the_outer_call() {
        let mut calls = Calls::default();
        for entered in [10, 11, 12] {
            calls.take(Record::Entry(entry(1, entered)));
        }
        assert_eq!(
            left(calls.take(Record::Return(ret(1, 11)))),
            [(2, 12, false), (1, 11, true)]
        );
        assert_eq!(left(calls.finish()), [(0, 10, false)]);
    }

    #[test]
    fn a_return_of_no_entry_is_none() {
        let mut calls = Calls::default();
        assert!(calls.take(Record::Return(ret(1, 10))).is_empty());
        calls.take(Record::Entry(entry(1, 20)));
        assert!(calls.take(Record::Return(ret(1, 10))).is_empty());
        assert_eq!(left(calls.finish()), [(0, 20, false)]);
    }

    #[test]
    fn idle_tasks_are_told_apart_by_cpu() {
        assert_ne!(Key::of(&task(0, 0)), Key::of(&task(0, 1)));
        assert_eq!(Key::of(&task(7, 0)), Key::of(&task(7, 1)));
    }
}
