// SPDX-License-Identifier: GPL-2.0

//! Calls as lines: duration, task, and the call with what it returned.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::calls::Call;
use super::record::{Entry, Return, Task};
use super::types::Signature;
use super::values::{arguments, returned};

/// Columns of a task's name and number, and of a duration.
const TASK: usize = 16;
const DURATION: usize = 8;
/// A narrower terminal has no room for columns.
const NARROW: usize = 60;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// What is known of a traced function.
#[derive(Clone, Debug)]
pub struct Traced {
    pub name: String,
    /// The module that has it, none for the kernel itself.
    pub module: Option<String>,
    pub signature: Signature,
}

/// A part of a line that stays in one piece.
pub type Piece = (Style, String);

/// How lines are laid out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Columns of the terminal. None leaves each line in one piece.
    pub width: Option<usize>,
    /// Entries have the seconds since `start`, which is in ns.
    pub start: Option<u64>,
}

impl Layout {
    pub fn header(&self) -> String {
        let time = self.start.map_or("", |_| "      TIME  ");
        let line = match self.is_narrow() {
            true => format!("{time}DURATION TASK CALL"),
            false => format!("{time}{:>DURATION$}  {:<TASK$}  CALL", "DURATION", "TASK"),
        };
        format!("{DIM}{line}{DIM:#}\n")
    }

    fn is_narrow(&self) -> bool {
        self.width.is_some_and(|width| width < NARROW)
    }

    /// One line, or several where it is too long. `time` is that of the entry.
    pub fn line(
        &self,
        time: u64,
        duration: Option<u64>,
        task: &Task,
        indent: usize,
        pieces: &[Piece],
    ) -> String {
        let duration = duration.map(show_duration).unwrap_or_default();
        let task = show_task(task);
        let mut prefix = match self.start {
            Some(start) => format!("{:>10.6}  ", time.saturating_sub(start) as f64 / 1e9),
            None => String::new(),
        };
        let hang = if self.is_narrow() {
            let _ = write!(prefix, "{duration:>DURATION$} {task} ");
            4
        } else {
            let _ = write!(prefix, "{duration:>DURATION$}  {task:<TASK$}  ");
            prefix.chars().count() + 4 + indent
        };
        let width = self.width.unwrap_or(usize::MAX);
        let mut column = prefix.chars().count() + indent;
        let mut line = format!("{DIM}{prefix}{DIM:#}{:indent$}", "");
        for (nr, (style, text)) in pieces.iter().enumerate() {
            let len = text.trim_end().chars().count();
            if nr > 0 && column + len > width && hang < width {
                line.truncate(line.trim_end().len());
                let _ = write!(line, "\n{:hang$}", "");
                column = hang;
            }
            let _ = write!(line, "{style}{text}{style:#}");
            column += text.chars().count();
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    /// Lines of a stack, from the caller outwards.
    pub fn stack(&self, frames: &[String]) -> String {
        let indent = if self.is_narrow() {
            4
        } else {
            DURATION + 2 + TASK + 2 + 4
        };
        let mut lines = String::new();
        for frame in frames {
            let _ = writeln!(lines, "{:indent$}{DIM}{frame}{DIM:#}", "");
        }
        lines
    }
}

/// `vfs_read(file=0xffff888004c1e300, count=4096)`
pub fn called(traced: &Traced, entry: &Entry) -> Vec<Piece> {
    let mut pieces = vec![(BOLD, traced.name.clone()), (PLAIN, "(".into())];
    let args = arguments(&traced.signature, &entry.words, &entry.texts);
    for (nr, (name, value)) in args.iter().enumerate() {
        let comma = if nr + 1 < args.len() { ", " } else { "" };
        let text = match *name {
            "" => value.text(),
            name => format!("{name}={}", value.text()),
        };
        pieces.push((PLAIN, format!("{text}{comma}")));
    }
    // The name is not torn from its parenthesis, nor the last argument.
    join(&mut pieces, ")");
    pieces
}

/// ` = 4096`, nothing for a function that returns nothing.
pub fn result(traced: &Traced, ret: Option<&Return>) -> Vec<Piece> {
    let Some(ret) = ret else {
        return vec![(DIM, " = ?".into())];
    };
    match returned(&traced.signature.ret, &ret.value, ret.text.as_ref()) {
        None => Vec::new(),
        Some(value) => {
            let style = match value.error() {
                Some(_) => AnsiColor::Red.on_default(),
                None => PLAIN,
            };
            vec![(style, format!(" = {}", value.text_or_error()))]
        }
    }
}

fn join(pieces: &mut [Piece], text: &str) {
    if let Some((_, last)) = pieces.last_mut() {
        last.push_str(text);
    }
}

/// A whole call.
pub fn call(layout: &Layout, traced: &Traced, call: &Call, indent: usize) -> String {
    let mut pieces = called(traced, &call.entry);
    pieces.extend(result(traced, call.ret.as_ref()));
    let duration = call.ret.as_ref().map(Return::duration);
    layout.line(
        call.entry.entered,
        duration,
        &call.entry.task,
        indent,
        &pieces,
    )
}

/// Four digits and a unit: `1.234 us`.
pub fn show_duration(ns: u64) -> String {
    if ns < 1000 {
        return format!("{ns} ns");
    }
    let mut value = ns as f64 / 1e3;
    let mut unit = "us";
    for next in ["ms", "s"] {
        if value >= 1000.0 {
            value /= 1e3;
            unit = next;
        }
    }
    let digits = match value {
        ..9.9995 => 3,
        ..99.995 => 2,
        ..999.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

fn show_task(task: &Task) -> String {
    format!("{}-{}", task.comm, task.tid)
}

#[cfg(test)]
pub(super) mod examples {
    use super::super::record::Text;
    use super::super::types::examples;
    use super::*;

    pub fn write() -> Traced {
        Traced {
            name: "vfs_write".into(),
            module: None,
            signature: examples::write(),
        }
    }

    pub fn task() -> Task {
        Task {
            tgid: 153,
            tid: 153,
            cpu: 1,
            comm: "cat".into(),
        }
    }

    pub fn entry(entered: u64) -> Entry {
        Entry {
            entered,
            task: task(),
            words: vec![0xffff_8880_04c1_e300, 0x7ffd_1000, 6, 0xffff_c900_0017_fe80],
            texts: vec![Text::Read {
                bytes: b"hello\n".to_vec(),
                is_cut: false,
            }],
            ..Entry::default()
        }
    }

    pub fn ret(entered: u64, time: u64, value: i64) -> Return {
        Return {
            entered,
            time,
            task: task(),
            value: value as u64,
            ..Return::default()
        }
    }

    pub fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::examples::*;
    use super::*;

    fn shown(width: Option<usize>, start: Option<u64>, value: i64) -> String {
        let call = Call {
            entry: entry(1_000_000),
            ret: Some(ret(1_000_000, 1_012_345, value)),
        };
        let layout = Layout { width, start };
        let header = layout.header();
        plain(&format!(
            "{header}{}",
            super::call(&layout, &write(), &call, 0)
        ))
    }

    #[test]
    fn a_call_is_a_line() {
        insta::assert_snapshot!(shown(None, None, 6), @r#"
        DURATION  TASK              CALL
        12.35 us  cat-153           vfs_write(file=0xffff888004c1e300, buf="hello\n", count=6, pos=0xffffc9000017fe80) = 6
        "#);
    }

    #[test]
    fn a_terminal_has_its_width() {
        insta::assert_snapshot!(shown(Some(80), Some(0), -9), @r#"
              TIME  DURATION  TASK              CALL
          0.001000  12.35 us  cat-153           vfs_write(file=0xffff888004c1e300,
                                                    buf="hello\n", count=6,
                                                    pos=0xffffc9000017fe80) = -EBADF
        "#);
        insta::assert_snapshot!(shown(Some(40), None, 6), @r#"
        DURATION TASK CALL
        12.35 us cat-153 vfs_write(
            file=0xffff888004c1e300,
            buf="hello\n", count=6,
            pos=0xffffc9000017fe80) = 6
        "#);
    }

    #[test]
    fn what_did_not_return_says_so() {
        let call = Call {
            entry: entry(0),
            ret: None,
        };
        let line = plain(&super::call(&Layout::default(), &write(), &call, 2));
        assert!(
            line.starts_with("          cat-153             vfs_write(file="),
            "{line}"
        );
        assert!(line.ends_with("pos=0xffffc9000017fe80) = ?\n"), "{line}");
    }

    #[test]
    fn durations_have_four_digits() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1000, "1.000 us"),
            (12_345, "12.35 us"),
            (123_456, "123.5 us"),
            (9_999_600, "10.00 ms"),
            (50_000_000, "50.00 ms"),
            (1_500_000_000, "1.500 s"),
            (4_000_000_000_000, "4000 s"),
        ] {
            assert_eq!(show_duration(ns), text);
        }
    }
}
