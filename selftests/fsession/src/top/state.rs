// SPDX-License-Identifier: GPL-2.0

//! What the live view shows, and what keys do to it.

use std::cmp::Ordering;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::rates::{Rates, Row};
use super::table::Column;

/// Order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    pub by: Column,
    /// Numbers begin with the largest, names with the first, unless this is set.
    pub reversed: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self {
            by: Column::Cpu,
            reversed: false,
        }
    }
}

impl Sort {
    /// Puts those that `filter` leaves in order. A filter is a part of target, program or kind.
    pub fn rows<'a>(&self, rates: &'a Rates, filter: &str) -> Vec<&'a Row> {
        let mut rows: Vec<_> = rates
            .programs
            .iter()
            .filter(|row| {
                let texts = [&row.target, &row.program, &row.kind];
                texts.iter().any(|text| text.contains(filter))
            })
            .collect();
        // (What is equal stays in the order of numbers.)
        rows.sort_by(|one, other| {
            let order = self.compare(one, other);
            if self.reversed {
                order.reverse()
            } else {
                order
            }
        });
        rows
    }

    fn compare(&self, one: &Row, other: &Row) -> Ordering {
        let largest = |one: f64, other: f64| other.total_cmp(&one);
        match self.by {
            Column::Target => one.target.cmp(&other.target),
            Column::Program => one.program.cmp(&other.program),
            Column::Kind => one.kind.cmp(&other.kind),
            Column::Calls => largest(one.calls_per_second, other.calls_per_second),
            Column::Nanoseconds => largest(
                one.ns_per_call.unwrap_or(-1.0),
                other.ns_per_call.unwrap_or(-1.0),
            ),
            Column::Cpu => largest(one.cpu_percent, other.cpu_percent),
        }
    }
}

/// The letter that sorts by a column.
pub const SORT_KEYS: [(char, Column); 6] = [
    ('t', Column::Target),
    ('p', Column::Program),
    ('k', Column::Kind),
    ('c', Column::Calls),
    ('n', Column::Nanoseconds),
    ('u', Column::Cpu),
];

/// The live view.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub rates: Option<Rates>,
    pub sort: Sort,
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    /// The number of the program that is marked.
    pub marked: Option<u32>,
    /// What has been opened, and the first line of it that is seen.
    pub opened: Option<(Vec<String>, usize)>,
    pub paused: bool,
    pub help: bool,
}

/// What a key asks of the caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    Nothing,
    Quit,
    /// The trampoline of this program.
    Open(Box<Row>),
}

impl State {
    /// The rows that are shown.
    pub fn rows(&self) -> Vec<&Row> {
        let rates = self.rates.as_ref();
        rates.map_or_else(Vec::new, |rates| self.sort.rows(rates, &self.filter))
    }

    /// The place of the marked row, the first where that one is gone.
    pub fn mark(&self) -> usize {
        let rows = self.rows();
        let place = rows.iter().position(|row| Some(row.id) == self.marked);
        place.unwrap_or(0)
    }

    pub fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                _ => Wish::Nothing,
            };
        }
        if self.typing {
            self.type_filter(key.code);
            return Wish::Nothing;
        }
        if self.help {
            self.help = false;
            return Wish::Nothing;
        }
        if self.opened.is_some() {
            return self.read(key.code);
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('r') => self.sort.reversed = !self.sort.reversed,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Enter => {
                let rows = self.rows();
                if let Some(row) = rows.get(self.mark()) {
                    return Wish::Open(Box::new((*row).clone()));
                }
            }
            KeyCode::Char(letter) => {
                if let Some((_, by)) = SORT_KEYS.iter().find(|(key, _)| *key == letter) {
                    self.sort = Sort {
                        by: *by,
                        reversed: false,
                    };
                }
            }
            code => self.mark_row(moved(self.mark(), code)),
        }
        Wish::Nothing
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) => self.filter.push(letter),
            _ => {}
        }
    }

    /// Keys while text is open.
    fn read(&mut self, code: KeyCode) -> Wish {
        if matches!(code, KeyCode::Char('q') | KeyCode::Esc | KeyCode::Backspace) {
            self.opened = None;
        }
        if let Some((lines, first)) = &mut self.opened {
            *first = moved(*first, code).min(lines.len().saturating_sub(1));
        }
        Wish::Nothing
    }

    fn mark_row(&mut self, place: usize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        self.marked = rows.get(place.min(last)).map(|row| row.id);
    }
}

/// Where a key moves to from `place`.
fn moved(place: usize, code: KeyCode) -> usize {
    const PAGE: usize = 10;
    match code {
        KeyCode::Up => place.saturating_sub(1),
        KeyCode::Down => place + 1,
        KeyCode::PageUp => place.saturating_sub(PAGE),
        KeyCode::PageDown => place + PAGE,
        KeyCode::Home => 0,
        KeyCode::End => usize::MAX,
        _ => place,
    }
}
