// SPDX-License-Identifier: GPL-2.0

//! Where each actor says what it does and how far it is, in memory that all of them
//! share and that outlives any of them.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
use rustix::time::{clock_gettime, ClockId};

/// What actors count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Attached,
    Detached,
    Changed,
    Switched,
    Loaded,
    Reloaded,
    /// What was refused as it should be.
    Refused,
    Actions,
    /// Entries and returns that programs saw.
    Events,
    /// Runs that the kernel left out, since the program was running on that CPU.
    Missed,
    /// Calls whose number was checked.
    Checked,
}

pub const COUNTS: usize = Count::Checked as usize + 1;

const TEXT: usize = 128;
const WHY: usize = 1024;

/// For everybody.
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub struct Notices {
    /// The play is over.
    pub stop: u64,
    /// Users leave the device: the module is to be unloaded.
    pub leave: u64,
    /// A bit for each slot whose actor is on.
    pub on: u64,
    /// Until when the watch must have done what it is at, in ms; 0 for no limit.
    pub deadline: u64,
}

/// One actor's.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct Slot {
    pub step: u64,
    /// Its process, if that may be frozen.
    pub pid: u64,
    /// When the last step began, in ms.
    pub beat: u64,
    /// Whether something of the device may be open.
    pub inside: u64,
    pub counts: [u64; COUNTS],
    doing: [u8; TEXT],
    why: [u8; WHY],
}

impl Slot {
    pub fn doing(&self) -> String {
        text(&self.doing)
    }

    /// Why it failed, empty if it did not.
    pub fn why(&self) -> String {
        text(&self.why)
    }

    pub fn say(&mut self, doing: &str) {
        put(&mut self.doing, doing);
    }

    pub fn fail(&mut self, why: &str) {
        put(&mut self.why, why);
    }
}

fn put(field: &mut [u8], text: &str) {
    field.fill(0);
    let len = text.len().min(field.len() - 1);
    field[..len].copy_from_slice(&text.as_bytes()[..len]);
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
}

/// Milliseconds since the boot.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

pub struct Board(File);

impl Board {
    pub fn new(slots: usize) -> io::Result<Self> {
        let file = memfd_create("stress", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, Self::at(slots))?;
        Ok(Self(file.into()))
    }

    fn at(slot: usize) -> u64 {
        (size_of::<Notices>() + slot * size_of::<Slot>()) as u64
    }

    pub fn notices(&self) -> io::Result<Notices> {
        let mut notices = Notices::zeroed();
        self.0
            .read_exact_at(bytemuck::bytes_of_mut(&mut notices), 0)?;
        Ok(notices)
    }

    fn notice(&self, at: usize, value: u64) -> io::Result<()> {
        self.0.write_all_at(&value.to_ne_bytes(), at as u64)
    }

    pub fn stop(&self) -> io::Result<()> {
        self.notice(offset_of!(Notices, stop), 1)
    }

    pub fn leave(&self, leave: bool) -> io::Result<()> {
        self.notice(offset_of!(Notices, leave), leave.into())
    }

    /// The watch must be done with something `within` that time; or it watches others.
    pub fn deadline(&self, within: Option<Duration>) -> io::Result<()> {
        let deadline = within.map_or(0, |time| now() + time.as_millis() as u64);
        self.notice(offset_of!(Notices, deadline), deadline)
    }

    /// Who is on from now, a bit for each slot.
    pub fn on(&self, slots: u64) -> io::Result<()> {
        self.notice(offset_of!(Notices, on), slots)
    }

    fn all(&self) -> io::Result<Vec<Slot>> {
        (0..super::stage::SLOTS)
            .map(|slot| self.read(slot))
            .collect()
    }

    /// How many actors may have something of the device open.
    pub fn inside(&self) -> io::Result<u64> {
        Ok(self.all()?.iter().map(|slot| slot.inside).sum())
    }

    /// The processes that may be frozen.
    pub fn pids(&self) -> io::Result<Vec<u64>> {
        let pids = self.all()?.into_iter().map(|slot| slot.pid);
        Ok(pids.filter(|pid| *pid != 0).collect())
    }

    pub fn read(&self, slot: usize) -> io::Result<Slot> {
        let mut record = Slot::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut record);
        self.0.read_exact_at(bytes, Self::at(slot))?;
        Ok(record)
    }

    pub fn write(&self, slot: usize, record: &Slot) -> io::Result<()> {
        self.0
            .write_all_at(bytemuck::bytes_of(record), Self::at(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_meet() {
        let board = Board::new(2).unwrap();
        let mut record = Slot::zeroed();
        record.step = 7;
        record.say("something");
        board.write(1, &record).unwrap();
        board.stop().unwrap();
        assert_eq!(board.read(1).unwrap().doing(), "something");
        assert_eq!(board.read(0).unwrap().step, 0);
        assert_eq!(board.notices().unwrap().stop, 1);
    }

    #[test]
    fn long_texts_are_cut() {
        let mut record = Slot::zeroed();
        record.say(&"x".repeat(1000));
        assert_eq!(record.doing().len(), TEXT - 1);
    }
}
