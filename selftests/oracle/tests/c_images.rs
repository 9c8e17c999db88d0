// SPDX-License-Identifier: GPL-2.0

//! Images of the C builder keep the contract.
//!
//! `images/` holds what the C builders of two kernels made of cases like those of `cases::random`:
//! `__arch_prepare_bpf_trampoline()` of `arch/x86/net/bpf_jit_comp.c` was compiled for user space
//! and given addresses of a kernel for programs and images. `ORACLE_IMAGES=file...` adds other
//! dumps, in the form that `oracle::dump` describes.
//!
//! They are few, but `make compare` compares the images of both builders byte by byte for the same
//! request and address, and an image differs between addresses only in what is relative to RIP (see
//! the last test). So what the oracle finds for a Rust image on the host holds for the C image in
//! the kernel.

use oracle::case::{flags, Case, Prog};
use oracle::cases::random;
use oracle::checker::Checker;
use oracle::contract::Rule;
use oracle::dump::{Dumped, DumpedPreamble, DumpedProg, Hex};
use oracle::image::Image;
use oracle::memory::{stub, Addresses, Placement};
use oracle::{abi, case, rust};
use std::{env, fs};

const HIGH: Placement = Placement {
    high: true,
    offset: 0x40,
};
const LOW: Placement = Placement {
    high: false,
    offset: 0x6a0,
};

/// The rule that the image breaks because of a known quirk of its builder.
fn quirk(kernel: &str, case: &Case) -> Option<Rule> {
    let on_stack = abi::stack_words(&abi::places(&case.args)) != 0;
    let indirect = case.has(flags::INDIRECT) && !case.fentry.is_empty();
    // `Quirks::indirect_args_too_high`
    (kernel.starts_with("7.2") && indirect && on_stack).then_some(Rule::ContextArguments)
}

/// Checks a dump and returns how many images passed, and how many showed a quirk.
fn check(path: &str) -> (usize, usize) {
    let dump = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut checker = Checker::new().unwrap();
    let (mut passed, mut quirks) = (0, 0);
    for (number, line) in (1..).zip(dump.lines()) {
        let place = format!("{path}:{number}");
        let at = checker.addresses(if number % 2 == 0 { LOW } else { HIGH });
        let dumped = Dumped::parse(line).unwrap_or_else(|e| panic!("{place}: {e}"));
        let (case, image) = dumped
            .relocate(&at)
            .unwrap_or_else(|e| panic!("{place}: {e}"));
        let report = checker.check(&case, &image, &at, 0);
        match (quirk(&dumped.kernel, &case), report.violations.first()) {
            (None, None) => passed += 1,
            (Some(rule), Some(_)) if report.rules().contains(&rule) => quirks += 1,
            (quirk, first) => {
                let first = first.map_or("no violation".into(), ToString::to_string);
                panic!(
                    "{place}: {first}, expected {quirk:?}, at {:?}",
                    report.failed
                );
            }
        }
    }
    (passed, quirks)
}

#[test]
fn c_images_pass() {
    let own = ["7.2", "7.3"].map(|version| {
        let here = env!("CARGO_MANIFEST_DIR");
        format!("{here}/images/c-{version}.jsonl")
    });
    let given = env::var("ORACLE_IMAGES").unwrap_or_default();
    let given = given.split_whitespace().map(String::from);
    for path in own.into_iter().chain(given) {
        let (passed, quirks) = check(&path);
        let file = path.rsplit('/').next().unwrap_or_default();
        println!("{file}: {passed} images passed, {quirks} showed a known quirk");
        assert!(passed > 0, "{path} is empty");
    }
}

/// The dump of an image at `at`.
fn dump(case: &Case, image: &Image, at: &Addresses) -> Dumped {
    let hex = |id: usize| Hex(at.stub(id));
    let counted = |id: &usize| (case.machine.counted >> (id % 64)) & 1 != 0;
    let progs = |progs: &[Prog]| -> Vec<_> {
        let dumped = progs.iter().map(|prog| DumpedProg {
            prog: Hex(prog.addr),
            entry: hex(stub::PROG + prog.code),
            insnsi: prog.insnsi.map(Hex),
            enter: hex(stub::ENTER + prog.pair),
            exit: hex(stub::EXIT + prog.pair),
            bpf_cookie: Hex(prog.bpf_cookie),
            session: prog.session,
            session_cookie: prog.session_cookie,
        });
        dumped.collect()
    };
    let callees = case.calls().into_iter().flat_map(|call| {
        let prog = call.prog;
        [
            stub::PROG + prog.code,
            stub::ENTER + prog.pair,
            stub::EXIT + prog.pair,
        ]
    });
    let callees = callees.chain([stub::TRAMP_ENTER, stub::TRAMP_EXIT]);
    let machine = &case.machine;
    Dumped {
        kernel: "none".into(),
        ip: Hex(at.image),
        flags: case.flags,
        args: case.args.iter().map(|arg| (arg.size, arg.flags)).collect(),
        func: Hex(at.func()),
        endbr: case.endbr,
        im: Hex(case.im),
        arena: case.arena.map(Hex),
        preamble: match case.preamble {
            case::Preamble::None => None,
            case::Preamble::Endbr => Some(DumpedPreamble::Endbr),
            case::Preamble::Kcfi {
                hash,
                padding,
                endbr,
            } => Some(DumpedPreamble::Kcfi(hash, padding, endbr)),
            case::Preamble::FineIbt { hash, bhi } => {
                let thunk = bhi.then(|| hex(stub::BHI_THUNK));
                Some(DumpedPreamble::FineIbt(hash, thunk))
            }
        },
        sls: machine.sls,
        jmp: machine.jmp,
        run_ctx: (machine.run_ctx_size, machine.bpf_cookie_off),
        tramp_enter: hex(stub::TRAMP_ENTER),
        tramp_exit: hex(stub::TRAMP_EXIT),
        return_thunk: machine.return_thunk.then(|| hex(stub::RETURN_THUNK)),
        call_depth: machine.call_depth.then(|| Hex(at.depth())),
        call_count: (machine.call_depth && machine.call_count).then(|| Hex(at.calls())),
        counted: callees.filter(counted).map(hex).collect(),
        fentry: progs(&case.fentry),
        fmod_ret: progs(&case.fmod_ret),
        fexit: progs(&case.fexit),
        code: hex::encode(&image.code),
        skips: image
            .skips
            .iter()
            .map(|s| (Hex(s.prog), s.nop, s.target))
            .collect(),
        fp: image.fp,
    }
}

/// A relocated image is equal to one that was built for the new address.
#[test]
fn relocated_images_are_equal() {
    let checkers = [0; 2].map(|_| Checker::new().unwrap());
    let from = checkers[0].addresses(HIGH);
    let to = checkers[1].addresses(LOW);
    let mut moved = 0;
    for number in 0..500 {
        let mut case = random(number).case;
        // The function's address is an immediate, which is not relocated.
        case.flags &= !flags::IP_ARG;
        let Ok(image) = rust::build(&case, &from) else {
            continue;
        };
        let line = serde_json::to_string(&dump(&case, &image, &from)).unwrap();
        // Stubs have other numbers after relocation, so the case is another one.
        let (case, arrived) = Dumped::parse(&line).unwrap().relocate(&to).unwrap();
        assert_eq!(Ok(arrived), rust::build(&case, &to), "case {number}");
        moved += 1;
    }
    println!("{moved} images relocated");
    assert!(moved > 400);
}

#[test]
fn unknown_addresses_are_refused() {
    let checker = Checker::new().unwrap();
    let at = checker.addresses(LOW);
    let mut cases = (0..).map(|number| random(number).case);
    let small = |case: &Case| case.has(flags::CALL_ORIG) && case.calls().len() < 4;
    let case = cases.find(small).unwrap();
    let image = rust::build(&case, &at).unwrap();
    let good = dump(&case, &image, &at);
    assert!(good.relocate(&at).is_ok());

    let elsewhere = Dumped {
        tramp_enter: Hex(0x1000),
        ..good.clone()
    };
    assert!(elsewhere
        .relocate(&at)
        .unwrap_err()
        .contains("unknown address"));
    let twice = Dumped {
        tramp_enter: good.tramp_exit,
        ..good
    };
    assert!(twice.relocate(&at).unwrap_err().contains("both"));
    assert!(Dumped::parse("{}").is_err());
}
