// SPDX-License-Identifier: GPL-2.0

//! The kernel log with its levels.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// `KERN_ERR`
pub const ERR: u32 = 3;
/// `KERN_WARNING`
pub const WARNING: u32 = 4;

/// The log from the time that it was opened, or from a mark on.
pub struct Kmsg(File);

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `KERN_*`
    pub level: u32,
    pub text: String,
}

impl Line {
    /// Takes a record `priority,sequence,time,flags;message` apart, without the
    /// continuation lines that hold its properties.
    fn new(record: &str) -> Option<Self> {
        let (head, message) = record.split_once(';')?;
        let priority: u32 = head.split(',').next()?.parse().ok()?;
        Some(Self {
            level: priority & 7,
            text: message.lines().next()?.to_owned(),
        })
    }

    pub fn is_of_module(&self) -> bool {
        self.text.starts_with("rust_fsession:")
    }
}

impl Kmsg {
    pub fn open() -> io::Result<Self> {
        let mut kmsg = Self::whole()?;
        kmsg.0.seek(SeekFrom::End(0))?;
        Ok(kmsg)
    }

    /// From its oldest record on.
    fn whole() -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        options.open("/dev/kmsg").map(Self)
    }

    /// The log from the last line on that is `mark`, which somebody has written to
    /// `/dev/kmsg`. `NotFound` where it is there no more.
    pub fn since(mark: &str) -> io::Result<Self> {
        let is_mark = |line: Option<Line>| line.is_some_and(|line| line.text == mark);
        let mut marks = 0;
        Self::whole()?.records(|line| marks += usize::from(is_mark(line)))?;
        if marks == 0 {
            return Err(ErrorKind::NotFound.into());
        }
        let mut kmsg = Self::whole()?;
        while marks > 0 {
            let line = kmsg.record()?.ok_or(ErrorKind::NotFound)?;
            marks -= usize::from(is_mark(line));
        }
        Ok(kmsg)
    }

    /// The next record, if there is one, with `None` inside where records were overwritten
    /// before they could be read.
    fn record(&mut self) -> io::Result<Option<Option<Line>>> {
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(None),
                Ok(n) => match Line::new(&String::from_utf8_lossy(&record[..n])) {
                    Some(line) => return Ok(Some(Some(line))),
                    None => continue,
                },
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(err) if err.kind() == ErrorKind::BrokenPipe => return Ok(Some(None)),
                Err(err) => return Err(err),
            }
        }
    }

    /// Calls `each` for each line since the last call, with `None` where records were lost.
    pub fn records(&mut self, mut each: impl FnMut(Option<Line>)) -> io::Result<()> {
        while let Some(line) = self.record()? {
            each(line);
        }
        Ok(())
    }

    /// Each line of the module since the last call.
    pub fn of_module(&mut self) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        self.records(|line| lines.extend(line))?;
        lines.retain(Line::is_of_module);
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_from_facilities() {
        let record = "11,1234,5678,-;rust_fsession: a; line\n SUBSYSTEM=misc\n";
        let line = Line::new(record).unwrap();
        assert_eq!(
            (line.level, line.text.as_str()),
            (ERR, "rust_fsession: a; line")
        );
        assert!(line.is_of_module());
    }
}
