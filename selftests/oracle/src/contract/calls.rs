// SPDX-License-Identifier: GPL-2.0

//! Checks of the state at each call.

use super::expectation::{EventKind, ExpectedEvent};
use super::{Findings, Rule, Run};
use crate::abi::{reg, Place};
use crate::case::{flags, Half};
use crate::memory::Event;
use std::fmt::Display;

/// The zero flag.
const ZF: u64 = 1 << 6;

/// Checks the events of a run in order.
pub struct CallChecker<'a> {
    run: &'a Run<'a>,
    /// Address of the current program's run context, and the value that its enter helper filled it
    /// with.
    run_ctx: (u64, u64),
}

impl<'a> CallChecker<'a> {
    pub fn new(run: &'a Run<'a>) -> Self {
        Self {
            run,
            run_ctx: (0, 0),
        }
    }

    /// Checks one event.
    pub fn check(&mut self, findings: &mut Findings, spec: &ExpectedEvent, event: &Event) {
        let Run {
            case, expectation, ..
        } = *self.run;
        let regs = &event.regs;
        self.stack(findings, spec, event);
        match spec.kind {
            EventKind::TrampEnter | EventKind::TrampExit => {
                findings.expect(Rule::HelperArguments, "im", regs[reg::RDI], case.im);
            }
            EventKind::Enter { call } => {
                let prog = expectation.calls[call].prog;
                findings.expect(
                    Rule::HelperArguments,
                    "enter(prog)",
                    regs[reg::RDI],
                    prog.addr,
                );
                self.run_ctx = (regs[reg::RSI], spec.action.value);
                self.own_run_ctx(findings, event);
                self.bpf_cookie(findings, event, prog.bpf_cookie);
            }
            EventKind::Program { call, .. } => {
                self.bpf_cookie(findings, event, expectation.calls[call].prog.bpf_cookie);
                self.ctx(findings, spec, event);
            }
            EventKind::Exit { call, start } => {
                let prog = expectation.calls[call].prog;
                findings.expect(
                    Rule::HelperArguments,
                    "exit(prog)",
                    regs[reg::RDI],
                    prog.addr,
                );
                findings.expect(Rule::HelperArguments, "exit(start)", regs[reg::RSI], start);
                findings.expect(
                    Rule::HelperArguments,
                    "exit(run_ctx)",
                    regs[reg::RDX],
                    self.run_ctx.0,
                );
                self.bpf_cookie(findings, event, prog.bpf_cookie);
                self.filled_run_ctx(findings, event);
            }
            EventKind::Called => self.function(findings, event),
            EventKind::Continued => {
                for register in reg::PRESERVED {
                    let (actual, expected) = (regs[register], expectation.regs[register]);
                    findings.expect(Rule::CalleeSaved, reg::NAMES[register], actual, expected);
                }
                let expected = expectation.caller_rsp(self.run.at) - 8;
                findings.expect(
                    Rule::StackPointer,
                    "rsp of the function",
                    event.rsp(),
                    expected,
                );
                if case.has(flags::RESTORE_REGS) {
                    self.function(findings, event);
                }
            }
            // The image traps unless the hashes are equal.
            EventKind::BhiThunk => {
                findings.expect(Rule::Preamble, "ZF", event.rflags & ZF, ZF);
            }
            EventKind::ReturnThunk => {
                let expected = expectation.caller_rsp(self.run.at) - 8;
                let expected = if case.returns_into_function() {
                    expected - 8
                } else {
                    expected
                };
                findings.expect(Rule::StackPointer, "rsp at the end", event.rsp(), expected);
                if let (Some(expected), false) = (expectation.result, case.returns_into_function())
                {
                    findings.expect(Rule::ReturnValue, "rax", regs[reg::RAX], expected);
                }
            }
        }
    }

    /// Checks RSP and the caller's memory.
    fn stack(&self, findings: &mut Findings, spec: &ExpectedEvent, event: &Event) {
        let Run {
            expectation, at, ..
        } = *self.run;
        let called = !matches!(spec.kind, EventKind::Continued | EventKind::ReturnThunk);
        findings.calls += usize::from(called);
        findings.calls_at_8 += usize::from(called && event.rsp() % 16 != 8);

        let with_args = spec.kind == EventKind::Called && expectation.stack_words() != 0;
        if event.rsp() % 8 != 0 || (with_args && event.rsp() % 16 != 8) {
            let detail = format!("{:?} at rsp {:#x}", spec.kind, event.rsp());
            findings.violation(Rule::Alignment, detail);
        }
        let caller = expectation.caller_rsp(at);
        if event.rsp() >= caller || event.rsp() < at.window() {
            findings.violation(Rule::StackPointer, format!("rsp is {:#x}", event.rsp()));
        }
        for (place, expected) in (caller..).step_by(8).zip(&expectation.caller_stack) {
            let actual = event.word(at, place).unwrap_or_default();
            findings.expect(
                Rule::CallerMemory,
                "a word of the caller",
                actual,
                *expected,
            );
        }
    }

    /// Checks that the run context lies in the image's frame.
    fn own_run_ctx(&self, findings: &mut Findings, event: &Event) {
        let Run {
            case,
            expectation,
            at,
            ..
        } = *self.run;
        let start = self.run_ctx.0;
        let end = start.wrapping_add(u64::from(case.machine.run_ctx_size));
        if start % 8 != 0
            || start <= event.rsp()
            || end < start
            || end >= expectation.caller_rsp(at)
        {
            findings.violation(Rule::RunContext, format!("run_ctx is {start:#x}"));
        }
    }

    fn bpf_cookie(&self, findings: &mut Findings, event: &Event, expected: u64) {
        let Run { case, at, .. } = *self.run;
        let place = self
            .run_ctx
            .0
            .wrapping_add(case.machine.bpf_cookie_off.into());
        let actual = event.word(at, place).unwrap_or(!expected);
        findings.expect(Rule::BpfCookie, "the BPF cookie", actual, expected);
    }

    /// Checks that the run context still holds what the enter helper wrote.
    fn filled_run_ctx(&self, findings: &mut Findings, event: &Event) {
        let Run { case, at, .. } = *self.run;
        let (start, fill) = self.run_ctx;
        let size = u64::from(case.machine.run_ctx_size);
        let cookie = u64::from(case.machine.bpf_cookie_off);
        for word in (0..size).step_by(8) {
            let actual = event.word(at, start.wrapping_add(word));
            let actual = actual.unwrap_or(!fill).to_le_bytes();
            let bytes = (word..size.min(word + 8)).zip(actual.iter().zip(fill.to_le_bytes()));
            for (byte, (&actual, expected)) in bytes {
                if !(cookie..cookie + 8).contains(&byte) {
                    findings.expect(
                        Rule::RunContext,
                        "a byte of the run context",
                        actual,
                        expected,
                    );
                }
            }
        }
    }

    /// Checks what a program reads around `ctx`.
    fn ctx(&self, findings: &mut Findings, spec: &ExpectedEvent, event: &Event) {
        let Run {
            case,
            expectation,
            at,
            ..
        } = *self.run;
        let EventKind::Program {
            call,
            return_value,
            session_cookie,
        } = spec.kind
        else {
            return;
        };
        let (half, prog) = (expectation.calls[call].half, expectation.calls[call].prog);
        let ctx = event.regs[reg::RDI];
        let read = |index: i64| {
            let place = ctx.wrapping_add_signed(8 * index);
            event.word(at, place).filter(|_| place > event.rsp())
        };
        if let Some(expected) = prog.insnsi {
            findings.expect(
                Rule::HelperArguments,
                "insnsi",
                event.regs[reg::RSI],
                expected,
            );
        }
        // A word that cannot be read is never the expected one.
        let mut expect = |rule, what: &dyn Display, index, expected: u64| {
            findings.expect(rule, what, read(index).unwrap_or(!expected), expected);
        };
        for (index, word) in (0..).zip(&expectation.words) {
            expect(
                Rule::ContextArguments,
                &format_args!("ctx[{index}]"),
                index,
                word.actual,
            );
        }
        let nr_words = expectation.words.len() as i64;
        if let Some(expected) = return_value {
            expect(
                Rule::ContextReturnValue,
                &"the return value",
                nr_words,
                expected,
            );
        }
        if case.has(flags::IP_ARG) {
            let expected = case.func_ip.unwrap_or(at.func());
            expect(Rule::FunctionIp, &"ctx[-2]", -2, expected);
        }

        let meta = read(-1).unwrap_or(u64::MAX);
        let behind = meta >> 63 != 0;
        let expected = half == Half::Return;
        let index = (meta >> 8) & 0xff;
        if meta & 0xff != nr_words as u64
            || meta << 1 >> 17 != 0
            || (index != 0 && !expectation.has_cookies())
            || (behind != expected && (behind || prog.session))
        {
            let detail = format!("ctx[-1] is {meta:#x} at {half:?}, for {nr_words} argument words");
            findings.violation(Rule::Metadata, detail);
        }
        if let Some(expected) = session_cookie {
            let index = index as i64;
            // The words next to `ctx` have other meanings.
            let first = if case.has(flags::IP_ARG) { 3 } else { 2 };
            let actual = read(-index).filter(|_| index >= first).unwrap_or(!expected);
            findings.expect(Rule::SessionCookie, "the session cookie", actual, expected);
        }
    }

    /// Checks what the function gets.
    fn function(&self, findings: &mut Findings, event: &Event) {
        let Run {
            case,
            expectation,
            at,
            ..
        } = *self.run;
        for word in &expectation.words {
            let expected = word.passed & word.mask;
            match word.place {
                Place::Reg(register) => {
                    let name = reg::NAMES[register];
                    let actual = event.regs[register] & word.mask;
                    findings.expect(Rule::RegisterArguments, name, actual, expected);
                }
                Place::Stack(slot) => {
                    let place = event.rsp() + 8 + 8 * slot as u64;
                    let actual = event.word(at, place).unwrap_or(!expected) & word.mask;
                    let rule = Rule::StackArguments;
                    findings.expect(rule, format_args!("stack word {slot}"), actual, expected);
                }
            }
        }
        if case.has(flags::TAIL_CALL_CTX) {
            let (actual, expected) = (event.regs[reg::RAX], expectation.regs[reg::RAX]);
            findings.expect(Rule::TailCallContext, "rax", actual, expected);
        }
    }
}
