// SPDX-License-Identifier: GPL-2.0

//! The kernel log with its levels.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// `KERN_ERR`
pub const ERR: u32 = 3;

/// The log from the time that it was opened.
pub struct Kmsg(File);

impl Kmsg {
    pub fn open() -> io::Result<Self> {
        let mut kmsg = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        kmsg.seek(SeekFrom::End(0))?;
        Ok(Self(kmsg))
    }

    /// Calls `each` for each record since the last call, with `None` where records were
    /// overwritten before they could be read.
    pub fn records(&mut self, mut each: impl FnMut(Option<&str>)) -> io::Result<()> {
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(()),
                Ok(n) => each(Some(&String::from_utf8_lossy(&record[..n]))),
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(err) if err.kind() == ErrorKind::BrokenPipe => each(None),
                Err(err) => return Err(err),
            }
        }
    }

    /// The level and the text of each line of the module since the last call.
    pub fn of_module(&mut self) -> io::Result<Vec<(u32, String)>> {
        let mut lines = Vec::new();
        self.records(|record| lines.extend(record.and_then(line)))?;
        lines.retain(|(_, text)| text.starts_with("rust_fsession:"));
        Ok(lines)
    }
}

/// Takes a record `priority,sequence,time,flags;message` apart.
fn line(record: &str) -> Option<(u32, String)> {
    let (head, message) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    Some((priority & 7, message.lines().next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_from_facilities() {
        let record = "11,1234,5678,-;rust_fsession: a; line\n SUBSYSTEM=misc\n";
        let expected = (ERR, "rust_fsession: a; line".to_owned());
        assert_eq!(line(record), Some(expected));
    }
}
