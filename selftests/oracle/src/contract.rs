// SPDX-License-Identifier: GPL-2.0

//! The contract of a trampoline image, whichever builder made it.
//!
//! A traced function begins with an instruction that enters the image. From there to the return to
//! the function's caller the rules below hold. The checks of this module implement them, and
//! [`Rule`] names them.
//!
//! # Order of calls ([`expectation`])
//!
//! 1. With `CALL_ORIG`, `__bpf_tramp_enter(im)` is called first.
//! 2. The entry programs run in their order, then the fmod_ret programs in theirs. The first
//!    fmod_ret program that returns a value other than 0 (in all 64 bits) is the last one to run.
//! 3. With `CALL_ORIG` the function is called, behind the instruction that entered the image,
//!    unless an fmod_ret program replaced it. With `ORIG_STACK`, the function whose address is on
//!    the stack at the image's entry is called instead.
//! 4. The exit programs run in their order.
//! 5. With `CALL_ORIG`, `__bpf_tramp_exit(im)` is called.
//! 6. The image returns into the function, behind the instruction that entered the image. With
//!    `SKIP_FRAME`, or if it was entered by `jmp` or an indirect call, it returns to the function's
//!    caller. It returns through the return thunk if the machine has one.
//!
//! A program runs in three steps. With the BPF cookie in the run context, `enter(prog, run_ctx)` is
//! called. Unless it returns 0 (in all 64 bits), the program is called. Then
//! `exit(prog, start, run_ctx)` is called with the result of `enter` and the same run context, which
//! only these three may change.
//!
//! # Context of programs ([`calls`])
//!
//! The first argument of a program is `ctx`; the second one of an interpreted program is `insnsi`.
//!
//! - `ctx[0]`, `ctx[1]`, ... are the 8-byte words of the arguments as the caller passed them, at
//!   entry and at return, even if the function changes its own copies. Half of a word that the
//!   caller need not write reads 0. An argument that points into an arena is the lower half of its
//!   offset from the arena's start, except that a `NULL` stays 0 where it is allowed.
//! - The word after them is the return value. At return it is that of the function or of the
//!   fmod_ret program that replaced it; it is 0 for an fmod_ret program and at the entry of a
//!   session.
//! - `ctx[-1]` is the metadata word: number of argument words in bits 0 to 7, cookie index in bits
//!   8 to 15, 0 in bits 16 to 62. The index is 0 if no program has a session cookie. Bit 63 is
//!   clear before the function runs, and set for sessions afterwards.
//! - `ctx[-2]` is the address of the function, with `IP_ARG`.
//! - The session cookie of a program that uses one is at `ctx[-index]`. It is 0 at entry; at return
//!   it is the value that the program wrote at entry. Nothing else writes to it.
//!
//! # The function and its caller ([`calls`])
//!
//! - The function gets its arguments as the caller passed them, in registers and on the stack, if
//!   the image calls it or, with `RESTORE_REGS`, returns into it. With `TAIL_CALL_CTX` it gets RAX
//!   as well. The function may overwrite its arguments on the stack.
//! - Arguments on the stack are aligned to 16 bytes, if those of the caller are. RSP is aligned to
//!   8 bytes at all other calls, as it is in the kernel.
//! - RBX, RBP, RSP and R12 to R15 are restored for the caller, and for a function that the image
//!   returns into. Nothing above the image's own frame is written.
//! - RAX is the return value of the function, or of the fmod_ret program that replaced it; with
//!   `RET_FENTRY_RET`, of the last entry program that ran. If none ran, it is undefined, as with
//!   the kernel's builder.
//!
//! # Mitigations ([`records`])
//!
//! - With call-depth tracking, each call is accounted for once, the one that entered the image
//!   included. Jumps and returns are not, nor are calls of thunks that do their own accounting.
//! - An `int3` follows each `ret`, if the machine needs it.
//! - An indirect image begins with what its callers check: `endbr64`; the kCFI hash in front of the
//!   entry; the FineIBT check, which traps if the hash is another one.
//!
//! # Records ([`records`])
//!
//! - Each program call has a skip record with its program, in order. There is a 5-byte nop at
//!   `nop`. Once it is patched to a jump to `target`, which may happen at any time, the program and
//!   its helpers do not run, and everything else is as if the program were not attached.
//! - Between `fp_start` and `fp_end`, and only there, RBP points to the caller's RBP, below the
//!   return address.

mod calls;
pub mod expectation;
pub mod records;

use crate::abi::reg;
use crate::case::Case;
use crate::child::Crash;
use crate::image::Image;
use crate::memory::{Addresses, Event, Trace, CALLS, DEPTH};
use expectation::Expectation;
use std::collections::BTreeSet;
use std::fmt;

/// A rule of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The image returns.
    Returns,
    /// The expected functions are called in order, and no others.
    Order,
    /// Arguments of helpers.
    HelperArguments,
    /// The run context lies in the image's frame, and only the image and the helpers write to it.
    RunContext,
    /// The BPF cookie in the run context.
    BpfCookie,
    /// The function's arguments at `ctx`.
    ContextArguments,
    /// The return value behind them.
    ContextReturnValue,
    /// The metadata word.
    Metadata,
    /// `ctx[-2]`.
    FunctionIp,
    /// Session cookies.
    SessionCookie,
    /// The function's arguments in registers.
    RegisterArguments,
    /// The function's arguments on the stack.
    StackArguments,
    /// RAX at the function.
    TailCallContext,
    /// Alignment of the stack.
    Alignment,
    /// Registers that belong to the caller.
    CalleeSaved,
    /// RSP, and where the image returns to.
    StackPointer,
    /// Memory that belongs to the caller.
    CallerMemory,
    /// RAX at the caller.
    ReturnValue,
    /// Call-depth tracking.
    CallDepth,
    /// Preamble of an indirect image.
    Preamble,
    /// `int3` after `ret`.
    StraightLine,
    /// Skip records.
    SkipRecords,
    /// Frame pointer marks.
    FramePointer,
}

/// A rule that an image broke.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// Result of checking one run.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub violations: Vec<Violation>,
    /// Number of calls with RSP aligned to 8 bytes only.
    pub calls_at_8: usize,
    /// Number of calls.
    pub calls: usize,
    /// Offsets of the instructions that ran, if the run was single-stepped.
    pub run: BTreeSet<u64>,
}

impl Findings {
    pub fn rules(&self) -> BTreeSet<Rule> {
        self.violations.iter().map(|v| v.rule).collect()
    }

    fn violation(&mut self, rule: Rule, detail: impl Into<String>) {
        let detail = detail.into();
        self.violations.push(Violation { rule, detail });
    }

    /// Adds a violation unless `actual` is `expected`.
    fn expect<T: PartialEq + fmt::LowerHex>(
        &mut self,
        rule: Rule,
        what: impl fmt::Display,
        actual: T,
        expected: T,
    ) {
        if actual != expected {
            self.violation(rule, format!("{what} is {actual:#x}, not {expected:#x}"));
        }
    }
}

/// A run, with all that it is checked against.
pub struct Run<'a> {
    pub case: &'a Case,
    pub image: &'a Image,
    pub expectation: &'a Expectation,
    pub trace: &'a Trace,
    pub at: &'a Addresses,
}

/// Checks a run that returned to the caller.
pub fn check_returned(run: &Run<'_>) -> Findings {
    let mut findings = Findings::default();
    events(&mut findings, run);
    end(&mut findings, run);
    records::check_steps(&mut findings, run);
    findings
}

/// Checks a run that did not.
pub fn check_crashed(run: &Run<'_>, crash: Crash) -> Findings {
    let mut findings = Findings::default();
    events(&mut findings, run);
    if crash != Crash::WrongCall || findings.violations.is_empty() {
        findings.violation(Rule::Returns, format!("{crash:?}"));
    }
    findings
}

fn events(findings: &mut Findings, run: &Run<'_>) {
    let Run {
        expectation,
        trace,
        case,
        ..
    } = *run;
    let events = &trace.events[..trace.nr_events as usize];

    let mut call_checker = calls::CallChecker::new(run);
    for (number, (spec, event)) in expectation.events.iter().zip(events).enumerate() {
        if event.id != spec.stub as u64 {
            let detail = format!("event {number} is {}, not {:?}", event.id, spec.kind);
            return findings.violation(Rule::Order, detail);
        }
        accounting(findings, case, event, spec.accounted);
        call_checker.check(findings, spec, event);
    }
    let (actual, expected) = (events.len(), expectation.events.len());
    findings.expect(Rule::Order, "the number of calls", actual, expected);
}

/// Checks how often the counters moved since the event before.
fn accounting(findings: &mut Findings, case: &Case, event: &Event, accounted: u32) {
    let machine = &case.machine;
    let by = |counts| if counts { accounted } else { 0 };
    let depth = DEPTH >> (5 * by(machine.call_depth));
    findings.expect(Rule::CallDepth, "the depth", event.depth, depth);
    let calls = CALLS + u64::from(by(machine.call_depth && machine.call_count));
    findings.expect(Rule::CallDepth, "the count", event.calls, calls);
}

/// Checks what the caller gets back.
fn end(findings: &mut Findings, run: &Run<'_>) {
    let Run {
        case,
        expectation,
        trace,
        at,
        ..
    } = *run;
    let end = &trace.end;
    accounting(findings, case, end, expectation.accounted);
    for register in reg::PRESERVED {
        let (actual, expected) = (end.regs[register], expectation.regs[register]);
        findings.expect(Rule::CalleeSaved, reg::NAMES[register], actual, expected);
    }
    findings.expect(
        Rule::StackPointer,
        "rsp of the caller",
        end.rsp(),
        expectation.caller_rsp(at),
    );
    // The function may have overwritten its arguments.
    let own = (expectation.caller_rsp(at)..)
        .step_by(8)
        .zip(&expectation.caller_stack);
    for (place, &expected) in own.skip(expectation.stack_words()) {
        let actual = end.word(at, place).unwrap_or(!expected);
        findings.expect(Rule::CallerMemory, "a word of the caller", actual, expected);
    }
    if let Some(expected) = expectation.result {
        findings.expect(Rule::ReturnValue, "rax", end.regs[reg::RAX], expected);
    }
}
