// SPDX-License-Identifier: GPL-2.0

//! Calls of session kfuncs.

use super::{
    Mode,
    Shared, //
};
use crate::{
    kapi::fixup_call::{
        FixupCall,
        RawInsn, //
    },
    session::SessionKfunc,
};
use kernel::prelude::*;

/// In place of `bpf_fixup_kfunc_call()`. C goes first: it does much else for a kfunc.
pub(super) fn fixup(shared: &Shared, call: &mut FixupCall<'_>) -> Result {
    let mode = shared.mode();
    call.ask_c()?;
    if mode == Mode::Off {
        return Ok(());
    }
    let bound = shared.platform.bound;
    let kfunc = match call.kfunc(bound) {
        addr if addr == bound.session_is_return => SessionKfunc::IsReturn,
        addr if addr == bound.session_cookie => SessionKfunc::Cookie,
        _ => return Ok(()),
    };
    let Ok(insns) = inlined(kfunc, call) else {
        // What C has done is as good.
        shared.stats.errors.increment();
        return Ok(());
    };
    if mode == Mode::Takeover {
        call.replace(&insns)?;
        shared.stats.kfunc_inlined.increment();
        return Ok(());
    }
    shared.stats.kfunc_compared.increment();
    if call.insns() != &*insns {
        shared.stats.different.increment();
        pr_err!("a session kfunc is inlined otherwise by C\n");
    }
    Ok(())
}

/// What takes the place of the call, nothing where it stays.
fn inlined(kfunc: SessionKfunc, call: &FixupCall<'_>) -> Result<KVec<RawInsn>> {
    let mut insns = KVec::new();
    if call.in_session() {
        for insn in kfunc.inlined() {
            insns.push(insn.to_bytes(), GFP_KERNEL)?;
        }
    }
    Ok(insns)
}
