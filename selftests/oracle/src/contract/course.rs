// SPDX-License-Identifier: GPL-2.0

//! The course of a call: everything that happens between the caller's `call` and its return, in
//! order, and what everyone gets to see on the way.

use crate::abi::{self, reg, Place, Word};
use crate::behaviour::Behaviour;
use crate::case::{self, flags, Call, Case, Half, Preamble};
use crate::world::{action, stub, Action, Addresses, Regs};
use rand::rngs::SmallRng;
use rand::Rng;

/// What reaches a stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `__bpf_tramp_enter(im)`.
    TrampEnter,
    /// `__bpf_tramp_exit(im)`.
    TrampExit,
    /// The program's enter helper.
    Enter { call: usize },
    /// The program itself.
    Program {
        call: usize,
        /// What it reads where the return value is, if that is promised.
        return_value: Option<u64>,
        /// What its session cookie is, if it has one.
        session_cookie: Option<u64>,
    },
    /// The program's exit helper, with the time that the enter helper gave.
    Exit { call: usize, start: u64 },
    /// The function, from within the image.
    Called,
    /// The function, behind the image.
    GoneOn,
    /// `__bhi_args`, from the preamble.
    BhiThunk,
    /// The return thunk, at the image's end.
    ReturnThunk,
}

/// Something that happens, and what the stand-in does about it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub what: What,
    /// Number of the stand-in.
    pub stub: usize,
    /// How many calls the image has accounted for since the moment before.
    pub accounted: u32,
    pub action: Action,
}

/// A call from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Course {
    pub calls: Vec<Call>,
    pub moments: Vec<Moment>,
    /// What the caller gets in RAX, if that is promised.
    pub result: Option<u64>,
    /// How many calls the image has accounted for since the last moment.
    pub accounted: u32,
    /// The arguments.
    pub words: Vec<Word>,
    /// What the registers hold that carry no argument.
    pub regs: Regs,
    /// What the caller has on its stack, from RSP up: arguments for the function, and words of its
    /// own.
    pub caller_stack: Vec<u64>,
    /// What each byte below it holds.
    pub poison: u8,
}

/// Words of the caller above the arguments.
const CALLERS_OWN: usize = 4;

impl Course {
    pub fn stack_words(&self) -> usize {
        let on_stack = |word: &&Word| matches!(word.place, Place::Stack(_));
        self.words.iter().filter(on_stack).count()
    }

    pub fn has_cookies(&self) -> bool {
        self.calls.iter().any(|call| call.prog.session_cookie)
    }

    /// What the caller has in its registers.
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

    /// RSP of the caller, which is aligned to 16.
    pub fn caller_rsp(&self, at: &Addresses) -> u64 {
        at.stack_top() - 8 * self.caller_stack.len() as u64
    }
}

/// What a course is made from.
struct Making<'a> {
    case: &'a Case,
    behaviour: &'a Behaviour,
    rng: SmallRng,
    course: Course,
    /// All programs have been patched out.
    detached: bool,
    /// What programs have written to their session cookies, in the order of those at entry.
    cookies: Vec<u64>,
    /// What is kept as return value, as far as that is promised.
    kept: Option<u64>,
}

impl Course {
    pub fn of(case: &Case, behaviour: &Behaviour) -> Self {
        let mut rng = case::rng(behaviour.seed);
        let words = abi::words(case, &mut rng);
        let regs = std::array::from_fn(|_| case::garbage(&mut rng));
        let args = words.iter();
        let args = args.filter(|word| matches!(word.place, Place::Stack(_)));
        let mut caller_stack: Vec<_> = args.map(|word| word.passed).collect();
        let own = caller_stack.len().next_multiple_of(2) + CALLERS_OWN;
        caller_stack.resize(own, case::garbage(&mut rng));
        let poison = rng.random_range(1..=u8::MAX);
        let making = Making {
            case,
            behaviour,
            rng,
            course: Self {
                calls: case.calls(),
                moments: Vec::new(),
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
        making.course()
    }
}

impl Making<'_> {
    fn course(mut self) -> Course {
        let case = self.case;
        let calls_function = case.has(flags::CALL_ORIG);

        match case.preamble {
            Preamble::FineIbt { bhi: true, .. } if case.has(flags::INDIRECT) => {
                self.moment(What::BhiThunk, stub::BHI_THUNK, Action::default(), false);
            }
            // Nobody accounts for the call that an image is entered by, unless it is a function
            // call like any other.
            _ if case.has(flags::INDIRECT) => {}
            _ => self.course.accounted = 1,
        }

        if calls_function {
            self.tramp(What::TrampEnter, stub::TRAMP_ENTER);
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
            let result = self.function(What::Called);
            self.kept = Some(result);
        }
        for call in case.fentry.len() + case.fmod_ret.len()..self.course.calls.len() {
            self.program(call);
        }
        if calls_function {
            self.tramp(What::TrampExit, stub::TRAMP_EXIT);
        }
        if case.machine.return_thunk {
            let action = Action::default();
            self.moment(What::ReturnThunk, stub::RETURN_THUNK, action, false);
        }
        self.course.result = match case.keeps_return_value() {
            true => self.kept,
            false => None,
        };
        if case.goes_on() {
            self.course.result = Some(self.function(What::GoneOn));
        }
        self.course
    }

    /// Adds what happens next.
    fn moment(&mut self, what: What, stub: usize, mut action: Action, called: bool) {
        let number = self.course.moments.len();
        if self.behaviour.detach_at == Some(number) {
            action.what |= action::PATCH;
            self.detached = true;
        }
        let counted = (self.case.machine.counted >> (stub % 64)) & 1 != 0;
        // A place inside of a function is never a thunk that counts.
        let counted = counted && !matches!(what, What::Called);
        let accounted = self.course.accounted + u32::from(called && !counted);
        self.course.accounted = 0;
        action.id = stub as u64;
        self.course.moments.push(Moment {
            what,
            stub,
            accounted,
            action,
        });
    }

    fn tramp(&mut self, what: What, stub: usize) {
        let action = Action {
            result: case::garbage(&mut self.rng),
            ..Action::default()
        };
        self.moment(what, stub, action, true);
    }

    fn function(&mut self, what: What) -> u64 {
        let result = case::garbage(&mut self.rng);
        let action = Action {
            result,
            value: case::garbage(&mut self.rng),
            what: action::FILL_STACK_ARGS,
            ..Action::default()
        };
        let live_patch = self.case.has(flags::ORIG_STACK);
        let stub = if live_patch {
            stub::LIVE_PATCH
        } else {
            stub::BODY
        };
        self.moment(what, stub, action, what == What::Called);
        result
    }

    /// Runs a program and gives what it returns; [`None`] if it did not run.
    fn program(&mut self, number: usize) -> Option<u64> {
        let Call { half, prog } = self.course.calls[number];
        // Where its session cookie is, in the order of the cookies.
        let cookie = prog.session_cookie.then(|| self.cookie_of(number));
        if self.detached || self.behaviour.detached.contains(&number) {
            return None;
        }

        let refused = self.behaviour.refused.contains(&number);
        let start = match self.rng.random_range(0..5) {
            _ if refused => 0,
            0 => 1,
            // As much as nothing to those who look at one half, and less to those who see a sign.
            1 => 1 << 32,
            2 => 1 << 63,
            _ => case::garbage(&mut self.rng),
        };
        let action = Action {
            result: start,
            value: case::garbage(&mut self.rng),
            what: action::FILL_RUN_CTX,
            ..Action::default()
        };
        self.moment(
            What::Enter { call: number },
            stub::ENTER + prog.pair,
            action,
            true,
        );

        let mut result = None;
        if !refused {
            let mut action = Action {
                result: match (half, self.behaviour.replaces) {
                    (Half::ModifyReturn, Some((call, value))) if call == number => value,
                    (Half::ModifyReturn, _) => 0,
                    _ => case::garbage(&mut self.rng),
                },
                ..Action::default()
            };
            let session_cookie = cookie.map(|at| self.cookies[at]);
            if let (Some(at), Half::Entry) = (cookie, half) {
                action.value = case::garbage(&mut self.rng);
                action.what = action::WRITE_COOKIE;
                self.cookies[at] = action.value;
            }
            let what = What::Program {
                call: number,
                return_value: match half {
                    Half::Entry => prog.session.then_some(0),
                    Half::ModifyReturn => Some(0),
                    Half::Return => self.kept,
                },
                session_cookie,
            };
            self.moment(what, stub::PROG + prog.code, action, true);
            result = Some(action.result);
        }
        let action = Action {
            result: case::garbage(&mut self.rng),
            ..Action::default()
        };
        let what = What::Exit {
            call: number,
            start,
        };
        self.moment(what, stub::EXIT + prog.pair, action, true);
        result
    }

    /// The place of a program's session cookie; at entry they all are new.
    fn cookie_of(&mut self, number: usize) -> usize {
        let half = self.course.calls[number].half;
        let before = &self.course.calls[..number];
        let same = |call: &&Call| call.half == half && call.prog.session_cookie;
        let at = before.iter().filter(same).count();
        if half == Half::Entry {
            self.cookies.push(0);
        }
        at
    }
}
