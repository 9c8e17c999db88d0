// SPDX-License-Identifier: GPL-2.0

//! Moves the function's arguments between caller, programs and function.

use super::asm::{Cond, Gpr, Slot, RAX};
use super::error::Result;
use super::image::Generator;
use super::model::Place;
use super::writer::Buffer;

impl<B: Buffer + ?Sized> Generator<'_, B> {
    /// Saves the arguments at `ctx`, where programs read them.
    ///
    /// Counterpart of `save_args()` for the programs.
    pub(super) fn save_args(&mut self) -> Result {
        let model = &self.req.target.model;
        for (word, ctx) in model.words().zip(self.frame.ctx.upwards()) {
            let mut src = match word.place {
                Place::Reg(reg) => reg,
                Place::Stack(slot) => self.load_stack_arg(slot)?,
            };
            if let (true, Some(base)) = (word.arena, self.req.arena_base) {
                src = self.convert_arena_arg(src, word.nullable, base)?;
            }
            self.asm.store(ctx, src)?;
            if let Place::Stack(_) = word.place {
                self.clear_garbage(ctx)?;
            }
        }
        Ok(())
    }

    /// Loads the arguments into their registers again.
    ///
    /// Counterpart of `restore_regs()`.
    pub(super) fn restore_args(&mut self) -> Result {
        let model = &self.req.target.model;
        for (word, ctx) in model.words().zip(self.frame.ctx.upwards()) {
            if let Place::Reg(reg) = word.place {
                self.asm.load(reg, ctx)?;
            }
        }
        Ok(())
    }

    /// Copies the arguments on the caller's stack to where the function expects them.
    ///
    /// Counterpart of `save_args()` for the original call.
    pub(super) fn pass_stack_args(&mut self) -> Result {
        for slot in 0..self.req.target.model.stack_words() {
            let dst = self.frame.orig_args.up(slot)?;
            let src = self.load_stack_arg(slot)?;
            self.asm.store(dst, src)?;
            self.clear_garbage(dst)?;
        }
        Ok(())
    }

    fn load_stack_arg(&mut self, slot: u8) -> Result<Gpr> {
        self.asm.load(RAX, self.frame.caller_args.up(slot)?)?;
        Ok(RAX)
    }

    /// Clears the upper half of a copied stack argument if the caller may not have written it.
    ///
    /// Counterpart of `clean_stack_garbage()`.
    fn clear_garbage(&mut self, copy: Slot) -> Result {
        if self.req.target.model.has_half_word() {
            self.asm.store32_imm(copy.up_bytes(4)?, 0)?;
        }
        Ok(())
    }

    /// Converts the kernel address of an arena object to an arena pointer: the lower half of its
    /// offset from `base`. `NULL` stays `NULL` where it is allowed.
    ///
    /// Counterpart of `emit_arena_arg_conv()`.
    fn convert_arena_arg(&mut self, src: Gpr, nullable: bool, base: u64) -> Result<Gpr> {
        let asm = &mut self.asm;
        let [b0, b1, b2, b3, ..] = base.to_le_bytes();
        let base = u32::from_le_bytes([b0, b1, b2, b3]);

        let null = if nullable {
            // The lower half of another pointer may be 0, so test all 64 bits.
            if src != RAX {
                asm.mov(RAX, src)?;
            }
            asm.test(RAX, RAX)?;
            Some(asm.jcc_short(Cond::E)?)
        } else {
            if src != RAX {
                asm.mov32(RAX, src)?;
            }
            None
        };
        asm.sub_eax_imm(base)?;
        if let Some(null) = null {
            asm.bind_short(null)?;
        }
        Ok(RAX)
    }
}
