// SPDX-License-Identifier: GPL-2.0

//! Comparing builders: what the request takes, refuses and survives. That the
//! builders agree is what the `compare` program is for.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use comparison::{may_be_too_big, Builders, Cases, Verdict, TOO_BIG};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::device::abi::{self, Case, CaseProg};
use crate::device::flag::CALL_ORIG;
use crate::device::Device;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::probe::{Kind, Spec};
use crate::userfault;

pub const PAGE: usize = 4096;

tests! {
    compare_images: "both images come back, and are equal",
    compare_sample: "grid and random cases are identical",
    compare_refused: "EINVAL for what the kernel would not ask for",
    compare_pointer: "EFAULT for bad addresses",
    compare_garbage: "any bytes are answered",
    compare_beside: "a descriptor compares while its session runs",
    compare_memory: "ENOMEM where C finds no memory",
    compare_late: "waiting for user memory holds up nobody else",
}

/// A session on a function of two arguments.
pub fn session() -> [CaseProg; 2] {
    [abi::LIST_FENTRY, abi::LIST_FEXIT].map(|list| CaseProg {
        list,
        traits: abi::PROG_SESSION | abi::PROG_COOKIE,
        ..Default::default()
    })
}

pub fn case(progs: &[CaseProg]) -> Case {
    let mut case = Case {
        progs: progs.as_ptr() as u64,
        nr_progs: progs.len() as u32,
        flags: CALL_ORIG,
        nr_args: 2,
        arena_prog_fd: -1,
        ..Default::default()
    };
    case.arg_size[..2].fill(8);
    case
}

fn compare_images(env: &Env) -> Result<()> {
    let device = env.device()?;
    let (mut rust, mut c) = (vec![0u8; PAGE], vec![0xff; PAGE]);
    let progs = session();
    let mut case = case(&progs);
    case.rust_image = rust.as_mut_ptr() as u64;
    case.c_image = c.as_mut_ptr() as u64;
    device.compare(&mut case)?;
    check_eq!(case.verdict, abi::REFERENCE_IDENTICAL, "verdict");
    check_eq!(case.differs_at, -1, "place of a difference");
    ensure!(case.rust_ret > 0, "an image of {} bytes", case.rust_ret);
    let sizes = [case.rust_size, case.c_size, case.c_ret];
    check_eq!(sizes, [case.rust_ret; 3], "sizes");
    // The builders promise some bytes more than they write (`BPF_INSN_SAFETY`).
    let size = case.rust_ret as usize - 64;
    check_eq!(rust[..size], c[..size], "images");
    ensure!(rust[..size].iter().any(|&byte| byte != 0), "an empty image");
    Ok(())
}

fn compare_sample(env: &Env) -> Result<()> {
    let builders = Builders::new(Device::open()?)?;
    for seed in [3, env.seed] {
        let cases = Cases { seed };
        let (mut identical, mut too_big) = (0, 0);
        for number in cases.numbers(2000).take(2000) {
            match builders.compare(&cases.get(number))? {
                Verdict::Identical => identical += 1,
                Verdict::NotRun(why) => too_big += u32::from(why == TOO_BIG),
                verdict => ensure!(false, "case {number}, seed {seed}: {verdict:?}"),
            }
        }
        ensure!(identical > 1000, "{identical} of 2000 cases were compared");
        check_eq!(too_big > 0 && !may_be_too_big(), false, "images too big");
    }
    Ok(())
}

fn compare_refused(env: &Env) -> Result<()> {
    let device = env.device()?;
    let many = vec![session()[0]; abi::CASE_MAX_PROGS as usize + 1];
    let refused = |name, change: fn(&mut Case)| -> Result<()> {
        let mut progs = session();
        let mut case = case(&progs);
        change(&mut case);
        // The list of a program is wrong where there would be too many of them.
        progs[1].list = if name == "list" { 3 } else { progs[1].list };
        case.progs = if name == "programs" {
            many.as_ptr()
        } else {
            progs.as_ptr()
        } as u64;
        check_errno!(device.compare(&mut case), EINVAL, "bad {name}");
        Ok(())
    };
    refused("programs", |case| case.nr_progs = abi::CASE_MAX_PROGS + 1)?;
    refused("list", |_| ())?;
    refused("number of arguments", |case| {
        case.nr_args = abi::CASE_MAX_ARGS as u32 + 1;
    })?;
    refused("size of an argument", |case| case.arg_size[1] = 17)?;
    refused("endbr", |case| case.endbr = 2)?;
    refused("flags", |case| case.flags = 1 << 9)?;
    refused("reserved", |case| case.reserved = 1)
}

fn compare_pointer(env: &Env) -> Result<()> {
    let device = env.device()?;
    let progs = session();
    for bad in [8, 1 << 63, u64::MAX] {
        let fields: [fn(&mut Case) -> &mut u64; 3] = [
            |case| &mut case.progs,
            |case| &mut case.rust_image,
            |case| &mut case.c_image,
        ];
        for (at, field) in fields.iter().enumerate() {
            let mut case = case(&progs);
            *field(&mut case) = bad;
            check_errno!(device.compare(&mut case), EFAULT, "pointer {at} {bad:#x}");
        }
    }
    // A descriptor of something else, and of nothing.
    let mut case = case(&progs);
    for fd in [1000, device.as_fd().as_raw_fd()] {
        case.arena_prog_fd = fd;
        let result = device.compare(&mut case);
        ensure!(result.is_err(), "an arena in descriptor {fd}");
    }
    Ok(())
}

/// Bytes that make sense often enough to get past the first check.
fn compare_garbage(env: &Env) -> Result<()> {
    let device = env.device()?;
    for seed in [4, env.seed] {
        garbage(&device, seed)?;
    }
    Ok(())
}

fn garbage(device: &Device, seed: u64) -> Result<()> {
    const CASES: u32 = 3000;
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..CASES {
        let progs: Vec<CaseProg> = (0..rng.random_range(0..8))
            .map(|_| CaseProg {
                bpf_cookie: rng.random(),
                // Few that are out of reach: for each, C writes a line to the log.
                entry: match rng.random_range(0..40) {
                    0 => rng.random(),
                    1..10 => i64::from(rng.random::<i32>() / 2),
                    _ => 0,
                },
                list: [0, 1, 2, rng.random_range(0..4)][rng.random_range(0..4)],
                traits: rng.random::<u32>() >> rng.random_range(0..32),
            })
            .collect();
        let mut case = case(&progs);
        case.flags = rng.random::<u32>() >> rng.random_range(20..32);
        case.endbr = u32::from(rng.random_ratio(1, 4));
        case.nr_args = rng.random_range(0..14);
        for (size, flags) in case.arg_size.iter_mut().zip(&mut case.arg_flags) {
            *size = rng.random_range(0..18);
            *flags = rng.random::<u8>() & !(1 << 2);
        }
        let answer = match device.compare(&mut case) {
            Ok(()) => answered(&case),
            Err(err) => match err.raw_os_error() {
                Some(libc::EINVAL) => Ok("EINVAL".to_owned()),
                Some(libc::EOPNOTSUPP) => Ok("EOPNOTSUPP".to_owned()),
                _ => Err(err.into()),
            },
        };
        let answer = answer.with_context(|| format!("case {number} of seed {seed}: {case:?}"))?;
        *answers.entry(answer).or_default() += 1;
    }
    println!("seed {seed}: {answers:?}");
    for needed in ["identical", "EINVAL"] {
        let count = answers.get(needed).copied().unwrap_or(0);
        ensure!(count > 100, "only {count} of {CASES} cases: {needed}");
    }
    Ok(())
}

/// Of the kernel, which has it for itself: more arguments than C takes.
const ENOTSUPP: i32 = 524;

/// Both builders build the same or refuse the same, or Rust refuses what C must not be asked.
fn answered(case: &Case) -> Result<String> {
    let sizes = [case.rust_ret, case.c_size, case.c_ret];
    match case.verdict {
        abi::REFERENCE_IDENTICAL => {
            check_eq!(case.differs_at, -1, "place of a difference");
            // (A program may be in reach from the image, and not from where C measures.)
            check_eq!(case.c_ret, case.rust_ret, "what C builds");
            check_eq!(case.rust_size, case.rust_ret, "what Rust measures");
            match case.rust_ret {
                1.. => Ok("identical".to_owned()),
                ret if [-libc::EINVAL, -ENOTSUPP].contains(&ret) => Ok(format!("both {ret}")),
                ret => anyhow::bail!("both builders give {ret}"),
            }
        }
        abi::REFERENCE_NONE => {
            let refusals = [-libc::EOPNOTSUPP, -libc::EINVAL];
            let may_be = refusals.contains(&case.rust_ret)
                || (case.rust_ret == -libc::E2BIG && may_be_too_big());
            ensure!(may_be && case.c_ret == 0, "C was not asked: {sizes:?}");
            Ok(format!("Rust alone {}", case.rust_ret))
        }
        verdict => anyhow::bail!("verdict {verdict}: {sizes:?}"),
    }
}

fn compare_beside(env: &Env) -> Result<()> {
    let device = env.device()?;
    let session = env.log()?.load(
        Spec::new(Kind::Session, "bpf_fentry_test1")
            .cookie()
            .quiet(),
    )?;
    device.add(session.fd(), 0)?;
    let image = device.image()?;
    let progs = self::session();
    for _ in 0..100 {
        let mut case = case(&progs);
        device.compare(&mut case)?;
        check_eq!(case.verdict, abi::REFERENCE_IDENTICAL, "verdict");
    }
    ensure!(device.image()? == image, "the image has changed");
    session.test_run()?;
    check_eq!(session.hits()?.ret, 1, "runs of the session");
    Ok(())
}

/// `arch_bpf_trampoline_size()` finds no page to measure in, this many times.
/// Nobody else asks for a single page of executable memory meanwhile.
pub fn no_memory(times: u32) -> Fault<'static> {
    Fault {
        function: "execmem_alloc",
        second: PAGE as u64,
        times,
        ..Default::default()
    }
}

fn compare_memory(env: &Env) -> Result<()> {
    let device = env.device()?;
    let faults = Faults::load(env)?;
    let progs = session();
    // What the device needs for itself, it gets now.
    device.compare(&mut case(&progs))?;
    faults.inject(no_memory(1))?;
    let result = device.compare(&mut case(&progs));
    check_eq!(faults.left()?, 0, "allocations to fail");
    check_errno!(result, ENOMEM, "comparing while C has no memory");
    let mut case = case(&progs);
    device.compare(&mut case)?;
    check_eq!(case.verdict, abi::REFERENCE_IDENTICAL, "verdict afterwards");
    Ok(())
}

/// The images are written where memory is long in coming.
fn compare_late(env: &Env) -> Result<()> {
    let device = env.device()?;
    let page = userfault::Page::writable()?;
    let late = |at: u64| {
        let progs = session();
        let mut case = case(&progs);
        case.rust_image = at;
        device.compare(&mut case)
    };
    let (answered, first) = mpsc::channel();
    thread::scope(|scope| {
        let waits = scope.spawn(|| late(page.addr()));
        page.wait_wanted()?;
        scope.spawn(|| answered.send(late(0)));
        let first = first.recv_timeout(Duration::from_secs(10));
        page.fill(0)?;
        waits.join().expect("it does not panic")?;
        Ok(first.context("a comparison waits for the other one's memory")??)
    })
}
