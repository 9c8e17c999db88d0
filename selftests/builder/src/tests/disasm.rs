// SPDX-License-Identifier: GPL-2.0

//! Disassembles code with iced-x86, which is independent of the assembler.

use iced_x86::{
    Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, SymbolResolver, SymbolResult,
};
use std::collections::BTreeMap;

/// Names for addresses.
pub type Symbols = BTreeMap<u64, String>;

/// All instructions of `code` at `ip`.
///
/// # Panics
///
/// A byte belongs to no instruction.
pub fn decode(code: &[u8], ip: u64) -> Vec<Instruction> {
    let mut decoder = Decoder::with_ip(64, code, ip, DecoderOptions::NONE);
    let insns: Vec<_> = decoder.iter().collect();
    for insn in &insns {
        assert!(!insn.is_invalid(), "invalid code at {:#x}", insn.ip());
    }
    insns
}

/// Text of an instruction in Intel syntax, with names for addresses.
pub fn text(insn: &Instruction, symbols: &Symbols) -> String {
    struct Resolver(Symbols);
    impl SymbolResolver for Resolver {
        fn symbol(
            &mut self,
            _: &Instruction,
            _: u32,
            _: Option<u32>,
            address: u64,
            _: u32,
        ) -> Option<SymbolResult<'_>> {
            let name = self.0.get(&address)?;
            Some(SymbolResult::with_str(address, name))
        }
    }

    let resolver = Box::new(Resolver(symbols.clone()));
    let mut formatter = IntelFormatter::with_options(Some(resolver), None);
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    let mut text = String::new();
    formatter.format(insn, &mut text);
    text
}
