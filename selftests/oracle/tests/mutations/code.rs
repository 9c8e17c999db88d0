// SPDX-License-Identifier: GPL-2.0

//! Mutations of an image's code.

mod context;
mod function;
mod machine;
mod programs;

use crate::bases::Base;
use crate::edit::Code;
use oracle::contract::Rule;

/// A mutation of the code: name, base image, the rule that it breaks, change.
pub type CodeMutation = (&'static str, Base, Rule, fn(&mut Code<'_>));

/// Stores the return value at `[rbp-8]`.
const KEEP_RESULT: &str = "mov [rbp-8],rax";

/// All mutations of the code.
pub fn all() -> impl Iterator<Item = &'static CodeMutation> {
    let parts = [
        context::CONTEXT,
        programs::PROGRAMS,
        function::FUNCTION,
        machine::MACHINE,
    ];
    parts.into_iter().flatten()
}
