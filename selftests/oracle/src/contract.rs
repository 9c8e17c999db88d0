// SPDX-License-Identifier: GPL-2.0

//! What a trampoline image must do, whoever built it.
//!
//! A traced function begins with an instruction that leads into the image. From there to the
//! return to the function's caller the following holds. The checks of this module are the same
//! sentences again, and [`Rule`] names them.
//!
//! # The course ([`course`])
//!
//! 1. With `CALL_ORIG`, `__bpf_tramp_enter(im)` is called first.
//! 2. The entry programs run in their order, then the fmod_ret programs in theirs. The first
//!    fmod_ret program to return something else than 0, in any of its 64 bits, is the last one.
//! 3. With `CALL_ORIG` the function is called, behind the instruction that led into the image,
//!    unless an fmod_ret program has replaced it. With `ORIG_STACK` it is the function whose
//!    address the caller of the image has left on the stack.
//! 4. The exit programs run in their order.
//! 5. With `CALL_ORIG`, `__bpf_tramp_exit(im)` is called.
//! 6. The image returns: behind the instruction that led into it, where the function goes on; with
//!    `SKIP_FRAME`, or entered by `jmp` or an indirect call, to the function's caller. It returns
//!    through the return thunk where the machine has one.
//!
//! To run a program means: the BPF cookie is in the run context, `enter(prog, run_ctx)` is called;
//! unless it returns 0 in all 64 bits, the program is called; `exit(prog, start, run_ctx)` is
//! called with what `enter` returned and with the same run context, untouched but by those three.
//!
//! # What programs see
//!
//! The program's first argument is `ctx`, its second one for the interpreter is `insnsi`.
//!
//! - `ctx[0]`, `ctx[1]`, ... are the 8-byte words of the arguments as the caller passed them, in
//!   the entry half and in the return half, whatever the function does to its own. Half a word that
//!   the caller need not have written reads 0. An argument that points into an arena is the lower
//!   half of its distance from the arena's start, but a `NULL` that is allowed stays 0.
//! - Behind them lies the return value: in the return half that of the function or of the fmod_ret
//!   program that replaced it; 0 for an fmod_ret program and for the entry half of a session.
//! - `ctx[-1]` is the metadata word: number of argument words in bits 0 to 7, cookie index in bits
//!   8 to 15, 0 in bits 16 to 62. The index is 0 where no program has a session cookie. Bit 63 is
//!   clear before the function, and set behind it for sessions.
//! - `ctx[-2]` is the address of the function, with `IP_ARG`.
//! - The session cookie of a program that uses one is at `ctx[-index]`. It is 0 at entry, and at
//!   return what the entry half has left there. No one else writes to it.
//!
//! # The function and its caller
//!
//! - The function finds its arguments as the caller passed them, in registers and on the stack,
//!   when the image calls it and, with `RESTORE_REGS`, when it goes on. With `TAIL_CALL_CTX` it
//!   finds RAX as well. The arguments on the stack are its own.
//! - Arguments on the stack lie at a multiple of 16 bytes, if those of the caller do. All other
//!   calls are aligned to 8 bytes, as the kernel's own are.
//! - The caller gets RBX, RBP, RSP and R12 to R15 back, and so does a function that goes on.
//!   Nothing above the image's own frame is written.
//! - RAX is the function's return value, or that of the fmod_ret program that replaced it; with
//!   `RET_FENTRY_RET`, that of the last entry program that ran. If none ran it is anything: the
//!   kernel knows no better.
//!
//! # The machine ([`marks`])
//!
//! - With call-depth tracking each call moves the counters once, and the one that led into the
//!   image as well; jumps and returns do not, nor do calls of thunks that do it themselves.
//! - An `int3` stands behind a `ret`, if the machine wants it.
//! - An indirect image begins with what its callers check: `endbr64`, the kCFI hash in its place
//!   before the entry, the FineIBT check, that traps on another hash.
//!
//! # Records ([`marks`])
//!
//! - Each program call has a skip record, in order, with its program. A 5-byte nop stands at `nop`.
//!   Once it is a jump to `target`, at any time, the program and its helpers are not run, and
//!   everything else is as if the program had not been there.
//! - Between `fp_start` and `fp_end`, and nowhere else, RBP points at the caller's RBP, below the
//!   return address.

pub mod course;
pub mod marks;
mod sights;

use crate::abi::reg;
use crate::case::Case;
use crate::image::Image;
use crate::worker::Death;
use crate::world::{Addresses, Event, Trace, CALLS, DEPTH};
use course::Course;
use std::collections::BTreeSet;
use std::fmt;

/// A sentence of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The image comes to an end.
    Survival,
    /// Everything that is called is called in its order, and nothing else is.
    Order,
    /// Helpers get the arguments that they are owed.
    HelperArguments,
    /// The run context is there and nobody else's.
    RunContext,
    /// The BPF cookie is in the run context.
    BpfCookie,
    /// Programs read the function's arguments.
    ContextArguments,
    /// Programs read the return value.
    ContextReturnValue,
    /// The metadata word.
    Metadata,
    /// `ctx[-2]`.
    FunctionIp,
    /// Session cookies.
    SessionCookie,
    /// The function finds its arguments in registers.
    RegisterArguments,
    /// The function finds its arguments on the stack.
    StackArguments,
    /// The function finds RAX.
    TailCallContext,
    /// The stack is aligned.
    Alignment,
    /// Registers that belong to the caller.
    CalleeSaved,
    /// RSP, and where the image returns to.
    StackPointer,
    /// Memory that belongs to the caller.
    CallerMemory,
    /// RAX of the caller.
    ReturnValue,
    /// Call-depth tracking.
    CallDepth,
    /// What indirect callers check.
    Preamble,
    /// `int3` behind `ret`.
    StraightLine,
    /// Skip records.
    SkipRecords,
    /// Frame pointer marks.
    FramePointer,
}

/// A sentence that an image has not kept.
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

/// What one run has shown.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub violations: Vec<Violation>,
    /// Calls at a stack that is aligned to 8 bytes only.
    pub calls_at_8: usize,
    /// All calls.
    pub calls: usize,
    /// Offsets of the instructions that were run, where they were looked at.
    pub run: BTreeSet<u64>,
}

impl Findings {
    pub fn rules(&self) -> BTreeSet<Rule> {
        self.violations.iter().map(|v| v.rule).collect()
    }

    fn breach(&mut self, rule: Rule, detail: impl Into<String>) {
        let detail = detail.into();
        self.violations.push(Violation { rule, detail });
    }

    /// What is `seen` has to be what is `due`.
    fn expect<T: PartialEq + fmt::LowerHex>(
        &mut self,
        rule: Rule,
        what: impl fmt::Display,
        seen: T,
        due: T,
    ) {
        if seen != due {
            self.breach(rule, format!("{what} is {seen:#x}, not {due:#x}"));
        }
    }
}

/// Everything there is to judge a run by.
pub struct Evidence<'a> {
    pub case: &'a Case,
    pub image: &'a Image,
    pub course: &'a Course,
    pub trace: &'a Trace,
    pub at: &'a Addresses,
}

/// Judges a run that came to its end.
pub fn judge(evidence: &Evidence<'_>) -> Findings {
    let mut findings = Findings::default();
    events(&mut findings, evidence);
    end(&mut findings, evidence);
    marks::steps(&mut findings, evidence);
    findings
}

/// Judges a run that did not.
pub fn inquest(evidence: &Evidence<'_>, death: Death) -> Findings {
    let mut findings = Findings::default();
    events(&mut findings, evidence);
    if death != Death::WrongCall || findings.violations.is_empty() {
        findings.breach(Rule::Survival, format!("{death:?}"));
    }
    findings
}

fn events(findings: &mut Findings, evidence: &Evidence<'_>) {
    let Evidence {
        course,
        trace,
        case,
        ..
    } = *evidence;
    let events = &trace.events[..trace.nr_events as usize];

    let mut sights = sights::Sights::new(evidence);
    for (number, (moment, event)) in course.moments.iter().zip(events).enumerate() {
        if event.id != moment.stub as u64 {
            let detail = format!("event {number} is {}, not {:?}", event.id, moment.what);
            return findings.breach(Rule::Order, detail);
        }
        accounting(findings, case, event, moment.accounted);
        sights.see(findings, moment, event);
    }
    let (seen, due) = (events.len(), course.moments.len());
    findings.expect(Rule::Order, "the number of calls", seen, due);
}

/// How often the counters have moved since the moment before.
fn accounting(findings: &mut Findings, case: &Case, event: &Event, accounted: u32) {
    let machine = &case.machine;
    let by = |counts| if counts { accounted } else { 0 };
    let depth = DEPTH >> (5 * by(machine.call_depth));
    findings.expect(Rule::CallDepth, "the depth", event.depth, depth);
    let calls = CALLS + u64::from(by(machine.call_depth && machine.call_count));
    findings.expect(Rule::CallDepth, "the count", event.calls, calls);
}

/// What the caller gets back.
fn end(findings: &mut Findings, evidence: &Evidence<'_>) {
    let Evidence {
        case,
        course,
        trace,
        at,
        ..
    } = *evidence;
    let end = &trace.end;
    accounting(findings, case, end, course.accounted);
    for register in reg::PRESERVED {
        let (seen, due) = (end.regs[register], course.regs[register]);
        findings.expect(Rule::CalleeSaved, reg::NAMES[register], seen, due);
    }
    findings.expect(
        Rule::StackPointer,
        "rsp of the caller",
        end.rsp(),
        course.caller_rsp(at),
    );
    // The function may have written to its arguments.
    let own = (course.caller_rsp(at)..)
        .step_by(8)
        .zip(&course.caller_stack);
    for (place, &due) in own.skip(course.stack_words()) {
        let seen = end.word(at, place).unwrap_or(!due);
        findings.expect(Rule::CallerMemory, "a word of the caller", seen, due);
    }
    if let Some(due) = course.result {
        findings.expect(Rule::ReturnValue, "rax", end.regs[reg::RAX], due);
    }
}
