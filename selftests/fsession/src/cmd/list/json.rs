// SPDX-License-Identifier: GPL-2.0

//! `fsession list --json`: its help has the fields.

use serde::Serialize;
use trampoline::document::{Hex, Kind, Owner, Trampoline};

#[derive(Serialize)]
pub struct Row<'a> {
    target: Option<&'a str>,
    module: Option<&'a str>,
    target_program: Option<u32>,
    kind: Kind,
    key: Option<u64>,
    symbol: &'a str,
    address: Hex,
    size: usize,
    programs: Vec<Program<'a>>,
    owners: &'a [Owner],
}

#[derive(Serialize)]
struct Program<'a> {
    id: u32,
    name: &'a str,
    tag: &'a str,
    r#type: &'a str,
    entry: Hex,
    roles: Vec<&'static str>,
}

pub fn rows(trampolines: &[Trampoline]) -> Vec<Row<'_>> {
    trampolines.iter().map(row).collect()
}

fn row(it: &Trampoline) -> Row<'_> {
    let roles = super::roles(it);
    Row {
        target: it.target.as_ref().map(|target| target.name.as_str()),
        module: it
            .target
            .as_ref()
            .and_then(|target| target.module.as_deref()),
        target_program: it.target.as_ref().and_then(|target| target.program),
        kind: it.kind,
        key: it.key,
        symbol: &it.symbol,
        address: it.addr,
        size: it.code.len(),
        programs: it
            .programs
            .iter()
            .map(|program| Program {
                id: program.id,
                name: &program.name,
                tag: &program.tag,
                r#type: &program.kind,
                entry: program.entry,
                roles: super::roles_of(&roles, program),
            })
            .collect(),
        owners: &it.owners,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_the_help_says() {
        let examples = super::super::tests::examples();
        insta::assert_json_snapshot!(rows(&examples));
    }
}
