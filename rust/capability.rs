// SPDX-License-Identifier: GPL-2.0

//! What the current task may do.
//!
//! C header: `include/linux/capability.h`

use super::bindings;

/// Whether the current task may load and attach tracing programs: `CAP_BPF` and `CAP_PERFMON`, or
/// `CAP_SYS_ADMIN`.
pub(crate) fn may_trace() -> bool {
    capable(bindings::CAP_SYS_ADMIN)
        || (capable(bindings::CAP_BPF) && capable(bindings::CAP_PERFMON))
}

fn capable(cap: u32) -> bool {
    // SAFETY: Any capability number up to `CAP_LAST_CAP` can be asked for.
    cap <= bindings::CAP_LAST_CAP && unsafe { bindings::capable(cap as kernel::ffi::c_int) }
}
