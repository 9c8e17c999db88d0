// SPDX-License-Identifier: GPL-2.0

//! Arbitrary requests.

use super::fixture::{Case, IP};
use crate::builder::{
    CallDepth, Callee, Flags, FuncModel, Machine, Preamble, Program, Quirks, Target,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Addresses that an image can reach, if `near`, or any address.
fn address(near: bool) -> BoxedStrategy<u64> {
    if near {
        (IP - (1 << 30)..IP - (1 << 20)).boxed()
    } else {
        any::<u64>().boxed()
    }
}

/// Immediates of every width.
fn immediate() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32, any::<bool>()).prop_map(|(n, shift, negative)| {
        if negative {
            !(n >> shift)
        } else {
            n >> shift
        }
    })
}

fn callee(near: bool) -> impl Strategy<Value = Callee> {
    (address(near), any::<bool>()).prop_map(|(addr, counted)| Callee { addr, counted })
}

fn program(near: bool) -> impl Strategy<Value = Program> {
    (
        immediate(),
        callee(near),
        option::of(immediate()),
        callee(near),
        callee(near),
        immediate(),
    )
        .prop_map(|(prog, entry, insnsi, enter, exit, cookie)| Program {
            prog,
            entry,
            insnsi,
            enter,
            exit,
            cookie,
            session: false,
            session_cookie: false,
        })
}

/// Programs of which most have the same form: the next one has another address, code or cookie.
pub fn programs_alike() -> impl Strategy<Value = Vec<Program>> {
    let differs = (any::<u64>(), address(true), immediate(), 0..8_u8);
    (vec(program(true), 1..3), vec(differs, 0..36)).prop_map(|(forms, rest)| {
        let like = |(number, (prog, entry, cookie, odd)): (usize, (u64, u64, u64, u8))| {
            let form = forms[number * usize::from(odd == 0) % forms.len()];
            Program {
                prog: if odd == 1 {
                    prog >> 40
                } else {
                    prog | (1 << 63)
                },
                entry: Callee {
                    addr: entry,
                    ..form.entry
                },
                cookie: if odd == 2 { cookie } else { form.cookie },
                ..form
            }
        };
        rest.into_iter().enumerate().map(like).collect()
    })
}

fn model() -> impl Strategy<Value = FuncModel> {
    vec((0..=16_u8, any::<u8>()), 0..=12).prop_filter_map("too many words", |args| {
        let (sizes, flags): (Vec<_>, Vec<_>) = args.into_iter().unzip();
        FuncModel::new(&sizes, &flags).ok()
    })
}

fn preamble(near: bool) -> impl Strategy<Value = Preamble> {
    prop_oneof![
        Just(Preamble::None),
        Just(Preamble::Endbr),
        (any::<u32>(), any::<u8>(), any::<bool>()).prop_map(|(hash, padding, endbr)| {
            Preamble::Kcfi {
                hash,
                padding,
                endbr,
            }
        }),
        (any::<u32>(), option::of(address(near)))
            .prop_map(|(hash, bhi)| Preamble::FineIbt { hash, bhi }),
    ]
}

fn quirks() -> impl Strategy<Value = Quirks> {
    any::<[bool; 5]>().prop_map(|[a, b, c, d, e]| Quirks {
        indirect_args_too_high: a,
        aligned_in_scratch: b,
        tail_call_count_in_args: c,
        return_slot_not_reserved: d,
        bare_original_call: e,
    })
}

fn machine(near: bool) -> impl Strategy<Value = Machine> {
    let sizes = if near {
        prop_oneof![Just((24, 8)), Just((17, 0)), Just((160, 152))].boxed()
    } else {
        any::<(u16, u16)>().boxed()
    };
    let counters = (address(near), option::of(address(near)))
        .prop_map(|(depth, calls)| CallDepth { depth, calls });
    (
        callee(near),
        callee(near),
        option::of(address(near)),
        option::of(counters),
        any::<(bool, bool)>(),
        sizes,
        quirks(),
    )
        .prop_map(
            |(tramp_enter, tramp_exit, return_thunk, call_depth, (sls, jmp), sizes, quirks)| {
                Machine {
                    tramp_enter,
                    tramp_exit,
                    return_thunk,
                    sls,
                    call_depth,
                    jmp,
                    run_ctx_size: sizes.0,
                    bpf_cookie_off: sizes.1,
                    quirks,
                }
            },
        )
}

fn case(near: bool, flags: BoxedStrategy<Flags>, programs: usize) -> impl Strategy<Value = Case> {
    let target = (model(), address(near), any::<bool>(), preamble(near)).prop_map(
        |(model, addr, endbr, preamble)| Target {
            model,
            addr,
            endbr,
            preamble,
        },
    );
    let list = move || vec(program(near), 0..=programs);
    let sessions = vec((program(near), any::<bool>()), 0..=programs / 2);
    (
        target,
        flags,
        (list(), list(), list(), sessions),
        machine(near),
        (any::<u64>(), option::of(any::<u64>()), any::<u8>()),
    )
        .prop_map(
            |(target, flags, (fentry, fmod_ret, fexit, sessions), machine, rest)| {
                let mut case = Case {
                    target,
                    flags,
                    fentry,
                    fmod_ret,
                    fexit,
                    machine,
                    image: rest.0,
                    arena_base: rest.1,
                    scratch_align: rest.2,
                };
                for (program, session_cookie) in sessions {
                    case = case.attach(Program {
                        session: true,
                        session_cookie,
                        ..program
                    });
                }
                case
            },
        )
}

/// Requests of any kind; most are refused.
pub fn cases() -> impl Strategy<Value = Case> {
    let flags = (0..512_u32).prop_map(|bits| Flags::from_bits(bits).unwrap());
    let strange = case(false, flags.boxed(), 14);
    prop_oneof![strange, sane_cases()]
}

/// Requests that have an image: combinations of flags and programs that the kernel uses, with
/// everything in reach.
pub fn sane_cases() -> impl Strategy<Value = Case> {
    let orig = [
        Flags::default(),
        Flags::SKIP_FRAME,
        Flags::SKIP_FRAME | Flags::ORIG_STACK,
    ]
    .map(|flags| flags | Flags::CALL_ORIG);
    let kinds = [
        Flags::RESTORE_REGS,
        Flags::INDIRECT,
        orig[0],
        orig[1],
        orig[2],
    ];
    let extras = any::<[bool; 3]>().prop_map(|set| {
        let all = [Flags::IP_ARG, Flags::TAIL_CALL_CTX, Flags::SHARE_IPMODIFY];
        let chosen = all.into_iter().zip(set).filter(|(_, set)| *set);
        chosen.fold(Flags::default(), |flags, (flag, _)| flags | flag)
    });
    let flags = (prop::sample::select(kinds.to_vec()), extras, any::<bool>()).prop_map(
        |(kind, extras, returns)| match (kind, returns) {
            (Flags::INDIRECT, false) => kind,
            (Flags::INDIRECT, true) => kind | Flags::RET_FENTRY_RET,
            _ => kind | extras,
        },
    );
    case(true, flags.boxed(), 4).prop_map(|mut case| {
        // The quirks of the C builder.
        case.machine.quirks = Quirks {
            indirect_args_too_high: case.machine.quirks.indirect_args_too_high,
            ..Quirks::C
        };
        if !case.flags.contains(Flags::CALL_ORIG) {
            // Only an image that calls the function has other programs than entry programs.
            case.fentry.retain(|program| !program.session);
            case.fmod_ret.clear();
            case.fexit.clear();
        }
        case
    })
}
