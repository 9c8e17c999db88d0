// SPDX-License-Identifier: GPL-2.0

//! The running kernel: its description for the builder, and what all trampolines share.

mod constants;
mod scratch;

pub(crate) use scratch::{
    Measured,
    Memory,
    Scratch, //
};

use crate::{
    builder::{
        CallDepth,
        Callee,
        Machine,
        Preamble,
        Program,
        Quirks, //
    },
    kapi::{
        bpf_prog::{
            Prog,
            RunGuards, //
        },
        cfi,
        errno::unsupported,
        features,
        mitigations::{
            self,
            Accounting, //
        },
        module_ref::ModuleRef,
        symbols::Symbols,
        workqueue::OwnedQueue,
        CallbackBarrier, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Atomic,
        Arc, //
    },
};

/// What all trampolines share.
pub(crate) struct Platform {
    /// The unexported functions of the kernel.
    pub(crate) symbols: Symbols,
    /// The kernel in the builder's terms.
    pub(crate) machine: Machine,
    /// Memory to build images in.
    pub(crate) scratch: Pin<KBox<scratch::Scratches>>,
    /// The queue that frees images.
    pub(crate) queue: Arc<OwnedQueue>,
    /// Number of trampolines, one for each open descriptor.
    pub(crate) trampolines: Atomic<u64>,
    /// This module.
    pub(crate) module: &'static ThisModule,
    // Last: waits for the callbacks of everything above.
    _barrier: CallbackBarrier,
}

impl Platform {
    /// Probes the running kernel.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` with a line in the log if something is missing or unknown, `ENOMEM`.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let symbols = Symbols::resolve()?;
        if !symbols.jit_supports_fsession() {
            pr_err!("the JIT of this kernel does not support fsession programs\n");
            return Err(unsupported());
        }
        Ok(Self {
            symbols,
            machine: machine(symbols)?,
            scratch: scratch::Scratches::new()?,
            queue: Arc::new(OwnedQueue::new(c"rust_fsession")?, GFP_KERNEL)?,
            trampolines: Atomic::new(0),
            module,
            _barrier: CallbackBarrier,
        })
    }

    /// Describes a program for the builder.
    pub(crate) fn describe(&self, prog: &Prog, bpf_cookie: u64, guards: RunGuards) -> Program {
        let counts = self.machine.call_depth.is_some();
        let callee = |addr| Callee {
            addr,
            // Where nobody counts, nobody asks.
            counted: counts && is_counted(addr, self.symbols),
        };
        Program {
            prog: prog.addr(),
            entry: callee(prog.entry()),
            insnsi: prog.interpreted(),
            enter: callee(guards.enter),
            exit: callee(guards.exit),
            cookie: bpf_cookie,
            session: prog.is_session(),
            session_cookie: prog.calls_session_cookie(),
        }
    }

    /// How an image begins that is called indirectly in the place of the function at `func`.
    pub(crate) fn preamble(&self, func: u64) -> Preamble {
        match cfi::check_of(func, self.symbols) {
            cfi::Check::None if features::IBT => Preamble::Endbr,
            cfi::Check::None => Preamble::None,
            cfi::Check::Kcfi { hash } => Preamble::Kcfi {
                hash,
                padding: cfi::KCFI_PADDING,
                endbr: features::IBT,
            },
            cfi::Check::FineIbt { hash, bhi } => Preamble::FineIbt { hash, bhi },
        }
    }

    /// A reference on this module.
    ///
    /// # Errors
    ///
    /// `ENODEV` while the module is being unloaded.
    pub(crate) fn module_ref(&self) -> Result<ModuleRef> {
        ModuleRef::get(self.module)
    }
}

/// A function that every image calls.
fn callee(addr: u64, symbols: Symbols) -> Callee {
    Callee {
        addr,
        counted: is_counted(addr, symbols),
    }
}

/// Whether the function does its own accounting.
fn is_counted(addr: u64, symbols: Symbols) -> bool {
    Accounting::at(addr, Some(addr), symbols).code().is_empty()
}

fn machine(symbols: Symbols) -> Result<Machine> {
    const { constants::check() };
    Ok(Machine {
        tramp_enter: callee(symbols.tramp_enter, symbols),
        tramp_exit: callee(symbols.tramp_exit, symbols),
        return_thunk: mitigations::return_thunk(symbols),
        sls: features::SLS,
        call_depth: call_depth(symbols)?,
        jmp: features::JMP_ENTRY,
        run_ctx_size: u16::try_from(features::RUN_CTX_SIZE)?,
        bpf_cookie_off: u16::try_from(features::BPF_COOKIE_OFF)?,
        quirks: Quirks::C,
    })
}

/// Reads the counters out of the accounting sequence that the kernel emits:
///
/// ```text
/// sar  qword ptr gs:[rip + depth], 5
/// inc  qword ptr gs:[rip + calls]         CONFIG_CALL_THUNKS_DEBUG
/// ```
fn call_depth(symbols: Symbols) -> Result<Option<CallDepth>> {
    const SAR_LEN: u64 = 9;
    const INC_LEN: u64 = 8;

    let ip = symbols.tramp_enter;
    let counter = |end: u64, disp: [u8; 4]| {
        ip.wrapping_add(end)
            .wrapping_add_signed(i64::from(i32::from_le_bytes(disp)))
    };
    match *Accounting::at(ip, None, symbols).code() {
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
