// SPDX-License-Identifier: GPL-2.0

//! Layout of an image's stack frame.

use super::asm::Slot;
use super::error::{Error, Result};
use super::{Flags, Request};
use core::ops::Range;

/// The return value, if [`Flags::keep_return_value`].
pub(super) const RETURN_VALUE: Slot = Slot { disp: -8 };

/// The image's return address, which is in the function.
pub(super) const RETURN_ADDRESS: Slot = Slot { disp: 8 };

/// The stack frame of an image. From the top down:
///
/// ```text
/// caller_args      arguments that the caller passes on the stack
///                  one or two return addresses
/// rbp              the caller's rbp
/// RETURN_VALUE     return value                        with keep_return_value()
///                  arguments, the last one on top
/// ctx              the first argument
/// meta             function metadata word
/// ip               address of the function             with IP_ARG
///                  session cookies, the last one on top
/// cookies          the first session cookie
/// rbx              the caller's rbx
/// run_ctx          struct bpf_tramp_run_ctx
///                  padding to a multiple of 16
/// orig_args        arguments for the function          on the stack, with CALL_ORIG
/// tail_call_count  tail call counter                   with TAIL_CALL_CTX
/// ```
pub(super) struct Frame {
    pub(super) caller_args: Slot,
    pub(super) ctx: Slot,
    pub(super) meta: Slot,
    pub(super) ip: Slot,
    pub(super) cookies: Slot,
    /// Positions of the session cookies: `ctx[-index]`.
    pub(super) cookie_indexes: Range<u8>,
    pub(super) rbx: Slot,
    pub(super) run_ctx: Slot,
    pub(super) bpf_cookie: Slot,
    pub(super) orig_args: Slot,
    pub(super) tail_call_count: Slot,
    /// Size in bytes, without the tail call counter, which is pushed.
    pub(super) size: i32,
}

impl Frame {
    /// Lays out the frame for a request.
    pub(super) fn new(req: &Request<'_>) -> Result<Self> {
        let model = &req.target.model;
        let ip_words = u8::from(req.flags.contains(Flags::IP_ARG));
        let nr_cookies = req.programs.nr_cookies();

        let mut stack = Stack { words: 0 };
        stack.reserve(u16::from(req.flags.keep_return_value()))?;
        let ctx = stack.reserve(u16::from(model.nr_words()))?;
        let meta = stack.reserve(1)?;
        let ip = stack.reserve(u16::from(ip_words))?;
        let cookies = stack.reserve(u16::from(nr_cookies))?;
        let rbx = stack.reserve(1)?;
        let run_ctx = stack.reserve(req.machine.run_ctx_size.div_ceil(8))?;

        if req.flags.contains(Flags::CALL_ORIG) && model.stack_words() != 0 {
            stack.reserve(u16::from(model.stack_words()))?;
            // Arguments on the stack are aligned to 16 bytes. The caller's are, so the distance to
            // those for the function must be a multiple of 16 as well.
            stack.reserve((stack.words ^ above_frame(req)) & 1)?;
        }
        let orig_args = stack.reserve(0)?;
        let size = orig_args.disp.saturating_neg();
        let tail_call_count = stack.reserve(1)?;

        let first_cookie = ip_words.saturating_add(2);
        Ok(Self {
            caller_args: RETURN_ADDRESS.up(above_frame(req).saturating_sub(1))?,
            ctx,
            meta,
            ip,
            cookies,
            cookie_indexes: first_cookie..first_cookie.saturating_add(nr_cookies),
            rbx,
            run_ctx,
            bpf_cookie: run_ctx.up_bytes(req.machine.bpf_cookie_off)?,
            orig_args,
            tail_call_count,
            size,
        })
    }
}

/// Words between the frame and the caller's arguments: the saved `rbp` and the return addresses.
fn above_frame(req: &Request<'_>) -> u16 {
    let indirect =
        req.flags.contains(Flags::INDIRECT) && !req.machine.quirks.indirect_args_too_high;
    if indirect || entered_by_jmp(req) {
        // One return address: to the caller.
        2
    } else {
        // Two return addresses: into the function, which called the image, and to the caller.
        3
    }
}

/// Whether the function enters the image with `jmp` (`bpf_trampoline_use_jmp()`).
fn entered_by_jmp(req: &Request<'_>) -> bool {
    req.machine.jmp
        && req.flags.contains(Flags::CALL_ORIG)
        && !req.flags.contains(Flags::SKIP_FRAME)
}

/// Allocates the frame from the top down, in 8-byte words.
struct Stack {
    words: u16,
}

impl Stack {
    /// Reserves `words` and returns the lowest of them.
    fn reserve(&mut self, words: u16) -> Result<Slot> {
        self.words = self.words.checked_add(words).ok_or(Error::OutOfRange)?;
        let disp = i32::from(self.words).checked_mul(-8);
        Ok(Slot {
            disp: disp.ok_or(Error::OutOfRange)?,
        })
    }
}
