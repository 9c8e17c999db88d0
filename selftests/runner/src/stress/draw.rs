// SPDX-License-Identifier: GPL-2.0

//! Choices that can be made again: from the seed, an actor's name and number, and
//! how often it was started before.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub struct Draw(StdRng);

impl Draw {
    pub fn new(seed: u64, name: &str, instance: u64, life: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        // FNV-1a, so that names of any length fit.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        key[8..16].copy_from_slice(&hash.to_le_bytes());
        key[16..24].copy_from_slice(&instance.to_le_bytes());
        key[24..].copy_from_slice(&life.to_le_bytes());
        Self(StdRng::from_seed(key))
    }

    /// A number below `end`, 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 {
            return 0;
        }
        self.0.random_range(0..end)
    }

    /// True once in `times`, on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Up to `most`, in steps of 100 us; short ones are more frequent.
    pub fn time(&mut self, most: Duration) -> Duration {
        let most = most.as_micros() as usize / 100;
        let scale = self.below(most + 1);
        Duration::from_micros(100) * self.below(scale + 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, name: &str, instance: u64, life: u64) -> Vec<usize> {
        let mut draw = Draw::new(seed, name, instance, life);
        (0..8).map(|_| draw.below(1 << 20)).collect()
    }

    #[test]
    fn the_same_is_drawn_again() {
        assert_eq!(drawn(1, "mode", 0, 0), drawn(1, "mode", 0, 0));
    }

    #[test]
    fn everything_matters() {
        let first = drawn(1, "mode", 0, 0);
        for other in [
            drawn(2, "mode", 0, 0),
            drawn(1, "made", 0, 0),
            drawn(1, "mode", 1, 0),
            drawn(1, "mode", 0, 1),
        ] {
            assert_ne!(first, other);
        }
    }
}
