// SPDX-License-Identifier: GPL-2.0

//! The tests. Each one is a function with a line in its file's table.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::thread::MembarrierCommand;

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

/// A file's tests: the function's name, then what it shows.
macro_rules! tests {
    ($($name:ident: $what:literal,)+) => {
        pub const TESTS: &[$crate::harness::Test] = &[$($crate::harness::Test {
            name: stringify!($name),
            what: $what,
            run: $name,
        }),+];
    };
}

mod args;
mod busy;
mod cookie;
mod detach;
mod image;
mod input;
mod limits;
mod module;
mod order;
mod rights;
mod session;
mod shared;
mod sleeper;

pub fn all() -> impl Iterator<Item = &'static Test> {
    [
        session::TESTS,
        args::TESTS,
        cookie::TESTS,
        order::TESTS,
        detach::TESTS,
        sleeper::TESTS,
        image::TESTS,
        input::TESTS,
        busy::TESTS,
        shared::TESTS,
        limits::TESTS,
        rights::TESTS,
        module::TESTS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
#[test]
fn list_fits_the_screen() {
    for test in all() {
        assert!(
            test.name.len() <= 24 && test.what.len() <= 55,
            "{}",
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
fn wait_for(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done()? {
        anyhow::ensure!(Instant::now() < deadline, "waited 30 s in vain: {what}");
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until no CPU is inside of a program that was detached before. This
/// barrier is the `synchronize_rcu()` of user space.
fn settle() -> Result<()> {
    Ok(rustix::thread::membarrier(MembarrierCommand::Global)?)
}

/// Sleeps without `nanosleep()`, which is what some tests trace.
fn pause(duration: Duration) {
    let deadline = Instant::now() + duration;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}
