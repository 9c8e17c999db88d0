// SPDX-License-Identifier: GPL-2.0

//! Images of the Rust builder keep the contract.

use builder::Error;
use oracle::cases::{full, grid, random, Sample};
use oracle::checker::Checker;
use oracle::rust;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::resume_unwind;
use std::{env, thread};

/// Results of several checks.
#[derive(Debug, Default)]
struct Sum {
    images: usize,
    runs: usize,
    calls: usize,
    /// Number of calls with RSP aligned to 8 bytes only.
    calls_at_8: usize,
    /// Number of cases whose image does not fit a page.
    too_big: usize,
}

impl Sum {
    fn add(&mut self, checker: &mut Checker, sample: &Sample) {
        let at = checker.addresses(sample.placement);
        let image = match rust::build(&sample.case, &at) {
            Ok(image) => image,
            Err(Error::TooBig) => {
                self.too_big += 1;
                return;
            }
            Err(error) => panic!("{error:?} for {sample:x?}"),
        };
        let report = checker.check(&sample.case, &image, &at, sample.seed);
        if let Some(first) = report.violations.first() {
            let seed = sample.seed;
            panic!(
                "{first}\nat {:?}\nof case {seed}, {sample:x?}",
                report.failed
            );
        }
        self.images += 1;
        self.runs += report.runs;
        self.calls += report.calls;
        self.calls_at_8 += report.calls_at_8;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            images: self.images + other.images,
            runs: self.runs + other.runs,
            calls: self.calls + other.calls,
            calls_at_8: self.calls_at_8 + other.calls_at_8,
            too_big: self.too_big + other.too_big,
        }
    }
}

/// Checks samples on all CPUs; each stops at its first violation.
fn check<I: Iterator<Item = Sample>>(name: &str, samples: impl Fn() -> I + Sync) -> Sum {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = |number| {
        let mut checker = Checker::new().unwrap();
        let mut sum = Sum::default();
        for sample in samples().skip(number).step_by(threads) {
            sum.add(&mut checker, &sample);
        }
        sum
    };
    let sum = thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || part(number)))
            .collect();
        let parts = parts.into_iter().map(|part| part.join());
        parts.fold(Sum::default(), |sum, part| {
            sum.plus(part.unwrap_or_else(|e| resume_unwind(e)))
        })
    });
    println!("{name}: {sum:?}");
    sum
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| {
        let number = text.parse();
        number.unwrap_or_else(|_| panic!("{name}={text} is not a number"))
    })
}

#[test]
fn grid_passes() {
    let sum = check("grid", grid);
    assert_eq!((sum.images, sum.too_big), (grid().count(), 0));
    assert!(sum.images > 12_000);
}

fn check_random(seed: u64) {
    let cases = number("ORACLE_CASES", 2000);
    println!(
        "random cases {seed} to {}; ORACLE_SEED=n ORACLE_CASES=1 is one of them",
        seed + cases - 1
    );
    let sum = check("random", || (seed..seed + cases).map(random));
    assert_eq!((sum.images + sum.too_big) as u64, cases);
    // Most of them fit a page.
    assert!(sum.images >= sum.too_big);
}

#[test]
fn random_cases_pass() {
    check_random(number("ORACLE_SEED", 1));
}

/// Others in every run. (A violation names the seed of its case.)
#[test]
fn drawn_cases_pass() {
    let drawn = RandomState::new().build_hasher().finish() >> 32;
    check_random(number("ORACLE_SEED", drawn));
}

#[test]
fn full_images_pass() {
    let sum = check("full", full);
    assert_eq!(sum.images, full().count());
}
