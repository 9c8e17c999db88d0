// SPDX-License-Identifier: GPL-2.0

//! What everyone sees who is called.

use super::course::{Moment, What};
use super::{Evidence, Findings, Rule};
use crate::abi::{reg, Place};
use crate::case::{flags, Half};
use crate::world::Event;
use std::fmt::Display;

/// The zero flag.
const ZF: u64 = 1 << 6;

/// Goes along with a run.
pub struct Sights<'a> {
    evidence: &'a Evidence<'a>,
    /// The run context of the program at hand, and what its enter helper has written there.
    run_ctx: (u64, u64),
}

impl<'a> Sights<'a> {
    pub fn new(evidence: &'a Evidence<'a>) -> Self {
        Self {
            evidence,
            run_ctx: (0, 0),
        }
    }

    /// Looks at one event.
    pub fn see(&mut self, findings: &mut Findings, moment: &Moment, event: &Event) {
        let Evidence { case, course, .. } = *self.evidence;
        let regs = &event.regs;
        self.stack(findings, moment, event);
        match moment.what {
            What::TrampEnter | What::TrampExit => {
                findings.expect(Rule::HelperArguments, "im", regs[reg::RDI], case.im);
            }
            What::Enter { call } => {
                let prog = course.calls[call].prog;
                findings.expect(
                    Rule::HelperArguments,
                    "enter(prog)",
                    regs[reg::RDI],
                    prog.addr,
                );
                self.run_ctx = (regs[reg::RSI], moment.action.value);
                self.own_run_ctx(findings, event);
                self.bpf_cookie(findings, event, prog.bpf_cookie);
            }
            What::Program { call, .. } => {
                self.bpf_cookie(findings, event, course.calls[call].prog.bpf_cookie);
                self.ctx(findings, moment, event);
            }
            What::Exit { call, start } => {
                let prog = course.calls[call].prog;
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
            What::Called => self.function(findings, event),
            What::GoneOn => {
                for register in reg::PRESERVED {
                    let (seen, due) = (regs[register], course.regs[register]);
                    findings.expect(Rule::CalleeSaved, reg::NAMES[register], seen, due);
                }
                let due = course.caller_rsp(self.evidence.at) - 8;
                findings.expect(Rule::StackPointer, "rsp of the function", event.rsp(), due);
                if case.has(flags::RESTORE_REGS) {
                    self.function(findings, event);
                }
            }
            // It traps where the hashes are not equal.
            What::BhiThunk => {
                findings.expect(Rule::Preamble, "ZF", event.rflags & ZF, ZF);
            }
            What::ReturnThunk => {
                let due = course.caller_rsp(self.evidence.at) - 8;
                let due = if case.goes_on() { due - 8 } else { due };
                findings.expect(Rule::StackPointer, "rsp at the end", event.rsp(), due);
                if let (Some(due), false) = (course.result, case.goes_on()) {
                    findings.expect(Rule::ReturnValue, "rax", regs[reg::RAX], due);
                }
            }
        }
    }

    /// Alignment, and that the caller's memory is the caller's.
    fn stack(&self, findings: &mut Findings, moment: &Moment, event: &Event) {
        let Evidence { course, at, .. } = *self.evidence;
        let called = !matches!(moment.what, What::GoneOn | What::ReturnThunk);
        findings.calls += usize::from(called);
        findings.calls_at_8 += usize::from(called && event.rsp() % 16 != 8);

        let with_args = moment.what == What::Called && course.stack_words() != 0;
        if event.rsp() % 8 != 0 || (with_args && event.rsp() % 16 != 8) {
            let detail = format!("{:?} at rsp {:#x}", moment.what, event.rsp());
            findings.breach(Rule::Alignment, detail);
        }
        let caller = course.caller_rsp(at);
        if event.rsp() >= caller || event.rsp() < at.window() {
            findings.breach(Rule::StackPointer, format!("rsp is {:#x}", event.rsp()));
        }
        for (place, due) in (caller..).step_by(8).zip(&course.caller_stack) {
            let seen = event.word(at, place).unwrap_or_default();
            findings.expect(Rule::CallerMemory, "a word of the caller", seen, *due);
        }
    }

    /// The run context lies in the image's frame.
    fn own_run_ctx(&self, findings: &mut Findings, event: &Event) {
        let Evidence {
            case, course, at, ..
        } = *self.evidence;
        let start = self.run_ctx.0;
        let end = start.wrapping_add(u64::from(case.machine.run_ctx_size));
        if start % 8 != 0 || start <= event.rsp() || end < start || end >= course.caller_rsp(at) {
            findings.breach(Rule::RunContext, format!("it is at {start:#x}"));
        }
    }

    fn bpf_cookie(&self, findings: &mut Findings, event: &Event, due: u64) {
        let Evidence { case, at, .. } = *self.evidence;
        let place = self
            .run_ctx
            .0
            .wrapping_add(case.machine.bpf_cookie_off.into());
        let seen = event.word(at, place).unwrap_or(!due);
        findings.expect(Rule::BpfCookie, "it", seen, due);
    }

    /// What the enter helper has written is still there.
    fn filled_run_ctx(&self, findings: &mut Findings, event: &Event) {
        let Evidence { case, at, .. } = *self.evidence;
        let (start, fill) = self.run_ctx;
        let size = u64::from(case.machine.run_ctx_size);
        let cookie = u64::from(case.machine.bpf_cookie_off);
        for word in (0..size).step_by(8) {
            let seen = event.word(at, start.wrapping_add(word));
            let seen = seen.unwrap_or(!fill).to_le_bytes();
            let bytes = (word..size.min(word + 8)).zip(seen.iter().zip(fill.to_le_bytes()));
            for (byte, (&seen, due)) in bytes {
                if !(cookie..cookie + 8).contains(&byte) {
                    findings.expect(Rule::RunContext, "a byte of it", seen, due);
                }
            }
        }
    }

    /// What a program reads around `ctx`.
    fn ctx(&self, findings: &mut Findings, moment: &Moment, event: &Event) {
        let Evidence {
            case, course, at, ..
        } = *self.evidence;
        let What::Program {
            call,
            return_value,
            session_cookie,
        } = moment.what
        else {
            return;
        };
        let (half, prog) = (course.calls[call].half, course.calls[call].prog);
        let ctx = event.regs[reg::RDI];
        let read = |index: i64| {
            let place = ctx.wrapping_add_signed(8 * index);
            event.word(at, place).filter(|_| place > event.rsp())
        };
        if let Some(due) = prog.insnsi {
            findings.expect(Rule::HelperArguments, "insnsi", event.regs[reg::RSI], due);
        }
        // What cannot be read is never what is due.
        let mut expect = |rule, what: &dyn Display, index, due: u64| {
            findings.expect(rule, what, read(index).unwrap_or(!due), due);
        };
        for (index, word) in (0..).zip(&course.words) {
            expect(
                Rule::ContextArguments,
                &format_args!("ctx[{index}]"),
                index,
                word.seen,
            );
        }
        let nr_words = course.words.len() as i64;
        if let Some(due) = return_value {
            expect(Rule::ContextReturnValue, &"it", nr_words, due);
        }
        if case.has(flags::IP_ARG) {
            let due = case.func_ip.unwrap_or(at.func());
            expect(Rule::FunctionIp, &"it", -2, due);
        }

        let meta = read(-1).unwrap_or(u64::MAX);
        let behind = meta >> 63 != 0;
        let due = half == Half::Return;
        let index = (meta >> 8) & 0xff;
        if meta & 0xff != nr_words as u64
            || meta << 1 >> 17 != 0
            || (index != 0 && !course.has_cookies())
            || (behind != due && (behind || prog.session))
        {
            let detail = format!("it is {meta:#x} at {half:?}, for {nr_words} words");
            findings.breach(Rule::Metadata, detail);
        }
        if let Some(due) = session_cookie {
            let index = index as i64;
            // It is none of the words that have a meaning of their own.
            let first = if case.has(flags::IP_ARG) { 3 } else { 2 };
            let seen = read(-index).filter(|_| index >= first).unwrap_or(!due);
            findings.expect(Rule::SessionCookie, "it", seen, due);
        }
    }

    /// What the function finds.
    fn function(&self, findings: &mut Findings, event: &Event) {
        let Evidence {
            case, course, at, ..
        } = *self.evidence;
        for word in &course.words {
            let due = word.passed & word.mask;
            match word.place {
                Place::Reg(register) => {
                    let name = reg::NAMES[register];
                    let seen = event.regs[register] & word.mask;
                    findings.expect(Rule::RegisterArguments, name, seen, due);
                }
                Place::Stack(slot) => {
                    let place = event.rsp() + 8 + 8 * slot as u64;
                    let seen = event.word(at, place).unwrap_or(!due) & word.mask;
                    let rule = Rule::StackArguments;
                    findings.expect(rule, format_args!("word {slot}"), seen, due);
                }
            }
        }
        if case.has(flags::TAIL_CALL_CTX) {
            let (seen, due) = (event.regs[reg::RAX], course.regs[reg::RAX]);
            findings.expect(Rule::TailCallContext, "rax", seen, due);
        }
    }
}
