// SPDX-License-Identifier: GPL-2.0

//! The calls of an image by what they are for.
//!
//! They are told apart by what they are passed, not by the names of what they call: a program's
//! enter helper gets the program in rdi and the run context in rsi, the program itself its
//! context in rdi, the exit helper the run context in rdx. `__bpf_tramp_enter()` and
//! `__bpf_tramp_exit()` get the image in rdi, the function gets its arguments.

use std::ops::Range;

use serde::Serialize;

use super::facts::{Fact, Step, Value};
use super::frame::Metadata;
use super::name_of;
use crate::document::{Hex, Kind, Trampoline};

/// When a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Before the function.
    Fentry,
    /// Before the function, which it replaces where it does not return 0.
    FmodRet,
    /// After the function.
    Fexit,
    /// Before and after it, see [`Half`].
    Fsession,
    /// In place of the function: a member of struct_ops.
    StructOps,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::FmodRet => "fmod_ret",
            Self::Fexit => "fexit",
            Self::Fsession => "fsession",
            Self::StructOps => "struct_ops",
        }
    }
}

/// The half of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    Entry,
    Return,
}

/// A program that the image calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramCall {
    pub role: Role,
    /// None for all but sessions.
    pub half: Option<Half>,
    /// The program, `struct bpf_prog *`.
    pub prog: Hex,
    /// First instruction of its code.
    pub entry: Option<Hex>,
    /// `bpf_prog_<tag>_<name>`
    pub symbol: Option<String>,
    /// The helpers around it, by name.
    pub enter: Option<String>,
    pub exit: Option<String>,
    /// What `bpf_get_attach_cookie()` returns.
    pub bpf_cookie: u64,
    /// Position of the session cookie: `ctx[-N]`. None where it has no cookie.
    pub cookie_index: Option<u8>,
    /// It is patched out: the image jumps over it.
    pub detached: bool,
    /// Instructions, as indexes of [`Reading::lines`](super::Reading::lines).
    pub lines: Range<usize>,
}

impl ProgramCall {
    /// The name that the program was loaded with.
    pub fn name(&self) -> Option<&str> {
        let symbol = self.symbol.as_deref()?;
        let rest = symbol.strip_prefix("bpf_prog_")?;
        Some(rest.split_once('_').map_or(rest, |(_, name)| name))
    }
}

/// All calls of an image, by the index of their instructions.
pub struct Calls {
    pub programs: Vec<ProgramCall>,
    /// Index of the call of the program itself, by program.
    pub bodies: Vec<usize>,
    pub tramp_enter: Option<usize>,
    pub tramp_exit: Option<usize>,
    pub function: Option<usize>,
    /// The function calls the image, so that there are two return addresses.
    pub entered_by_call: bool,
    /// Where programs find their context, in bytes from rbp.
    pub ctx: Option<i32>,
    /// Where the run context is.
    pub run_ctx: Option<i32>,
}

/// What a call is for.
enum Purpose {
    Enter { prog: u64, run_ctx: i32 },
    Program { ctx: i32 },
    Exit,
    Image,
    Function,
}

fn purpose(fact: &Fact) -> Option<Purpose> {
    let Fact::Call { args, .. } = fact else {
        return None;
    };
    Some(match *args {
        [Value::Const(_), _, Value::Frame(_)] => Purpose::Exit,
        [Value::Const(prog), Value::Frame(run_ctx), _] => Purpose::Enter { prog, run_ctx },
        [Value::Frame(ctx), _, _] => Purpose::Program { ctx },
        [Value::Const(_), _, _] => Purpose::Image,
        _ => Purpose::Function,
    })
}

impl Calls {
    pub fn find(steps: &[Step], trampoline: &Trampoline) -> Self {
        let mut calls = Self {
            programs: Vec::new(),
            bodies: Vec::new(),
            tramp_enter: None,
            tramp_exit: None,
            function: None,
            entered_by_call: false,
            ctx: None,
            run_ctx: None,
        };
        let name = |index: usize| match steps.get(index)?.fact {
            Fact::Call { target, .. } => name_of(trampoline, target?).map(str::to_owned),
            _ => None,
        };
        let mut enters = None;
        let mut body = None;
        for (index, step) in steps.iter().enumerate() {
            match purpose(&step.fact) {
                None => {}
                Some(Purpose::Enter { prog, run_ctx }) => {
                    enters = Some((index, prog));
                    calls.run_ctx = Some(run_ctx);
                }
                Some(Purpose::Program { ctx }) => {
                    body = Some(index);
                    calls.ctx = Some(ctx);
                }
                Some(Purpose::Exit) => {
                    if let Some((enter, prog)) = enters.take() {
                        calls.programs.push(ProgramCall {
                            role: calls.role_so_far(),
                            half: None,
                            prog: Hex(prog),
                            entry: body.and_then(|body| target(steps, body)).map(Hex),
                            symbol: body.and_then(name),
                            enter: name(enter),
                            exit: name(index),
                            bpf_cookie: 0,
                            cookie_index: None,
                            detached: false,
                            lines: enter..index + 1,
                        });
                        calls.bodies.push(body.take().unwrap_or(enter));
                    }
                }
                Some(Purpose::Image) if calls.tramp_enter.is_none() => {
                    calls.tramp_enter = Some(index);
                }
                Some(Purpose::Image) => calls.tramp_exit = Some(index),
                Some(Purpose::Function) => {
                    calls.function.get_or_insert(index);
                }
            }
        }
        for number in 0..calls.programs.len() {
            calls.widen(number, steps);
        }
        calls.pair_sessions();
        let has = |fact: Fact| steps.iter().any(|step| step.fact == fact);
        let through_pointer = trampoline.kind == Kind::StructOps || has(Fact::Preamble);
        calls.entered_by_call =
            has(Fact::DropReturnAddress) || (calls.function.is_none() && !through_pointer);
        calls
    }

    /// Address of the first helper that is called.
    pub fn helper(&self, steps: &[Step]) -> Option<u64> {
        let mut indexes = 0..steps.len();
        indexes
            .find(|index| {
                let purpose = steps.get(*index).and_then(|step| purpose(&step.fact));
                matches!(purpose, Some(Purpose::Image | Purpose::Enter { .. }))
            })
            .and_then(|index| target(steps, index))
    }

    fn role_so_far(&self) -> Role {
        if self.function.is_some() {
            Role::Fexit
        } else {
            Role::Fentry
        }
    }

    /// Finds out about a program by what stands around its call.
    fn widen(&mut self, number: usize, steps: &[Step]) {
        let (Some(ctx), Some(run_ctx)) = (self.ctx, self.run_ctx) else {
            return;
        };
        let floor = number
            .checked_sub(1)
            .and_then(|before| self.programs.get(before));
        let mut floor = floor.map_or(0, |before| before.lines.end);
        for image in [self.tramp_enter, self.function].into_iter().flatten() {
            let of_number = self.programs.get(number).map_or(0, |call| call.lines.start);
            if image < of_number {
                floor = floor.max(image + 1);
            }
        }
        let result = self.bodies.get(number).copied();
        let Some(call) = self.programs.get_mut(number) else {
            return;
        };
        let meta = ctx - 8;
        // Backwards: what the enter helper is passed, the BPF cookie, the place to patch, and the
        // metadata word.
        let mut index = call.lines.start;
        let mut has_meta = false;
        while let Some(before) = index.checked_sub(1).filter(|before| *before >= floor) {
            let Some(step) = steps.get(before) else { break };
            match step.fact {
                Fact::Set { .. } | Fact::Account => {}
                Fact::Store {
                    at,
                    value: Value::Const(cookie),
                    ..
                } if at >= run_ctx && at < run_ctx + 16 => {
                    call.bpf_cookie = cookie;
                }
                Fact::Jump { to, always: true } if to > call.lines.start => call.detached = true,
                Fact::Store {
                    at,
                    value: Value::Const(word),
                    ..
                } if at == meta && !has_meta => {
                    call.cookie_index = Metadata::new(word).cookie_index;
                    has_meta = true;
                }
                Fact::Other if is_nop(step) => {}
                _ => break,
            }
            index = before;
        }
        call.lines.start = index;
        // Within: whether its return value is kept.
        let result = Fact::Store {
            at: -8,
            bytes: 8,
            value: result.map_or(Value::Unknown, Value::Returned),
        };
        let keeps = steps
            .get(call.lines.clone())
            .is_some_and(|within| within.iter().any(|step| step.fact == result));
        if !keeps {
            return;
        }
        call.role = Role::StructOps;
        // Behind: whether the function is left out for it.
        if let Some(Fact::CompareSlot { at: -8 }) = steps.get(call.lines.end).map(|step| &step.fact)
        {
            call.role = Role::FmodRet;
            call.lines.end += 1;
            if let Some(Fact::Jump { always: false, .. }) =
                steps.get(call.lines.end).map(|step| &step.fact)
            {
                call.lines.end += 1;
            }
        }
    }

    /// A program that runs before and after the function is a session.
    fn pair_sessions(&mut self) {
        let of = |role| {
            self.programs
                .iter()
                .filter(move |call| call.role == role)
                .map(|call| call.prog)
                .collect::<Vec<_>>()
        };
        let (entry, exit) = (of(Role::Fentry), of(Role::Fexit));
        for call in &mut self.programs {
            if !(entry.contains(&call.prog) && exit.contains(&call.prog)) {
                // Only a session has a cookie; the word before it may be another one's.
                call.cookie_index = None;
                continue;
            }
            call.half = match call.role {
                Role::Fentry => Some(Half::Entry),
                _ => Some(Half::Return),
            };
            call.role = Role::Fsession;
        }
    }
}

/// Where the call at `index` leads.
pub fn target(steps: &[Step], index: usize) -> Option<u64> {
    match steps.get(index)?.fact {
        Fact::Call { target, .. } => target,
        _ => None,
    }
}

pub fn is_nop(step: &Step) -> bool {
    step.insn.mnemonic() == iced_x86::Mnemonic::Nop
}
