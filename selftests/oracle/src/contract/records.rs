// SPDX-License-Identifier: GPL-2.0

//! Checks of the image's bytes and records, and of each instruction that ran.

use super::{Findings, Rule, Run};
use crate::abi::reg;
use crate::case::{flags, Case, Preamble};
use crate::image::{Image, NOP5};

const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
const INT3: u8 = 0xcc;
const RET: u8 = 0xc3;
const UDB: u8 = 0xd6;

/// Checks an image before it runs.
pub fn check_image(case: &Case, image: &Image) -> Findings {
    let mut findings = Findings::default();
    records(&mut findings, case, image);
    if case.has(flags::INDIRECT) {
        preamble(&mut findings, case, image);
    }
    findings
}

fn records(findings: &mut Findings, case: &Case, image: &Image) {
    let calls = case.calls();
    let (actual, expected) = (image.skips.len(), calls.len());
    findings.expect(Rule::SkipRecords, "the number of records", actual, expected);
    let mut end = 0;
    for (skip, call) in image.skips.iter().zip(&calls) {
        findings.expect(Rule::SkipRecords, "prog", skip.prog, call.prog.addr);
        // The kernel patches a nop only.
        if image.bytes(skip.nop, NOP5.len()) != NOP5 {
            findings.violation(Rule::SkipRecords, format!("no nop at {:#x}", skip.nop));
        }
        let inside = skip.nop >= end && skip.target >= skip.nop + NOP5.len() as u64;
        if !inside || skip.target >= image.code.len() as u64 {
            let detail = format!("a jump from {:#x} to {:#x}", skip.nop, skip.target);
            findings.violation(Rule::SkipRecords, detail);
        }
        end = skip.target;
    }
}

/// Checks the preamble, and that the image cannot be called indirectly anywhere else.
fn preamble(findings: &mut Findings, case: &Case, image: &Image) {
    let entry = case.entry_offset();
    let endbr = match case.preamble {
        Preamble::None => false,
        Preamble::Endbr | Preamble::FineIbt { .. } => true,
        Preamble::Kcfi {
            hash,
            padding,
            endbr,
        } => {
            // A caller compares the 4 bytes in front of the padding, which ends at the entry.
            let actual = image.bytes(entry - u64::from(padding) - 4, 4);
            if actual != hash.to_le_bytes() {
                findings.violation(Rule::Preamble, format!("the hash is {actual:02x?}"));
            }
            endbr
        }
    };
    let actual = image.bytes(entry, 4) == ENDBR64;
    if actual != endbr {
        findings.violation(
            Rule::Preamble,
            format!("endbr64 at the entry is {actual}, not {endbr}"),
        );
    }
    if let Preamble::FineIbt { .. } = case.preamble {
        // Direct calls of a FineIBT function land here. The `endbr64` is poisoned, and the poison
        // contains the instruction by which the kernel recognizes a failed check.
        let behind = image.bytes(FINEIBT_SIZE, 4);
        if behind == ENDBR64 || behind.last() != Some(&UDB) {
            findings.violation(Rule::Preamble, format!("{behind:02x?} after the check"));
        }
    }
}

/// Bytes of a FineIBT check.
const FINEIBT_SIZE: u64 = 16;

/// Checks each instruction that was single-stepped.
pub(super) fn check_steps(findings: &mut Findings, run: &Run<'_>) {
    let Run {
        case,
        image,
        expectation,
        trace,
        at,
    } = *run;
    let steps = &trace.steps[..trace.nr_steps as usize];
    let [start, end] = image.fp;
    let Some(first) = steps.first() else {
        return;
    };
    if start >= end || end > image.code.len() as u64 {
        findings.violation(
            Rule::FramePointer,
            format!("the range is {start:#x} to {end:#x}"),
        );
    }
    for step in steps {
        let offset = step.rip - at.image;
        findings.run.insert(offset);

        let frame = first.rsp - 8;
        let expected = (start..end).contains(&offset);
        let actual = step.rbp == frame && step.frame[0] == expectation.regs[reg::RBP];
        if actual != expected {
            let detail = format!(
                "at {offset:#x} rbp is {:#x}, the frame {frame:#x}",
                step.rbp
            );
            findings.violation(Rule::FramePointer, detail);
        }
        // RSP stays below what the image's frame may use.
        let frame_top = expectation.caller_rsp(at);
        if step.rsp > frame_top || step.rsp % 8 != 0 {
            findings.violation(Rule::StackPointer, format!("rsp is {:#x}", step.rsp));
        }
        if case.machine.sls && image.bytes(offset, 1) == [RET] {
            let behind = image.bytes(offset + 1, 1);
            if behind != [INT3] {
                findings.violation(Rule::StraightLine, format!("{behind:02x?} after ret"));
            }
        }
    }
}
