// SPDX-License-Identifier: GPL-2.0

//! Cases to check: a grid over the structural choices, and random ones.

use crate::case::{self, flags, Arg, Case, Machine, Preamble, Prog, MAX_CODES, PAIRS};
use crate::memory::{Placement, PAGE};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::Rng;

/// Sizes of arguments around the limits: the last register, and structures that do not fit after
/// it.
const SHAPES: [&[u8]; 17] = [
    &[],
    &[8],
    &[4, 1],
    &[16],
    &[8, 8, 8, 8, 8],
    &[8, 8, 8, 8, 8, 8],
    &[16, 16, 16],
    // On the stack: one word, half a word, several of each.
    &[8, 8, 8, 8, 8, 8, 8],
    &[8, 8, 8, 8, 8, 8, 4],
    &[8, 8, 8, 8, 8, 8, 1, 2],
    &[16, 16, 16, 3],
    &[16, 16, 16, 16],
    // A structure on the stack, and registers for the arguments after it.
    &[8, 8, 8, 8, 8, 16, 8],
    &[8, 8, 8, 8, 8, 12, 4, 4],
    &[8, 8, 8, 8, 8, 16, 16, 1],
    &[8; 11],
    &[8; 12],
];

/// How programs are attached: entry, fmod_ret, exit, sessions, sessions with a cookie.
type Attached = [usize; 5];

/// Nothing, each kind alone, combinations, many.
const ATTACHED: [Attached; 18] = [
    [0, 0, 0, 0, 0],
    [1, 0, 0, 0, 0],
    [3, 0, 0, 0, 0],
    [0, 1, 0, 0, 0],
    [0, 2, 0, 0, 0],
    [0, 0, 1, 0, 0],
    [0, 0, 2, 0, 0],
    [0, 0, 0, 1, 0],
    [0, 0, 0, 0, 1],
    [0, 0, 0, 2, 0],
    [0, 0, 0, 0, 2],
    [0, 0, 0, 1, 1],
    [0, 0, 0, 0, 4],
    [1, 0, 1, 0, 0],
    [1, 1, 1, 0, 0],
    [1, 0, 1, 0, 1],
    [0, 1, 0, 0, 1],
    [1, 2, 1, 1, 2],
];

/// Flags of the kinds of images that exist.
const KINDS: [u32; 6] = [
    flags::RESTORE_REGS,
    flags::CALL_ORIG,
    flags::CALL_ORIG | flags::SKIP_FRAME,
    flags::CALL_ORIG | flags::SKIP_FRAME | flags::ORIG_STACK,
    flags::INDIRECT,
    flags::INDIRECT | flags::RET_FENTRY_RET,
];

/// Flags that go with them.
const EXTRAS: [u32; 4] = [
    0,
    flags::IP_ARG,
    flags::TAIL_CALL_CTX,
    flags::IP_ARG | flags::TAIL_CALL_CTX | flags::SHARE_IPMODIFY,
];

/// A machine without mitigations.
pub const PLAIN: Machine = Machine {
    return_thunk: false,
    sls: false,
    call_depth: false,
    call_count: false,
    counted: 0,
    jmp: true,
    run_ctx_size: 16,
    bpf_cookie_off: 0,
};

/// Machines with the common mitigations.
const MACHINES: [Machine; 4] = [
    PLAIN,
    Machine {
        sls: true,
        run_ctx_size: 24,
        bpf_cookie_off: 8,
        ..PLAIN
    },
    Machine {
        return_thunk: true,
        ..PLAIN
    },
    Machine {
        return_thunk: true,
        call_depth: true,
        call_count: true,
        counted: 1 << crate::memory::stub::TRAMP_EXIT,
        ..PLAIN
    },
];

/// Preambles of indirect images.
const PREAMBLES: [Preamble; 6] = [
    Preamble::None,
    Preamble::Endbr,
    Preamble::Kcfi {
        hash: 0x1234_5678,
        padding: 11,
        endbr: true,
    },
    Preamble::Kcfi {
        hash: 0xf234_5678,
        padding: 0,
        endbr: false,
    },
    Preamble::FineIbt {
        hash: 0x9234_5678,
        bhi: false,
    },
    Preamble::FineIbt {
        hash: 0x2234_5678,
        bhi: true,
    },
];

/// A case to check, and the image's placement.
#[derive(Clone, Debug)]
pub struct Sample {
    pub case: Case,
    pub placement: Placement,
    pub seed: u64,
}

/// Every shape of arguments with every combination of programs, every kind of image with its extra
/// flags, on every machine; without what is not legal, and without what shows a quirk of the C
/// builder.
pub fn grid() -> impl Iterator<Item = Sample> {
    let kinds = KINDS
        .iter()
        .flat_map(|kind| EXTRAS.iter().map(move |extra| kind | extra));
    let choices = MACHINES.iter().flat_map(move |machine| {
        kinds.clone().flat_map(move |flags| {
            let attached = ATTACHED.iter().enumerate();
            attached.flat_map(move |(number, &attached)| {
                SHAPES
                    .iter()
                    .map(move |shape| (machine, flags, number, attached, shape))
            })
        })
    });
    let choices =
        choices
            .enumerate()
            .flat_map(|(seed, (machine, flags, number, attached, shape))| {
                let mut rng = case::rng(seed as u64);
                let mut case = blank(shape, flags, *machine);
                case.endbr = seed % 2 == 0;
                // This only matters for images that are entered so.
                case.machine.jmp = case.entered_by_jmp() || seed % 4 < 2;
                attach(&mut case, attached, &mut rng);
                let preambles = match case.has(flags::INDIRECT) {
                    // Each of them with some of the programs.
                    true if number < PREAMBLES.len() => &PREAMBLES[..],
                    _ => &PREAMBLES[1..2],
                };
                let placement = placement(&mut rng);
                preambles.iter().map(move |&preamble| Sample {
                    case: Case {
                        preamble,
                        ..case.clone()
                    },
                    placement,
                    seed: seed as u64,
                })
            });
    choices.filter(|sample| sample.case.is_legal() && !shows_quirk(&sample.case))
}

/// As many programs as the kernel allows.
pub fn full() -> impl Iterator<Item = Sample> {
    let attached: [Attached; 4] = [
        [36, 0, 0, 0, 0],
        [12, 12, 12, 0, 0],
        [0, 0, 0, 0, 18],
        [6, 6, 6, 3, 6],
    ];
    let shapes: [&[u8]; 2] = [&[8], &[8, 8, 8, 8, 8, 16, 8, 8]];
    let choices = attached
        .into_iter()
        .flat_map(move |attached| shapes.into_iter().map(move |shape| (attached, shape)));
    (0..).zip(choices).map(|(seed, (attached, shape))| {
        let mut rng = case::rng(seed);
        let mut case = blank(shape, flags::CALL_ORIG, MACHINES[1]);
        attach(&mut case, attached, &mut rng);
        let placement = placement(&mut rng);
        Sample {
            case,
            placement,
            seed,
        }
    })
}

/// Whether a case shows a quirk of the C builder; `tests/quirks.rs` checks those.
pub fn shows_quirk(case: &Case) -> bool {
    let on_stack = crate::abi::stack_words(&crate::abi::places(&case.args));
    let counter = flags::CALL_ORIG | flags::TAIL_CALL_CTX;
    (case.has(counter) && on_stack != 0) || (case.has(flags::ORIG_STACK) && case.machine.call_depth)
}

/// A function of these arguments, and nothing attached.
pub fn blank(sizes: &[u8], flags: u32, machine: Machine) -> Case {
    Case {
        args: sizes.iter().map(|&size| Arg { size, flags: 0 }).collect(),
        flags,
        endbr: true,
        func_ip: None,
        preamble: Preamble::Endbr,
        fentry: Vec::new(),
        fmod_ret: Vec::new(),
        fexit: Vec::new(),
        machine,
        im: 0xffff_8881_0012_3400,
        arena: None,
    }
}

/// Attaches programs with random properties.
pub fn attach(case: &mut Case, attached: Attached, rng: &mut SmallRng) {
    let [fentry, fmod_ret, fexit, sessions, cookies] = attached;
    let mut code = 0..MAX_CODES;
    let mut some = |number: usize, rng: &mut SmallRng| -> Vec<_> {
        let codes = code.by_ref().take(number);
        codes.map(|code| program(code, rng)).collect()
    };
    case.fentry = some(fentry, rng);
    case.fmod_ret = some(fmod_ret, rng);
    case.fexit = some(fexit, rng);
    let mut sessions = some(sessions + cookies, rng);
    for (number, prog) in sessions.iter_mut().enumerate() {
        prog.session = true;
        prog.session_cookie = number < cookies;
    }
    sessions.shuffle(rng);
    case.fentry = merge(&case.fentry, &sessions, rng);
    case.fexit = merge(&case.fexit, &sessions, rng);
}

/// Both lists merged, each in its order.
fn merge(a: &[Prog], b: &[Prog], rng: &mut SmallRng) -> Vec<Prog> {
    let mut from_a: Vec<_> = (0..a.len() + b.len()).map(|n| n < a.len()).collect();
    from_a.shuffle(rng);
    let (mut a, mut b) = (a.iter(), b.iter());
    let next = |take_a| if take_a { a.next() } else { b.next() };
    from_a.into_iter().filter_map(next).copied().collect()
}

fn program(code: usize, rng: &mut SmallRng) -> Prog {
    Prog {
        addr: immediate(rng),
        code,
        insnsi: rng.random_bool(0.2).then(|| immediate(rng)),
        pair: rng.random_range(0..PAIRS),
        bpf_cookie: immediate(rng),
        session: false,
        session_cookie: false,
    }
}

/// Values of every width of an immediate.
fn immediate(rng: &mut SmallRng) -> u64 {
    let value = rng.random::<u64>() >> rng.random_range(0..64);
    match rng.random_range(0..8) {
        0 => 0,
        1 => !value,
        2 => 1 << 31,
        3 => 0xffff_ffff_8000_0000,
        _ => value,
    }
}

fn placement(rng: &mut SmallRng) -> Placement {
    Placement {
        high: rng.random(),
        offset: rng.random_range(0..PAGE),
    }
}

/// A random legal case. The seed reproduces it.
pub fn random(seed: u64) -> Sample {
    let mut rng = case::rng(seed);
    loop {
        let case = arbitrary(&mut rng);
        if case.is_legal() && !shows_quirk(&case) {
            let placement = placement(&mut rng);
            return Sample {
                case,
                placement,
                seed,
            };
        }
    }
}

fn arbitrary(rng: &mut SmallRng) -> Case {
    let mut one = |n: u32| rng.random_ratio(1, n);
    let machine = Machine {
        return_thunk: one(2),
        sls: one(2),
        call_depth: one(3),
        call_count: one(2),
        counted: 0,
        jmp: one(2),
        run_ctx_size: 0,
        bpf_cookie_off: 0,
    };
    let bpf_cookie_off = 8 * rng.random_range(0..12);
    let machine = Machine {
        counted: rng.random::<u64>() & rng.random::<u64>(),
        run_ctx_size: bpf_cookie_off + 8 + rng.random_range(0..24),
        bpf_cookie_off,
        ..machine
    };
    let kind = *KINDS.choose(rng).unwrap_or(&0);
    let extra = *EXTRAS.choose(rng).unwrap_or(&0);
    let flags = if kind & flags::INDIRECT != 0 {
        kind
    } else {
        kind | extra
    };
    let mut case = blank(&sizes(rng), flags, machine);
    case.endbr = rng.random();
    case.im = immediate(rng);
    case.preamble = *PREAMBLES.choose(rng).unwrap_or(&Preamble::None);

    let most = *[1, 2, 4, 8].choose(rng).unwrap_or(&1);
    let mut attached: Attached = std::array::from_fn(|_| rng.random_range(0..=most));
    if !case.has(flags::CALL_ORIG) {
        attached[1..].fill(0);
    }
    attach(&mut case, attached, rng);
    if case.has(flags::INDIRECT) && case.fentry.len() == 1 && rng.random() {
        case.arena = Some(case::garbage(rng));
        for arg in case.args.iter_mut().filter(|arg| arg.size == 8) {
            arg.flags = rng.random::<u8>() & (case::ARENA | case::NULLABLE);
        }
    }
    case
}

/// Sizes of up to 12 words of arguments.
fn sizes(rng: &mut SmallRng) -> Vec<u8> {
    let mut left = rng.random_range(0..=12);
    let mut sizes = Vec::new();
    while left > 0 {
        let size: u8 = match rng.random_range(0..4) {
            0 if left > 1 => rng.random_range(9..=16),
            1 => rng.random_range(1..8),
            _ => 8,
        };
        left -= if size > 8 { 2 } else { 1 };
        sizes.push(size);
    }
    sizes
}
