// SPDX-License-Identifier: GPL-2.0

//! Call sequences of programs.

use super::asm::{Cond, Label, RAX, RBX, RDI, RDX, RSI};
use super::error::{Error, Result};
use super::frame::RETURN_VALUE;
use super::image::Generator;
use super::list::List;
use super::sequence::{can_be_copied, Sequence};
use super::writer::Buffer;
use super::{Program, Skip, PATCH_SIZE};
use crate::session::FuncMeta;

impl<B: Buffer + ?Sized> Generator<'_, B> {
    /// Runs entry or exit programs, each with the index of its session cookie in the metadata word.
    ///
    /// The word is not changed for a program without a session cookie. Who `saves` keeps what the
    /// programs return as the return value.
    ///
    /// Counterpart of `invoke_bpf()`.
    pub(super) fn run(&mut self, programs: &[Program], meta: FuncMeta, saves: bool) -> Result {
        let mut cookies = self.frame.cookie_indexes.clone().rev();
        for program in programs {
            if program.session_cookie {
                // A session is among the entry programs, so its cookie was counted.
                let index = cookies.next().ok_or(Error::Invalid)?;
                self.store_meta(meta.with_cookie(index))?;
            }
            self.invoke(program, saves, None)?;
        }
        Ok(())
    }

    /// Runs fmod_ret programs. If one returns a value other than 0, it jumps over the rest and the
    /// function, to the returned label.
    ///
    /// Counterpart of `invoke_bpf_mod_ret()`.
    pub(super) fn run_fmod_ret(&mut self, programs: &[Program]) -> Result<Label> {
        let mut exit = Label::new();

        // The first program reads a return value of 0.
        self.asm.mov_imm(RAX, 0)?;
        self.asm.store(RETURN_VALUE, RAX)?;
        for program in programs {
            self.invoke(program, true, Some(&mut exit))?;
        }
        Ok(exit)
    }

    /// Runs one program. What it returns is the return value if this `saves` it, and leads to
    /// `exit`, if there is one, unless it is 0.
    ///
    /// Counterpart of `invoke_bpf_prog()`.
    #[inline(always)]
    fn invoke(&mut self, program: &Program, saves: bool, exit: Option<&mut Label>) -> Result {
        let nop = self.asm.pos();
        let target = match self.asm.leave_to_copy(program, saves, exit.is_some())? {
            Some(target) => target,
            None => self.emit(program, saves, exit)?,
        };
        self.skips.push(Skip {
            prog: program.prog,
            nop,
            target,
        })
    }

    /// Emits the call sequence of a program, and notes where those of others differ. Returns the
    /// position behind the call of the exit function.
    #[inline(never)]
    fn emit(&mut self, program: &Program, saves: bool, exit: Option<&mut Label>) -> Result<u16> {
        let (frame, asm) = (&self.frame, &mut self.asm);
        let (start, first) = (asm.pos(), asm.draft().nr_rel32());

        // Patched to a jump over the program when it is detached.
        asm.nop(PATCH_SIZE)?;

        // run_ctx.bpf_cookie = cookie
        asm.mov_imm(RDI, program.cookie)?;
        let cookie = asm.pos();
        asm.store(frame.bpf_cookie, RDI)?;

        // rbx = enter(prog, &run_ctx): the start time, or 0 if the program must not run
        asm.mov_imm(RDI, program.prog)?;
        let prog_to_enter = asm.pos();
        asm.lea(RSI, frame.run_ctx)?;
        asm.call(program.enter)?;
        asm.mov(RBX, RAX)?;
        asm.test(RAX, RAX)?;
        let not_run = asm.jcc_short(Cond::E)?;

        // rax = bpf_func(ctx, insnsi)
        asm.lea(RDI, frame.ctx)?;
        if let Some(insnsi) = program.insnsi {
            asm.mov_imm(RSI, insnsi)?;
        }
        asm.call(program.entry)?;
        let entry = asm.pos();
        if saves {
            asm.store(RETURN_VALUE, RAX)?;
        }
        asm.bind_short(not_run)?;

        // exit(prog, rbx, &run_ctx)
        asm.mov_imm(RDI, program.prog)?;
        let prog_to_exit = asm.pos();
        asm.mov(RSI, RBX)?;
        asm.lea(RDX, frame.run_ctx)?;
        asm.call(program.exit)?;
        let exited = asm.pos();

        // A return value other than 0 replaces the function.
        let decides = exit.is_some();
        if let Some(exit) = exit {
            asm.cmp_imm8(RETURN_VALUE, 0)?;
            asm.jcc(Cond::Ne, exit)?;
        }

        let field = |end: u16, len| end.saturating_sub(len).saturating_sub(start);
        let sequence = Sequence {
            enter: program.enter,
            exit: program.exit,
            counted: program.entry.counted,
            bpf_cookie: program.cookie,
            saves,
            decides,
            start,
            len: field(asm.pos(), 0),
            cookie: field(cookie, 8),
            progs: [field(prog_to_enter, 8), field(prog_to_exit, 8)],
            entry: field(entry, 4),
            branches: List::default(),
            exited: field(exited, 0),
        };
        asm.draft()
            .emitted(&sequence, first, can_be_copied(program))?;
        Ok(exited)
    }
}
