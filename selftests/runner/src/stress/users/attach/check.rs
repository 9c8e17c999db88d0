// SPDX-License-Identifier: GPL-2.0

//! What a user knows of its programs, held against what the module and they say.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{bail, ensure, Context, Result};

use super::{Attached, Open, User};
use crate::attach::Via;
use crate::bpf;
use crate::stress::board::Count;
use crate::stress::users::{called, functions::Call};
use crate::tests::settle;

impl User<'_, '_> {
    /// What the device tells fits what was done.
    pub(super) fn check_device(&mut self, nr: usize) -> Result<()> {
        let open = &self.open[nr];
        open.tramp
            .check_image()
            .with_context(|| format!("on {}", open.function.name))?;
        let Some(device) = open.tramp.device() else {
            return Ok(());
        };
        let info = device.info()?;
        ensure!(
            info.nr_progs() as usize == open.attached.len(),
            "{} programs on {}, {} were attached",
            info.nr_progs(),
            open.function.name,
            open.attached.len()
        );
        Ok(())
    }

    /// What was refused is not there.
    pub(super) fn check_absent(&self, nr: usize, prog: BorrowedFd<'_>) -> Result<()> {
        let Some(device) = self.open[nr].tramp.device() else {
            return Ok(());
        };
        let errno = device
            .remove_only(prog)
            .err()
            .and_then(|e| e.raw_os_error());
        ensure!(
            errno == Some(libc::ENOENT),
            "removing what was not attached: {errno:?}"
        );
        Ok(())
    }

    /// Detaches a program, while somebody calls the function all the time: its two calls are
    /// patched out in an order that shows no return without its entry.
    pub(super) fn detach(&self, nr: usize, attached: &Attached) -> Result<()> {
        let Open {
            tramp, function, ..
        } = &self.open[nr];
        let prog = attached.prog.as_fd();
        let detach = || {
            let detached = tramp.try_remove_fd(attached.id, prog);
            detached.context("cannot detach")
        };
        if self.via != Via::Device || function.call == Call::No {
            return detach();
        }
        let alone = || -> Result<(u64, u64)> {
            let seen = self.turn.stage.programs.seen(attached.place)?;
            Ok((seen.alone, bpf::misses(prog)?))
        };
        let before = alone()?;
        called::meanwhile(self.turn.stage.cpus, || function.call(prog), detach)??;
        settle()?;
        let after = alone()?;
        ensure!(
            after.0 - before.0 <= after.1 - before.1,
            "{} returns without an entry while {:?} was detached, left out {} times",
            after.0 - before.0,
            attached.what,
            after.1 - before.1
        );
        Ok(())
    }

    /// After a detach: nothing is seen any more, and what was seen adds up.
    pub(super) fn gone(&mut self, attached: Attached) -> Result<()> {
        settle()?;
        self.check(&attached, false)?;
        let before = self.turn.stage.programs.seen(attached.place)?;
        self.turn.pause(10)?;
        let after = self.turn.stage.programs.seen(attached.place)?;
        // Sleepable programs may have been preempted before they counted.
        ensure!(
            after.entries <= before.entries + self.turn.stage.cpus as u64,
            "a detached {:?} saw {before:?}, then {after:?}",
            attached.what
        );
        self.turn
            .count(Count::Events, after.entries + after.returns);
        let missed = bpf::misses(attached.prog.as_fd())?;
        self.turn.count(Count::Missed, missed);
        // The place is used again last, should somebody still be in there.
        self.free.insert(0, attached.place);
        Ok(())
    }

    /// Every entry has its return, or a detach that explains it.
    pub(super) fn check(&mut self, attached: &Attached, still_there: bool) -> Result<()> {
        let missed = bpf::misses(attached.prog.as_fd())?;
        let seen = self.turn.stage.programs.seen(attached.place)?;
        // The two calls of a session are patched out one after the other. The kernel begins
        // with the first one, so that returns are alone meanwhile; the module with the last
        // one, so that entries are.
        let lost = still_there || self.via != Via::Device;
        let alone = still_there || self.via == Via::Device;
        ensure!(
            seen.wrong == 0 && (!lost || seen.lost <= missed) && (!alone || seen.alone <= missed),
            "{:?} saw {seen:?}, left out {missed} times{}",
            attached.what,
            if still_there { "" } else { ", detached" }
        );
        Ok(())
    }

    /// Each program sees each call of this process.
    pub(super) fn call_all(&mut self) -> Result<()> {
        const CALLS: u64 = 3;
        for nr in 0..self.open.len() {
            let open = &self.open[nr];
            if open.function.call == Call::No || open.attached.is_empty() {
                continue;
            }
            let own = |attached: &Attached| -> Result<(u64, u64, u64)> {
                let seen = self.turn.stage.programs.seen(attached.place)?;
                let missed = bpf::misses(attached.prog.as_fd())?;
                Ok((seen.own_entries, seen.own_returns, missed))
            };
            let before = open.attached.iter().map(own).collect::<Result<Vec<_>>>()?;
            for _ in 0..CALLS {
                open.function.call(open.attached[0].prog.as_fd())?;
            }
            let after = open.attached.iter().map(own).collect::<Result<Vec<_>>>()?;
            for ((attached, before), after) in open.attached.iter().zip(before).zip(after) {
                let (entries, returns) = attached.what.halves();
                let missed = after.2 - before.2;
                let seen = (after.0 - before.0, after.1 - before.1);
                let good =
                    |seen: u64, each: u64| seen <= each * CALLS && seen + missed >= each * CALLS;
                if !(good(seen.0, entries) && good(seen.1, returns)) {
                    bail!(
                        "{:?} on {} saw {seen:?} of {CALLS} calls, left out {missed} times",
                        attached.what,
                        open.function.name
                    );
                }
            }
            let checked = CALLS * open.attached.len() as u64;
            self.turn.count(Count::Checked, checked);
        }
        Ok(())
    }

    /// Reads what can be read, and closes a duplicate.
    pub(super) fn look(&mut self) -> Result<()> {
        let Some(open) = self.open.first() else {
            return Ok(());
        };
        let name = open.function.name;
        self.turn.say(format!("look at {name}"))?;
        if let Some(device) = self.open[0].tramp.device() {
            let other = device.try_clone()?;
            let (info, image) = (other.info()?, other.image()?);
            ensure!(
                info.code_size as usize == image.len(),
                "read() gives {} bytes of {}",
                image.len(),
                info.code_size
            );
        }
        Ok(())
    }

    /// What is there already is refused, and what is not there cannot go.
    pub(super) fn again(&mut self) -> Result<()> {
        let Some(open) = self.open.first() else {
            return Ok(());
        };
        let Some(attached) = open.attached.first() else {
            return Ok(());
        };
        if self.via != Via::Device {
            return Ok(());
        }
        self.turn.say("add what is there")?;
        let (prog, kind) = (attached.prog.as_fd(), attached.what.kind());
        let tried = self.open[0].tramp.try_add_fd(attached.id, prog, kind, 0);
        let errno = tried.err().and_then(|err| err.raw_os_error());
        ensure!(
            [Some(libc::EBUSY), Some(libc::E2BIG)].contains(&errno),
            "adding a program twice: {errno:?}"
        );
        self.turn.count(Count::Refused, 1);
        Ok(())
    }
}
