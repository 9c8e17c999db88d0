// SPDX-License-Identifier: GPL-2.0

//! Control flow: calls, jumps and their labels, and where an image may be entered or left.

use super::super::error::{Error, Result};
use super::super::writer::Buffer;
use super::super::{CallDepth, Callee};
use super::{Asm, Cond, Gpr, Label, ShortJump, Width, EXT2, RET_DEPTH_SHIFT};

impl<B: Buffer + ?Sized> Asm<'_, B> {
    /// `call callee`, with the accounting for it unless the callee does its own.
    #[inline(always)]
    pub(crate) fn call(&mut self, callee: Callee) -> Result {
        if !callee.counted {
            self.account_call()?;
        }
        self.branch(0xe8, callee.addr)
    }

    /// Accounts for a call if the machine has call-depth tracking.
    #[inline(always)]
    pub(crate) fn account_call(&mut self) -> Result {
        if let Some(CallDepth { depth, calls }) = self.call_depth {
            // sar qword gs:[depth], RET_DEPTH_SHIFT
            self.gs_rip([0xc1, 0x3d], depth, 1)?;
            self.code.put([RET_DEPTH_SHIFT])?;
            if let Some(calls) = calls {
                // inc qword gs:[calls]
                self.gs_rip([0xff, 0x05], calls, 0)?;
            }
        }
        Ok(())
    }

    /// `cs cs call target` without accounting. It has 7 bytes, like [`jne_udb`](Self::jne_udb).
    pub(crate) fn cs_cs_call(&mut self, target: u64) -> Result {
        self.code.put([0x2e, 0x2e])?;
        self.branch(0xe8, target)
    }

    /// `call reg`.
    #[inline(always)]
    pub(crate) fn call_reg(&mut self, reg: Gpr) -> Result {
        self.reg(Width::B4, 0xff, EXT2, reg)
    }

    /// `jmp target`.
    pub(crate) fn jmp(&mut self, target: u64) -> Result {
        self.branch(0xe9, target)
    }

    /// `jcc` over at most 127 bytes.
    #[inline(always)]
    pub(crate) fn jcc_short(&mut self, cond: Cond) -> Result<ShortJump> {
        self.code.put([0x70 | cond.code(), 0])?;
        Ok(ShortJump { end: self.pos() })
    }

    /// Binds the target of `jump` to the current position.
    #[inline(always)]
    pub(crate) fn bind_short(&mut self, jump: ShortJump) -> Result {
        let rel8 = i8::try_from(self.behind(jump.end)).map_err(|_| Error::OutOfRange)?;
        *self.code.at(jump.end.saturating_sub(1))? = rel8.to_le_bytes();
        Ok(())
    }

    /// `jcc label`, over any distance.
    #[inline(always)]
    pub(crate) fn jcc(&mut self, cond: Cond, label: &mut Label) -> Result {
        let [low, high] = label.last.to_le_bytes();
        self.code.put([0x0f, 0x80 | cond.code(), low, high, 0, 0])?;
        label.last = self.pos();
        Ok(())
    }

    /// Binds `label` to the current position.
    #[inline(always)]
    pub(crate) fn bind(&mut self, label: Label) -> Result {
        let mut end = label.last;
        while end != 0 {
            let rel32 = self.behind(end);
            let field: &mut [u8; 4] = self.code.at(end.saturating_sub(4))?;
            let [low, high, ..] = *field;
            *field = rel32.to_le_bytes();
            // Each jump is in front of the one that names it.
            end = u16::from_le_bytes([low, high]).min(end.saturating_sub(1));
        }
        Ok(())
    }

    /// Distance of the current position from `end`.
    fn behind(&self, end: u16) -> i32 {
        i32::from(self.pos()).wrapping_sub(end.into())
    }

    /// `jne` with the not-taken hint to the `udb` in the [`endbr_poison`] that follows.
    ///
    /// [`endbr_poison`]: Self::endbr_poison
    pub(crate) fn jne_udb(&mut self) -> Result {
        self.code.put([0x2e, 0x0f, 0x85, 3, 0, 0, 0])
    }

    /// `leave`.
    #[inline(always)]
    pub(crate) fn leave(&mut self) -> Result {
        self.code.put([0xc9])
    }

    /// `ret`.
    #[inline(always)]
    pub(crate) fn ret(&mut self) -> Result {
        self.code.put([0xc3])
    }

    /// `int3`.
    pub(crate) fn int3(&mut self) -> Result {
        self.code.put([0xcc])
    }

    /// `endbr64`.
    pub(crate) fn endbr64(&mut self) -> Result {
        self.code.put([0xf3, 0x0f, 0x1e, 0xfa])
    }

    /// What replaces an `endbr64` that must not be a target: `nop dword [rax - 42]`, whose last
    /// byte is a `udb`.
    pub(crate) fn endbr_poison(&mut self) -> Result {
        self.code.put([0x0f, 0x1f, 0x40, 0xd6])
    }
}
