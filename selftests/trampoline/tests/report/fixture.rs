// SPDX-License-Identifier: GPL-2.0

//! A report of images of all kinds, of both builders.

use builder::Quirks;
use oracle::case::{flags, Case, Preamble};
use oracle::cases::{attach, blank, PLAIN};
use oracle::dump::Dumped;
use oracle::memory::{Addresses, Mapping, Placement};
use oracle::rust;
use trampoline::document::{Dump, Hex, Host, Module, Owner, Trampoline};
use trampoline::report::{costs, runs::Runs, Report, Side};

use crate::common;

const CALLED: u32 = flags::CALL_ORIG | flags::SKIP_FRAME;
const STRUCT_OPS: u32 = flags::INDIRECT | flags::RET_FENTRY_RET;

/// A name that would end the element that it stands in.
pub const EVIL: &str = "</script><b>";

/// The name of the program that is detached.
pub const DETACHED: &str = "detached_session";

/// What is traced: name, names and sizes of its arguments, flags, and how many programs: entry,
/// fmod_ret, exit, sessions, sessions with a cookie.
type Traced = (&'static str, &'static [(&'static str, u8)], u32, [usize; 5]);

const FILE: [(&str, u8); 4] = [("file", 8), ("buf", 8), ("count", 8), ("pos", 8)];
const MANY: [(&str, u8); 9] = [
    ("sk", 8),
    ("len", 4),
    ("a", 8),
    ("b", 8),
    ("c", 8),
    ("d", 8),
    ("e", 8),
    ("f", 2),
    ("g", 8),
];

const TRACED: [Traced; 11] = [
    ("vfs_read", &FILE, CALLED, [0, 0, 0, 0, 1]),
    ("vfs_write", &FILE, flags::RESTORE_REGS, [1, 0, 0, 0, 0]),
    (
        "do_unlinkat",
        &[("dfd", 4), ("name", 8)],
        CALLED,
        [0, 0, 1, 0, 0],
    ),
    (
        "security_file_open",
        &[("file", 8)],
        CALLED,
        [1, 1, 1, 0, 0],
    ),
    (
        "hrtimer_nanosleep",
        &[("rqtp", 8), ("mode", 4), ("clockid", 4)],
        CALLED,
        [0, 0, 0, 1, 0],
    ),
    ("tcp_many_arguments", &MANY, CALLED, [1, 0, 1, 0, 1]),
    ("crowded", &[("ptr", 8)], CALLED, [6, 6, 6, 3, 6]),
    (
        "func_ip",
        &[("ptr", 8), ("pair", 16)],
        CALLED | flags::IP_ARG,
        [0, 0, 0, 0, 2],
    ),
    (
        "cong_avoid",
        &[("sk", 8), ("ack", 4), ("acked", 4)],
        STRUCT_OPS,
        [1, 0, 0, 0, 0],
    ),
    ("do_exit", &[("code", 8)], CALLED, [0, 0, 0, 2, 0]),
    (
        "tail_called",
        &[("ctx", 8)],
        CALLED | flags::TAIL_CALL_CTX,
        [1, 0, 1, 0, 0],
    ),
];

fn case((_, args, flags, attached): &Traced) -> Case {
    let sizes: Vec<u8> = args.iter().map(|(_, size)| *size).collect();
    let mut case = blank(&sizes, *flags, PLAIN);
    if flags & flags::INDIRECT != 0 {
        case.preamble = Preamble::Kcfi {
            hash: 0x1234_5678,
            padding: 11,
            endbr: true,
        };
    }
    attach(&mut case, *attached, &mut oracle::case::rng(1));
    case
}

/// Names that people would see in place of the oracle's.
fn name(trampoline: &mut Trampoline, (name, args, ..): &Traced) {
    let Some(target) = &mut trampoline.target else {
        return;
    };
    target.name = (*name).into();
    let known = target.prototype.iter_mut().flat_map(|of| &mut of.args);
    for (arg, (name, _)) in known.zip(*args) {
        arg.decl = format!("{}{name}", arg.decl.trim_end_matches(&arg.name));
        arg.name = (*name).into();
    }
    for symbol in trampoline.symbols.values_mut() {
        *symbol = symbol.replace("function", name);
        if let Some(number) = symbol.strip_prefix("bpf_prog_0123456789abcdef_prog") {
            let program = match number {
                "0" => EVIL.to_owned(),
                number => format!("count_{number}"),
            };
            *symbol = format!("bpf_prog_0123456789abcdef_{program}");
        }
    }
}

/// Patches a session out, as the kernel does.
fn detach(trampoline: &mut Trampoline, nop: u64, target: u64) {
    let from = usize::try_from(nop).unwrap();
    let distance = i32::try_from(target - nop - 5).unwrap();
    trampoline.code[from] = 0xe9;
    trampoline.code[from + 1..from + 5].copy_from_slice(&distance.to_le_bytes());
}

fn traced(traced: &Traced, at: &Addresses, quirks: Quirks) -> Trampoline {
    let case = case(traced);
    let image = rust::request(&case, at, quirks).unwrap().build(at).unwrap();
    let mut trampoline = common::trampoline(&case, at, image.code);
    trampoline.addr = Hex(at.image);
    name(&mut trampoline, traced);
    if traced.0 == "do_exit" {
        let skip = &image.skips[0];
        detach(&mut trampoline, skip.nop, skip.target);
        for symbol in trampoline.symbols.values_mut() {
            *symbol = symbol.replace(EVIL, DETACHED);
        }
    }
    trampoline.owners.push(Owner {
        pid: Some(4242),
        comm: "tracer <1>".into(),
        link: Some(7),
        program: None,
    });
    trampoline
}

fn host(release: &str, mode: &str) -> Host {
    let mitigations = [
        ("retbleed", "Mitigation: Stuffing"),
        ("spectre_v2", "Mitigation: Retpolines; RSB filling"),
        ("meltdown", "Not affected"),
        ("mds", "Not affected"),
    ];
    Host {
        release: release.into(),
        build: "#1 SMP PREEMPT_DYNAMIC Debian (2026-11-20)".into(),
        cpu: "Intel Xeon Processor (Skylake)".into(),
        mitigations: mitigations
            .map(|(name, what)| (name.into(), what.into()))
            .into(),
        mode: Some(mode.into()),
    }
}

fn side(host: Host, trampolines: Vec<Trampoline>) -> Side {
    let label = Side::label(&host);
    let mut dump = Dump::new(host);
    dump.trampolines = trampolines;
    Side { label, dump }
}

/// The recorded images of C, and what the Rust builder makes of the same.
fn recorded(memory: &Mapping, version: &str) -> [Vec<Trampoline>; 2] {
    let here = env!("CARGO_MANIFEST_DIR");
    let path = format!("{here}/../oracle/images/c-{version}.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let at = memory.addresses(Placement {
        high: true,
        offset: 64,
    });
    let mut sides = [Vec::new(), Vec::new()];
    for (nr, line) in text.lines().enumerate() {
        let (case, image) = Dumped::parse(line).unwrap().relocate(&at).unwrap();
        let rust = rust::build(&case, &at).unwrap();
        for (side, code) in sides.iter_mut().zip([image.code, rust.code]) {
            let mut trampoline = common::trampoline(&case, &at, code);
            if let Some(target) = &mut trampoline.target {
                target.name = format!("recorded_{nr:02}");
            }
            side.push(trampoline);
        }
    }
    sides
}

pub fn report() -> Report {
    let memory = Mapping::new().unwrap();
    let at = |offset| memory.addresses(Placement { high: true, offset });
    let other = Quirks {
        aligned_in_scratch: false,
        ..Quirks::C
    };
    let [mut c, mut rust] = recorded(&memory, "7.2");
    c.extend(TRACED.iter().map(|one| traced(one, &at(0x45), Quirks::C)));
    rust.extend(TRACED.iter().map(|one| match one.0 {
        // At another address, and with a quirk less.
        "vfs_write" => traced(one, &at(0x240), Quirks::C),
        _ => traced(one, &at(0x45), other),
    }));
    if let Some(last) = rust.last_mut() {
        last.module = Some(Module {
            flags: CALLED,
            generation: 1,
            identical: Some(true),
        });
    }
    let [newer, _] = recorded(&memory, "7.3");
    // What is no image is told, and everything else is there.
    let broken = Trampoline {
        symbol: "bpf_trampoline_1_broken".into(),
        ..common::bare(vec![0x06, 0x07])
    };
    let newer = newer.into_iter().chain([broken]).collect();
    let mut runs = Runs::default();
    runs.read(include_str!("run.txt"), "run.txt");
    let bench = concat!(env!("CARGO_MANIFEST_DIR"), "/../../doc/bench/7.2.json");
    let bench = std::fs::read_to_string(bench).unwrap();
    Report {
        title: "rust_fsession: a run in VMs".into(),
        dumps: vec![
            side(host("7.2.12+deb13-amd64", "shadow"), c),
            side(host("7.2.12+deb13-amd64", "takeover"), rust),
            side(host("7.3.4+deb13-amd64", "off"), newer),
        ],
        runs,
        costs: vec![costs::Document::parse(&bench).unwrap()],
    }
}
