// SPDX-License-Identifier: GPL-2.0

//! How many programs fit: `BPF_MAX_TRAMP_LINKS` is 36, a session counts twice.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::Object;

use crate::attach::Trampoline;
use crate::bpf;
use crate::harness::Env;
use crate::probe::Kind;

tests! {
    limit_fentry: "36 fentry programs, one more is E2BIG",
    limit_sessions: "18 sessions, one more is E2BIG",
    limit_mixed: "17 sessions and 2 fentry programs, and no more",
}

/// Runs of the fentry programs or entry halves, then of the return halves.
type Runs = [[u64; 64]; 2];

struct Crowd {
    object: Object,
    tramp: Trampoline,
    attached: u32,
}

impl Crowd {
    fn new(env: &Env) -> Result<Self> {
        let tramp = env.trampoline()?;
        Ok(Self {
            object: bpf::open(&env.bpf, "crowd")?.load()?,
            tramp,
            attached: 0,
        })
    }

    fn prog(&self, kind: Kind, nr: usize) -> Result<OwnedFd> {
        let name = if kind == Kind::Session {
            "session"
        } else {
            "fentry"
        };
        bpf::fd(&self.object, &format!("{name}_{nr}"))
    }

    fn try_add(&mut self, kind: Kind, nr: usize) -> Result<std::io::Result<()>> {
        let prog = self.prog(kind, nr)?;
        let added = self.tramp.try_add_fd(self.attached, prog.as_fd(), kind, 0);
        self.attached += u32::from(added.is_ok());
        Ok(added)
    }

    fn add(&mut self, kind: Kind, nr: usize) -> Result<()> {
        self.try_add(kind, nr)?
            .with_context(|| format!("{kind:?} {nr} does not fit"))?;
        self.tramp.check_image()
    }

    /// One program too many must fail and leave the image alone.
    fn expect_full(&mut self, kind: Kind, nr: usize) -> Result<()> {
        let image = || match self.tramp.device() {
            Some(device) => {
                Ok::<_, std::io::Error>(Some((device.info()?.image_addr, device.image()?)))
            }
            None => Ok(None),
        };
        let before = image()?;
        let prog = self.prog(kind, nr)?;
        let added = self.tramp.try_add_fd(u32::MAX, prog.as_fd(), kind, 0);
        check_errno!(added, E2BIG, "{kind:?} {nr}");
        anyhow::ensure!(image()? == before, "the image has changed");
        self.tramp.check_image()
    }

    /// One call, which each attached program must see once.
    fn expect_runs(&self, entries: &[usize], returns: usize) -> Result<()> {
        bpf::test_run(self.prog(Kind::Fentry, 0)?.as_fd())?;
        let [first, second]: Runs = bpf::globals(&self.object, ".bss")?;
        let mut expected = [0; 64];
        for count in entries {
            expected[..*count].iter_mut().for_each(|runs| *runs += 1);
        }
        check_eq!(first, expected, "runs at entry");
        check_eq!(second.iter().sum::<u64>(), returns as u64, "runs at return");
        Ok(())
    }
}

fn limit_fentry(env: &Env) -> Result<()> {
    let mut crowd = Crowd::new(env)?;
    for nr in 0..36 {
        crowd.add(Kind::Fentry, nr)?;
    }
    crowd.expect_full(Kind::Fentry, 36)?;
    crowd.expect_full(Kind::Session, 0)?;
    crowd.expect_runs(&[36], 0)
}

fn limit_sessions(env: &Env) -> Result<()> {
    let mut crowd = Crowd::new(env)?;
    for nr in 0..18 {
        crowd.add(Kind::Session, nr)?;
    }
    crowd.expect_full(Kind::Session, 18)?;
    crowd.expect_full(Kind::Fentry, 0)?;
    crowd.expect_runs(&[18], 18)
}

fn limit_mixed(env: &Env) -> Result<()> {
    let mut crowd = Crowd::new(env)?;
    for nr in 0..17 {
        crowd.add(Kind::Session, nr)?;
    }
    crowd.add(Kind::Fentry, 0)?;
    // One place is left, and a session needs two.
    crowd.expect_full(Kind::Session, 17)?;
    crowd.add(Kind::Fentry, 1)?;
    crowd.expect_full(Kind::Fentry, 2)?;
    crowd.expect_runs(&[17, 2], 17)
}
