// SPDX-License-Identifier: GPL-2.0

//! The exhaustive grid: every combination of the structural choices.

use std::sync::LazyLock;

use crate::spec::{Arg, Pointer, Spec};
use uapi::abi::{self, CaseProg};
use uapi::device::flag;

/// Argument shapes: none to all registers, the stack, structures, structures that find too few
/// registers and leave them to later arguments, short arguments alone on the stack, too many.
const SHAPES: &[&[u8]] = &[
    &[],
    &[8],
    &[4],
    &[1, 2],
    &[8, 8, 8],
    &[8, 4, 2, 1],
    &[8, 8, 8, 8, 8],
    &[8, 8, 8, 8, 8, 8],
    &[8, 8, 8, 8, 8, 8, 8],
    &[8, 8, 8, 8, 8, 8, 4],
    &[8, 8, 8, 8, 8, 8, 1],
    &[8, 8, 8, 8, 8, 8, 4, 4],
    &[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8],
    &[16],
    &[12, 9],
    &[16, 16, 16],
    &[8, 16, 16, 8],
    &[8, 8, 8, 8, 8, 16],
    &[8, 8, 8, 8, 8, 16, 8],
    &[8, 8, 8, 8, 8, 16, 4],
    &[8, 8, 8, 8, 16, 16, 4],
    &[16, 16, 16, 16],
    &[16, 16, 16, 16, 16, 16],
    &[16, 16, 16, 16, 16, 16, 8],
    &[0, 8],
];

/// What the kernel builds images with. Those that are called indirectly go with two flags only.
const FLAGS: &[u32] = &[
    flag::RESTORE_REGS,
    flag::CALL_ORIG,
    flag::CALL_ORIG | flag::SKIP_FRAME,
    flag::CALL_ORIG | flag::SKIP_FRAME | flag::ORIG_STACK | flag::SHARE_IPMODIFY,
    flag::RESTORE_REGS | flag::IP_ARG,
    flag::CALL_ORIG | flag::IP_ARG,
    flag::CALL_ORIG | flag::SKIP_FRAME | flag::IP_ARG,
    flag::CALL_ORIG | flag::SKIP_FRAME | flag::ORIG_STACK | flag::IP_ARG,
    flag::RESTORE_REGS | flag::TAIL_CALL_CTX,
    flag::CALL_ORIG | flag::TAIL_CALL_CTX,
    flag::CALL_ORIG | flag::SKIP_FRAME | flag::TAIL_CALL_CTX,
    flag::CALL_ORIG | flag::TAIL_CALL_CTX | flag::IP_ARG,
    flag::INDIRECT,
    flag::INDIRECT | flag::RET_FENTRY_RET,
];

/// Programs of one kind.
const COUNTS: u64 = 3;
/// None, one without cookie, one with, two with one between them without.
const SESSIONS: u64 = 4;
const ENDBR: u64 = 2;

pub fn len() -> u64 {
    structural() + ARENA.len() as u64
}

fn structural() -> u64 {
    SHAPES.len() as u64 * FLAGS.len() as u64 * COUNTS.pow(3) * SESSIONS * ENDBR
}

pub fn get(number: u64) -> Spec {
    match number.checked_sub(structural()) {
        None => get_structural(number),
        Some(number) => ARENA[number as usize].clone(),
    }
}

/// Pointers into an arena: as the first argument, the last, all of them.
static ARENA: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    let mut specs = Vec::new();
    for shape in SHAPES.iter().filter(|shape| !shape.is_empty()) {
        let mut places = vec![0..1, shape.len() - 1..shape.len(), 0..shape.len()];
        places.dedup();
        for place in places {
            for pointer in [Pointer::Arena, Pointer::ArenaOrNull] {
                for flags in [flag::INDIRECT, flag::INDIRECT | flag::RET_FENTRY_RET] {
                    let mut args: Vec<_> = shape.iter().map(|&size| Arg::plain(size)).collect();
                    args[place.clone()]
                        .iter_mut()
                        .for_each(|arg| arg.pointer = pointer);
                    specs.push(Spec {
                        flags,
                        endbr: true,
                        args,
                        progs: vec![CaseProg::default()],
                    });
                }
            }
        }
    }
    specs
});

fn get_structural(number: u64) -> Spec {
    let mut rest = number;
    let mut choose = |choices: u64| {
        let choice = rest % choices;
        rest /= choices;
        choice
    };
    let mut spec = Spec {
        endbr: choose(ENDBR) == 1,
        flags: FLAGS[choose(FLAGS.len() as u64) as usize],
        args: SHAPES[choose(SHAPES.len() as u64) as usize]
            .iter()
            .map(|&size| Arg::plain(size))
            .collect(),
        progs: Vec::new(),
    };
    for list in [abi::LIST_FENTRY, abi::LIST_FMOD_RET, abi::LIST_FEXIT] {
        for at in 0..choose(COUNTS) {
            spec.progs.push(CaseProg {
                bpf_cookie: at,
                list,
                ..Default::default()
            });
        }
    }
    let sessions: &[u32] = match choose(SESSIONS) {
        0 => &[],
        1 => &[0],
        2 => &[abi::PROG_COOKIE],
        _ => &[abi::PROG_COOKIE, 0, abi::PROG_COOKIE],
    };
    for &traits in sessions {
        spec.push_session(0, traits);
    }
    spec
}
