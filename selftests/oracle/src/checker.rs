// SPDX-License-Identifier: GPL-2.0

//! Checks an image: prepares memory for each run, executes the image and applies the contract.

use crate::abi::reg;
use crate::case::{flags, Case, Preamble};
use crate::child::{Child, Crash, End};
use crate::contract::expectation::Expectation;
use crate::contract::{self, records, Findings, Rule, Run, Violation};
use crate::image::Image;
use crate::memory::{stub, Action, Addresses, Mapping, Memory, Patch, Placement, PAGE};
use crate::mocks;
use crate::scenario::{self, Scenario};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::io;

/// RFLAGS at the call: only the bit that is always set; and the trap flag.
const RFLAGS: u64 = 2;
const TF: u64 = 1 << 8;

/// Executes and checks images, one after the other.
pub struct Checker {
    mapping: Mapping,
    child: Option<Child>,
}

/// Result of checking one image.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub runs: usize,
    /// The first scenario in which the image broke the contract.
    pub failed: Option<Scenario>,
    /// How it broke the contract there.
    pub violations: Vec<Violation>,
    /// Number of calls, and of those with RSP aligned to 8 bytes only.
    pub calls: usize,
    pub calls_at_8: usize,
    /// Offsets of the instructions that ran, as far as runs were single-stepped.
    pub run: BTreeSet<u64>,
}

impl Report {
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    pub fn rules(&self) -> BTreeSet<Rule> {
        self.violations.iter().map(|v| v.rule).collect()
    }

    fn add(&mut self, scenario: Option<&Scenario>, findings: Findings) {
        self.calls += findings.calls;
        self.calls_at_8 += findings.calls_at_8;
        self.run.extend(findings.run);
        if self.violations.is_empty() && !findings.violations.is_empty() {
            self.failed = scenario.cloned();
            self.violations = findings.violations;
        }
    }
}

impl Checker {
    /// # Errors
    ///
    /// There is no memory that is writable and executable, or no process.
    pub fn new() -> io::Result<Self> {
        let mut mapping = Mapping::new()?;
        let at = fixed_addresses(&mapping);
        // SAFETY: No image runs yet.
        write_stubs(unsafe { mapping.memory_mut() }, &at);
        Ok(Self {
            mapping,
            child: None,
        })
    }

    /// Addresses for an image at `placement`.
    pub fn addresses(&self, placement: Placement) -> Addresses {
        self.mapping.addresses(placement)
    }

    /// Checks an image that was built for `at` in all scenarios, up to the first violation.
    pub fn check(&mut self, case: &Case, image: &Image, at: &Addresses, seed: u64) -> Report {
        let scenarios = scenario::scenarios(case, seed);
        self.check_scenarios(case, image, at, &scenarios)
    }

    /// Checks an image in the given scenarios.
    pub fn check_scenarios(
        &mut self,
        case: &Case,
        image: &Image,
        at: &Addresses,
        scenarios: &[Scenario],
    ) -> Report {
        let mut report = Report::default();
        report.add(None, records::check_image(case, image));
        for scenario in scenarios {
            if !report.passed() {
                return report;
            }
            report.runs += 1;
            let findings = self.execute(case, image, at, scenario);
            report.add(Some(scenario), findings);
        }
        if report.passed() && case.has(flags::INDIRECT) {
            if let Preamble::FineIbt { bhi, .. } = case.preamble {
                report.runs += 1;
                report.add(None, self.wrong_hash(case, image, at, bhi));
            }
        }
        report
    }

    /// Executes the image once and checks the run.
    fn execute(
        &mut self,
        case: &Case,
        image: &Image,
        at: &Addresses,
        scenario: &Scenario,
    ) -> Findings {
        let expectation = Expectation::new(case, scenario);
        self.prepare(case, image, at, scenario, &expectation);
        let end = self.run();
        // SAFETY: The run is over.
        let trace = &unsafe { self.mapping.memory_mut() }.trace;
        let run = Run {
            case,
            image,
            expectation: &expectation,
            trace,
            at,
        };
        let findings = match end {
            End::Returned => contract::check_returned(&run),
            End::Crashed(crash) => contract::check_crashed(&run, crash),
        };
        if !findings.violations.is_empty() {
            // The image may have done more than the checks can observe.
            self.child = None;
        }
        findings
    }

    /// Checks that a caller with another type hash does not get in.
    fn wrong_hash(&mut self, case: &Case, image: &Image, at: &Addresses, bhi: bool) -> Findings {
        let scenario = Scenario::plain(0);
        let expectation = Expectation::new(case, &scenario);
        self.prepare(case, image, at, &scenario, &expectation);
        // SAFETY: No image runs.
        unsafe { self.mapping.memory_mut() }.script.regs[reg::RAX] ^= 1 << 31;
        let end = self.run();
        self.child = None;
        if bhi {
            // SAFETY: The run is over.
            let trace = &unsafe { self.mapping.memory_mut() }.trace;
            let [event, ..] = &trace.events;
            return match event.rflags & (1 << 6) {
                0 if event.id == stub::BHI_THUNK as u64 => Findings::default(),
                _ => violated(Rule::Preamble, "a call with another hash passes".into()),
            };
        }
        match end {
            End::Crashed(Crash::Signal(Signal::SIGILL)) => Findings::default(),
            end => violated(Rule::Preamble, format!("a call with another hash: {end:?}")),
        }
    }

    fn run(&mut self) -> End {
        let child = match &mut self.child {
            Some(child) => child,
            none => none.insert(Child::new(&self.mapping).expect("a child process can be created")),
        };
        let end = child.run().expect("the child process can be controlled");
        if end != End::Returned {
            self.child = None;
        }
        end
    }

    /// Writes image, function, stack and script.
    fn prepare(
        &mut self,
        case: &Case,
        image: &Image,
        at: &Addresses,
        scenario: &Scenario,
        expectation: &Expectation,
    ) {
        // SAFETY: No image runs.
        let memory = unsafe { self.mapping.memory_mut() };
        memory.low.fill(0xcc);
        memory.high.fill(0xcc);
        memory.write(at, at.image, &image.code);
        for &number in &scenario.detached {
            if let Some(skip) = image.skips.get(number) {
                let patch = patch(at, skip);
                memory.write(at, patch.addr, &patch.bytes[..5]);
            }
        }
        function(memory, case, at);

        memory.stack.fill(expectation.poison);
        for (place, word) in (expectation.caller_rsp(at)..)
            .step_by(8)
            .zip(&expectation.caller_stack)
        {
            memory.write(at, place, &word.to_le_bytes());
        }

        let script = &mut memory.script;
        script.entry = match case.has(flags::INDIRECT) {
            true => at.image + case.entry_offset(),
            false => at.func(),
        };
        script.regs = expectation.registers(case, at);
        script.step = RFLAGS | if scenario.stepped { TF } else { 0 };
        script.code = [at.image, at.image + image.code.len() as u64];
        script.run_ctx_size = case.machine.run_ctx_size.into();
        script.bpf_cookie_off = case.machine.bpf_cookie_off.into();
        script.stack_args = expectation.stack_words() as u64;
        let actions = expectation.events.iter().map(|event| event.action);
        let nothing = Action {
            id: u64::MAX,
            ..Action::default()
        };
        for (slot, action) in script.actions.iter_mut().zip(actions.chain([nothing])) {
            *slot = action;
        }
        script.nr_patches = image.skips.len() as u64;
        for (slot, skip) in script.patches.iter_mut().zip(&image.skips) {
            *slot = patch(at, skip);
        }
    }
}

fn violated(rule: Rule, detail: String) -> Findings {
    Findings {
        violations: vec![Violation { rule, detail }],
        ..Findings::default()
    }
}

fn fixed_addresses(mapping: &Mapping) -> Addresses {
    mapping.addresses(Placement {
        high: false,
        offset: 0,
    })
}

/// The jump that skips a detached program.
fn patch(at: &Addresses, skip: &crate::image::Skip) -> Patch {
    let addr = at.image.wrapping_add(skip.nop);
    let mut bytes = [0; 8];
    bytes[..5].copy_from_slice(&branch(0xe9, addr, at.image.wrapping_add(skip.target)));
    Patch { addr, bytes }
}

/// `call` or `jmp`.
fn branch(opcode: u8, from: u64, to: u64) -> [u8; 5] {
    let [a, b, c, d, ..] = to.wrapping_sub(from.wrapping_add(5)).to_le_bytes();
    [opcode, a, b, c, d]
}

/// `push id; jmp [pointer]`
fn stub_code(id: usize, from: u64, pointer: u64) -> [u8; 11] {
    let [i, j, k, l, ..] = id.to_le_bytes();
    let [a, b, c, d, ..] = pointer.wrapping_sub(from.wrapping_add(11)).to_le_bytes();
    [0x68, i, j, k, l, 0xff, 0x25, a, b, c, d]
}

/// Writes the stubs, which are the same for all cases.
fn write_stubs(memory: &mut Memory, at: &Addresses) {
    memory.stubs.fill(0xcc);
    memory.func.fill(0xcc);
    memory.write(
        at,
        at.pointer(),
        &(mocks::oracle_record as *const () as usize).to_le_bytes(),
    );
    for id in 0..stub::END {
        let code = stub_code(id, at.stub(id), at.pointer());
        memory.write(at, at.stub(id), &code);
    }
}

/// Writes the traced function: its entry leads into the image, its body is a stub.
fn function(memory: &mut Memory, case: &Case, at: &Addresses) {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    /// `lea rsp, [rsp + 8]; push [...]`
    const REPLACE_RETURN: [u8; 7] = [0x48, 0x8d, 0x64, 0x24, 0x08, 0xff, 0x35];

    memory.func.0[..64].fill(0xcc);
    let mut here = at.func();
    if case.endbr {
        memory.write(at, here, &ENDBR64);
        here += 4;
    }
    // Another ftrace user, which replaces its return address by that of another function.
    let ftrace = at.func() + PAGE as u64 / 2;
    let live_patch = ftrace + 64;
    let site = match case.has(flags::ORIG_STACK) {
        true => branch(0xe8, here, ftrace),
        false if case.entered_by_jmp() => branch(0xe9, here, at.image),
        false => branch(0xe8, here, at.image),
    };
    memory.write(at, here, &site);
    here += 5;
    memory.write(at, here, &stub_code(stub::BODY, here, at.pointer()));

    memory.write(at, ftrace, &REPLACE_RETURN);
    let rel32 = live_patch.wrapping_sub(ftrace + 11) as u32;
    memory.write(at, ftrace + 7, &rel32.to_le_bytes());
    memory.write(at, ftrace + 11, &branch(0xe9, ftrace + 11, at.image));
    memory.write(at, live_patch, &at.stub(stub::LIVE_PATCH).to_le_bytes());
}
