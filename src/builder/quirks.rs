// SPDX-License-Identifier: GPL-2.0

//! Quirks of the C builder.

use super::error::{Error, Result};
use super::{Flags, Request};

/// Cases in which the C builder makes a wrong image.
///
/// With a quirk on, the image is that of C, byte for byte. With it off, the image is correct if
/// that only takes another number; otherwise a request whose image would have the quirk is refused
/// with [`Error::Uncovered`].
///
/// | switch                     | affects images with                             | off     |
/// |----------------------------|-------------------------------------------------|---------|
/// | `indirect_args_too_high`   | `INDIRECT`, arguments on the stack              | correct |
/// | `aligned_in_scratch`       | fmod_ret programs, an unaligned scratch buffer  | correct |
/// | `tail_call_count_in_args`  | `TAIL_CALL_CTX`, arguments passed on the stack  | refused |
/// | `return_slot_not_reserved` | sessions or fmod_ret, no return value slot      | refused |
/// | `bare_original_call`       | `ORIG_STACK`                                    | refused |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// An image that is called indirectly has one return address above its frame. C before 7.3
    /// assumes two and reads every stack argument 8 bytes too high.
    pub indirect_args_too_high: bool,
    /// The exit programs of an image with fmod_ret programs are aligned to 16 bytes. C aligns their
    /// address in the scratch buffer, not the one where the image runs
    /// ([`Request::scratch_align`]).
    pub aligned_in_scratch: bool,
    /// C pushes the tail call counter below the arguments that it passes on the stack, so the
    /// function reads the counter in place of the first of them.
    pub tail_call_count_in_args: bool,
    /// C always uses `[rbp - 8]` for the return value of session and fmod_ret programs. Without
    /// `CALL_ORIG` and `RET_FENTRY_RET` the last argument is there, or the metadata word of a
    /// function without arguments.
    pub return_slot_not_reserved: bool,
    /// C calls the function of an `ORIG_STACK` image through a register, without a retpoline and
    /// without call-depth accounting.
    pub bare_original_call: bool,
}

impl Quirks {
    /// The quirks of the C builder of 7.3.
    ///
    /// In 7.2 `indirect_args_too_high` is on as well.
    pub const C: Self = Self {
        indirect_args_too_high: false,
        aligned_in_scratch: true,
        tail_call_count_in_args: true,
        return_slot_not_reserved: true,
        bare_original_call: true,
    };

    /// Refuses a request whose image would have a quirk that is off and cannot be avoided.
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
