// SPDX-License-Identifier: GPL-2.0

//! Call sequences of programs.

use super::asm::{Cond, Label, RAX, RBX, RDI, RDX, RSI};
use super::error::{Error, Result};
use super::frame::RETURN_VALUE;
use super::image::Generator;
use super::sink::Sink;
use super::{Program, Skip, MAX_LINKS, PATCH_SIZE};
use crate::session::FuncMeta;

impl<S: Sink> Generator<'_, S> {
    /// Runs entry or exit programs, each with the index of its session cookie in the metadata word.
    ///
    /// The word is not changed for a program without a session cookie.
    ///
    /// Counterpart of `invoke_bpf()`.
    pub(super) fn run(
        &mut self,
        programs: &[Program],
        meta: FuncMeta,
        save_return_value: bool,
    ) -> Result {
        let mut cookies = self.frame.cookie_indexes.clone().rev();
        for program in programs {
            if program.session_cookie {
                // A session is among the entry programs, so its cookie was counted.
                let index = cookies.next().ok_or(Error::Invalid)?;
                self.store_meta(meta.with_cookie(index))?;
            }
            self.invoke(program, save_return_value)?;
        }
        Ok(())
    }

    /// Runs fmod_ret programs. If one returns a value other than 0, it jumps over the rest and the
    /// function, to the returned label.
    ///
    /// Counterpart of `invoke_bpf_mod_ret()`.
    pub(super) fn run_fmod_ret(&mut self, programs: &[Program]) -> Result<Label<MAX_LINKS>> {
        let mut exit = Label::new();

        // The first program reads a return value of 0.
        self.asm.mov_imm(RAX, 0)?;
        self.asm.store(RETURN_VALUE, RAX)?;
        for program in programs {
            self.invoke(program, true)?;
            self.asm.cmp_imm8(RETURN_VALUE, 0)?;
            self.asm.jcc(Cond::Ne, &mut exit)?;
        }
        Ok(exit)
    }

    /// Runs one program.
    ///
    /// Counterpart of `invoke_bpf_prog()`.
    fn invoke(&mut self, program: &Program, save_return_value: bool) -> Result {
        let (frame, asm) = (&self.frame, &mut self.asm);
        let mut not_run = Label::<1>::new();

        // Patched to a jump over the program when it is detached.
        let nop = asm.pos();
        asm.nop(PATCH_SIZE)?;

        // run_ctx.bpf_cookie = cookie
        asm.mov_imm(RDI, program.cookie)?;
        asm.store(frame.bpf_cookie, RDI)?;

        // rbx = enter(prog, &run_ctx): the start time, or 0 if the program must not run
        asm.mov_imm(RDI, program.prog)?;
        asm.lea(RSI, frame.run_ctx)?;
        asm.call(program.enter)?;
        asm.mov(RBX, RAX)?;
        asm.test(RAX, RAX)?;
        asm.jcc_short(Cond::E, &mut not_run)?;

        // rax = bpf_func(ctx, insnsi)
        asm.lea(RDI, frame.ctx)?;
        if let Some(insnsi) = program.insnsi {
            asm.mov_imm(RSI, insnsi)?;
        }
        asm.call(program.entry)?;
        if save_return_value {
            asm.store(RETURN_VALUE, RAX)?;
        }
        asm.bind(not_run)?;

        // exit(prog, rbx, &run_ctx)
        asm.mov_imm(RDI, program.prog)?;
        asm.mov(RSI, RBX)?;
        asm.lea(RDX, frame.run_ctx)?;
        asm.call(program.exit)?;

        self.skips.push(Skip {
            prog: program.prog,
            nop,
            target: asm.pos(),
        })
    }
}
