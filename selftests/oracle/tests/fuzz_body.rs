// SPDX-License-Identifier: GPL-2.0

//! The body of the fuzz target on a fixed set of inputs.

#[path = "../../fuzz/src/builder.rs"]
mod builder;

use ::builder::Error;
use builder::{check, Outcome};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

#[test]
fn all_inputs_are_handled() {
    let mut rng = SmallRng::seed_from_u64(1);
    let (mut images, mut too_big, mut far, mut refused) = (0, 0, 0, 0);
    for _ in 0..20_000 {
        let mut data = vec![0; rng.random_range(0..3000)];
        rng.fill(&mut data[..]);
        match check(&data) {
            Some(Outcome::Built(Ok(_), Ok(_))) => images += 1,
            Some(Outcome::Built(_, Err(Error::TooBig))) => too_big += 1,
            Some(Outcome::Built(_, Err(Error::OutOfRange))) => far += 1,
            _ => refused += 1,
        }
    }
    println!("{images} images, {too_big} too big, {far} out of range, {refused} refused");
    // All kinds of results are among them.
    assert!([images, too_big, far, refused]
        .into_iter()
        .all(|kind| kind > 500));
}
