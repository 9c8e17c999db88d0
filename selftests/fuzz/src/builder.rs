// SPDX-License-Identifier: GPL-2.0

//! Builds images from arbitrary bytes. Checks that the builder returns, that it writes only to its
//! buffers, and that the measured size is the size of the image.
//!
//! The fuzz target and a deterministic test (`oracle/tests/fuzz_body.rs`) share this file.

use ::builder::{
    build, draft, CallDepth, Callee, Draft, Error, Flags, FuncModel, Machine, Marks, Preamble,
    Program, Programs, Quirks, Request, Skip, Target, IMAGE_MAX, MAX_ARGS, MAX_LINKS,
};
use arbitrary::{Arbitrary, Result, Unstructured};

/// Bytes after a buffer.
const CANARY: u8 = 0xa5;
const CANARIES: usize = 64;
const NO_SKIP: Skip = Skip {
    prog: 0xa5a5_a5a5,
    nop: 0xa5a5,
    target: 0xa5a5,
};

/// Address of most images.
const IP: u64 = 0xffff_ffff_c000_0000;

/// Result of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The parts of the request are refused.
    Refused(Error),
    /// Results of `draft()` and of `build()`.
    Built(
        core::result::Result<Marks, Error>,
        core::result::Result<Marks, Error>,
    ),
}

/// Tests the builder with one input.
///
/// # Panics
///
/// The builder has a bug.
pub fn check(data: &[u8]) -> Option<Outcome> {
    Input::arbitrary(&mut Unstructured::new(data))
        .map(|input| input.check())
        .ok()
}

/// Input of the builder.
struct Input {
    sizes: Vec<u8>,
    arg_flags: Vec<u8>,
    flags: u32,
    addr: u64,
    endbr: bool,
    preamble: Preamble,
    fentry: Vec<Program>,
    fmod_ret: Vec<Program>,
    fexit: Vec<Program>,
    machine: Machine,
    image: u64,
    arena_base: Option<u64>,
    scratch_align: u8,
    ip: u64,
    room: usize,
    records: usize,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Usually, each of these is as in the kernel.
        let [odd, far, tight, malformed] = [(); 4].map(|()| u.ratio(1, 8));
        let (odd, far, tight, malformed) = (odd?, far?, tight?, malformed?);
        let flags = flags(u, odd)?;
        let machine = machine(u, odd, far)?;
        let preamble = preamble(u, far)?;
        let (addr, endbr, image) = (address(u, far)?, bool::arbitrary(u)?, immediate(u)?);
        let arena_base = Option::arbitrary(u)?;
        let scratch_align = u8::arbitrary(u)?;
        let ip = if far { u64::arbitrary(u)? } else { IP };
        let room = u.int_in_range(0..=usize::from(IMAGE_MAX) + 128)?;
        let room = if tight { room } else { IMAGE_MAX.into() };
        let records = u.int_in_range(0..=MAX_LINKS + 4)?;
        let records = if tight { records } else { MAX_LINKS };

        let nr_args = u.int_in_range(0..=if malformed { MAX_ARGS + 2 } else { 8 })?;
        let size = |u: &mut Unstructured<'a>| u.int_in_range(0..=if malformed { 18 } else { 16 });
        let sizes = (0..nr_args).map(|_| size(u)).collect::<Result<_>>()?;
        let arg_flags = (0..nr_args).map(|_| u.arbitrary()).collect::<Result<_>>()?;

        let mut input = Self {
            sizes,
            arg_flags,
            flags,
            addr,
            endbr,
            preamble,
            fentry: Vec::new(),
            fmod_ret: Vec::new(),
            fexit: Vec::new(),
            machine,
            image,
            arena_base,
            scratch_align,
            ip,
            room,
            records,
        };
        // The rest of the bytes are programs.
        while !u.is_empty() && input.fentry.len() + input.fexit.len() < 2 * MAX_LINKS {
            let program = program(u, odd, far)?;
            match u.int_in_range(0..=3)? {
                0 => input.fentry.push(program),
                1 => input.fmod_ret.push(program),
                2 => input.fexit.push(program),
                _ => {
                    let session = Program {
                        session: true,
                        ..program
                    };
                    input.fentry.push(session);
                    input.fexit.push(session);
                }
            }
        }
        Ok(input)
    }
}

fn flags(u: &mut Unstructured<'_>, odd: bool) -> Result<u32> {
    if odd {
        // Bit 9 is an unknown flag.
        return Ok(u32::arbitrary(u)? & 0x3ff);
    }
    let orig = Flags::CALL_ORIG.bits();
    let skip = orig | Flags::SKIP_FRAME.bits();
    let kinds = [
        Flags::RESTORE_REGS.bits(),
        orig,
        skip,
        skip | Flags::ORIG_STACK.bits(),
        Flags::INDIRECT.bits(),
        Flags::INDIRECT.bits() | Flags::RET_FENTRY_RET.bits(),
    ];
    let kind = *u.choose(&kinds)?;
    let extra = Flags::IP_ARG | Flags::TAIL_CALL_CTX | Flags::SHARE_IPMODIFY;
    let extra = extra.bits() & u32::arbitrary(u)?;
    Ok(if kind & Flags::INDIRECT.bits() != 0 {
        kind
    } else {
        kind | extra
    })
}

/// An address in reach of an image, or any address.
fn address(u: &mut Unstructured<'_>, far: bool) -> Result<u64> {
    let any = u64::arbitrary(u)?;
    let near = IP - (1 << 30) + (any >> 34);
    Ok(if far && u.ratio(1, 8)? { any } else { near })
}

/// A value of any width.
fn immediate(u: &mut Unstructured<'_>) -> Result<u64> {
    let value = u64::arbitrary(u)? >> u.int_in_range(0..=63)?;
    Ok(if bool::arbitrary(u)? { !value } else { value })
}

fn callee(u: &mut Unstructured<'_>, far: bool) -> Result<Callee> {
    Ok(Callee {
        addr: address(u, far)?,
        counted: u.arbitrary()?,
    })
}

fn program(u: &mut Unstructured<'_>, odd: bool, far: bool) -> Result<Program> {
    Ok(Program {
        prog: immediate(u)?,
        entry: callee(u, far)?,
        insnsi: if u.ratio(1, 4)? {
            Some(immediate(u)?)
        } else {
            None
        },
        enter: callee(u, far)?,
        exit: callee(u, far)?,
        cookie: immediate(u)?,
        session: odd && u.arbitrary()?,
        session_cookie: u.arbitrary()?,
    })
}

fn preamble(u: &mut Unstructured<'_>, far: bool) -> Result<Preamble> {
    Ok(match u.int_in_range(0..=3)? {
        0 => Preamble::None,
        1 => Preamble::Endbr,
        2 => Preamble::Kcfi {
            hash: u.arbitrary()?,
            padding: u.arbitrary()?,
            endbr: u.arbitrary()?,
        },
        _ => Preamble::FineIbt {
            hash: u.arbitrary()?,
            bhi: optional(u, far)?,
        },
    })
}

fn optional(u: &mut Unstructured<'_>, far: bool) -> Result<Option<u64>> {
    Ok(if u.arbitrary()? {
        Some(address(u, far)?)
    } else {
        None
    })
}

fn machine(u: &mut Unstructured<'_>, odd: bool, far: bool) -> Result<Machine> {
    let [a, b, c, d, e]: [bool; 5] = u.arbitrary()?;
    let quirks = Quirks {
        indirect_args_too_high: a,
        aligned_in_scratch: b,
        tail_call_count_in_args: c,
        return_slot_not_reserved: d,
        bare_original_call: e,
    };
    let call_depth = match optional(u, far)? {
        Some(depth) => Some(CallDepth {
            depth,
            calls: optional(u, far)?,
        }),
        None => None,
    };
    let sizes: (u16, u16) = u.arbitrary()?;
    let (run_ctx_size, bpf_cookie_off) = if odd { sizes } else { (sizes.0 & 0xff, 8) };
    Ok(Machine {
        tramp_enter: callee(u, far)?,
        tramp_exit: callee(u, far)?,
        return_thunk: optional(u, far)?,
        sls: u.arbitrary()?,
        call_depth,
        jmp: u.arbitrary()?,
        run_ctx_size,
        bpf_cookie_off,
        quirks: if odd { quirks } else { Quirks::C },
    })
}

impl Input {
    fn check(&self) -> Outcome {
        let model = match FuncModel::new(&self.sizes, &self.arg_flags) {
            Ok(model) => model,
            Err(error) => return Outcome::Refused(error),
        };
        let flags = match Flags::from_bits(self.flags) {
            Ok(flags) => flags,
            Err(error) => return Outcome::Refused(error),
        };
        let target = Target {
            model,
            addr: self.addr,
            endbr: self.endbr,
            preamble: self.preamble,
        };
        let request = Request {
            target: &target,
            flags,
            programs: Programs {
                fentry: &self.fentry,
                fmod_ret: &self.fmod_ret,
                fexit: &self.fexit,
            },
            machine: &self.machine,
            image: self.image,
            arena_base: self.arena_base,
            scratch_align: self.scratch_align,
        };

        let mut working = Draft::default();
        let (mut ample, mut ample_skips) = ([0; IMAGE_MAX as usize], [NO_SKIP; MAX_LINKS]);
        let drafted = draft(
            &request,
            self.ip,
            &mut ample,
            &mut ample_skips,
            &mut working,
        );
        let mut buf = vec![CANARY; self.room + CANARIES];
        let mut skips = vec![NO_SKIP; self.records + CANARIES];
        let (room, records) = (&mut buf[..self.room], &mut skips[..self.records]);
        let built = build(&request, self.ip, room, records, &mut working);

        let (code, nr_skips) = match built {
            Ok(image) => (image.code_len.into(), image.nr_skips.into()),
            Err(_) => (self.room, self.records),
        };
        assert!(buf[code..].iter().all(|&byte| byte == CANARY));
        assert!(skips[nr_skips..].iter().all(|&skip| skip == NO_SKIP));
        match (drafted, built) {
            (Ok(size), Ok(image)) => {
                assert_eq!(size, image);
                self.whole(&request, &image, &buf[..code]);
            }
            // The draft had buffers that are large enough, but no place for copies.
            (Ok(size), Err(error)) => {
                let fits = usize::from(size.code_len) <= self.room;
                let room = fits && usize::from(size.nr_skips) <= self.records;
                assert_eq!(
                    error,
                    if room {
                        Error::OutOfRange
                    } else {
                        Error::TooBig
                    }
                );
            }
            (Err(draft), Err(error)) => {
                assert!(error == draft || error == Error::TooBig || draft == Error::TooBig)
            }
            (Err(error), Ok(_)) => panic!("built what cannot be drafted: {error:?}"),
        }
        Outcome::Built(drafted, built)
    }

    /// The image fits a buffer of its size, and none that is smaller.
    fn whole(&self, request: &Request<'_>, image: &Marks, code: &[u8]) {
        assert!(image.fp_start < image.fp_end && image.fp_end < image.code_len);
        assert!(image.size() <= IMAGE_MAX);

        let mut skips = [NO_SKIP; MAX_LINKS];
        let mut exact = vec![0; code.len()];
        let mut working = Draft::default();
        let built = build(request, self.ip, &mut exact, &mut skips, &mut working);
        assert_eq!(built, Ok(*image));
        assert_eq!(exact, code);
        let short = &mut exact[..code.len() - 1];
        assert_eq!(
            build(request, self.ip, short, &mut skips, &mut working),
            Err(Error::TooBig)
        );
    }
}
