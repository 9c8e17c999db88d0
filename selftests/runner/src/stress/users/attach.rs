// SPDX-License-Identifier: GPL-2.0

//! Programs on functions: attached, changed and detached, by the device and by BPF
//! links, from many processes and on the same few functions.

mod check;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{ensure, Context, Result};

use super::functions::{Function, Whose};
use crate::attach::{Trampoline, Via};
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::turn::Turn;

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
                self.check_absent(nr, prog.as_fd())?;
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
        self.detach(nr, &attached)
            .with_context(|| format!("from {name}"))?;
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
}
