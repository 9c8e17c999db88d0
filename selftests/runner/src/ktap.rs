// SPDX-License-Identifier: GPL-2.0

//! Test results as kselftest wants them: KTAP under a TAP 13 header.
//!
//! See `Documentation/dev-tools/ktap.rst`.

use std::io::{self, Write};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    Skip(String),
}

#[derive(Debug, Default)]
pub struct Totals {
    pub pass: usize,
    pub fail: usize,
    pub skip: usize,
}

impl Totals {
    /// What kselftest takes for passed, failed and skipped.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self { fail: 1.., .. } => 1,
            Self { pass: 0, .. } => 4,
            _ => 0,
        }
    }
}

pub struct Writer<W: Write> {
    out: W,
    pub totals: Totals,
}

impl<W: Write> Writer<W> {
    pub fn new(mut out: W, plan: usize) -> io::Result<Self> {
        writeln!(out, "TAP version 13\n1..{plan}")?;
        Ok(Self {
            out,
            totals: Totals::default(),
        })
    }

    /// Goes on where another one was interrupted before its first result.
    pub fn resume(out: W) -> Self {
        Self {
            out,
            totals: Totals::default(),
        }
    }

    /// A result, after what there is to say about it.
    pub fn result(
        &mut self,
        name: &str,
        outcome: &Outcome,
        took: Duration,
        diagnostics: &str,
    ) -> io::Result<()> {
        self.diagnostics(diagnostics)?;
        let nr = self.totals.pass + self.totals.fail + self.totals.skip + 1;
        match outcome {
            Outcome::Pass => {
                self.totals.pass += 1;
                writeln!(self.out, "ok {nr} {name} # {took:.1?}")
            }
            Outcome::Fail => {
                self.totals.fail += 1;
                writeln!(self.out, "not ok {nr} {name} # {took:.1?}")
            }
            Outcome::Skip(reason) => {
                self.totals.skip += 1;
                writeln!(self.out, "ok {nr} {name} # SKIP {reason}")
            }
        }?;
        self.out.flush()
    }

    pub fn diagnostics(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| match line {
            "" => writeln!(self.out, "#"),
            _ => writeln!(self.out, "# {line}"),
        })
    }

    pub fn finish(mut self) -> io::Result<Totals> {
        let Totals { pass, fail, skip } = self.totals;
        writeln!(
            self.out,
            "# Totals: pass:{pass} fail:{fail} xfail:0 xpass:0 skip:{skip} error:0"
        )?;
        self.out.flush()?;
        Ok(self.totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_ktap() {
        let mut out = Vec::new();
        let mut ktap = Writer::new(&mut out, 3).unwrap();
        let took = Duration::from_millis(1234);
        ktap.result("one", &Outcome::Pass, took, "").unwrap();
        ktap.result("two", &Outcome::Skip("no device".into()), took, "")
            .unwrap();
        ktap.result("three", &Outcome::Fail, took, "first\n\nlast\n")
            .unwrap();
        assert_eq!(ktap.finish().unwrap().exit_code(), 1);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "TAP version 13\n1..3\n\
             ok 1 one # 1.2s\n\
             ok 2 two # SKIP no device\n\
             # first\n#\n# last\n\
             not ok 3 three # 1.2s\n\
             # Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0\n"
        );
    }

    #[test]
    fn exit_codes() {
        let code = |pass, fail, skip| Totals { pass, fail, skip }.exit_code();
        assert_eq!(code(2, 0, 0), 0);
        assert_eq!(code(2, 0, 1), 0);
        assert_eq!(code(2, 1, 1), 1);
        assert_eq!(code(0, 0, 3), 4);
        assert_eq!(code(0, 1, 3), 1);
    }
}
