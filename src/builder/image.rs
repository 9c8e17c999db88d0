// SPDX-License-Identifier: GPL-2.0

//! Generates an image, from its first instruction to its last.
//!
//! C source: `__arch_prepare_bpf_trampoline()` in
//! [`arch/x86/net/bpf_jit_comp.c`](srctree/arch/x86/net/bpf_jit_comp.c)

use super::asm::{Asm, Slot, RAX, RBP, RBX, RDI, RSP};
use super::draft::Draft;
use super::error::Result;
use super::frame::{Frame, RETURN_ADDRESS, RETURN_VALUE};
use super::request::Skips;
use super::writer::{Buffer, Writer};
use super::{Callee, Flags, Marks, Preamble, Request, ENDBR_INSN_SIZE, PATCH_SIZE};
use crate::session::FuncMeta;

/// Generator of an image.
pub(super) struct Generator<'a, B: ?Sized> {
    pub(super) req: &'a Request<'a>,
    pub(super) frame: Frame,
    pub(super) asm: Asm<'a, B>,
    pub(super) skips: Skips<'a>,
}

impl<'a, B: Buffer + ?Sized> Generator<'a, B> {
    pub(super) fn new(
        req: &'a Request<'a>,
        code: Writer<'a, B>,
        skips: Skips<'a>,
        draft: &'a mut Draft,
    ) -> Result<Self> {
        req.check()?;
        Ok(Self {
            req,
            frame: Frame::new(req)?,
            asm: Asm::new(code, req.machine.call_depth, draft),
            skips,
        })
    }

    /// Generates the image.
    pub(super) fn image(mut self) -> Result<Marks> {
        let programs = self.req.programs;
        let meta = FuncMeta::new(self.req.target.model.nr_words());
        let call_orig = self.has(Flags::CALL_ORIG);
        let sessions = programs.has_sessions();

        // The frame, and what programs read in it.
        self.begin()?;
        self.asm.push(RBP)?;
        self.asm.mov(RBP, RSP)?;
        let fp_start = self.asm.pos();
        self.asm.sub_imm(RSP, self.frame.size)?;
        if self.has(Flags::TAIL_CALL_CTX) {
            self.asm.push(RAX)?;
        }
        self.asm.store(self.frame.rbx, RBX)?;
        self.store_meta(meta)?;
        if self.has(Flags::IP_ARG) {
            self.store_imm(self.frame.ip, self.req.target.addr)?;
        }
        self.save_args()?;

        // Entry.
        if call_orig {
            self.call_with_image(self.req.machine.tramp_enter)?;
        }
        if sessions {
            self.clear_session()?;
        }
        self.run(programs.fentry, meta, self.has(Flags::RET_FENTRY_RET))?;
        let replaced = match programs.fmod_ret {
            [] => None,
            fmod_ret => Some(self.run_fmod_ret(fmod_ret)?),
        };

        // The function, unless an fmod_ret program replaces it.
        if call_orig {
            self.call_orig()?;
        }
        if let Some(replaced) = replaced {
            self.align()?;
            self.asm.bind(replaced)?;
        }

        // Exit.
        let meta = meta.at_return();
        if sessions {
            self.store_meta(meta)?;
        }
        self.run(programs.fexit, meta, false)?;
        if self.has(Flags::RESTORE_REGS) {
            self.restore_args()?;
        }
        if call_orig {
            self.call_with_image(self.req.machine.tramp_exit)?;
        } else {
            self.restore_tail_call_count()?;
        }
        if self.req.flags.keep_return_value() {
            self.asm.load(RAX, RETURN_VALUE)?;
        }
        self.asm.load(RBX, self.frame.rbx)?;
        self.asm.leave()?;
        let fp_end = self.asm.pos();
        self.end()?;

        Ok(Marks {
            code_len: self.asm.pos(),
            fp_start,
            fp_end,
            nr_skips: self.skips.len()?,
        })
    }

    fn has(&self, flag: Flags) -> bool {
        self.req.flags.contains(flag)
    }

    /// Emits the preamble.
    ///
    /// Counterpart of `emit_cfi()` and `x86_call_depth_emit_accounting()`.
    fn begin(&mut self) -> Result {
        let asm = &mut self.asm;
        if !self.req.flags.contains(Flags::INDIRECT) {
            // The call at the function's entry has no accounting of its own.
            return asm.account_call();
        }
        match self.req.target.preamble {
            Preamble::None => Ok(()),
            Preamble::Endbr => asm.endbr64(),
            Preamble::Kcfi {
                hash,
                padding,
                endbr,
            } => {
                asm.mov32_imm(RAX, hash)?;
                for _ in 0..padding {
                    asm.nop(1)?;
                }
                if endbr {
                    asm.endbr64()?;
                }
                Ok(())
            }
            Preamble::FineIbt { hash, bhi } => {
                asm.endbr64()?;
                asm.sub_eax_imm(hash)?;
                match bhi {
                    Some(thunk) => asm.cs_cs_call(thunk)?,
                    None => asm.jne_udb()?,
                }
                asm.endbr_poison()
            }
        }
    }

    /// Stores the metadata word for the next programs.
    pub(super) fn store_meta(&mut self, meta: FuncMeta) -> Result {
        self.store_imm(self.frame.meta, meta.bits())
    }

    /// Counterpart of `emit_store_stack_imm64()`.
    fn store_imm(&mut self, dst: Slot, imm: u64) -> Result {
        self.asm.mov_imm(RAX, imm)?;
        self.asm.store(dst, RAX)
    }

    /// Clears the session cookies and the return value, as entry programs read them.
    fn clear_session(&mut self) -> Result {
        for slot in 0..self.req.programs.nr_cookies() {
            self.store_imm(self.frame.cookies.up(slot)?, 0)?;
        }
        self.store_imm(RETURN_VALUE, 0)
    }

    /// Calls `__bpf_tramp_enter()` or `__bpf_tramp_exit()`.
    fn call_with_image(&mut self, callee: Callee) -> Result {
        self.asm.mov_image(RDI, self.req.image)?;
        self.asm.call(callee)
    }

    /// Calls the function with the caller's arguments and stores its return value.
    fn call_orig(&mut self) -> Result {
        self.restore_args()?;
        self.pass_stack_args()?;
        self.restore_tail_call_count()?;
        if self.has(Flags::ORIG_STACK) {
            self.asm.load(RBX, RETURN_ADDRESS)?;
            self.asm.call_reg(RBX)?;
        } else {
            self.asm.call(self.body())?;
        }
        self.asm.store(RETURN_VALUE, RAX)
    }

    /// The function behind the instruction that enters the image.
    fn body(&self) -> Callee {
        let endbr = if self.req.target.endbr {
            ENDBR_INSN_SIZE
        } else {
            0
        };
        let entry = u64::from(endbr.saturating_add(PATCH_SIZE));
        Callee {
            addr: self.req.target.addr.wrapping_add(entry),
            // The call lands inside of the function, which is not a call thunk.
            counted: false,
        }
    }

    /// Loads the tail call counter into its register.
    ///
    /// Counterpart of `LOAD_TRAMP_TAIL_CALL_CNT_PTR()`.
    fn restore_tail_call_count(&mut self) -> Result {
        if self.has(Flags::TAIL_CALL_CTX) {
            self.asm.load_disp32(RAX, self.frame.tail_call_count)?;
        }
        Ok(())
    }

    /// Aligns a jump target to 16 bytes.
    ///
    /// Counterpart of `emit_align()`.
    fn align(&mut self) -> Result {
        let scratch = u16::from(self.req.scratch_align).wrapping_add(self.asm.pos());
        let [at, ..] = if self.req.machine.quirks.aligned_in_scratch {
            u64::from(scratch).to_le_bytes()
        } else {
            self.asm.address().to_le_bytes()
        };
        self.asm.nop(u16::from(at.wrapping_neg() & 0xf))
    }

    /// Returns from the image, into the function or to its caller.
    ///
    /// Counterpart of `emit_return()`.
    fn end(&mut self) -> Result {
        if self.has(Flags::SKIP_FRAME) {
            self.asm.add_imm(RSP, 8)?;
        }
        if let Some(thunk) = self.req.machine.return_thunk {
            return self.asm.jmp(thunk);
        }
        self.asm.ret()?;
        if self.req.machine.sls {
            self.asm.int3()?;
        }
        Ok(())
    }
}
