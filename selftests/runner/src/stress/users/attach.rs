// SPDX-License-Identifier: GPL-2.0

//! Programs on functions: attached, changed and detached, by the device and by BPF
//! links, from many processes and on the same few functions.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{getpgid, getsid};

use super::functions::{Call, Function, Whose};
use crate::attach::{Trampoline, Via};
use crate::bpf;
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::turn::Turn;
use crate::tests::settle;

/// A program on a function.
struct Attached {
    what: What,
    prog: OwnedFd,
    place: usize,
    id: u32,
}

/// A descriptor of the device, or the links of one function.
struct Open {
    tramp: Trampoline,
    function: Function,
    attached: Vec<Attached>,
}

struct User<'t, 'a> {
    turn: &'t mut Turn<'a>,
    via: Via,
    open: Vec<Open>,
    free: Vec<usize>,
    /// So that no two attachments share a BPF cookie.
    ids: u32,
}

pub fn device(turn: &mut Turn<'_>) -> Result<()> {
    User::new(turn, Via::Device).play()
}

pub fn links(turn: &mut Turn<'_>) -> Result<()> {
    User::new(turn, Via::Link).play()
}

impl<'t, 'a> User<'t, 'a> {
    fn new(turn: &'t mut Turn<'a>, via: Via) -> Self {
        let free = turn.places().collect();
        Self {
            turn,
            via,
            open: Vec::new(),
            free,
            ids: 0,
        }
    }

    fn play(mut self) -> Result<()> {
        while self.turn.next()? {
            if self.via == Via::Device && self.turn.must_leave()? {
                self.close_all()?;
                self.turn.inside(false)?;
                self.turn.pause(50)?;
                continue;
            }
            self.turn.inside(self.via == Via::Device)?;
            match self.turn.draw.below(12) {
                0..=1 => self.open_one()?,
                2..=5 => self.add()?,
                6..=7 => self.remove()?,
                8 => self.close()?,
                9 => self.look()?,
                10 => self.again()?,
                _ => self.turn.pause(30)?,
            }
            self.call_all()?;
        }
        self.close_all()
    }

    fn open_one(&mut self) -> Result<()> {
        if self.open.len() >= 3 {
            return self.close();
        }
        let mine = match self.via {
            Via::Device => Whose::Device,
            _ => Whose::Links,
        };
        let functions = &self.turn.stage.programs.functions;
        let choice: Vec<_> = functions
            .iter()
            .filter(|function| [mine, Whose::Contested].contains(&function.whose))
            .collect();
        let function = (*self.turn.draw.pick(&choice)).clone();
        // One process is at a function once.
        if self
            .open
            .iter()
            .any(|open| open.function.name == function.name)
        {
            return Ok(());
        }
        self.turn.say(format!("open for {}", function.name))?;
        let tramp = match Trampoline::open(self.via) {
            Ok(tramp) => tramp,
            // The module may be away.
            Err(err)
                if [libc::ENOENT, libc::ENODEV, libc::ENXIO]
                    .contains(&err.raw_os_error().unwrap_or(0)) =>
            {
                self.turn.count(Count::Refused, 1);
                return self.turn.pause(100);
            }
            Err(err) => return Err(err).context("cannot open the device"),
        };
        self.open.push(Open {
            tramp,
            function,
            attached: Vec::new(),
        });
        self.add_to(self.open.len() - 1)
    }

    fn add(&mut self) -> Result<()> {
        match self.open.len() {
            0 => self.open_one(),
            len => {
                let nr = self.turn.draw.below(len);
                self.add_to(nr)
            }
        }
    }

    fn add_to(&mut self, nr: usize) -> Result<()> {
        let open = &mut self.open[nr];
        if open.attached.len() >= 5 {
            return self.remove();
        }
        let Some(place) = self.free.pop() else {
            return self.remove();
        };
        let what = *self.turn.draw.pick(&What::ALL);
        let sleepable = open.function.sleepable && self.turn.draw.once_in(3);
        let name = open.function.name;
        self.turn.say(format!("add {what:?} to {name}"))?;
        let programs = &self.turn.stage.programs;
        programs.clear(place, 0)?;
        let prog = match programs.load_for(what, sleepable, open.function.id) {
            Ok(prog) => prog,
            Err(err) if self.turn.stage.may_fail(&err) => {
                self.free.push(place);
                self.turn.count(Count::Refused, 1);
                return Ok(());
            }
            Err(err) => return Err(err).with_context(|| format!("cannot load for {name}")),
        };
        self.turn.count(Count::Loaded, 1);
        self.ids += 1;
        let id = self.ids;
        let cookie = self.turn.cookie(place, id.into());
        match open.tramp.try_add_fd(id, prog.as_fd(), what.kind(), cookie) {
            Ok(()) => (),
            Err(err) => {
                self.refused(nr, &err)?;
                let seen = self.turn.stage.programs.seen(place)?;
                ensure!(
                    seen.entries + seen.returns == 0,
                    "a program that was not attached ({err}) saw {seen:?}"
                );
                self.free.push(place);
                return Ok(());
            }
        }
        let open = &mut self.open[nr];
        open.attached.push(Attached {
            what,
            prog,
            place,
            id,
        });
        self.turn.count(Count::Attached, 1);
        if open.attached.len() > 1 {
            self.turn.count(Count::Changed, 1);
        }
        self.check_device(nr)
    }

    /// What explains that a program was not attached.
    fn refused(&mut self, nr: usize, err: &io::Error) -> Result<()> {
        self.turn.count(Count::Refused, 1);
        let open = &self.open[nr];
        let errno = err.raw_os_error().unwrap_or(0);
        let explained = match self.via {
            // Another descriptor or a link is there.
            Via::Device => errno == libc::EBUSY && open.attached.is_empty(),
            // Too many links of all processes; or as above.
            _ => [libc::EBUSY, libc::EINVAL, libc::E2BIG, libc::ENODEV].contains(&errno),
        };
        ensure!(
            explained || self.turn.stage.may_fail(err),
            "cannot attach to {}, with {} programs there: {err}",
            open.function.name,
            open.attached.len()
        );
        Ok(())
    }

    /// What the device tells fits what was done.
    fn check_device(&mut self, nr: usize) -> Result<()> {
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

    fn remove(&mut self) -> Result<()> {
        let nr = self.turn.draw.below(self.open.len());
        let Some(open) = self.open.get_mut(nr) else {
            return Ok(());
        };
        if open.attached.is_empty() {
            return self.close_at(nr);
        }
        let which = self.turn.draw.below(open.attached.len());
        let attached = open.attached.remove(which);
        let name = open.function.name;
        self.turn
            .say(format!("remove {:?} from {name}", attached.what))?;
        self.check(&attached, true)?;
        let open = &mut self.open[nr];
        open.tramp
            .try_remove_fd(attached.id, attached.prog.as_fd())
            .with_context(|| format!("cannot detach from {name}"))?;
        self.turn.count(Count::Detached, 1);
        self.gone(attached)?;
        self.check_device(nr)
    }

    fn close(&mut self) -> Result<()> {
        match self.open.len() {
            0 => Ok(()),
            len => {
                let nr = self.turn.draw.below(len);
                self.close_at(nr)
            }
        }
    }

    fn close_at(&mut self, nr: usize) -> Result<()> {
        let open = self.open.remove(nr);
        self.turn.say(format!("close {}", open.function.name))?;
        for attached in &open.attached {
            self.check(attached, true)?;
        }
        drop(open.tramp);
        self.turn.count(Count::Detached, open.attached.len() as u64);
        for attached in open.attached {
            self.gone(attached)?;
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<()> {
        while !self.open.is_empty() {
            self.close_at(0)?;
        }
        Ok(())
    }

    /// After a detach: nothing is seen any more, and what was seen adds up.
    fn gone(&mut self, attached: Attached) -> Result<()> {
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
    fn check(&mut self, attached: &Attached, still_there: bool) -> Result<()> {
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
    fn call_all(&mut self) -> Result<()> {
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
                match open.function.call {
                    Call::Getpgid => drop(getpgid(None)?),
                    Call::Getsid => drop(getsid(None)?),
                    Call::TestRun => drop(bpf::test_run(open.attached[0].prog.as_fd())?),
                    Call::No => (),
                }
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
    fn look(&mut self) -> Result<()> {
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
    fn again(&mut self) -> Result<()> {
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
