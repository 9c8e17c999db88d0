// SPDX-License-Identifier: GPL-2.0

//! Trampolines from the oracle's cases, as a kernel would name them.

use oracle::case::Case;
use oracle::cases::Sample;
use oracle::memory::{stub, Addresses, Mapping};
use oracle::rust;
use trampoline::document::{Arg, Hex, Kind, Prototype, Ret, Target, Trampoline};

const PAIRS: [&str; oracle::case::PAIRS] = [
    "",
    "_recur",
    "_sleepable",
    "_sleepable_recur",
    "_lsm_cgroup",
];

/// The trampoline of a case, built by the Rust builder. None where that refuses the case.
pub fn built(sample: &Sample, memory: &Mapping) -> Option<Trampoline> {
    let at = memory.addresses(sample.placement);
    let code = rust::build(&sample.case, &at).ok()?.code;
    Some(trampoline(&sample.case, &at, code))
}

pub fn trampoline(case: &Case, at: &Addresses, code: Vec<u8>) -> Trampoline {
    let mut trampoline = bare(code);
    trampoline.addr = Hex(at.image);
    trampoline.target = Some(target(case, at.func()));
    if case.has(oracle::case::flags::INDIRECT) {
        trampoline.kind = Kind::StructOps;
    }
    let mut name = |addr: u64, name: String| trampoline.symbols.insert(Hex(addr), name);
    name(at.stub(stub::TRAMP_ENTER), "__bpf_tramp_enter".into());
    name(at.stub(stub::TRAMP_EXIT), "__bpf_tramp_exit".into());
    name(at.stub(stub::RETURN_THUNK), "__x86_return_thunk".into());
    let entry = if case.endbr { 9 } else { 5 };
    name(at.func() + entry, format!("function+{entry:#x}"));
    for (nr, pair) in PAIRS.iter().enumerate() {
        name(at.stub(stub::ENTER + nr), format!("__bpf_prog_enter{pair}"));
        name(at.stub(stub::EXIT + nr), format!("__bpf_prog_exit{pair}"));
    }
    for call in case.calls() {
        let code = call.prog.code;
        name(
            at.stub(stub::PROG + code),
            format!("bpf_prog_0123456789abcdef_prog{code}"),
        );
    }
    trampoline
}

/// An image of which nothing is known but its bytes.
pub fn bare(code: Vec<u8>) -> Trampoline {
    let mut trampoline = Trampoline::of_bytes(
        "bpf_trampoline_6442512345",
        Hex(0xffff_ffff_c020_1000),
        code,
    );
    trampoline.key = Some(6_442_512_345);
    trampoline
}

/// A function with these arguments, called `a`, `b`, and so on.
fn target(case: &Case, addr: u64) -> Target {
    let args = (b'a'..).zip(&case.args).map(|(letter, arg)| {
        let name = char::from(letter).to_string();
        let is_struct = arg.size > 8;
        let decl = if is_struct {
            format!("struct pair {name}")
        } else {
            format!("u{} {name}", 8 * u32::from(arg.size))
        };
        Arg {
            decl,
            name,
            size: arg.size.into(),
            is_signed: false,
            is_struct,
        }
    });
    Target {
        name: "function".into(),
        addr: Some(Hex(addr)),
        module: None,
        program: None,
        prototype: Some(Prototype {
            args: args.collect(),
            ret: Ret {
                decl: "int".into(),
                size: 4,
                is_signed: true,
            },
        }),
    }
}
