// SPDX-License-Identifier: GPL-2.0

//! The running kernel, as the builder wants to know it, and what the module holds of it.

use crate::{
    builder::{
        CallDepth,
        Callee,
        Flags,
        Machine,
        Preamble,
        Program,
        Quirks,
        IMAGE_MAX,
        MAX_LINKS, //
    },
    kapi::{
        bpf_prog::Prog,
        errno::unsupported,
        features,
        mitigations::{
            self,
            Accounting, //
        },
        module_ref::ModuleRef,
        rcu_tasks::CallbackBarrier,
        symbols::Symbols,
        workqueue::OwnedQueue, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What all trampolines share.
pub(crate) struct Platform {
    /// The unexported functions.
    pub(crate) bound: Symbols,
    /// The kernel for the builder.
    pub(crate) machine: Machine,
    /// How an image begins that is called indirectly.
    pub(crate) preamble: Preamble,
    /// Where images are freed.
    pub(crate) queue: Arc<OwnedQueue>,
    module: &'static ThisModule,
    // Last: waits for the callbacks of everything above.
    _barrier: CallbackBarrier,
}

impl Platform {
    /// Looks the kernel over.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` with a line in the log if something is missing or unknown, `ENOMEM`.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Arc<Self>> {
        let bound = Symbols::resolve()?;
        if !bound.jit_supports_fsession() {
            pr_err!("the JIT of this kernel does not support fsession programs\n");
            return Err(unsupported());
        }
        let platform = Self {
            bound,
            machine: machine(bound)?,
            preamble: if features::IBT {
                Preamble::Endbr
            } else {
                Preamble::None
            },
            queue: Arc::new(OwnedQueue::new(c"rust_fsession")?, GFP_KERNEL)?,
            module,
            _barrier: CallbackBarrier,
        };
        Ok(Arc::new(platform, GFP_KERNEL)?)
    }

    /// A program for the builder.
    pub(crate) fn describe(&self, prog: &Prog, bpf_cookie: u64) -> Program {
        let guards = prog.run_guards(self.bound);
        Program {
            prog: prog.addr(),
            entry: callee(prog.entry(), self.bound),
            insnsi: prog.interpreted(),
            enter: callee(guards.enter, self.bound),
            exit: callee(guards.exit, self.bound),
            cookie: bpf_cookie,
            session: prog.is_session(),
            session_cookie: prog.calls_session_cookie(),
        }
    }

    /// A reference on this module.
    ///
    /// # Errors
    ///
    /// `ENODEV` while the module is being unloaded.
    pub(crate) fn module(&self) -> Result<ModuleRef> {
        ModuleRef::get(self.module)
    }
}

/// A function that an image calls.
fn callee(addr: u64, bound: Symbols) -> Callee {
    Callee {
        addr,
        counted: Accounting::at(addr, Some(addr), bound).code().is_empty(),
    }
}

fn machine(bound: Symbols) -> Result<Machine> {
    // The builder has the kernel's numbers written down. Here both meet.
    const {
        let flags = [
            Flags::RESTORE_REGS,
            Flags::CALL_ORIG,
            Flags::SKIP_FRAME,
            Flags::IP_ARG,
            Flags::RET_FENTRY_RET,
            Flags::ORIG_STACK,
            Flags::SHARE_IPMODIFY,
            Flags::TAIL_CALL_CTX,
            Flags::INDIRECT,
        ];
        let mut at = 0;
        while at < flags.len() {
            assert!(flags[at].bits() == features::TRAMP_FLAGS[at]);
            at += 1;
        }
        assert!(MAX_LINKS == features::MAX_TRAMP_LINKS);
        assert!(IMAGE_MAX as usize == features::PAGE_SIZE);
    }
    Ok(Machine {
        tramp_enter: callee(bound.tramp_enter, bound),
        tramp_exit: callee(bound.tramp_exit, bound),
        return_thunk: mitigations::return_thunk(bound),
        sls: features::SLS,
        call_depth: call_depth(bound)?,
        jmp: features::JMP_ENTRY,
        run_ctx_size: u16::try_from(features::RUN_CTX_SIZE)?,
        bpf_cookie_off: u16::try_from(features::BPF_COOKIE_OFF)?,
        quirks: Quirks {
            indirect_args_too_high: features::ARENA_ARG.is_none(),
            ..Quirks::C
        },
    })
}

/// Reads the counters out of the accounting sequence that the kernel emits:
///
/// ```text
/// sar  qword ptr gs:[rip + depth], 5
/// inc  qword ptr gs:[rip + calls]         CONFIG_CALL_THUNKS_DEBUG
/// ```
fn call_depth(bound: Symbols) -> Result<Option<CallDepth>> {
    const SAR_LEN: u64 = 9;
    const INC_LEN: u64 = 8;

    let ip = bound.tramp_enter;
    let counter = |end: u64, disp: [u8; 4]| {
        ip.wrapping_add(end)
            .wrapping_add_signed(i64::from(i32::from_le_bytes(disp)))
    };
    match *Accounting::at(ip, None, bound).code() {
        [] => Ok(None),
        [0x65, 0x48, 0xc1, 0x3d, a, b, c, d, 5] => Ok(Some(CallDepth {
            depth: counter(SAR_LEN, [a, b, c, d]),
            calls: None,
        })),
        [0x65, 0x48, 0xc1, 0x3d, a, b, c, d, 5, 0x65, 0x48, 0xff, 0x05, e, f, g, h] => {
            Ok(Some(CallDepth {
                depth: counter(SAR_LEN, [a, b, c, d]),
                calls: Some(counter(SAR_LEN + INC_LEN, [e, f, g, h])),
            }))
        }
        _ => {
            pr_err!("this kernel accounts for the call depth in an unknown way\n");
            Err(unsupported())
        }
    }
}
