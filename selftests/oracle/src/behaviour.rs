// SPDX-License-Identifier: GPL-2.0

//! How the surroundings of an image behave in one run: the helpers, the programs, the function,
//! and whoever detaches programs.

use crate::case::{Case, Half};
use rand::seq::index::sample;
use rand::Rng;

/// One way for a call to go. Programs are numbered in the order in which the image calls them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Programs whose enter helper says no.
    pub refused: Vec<usize>,
    /// Programs that have been patched out beforehand.
    pub detached: Vec<usize>,
    /// The fmod_ret program that replaces the function, and with what.
    pub replaces: Option<(usize, u64)>,
    /// All programs are patched out during the event of this number.
    pub detach_at: Option<usize>,
    /// Whether each instruction is looked at.
    pub stepped: bool,
    /// Where all values come from.
    pub seed: u64,
}

impl Behaviour {
    /// Everything runs its course.
    pub fn plain(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }
}

/// Return values that replace a function: none of them is 0, though halves of them are.
const REPLACEMENTS: [u64; 4] = [1, 1 << 32, -1_i64 as u64, 0x8000_0000];

/// Looking at each instruction takes a hundred times as long, so the exam does it for one seed in
/// so many, 0 among them.
pub const STEP_EVERY: u64 = 32;

/// All the ways for a call to go that tell a good image from a bad one, each with values of its
/// own.
pub fn exam(case: &Case, seed: u64) -> Vec<Behaviour> {
    let mut exam = ways(case);
    for (number, behaviour) in (0..).zip(&mut exam) {
        behaviour.seed = seed ^ (number << 40);
    }
    exam.extend((1..=4).map(|number| mixed(case, seed ^ (number << 56))));
    if let (Some(first), true) = (exam.first_mut(), seed % STEP_EVERY == 0) {
        first.stepped = true;
    }
    exam
}

fn ways(case: &Case) -> Vec<Behaviour> {
    let calls = case.calls();
    let everyone: Vec<_> = (0..calls.len()).collect();
    let refused = |refused| Behaviour {
        refused,
        ..Behaviour::default()
    };
    let detached = |detached| Behaviour {
        detached,
        ..Behaviour::default()
    };

    let mut ways = vec![
        Behaviour::default(),
        refused(everyone.clone()),
        detached(everyone.clone()),
    ];
    for (&number, call) in everyone.iter().zip(&calls) {
        ways.push(refused(vec![number]));
        ways.push(detached(vec![number]));
        if call.half == Half::ModifyReturn {
            ways.extend(REPLACEMENTS.map(|value| Behaviour {
                replaces: Some((number, value)),
                ..Behaviour::default()
            }));
        }
    }
    // Events: three for each program, and those around them.
    ways.extend((0..3 * calls.len() + 3).map(|event| Behaviour {
        detach_at: Some(event),
        ..Behaviour::default()
    }));
    ways
}

/// Any mixture of it all.
pub fn mixed(case: &Case, seed: u64) -> Behaviour {
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
    Behaviour {
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
