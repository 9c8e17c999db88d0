// SPDX-License-Identifier: GPL-2.0

//! An actor's step: announced before it is done, so that the last word of one that
//! hangs or brings the kernel down says what it was at.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use super::board::{self, Count, Slot};
use super::draw::Draw;
use super::stage::Stage;

pub struct Turn<'a> {
    pub stage: &'a Stage,
    pub draw: Draw,
    /// Number of the actor among those of its name.
    pub instance: usize,
    /// How often the actor was started before.
    pub life: u64,
    slot: usize,
    record: Slot,
    /// Where `each()` is.
    nr: usize,
}

impl<'a> Turn<'a> {
    pub fn new(
        stage: &'a Stage,
        mut draw: Draw,
        instance: usize,
        life: u64,
        slot: usize,
        mortal: bool,
    ) -> Result<Self> {
        let nr = draw.below(1 << 16);
        let mut record = stage.board.read(slot)?;
        record.inside = 0;
        record.pid = if mortal { std::process::id().into() } else { 0 };
        Ok(Self {
            stage,
            draw,
            instance,
            life,
            slot,
            record,
            nr,
        })
    }

    /// Begins the next step, once the actor is on. `false` when the play is over.
    pub fn next(&mut self) -> Result<bool> {
        loop {
            self.beat()?;
            let notices = self.stage.board.notices()?;
            if notices.stop != 0 {
                return Ok(false);
            }
            if notices.on & (1 << self.slot) != 0 {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.record.step += 1;
        // An emulated machine that has one thread for all CPUs goes to the next one here;
        // without that, whoever waits for an answer of this CPU waits long.
        std::hint::spin_loop();
        Ok(true)
    }

    /// The same for an actor that uses the device and has nothing of it between two steps:
    /// it does none while the device is to be left alone.
    pub fn next_inside(&mut self) -> Result<bool> {
        while self.next()? {
            if !self.must_leave()? {
                self.inside(true)?;
                return Ok(true);
            }
            self.inside(false)?;
            self.pause(50)?;
        }
        Ok(false)
    }

    fn beat(&mut self) -> Result<()> {
        self.record.beat = board::now();
        Ok(self.stage.board.write(self.slot, &self.record)?)
    }

    /// Says what is done next.
    pub fn say(&mut self, doing: impl AsRef<str>) -> Result<()> {
        self.record.say(doing.as_ref());
        self.beat()
    }

    pub fn count(&mut self, what: Count, number: u64) {
        self.record.counts[what as usize] += number;
    }

    /// Says whether something of the device may be open here.
    pub fn inside(&mut self, inside: bool) -> Result<()> {
        self.record.inside = inside.into();
        self.beat()
    }

    /// Whether the play is over, for who is in the middle of something long.
    pub fn is_over(&self) -> Result<bool> {
        Ok(self.stage.board.notices()?.stop != 0)
    }

    /// Whether the device is to be left alone for now.
    pub fn must_leave(&self) -> Result<bool> {
        Ok(self.stage.board.notices()?.leave != 0)
    }

    /// The first places of this actor's programs, which no other actor's are in.
    pub fn places(&self) -> std::ops::Range<usize> {
        let first = self.slot * PLACES_EACH;
        first..first + PLACES_EACH
    }

    /// The BPF cookie of an attachment: no two share one.
    pub fn cookie(&self, place: usize, id: u64) -> u64 {
        place as u64 | (id << 16) | (self.life << 40)
    }

    pub fn pause(&mut self, most_ms: u64) -> Result<()> {
        let time = self.draw.time(Duration::from_millis(most_ms));
        self.wait(time)
    }

    /// Does nothing for `time`, or until the play is over.
    pub fn wait(&mut self, time: Duration) -> Result<()> {
        const BEAT: Duration = Duration::from_secs(1);
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            thread::sleep(left.min(BEAT));
            if left <= BEAT || self.is_over()? {
                return Ok(());
            }
            self.beat()?;
        }
    }

    /// Waits for what must come, as long as an actor may wait for others, beating meanwhile.
    pub fn wait_for(&mut self, what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let within = self.stage.patience;
        let deadline = Instant::now() + within;
        while !done()? {
            ensure!(
                Instant::now() < deadline,
                "waited {within:?} in vain: {what}"
            );
            thread::sleep(Duration::from_millis(20));
            self.beat()?;
        }
        Ok(())
    }

    /// These, one after the other, beginning where the seed says: for what is too rare to be
    /// left to chance.
    pub fn each<T: Copy>(&mut self, from: &[T]) -> T {
        self.nr += 1;
        from[self.nr % from.len()]
    }

    /// Keeps why the actor failed.
    pub fn fail(&mut self, why: &str) -> Result<()> {
        self.record.fail(why);
        self.beat()
    }
}

/// Places of programs for each actor.
pub const PLACES_EACH: usize = 16;
