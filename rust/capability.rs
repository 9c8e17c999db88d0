// SPDX-License-Identifier: GPL-2.0

//! What tasks and the openers of files may do.
//!
//! C headers: `include/linux/capability.h`, `include/linux/filter.h`

use super::{
    bindings,
    symbols::Symbols, //
};
use kernel::cred::Credential;

/// Whether the current task may load and attach tracing programs: `CAP_BPF` and `CAP_PERFMON`, or
/// `CAP_SYS_ADMIN` in place of either.
///
/// C: `bpf_capable()` and `perfmon_capable()`, which ask for the wider capability last.
pub(crate) fn may_trace() -> bool {
    capable_or_admin(bindings::CAP_BPF) && capable_or_admin(bindings::CAP_PERFMON)
}

/// Whether the opener of a file may see kernel addresses, and code that holds some. Depends on
/// `kernel.kptr_restrict` as it is now.
///
/// C: `bpf_dump_raw_ok()`, which rules what `bpf()` shows of jited programs.
pub(crate) fn may_see_addresses(opener: &Credential, _symbols: Symbols) -> bool {
    // SAFETY: `_symbols` proves that the call is bound; the credentials are valid.
    unsafe { bindings::rf_kallsyms_show_value(opener.as_ptr()) }
}

fn capable_or_admin(cap: u32) -> bool {
    capable(cap) || capable(bindings::CAP_SYS_ADMIN)
}

fn capable(cap: u32) -> bool {
    // SAFETY: Any capability number up to `CAP_LAST_CAP` can be asked for.
    cap <= bindings::CAP_LAST_CAP && unsafe { bindings::capable(cap as kernel::ffi::c_int) }
}
