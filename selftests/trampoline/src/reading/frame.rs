// SPDX-License-Identifier: GPL-2.0

//! The stack frame of an image: what lives where.

use serde::Serialize;

use super::argument_words;
use super::calls::Calls;
use super::facts::{Fact, Step, Value};
use crate::document::{Hex, Target};

/// The stack frame, as a map for tools that find trampolines on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Bytes below the saved rbp.
    pub size: u32,
    /// Where the programs' context begins, in bytes from rbp. None where no program is called.
    pub ctx: Option<i32>,
    /// Words of arguments, as the metadata word has it.
    pub nr_args: Option<u8>,
    /// From the top down. Bytes that are not listed are padding.
    pub slots: Vec<Slot>,
}

/// Some bytes of the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// Lowest byte, in bytes from rbp.
    pub at: i32,
    /// Bytes.
    pub size: u32,
    #[serde(flatten)]
    pub kind: SlotKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SlotKind {
    /// An argument that the caller passed on the stack, read from there.
    CallerArgument {
        name: Option<String>,
    },
    /// Where the image returns to: into the function, or to its caller.
    ReturnAddress {
        into_function: bool,
    },
    SavedRbp,
    /// What the function, or a program in its place, returned.
    ReturnValue,
    /// A word of an argument: its number from 0, and which of its words it is.
    Argument {
        word: u8,
        argument: Option<usize>,
        part: u32,
        name: Option<String>,
    },
    /// The function metadata word, `ctx[-1]`.
    Metadata {
        word: Hex,
    },
    /// Address of the function, for `bpf_get_func_ip()`.
    FunctionAddress {
        address: Hex,
    },
    /// A session's cookie: `ctx[-index]`.
    SessionCookie {
        index: u8,
        program: Option<String>,
    },
    SavedRbx,
    /// `struct bpf_tramp_run_ctx`; its BPF cookie has a slot of its own where a program has one.
    RunContext,
    /// What `bpf_get_attach_cookie()` returns, in the run context.
    BpfCookie,
    /// An argument that the image passes on to the function on the stack.
    PassedArgument {
        name: Option<String>,
    },
    TailCallCount,
}

/// The function metadata word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Words of arguments.
    pub nr_args: u8,
    /// The session cookie is `ctx[-index]`.
    pub cookie_index: Option<u8>,
    pub is_return: bool,
}

impl Metadata {
    pub fn new(word: u64) -> Self {
        let [nr_args, index, ..] = word.to_le_bytes();
        Self {
            nr_args,
            cookie_index: (index != 0).then_some(index),
            is_return: word >> 63 != 0,
        }
    }
}

impl Frame {
    pub(super) fn find(steps: &[Step], calls: &Calls, target: Option<&Target>) -> Self {
        let mut finder = Finder::new(steps, calls, target);
        for (index, step) in steps.iter().enumerate() {
            finder.step(index, step);
        }
        finder.finish()
    }

    /// The slot that a byte so far from rbp belongs to.
    pub fn slot(&self, at: i32) -> Option<&Slot> {
        // The smaller one wins: the BPF cookie lies in the run context.
        self.slots
            .iter()
            .filter(|slot| (slot.at..slot.end()).contains(&at))
            .min_by_key(|slot| slot.size)
    }
}

impl Slot {
    /// First byte above it, in bytes from rbp.
    pub fn end(&self) -> i32 {
        self.at.saturating_add_unsigned(self.size)
    }
}

/// The word that a byte belongs to: the upper half of one may be stored apart.
fn word_of(at: i32) -> i32 {
    at & !7
}

struct Finder<'a> {
    calls: &'a Calls,
    target: Option<&'a Target>,
    words: Option<Vec<(usize, u32)>>,
    size: u32,
    nr_args: Option<u8>,
    slots: Vec<Slot>,
    steps: &'a [Step],
}

impl<'a> Finder<'a> {
    fn new(steps: &'a [Step], calls: &'a Calls, target: Option<&'a Target>) -> Self {
        let mut finder = Self {
            calls,
            target,
            words: argument_words(target),
            size: 0,
            nr_args: None,
            slots: Vec::new(),
            steps,
        };
        let into_function = calls.entered_by_call;
        if into_function {
            let into_function = false;
            finder.add(16, 8, SlotKind::ReturnAddress { into_function });
        }
        finder.add(8, 8, SlotKind::ReturnAddress { into_function });
        finder.add(0, 8, SlotKind::SavedRbp);
        finder
    }

    fn add(&mut self, at: i32, size: u32, kind: SlotKind) {
        if !self
            .slots
            .iter()
            .any(|slot| slot.at == at && slot.size == size)
        {
            self.slots.push(Slot { at, size, kind });
        }
    }

    fn step(&mut self, index: usize, step: &Step) {
        match step.fact {
            Fact::Reserve(bytes) => self.size = bytes.unsigned_abs(),
            // The tail call counter is pushed below the frame.
            Fact::Push { .. } if self.size != 0 => {
                if step.insn.op0_register() == iced_x86::Register::RAX {
                    self.size = self.size.saturating_add(8);
                    let at = 0i32.saturating_sub_unsigned(self.size);
                    self.add(at, 8, SlotKind::TailCallCount);
                }
            }
            Fact::Store { at, value, .. } => self.store(index, at, value),
            Fact::Load { at, .. } if at >= 16 => {
                let name = self.caller_argument(index);
                self.add(at, 8, SlotKind::CallerArgument { name });
            }
            _ => {}
        }
    }

    /// The argument that is copied from the caller's stack: the load is followed by the store.
    fn caller_argument(&self, load: usize) -> Option<String> {
        match self.steps.get(load + 1)?.fact {
            Fact::Store { at, .. } => self.argument(at)?.1,
            _ => None,
        }
    }

    /// The argument that is passed on: the load before the store is from the caller's stack.
    fn passed_argument(&self, store: usize) -> Option<String> {
        let Fact::Load { at: from, .. } = self.steps.get(store.checked_sub(1)?)?.fact else {
            return None;
        };
        let slot = self.slots.iter().find(|slot| slot.at == from)?;
        match &slot.kind {
            SlotKind::CallerArgument { name } => name.clone(),
            _ => None,
        }
    }

    fn store(&mut self, index: usize, at: i32, value: Value) {
        let Some(ctx) = self.calls.ctx else {
            if value == Value::Initial(iced_x86::Register::RBX) {
                self.add(at, 8, SlotKind::SavedRbx);
            }
            return;
        };
        match value {
            Value::Initial(iced_x86::Register::RBX) => self.add(at, 8, SlotKind::SavedRbx),
            Value::Const(word) if at == ctx - 8 => {
                if self.nr_args.is_none() {
                    self.nr_args = Some(Metadata::new(word).nr_args);
                    let word = Hex(word);
                    self.add(at, 8, SlotKind::Metadata { word });
                }
            }
            Value::Const(address)
                if at == ctx - 16 && index < self.first_call() && address != 0 =>
            {
                let address = Hex(address);
                self.add(at, 8, SlotKind::FunctionAddress { address });
            }
            _ if at == -8 && self.return_value_at(ctx) == Some(-8) => {
                self.add(at, 8, SlotKind::ReturnValue);
            }
            _ if self.argument(at).is_some() => {
                let Some((kind, _)) = self.argument(at) else {
                    return;
                };
                self.add(word_of(at), 8, kind);
            }
            Value::Const(0) if at < ctx - 8 && self.is_cookie(at) => {
                let index = u8::try_from((ctx - at) / 8).unwrap_or(0);
                let of = |call: &&super::ProgramCall| call.cookie_index == Some(index);
                let program = self.calls.programs.iter().find(of);
                let program = program.and_then(|call| call.name().map(str::to_owned));
                self.add(at, 8, SlotKind::SessionCookie { index, program });
            }
            Value::Const(_) if self.is_run_ctx(at) => self.add(at, 8, SlotKind::BpfCookie),
            _ if self.calls.run_ctx.is_some_and(|run_ctx| at < run_ctx) => {
                let name = self.passed_argument(index);
                self.add(word_of(at), 8, SlotKind::PassedArgument { name });
            }
            _ => {}
        }
    }

    fn first_call(&self) -> usize {
        let first = self.calls.programs.first().map(|call| call.lines.start);
        let all = [first, self.calls.tramp_enter, self.calls.function];
        all.into_iter().flatten().min().unwrap_or(usize::MAX)
    }

    fn is_run_ctx(&self, at: i32) -> bool {
        self.calls
            .run_ctx
            .is_some_and(|from| (from..from + 16).contains(&at))
    }

    /// Whether a program finds its session cookie there, or could: the cookies lie in a row.
    fn is_cookie(&self, at: i32) -> bool {
        let above = self.calls.run_ctx.is_some_and(|run_ctx| at >= run_ctx + 16);
        above
            && self
                .calls
                .programs
                .iter()
                .any(|call| call.cookie_index.is_some())
    }

    fn return_value_at(&self, ctx: i32) -> Option<i32> {
        Some(ctx + 8 * i32::from(self.nr_args?))
    }

    /// The argument whose word lies there, and its name.
    fn argument(&self, at: i32) -> Option<(SlotKind, Option<String>)> {
        let from_ctx = at
            .checked_sub(self.calls.ctx?)
            .filter(|bytes| *bytes >= 0)?;
        let word = u8::try_from(from_ctx / 8).ok()?;
        if word >= self.nr_args? {
            return None;
        }
        let known = self
            .words
            .as_ref()
            .and_then(|words| words.get(usize::from(word)));
        let prototype = self.target.and_then(|target| target.prototype.as_ref());
        let name = known.and_then(|(nr, _)| {
            let name = &prototype?.args.get(*nr)?.name;
            (!name.is_empty()).then(|| name.clone())
        });
        let kind = SlotKind::Argument {
            word,
            argument: known.map(|(nr, _)| *nr),
            part: known.map_or(0, |(_, part)| *part),
            name: name.clone(),
        };
        Some((kind, name))
    }

    fn finish(mut self) -> Frame {
        if let Some(run_ctx) = self.calls.run_ctx {
            let above = self
                .slots
                .iter()
                .filter(|slot| slot.kind == SlotKind::SavedRbx);
            let size = above.map(|slot| slot.at - run_ctx).min().unwrap_or(16);
            self.add(run_ctx, size.unsigned_abs(), SlotKind::RunContext);
        }
        // What lies in another slot comes after that.
        self.slots
            .sort_by_key(|slot| (-slot.at, std::cmp::Reverse(slot.size)));
        Frame {
            size: self.size,
            ctx: self.calls.ctx,
            nr_args: self.nr_args,
            slots: self.slots,
        }
    }
}

impl SlotKind {
    /// In a few words.
    pub fn describe(&self) -> String {
        let named = |what: &str, name: &Option<String>| match name {
            Some(name) => format!("{what} {name}"),
            None => format!("an {what}"),
        };
        match self {
            Self::CallerArgument { name } => named("argument", name),
            Self::ReturnAddress {
                into_function: true,
            } => "return address, into the function".into(),
            Self::ReturnAddress {
                into_function: false,
            } => "return address, to the caller".into(),
            Self::SavedRbp => "rbp".into(),
            Self::ReturnValue => "return value".into(),
            Self::Argument {
                word, part, name, ..
            } => {
                let part = if *part == 0 {
                    String::new()
                } else {
                    format!(" word {part}")
                };
                match name {
                    Some(name) => format!("{name}{part}"),
                    None => format!("argument word {word}"),
                }
            }
            Self::Metadata { .. } => "metadata word".into(),
            Self::FunctionAddress { .. } => "address of the function".into(),
            Self::SessionCookie { program, .. } => match program {
                Some(program) => format!("session cookie of {program}"),
                None => "session cookie".into(),
            },
            Self::SavedRbx => "rbx".into(),
            Self::RunContext => "run context".into(),
            Self::BpfCookie => "BPF cookie".into(),
            Self::PassedArgument { name } => named("argument", name),
            Self::TailCallCount => "tail call counter".into(),
        }
    }
}
