// SPDX-License-Identifier: GPL-2.0

//! What an image shows without being called, and what its records say of it.

use super::{Evidence, Findings, Rule};
use crate::abi::reg;
use crate::case::{flags, Case, Preamble};
use crate::image::{Image, NOP5};

const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
const INT3: u8 = 0xcc;
const RET: u8 = 0xc3;
const UDB: u8 = 0xd6;

/// Judges what an image is before it runs.
pub fn still(case: &Case, image: &Image) -> Findings {
    let mut findings = Findings::default();
    records(&mut findings, case, image);
    if case.has(flags::INDIRECT) {
        preamble(&mut findings, case, image);
    }
    findings
}

fn records(findings: &mut Findings, case: &Case, image: &Image) {
    let calls = case.calls();
    let (seen, due) = (image.skips.len(), calls.len());
    findings.expect(Rule::SkipRecords, "their number", seen, due);
    let mut end = 0;
    for (skip, call) in image.skips.iter().zip(&calls) {
        findings.expect(Rule::SkipRecords, "prog", skip.prog, call.prog.addr);
        // The kernel patches a nop, or nothing.
        if image.bytes(skip.nop, NOP5.len()) != NOP5 {
            findings.breach(Rule::SkipRecords, format!("no nop at {:#x}", skip.nop));
        }
        let inside = skip.nop >= end && skip.target >= skip.nop + NOP5.len() as u64;
        if !inside || skip.target >= image.code.len() as u64 {
            let detail = format!("from {:#x} to {:#x}", skip.nop, skip.target);
            findings.breach(Rule::SkipRecords, detail);
        }
        end = skip.target;
    }
}

/// What indirect callers look at, and that nothing else can be called indirectly.
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
            // A caller compares the 4 bytes that lie the padding and themselves before the entry.
            let seen = image.bytes(entry - u64::from(padding) - 4, 4);
            if seen != hash.to_le_bytes() {
                findings.breach(Rule::Preamble, format!("the hash is {seen:02x?}"));
            }
            endbr
        }
    };
    let seen = image.bytes(entry, 4) == ENDBR64;
    if seen != endbr {
        findings.breach(Rule::Preamble, format!("endbr64 at the entry: {seen}"));
    }
    if let Preamble::FineIbt { .. } = case.preamble {
        // Direct calls land here: no endbr64 any more, and inside of what took its place the
        // instruction by which the kernel tells a failed check from other traps.
        let behind = image.bytes(FINEIBT_SIZE, 4);
        if behind == ENDBR64 || behind.last() != Some(&UDB) {
            findings.breach(Rule::Preamble, format!("{behind:02x?} behind the check"));
        }
    }
}

/// Bytes of a FineIBT check.
const FINEIBT_SIZE: u64 = 16;

/// Judges each instruction that was run.
pub(super) fn steps(findings: &mut Findings, evidence: &Evidence<'_>) {
    let Evidence {
        case,
        image,
        course,
        trace,
        at,
    } = *evidence;
    let steps = &trace.steps[..trace.nr_steps as usize];
    let [start, end] = image.fp;
    let Some(first) = steps.first() else {
        return;
    };
    if start >= end || end > image.code.len() as u64 {
        findings.breach(Rule::FramePointer, format!("from {start:#x} to {end:#x}"));
    }
    for step in steps {
        let offset = step.rip - at.image;
        findings.run.insert(offset);

        let frame = first.rsp - 8;
        let due = (start..end).contains(&offset);
        let seen = step.rbp == frame && step.frame[0] == course.regs[reg::RBP];
        if seen != due {
            let detail = format!(
                "at {offset:#x} rbp is {:#x}, the frame {frame:#x}",
                step.rbp
            );
            findings.breach(Rule::FramePointer, detail);
        }
        // Below RSP nothing is safe, above the image's frame nothing is its own.
        let frame_top = course.caller_rsp(at);
        if step.rsp > frame_top || step.rsp % 8 != 0 {
            findings.breach(Rule::StackPointer, format!("it is {:#x}", step.rsp));
        }
        if case.machine.sls && image.bytes(offset, 1) == [RET] {
            let behind = image.bytes(offset + 1, 1);
            if behind != [INT3] {
                findings.breach(Rule::StraightLine, format!("{behind:02x?} behind ret"));
            }
        }
    }
}
