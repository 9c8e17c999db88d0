// SPDX-License-Identifier: GPL-2.0

//! What happens around an image in one run: results of helpers, programs and the function, and when
//! programs are detached.

use crate::case::{Case, Half};
use rand::seq::index::sample;
use rand::Rng;

/// One scenario of a run. Programs are numbered in the order in which the image calls them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Programs whose enter helper returns 0.
    pub refused: Vec<usize>,
    /// Programs that are patched out before the run.
    pub detached: Vec<usize>,
    /// The fmod_ret program that replaces the function, and the value it returns.
    pub replaces: Option<(usize, u64)>,
    /// The event during which all programs are patched out.
    pub detach_at: Option<usize>,
    /// Whether the run is single-stepped.
    pub stepped: bool,
    /// Seed of all values.
    pub seed: u64,
}

impl Scenario {
    /// Nothing special happens.
    pub fn plain(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }
}

/// Return values that replace a function: not 0, though half of some is.
const REPLACEMENTS: [u64; 4] = [1, 1 << 32, -1_i64 as u64, 0x8000_0000];

/// Single-stepping takes a hundred times as long, so only one seed in so many does it, among them
/// 0.
pub const STEP_EVERY: u64 = 32;

/// The scenarios that an image is checked in, each with its own values.
pub fn scenarios(case: &Case, seed: u64) -> Vec<Scenario> {
    let mut scenarios = systematic(case);
    for (number, scenario) in (0..).zip(&mut scenarios) {
        scenario.seed = seed ^ (number << 40);
    }
    scenarios.extend((1..=4).map(|number| mixed(case, seed ^ (number << 56))));
    if let (Some(first), true) = (scenarios.first_mut(), seed % STEP_EVERY == 0) {
        first.stepped = true;
    }
    scenarios
}

fn systematic(case: &Case) -> Vec<Scenario> {
    let calls = case.calls();
    let everyone: Vec<_> = (0..calls.len()).collect();
    let refused = |refused| Scenario {
        refused,
        ..Scenario::default()
    };
    let detached = |detached| Scenario {
        detached,
        ..Scenario::default()
    };

    let mut systematic = vec![
        Scenario::default(),
        refused(everyone.clone()),
        detached(everyone.clone()),
    ];
    for (&number, call) in everyone.iter().zip(&calls) {
        systematic.push(refused(vec![number]));
        systematic.push(detached(vec![number]));
        if call.half == Half::ModifyReturn {
            systematic.extend(REPLACEMENTS.map(|value| Scenario {
                replaces: Some((number, value)),
                ..Scenario::default()
            }));
        }
    }
    // Three events for each program, and those around them.
    systematic.extend((0..3 * calls.len() + 3).map(|event| Scenario {
        detach_at: Some(event),
        ..Scenario::default()
    }));
    systematic
}

/// A random combination.
pub fn mixed(case: &Case, seed: u64) -> Scenario {
    let mut rng = crate::case::rng(seed);
    let calls = case.calls();
    let some = |rng: &mut rand::rngs::SmallRng| {
        let amount = rng.random_range(0..=calls.len());
        sample(rng, calls.len(), amount).into_vec()
    };
    let mod_rets = case.fmod_ret.len();
    let replaces = (mod_rets != 0 && rng.random()).then(|| {
        let value = REPLACEMENTS[rng.random_range(0..REPLACEMENTS.len())];
        (case.fentry.len() + rng.random_range(0..mod_rets), value)
    });
    Scenario {
        refused: some(&mut rng),
        detached: some(&mut rng),
        replaces,
        detach_at: rng
            .random_bool(0.3)
            .then(|| rng.random_range(0..3 * calls.len() + 3)),
        stepped: false,
        seed,
    }
}
