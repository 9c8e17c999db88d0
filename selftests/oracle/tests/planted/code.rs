// SPDX-License-Identifier: GPL-2.0

//! Faults in the code of an image.

mod function;
mod machine;
mod programs;
mod sights;

use crate::edit::Code;
use crate::subjects::Subject;
use oracle::contract::Rule;

/// A fault in the code, by name: the image it is planted in, the sentence that it breaks, and the
/// change.
pub type CodeFault = (&'static str, Subject, Rule, fn(&mut Code<'_>));

/// `[rbp-8]`, where the return value is kept.
const KEEP_RESULT: &str = "mov [rbp-8],rax";

/// All of them.
pub fn all() -> impl Iterator<Item = &'static CodeFault> {
    let parts = [
        sights::SIGHTS,
        programs::PROGRAMS,
        function::FUNCTION,
        machine::MACHINE,
    ];
    parts.into_iter().flatten()
}
