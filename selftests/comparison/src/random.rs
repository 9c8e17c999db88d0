// SPDX-License-Identifier: GPL-2.0

//! Random cases, each from the seed and its number alone.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::spec::{Arg, Pointer, Spec};
use uapi::abi::{self, CaseProg};
use uapi::device::flag;

/// Links of a trampoline, `BPF_MAX_TRAMP_LINKS` of the kernel. A session takes two.
const MAX_LINKS: usize = 36;

pub fn get(seed: u64, number: u64) -> Spec {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    let rng = &mut StdRng::from_seed(key);

    let mut spec = Spec {
        flags: flags(rng),
        endbr: rng.random(),
        args: args(rng).into_iter().map(Arg::plain).collect(),
        progs: Vec::new(),
    };
    // Few programs most of the time, and now and then as many as there can be.
    let most = *[2, 5, 12, MAX_LINKS].choose(rng).unwrap_or(&2);
    let links = rng.random_range(0..=most);
    while spec.progs.len() < links {
        let traits = traits(rng);
        if spec.progs.len() + 2 <= links && rng.random_ratio(1, 3) {
            let cookie = if rng.random() { abi::PROG_COOKIE } else { 0 };
            spec.push_session(bpf_cookie(rng), traits | cookie);
            continue;
        }
        let no_session = [0, 0, 0, abi::PROG_LSM, abi::PROG_LSM_CGROUP];
        let lists = [abi::LIST_FENTRY, abi::LIST_FEXIT, abi::LIST_FMOD_RET];
        spec.progs.push(CaseProg {
            bpf_cookie: bpf_cookie(rng),
            list: *lists.choose(rng).unwrap_or(&0),
            traits: traits | no_session.choose(rng).unwrap_or(&0),
            ..Default::default()
        });
    }
    match rng.random_range(0..16) {
        0 => far_entries(&mut spec, rng),
        1 => arena_args(&mut spec, rng),
        _ => (),
    }
    spec
}

fn flags(rng: &mut impl Rng) -> u32 {
    if rng.random_ratio(1, 5) {
        return flag::INDIRECT
            | if rng.random() {
                flag::RET_FENTRY_RET
            } else {
                0
            };
    }
    let mut flags = match rng.random_range(0..4) {
        0 => flag::RESTORE_REGS,
        1 => flag::CALL_ORIG,
        2 => flag::CALL_ORIG | flag::SKIP_FRAME,
        _ => flag::CALL_ORIG | flag::SKIP_FRAME | flag::ORIG_STACK,
    };
    for flag in [flag::IP_ARG, flag::TAIL_CALL_CTX, flag::SHARE_IPMODIFY] {
        if rng.random_ratio(1, 4) {
            flags |= flag;
        }
    }
    flags
}

/// Sizes of 0 to 12 arguments; sometimes more words than a model may have.
fn args(rng: &mut impl Rng) -> Vec<u8> {
    let many = rng.random_range(0..=12);
    let any_size = rng.random_ratio(1, 3);
    (0..many)
        .map(|_| match rng.random_range(0..8) {
            _ if any_size => rng.random_range(1..=16),
            0 => 4,
            1 => 16,
            _ => 8,
        })
        .collect()
}

fn traits(rng: &mut impl Rng) -> u32 {
    [abi::PROG_SLEEPABLE, abi::PROG_INTERPRETED, abi::PROG_MULTI]
        .into_iter()
        .filter(|_| rng.random_ratio(1, 4))
        .fold(0, |all, one| all | one)
}

/// A BPF cookie of any width that an immediate can have.
fn bpf_cookie(rng: &mut impl Rng) -> u64 {
    let edges = [
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        0xffff_ffff_7fff_ffff,
        0xffff_ffff_8000_0000,
        u64::MAX,
    ];
    match rng.random_range(0..3) {
        0 => *edges.choose(rng).unwrap_or(&0),
        1 => rng.random::<u64>() >> rng.random_range(0..64),
        _ => rng.random(),
    }
}

/// Turns arguments into pointers into an arena. C converts them where there is one entry program.
fn arena_args(spec: &mut Spec, rng: &mut impl Rng) {
    for arg in &mut spec.args {
        let pointers = [Pointer::Plain, Pointer::Arena, Pointer::ArenaOrNull];
        arg.pointer = *pointers.choose(rng).unwrap_or(&Pointer::Arena);
    }
    if rng.random_ratio(3, 4) {
        spec.flags = flag::INDIRECT
            | if rng.random() {
                flag::RET_FENTRY_RET
            } else {
                0
            };
        spec.progs = vec![CaseProg {
            traits: traits(rng),
            ..Default::default()
        }];
    }
}

/// Puts programs at any distance, and around the last one that a call reaches.
fn far_entries(spec: &mut Spec, rng: &mut impl Rng) {
    for prog in &mut spec.progs {
        let near_the_end = rng.random_range(-4200..4200);
        prog.entry = match rng.random_range(0..4) {
            0 => i64::from(i32::MAX) + near_the_end,
            1 => i64::from(i32::MIN) + near_the_end,
            _ => i64::from(rng.random::<i32>()) | 1,
        };
    }
}
