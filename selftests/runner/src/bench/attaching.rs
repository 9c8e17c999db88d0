// SPDX-License-Identifier: GPL-2.0

//! What attaching a program and detaching it costs the task that does it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use figures::document::{Attached, Attaching, Document, Programs, Who};

use super::clock::Clock;
use super::programs::{Source, Target};
use crate::device::Device;

/// How often each is done; the least counts.
const RUNS: u32 = 4;

const PROGRAMS: [Programs; 3] = [Programs::Fentry, Programs::Fexit, Programs::WithCookie];

/// How many programs of the same kind are there before. (The device takes four cookies.)
const BESIDE: [u32; 2] = [0, 3];

#[derive(Default)]
pub struct Rows(Vec<Attaching>);

impl Rows {
    pub fn count(&mut self, source: &Source, target: &Target, who: Who) -> Result<()> {
        for programs in PROGRAMS {
            for beside in BESIDE {
                let cost = attached(source, target, programs, beside, who)
                    .with_context(|| format!("{} by {}", programs.name(), who.name()))?;
                self.row(programs, beside).cost.insert(who, cost);
            }
        }
        Ok(())
    }

    fn row(&mut self, programs: Programs, beside: u32) -> &mut Attaching {
        let is_it = |row: &Attaching| (row.programs, row.beside) == (programs, beside);
        let at = self.0.iter().position(is_it).unwrap_or_else(|| {
            self.0.push(Attaching {
                programs,
                beside,
                cost: BTreeMap::new(),
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    pub fn write(self, document: &mut Document) {
        document.attaching.extend(self.0);
    }
}

/// What holds a program on its function.
enum Hold {
    Links { _links: Vec<OwnedFd> },
    Device(Device),
}

fn attached(
    source: &Source,
    target: &Target,
    programs: Programs,
    beside: u32,
    who: Who,
) -> Result<Attached> {
    let mut least = least();
    let others = source.set(programs, beside, target)?;
    let hold = match who {
        Who::Device => {
            let device = Device::open().context("cannot open the device")?;
            for prog in others.fds() {
                device.add_only(prog, 0)?;
            }
            Hold::Device(device)
        }
        _ => Hold::Links {
            _links: others.link()?,
        },
    };
    for _ in 0..RUNS {
        // One that was attached before is looked up anew, which the first time is not.
        let set = source.set(programs, 1, target)?;
        let prog = set.fds()[0];
        let clock = Clock::start();
        let links = match &hold {
            Hold::Device(device) => {
                device.add_only(prog, 0)?;
                Vec::new()
            }
            Hold::Links { .. } => set.link()?,
        };
        let attach = clock.stop();
        let clock = Clock::start();
        if let Hold::Device(device) = &hold {
            device.remove_only(prog)?;
        }
        drop(links);
        let detach = clock.stop();
        take_least(&mut least, attach, detach);
    }
    Ok(least)
}

pub fn least() -> Attached {
    Attached {
        attach: u64::MAX,
        detach: u64::MAX,
        attach_waits: u64::MAX,
        detach_waits: u64::MAX,
    }
}

/// Each a time on the CPU and one of waiting.
pub fn take_least(least: &mut Attached, attach: (u64, u64), detach: (u64, u64)) {
    least.attach = least.attach.min(attach.0);
    least.attach_waits = least.attach_waits.min(attach.1);
    least.detach = least.detach.min(detach.0);
    least.detach_waits = least.detach_waits.min(detach.1);
}
