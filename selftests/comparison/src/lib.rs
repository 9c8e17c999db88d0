// SPDX-License-Identifier: GPL-2.0

//! Both builders of the running kernel on many cases.
//!
//! A case is a function, flags and programs ([`Spec`]). It has a number: first comes an exhaustive
//! grid, then cases at random ([`Cases`]). The module has both builders build it ([`Builders`]).

pub mod arena;
mod grid;
mod need;
mod random;
mod spec;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uapi::abi;
use uapi::device::Device;

pub use need::Need;
pub use spec::{Arg, Pointer, Spec};

/// A seed that was not there before.
pub fn drawn_seed() -> u64 {
    StdRng::from_os_rng().random::<u32>().into()
}

/// A page, the most that an image takes.
const PAGE: usize = 4096;

/// Numbers of cases and what is behind them: first the grid, then the random ones.
#[derive(Clone, Copy)]
pub struct Cases {
    pub seed: u64,
}

impl Cases {
    /// How many cases the grid has.
    pub fn grid() -> u64 {
        grid::len()
    }

    /// The case of this number.
    pub fn get(&self, number: u64) -> Spec {
        if number < grid::len() {
            grid::get(number)
        } else {
            random::get(self.seed, number)
        }
    }

    /// How many cases of the grid a run has that compares `count` cases: all of them and random
    /// cases behind it, or, where that is too much, half of the run.
    pub fn of_grid(count: u64) -> u64 {
        if count > grid::len() {
            grid::len()
        } else {
            count.div_ceil(2)
        }
    }

    /// The numbers of such a run, with those of the grid evenly spread over it from a place on that
    /// the seed tells. They do not end: some cases cannot be compared.
    pub fn numbers(&self, count: u64) -> impl Iterator<Item = u64> {
        let of_grid = Self::of_grid(count);
        let begin = u128::from(self.seed % grid::len());
        // Spread in 128 bits: the product may be large.
        let spread = move |at: u64| {
            let number = (u128::from(at) * u128::from(grid::len()) + begin) / u128::from(of_grid);
            u64::try_from(number).unwrap_or(u64::MAX)
        };
        (0..of_grid).map(spread).chain(grid::len()..)
    }
}

/// Why C is not asked for an image that Rust refuses with `E2BIG`.
pub const TOO_BIG: &str = "C would write past its page";

/// Fewer programs than this fit a page, whatever they are and whatever the machine.
const SURELY_FIT: usize = 24;

/// Whether an image can be too big at all: the most programs that a trampoline takes fit a page,
/// unless each call is counted.
pub fn may_be_too_big() -> bool {
    let stuffing: Need = "retbleed:Stuffing".parse().expect("that is a mitigation");
    stuffing.missing().is_none()
}

/// What became of a case.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Identical,
    Different(Box<Difference>),
    /// Why C was not asked, or could not be.
    NotRun(&'static str),
}

/// Both answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The first byte that differs, -1: something else.
    pub at: i32,
    pub rust: Side,
    pub c: Side,
}

/// What a builder said: bytes or a negative errno; and its image.
#[derive(Debug, PartialEq, Eq)]
pub struct Side {
    pub measured: i32,
    pub built: i32,
    pub code: Vec<u8>,
}

impl Side {
    fn new(measured: i32, built: i32, mut code: Vec<u8>) -> Self {
        code.truncate(usize::try_from(built).unwrap_or(0));
        Self {
            measured,
            built,
            code,
        }
    }
}

/// Both builders of the running kernel, and the arena that some cases need.
pub struct Builders {
    device: Device,
    arena_owner: OwnedFd,
    may_be_too_big: bool,
}

impl Builders {
    /// Those that `device` asks.
    ///
    /// # Errors
    ///
    /// Those of [`arena::owner`].
    pub fn new(device: Device) -> io::Result<Self> {
        Ok(Self {
            device,
            arena_owner: arena::owner()?,
            may_be_too_big: may_be_too_big(),
        })
    }

    /// Has the kernel compare.
    pub fn compare(&self, spec: &Spec) -> io::Result<Verdict> {
        let (mut rust, mut c) = (vec![0; PAGE], vec![0; PAGE]);
        let mut case = spec.to_abi();
        case.rust_image = rust.as_mut_ptr() as u64;
        case.c_image = c.as_mut_ptr() as u64;
        if spec.has_arena_args() {
            case.arena_prog_fd = self.arena_owner.as_raw_fd();
        }
        if let Err(e) = self.device.compare(&mut case) {
            return match e.raw_os_error() {
                Some(libc::EOPNOTSUPP) => Ok(Verdict::NotRun(spec.rarity())),
                _ => Err(e),
            };
        }
        // What the kernel says of the bytes is not taken on trust.
        let differ = (0..PAGE).find(|&at| rust[at] != c[at]);
        match (case.verdict, differ) {
            (abi::REFERENCE_IDENTICAL, None) if spec.sizes_agree(&case) => Ok(Verdict::Identical),
            (abi::REFERENCE_NONE, _) if self.refuses_rightly(spec, &case) => {
                Ok(Verdict::NotRun(TOO_BIG))
            }
            _ => Ok(Verdict::Different(Box::new(Difference {
                at: match differ {
                    Some(at) if case.differs_at < 0 => at as i32,
                    _ => case.differs_at,
                },
                rust: Side::new(case.rust_size, case.rust_ret, rust),
                c: Side::new(case.c_size, case.c_ret, c),
            }))),
        }
    }

    /// Whether the image may be too big for a page.
    fn refuses_rightly(&self, spec: &Spec, case: &abi::Case) -> bool {
        case.rust_ret == -libc::E2BIG && self.may_be_too_big && spec.progs.len() >= SURELY_FIT
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_long_run_has_all_of_the_grid() {
        for seed in [0, 1, u64::MAX] {
            let numbers = Cases { seed }.numbers(Cases::grid() * 2);
            assert!(numbers.take(Cases::grid() as usize).eq(0..Cases::grid()));
        }
    }

    #[test]
    fn a_short_run_has_as_many_of_the_grid_as_random_cases() {
        for count in [2, 1000, Cases::grid()] {
            for seed in [0, 1, Cases::grid() - 1, u64::MAX] {
                let numbers = Cases { seed }.numbers(count).take(count as usize);
                let of_grid: HashSet<_> =
                    numbers.filter(|&number| number < Cases::grid()).collect();
                assert_eq!(of_grid.len() as u64, count.div_ceil(2));
            }
        }
    }

    #[test]
    fn another_seed_takes_other_cases_of_the_grid() {
        let first = |seed| Cases { seed }.numbers(1000).next();
        assert_ne!(first(1), first(1000));
    }

    #[test]
    fn a_case_depends_on_number_and_seed_only() {
        let number = Cases::grid() + 5;
        let cases = Cases { seed: 7 };
        assert_eq!(cases.get(number), cases.get(number));
        assert_ne!(cases.get(number), Cases { seed: 8 }.get(number));
        assert_ne!(cases.get(number), cases.get(number + 1));
    }

    #[test]
    fn every_grid_case_is_another_one() {
        let cases = Cases { seed: 0 };
        let all: HashSet<_> = (0..Cases::grid())
            .map(|n| format!("{:?}", cases.get(n)))
            .collect();
        assert_eq!(all.len() as u64, Cases::grid());
    }
}
