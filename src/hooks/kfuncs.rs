// SPDX-License-Identifier: GPL-2.0

//! Calls of session kfuncs.

use super::{
    HookState,
    Mode, //
};
use crate::{
    kapi::fixup_call::{
        FixupCall,
        RawInsn, //
    },
    session::SessionKfunc,
};
use kernel::prelude::*;

impl HookState {
    /// In place of `bpf_fixup_kfunc_call()`. C goes first: it does much else for a kfunc.
    pub(super) fn inline_kfunc(&self, call: &mut FixupCall<'_>) -> Result {
        let mode = self.mode();
        call.ask_c()?;
        if mode == Mode::Off {
            return Ok(());
        }
        let symbols = self.platform.symbols;
        let kfunc = match call.kfunc(symbols) {
            addr if addr == symbols.session_is_return => SessionKfunc::IsReturn,
            addr if addr == symbols.session_cookie => SessionKfunc::Cookie,
            _ => return Ok(()),
        };
        let Ok(insns) = inlined(kfunc, call) else {
            // The instructions of C stay in place.
            self.stats.errors.increment();
            return Ok(());
        };
        if mode == Mode::Takeover {
            call.replace(&insns)?;
            // The sessions of kprobes and uprobes keep their calls.
            if !insns.is_empty() {
                self.stats.kfunc_inlined.increment();
            }
            return Ok(());
        }
        self.stats.kfunc_compared.increment();
        if call.insns() != &*insns {
            self.stats.different.increment();
            pr_err!("a session kfunc is inlined otherwise by C\n");
        }
        Ok(())
    }
}

/// The instructions that take the place of the call, none where it stays.
fn inlined(kfunc: SessionKfunc, call: &FixupCall<'_>) -> Result<KVec<RawInsn>> {
    let mut insns = KVec::new();
    if call.in_session() {
        for insn in kfunc.inlined() {
            insns.push(insn.to_bytes(), GFP_KERNEL)?;
        }
    }
    Ok(insns)
}
