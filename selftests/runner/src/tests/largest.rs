// SPDX-License-Identifier: GPL-2.0

//! The largest image: a page less what C keeps free at its end. BPF cookies take
//! 2, 5, 7 or 10 bytes of code, which makes images of any length.

use std::os::fd::AsFd;
use std::thread;

use anyhow::{Context, Result};
use libbpf_rs::Object;

use super::onto::words;
use super::wait_for;
use crate::attach::{Trampoline, Via};
use crate::bpf;
use crate::device::abi::{self, CaseProg};
use crate::device::flag::CALL_ORIG;
use crate::device::Device;
use crate::harness::{skip, Env};
use crate::probe::Kind;
use crate::sysctl::Sysctl;
use crate::targets::sum;

tests! {
    largest_image: "one that fills its page runs, a byte more is E2BIG",
    largest_asleep: "it is taken down while a task sleeps in it",
}

const FUNCTION: &str = "modify_sleep";
/// Bytes that an image may have: a page without `BPF_INSN_SAFETY`.
const MOST: i32 = 4096;
/// Programs of the object, together `BPF_MAX_TRAMP_LINKS`.
const FMOD_RET: usize = 30;
const FEXIT: usize = 6;
/// Where the runs of the latter are counted.
const FEXIT_AT: usize = 32;

/// BPF cookies by the code that they take beyond that of a 0.
const COOKIES: [(i32, u64); 4] = [
    (0, 0),
    (3, 0x1234_5678),
    (5, 0xffff_ffff_8765_4321),
    (8, 0x1122_3344_5566_7788),
];

fn cookie(bytes: i32) -> u64 {
    let found = COOKIES.iter().find(|(longer, _)| *longer == bytes);
    found.expect("a length of the table").1
}

/// BPF cookies of programs that make an image of a page.
struct Cookies {
    fmod_ret: usize,
    all: Vec<u64>,
}

impl Cookies {
    /// How many bytes an image with these cookies has.
    fn size(&self, device: &Device) -> Result<Option<i32>> {
        let prog = |(nr, cookie): (usize, &u64)| CaseProg {
            bpf_cookie: *cookie,
            list: if nr < self.fmod_ret {
                abi::LIST_FMOD_RET
            } else {
                abi::LIST_FEXIT
            },
            traits: abi::PROG_INTERPRETED,
            ..Default::default()
        };
        let progs: Vec<_> = self.all.iter().enumerate().map(prog).collect();
        let mut case = super::compare::case(&progs);
        case.flags = CALL_ORIG;
        case.nr_args = 8;
        case.arg_size[..8].fill(8);
        device.compare(&mut case)?;
        Ok((case.rust_size > 0).then_some(case.rust_size))
    }

    /// Of an image that fills its page. The last two take 0 and 5 bytes, so that 3
    /// and 3 make one byte more.
    fn find(device: &Device) -> Result<Self> {
        for fmod_ret in (1..=FMOD_RET).rev() {
            let mut cookies = Self {
                fmod_ret,
                all: vec![0; fmod_ret + FEXIT],
            };
            // fmod_ret programs end at a multiple of 16: these are the large steps.
            for longer in 0..=fmod_ret {
                if longer > 0 {
                    cookies.all[longer - 1] = cookie(8);
                }
                let Some(size) = cookies.size(device)? else {
                    break;
                };
                if cookies.complete(MOST - size) {
                    println!("{fmod_ret} and {FEXIT} programs, {longer} long cookies");
                    return Ok(cookies);
                }
            }
        }
        Err(skip("with this CPU's mitigations no image fills a page"))
    }

    /// Makes the image longer by so many bytes. Four cookies can do any number above
    /// a few.
    fn complete(&mut self, missing: i32) -> bool {
        let mixtures = (0..COOKIES.len().pow(4))
            .map(|mixture| [1, 4, 16, 64].map(|digit| COOKIES[mixture / digit % COOKIES.len()].0));
        let fits = |mixture: &[i32; 4]| mixture.iter().sum::<i32>() + 5 == missing;
        let Some([a, b, c, d]) = mixtures.into_iter().find(fits) else {
            return false;
        };
        self.all[self.fmod_ret..].copy_from_slice(&[a, b, c, d, 0, 5].map(cookie));
        true
    }
}

/// The programs of a full page, attached but for the last two.
struct Full {
    object: Object,
    tramp: Trampoline,
    cookies: Cookies,
}

impl Full {
    fn new(env: &Env) -> Result<Self> {
        env.targets()?;
        if env.via == Via::Link {
            return Err(skip("the C builder writes past its page"));
        }
        let device = Device::open()?;
        let cookies = Cookies::find(&device)?;
        let tramp = env.trampoline()?;
        let off = match Sysctl::set("net/core/bpf_jit_enable", "0") {
            Err(err) if err.raw_os_error() == Some(libc::EINVAL) => {
                return Err(skip("no interpreted programs: bpf_jit_enable cannot be 0"))
            }
            off => off?,
        };
        let object = bpf::open(&env.bpf, "largest")?.load()?;
        drop(off);
        let full = Self {
            object,
            tramp,
            cookies,
        };
        for nr in 0..full.programs() - 2 {
            full.add(nr, full.cookies.all[nr])?;
        }
        Ok(full)
    }

    fn programs(&self) -> usize {
        self.cookies.all.len()
    }

    fn prog(&self, nr: usize) -> (String, Kind) {
        match nr.checked_sub(self.cookies.fmod_ret) {
            None => (format!("fmod_ret_{nr}"), Kind::FmodRet),
            Some(nr) => (format!("fexit_{nr}"), Kind::Fexit),
        }
    }

    fn try_add(&self, nr: usize, cookie: u64) -> Result<std::io::Result<()>> {
        let (name, kind) = self.prog(nr);
        let prog = bpf::fd(&self.object, &name)?;
        Ok(self.tramp.try_add_fd(nr as u32, prog.as_fd(), kind, cookie))
    }

    fn add(&self, nr: usize, cookie: u64) -> Result<()> {
        self.try_add(nr, cookie)?
            .with_context(|| format!("cannot attach program {nr}"))?;
        self.tramp.check_image()
    }

    fn remove(&self, nr: usize) -> Result<()> {
        let prog = bpf::fd(&self.object, &self.prog(nr).0)?;
        self.tramp.try_remove_fd(nr as u32, prog.as_fd())?;
        self.tramp.check_image()
    }

    /// Adds the last two: the image is one byte too long, then it fits.
    fn fill(&self) -> Result<()> {
        let last = self.programs() - 1;
        self.add(last - 1, cookie(3))?;
        for _ in 0..2 {
            let result = self.try_add(last, cookie(3))?;
            check_errno!(result, E2BIG, "an image of {} bytes", MOST + 1);
            self.tramp.check_image()?;
        }
        self.remove(last - 1)?;
        self.add(last - 1, cookie(0))?;
        self.add(last, cookie(5))?;
        if let Some(device) = self.tramp.device() {
            let info = device.info()?;
            check_eq!(info.image_size as i32, MOST, "bytes of the image");
        }
        Ok(())
    }

    /// Every program ran as often as it was there.
    fn expect_runs(&self, expected: impl Fn(usize) -> u64) -> Result<()> {
        let runs: [u64; 64] = bpf::globals(&self.object, ".bss")?;
        for nr in 0..self.programs() {
            let at = match nr.checked_sub(self.cookies.fmod_ret) {
                None => nr,
                Some(nr) => FEXIT_AT + nr,
            };
            check_eq!(runs[at], expected(nr), "runs of program {nr}");
        }
        Ok(())
    }

    /// Has a task sleep in the function while `body` runs.
    fn while_asleep(&self, env: &Env, body: impl FnOnce() -> Result<()>) -> Result<()> {
        let targets = env.targets()?;
        let args: [u64; 8] = words();
        let before: [u64; 64] = bpf::globals(&self.object, ".bss")?;
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| targets.call(FUNCTION, &args));
            let entered = wait_for("the function is entered", || {
                let runs: [u64; 64] = bpf::globals(&self.object, ".bss")?;
                Ok(runs[0] > before[0])
            });
            let result = entered.and_then(|()| body());
            targets.wake()?;
            let ret = sleeper.join().expect("a sleeper does not panic")?;
            check_eq!(ret, sum(&args), "what the caller got");
            result
        })
    }

    /// The function is its own again, and the exit programs have never run.
    fn expect_untraced(&self, env: &Env) -> Result<()> {
        let targets = env.targets()?;
        targets.wake()?;
        let args: [u64; 8] = words();
        check_eq!(targets.call(FUNCTION, &args)?, sum(&args), "untraced");
        self.expect_runs(|nr| u64::from(nr < self.cookies.fmod_ret))
    }
}

fn largest_image(env: &Env) -> Result<()> {
    let full = Full::new(env)?;
    full.fill()?;
    full.while_asleep(env, || Ok(()))?;
    full.expect_runs(|_| 1)?;
    let last = full.programs() - 1;
    full.remove(last)?;
    full.while_asleep(env, || Ok(()))?;
    full.expect_runs(|nr| if nr == last { 1 } else { 2 })
}

fn largest_asleep(env: &Env) -> Result<()> {
    let full = Full::new(env)?;
    full.fill()?;
    let programs = full.programs();
    full.while_asleep(env, || {
        // From both ends, to have it patched in places far apart.
        let from_both = (0..programs).map(|nr| match nr % 2 {
            0 => nr / 2,
            _ => programs - 1 - nr / 2,
        });
        for nr in from_both {
            full.remove(nr)?;
        }
        Ok(())
    })?;
    // The exit programs were patched out of the image in which the task slept.
    full.expect_untraced(env)
}
