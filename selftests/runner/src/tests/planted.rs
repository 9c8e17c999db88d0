// SPDX-License-Identifier: GPL-2.0

//! The comparison with the C builder, seen to find what differs: one thing in what
//! C builds is changed before the module sees it.

use std::os::fd::AsFd;

use anyhow::{ensure, Context, Result};

use super::compare::{case, session, PAGE};
use super::hooks::mismatches::Forget;
use super::module::reload;
use crate::bpf;
use crate::device::abi;
use crate::device::flag::CALL_ORIG;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::hooks::{self, Mode, Stats};
use crate::kallsyms;
use crate::plant::{Plant, What};
use crate::probe::{Kind, Spec};
use crate::workload::bulk::{Bulk, What as Program};
use crate::workload::functions::Functions;

tests! {
    planted_info: "INFO tells every difference, the log tells which"
        warns [
            "bpf_fentry_test3: the C builder's image differs: the code, from byte 0 on",
            "bpf_fentry_test3: the C builder's image differs: the code, from byte 100 on",
            "bpf_fentry_test3: the C builder's image differs: the code, from byte",
            "bpf_fentry_test3: the C builder's image differs: the skip records",
            "bpf_fentry_test3: the C builder's image differs: the range of the frame pointer",
            "bpf_fentry_test3: the C builder's image differs: it has"
        ],
    planted_compare: "COMPARE tells every difference, and where",
    planted_mismatches: "mismatches/ keeps the first 16 differences",
    planted_refusal: "what only C refuses is a difference as well"
        warns ["one builder refuses what the other builds"],
    planted_size: "a size that C measures otherwise is counted"
        warns ["C measures another size"],
    planted_kfunc: "a kfunc that C inlines otherwise is counted"
        warns ["a session kfunc is inlined otherwise by C"],
    planted_takeover: "in takeover, C builds nothing",
}

const TARGET: &str = "bpf_fentry_test3";

/// What can be different in an image of a session, which has two skip records.
const ALL: [What; 12] = [
    What::Code(0),
    What::Code(100),
    What::Prog(0),
    What::Prog(1),
    What::Nop(0),
    What::Nop(1),
    What::Target(0),
    What::Target(1),
    What::Count,
    What::FpStart,
    What::FpEnd,
    What::Size,
];

fn planted_info(env: &Env) -> Result<()> {
    let plant = Plant::load(env)?;
    let device = env.device()?;
    let session = env
        .log()?
        .load(Spec::new(Kind::Session, TARGET).cookie().quiet())?;
    let reference = |what: Option<What>| -> Result<u32> {
        let add = || Ok(device.add(session.fd(), 0)?);
        match what {
            Some(what) => plant.one(what, add)?,
            None => add()?,
        }
        let info = device.info()?;
        device.remove(session.fd())?;
        Ok(info.reference)
    };
    check_eq!(reference(None)?, abi::REFERENCE_IDENTICAL, "reference");
    for what in ALL {
        check_eq!(
            reference(Some(what))?,
            abi::REFERENCE_DIFFERENT,
            "reference with {what:?}"
        );
    }
    // The Rust image is none the worse for it.
    device.add(session.fd(), 0)?;
    let info = device.info()?;
    ensure!(info.is_identical(), "a difference that is not there");
    device.remove(session.fd())?;
    // The last byte of the code is compared, what is behind it is not.
    for (at, expected) in [
        (info.code_size - 1, abi::REFERENCE_DIFFERENT),
        (info.code_size, abi::REFERENCE_IDENTICAL),
    ] {
        let code_size = info.code_size;
        check_eq!(
            reference(Some(What::Code(at)))?,
            expected,
            "reference with byte {at} of {code_size}"
        );
    }
    Ok(())
}

fn planted_compare(env: &Env) -> Result<()> {
    let plant = Plant::load(env)?;
    let device = env.device()?;
    let progs = session();
    // What the device needs for itself, it gets now.
    let mut first = case(&progs);
    device.compare(&mut first)?;
    // The builders promise some bytes more than they write (`BPF_INSN_SAFETY`).
    let last = What::Code(first.rust_ret as u32 - 64 - 1);
    for what in ALL.into_iter().chain([last]) {
        let (mut rust, mut c) = (vec![0u8; PAGE], vec![0u8; PAGE]);
        let mut case = case(&progs);
        case.rust_image = rust.as_mut_ptr() as u64;
        case.c_image = c.as_mut_ptr() as u64;
        plant.one(what, || Ok(device.compare(&mut case)?))?;
        check_eq!(
            case.verdict,
            abi::REFERENCE_DIFFERENT,
            "verdict on {what:?}"
        );
        let differ: Vec<_> = (0..PAGE).filter(|&at| rust[at] != c[at]).collect();
        match what {
            What::Code(at) => {
                check_eq!(case.differs_at, at as i32, "place of {what:?}");
                check_eq!(differ, [at as usize], "bytes that differ with {what:?}");
            }
            // Where C measures more than there is room for, it does not build.
            What::Size => {
                check_eq!(case.differs_at, -1, "place of {what:?}");
                ensure!(
                    case.c_size != case.rust_size,
                    "both measure {}",
                    case.c_size
                );
            }
            _ => {
                check_eq!(case.differs_at, -1, "place of {what:?}");
                check_eq!(differ, [0_usize; 0], "bytes that differ with {what:?}");
            }
        }
    }
    let mut case = case(&progs);
    device.compare(&mut case)?;
    check_eq!(case.verdict, abi::REFERENCE_IDENTICAL, "verdict afterwards");
    Ok(())
}

/// The line of a file in `mismatches/` that begins with this word.
fn line<'a>(text: &'a str, word: &str) -> Result<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .with_context(|| format!("no {word} in {text}"))
}

fn code(text: &str, word: &str) -> Result<Vec<u8>> {
    let hex = line(text, word)?;
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|two| Ok(u8::from_str_radix(std::str::from_utf8(two)?, 16)?))
        .collect()
}

fn expect_mismatch(text: &str, what: What) -> Result<()> {
    check_eq!(line(text, "difference")?, what.told(), "difference");
    let func = format!("{:#x}", kallsyms::address_of(TARGET)?);
    check_eq!(line(text, "func")?, func, "func");
    let flags = line(text, "flags")?.trim_start_matches("0x");
    let flags = u32::from_str_radix(flags, 16)?;
    ensure!(flags & CALL_ORIG != 0, "flags {flags:#x}");
    check_eq!(line(text, "arg_sizes")?, "[1, 4, 8]", "arg_sizes");
    check_eq!(
        line(text, "programs")?,
        "fentry 1 fmod_ret 0 fexit 1",
        "programs"
    );
    let (rust, c) = (code(text, "rust")?, code(text, "c")?);
    check_eq!(rust.len(), c.len(), "bytes of code");
    // push %rbp; with call-depth tracking, the count of the call (%gs:).
    ensure!([0x55, 0x65].contains(&rust[0]), "that is no image of Rust");
    let differ: Vec<_> = (0..c.len()).filter(|&at| rust[at] != c[at]).collect();
    match what {
        What::Code(at) => check_eq!(differ, [at as usize], "bytes that differ with {what:?}"),
        _ => check_eq!(differ, [0_usize; 0], "bytes that differ with {what:?}"),
    }
    Ok(())
}

/// The image that C has built is used, but nobody calls the function. A nop at another place
/// is left out: the kernel would warn when it cannot patch it. So is another size: there is no
/// image yet that could be kept.
fn planted_mismatches(env: &Env) -> Result<()> {
    const KEPT: usize = 16;
    let hooked = env.hook(Mode::Off)?;
    reload(env)?;
    let _forget = Forget(env);
    let plant = Plant::load(env)?;
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    hooked.set(Mode::Shadow)?;
    let harmless = |what: &What| !matches!(what, What::Nop(_) | What::Size);
    let planted: Vec<_> = ALL
        .into_iter()
        .filter(harmless)
        .cycle()
        .take(KEPT + 2)
        .collect();
    for what in &planted {
        let before = Stats::read()?;
        let target = functions.named(TARGET)?;
        let attached = plant.one(*what, || {
            Ok(bulk.attach(Program::WithCookie, false, target)??)
        })?;
        let counted = before.since()?;
        drop(attached);
        let counts = ["compared", "different", "identical"].map(|name| counted.get(name));
        let [compared, different, identical] = counts;
        check_eq!(
            (compared?, different?, identical?),
            (1, 1, 0),
            "compared, different, identical with {what:?}"
        );
    }
    hooked.set(Mode::Off)?;
    check_eq!(
        hooks::mismatches()?.len(),
        KEPT,
        "differences that are kept"
    );
    for (text, what) in hooks::mismatch_files()?.iter().zip(&planted) {
        expect_mismatch(text, *what).with_context(|| format!("{what:?}: {text}"))?;
    }
    Ok(())
}

/// C fails when it copies its image into place.
fn planted_refusal(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    reload(env)?;
    let _forget = Forget(env);
    let faults = Faults::load(env)?;
    let fail = || {
        faults.inject(Fault {
            function: "text_poke_copy",
            times: 1,
            ..Default::default()
        })
    };
    let device = env.device()?;
    let progs = session();
    device.compare(&mut case(&progs))?;
    fail()?;
    let mut case = case(&progs);
    device.compare(&mut case)?;
    check_eq!(faults.left()?, 0, "copies to fail");
    ensure!(case.rust_ret > 0, "Rust gives {}", case.rust_ret);
    check_eq!(case.c_ret, -libc::EINVAL, "what C builds");
    check_eq!(case.verdict, abi::REFERENCE_DIFFERENT, "verdict");
    check_eq!(case.differs_at, -1, "place of the difference");
    drop(device);

    hooked.set(Mode::Shadow)?;
    let functions = Functions::load()?;
    let bulk = Bulk::load(&env.bpf)?;
    let prog = bulk.load_for(Program::WithCookie, false, functions.named(TARGET)?.id)?;
    let before = Stats::read()?;
    // The JIT copies as well, so not before.
    fail()?;
    let result = bpf::link(prog.as_fd(), libbpf_sys::BPF_TRACE_FSESSION, 0);
    check_eq!(faults.left()?, 0, "copies to fail");
    check_errno!(result, EINVAL, "attaching where C fails");
    let counted = before.since()?;
    check_eq!(
        (counted.get("compared")?, counted.get("different")?),
        (1, 1),
        "compared, different"
    );
    check_eq!(hooks::mismatches()?.len(), 0, "differences that are kept");
    faults.stop()
}

fn planted_size(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    reload(env)?;
    let _forget = Forget(env);
    let plant = Plant::load(env)?;
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    hooked.set(Mode::Shadow)?;
    let before = Stats::read()?;
    let attached = plant.one(What::Size, || {
        Ok(bulk.attach(Program::WithCookie, false, functions.named(TARGET)?)??)
    })?;
    let counted = before.since()?;
    let counts = ["compared", "different", "identical"].map(|name| counted.get(name));
    let [compared, different, identical] = counts;
    // The image itself is the same.
    check_eq!(
        (compared?, different?, identical?),
        (1, 1, 1),
        "compared, different, identical"
    );
    attached.test_run()?;
    bulk.check()
}

/// The instructions of C stay, so the program must not run.
fn planted_kfunc(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    reload(env)?;
    let _forget = Forget(env);
    let plant = Plant::load(env)?;
    let functions = Functions::load()?;
    let bulk = Bulk::load(&env.bpf)?;
    let target = functions.named(TARGET)?.id;
    hooked.set(Mode::Shadow)?;
    let before = Stats::read()?;
    let load = || Ok(bulk.load_for(Program::WithCookie, false, target)?);
    let (_prog, planted) = plant.count(What::Kfunc, load)?;
    let counted = before.since()?;
    ensure!(planted > 0, "the program calls no kfunc");
    let counts = ["kfunc_compared", "different"].map(|name| counted.get(name));
    let [compared, different] = counts;
    check_eq!(
        (compared?, different?),
        (planted.into(), planted.into()),
        "compared, different"
    );
    Ok(())
}

fn planted_takeover(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    let plant = Plant::load(env)?;
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    for (mode, images) in [(Mode::Off, 1), (Mode::Takeover, 0)] {
        hooked.set(mode)?;
        let (attached, by_c) = plant.count(What::Nothing, || {
            Ok(bulk.attach(Program::WithCookie, false, functions.named(TARGET)?)??)
        })?;
        check_eq!(by_c, images, "images of C in {mode:?}");
        attached.test_run()?;
        check_eq!(bulk.seen_by(&attached)?.returns, 1, "runs in {mode:?}");
    }
    bulk.check()
}
