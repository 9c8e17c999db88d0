// SPDX-License-Identifier: GPL-2.0

//! Putting an image through its exam: setting up the world for a run, running it, judging it.

use crate::abi::reg;
use crate::behaviour::{self, Behaviour};
use crate::case::{flags, Case, Preamble};
use crate::contract::course::Course;
use crate::contract::{self, marks, Evidence, Findings, Rule, Violation};
use crate::image::Image;
use crate::mocks;
use crate::worker::{Death, End, Worker};
use crate::world::{stub, Action, Addresses, Memory, Patch, Room, World, PAGE};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::io;

/// Flags at the call: none but the one that is always set, and the one that steps.
const RFLAGS: u64 = 2;
const TF: u64 = 1 << 8;

/// Someone who examines images, one after the other.
pub struct Examiner {
    world: World,
    worker: Option<Worker>,
}

/// What came of an exam.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub runs: usize,
    /// The behaviour at which the image failed first.
    pub failed: Option<Behaviour>,
    /// How it failed there.
    pub violations: Vec<Violation>,
    /// All calls that were made, and those at a stack aligned to 8 bytes only.
    pub calls: usize,
    pub calls_at_8: usize,
    /// Offsets of the instructions that were run, as far as they were looked at.
    pub run: BTreeSet<u64>,
}

impl Report {
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    pub fn rules(&self) -> BTreeSet<Rule> {
        self.violations.iter().map(|v| v.rule).collect()
    }

    fn add(&mut self, behaviour: Option<&Behaviour>, findings: Findings) {
        self.calls += findings.calls;
        self.calls_at_8 += findings.calls_at_8;
        self.run.extend(findings.run);
        if self.violations.is_empty() && !findings.violations.is_empty() {
            self.failed = behaviour.cloned();
            self.violations = findings.violations;
        }
    }
}

impl Examiner {
    /// # Errors
    ///
    /// The machine gives no memory that can be written and run, or no process.
    pub fn new() -> io::Result<Self> {
        let mut world = World::new()?;
        let at = world_addresses(&world);
        // SAFETY: Nothing runs yet.
        furnish(unsafe { world.memory_mut() }, &at);
        Ok(Self {
            world,
            worker: None,
        })
    }

    /// Where an image in `room` will find everything.
    pub fn addresses(&self, room: Room) -> Addresses {
        self.world.addresses(room)
    }

    /// Puts an image that has been built for `at` through its whole exam, or as far as it gets.
    pub fn examine(&mut self, case: &Case, image: &Image, at: &Addresses, seed: u64) -> Report {
        let exam = behaviour::exam(case, seed);
        self.examine_in(case, image, at, &exam)
    }

    /// The same with the given behaviours.
    pub fn examine_in(
        &mut self,
        case: &Case,
        image: &Image,
        at: &Addresses,
        exam: &[Behaviour],
    ) -> Report {
        let mut report = Report::default();
        report.add(None, marks::still(case, image));
        for behaviour in exam {
            if !report.passed() {
                return report;
            }
            report.runs += 1;
            let findings = self.sit(case, image, at, behaviour);
            report.add(Some(behaviour), findings);
        }
        if report.passed() && case.has(flags::INDIRECT) {
            if let Preamble::FineIbt { bhi, .. } = case.preamble {
                report.runs += 1;
                report.add(None, self.wrong_hash(case, image, at, bhi));
            }
        }
        report
    }

    /// One run.
    fn sit(
        &mut self,
        case: &Case,
        image: &Image,
        at: &Addresses,
        behaviour: &Behaviour,
    ) -> Findings {
        let course = Course::of(case, behaviour);
        self.set_up(case, image, at, behaviour, &course);
        let end = self.run();
        // SAFETY: The run is over.
        let trace = &unsafe { self.world.memory_mut() }.trace;
        let evidence = Evidence {
            case,
            image,
            course: &course,
            trace,
            at,
        };
        let findings = match end {
            End::Returned => contract::judge(&evidence),
            End::Died(death) => contract::inquest(&evidence, death),
        };
        if !findings.violations.is_empty() {
            // It may have done more than can be seen.
            self.worker = None;
        }
        findings
    }

    /// A caller with another hash does not get in.
    fn wrong_hash(&mut self, case: &Case, image: &Image, at: &Addresses, bhi: bool) -> Findings {
        let behaviour = Behaviour::plain(0);
        let course = Course::of(case, &behaviour);
        self.set_up(case, image, at, &behaviour, &course);
        // SAFETY: Nothing runs now.
        unsafe { self.world.memory_mut() }.script.regs[reg::RAX] ^= 1 << 31;
        let end = self.run();
        self.worker = None;
        if bhi {
            // SAFETY: The run is over.
            let trace = &unsafe { self.world.memory_mut() }.trace;
            let [event, ..] = &trace.events;
            return match event.rflags & (1 << 6) {
                0 if event.id == stub::BHI_THUNK as u64 => Findings::default(),
                _ => broken(Rule::Preamble, "another hash gets in".into()),
            };
        }
        match end {
            End::Died(Death::Signal(Signal::SIGILL)) => Findings::default(),
            end => broken(Rule::Preamble, format!("another hash: {end:?}")),
        }
    }

    fn run(&mut self) -> End {
        let worker = match &mut self.worker {
            Some(worker) => worker,
            none => none.insert(Worker::new(&self.world).expect("a process to run images in")),
        };
        let end = worker.run().expect("a process that runs images");
        if end != End::Returned {
            self.worker = None;
        }
        end
    }

    /// Writes image, function, stack and script.
    fn set_up(
        &mut self,
        case: &Case,
        image: &Image,
        at: &Addresses,
        behaviour: &Behaviour,
        course: &Course,
    ) {
        // SAFETY: Nothing runs now.
        let memory = unsafe { self.world.memory_mut() };
        memory.low.fill(0xcc);
        memory.high.fill(0xcc);
        memory.write(at, at.image, &image.code);
        for &number in &behaviour.detached {
            if let Some(skip) = image.skips.get(number) {
                let patch = patch(at, skip);
                memory.write(at, patch.addr, &patch.bytes[..5]);
            }
        }
        function(memory, case, at);

        memory.stack.fill(course.poison);
        for (place, word) in (course.caller_rsp(at)..)
            .step_by(8)
            .zip(&course.caller_stack)
        {
            memory.write(at, place, &word.to_le_bytes());
        }

        let script = &mut memory.script;
        script.entry = match case.has(flags::INDIRECT) {
            true => at.image + case.entry_offset(),
            false => at.func(),
        };
        script.regs = course.registers(case, at);
        script.step = RFLAGS | if behaviour.stepped { TF } else { 0 };
        script.code = [at.image, at.image + image.code.len() as u64];
        script.run_ctx_size = case.machine.run_ctx_size.into();
        script.bpf_cookie_off = case.machine.bpf_cookie_off.into();
        script.stack_args = course.stack_words() as u64;
        let actions = course.moments.iter().map(|moment| moment.action);
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

fn broken(rule: Rule, detail: String) -> Findings {
    Findings {
        violations: vec![Violation { rule, detail }],
        ..Findings::default()
    }
}

fn world_addresses(world: &World) -> Addresses {
    world.addresses(Room {
        high: false,
        offset: 0,
    })
}

/// A jump over a program.
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

/// `push id; jmp [stand_in]`.
fn stand_in(id: usize, from: u64, pointer: u64) -> [u8; 11] {
    let [i, j, k, l, ..] = id.to_le_bytes();
    let [a, b, c, d, ..] = pointer.wrapping_sub(from.wrapping_add(11)).to_le_bytes();
    [0x68, i, j, k, l, 0xff, 0x25, a, b, c, d]
}

/// Writes the stand-ins, which are the same for all cases.
fn furnish(memory: &mut Memory, at: &Addresses) {
    memory.stubs.fill(0xcc);
    memory.func.fill(0xcc);
    memory.write(
        at,
        at.pointer(),
        &(mocks::oracle_record as *const () as usize).to_le_bytes(),
    );
    for id in 0..stub::END {
        let code = stand_in(id, at.stub(id), at.pointer());
        memory.write(at, at.stub(id), &code);
    }
}

/// Writes the traced function: its entry leads into the image, its body is a stand-in.
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
    // ftrace, which leaves the address of another function in place of its return address.
    let ftrace = at.func() + PAGE as u64 / 2;
    let live_patch = ftrace + 64;
    let site = match case.has(flags::ORIG_STACK) {
        true => branch(0xe8, here, ftrace),
        false if case.entered_by_jmp() => branch(0xe9, here, at.image),
        false => branch(0xe8, here, at.image),
    };
    memory.write(at, here, &site);
    here += 5;
    memory.write(at, here, &stand_in(stub::BODY, here, at.pointer()));

    memory.write(at, ftrace, &REPLACE_RETURN);
    let rel32 = live_patch.wrapping_sub(ftrace + 11) as u32;
    memory.write(at, ftrace + 7, &rel32.to_le_bytes());
    memory.write(at, ftrace + 11, &branch(0xe9, ftrace + 11, at.image));
    memory.write(at, live_patch, &at.stub(stub::LIVE_PATCH).to_le_bytes());
}
