// SPDX-License-Identifier: GPL-2.0

//! What an image takes, and what a byte of it. In takeover the kernel's first call makes a draft, and
//! its second call completes it; here `build` is both.
//!
//! Programs and kernel are made up, with addresses as they are on x86-64. Memory is there already.

use builder::{
    build, draft, Callee, Draft, Flags, FuncModel, Machine, Preamble, Program, Programs, Quirks,
    Request, Skip, Target, MAX_LINKS,
};
use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;

const TEXT: u64 = 0xffff_ffff_c000_0000;
const IMAGE: u64 = 0xffff_8881_0123_4000;

/// The lists that the programs are on.
#[derive(Clone, Copy)]
enum Kind {
    Fentry,
    ModifyReturn,
    Fexit,
    Session,
}

struct Row {
    name: &'static str,
    kind: Kind,
    cookie: bool,
    nr: u64,
}

const fn row(name: &'static str, kind: Kind, cookie: bool, nr: u64) -> Row {
    Row {
        name,
        kind,
        cookie,
        nr,
    }
}

const ROWS: [Row; 9] = [
    row("fentry", Kind::Fentry, false, 1),
    row("fentry", Kind::Fentry, false, 36),
    row("fmod_ret", Kind::ModifyReturn, false, 1),
    row("fmod_ret", Kind::ModifyReturn, false, 36),
    row("fexit", Kind::Fexit, false, 1),
    row("fsession", Kind::Session, false, 1),
    row("fsession with cookie", Kind::Session, true, 1),
    row("fsession with cookie", Kind::Session, true, 4),
    row("fsession with cookie", Kind::Session, true, 18),
];

fn callee(addr: u64) -> Callee {
    Callee {
        addr,
        counted: false,
    }
}

fn program(number: u64, row: &Row) -> Program {
    Program {
        prog: 0xffff_c900_0020_0000 + number * 0x1000,
        entry: callee(0xffff_ffff_c010_0000 + number * 0x1000),
        insnsi: None,
        enter: callee(0xffff_ffff_8110_0200),
        exit: callee(0xffff_ffff_8110_0300),
        cookie: 0,
        session: matches!(row.kind, Kind::Session),
        session_cookie: row.cookie,
    }
}

/// A current machine without call-depth tracking.
fn machine() -> Machine {
    Machine {
        tramp_enter: callee(0xffff_ffff_8110_0000),
        tramp_exit: callee(0xffff_ffff_8110_0100),
        return_thunk: Some(0xffff_ffff_8200_0000),
        sls: true,
        call_depth: None,
        jmp: false,
        run_ctx_size: 24,
        bpf_cookie_off: 8,
        quirks: Quirks::C,
    }
}

fn images(c: &mut Criterion) {
    let target = Target {
        model: FuncModel::new(&[4], &[0]).unwrap(),
        addr: 0xffff_ffff_8123_4560,
        endbr: true,
        preamble: Preamble::None,
    };
    let machine = machine();
    let mut code = vec![0xcc; 4096];
    let mut skips = vec![Skip::default(); MAX_LINKS];
    let mut working = Draft::default();

    for row in ROWS {
        let list: Vec<_> = (0..row.nr).map(|number| program(number, &row)).collect();
        let (all, none) = (list.as_slice(), [].as_slice());
        let (fentry, fmod_ret, fexit) = match row.kind {
            Kind::Fentry => (all, none, none),
            Kind::ModifyReturn => (none, all, none),
            Kind::Fexit => (none, none, all),
            Kind::Session => (all, none, all),
        };
        let flags = match row.kind {
            Kind::Fentry => Flags::RESTORE_REGS,
            _ => Flags::CALL_ORIG | Flags::SKIP_FRAME,
        };
        let req = Request {
            target: &target,
            flags,
            programs: Programs {
                fentry,
                fmod_ret,
                fexit,
            },
            machine: &machine,
            image: IMAGE,
            arena_base: None,
            scratch_align: 0,
        };
        let marks = draft(&req, TEXT, &mut code, &mut skips, &mut working).unwrap();

        let mut group = c.benchmark_group(row.name);
        group.throughput(Throughput::Bytes(marks.code_len.into()));
        group.bench_function(BenchmarkId::new("build", row.nr), |b| {
            b.iter(|| build(black_box(&req), TEXT, &mut code, &mut skips, &mut working));
        });
        group.bench_function(BenchmarkId::new("draft", row.nr), |b| {
            b.iter(|| draft(black_box(&req), TEXT, &mut code, &mut skips, &mut working));
        });
        group.finish();
    }
}

criterion_group!(benches, images);
criterion_main!(benches);
