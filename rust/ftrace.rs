// SPDX-License-Identifier: GPL-2.0

//! Direct calls: a traced function's entry calls or jumps to an image without detour.
//!
//! C header: `include/linux/ftrace.h`

use super::{
    bindings,
    bpf_target::BpfTarget,
    features,
    rcu_tasks::wait_for_ftrace,
    symbols::Symbols,
    tramp_image::FilledImage, //
};
use core::{
    cell::UnsafeCell,
    mem::{
        self,
        ManuallyDrop, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The instruction by which a function enters an image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryInsn {
    /// A call: the return address into the function is on the stack.
    Call,
    /// A jump: the image stands in for the function (`CONFIG_DYNAMIC_FTRACE_WITH_JMP`).
    Jump,
}

impl EntryInsn {
    /// The instruction for an image that was built with `flags` (`BPF_TRAMP_F_*`).
    ///
    /// C: `bpf_trampoline_use_jmp()` in `include/linux/bpf.h`
    pub(super) fn of_image(flags: u32) -> Self {
        let calls_function = flags & bindings::RF_BPF_TRAMP_F_CALL_ORIG != 0;
        let skips_frame = flags & bindings::RF_BPF_TRAMP_F_SKIP_FRAME != 0;
        if features::JMP_ENTRY && calls_function && !skips_frame {
            Self::Jump
        } else {
            Self::Call
        }
    }
}

/// Whether ftrace has given up after a failure. It patches nothing from then on.
pub(crate) fn is_dead(_symbols: Symbols) -> bool {
    // SAFETY: `_symbols` proves that the call is bound.
    unsafe { bindings::rf_ftrace_is_dead() != 0 }
}

/// The operations of a user of ftrace.
pub(super) type Ops = UnsafeCell<bindings::ftrace_ops>;

/// What ftrace calls a direct call: the address, its lowest bit set for a jump.
fn direct_addr(image: &FilledImage) -> usize {
    match image.entry() {
        EntryInsn::Call => image.text().addr() as usize,
        EntryInsn::Jump => image.text().addr() as usize | 1,
    }
}

/// The direct call of one function into an image, removed on drop.
///
/// # Invariants
///
/// `ops` is registered with ftrace for `image`.
pub(crate) struct DirectCall {
    ops: ManuallyDrop<KBox<Ops>>,
    image: ManuallyDrop<FilledImage>,
    symbols: Symbols,
}

// SAFETY: ftrace has its own locks; the operations may be changed from any thread.
unsafe impl Send for DirectCall {}

impl DirectCall {
    /// Makes `target` enter `image`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the function has a direct call or an ftrace user that changes the instruction
    /// pointer (a live patch), or if `kernel.ftrace_enabled` is 0; `EINVAL` if there is no ftrace
    /// location or the image is for another function; `ENODEV` if ftrace is dead; `ENOMEM`.
    pub(crate) fn register(
        target: &BpfTarget,
        image: FilledImage,
        symbols: Symbols,
    ) -> Result<Self> {
        if image.func() != target.addr() {
            return Err(EINVAL);
        }
        if is_dead(symbols) {
            return Err(ENODEV);
        }
        // ftrace lists the operations before it finds that they conflict with others, and clears
        // their function then. Where it traces the target already, CPUs go through the list: they
        // pass over stubs.
        let stub = usize::try_from(bindings::FTRACE_OPS_FL_STUB)?;
        // `kernel.ftrace_enabled` must not turn the trampoline off.
        let permanent = usize::try_from(bindings::FTRACE_OPS_FL_PERMANENT)?;
        let ops = bindings::ftrace_ops {
            flags: permanent | stub,
            ..Default::default()
        };
        let ops = KBox::new(Ops::new(ops), GFP_KERNEL)?;
        // SAFETY: `ops` is new and stays where it is until it is unregistered.
        to_result(unsafe {
            bindings::ftrace_set_filter_ip(ops.get(), target.addr() as usize, 0, 1)
        })
        // SAFETY: `ops` is not registered.
        .inspect_err(|_| unsafe { bindings::ftrace_free_filter(ops.get()) })?;
        // SAFETY: As above; the image is for this function, entered as it is made to be, and kept
        // from now on.
        let ret = unsafe { bindings::register_ftrace_direct(ops.get(), direct_addr(&image)) };
        if let Err(e) = to_result(ret) {
            if is_dead(symbols) {
                // The function may have been patched already, for good.
                pr_err!("ftrace died of a direct call: error {ret}\n");
                mem::forget((ops, image));
                return Err(e);
            }
            // A CPU that goes through the list may still look at them.
            wait_for_ftrace();
            // SAFETY: `ops` is not registered, and no CPU uses it.
            unsafe { bindings::ftrace_free_filter(ops.get()) };
            return Err(e);
        }
        // SAFETY: `ops` is valid. ftrace changes the flags of registered operations only when their
        // owner asks for it.
        unsafe {
            let flags = &raw mut (*ops.get()).flags;
            flags.write_volatile(flags.read_volatile() & !stub);
        }
        // INVARIANT: Registered just now.
        Ok(Self {
            ops: ManuallyDrop::new(ops),
            image: ManuallyDrop::new(image),
            symbols,
        })
    }

    /// The image that the function enters.
    pub(crate) fn image(&self) -> &FilledImage {
        &self.image
    }

    /// Makes the function enter another image.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the image is for another function, `ENOMEM` and other errors of ftrace; the old
    /// image stays in place.
    pub(crate) fn modify(&mut self, image: FilledImage) -> Result {
        if image.func() != self.image.func() {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant, `ops` is registered; the address is as in `register()`.
        let ret = unsafe { bindings::modify_ftrace_direct(self.ops.get(), direct_addr(&image)) };
        if ret != 0 && is_dead(self.symbols) {
            // The function may enter either.
            pr_err!("ftrace died of a direct call: error {ret}\n");
            mem::forget(image);
            return to_result(ret);
        }
        to_result(ret)?;
        // INVARIANT: Registered for the new image.
        *self.image = image;
        Ok(())
    }
}

impl Drop for DirectCall {
    fn drop(&mut self) {
        let addr = direct_addr(&self.image);
        // SAFETY: By the type invariant.
        let ret = unsafe { bindings::unregister_ftrace_direct(self.ops.get(), addr, true) };
        if ret != 0 {
            // ftrace may still use both: leak them.
            pr_err!("ftrace keeps a direct call: error {ret}\n");
            return;
        }
        // SAFETY: ftrace uses neither any more, and neither is used after this.
        unsafe {
            ManuallyDrop::drop(&mut self.ops);
            ManuallyDrop::drop(&mut self.image);
        }
    }
}
