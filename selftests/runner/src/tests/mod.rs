// SPDX-License-Identifier: GPL-2.0

//! The tests. Each one is a function with a line in its file's table, and its
//! name begins with the file's name.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::thread::MembarrierCommand;

use crate::attach::Via;
use crate::harness::Test;

/// Fails the test unless both sides are equal.
macro_rules! check_eq {
    ($left:expr, $right:expr, $($what:tt)+) => {
        match (&$left, &$right) {
            (left, right) => anyhow::ensure!(
                *left == *right,
                "{}: {left:x?} instead of {right:x?}",
                format_args!($($what)+)
            ),
        }
    };
}

/// Fails the test unless the result is an error with this errno.
macro_rules! check_errno {
    ($result:expr, $errno:ident, $($what:tt)+) => {
        anyhow::Context::with_context(
            $crate::tests::expect_errno($result, libc::$errno),
            || format!("{} must fail with {}", format_args!($($what)+), stringify!($errno)),
        )?
    };
}

/// A file's tests: the function's name, then what it shows; and after `warns`,
/// what the module has to say in the kernel log.
macro_rules! tests {
    ($($name:ident: $what:literal $(warns [$($warning:literal),+])?,)+) => {
        pub const TESTS: &[$crate::harness::Test] = &[$($crate::harness::Test {
            name: stringify!($name),
            module: module_path!(),
            what: $what,
            warns: &[$($($warning),+)?],
            run: $name,
        }),+];
    };
}

pub mod addresses;
mod args;
mod asleep;
mod bad;
mod beside;
mod bpf_target;
mod busy;
mod callback;
mod callchain;
mod calls;
mod close;
mod command;
pub mod compare;
mod concurrent;
pub(crate) mod cookie;
mod cycles;
mod dead;
mod detach;
mod direct;
mod foreign;
mod helpers;
mod hooks;
mod image;
mod inner;
mod jit;
pub(crate) mod jitmem;
pub mod kexec;
mod largest;
mod limit;
mod livepatch;
mod lockdown;
mod modify;
pub mod module;
mod multi;
mod onto;
pub mod open;
mod order;
mod planted;
mod pointer;
mod private;
mod reattach;
mod refused;
mod replace;
mod ret;
mod rights;
mod session;
mod shared;
mod skip;
mod sleepable;
mod sleeper;
mod r#struct;
mod sysctl;
mod throw;
mod token;
mod width;

/// What holds for programs on a function, whoever puts them there.
const EITHER_WAY: &[&[Test]] = &[
    session::TESTS,
    args::TESTS,
    width::TESTS,
    r#struct::TESTS,
    ret::TESTS,
    helpers::TESTS,
    cookie::TESTS,
    calls::TESTS,
    order::TESTS,
    modify::TESTS,
    inner::TESTS,
    detach::TESTS,
    reattach::TESTS,
    sleeper::TESTS,
    sleepable::TESTS,
    asleep::TESTS,
    beside::TESTS,
    foreign::TESTS,
    livepatch::TESTS,
    jit::TESTS,
    limit::TESTS,
    largest::TESTS,
    jitmem::TESTS,
    throw::TESTS,
    pointer::TESTS,
    callback::TESTS,
    private::TESTS,
    command::either_way::TESTS,
];

/// What the module's device does, and the module itself; what the verifier
/// refuses has nothing to do with the way and is tried here, once.
const BY_DEVICE: &[&[Test]] = &[
    image::TESTS,
    command::device::TESTS,
    bad::TESTS,
    busy::TESTS,
    compare::TESTS,
    planted::TESTS,
    shared::TESTS,
    concurrent::TESTS,
    callchain::TESTS,
    open::TESTS,
    rights::TESTS,
    addresses::TESTS,
    close::TESTS,
    skip::TESTS,
    direct::TESTS,
    sysctl::TESTS,
    refused::TESTS,
    bpf_target::device::TESTS,
    module::TESTS,
];

/// What only BPF links can do.
const BY_LINK: &[&[Test]] = &[
    bpf_target::link::TESTS,
    replace::TESTS,
    multi::TESTS,
    cycles::TESTS,
    token::TESTS,
];

/// The tests that make sense this way.
pub fn all(via: Via) -> impl Iterator<Item = &'static Test> {
    let (these, hooks) = match via {
        Via::Device => (BY_DEVICE, hooks::TESTS.as_slice()),
        Via::Takeover | Via::Link => (BY_LINK, &[][..]),
    };
    [EITHER_WAY, these, hooks]
        .into_iter()
        .flatten()
        .copied()
        .flatten()
}

/// The tests after which the machine needs a boot, in their order.
pub fn last() -> impl Iterator<Item = &'static Test> {
    dead::TESTS.iter()
}

/// Others, which take a boot of their own.
pub fn locked() -> impl Iterator<Item = &'static Test> {
    lockdown::TESTS.iter()
}

/// The one that boots another kernel.
pub fn kexec() -> impl Iterator<Item = &'static Test> {
    kexec::TESTS.iter()
}

#[cfg(test)]
#[test]
fn list_fits_the_screen() {
    let all = [Via::Device, Via::Takeover].into_iter().flat_map(all);
    for test in all.chain(last()).chain(locked()).chain(kexec()) {
        assert!(
            test.name.len() <= 24 && test.what.len() <= 55,
            "{}",
            test.name
        );
    }
}

#[cfg(test)]
#[test]
fn names_tell_files() {
    let all = [Via::Device, Via::Takeover].into_iter().flat_map(all);
    for test in all.chain(last()).chain(locked()).chain(kexec()) {
        let path = test.module.split("::").skip_while(|part| *part != "tests");
        let mut file = path
            .skip(1)
            .take(2)
            .map(|part| part.trim_start_matches("r#"));
        let prefix = match (file.next(), file.next()) {
            (Some("hooks"), Some(file)) => format!("hooks_{file}"),
            (Some(file), _) => file.to_owned(),
            (None, _) => panic!("{} is in no file", test.name),
        };
        assert!(
            test.name.starts_with(&prefix),
            "{} is in {prefix}.rs",
            test.name
        );
    }
}

fn expect_errno<T>(result: std::io::Result<T>, errno: i32) -> Result<()> {
    match result {
        Ok(_) => anyhow::bail!("it succeeded"),
        Err(err) if err.raw_os_error() == Some(errno) => Ok(()),
        Err(err) => Err(err.into()),
    }
}

/// Waits for `done`, for what the kernel does after a grace period.
pub fn wait_for(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done()? {
        anyhow::ensure!(Instant::now() < deadline, "waited 30 s in vain: {what}");
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until no CPU is inside of a program that was detached before. This
/// barrier is the `synchronize_rcu()` of user space.
pub fn settle() -> Result<()> {
    Ok(rustix::thread::membarrier(MembarrierCommand::Global)?)
}

/// Sleeps without `nanosleep()`, which is what some tests trace.
fn pause(duration: Duration) {
    let deadline = Instant::now() + duration;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}
