// SPDX-License-Identifier: GPL-2.0

//! Finds a trampoline by what people call it.

use std::fmt;

use crate::document::{Dump, Trampoline};

/// Why there is not one that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// Nothing is called so.
    Unknown(String),
    /// Several are: their targets and addresses.
    Ambiguous(String, Vec<String>),
}

impl std::error::Error for NotFound {}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(what) => write!(
                f,
                "no trampoline is called {what}: give a traced function, a key, an address or a \
                 program (`fsession list` has them)"
            ),
            Self::Ambiguous(what, found) => write!(
                f,
                "{what} is {} trampolines, give the address of one: {}",
                found.len(),
                found.join(", ")
            ),
        }
    }
}

impl Dump {
    /// The trampoline that `what` means: a traced function, the name of an image, its key, an
    /// address in it, or the name or number of a program that it calls, whichever comes first.
    ///
    /// # Errors
    ///
    /// There is none, or there are several.
    pub fn find(&self, what: &str) -> Result<&Trampoline, NotFound> {
        type Test = fn(&Trampoline, &str) -> bool;
        const TESTS: [Test; 6] = [is_at, is_target, is_symbol, has_key, has_program, has_id];
        for test in TESTS {
            let found: Vec<_> = self
                .trampolines
                .iter()
                .filter(|trampoline| test(trampoline, what))
                .collect();
            match found.as_slice() {
                [] => {}
                [one] => return Ok(one),
                _ => return Err(ambiguous(what, &found)),
            }
        }
        Err(NotFound::Unknown(what.to_owned()))
    }
}

fn ambiguous(what: &str, found: &[&Trampoline]) -> NotFound {
    let name = |trampoline: &&Trampoline| {
        let target = trampoline.target.as_ref();
        let name = target.map_or(&trampoline.symbol, |target| &target.name);
        format!("{} ({name})", trampoline.addr)
    };
    NotFound::Ambiguous(what.to_owned(), found.iter().map(name).collect())
}

fn is_at(trampoline: &Trampoline, what: &str) -> bool {
    let digits = what.strip_prefix("0x");
    let Some(addr) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
        return false;
    };
    let offset = addr.checked_sub(trampoline.addr.0);
    offset.is_some_and(|offset| offset < trampoline.code.len() as u64)
}

fn is_target(trampoline: &Trampoline, what: &str) -> bool {
    trampoline
        .target
        .as_ref()
        .is_some_and(|target| target.name == what)
}

fn is_symbol(trampoline: &Trampoline, what: &str) -> bool {
    trampoline.symbol == what
}

fn has_key(trampoline: &Trampoline, what: &str) -> bool {
    trampoline.key.is_some_and(|key| what.parse() == Ok(key))
}

fn has_program(trampoline: &Trampoline, what: &str) -> bool {
    trampoline
        .programs
        .iter()
        .any(|program| program.name == what)
}

fn has_id(trampoline: &Trampoline, what: &str) -> bool {
    trampoline
        .programs
        .iter()
        .any(|program| what.parse() == Ok(program.id))
}
