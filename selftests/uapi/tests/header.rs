// SPDX-License-Identifier: GPL-2.0

//! Compares the Rust mirror of the ioctl ABI with the C header: a C compiler
//! checks the mirror's sizes, offsets and numbers as assertions on the header.

mod cc;

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};

use uapi::abi;

/// Asserts the layout of a structure and of all its fields. As there is no
/// padding, the sizes show that no field is missing.
macro_rules! layout {
    ($out:expr, $rust:ident is $c:literal { $($field:ident),+ $(,)? }) => {{
        assert_that($out, concat!("sizeof(struct ", $c, ")"), size_of::<abi::$rust>());
        let mut end = 0;
        $(
            let field = concat!("(struct ", $c, ", ", stringify!($field), ")");
            let offset = offset_of!(abi::$rust, $field);
            assert_eq!(offset, end, "fields out of order or padded at {}", stringify!($field));
            assert_that($out, &format!("offsetof{field}"), offset);
            assert_that($out, &format!("sizeof(((struct {} *)0)->{})", $c, stringify!($field)),
                        size_of_field(|it: &abi::$rust| &it.$field));
            end += size_of_field(|it: &abi::$rust| &it.$field);
        )+
        assert_eq!(end, size_of::<abi::$rust>(), "a field of {} is missing here", $c);
    }};
}

fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

fn assert_that(out: &mut String, expression: &str, value: usize) {
    writeln!(
        out,
        "_Static_assert({expression} == {value:#x}, \"{expression}\");"
    )
    .unwrap();
}

#[test]
fn mirror_fits_the_header() {
    let mut c = String::from("#include <stddef.h>\n#include \"rust_fsession.h\"\n");

    layout!(&mut c, Add is "rust_fsession_add" { prog_fd, flags, bpf_cookie });
    layout!(&mut c, Remove is "rust_fsession_remove" { prog_fd, flags });
    layout!(&mut c, Info is "rust_fsession_info" {
        target_addr, image_addr, image_size, code_size, flags, generation,
        nr_fentry, nr_fexit, nr_fmod_ret, nr_fsession, nr_cookies, reference,
        fp_start, fp_end, target,
    });
    layout!(&mut c, CaseProg is "rust_fsession_case_prog" { bpf_cookie, entry, list, traits });
    layout!(&mut c, Case is "rust_fsession_case" {
        progs, rust_image, c_image, nr_progs, flags, endbr, nr_args, arena_prog_fd,
        arg_size, arg_flags, rust_size, rust_ret, c_size, c_ret, verdict, differs_at,
        reserved,
    });
    for (name, value) in [
        ("RUST_FSESSION_NAME_LEN", abi::NAME_LEN),
        ("RUST_FSESSION_MAX_COOKIES", abi::MAX_COOKIES as usize),
        ("RUST_FSESSION_REFERENCE_NONE", abi::REFERENCE_NONE as usize),
        (
            "RUST_FSESSION_REFERENCE_IDENTICAL",
            abi::REFERENCE_IDENTICAL as usize,
        ),
        (
            "RUST_FSESSION_REFERENCE_DIFFERENT",
            abi::REFERENCE_DIFFERENT as usize,
        ),
        ("RUST_FSESSION_IOC_ADD", abi::IOC_ADD as usize),
        ("RUST_FSESSION_IOC_REMOVE", abi::IOC_REMOVE as usize),
        ("RUST_FSESSION_IOC_INFO", abi::IOC_INFO as usize),
        ("RUST_FSESSION_IOC_COMPARE", abi::IOC_COMPARE as usize),
        ("RUST_FSESSION_LIST_FENTRY", abi::LIST_FENTRY as usize),
        ("RUST_FSESSION_LIST_FEXIT", abi::LIST_FEXIT as usize),
        ("RUST_FSESSION_LIST_FMOD_RET", abi::LIST_FMOD_RET as usize),
        ("RUST_FSESSION_PROG_SESSION", abi::PROG_SESSION as usize),
        ("RUST_FSESSION_PROG_MULTI", abi::PROG_MULTI as usize),
        ("RUST_FSESSION_PROG_COOKIE", abi::PROG_COOKIE as usize),
        ("RUST_FSESSION_PROG_SLEEPABLE", abi::PROG_SLEEPABLE as usize),
        (
            "RUST_FSESSION_PROG_INTERPRETED",
            abi::PROG_INTERPRETED as usize,
        ),
        ("RUST_FSESSION_PROG_LSM", abi::PROG_LSM as usize),
        (
            "RUST_FSESSION_PROG_LSM_CGROUP",
            abi::PROG_LSM_CGROUP as usize,
        ),
        ("RUST_FSESSION_CASE_MAX_PROGS", abi::CASE_MAX_PROGS as usize),
        ("RUST_FSESSION_CASE_MAX_ARGS", abi::CASE_MAX_ARGS),
    ] {
        assert_that(&mut c, name, value);
    }

    cc::compile(&c);
}

/// A wrong mirror fails, so the compiler did check the assertions.
#[test]
#[should_panic(expected = "the header and its mirror differ")]
fn difference_is_seen() {
    cc::compile(
        "#include \"rust_fsession.h\"\n_Static_assert(RUST_FSESSION_IOC_ADD == 0, \"\");\n",
    );
}
