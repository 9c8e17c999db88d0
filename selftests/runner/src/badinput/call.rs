// SPDX-License-Identifier: GPL-2.0

//! One call with its input, drawn at random and changed at random.

use comparison::Cases;
use rand::seq::IndexedRandom;
use rand::Rng;

use super::memory::Place;
use super::slots::{self, Slots, ARENA};
use crate::device::abi::{self, CaseProg};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    Add,
    Remove,
    Info,
    Compare,
    /// An ioctl of a number that there is not.
    Request,
    Read,
    Seek,
    /// A system call that the device does not have.
    Other,
    Open,
    Mode,
    DebugRead,
    DebugSeek,
    DebugOther,
    // What goes on beside the calls.
    /// A number gets another program or file.
    Swap,
    /// A number gets another trampoline, or none.
    SwapDevice,
    /// The kernel runs the functions that programs are on.
    Run,
}

impl Kind {
    pub const ALL: [Self; 16] = [
        Self::Add,
        Self::Remove,
        Self::Info,
        Self::Compare,
        Self::Request,
        Self::Read,
        Self::Seek,
        Self::Other,
        Self::Open,
        Self::Mode,
        Self::DebugRead,
        Self::DebugSeek,
        Self::DebugOther,
        Self::Swap,
        Self::SwapDevice,
        Self::Run,
    ];

    /// Whether it is a call of the module's interface.
    pub fn counts(self) -> bool {
        !matches!(self, Self::Swap | Self::SwapDevice | Self::Run)
    }

    fn random(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..1000) {
            0..=299 => Self::Add,
            300..=479 => Self::Remove,
            480..=569 => Self::Info,
            570..=619 => Self::Compare,
            620..=689 => Self::Request,
            690..=769 => Self::Read,
            770..=789 => Self::Seek,
            790..=809 => Self::Other,
            810..=819 => Self::Open,
            820..=889 => Self::Mode,
            890..=939 => Self::DebugRead,
            940..=949 => Self::DebugSeek,
            950..=959 => Self::DebugOther,
            960..=979 => Self::Swap,
            980..=995 => Self::SwapDevice,
            _ => Self::Run,
        }
    }
}

/// Each kind of call uses what it knows of.
#[derive(Clone, Debug)]
pub struct Call {
    pub kind: Kind,
    /// The descriptor that is called.
    pub file: u32,
    /// Where the argument is.
    pub at: Place,
    /// Number of a program's descriptor.
    pub prog: u32,
    pub flags: u32,
    /// A BPF cookie, or which of several system calls.
    pub number: u64,
    /// Of an ioctl.
    pub request: u32,
    /// `None`: the file's own.
    pub offset: Option<i64>,
    pub len: u64,
    /// What is written.
    pub text: Vec<u8>,
    pub case: Option<Box<CaseInput>>,
}

#[derive(Clone, Debug)]
pub struct CaseInput {
    pub raw: abi::Case,
    pub progs: Vec<CaseProg>,
    /// Of the programs and of both images.
    pub at: [Place; 3],
    pub wanted: [bool; 2],
    /// Whether it is one that the comparison would choose.
    pub sound: bool,
}

impl Call {
    pub fn random(rng: &mut impl Rng, slots: Slots) -> Self {
        Self::of_kind(Kind::random(rng), rng, slots)
    }

    fn of_kind(kind: Kind, rng: &mut impl Rng, slots: Slots) -> Self {
        let of_debugfs = matches!(
            kind,
            Kind::DebugRead | Kind::DebugSeek | Kind::DebugOther | Kind::Open
        );
        let file = match kind {
            Kind::Mode => slots::MODE,
            Kind::Swap => slots::shaky(rng),
            Kind::SwapDevice => slots::shaky_device(rng),
            _ if of_debugfs => slots::debug(rng),
            _ => slots.device(rng),
        };
        Self {
            kind,
            file,
            at: Place::random(rng),
            prog: match kind {
                Kind::Swap | Kind::SwapDevice => slots.any(rng),
                Kind::Run => slots.prog(rng),
                _ => slots.number(rng),
            },
            flags: match rng.random_range(0..8) {
                0 => rng.random(),
                1 => 1 << rng.random_range(0..32),
                _ => 0,
            },
            number: rng.random(),
            request: request(rng),
            offset: rng.random_bool(0.5).then(|| signed(rng)),
            len: length(rng),
            text: text(rng),
            case: (kind == Kind::Compare).then(|| Box::new(CaseInput::random(rng))),
        }
    }

    /// Some of it drawn anew.
    pub fn change(&mut self, rng: &mut impl Rng, slots: Slots) {
        let new = Self::of_kind(self.kind, rng, slots);
        match rng.random_range(0..7) {
            0 => self.file = new.file,
            1 => self.at = new.at,
            2 => self.prog = new.prog,
            3 => self.flags = new.flags,
            4 => (self.offset, self.len) = (new.offset, new.len),
            5 => (self.text, self.number, self.request) = (new.text, new.number, new.request),
            _ => {}
        }
        if let Some(case) = &mut self.case {
            case.spoil(rng);
        }
    }
}

/// A number of an ioctl that there is not, and that no file has: the kernel answers
/// those of some types before the file is asked.
fn request(rng: &mut impl Rng) -> u32 {
    let known = [
        abi::IOC_ADD,
        abi::IOC_REMOVE,
        abi::IOC_INFO,
        abi::IOC_COMPARE,
    ];
    let one = *known.choose(rng).unwrap_or(&abi::IOC_ADD);
    loop {
        let request = match rng.random_range(0..5) {
            0 => one ^ (1 << rng.random_range(16..32)),
            1 => one ^ (1 << rng.random_range(0..8)),
            2 => (one & !(0x3fff << 16)) | (rng.random_range(0..0x4000) << 16),
            3 => (one & !0xff00) | 0xb000 | (rng.random_range(0..16) << 8),
            _ => (rng.random::<u32>() & !0xff00) | 0xbf00,
        };
        if !known.contains(&request) {
            return request;
        }
    }
}

fn signed(rng: &mut impl Rng) -> i64 {
    match rng.random_range(0..6) {
        0 => i64::MAX - rng.random_range(0..5000),
        1 => i64::MIN + rng.random_range(0..5000),
        2 => -rng.random_range(1..5000),
        3 => rng.random(),
        _ => rng.random_range(0..600),
    }
}

fn length(rng: &mut impl Rng) -> u64 {
    match rng.random_range(0..10) {
        0 => rng.random(),
        1 => u64::MAX - rng.random_range(0..5000),
        2 => i64::MAX as u64 - rng.random_range(0..5000),
        3 => 1 << rng.random_range(12..40),
        4 => 0,
        5..=7 => rng.random_range(1..=17),
        _ => rng.random_range(1..5000),
    }
}

fn text(rng: &mut impl Rng) -> Vec<u8> {
    let modes = [
        "off",
        "shadow",
        "takeover",
        "off\n",
        " shadow ",
        "takeover\n",
    ];
    let mut text = modes
        .choose(rng)
        .map_or(Vec::new(), |mode| mode.as_bytes().to_vec());
    match rng.random_range(0..4) {
        0 => {
            let at = rng.random_range(0..text.len());
            text[at] ^= 1 << rng.random_range(0..8);
        }
        1 => text.extend((0..rng.random_range(0..40)).map(|_| rng.random::<u8>())),
        _ => {}
    }
    text
}

impl CaseInput {
    fn random(rng: &mut impl Rng) -> Self {
        let number = rng.random_range(0..Cases::grid() * 4);
        let spec = Cases { seed: rng.random() }.get(number);
        let mut raw = spec.to_abi();
        if spec.has_arena_args() {
            raw.arena_prog_fd = ARENA as i32;
        }
        let mut case = Self {
            raw,
            progs: spec.progs,
            at: [Place::Good; 3],
            wanted: [rng.random(), rng.random()],
            sound: true,
        };
        for _ in 0..*[0, 1, 1, 2, 4].choose(rng).unwrap_or(&0) {
            case.spoil(rng);
        }
        case
    }

    fn spoil(&mut self, rng: &mut impl Rng) {
        self.sound = false;
        let raw = &mut self.raw;
        let any = |rng: &mut _, small: u32| match Rng::random_range(rng, 0..3) {
            0 => Rng::random(rng),
            1 => 1 << Rng::random_range(rng, 0..32u32),
            _ => Rng::random_range(rng, 0..=small),
        };
        match rng.random_range(0..11) {
            0 => raw.nr_progs = any(rng, abi::CASE_MAX_PROGS + 1),
            1 => raw.flags = any(rng, 0x1ff),
            2 => raw.endbr = any(rng, 2),
            3 => raw.nr_args = any(rng, 13),
            4 => raw.arena_prog_fd = any(rng, 400) as i32,
            5 => raw.reserved = any(rng, 1),
            6 => {
                let at = rng.random_range(0..raw.arg_size.len());
                raw.arg_size[at] = any(rng, 17) as u8;
                raw.arg_flags[at] = any(rng, 15) as u8;
            }
            7 | 8 => {
                if let Some(prog) = self.progs.last_mut() {
                    match rng.random_range(0..4) {
                        0 => prog.list = any(rng, 3),
                        1 => prog.traits = any(rng, 0xff),
                        2 => prog.entry = signed(rng),
                        _ => prog.bpf_cookie = rng.random(),
                    }
                }
            }
            9 => {
                // More programs of the same kind.
                if let Some(&prog) = self.progs.last() {
                    let more = rng.random_range(0..=abi::CASE_MAX_PROGS as usize);
                    self.progs.resize(self.progs.len().max(more), prog);
                    raw.nr_progs = self.progs.len() as u32;
                }
            }
            _ => self.at[rng.random_range(0..3)] = Place::random(rng),
        }
    }
}
