// SPDX-License-Identifier: GPL-2.0

//! Programs on functions of the kernel, kind by kind.

use std::fs::File;

use anyhow::{ensure, Context, Result};
use rand::rngs::StdRng;

use super::bulk::{Attached, Bulk, What};
use super::functions::{Function, Functions, MAX_ARGS};
use super::Report;
use crate::hooks;

/// The functions that `BPF_PROG_TEST_RUN` calls, and what each returns. (Compilers see
/// through `bpf_fentry_test10()`, so that its call may be missing.)
const TEST_FUNCTIONS: [(&str, u32); 11] = [
    ("bpf_fentry_test1", 2),
    ("bpf_fentry_test2", 5),
    ("bpf_fentry_test3", 15),
    ("bpf_fentry_test4", 34),
    ("bpf_fentry_test5", 65),
    ("bpf_fentry_test6", 111),
    ("bpf_fentry_test7", 0),
    ("bpf_fentry_test8", 0),
    ("bpf_fentry_test9", 0),
    ("bpf_modify_return_test", 4),
    ("bpf_modify_return_test2", 29),
];

/// Whether a test run is sure to call the function.
pub fn is_called(name: &str) -> bool {
    TEST_FUNCTIONS.iter().any(|(called, _)| *called == name)
}

/// The one of them that takes sleepable programs.
const SLEEPABLE: &str = "bpf_fentry_test1";

/// Every kind at once on the functions that the test can have called: each
/// program sees one call.
pub fn test_functions(bulk: &mut Bulk, functions: &Functions, report: &mut Report) -> Result<()> {
    let mut attached = Vec::new();
    for (name, ret) in TEST_FUNCTIONS {
        let function = functions.named(name)?;
        let mut add = |what, sleepable| -> Result<()> {
            let program = bulk
                .attach(what, sleepable, function)?
                .with_context(|| format!("cannot attach {what:?} to {name}"))?;
            attached.push((program, ret));
            Ok(())
        };
        let modifies = name == SLEEPABLE || name.starts_with("bpf_modify");
        for sleepable in [false, true] {
            if sleepable && name != SLEEPABLE {
                continue;
            }
            for what in What::TRACING {
                add(what, sleepable)?;
            }
            if modifies {
                add(What::FmodRet, sleepable)?;
            }
        }
    }
    call_test_functions(&attached)?;
    for (program, ret) in &attached {
        let seen = bulk.seen_by(program)?;
        let (entries, returns) = program.what.halves();
        ensure!(
            (seen.entries, seen.returns) == (entries, returns),
            "{program:?} saw {seen:?} of one call"
        );
        ensure!(
            returns == 0 || seen.ret as u32 == *ret,
            "{program:?} saw {seen:?}, not {ret}"
        );
    }
    bulk.check()?;
    report.attached(attached.len() as u64);
    Ok(())
}

/// Two kinds of runs call two sets of functions.
fn call_test_functions(attached: &[(Attached, u32)]) -> Result<()> {
    for what in [What::Fentry, What::FmodRet] {
        let (program, _) = attached
            .iter()
            .find(|(program, _)| program.what == what)
            .context("every kind is attached")?;
        let retval = program.test_run()?;
        let expected = if what == What::FmodRet {
            (2 << 16) | (4 + 29)
        } else {
            0
        };
        ensure!(
            retval == expected,
            "the functions return {retval:#x} instead of {expected:#x}"
        );
    }
    Ok(())
}

/// Functions of every number of arguments, and those that take a struct.
pub fn by_arguments(
    bulk: &mut Bulk,
    functions: &Functions,
    rng: &mut StdRng,
    report: &mut Report,
) -> Result<()> {
    const EACH: usize = 20;
    let mut attached = Vec::new();
    for nr_args in 0..=MAX_ARGS {
        let fitting = functions.choose(rng, |function| function.nr_args == nr_args);
        let found = some_of(bulk, &fitting, &What::TRACING, false, EACH, report)?;
        if found.is_empty() {
            report.leave_out(EACH, format!("no function of {nr_args} arguments"))?;
        }
        attached.extend(found);
    }
    let fitting = functions.choose(rng, |function| function.by_value);
    let found = some_of(bulk, &fitting, &What::TRACING, false, EACH, report)?;
    if found.len() < EACH / 2 {
        let why = format!("functions that take a struct: {}", found.len());
        report.leave_out(EACH - found.len(), why)?;
    }
    attached.extend(found);
    busy_system()?;
    bulk.check_attached(&attached)?;
    report.attached(attached.len() as u64);
    Ok(())
}

/// Sleepable programs, and those that change return values, on system calls.
pub fn system_calls(
    bulk: &mut Bulk,
    functions: &Functions,
    rng: &mut StdRng,
    report: &mut Report,
) -> Result<()> {
    use What::{Fentry, Fexit, FmodRet, Session, WithCookie};
    const EACH: usize = 60;
    let kinds = [Fentry, Fexit, FmodRet, Session, WithCookie];
    let mut chosen = functions.choose(rng, |function| {
        // These do not return, or not to their caller.
        function.name.starts_with("__x64_sys_")
            && !["exit", "sigreturn", "exec"]
                .iter()
                .any(|word| function.name.contains(word))
    });
    // For this one is known to be called.
    chosen.insert(0, functions.named("__x64_sys_getpgid")?);
    let attached = some_of(bulk, &chosen, &kinds, true, EACH, report)?;
    busy_system()?;
    let seen = bulk.seen_by(&attached[0])?;
    ensure!(seen.entries >= 1, "getpgid() was not seen: {seen:?}");
    bulk.check_attached(&attached)?;
    report.attached(attached.len() as u64);
    Ok(())
}

/// LSM programs, and fmod_ret programs on what calls the LSMs.
pub fn security(
    bulk: &mut Bulk,
    functions: &Functions,
    rng: &mut StdRng,
    report: &mut Report,
) -> Result<()> {
    const EACH: usize = 60;
    let hooks = functions.choose(rng, |function| {
        function.name.starts_with("bpf_lsm_") && function.name != "bpf_lsm_file_open"
    });
    let mut attached = Vec::new();
    match functions.named("bpf_lsm_file_open") {
        Ok(file_open) => {
            let program = bulk
                .attach(What::Lsm, false, file_open)?
                .context("cannot attach an LSM program")?;
            attached.extend(some_of(bulk, &hooks, &[What::Lsm], false, EACH, report)?);
            attached.extend(some_of(bulk, &hooks, &[What::Lsm], true, EACH / 4, report)?);
            busy_system()?;
            if bulk.seen_by(&program)?.entries == 0 {
                let why = "LSM programs were attached, but bpf is not among the LSMs (lsm=)";
                report.leave_out(0, why)?;
            }
            attached.push(program);
        }
        Err(_) => {
            let why = "no LSM programs: the kernel has no CONFIG_BPF_LSM";
            report.leave_out(1 + EACH + EACH / 4, why)?;
        }
    }
    let callers = functions.choose(rng, |function| function.name.starts_with("security_"));
    attached.extend(some_of(
        bulk,
        &callers,
        &[What::FmodRet],
        false,
        EACH,
        report,
    )?);
    busy_system()?;
    bulk.check_attached(&attached)?;
    report.attached(attached.len() as u64);
    Ok(())
}

/// Attaches programs of `kinds` by turns to the first `count` functions that
/// the kernel takes.
fn some_of(
    bulk: &mut Bulk,
    functions: &[&Function],
    kinds: &[What],
    sleepable: bool,
    count: usize,
    report: &mut Report,
) -> Result<Vec<Attached>> {
    let mut attached = Vec::new();
    for function in functions {
        if attached.len() == count {
            break;
        }
        let what = kinds[attached.len() % kinds.len()];
        match bulk.attach(what, sleepable, function)? {
            Ok(program) => attached.push(program),
            Err(err) => {
                // What the kernel alone refuses as well is no fault of an image.
                let alone = hooks::unhooked(|| bulk.attach(what, sleepable, function))??;
                let alone = alone.err().and_then(|err| err.raw_os_error());
                if !untraceable(&err) || alone != err.raw_os_error() {
                    let text = format!("{what:?} on {}, {alone:?} without hooks", function.name);
                    return Err(err).context(text);
                }
                report.refused += 1;
            }
        }
    }
    Ok(attached)
}

/// What the kernel says of functions that it has inlined or does not let trace.
fn untraceable(err: &std::io::Error) -> bool {
    matches!(
        err.raw_os_error(),
        Some(libc::EINVAL | libc::ENOENT | libc::EBUSY | libc::EOPNOTSUPP | libc::EACCES)
    )
}

/// Some of what a system does all day.
fn busy_system() -> Result<()> {
    rustix::process::getpgid(None)?;
    std::thread::yield_now();
    let mut file = File::open("/proc/self/status")?;
    std::io::copy(&mut file, &mut std::io::sink())?;
    let status = std::process::Command::new("/proc/self/exe")
        .arg("--version")
        .stdout(std::process::Stdio::null())
        .status()?;
    ensure!(status.success(), "a child ended with {status}");
    Ok(())
}
