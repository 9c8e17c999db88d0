// SPDX-License-Identifier: GPL-2.0

//! How many programs fit: `BPF_MAX_TRAMP_LINKS` is 36, a session counts twice.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::Object;

use super::onto;
use crate::attach::{Trampoline, Via};
use crate::bpf;
use crate::device::abi;
use crate::harness::{skip, Env};
use crate::probe::Kind;
use crate::targets::sum;

tests! {
    limit_fentry: "36 fentry programs, one more is E2BIG",
    limit_sessions: "18 sessions, one more is E2BIG",
    limit_mixed: "17 sessions and 2 fentry programs, and no more",
    limit_middle_fentry: "any one of 36 goes, another one takes its place",
    limit_middle_sessions: "any one of 18 sessions goes, likewise",
    limit_image: "12 arguments: E2BIG where the image outgrows its page",
    limit_drained: "a full trampoline loses every other program",
}

/// Runs of the fentry programs or entry halves, then of the return halves.
type Runs = [[u64; 64]; 2];

struct Crowd {
    object: Object,
    tramp: Trampoline,
}

/// A number for each program.
fn id(kind: Kind, nr: usize) -> u32 {
    nr as u32 + if kind == Kind::Session { 64 } else { 0 }
}

impl Crowd {
    fn new(env: &Env) -> Result<Self> {
        let tramp = env.trampoline()?;
        Ok(Self {
            object: bpf::open(&env.bpf, "crowd")?.load()?,
            tramp,
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

    fn try_add(&self, kind: Kind, nr: usize) -> Result<std::io::Result<()>> {
        let prog = self.prog(kind, nr)?;
        Ok(self.tramp.try_add_fd(id(kind, nr), prog.as_fd(), kind, 0))
    }

    fn add(&self, kind: Kind, nr: usize) -> Result<()> {
        self.try_add(kind, nr)?
            .with_context(|| format!("{kind:?} {nr} does not fit"))?;
        self.tramp.check_image()
    }

    fn remove(&self, kind: Kind, nr: usize) -> Result<()> {
        let prog = self.prog(kind, nr)?;
        self.tramp
            .try_remove_fd(id(kind, nr), prog.as_fd())
            .with_context(|| format!("cannot detach {kind:?} {nr}"))?;
        self.tramp.check_image()
    }

    /// One program too many must fail and leave the image alone.
    fn expect_full(&self, kind: Kind, nr: usize) -> Result<()> {
        let image = || match self.tramp.device() {
            Some(device) => {
                Ok::<_, std::io::Error>(Some((device.info()?.image_addr, device.image()?)))
            }
            None => Ok(None),
        };
        let before = image()?;
        check_errno!(self.try_add(kind, nr)?, E2BIG, "{kind:?} {nr}");
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

    /// One call, which these programs of one kind and no others must see once.
    fn expect_seen(&self, kind: Kind, attached: &[usize]) -> Result<()> {
        let runs = || bpf::globals::<Runs>(&self.object, ".bss");
        let before = runs()?;
        bpf::test_run(self.prog(Kind::Fentry, 0)?.as_fd())?;
        let now = runs()?;
        let halves = if kind == Kind::Session { 2 } else { 1 };
        for (half, (now, before)) in now.iter().zip(&before).enumerate() {
            for (nr, (now, before)) in now.iter().zip(before).enumerate() {
                let expected = half < halves && attached.contains(&nr);
                check_eq!(
                    now - before,
                    u64::from(expected),
                    "runs of {nr}, half {half}"
                );
            }
        }
        Ok(())
    }

    /// `most` programs fit: now any one of them goes and comes back.
    fn middle(&self, kind: Kind, most: usize) -> Result<()> {
        let mut attached: Vec<_> = (0..most).collect();
        for nr in &attached {
            self.add(kind, *nr)?;
        }
        let mut spare = most;
        for at in [most / 2, 0, most - 1, 1, most - 2] {
            let gone = attached.remove(at);
            self.remove(kind, gone)?;
            self.expect_seen(kind, &attached)?;
            self.add(kind, spare)?;
            attached.push(spare);
            self.expect_full(kind, gone)?;
            self.expect_seen(kind, &attached)?;
            spare = gone;
        }
        Ok(())
    }
}

fn limit_fentry(env: &Env) -> Result<()> {
    let crowd = Crowd::new(env)?;
    for nr in 0..36 {
        crowd.add(Kind::Fentry, nr)?;
    }
    crowd.expect_full(Kind::Fentry, 36)?;
    crowd.expect_full(Kind::Session, 0)?;
    crowd.expect_runs(&[36], 0)
}

fn limit_sessions(env: &Env) -> Result<()> {
    let crowd = Crowd::new(env)?;
    for nr in 0..18 {
        crowd.add(Kind::Session, nr)?;
    }
    crowd.expect_full(Kind::Session, 18)?;
    crowd.expect_full(Kind::Fentry, 0)?;
    crowd.expect_runs(&[18], 18)
}

fn limit_mixed(env: &Env) -> Result<()> {
    let crowd = Crowd::new(env)?;
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

fn limit_middle_fentry(env: &Env) -> Result<()> {
    Crowd::new(env)?.middle(Kind::Fentry, 36)
}

fn limit_middle_sessions(env: &Env) -> Result<()> {
    Crowd::new(env)?.middle(Kind::Session, 18)
}

fn limit_drained(env: &Env) -> Result<()> {
    let crowd = Crowd::new(env)?;
    let mut attached: Vec<_> = (0..18).collect();
    for nr in &attached {
        crowd.add(Kind::Session, *nr)?;
    }
    while attached.len() > 1 {
        for at in (1..attached.len()).step_by(2).rev() {
            crowd.remove(Kind::Session, attached.remove(at))?;
        }
        crowd.expect_seen(Kind::Session, &attached)?;
    }
    Ok(())
}

fn limit_image(env: &Env) -> Result<()> {
    const BPF_COOKIE: u64 = 0x1122_3344_5566_7788;
    if env.via == Via::Link {
        return Err(skip("the C builder writes past its page"));
    }
    let targets = env.targets()?;
    let log = env.log()?;
    let tramp = env.trampoline()?;
    // All that makes an image long.
    let spec = |cookie| {
        onto::spec(Kind::Session, "args_12")
            .ip()
            .quiet()
            .cookie_if(cookie)
    };
    let mut sessions = Vec::new();
    while sessions.len() < 18 {
        let session = log.load(spec(sessions.len() < abi::MAX_COOKIES as usize))?;
        match tramp.try_add(&session, BPF_COOKIE) {
            Err(err) if err.raw_os_error() == Some(libc::E2BIG) => break,
            added => added?,
        }
        tramp.check_image()?;
        sessions.push(session);
    }
    if sessions.len() == 18 {
        return Err(skip("with this CPU's mitigations they all fit"));
    }
    println!("{} sessions fit", sessions.len());
    let args: [u64; 12] = onto::words();
    let ret = targets.call("args_12", &args)?;
    check_eq!(ret, sum(&args), "what the caller got");
    for session in &sessions {
        let hits = session.hits()?;
        check_eq!((hits.entry, hits.ret), (1, 1), "runs after the error");
    }
    Ok(())
}
