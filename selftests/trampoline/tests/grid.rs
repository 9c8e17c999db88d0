// SPDX-License-Identifier: GPL-2.0

//! A reading says of each image what it was built for: the oracle's grid of cases, by the builder
//! of the module. Nothing but the bytes and the names of what they call goes in.

mod common;

use oracle::case::{flags, Case, Half as CaseHalf};
use oracle::cases;
use oracle::memory::Mapping;
use trampoline::reading::{Half, Reading, Role, SlotKind};

/// The flags that show in the code of a case's image.
fn shown_flags(case: &Case) -> u32 {
    let mut shown = case.flags & !flags::SHARE_IPMODIFY;
    // Without a check there is nothing that tells.
    if case.has(flags::INDIRECT) && case.preamble == oracle::case::Preamble::None {
        shown &= !flags::INDIRECT;
    }
    // What is kept of a program is its return value.
    if case.fentry.is_empty() {
        shown &= !flags::RET_FENTRY_RET;
    }
    if case.args.is_empty() {
        shown &= !flags::RESTORE_REGS;
    }
    shown
}

fn role(case: &Case, half: CaseHalf, session: bool) -> (Role, Option<Half>) {
    match half {
        CaseHalf::Entry if session => (Role::Fsession, Some(Half::Entry)),
        CaseHalf::Return if session => (Role::Fsession, Some(Half::Return)),
        CaseHalf::Entry if case.has(flags::RET_FENTRY_RET) => (Role::StructOps, None),
        CaseHalf::Entry => (Role::Fentry, None),
        CaseHalf::ModifyReturn => (Role::FmodRet, None),
        CaseHalf::Return => (Role::Fexit, None),
    }
}

fn check(case: &Case, reading: &Reading) {
    let calls = case.calls();
    assert_eq!(reading.calls.len(), calls.len(), "programs");
    let ip_words = u8::from(case.has(flags::IP_ARG));
    let all = case
        .fentry
        .iter()
        .filter(|prog| prog.session_cookie)
        .count();
    let mut cookies: u8 = 0;
    for (read, call) in reading.calls.iter().zip(&calls) {
        let (role, half) = role(case, call.half, call.prog.session);
        assert_eq!((read.role, read.half), (role, half));
        assert_eq!(read.prog.0, call.prog.addr);
        assert_eq!(read.bpf_cookie, call.prog.bpf_cookie);
        assert_eq!(
            read.name(),
            Some(format!("prog{}", call.prog.code).as_str())
        );
        assert!(!read.detached);
        if call.prog.session_cookie && half == Some(Half::Entry) {
            // The first one is the lowest.
            cookies += 1;
            assert_eq!(read.cookie_index, Some(2 + ip_words + all as u8 - cookies));
        }
        if !call.prog.session_cookie {
            assert_eq!(read.cookie_index, None);
        }
    }
    if !calls.is_empty() {
        assert_eq!(reading.flags, shown_flags(case), "flags");
        check_frame(case, reading, cookies);
    }
}

fn check_frame(case: &Case, reading: &Reading, cookies: u8) {
    let frame = &reading.frame;
    let words: u8 = case.args.iter().map(|arg| arg.size.div_ceil(8)).sum();
    assert_eq!(frame.nr_args, Some(words));
    let count = |wanted: fn(&SlotKind) -> bool| {
        frame.slots.iter().filter(|slot| wanted(&slot.kind)).count()
    };
    assert_eq!(
        count(|kind| matches!(kind, SlotKind::Argument { .. })),
        usize::from(words)
    );
    assert_eq!(
        count(|kind| matches!(kind, SlotKind::SessionCookie { .. })),
        usize::from(cookies)
    );
    assert_eq!(count(|kind| matches!(kind, SlotKind::Metadata { .. })), 1);
    assert_eq!(count(|kind| matches!(kind, SlotKind::SavedRbx)), 1);
    assert_eq!(count(|kind| matches!(kind, SlotKind::RunContext)), 1);
    let keeps = usize::from(case.keeps_return_value());
    assert_eq!(count(|kind| matches!(kind, SlotKind::ReturnValue)), keeps);
    let counter = usize::from(case.has(flags::TAIL_CALL_CTX));
    assert_eq!(
        count(|kind| matches!(kind, SlotKind::TailCallCount)),
        counter
    );
    let on_stack = oracle::abi::stack_words(&oracle::abi::places(&case.args));
    assert_eq!(
        count(|kind| matches!(kind, SlotKind::CallerArgument { .. })),
        on_stack
    );
    let passed = if case.has(flags::CALL_ORIG) {
        on_stack
    } else {
        0
    };
    assert_eq!(
        count(|kind| matches!(kind, SlotKind::PassedArgument { .. })),
        passed
    );
    // No two of them share a byte, but for what lies in the run context.
    for (above, below) in frame.slots.iter().zip(frame.slots.iter().skip(1)) {
        let nested = matches!(above.kind, SlotKind::BpfCookie | SlotKind::RunContext)
            && matches!(below.kind, SlotKind::BpfCookie | SlotKind::RunContext);
        assert!(nested || below.end() <= above.at, "{above:?} and {below:?}");
    }
    for (line, next) in reading.lines.iter().zip(reading.lines.iter().skip(1)) {
        assert!(line.phase <= next.phase, "{:?} then {:?}", line, next);
    }
}

/// Whether no two programs have one address, as in a kernel. The oracle's are random.
fn is_distinct(case: &Case) -> bool {
    let calls = case.calls();
    calls.iter().all(|call| {
        let same = calls
            .iter()
            .filter(|other| other.prog.addr == call.prog.addr);
        same.count() == 1 + usize::from(call.prog.session)
    })
}

#[test]
fn grid() {
    let memory = Mapping::new().unwrap();
    let mut read = 0;
    for sample in cases::grid().chain(cases::full()) {
        if !is_distinct(&sample.case) {
            continue;
        }
        let Some(built) = common::built(&sample, &memory) else {
            continue;
        };
        let reading = Reading::new(&built).unwrap();
        let checked = std::panic::catch_unwind(|| check(&sample.case, &reading));
        if checked.is_err() {
            eprintln!("{}", trampoline::view::listing::listing(&reading, 100));
            eprintln!("{}", trampoline::view::picture::picture(&reading, 80));
            panic!("{:#?}", sample.case);
        }
        read += 1;
    }
    assert!(read > 10_000, "{read}");
}
