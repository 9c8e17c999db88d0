// SPDX-License-Identifier: GPL-2.0

//! Where the C builder is wrong.

use super::error::{Error, Result};
use super::{Flags, Request};

/// The places where the C builder makes an image that does not do what it should.
///
/// A quirk that is on gives the image that C gives, byte for byte. A quirk that is off gives the
/// image that is right, where that is no more than another number; else a request that would show
/// it is refused with [`Error::Uncovered`].
///
/// | switch                     | seen in an image with                           | off     |
/// |----------------------------|-------------------------------------------------|---------|
/// | `indirect_args_too_high`   | `INDIRECT`, arguments on the stack              | right   |
/// | `aligned_in_scratch`       | fmod_ret programs, an unaligned scratch buffer  | right   |
/// | `tail_call_count_in_args`  | `TAIL_CALL_CTX`, arguments passed on the stack  | refused |
/// | `return_slot_not_reserved` | sessions or fmod_ret, nobody keeps return value | refused |
/// | `bare_original_call`       | `ORIG_STACK`                                    | refused |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// An image that is called indirectly has one return address above its frame. C before 7.3
    /// counts two and reads every stack argument 8 bytes too high.
    pub indirect_args_too_high: bool,
    /// The exit programs of an image with fmod_ret programs are meant to begin at a multiple of
    /// 16. C aligns the address in the scratch buffer that it builds in, not the one where the
    /// image runs ([`Request::scratch_align`]).
    pub aligned_in_scratch: bool,
    /// C pushes the tail call counter below the arguments that it passes on the stack, so that
    /// the function finds the counter in place of the first of them.
    pub tail_call_count_in_args: bool,
    /// C clears the return value for session and fmod_ret programs, and stores what fmod_ret
    /// programs return, at `[rbp - 8]` in any case. Without `CALL_ORIG` and `RET_FENTRY_RET` the last
    /// argument lies there, or the metadata word of a function without arguments.
    pub return_slot_not_reserved: bool,
    /// C calls the function of an `ORIG_STACK` image through a register without a retpoline and
    /// without accounting for the depth, whatever the mitigations of the machine.
    pub bare_original_call: bool,
}

impl Quirks {
    /// All that is wrong in the C builder of 7.3.
    ///
    /// In 7.2 `indirect_args_too_high` is on as well.
    pub const C: Self = Self {
        indirect_args_too_high: false,
        aligned_in_scratch: true,
        tail_call_count_in_args: true,
        return_slot_not_reserved: true,
        bare_original_call: true,
    };

    /// Refuses a request whose image would show a quirk that is off and has no right form.
    pub(super) fn check(&self, req: &Request<'_>) -> Result {
        let has = |flags| req.flags.contains(flags);
        let clears_return = req.programs.has_sessions() || !req.programs.fmod_ret.is_empty();

        let shown = [
            (
                self.tail_call_count_in_args,
                has(Flags::TAIL_CALL_CTX | Flags::CALL_ORIG) && req.target.model.stack_words() != 0,
            ),
            (
                self.return_slot_not_reserved,
                clears_return && !req.flags.keep_return_value(),
            ),
            (
                self.bare_original_call,
                has(Flags::ORIG_STACK | Flags::CALL_ORIG),
            ),
        ];
        if shown.iter().any(|&(on, seen)| seen && !on) {
            return Err(Error::Uncovered);
        }
        Ok(())
    }
}
