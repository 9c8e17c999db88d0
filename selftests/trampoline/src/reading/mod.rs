// SPDX-License-Identifier: GPL-2.0

//! Reads an image: which programs it calls, what its stack frame holds, and what each instruction
//! is for.
//!
//! Nothing but the bytes and the names of what they call is used, so images of every kernel and
//! of both builders are read, with and without session cookies and skip records. A [`Reading`]
//! can be written as JSON: its [`frame`](Reading::frame) is a map for tools that read the frames
//! of trampolines.
//!
//! | file | what it holds |
//! |---|---|
//! | [`facts`] | what an instruction does: values, slots, calls |
//! | [`calls`] | the calls by what they are for: programs with their helpers, the function |
//! | [`frame`] | the slots of the stack frame |
//! | [`phases`] | the parts of an image |
//! | [`notes`] | what each instruction is for |
//! | [`lines`] | the instructions, as they are shown and compared |

use std::fmt;

use serde::Serialize;

use crate::document::{Hex, Target, Trampoline};

mod calls;
mod facts;
mod flags;
mod frame;
mod lines;
mod notes;
mod phases;

pub use calls::{Half, ProgramCall, Role};
pub use frame::{Frame, Metadata, Slot, SlotKind};
pub use lines::Line;
pub use notes::metadata;
pub use phases::Phase;

/// Why bytes are no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// At this offset is no instruction.
    NoInstruction(u64),
    /// The jump at this offset leads to no instruction of the image.
    JumpsAway(u64),
    /// rbp is never made the frame's.
    NoFrame,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these bytes are no trampoline image: ")?;
        match self {
            Self::NoInstruction(at) => write!(f, "no instruction at offset {at:#x}"),
            Self::JumpsAway(at) => write!(f, "the jump at offset {at:#x} leads nowhere"),
            Self::NoFrame => f.write_str("they set up no stack frame"),
        }
    }
}

/// What an image says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// `BPF_TRAMP_F_*` as they show in the code. (`SHARE_IPMODIFY` never does.)
    pub flags: u32,
    /// Where the function is called, behind its entry.
    pub function: Option<Hex>,
    /// The first helper that is called.
    #[serde(skip)]
    pub helper: Option<Hex>,
    /// In the order of the code. A session is there twice.
    pub calls: Vec<ProgramCall>,
    pub frame: Frame,
    pub lines: Vec<Line>,
}

impl Reading {
    /// Reads an image.
    ///
    /// # Errors
    ///
    /// The bytes are no image.
    pub fn new(trampoline: &Trampoline) -> Result<Self, Error> {
        let steps = facts::steps(&trampoline.code, trampoline.addr.0)?;
        let calls = calls::Calls::find(&steps, trampoline);
        let frame = Frame::find(&steps, &calls, trampoline.target.as_ref());
        let lines = lines::lines(&steps, &calls, &frame, trampoline);
        Ok(Self {
            flags: flags::shown(&steps, &calls, &frame),
            function: calls
                .function
                .and_then(|index| calls::target(&steps, index))
                .map(Hex),
            helper: calls.helper(&steps).map(Hex),
            calls: calls.programs,
            frame,
            lines,
        })
    }

    /// Each program once, in the order in which they run first.
    pub fn programs(&self) -> Vec<&ProgramCall> {
        let mut found: Vec<&ProgramCall> = Vec::new();
        for call in &self.calls {
            let again = call.half == Some(Half::Return)
                && found.iter().any(|other| other.prog == call.prog);
            if !again {
                found.push(call);
            }
        }
        found
    }
}

/// The name of an address, as the document has it.
fn name_of(trampoline: &Trampoline, addr: u64) -> Option<&str> {
    trampoline.symbols.get(&Hex(addr)).map(String::as_str)
}

/// The argument words of a function's model: for each word, its argument's number and which of
/// its words it is. None where BTF does not tell.
fn argument_words(target: Option<&Target>) -> Option<Vec<(usize, u32)>> {
    let prototype = target?.prototype.as_ref()?;
    let words = prototype
        .args
        .iter()
        .enumerate()
        .flat_map(|(nr, arg)| (0..arg.size.div_ceil(8)).map(move |word| (nr, word)));
    Some(words.collect())
}
