// SPDX-License-Identifier: GPL-2.0

//! The ring buffer of records.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{bail, Result};
use libbpf_rs::{RingBuffer, RingBufferBuilder};
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::program::Program;
use super::record::Record;

/// Records that are taken at once, so that the caller gets to look at signals.
const BATCH: usize = 1024;

pub struct Ring {
    ring: RingBuffer<'static>,
    taken: Rc<RefCell<Vec<Option<Record>>>>,
}

impl Ring {
    pub fn new(program: &Program) -> Result<Self> {
        let taken = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&taken);
        let map = program.records()?;
        let mut ring = RingBufferBuilder::new();
        ring.add(&map, move |data| {
            sink.borrow_mut().push(Record::parse(data));
            0
        })?;
        let ring = ring.build()?;
        Ok(Self { ring, taken })
    }

    /// Waits for records, for the end of a command, for a signal, at most for `timeout`.
    pub fn wait(&self, ended: Option<BorrowedFd<'_>>, timeout: Duration) -> Result<()> {
        // SAFETY: The descriptor is the ring's, which is borrowed here.
        let records = unsafe { BorrowedFd::borrow_raw(self.ring.epoll_fd()) };
        let mut fds = vec![PollFd::from_borrowed_fd(records, PollFlags::IN)];
        fds.extend(ended.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, Some(&Timespec::try_from(timeout)?)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }

    /// What there is by now, up to a number.
    pub fn take(&self) -> Result<Vec<Record>> {
        let count = self.ring.consume_raw_n(BATCH);
        if count < 0 && count != -libc::EINTR {
            bail!(std::io::Error::from_raw_os_error(-count));
        }
        let taken = self
            .taken
            .take()
            .into_iter()
            .collect::<Option<Vec<Record>>>();
        match taken {
            Some(records) => Ok(records),
            None => bail!("a record of another form: build the command again"),
        }
    }
}
