// SPDX-License-Identifier: GPL-2.0

//! Tables that are good to read as they are, and as Markdown.

use std::fmt;

/// The first column is text, the others are numbers.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|cell| (*cell).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.head.len(), "{cells:?}");
        self.rows.push(cells);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn width(&self, column: usize) -> usize {
        let all = self.rows.iter().chain([&self.head]);
        all.map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<_> = (0..self.head.len()).map(|at| self.width(at)).collect();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String]| {
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match at {
                    0 => write!(f, "| {cell:width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")
        };
        line(f, &self.head)?;
        for (at, width) in widths.iter().enumerate() {
            match at {
                0 => write!(f, "|{:-<1$}", "", width + 2)?,
                _ => write!(f, "|{:-<1$}:", "", width + 1)?,
            }
        }
        writeln!(f, "|")?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

/// With a comma between thousands.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn ratio(value: u64, of: u64) -> String {
    match of {
        0 => "-".to_owned(),
        _ => format!("{:.2}", value as f64 / of as f64),
    }
}

/// What is not there is a dash.
pub fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        let texts = [0, 12, 999, 1000, 17136, 1234567].map(number);
        assert_eq!(texts, ["0", "12", "999", "1,000", "17,136", "1,234,567"]);
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["programs", "C"]);
        table.row(vec!["fentry".into(), "17,136".into()]);
        table.row(vec!["18 with cookies".into(), "9".into()]);
        assert_eq!(
            table.to_string(),
            "| programs        |      C |\n\
             |-----------------|-------:|\n\
             | fentry          | 17,136 |\n\
             | 18 with cookies |      9 |\n"
        );
    }

    #[test]
    fn ratios_have_two_digits() {
        assert_eq!(ratio(21560, 21216), "1.02");
        assert_eq!(ratio(1, 0), "-");
    }
}
