// SPDX-License-Identifier: GPL-2.0

//! The functions of `rust_fsession_targets.ko`, which exist to be traced.
//!
//! The ABI is described in `targets/rust_fsession_targets.h`.

use std::fs::File;
use std::io;

use anyhow::{ensure, Context, Result};
use rustix::ioctl::{ioctl, opcode, NoArg, Opcode, Updater};

const PATH: &str = "/dev/rust_fsession_targets";
pub const MODULE: &str = "rust_fsession_targets";
pub const NR_WORDS: usize = 12;
const NAME_LEN: usize = 32;

/// `struct targets_call`.
#[repr(C)]
struct Call {
    function: [u8; NAME_LEN],
    words: [u64; NR_WORDS],
    ret: u64,
}

const IOC_CALL: Opcode = opcode::read_write::<Call>(0xbf, 0x20);
const IOC_WAKE: Opcode = opcode::none(0xbf, 0x21);

/// The open device.
#[derive(Debug)]
pub struct Targets(File);

impl Targets {
    pub fn open() -> io::Result<Self> {
        File::open(PATH).map(Self)
    }

    /// Calls `targets_<function>()` with up to six words in registers, the
    /// others on the stack, and gives what it left in rax.
    pub fn call(&self, function: &str, words: &[u64]) -> Result<u64> {
        ensure!(
            function.len() < NAME_LEN && words.len() <= NR_WORDS,
            "no call: {function} with {} words",
            words.len()
        );
        let mut call = Call {
            function: [0; NAME_LEN],
            words: [0; NR_WORDS],
            ret: 0,
        };
        call.function[..function.len()].copy_from_slice(function.as_bytes());
        call.words[..words.len()].copy_from_slice(words);
        // SAFETY: A `Call` is what this request reads and writes.
        let request = unsafe { Updater::<IOC_CALL, Call>::new(&mut call) };
        // SAFETY: As above, and the functions take any words.
        unsafe { ioctl(&self.0, request) }
            .with_context(|| format!("cannot call targets_{function}()"))?;
        Ok(call.ret)
    }

    /// Lets one task out of `targets_sleep()`.
    pub fn wake(&self) -> Result<()> {
        // SAFETY: The request has no argument.
        unsafe { ioctl(&self.0, NoArg::<IOC_WAKE>::new()) }
            .context("cannot wake who sleeps in targets_sleep()")
    }
}

/// What a target returns for these arguments: `fold()` over them.
pub fn sum(args: &[u64]) -> u64 {
    args.iter().fold(0, |sum, arg| fold(sum, *arg))
}

/// One step of `sum()`.
pub fn fold(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(0x100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_the_order_matter() {
        let args = [1, 2, 3, 4];
        for word in 0..args.len() {
            for bit in 0..64 {
                let mut other = args;
                other[word] ^= 1 << bit;
                assert_ne!(sum(&other), sum(&args), "bit {bit} of word {word}");
            }
        }
        assert_ne!(sum(&[2, 1, 3, 4]), sum(&args));
    }
}
