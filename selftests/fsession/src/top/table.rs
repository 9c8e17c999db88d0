// SPDX-License-Identifier: GPL-2.0

//! Programs as a table of a given width: the same on the terminal and in a pipe.

use super::rates::Row;
use crate::look;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Target,
    Program,
    Kind,
    Calls,
    Nanoseconds,
    Cpu,
}

/// Narrower terminals have targets and figures only.
const WIDE: usize = 64;

impl Column {
    pub const ALL: [Self; 6] = [
        Self::Target,
        Self::Program,
        Self::Kind,
        Self::Calls,
        Self::Nanoseconds,
        Self::Cpu,
    ];

    pub fn head(self) -> &'static str {
        match self {
            Self::Target => "TARGET",
            Self::Program => "PROGRAM",
            Self::Kind => "KIND",
            Self::Calls => "CALL/s",
            Self::Nanoseconds => "AVG ns",
            Self::Cpu => "CPU %",
        }
    }

    fn cell(self, row: &Row) -> String {
        match self {
            Self::Target => row.target.clone(),
            Self::Program => row.program.clone(),
            Self::Kind => row.kind.clone(),
            Self::Calls => figure(row.calls_per_second),
            Self::Nanoseconds => row.ns_per_call.map_or_else(|| "-".into(), figure),
            Self::Cpu => percent(row.cpu_percent),
        }
    }

    /// Names are as wide as there is room.
    fn fixed(self) -> Option<usize> {
        match self {
            Self::Target | Self::Program => None,
            Self::Kind => Some(10),
            Self::Calls | Self::Nanoseconds => Some(7),
            Self::Cpu => Some(6),
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Calls | Self::Nanoseconds | Self::Cpu)
    }
}

/// Columns and their widths, with a space between them.
pub struct Table(Vec<(Column, usize)>);

impl Table {
    pub fn new(width: usize) -> Self {
        let shown =
            |column: &Column| width >= WIDE || !matches!(column, Column::Program | Column::Kind);
        let columns: Vec<_> = Column::ALL.into_iter().filter(shown).collect();
        let fixed: usize = columns.iter().filter_map(|column| column.fixed()).sum();
        let names = columns.iter().filter(|it| it.fixed().is_none()).count();
        let room = width.saturating_sub(fixed + columns.len() - 1);
        let mut left = names;
        let mut rest = room;
        let widths = columns.into_iter().map(|column| {
            let width = column.fixed().unwrap_or_else(|| {
                let share = rest.div_ceil(left.max(1));
                left = left.saturating_sub(1);
                rest -= share;
                share
            });
            (column, width)
        });
        Self(widths.collect())
    }

    /// The line above the rows. `mark` is put behind the column that they are sorted by.
    pub fn head(&self, sorted: Column, mark: char) -> String {
        self.line(|column| match column == sorted {
            true => format!("{}{mark}", column.head()),
            false => column.head().into(),
        })
    }

    pub fn row(&self, row: &Row) -> String {
        self.line(|column| column.cell(row))
    }

    fn line(&self, cell: impl Fn(Column) -> String) -> String {
        let cells = self.0.iter().map(|(column, width)| {
            let text = fit(&cell(*column), *width);
            match column.is_number() {
                true => format!("{text:>width$}"),
                false => format!("{text:<width$}"),
            }
        });
        cells.collect::<Vec<_>>().join(" ").trim_end().into()
    }
}

/// What is too long ends in `~`.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}~")
}

/// At most seven characters.
fn figure(number: f64) -> String {
    match number {
        0.0 => "0".into(),
        ..10.0 => format!("{number:.1}"),
        ..99_999.5 => look::grouped(number.round() as u64),
        ..999_950.0 => format!("{:.1}k", number / 1e3),
        ..999_950_000.0 => format!("{:.1}M", number / 1e6),
        _ => format!("{:.1}G", number / 1e9),
    }
}

fn percent(number: f64) -> String {
    match number {
        0.0 => "0".into(),
        ..99.995 => format!("{number:.2}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_fit_their_columns() {
        let numbers = [
            0.0, 0.04, 9.99, 12.3, 99_999.0, 99_999.9, 999_949.0, 1e6, 999e6, 5e9,
        ];
        let texts = numbers.map(figure);
        assert_eq!(
            texts,
            ["0", "0.0", "10.0", "12", "99,999", "100.0k", "999.9k", "1.0M", "999.0M", "5.0G"]
        );
        assert!(texts.iter().all(|text| text.len() <= 7));
        assert_eq!(
            [0.0, 0.004, 3.456, 99.999, 812.0].map(percent),
            ["0", "0.00", "3.46", "100", "812"]
        );
    }

    #[test]
    fn a_line_is_never_wider_than_asked() {
        let row = Row {
            target: "a_function_with_a_name_that_is_rather_long_for_a_function".into(),
            program: "and_a_program_that_is_not_better_at_all_in_that".into(),
            kind: "struct_ops".into(),
            ..Row::default()
        };
        for width in [40, 63, 64, 80, 132] {
            let table = Table::new(width);
            for line in [table.head(Column::Cpu, 'v'), table.row(&row)] {
                assert_eq!(line.chars().count(), width, "{line}");
            }
        }
        assert_eq!(Table::new(40).0.len(), 4);
    }
}
