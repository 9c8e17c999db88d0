// SPDX-License-Identifier: GPL-2.0

//! The expected events of a run: every call between the caller's `call` and its return, in order,
//! and the state at each of them.

use crate::abi::{self, reg, Place, Word};
use crate::case::{self, flags, Call, Case, Half, Preamble};
use crate::memory::{action, stub, Action, Addresses, Regs};
use crate::scenario::Scenario;
use rand::rngs::SmallRng;
use rand::Rng;

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `__bpf_tramp_enter(im)`.
    TrampEnter,
    /// `__bpf_tramp_exit(im)`.
    TrampExit,
    /// The program's enter helper.
    Enter { call: usize },
    /// The program.
    Program {
        call: usize,
        /// The return value that it reads, unless undefined.
        return_value: Option<u64>,
        /// Its session cookie, if it has one.
        session_cookie: Option<u64>,
    },
    /// The program's exit helper, with the result of the enter helper.
    Exit { call: usize, start: u64 },
    /// The function, called by the image.
    Called,
    /// The function, after the image returned into it.
    Continued,
    /// `__bhi_args`, called by the preamble.
    BhiThunk,
    /// The return thunk.
    ReturnThunk,
}

/// An expected call, and the action of its stub.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedEvent {
    pub kind: EventKind,
    /// Number of the stub.
    pub stub: usize,
    /// Calls that the image accounted for since the event before.
    pub accounted: u32,
    pub action: Action,
}

/// Everything that is expected of a run.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub calls: Vec<Call>,
    pub events: Vec<ExpectedEvent>,
    /// RAX at the caller, unless undefined.
    pub result: Option<u64>,
    /// Calls that the image accounted for since the last event.
    pub accounted: u32,
    /// The arguments.
    pub words: Vec<Word>,
    /// Registers without an argument.
    pub regs: Regs,
    /// The caller's stack from RSP up: arguments of the function, then words of the caller's own.
    pub caller_stack: Vec<u64>,
    /// Initial value of each byte below.
    pub poison: u8,
}

/// The caller's own words above the arguments.
const CALLERS_OWN: usize = 4;

impl Expectation {
    pub fn stack_words(&self) -> usize {
        let on_stack = |word: &&Word| matches!(word.place, Place::Stack(_));
        self.words.iter().filter(on_stack).count()
    }

    pub fn has_cookies(&self) -> bool {
        self.calls.iter().any(|call| call.prog.session_cookie)
    }

    /// Registers at the call.
    pub fn registers(&self, case: &Case, at: &Addresses) -> Regs {
        let mut regs = self.regs;
        regs[reg::RSP] = self.caller_rsp(at);
        for word in &self.words {
            if let Place::Reg(register) = word.place {
                regs[register] = word.passed;
            }
        }
        if let (true, Preamble::FineIbt { hash, .. }) = (case.has(flags::INDIRECT), case.preamble) {
            regs[reg::RAX] = (regs[reg::RAX] >> 32 << 32) | u64::from(hash);
        }
        regs
    }

    /// RSP of the caller, aligned to 16.
    pub fn caller_rsp(&self, at: &Addresses) -> u64 {
        at.stack_top() - 8 * self.caller_stack.len() as u64
    }
}

/// Generates the expectation of a run.
struct Generator<'a> {
    case: &'a Case,
    scenario: &'a Scenario,
    rng: SmallRng,
    expectation: Expectation,
    /// All programs have been patched out.
    detached: bool,
    /// Values that programs wrote to their session cookies, in the order of the programs at entry.
    cookies: Vec<u64>,
    /// The return value that the image keeps, unless undefined.
    kept: Option<u64>,
}

impl Expectation {
    pub fn new(case: &Case, scenario: &Scenario) -> Self {
        let mut rng = case::rng(scenario.seed);
        let words = abi::words(case, &mut rng);
        let regs = std::array::from_fn(|_| case::garbage(&mut rng));
        let args = words.iter();
        let args = args.filter(|word| matches!(word.place, Place::Stack(_)));
        let mut caller_stack: Vec<_> = args.map(|word| word.passed).collect();
        let own = caller_stack.len().next_multiple_of(2) + CALLERS_OWN;
        caller_stack.resize(own, case::garbage(&mut rng));
        let poison = rng.random_range(1..=u8::MAX);
        let generator = Generator {
            case,
            scenario,
            rng,
            expectation: Self {
                calls: case.calls(),
                events: Vec::new(),
                result: None,
                accounted: 0,
                words,
                regs,
                caller_stack,
                poison,
            },
            detached: false,
            cookies: Vec::new(),
            kept: None,
        };
        generator.expectation()
    }
}

impl Generator<'_> {
    fn expectation(mut self) -> Expectation {
        let case = self.case;
        let calls_function = case.has(flags::CALL_ORIG);

        match case.preamble {
            Preamble::FineIbt { bhi: true, .. } if case.has(flags::INDIRECT) => {
                self.event(
                    EventKind::BhiThunk,
                    stub::BHI_THUNK,
                    Action::default(),
                    false,
                );
            }
            // Nothing accounts for the call that enters an image, except for an indirect call,
            // where the caller does.
            _ if case.has(flags::INDIRECT) => {}
            _ => self.expectation.accounted = 1,
        }

        if calls_function {
            self.tramp(EventKind::TrampEnter, stub::TRAMP_ENTER);
        }
        for call in 0..case.fentry.len() {
            if let Some(result) = self.program(call) {
                if case.has(flags::RET_FENTRY_RET) {
                    self.kept = Some(result);
                }
            }
        }
        let replaced = (case.fentry.len()..).take(case.fmod_ret.len()).any(|call| {
            let result = self.program(call);
            self.kept = result.or(self.kept);
            result.is_some_and(|result| result != 0)
        });
        if calls_function && !replaced {
            let result = self.function(EventKind::Called);
            self.kept = Some(result);
        }
        for call in case.fentry.len() + case.fmod_ret.len()..self.expectation.calls.len() {
            self.program(call);
        }
        if calls_function {
            self.tramp(EventKind::TrampExit, stub::TRAMP_EXIT);
        }
        if case.machine.return_thunk {
            let action = Action::default();
            self.event(EventKind::ReturnThunk, stub::RETURN_THUNK, action, false);
        }
        self.expectation.result = match case.keeps_return_value() {
            true => self.kept,
            false => None,
        };
        if case.returns_into_function() {
            self.expectation.result = Some(self.function(EventKind::Continued));
        }
        self.expectation
    }

    /// Appends an event.
    fn event(&mut self, kind: EventKind, stub: usize, mut action: Action, called: bool) {
        let number = self.expectation.events.len();
        if self.scenario.detach_at == Some(number) {
            action.effects |= action::PATCH;
            self.detached = true;
        }
        let counted = (self.case.machine.counted >> (stub % 64)) & 1 != 0;
        // The call lands inside of a function, which is not a thunk.
        let counted = counted && !matches!(kind, EventKind::Called);
        let accounted = self.expectation.accounted + u32::from(called && !counted);
        self.expectation.accounted = 0;
        action.id = stub as u64;
        self.expectation.events.push(ExpectedEvent {
            kind,
            stub,
            accounted,
            action,
        });
    }

    fn tramp(&mut self, kind: EventKind, stub: usize) {
        let action = Action {
            result: case::garbage(&mut self.rng),
            ..Action::default()
        };
        self.event(kind, stub, action, true);
    }

    fn function(&mut self, kind: EventKind) -> u64 {
        let result = case::garbage(&mut self.rng);
        let action = Action {
            result,
            value: case::garbage(&mut self.rng),
            effects: action::FILL_STACK_ARGS,
            ..Action::default()
        };
        let live_patch = self.case.has(flags::ORIG_STACK);
        let stub = if live_patch {
            stub::LIVE_PATCH
        } else {
            stub::BODY
        };
        self.event(kind, stub, action, kind == EventKind::Called);
        result
    }

    /// Appends the events of a program and returns its result; [`None`] if it does not run.
    fn program(&mut self, number: usize) -> Option<u64> {
        let Call { half, prog } = self.expectation.calls[number];
        // Index of its session cookie.
        let cookie = prog.session_cookie.then(|| self.cookie_of(number));
        if self.detached || self.scenario.detached.contains(&number) {
            return None;
        }

        let refused = self.scenario.refused.contains(&number);
        let start = match self.rng.random_range(0..5) {
            _ if refused => 0,
            0 => 1,
            // Not 0, though half of it is, or negative.
            1 => 1 << 32,
            2 => 1 << 63,
            _ => case::garbage(&mut self.rng),
        };
        let action = Action {
            result: start,
            value: case::garbage(&mut self.rng),
            effects: action::FILL_RUN_CTX,
            ..Action::default()
        };
        self.event(
            EventKind::Enter { call: number },
            stub::ENTER + prog.pair,
            action,
            true,
        );

        let mut result = None;
        if !refused {
            let mut action = Action {
                result: match (half, self.scenario.replaces) {
                    (Half::ModifyReturn, Some((call, value))) if call == number => value,
                    (Half::ModifyReturn, _) => 0,
                    _ => case::garbage(&mut self.rng),
                },
                ..Action::default()
            };
            let session_cookie = cookie.map(|at| self.cookies[at]);
            if let (Some(at), Half::Entry) = (cookie, half) {
                action.value = case::garbage(&mut self.rng);
                action.effects = action::WRITE_COOKIE;
                self.cookies[at] = action.value;
            }
            let kind = EventKind::Program {
                call: number,
                return_value: match half {
                    Half::Entry => prog.session.then_some(0),
                    Half::ModifyReturn => Some(0),
                    Half::Return => self.kept,
                },
                session_cookie,
            };
            self.event(kind, stub::PROG + prog.code, action, true);
            result = Some(action.result);
        }
        let action = Action {
            result: case::garbage(&mut self.rng),
            ..Action::default()
        };
        let kind = EventKind::Exit {
            call: number,
            start,
        };
        self.event(kind, stub::EXIT + prog.pair, action, true);
        result
    }

    /// Index of a program's session cookie. At entry it is a new one.
    fn cookie_of(&mut self, number: usize) -> usize {
        let half = self.expectation.calls[number].half;
        let before = &self.expectation.calls[..number];
        let same = |call: &&Call| call.half == half && call.prog.session_cookie;
        let at = before.iter().filter(same).count();
        if half == Half::Entry {
            self.cookies.push(0);
        }
        at
    }
}
