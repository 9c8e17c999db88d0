// SPDX-License-Identifier: GPL-2.0

//! The ioctl structures: that they are those of the C header, and that user space may see them.
//!
//! C header: `src/uapi/rust_fsession.h`

use super::bindings;
use crate::uapi;
use core::mem::{
    align_of,
    offset_of,
    size_of, //
};
use kernel::transmute::{
    AsBytes,
    FromBytes, //
};

/// Asserts that a Rust structure has the layout of the C one.
macro_rules! same_layout {
    ($rust:ty, $c:ty { $($field:ident),* $(,)? }) => {
        const _: () = {
            assert!(size_of::<$rust>() == size_of::<$c>());
            assert!(align_of::<$rust>() == align_of::<$c>());
            $(assert!(offset_of!($rust, $field) == offset_of!($c, $field));)*
        };
    };
}

same_layout!(
    uapi::Add,
    bindings::rust_fsession_add {
        prog_fd,
        flags,
        bpf_cookie
    }
);
same_layout!(
    uapi::Remove,
    bindings::rust_fsession_remove { prog_fd, flags }
);
same_layout!(
    uapi::Info,
    bindings::rust_fsession_info {
        target_addr,
        image_addr,
        image_size,
        code_size,
        flags,
        generation,
        nr_fentry,
        nr_fexit,
        nr_fmod_ret,
        nr_fsession,
        nr_cookies,
        reference,
        fp_start,
        fp_end,
        target,
    }
);

same_layout!(
    uapi::CaseProg,
    bindings::rust_fsession_case_prog {
        bpf_cookie,
        entry,
        list,
        traits,
    }
);
same_layout!(
    uapi::Case,
    bindings::rust_fsession_case {
        progs,
        rust_image,
        c_image,
        nr_progs,
        flags,
        endbr,
        nr_args,
        arena_prog_fd,
        arg_size,
        arg_flags,
        rust_size,
        rust_ret,
        c_size,
        c_ret,
        verdict,
        differs_at,
        reserved,
    }
);

const _: () = {
    assert!(uapi::NAME_LEN == bindings::RUST_FSESSION_NAME_LEN as usize);
    assert!(uapi::MAX_COOKIES == bindings::RUST_FSESSION_MAX_COOKIES);
};

// SAFETY: Integers only: any bytes are a valid value.
unsafe impl FromBytes for uapi::Add {}
// SAFETY: As above.
unsafe impl FromBytes for uapi::Remove {}
// SAFETY: As above.
unsafe impl FromBytes for uapi::CaseProg {}
// SAFETY: As above.
unsafe impl FromBytes for uapi::Case {}
// SAFETY: Integers only and, as the sizes of the fields add up, no padding.
unsafe impl AsBytes for uapi::Info {}
// SAFETY: As above.
unsafe impl AsBytes for uapi::Case {}
