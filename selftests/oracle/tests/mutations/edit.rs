// SPDX-License-Identifier: GPL-2.0

//! Edits machine code.

use iced_x86::{ConstantOffsets, Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};

/// The code of an image as instructions.
pub struct Code<'a> {
    bytes: &'a mut Vec<u8>,
    ip: u64,
    insns: Vec<(String, Instruction, ConstantOffsets)>,
}

/// Index of an instruction.
pub type At = usize;

impl<'a> Code<'a> {
    pub fn new(bytes: &'a mut Vec<u8>, ip: u64) -> Self {
        let mut insns = Vec::new();
        let mut formatter = IntelFormatter::new();
        let mut decoder = Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE);
        while decoder.can_decode() {
            let insn = decoder.decode();
            let mut text = String::new();
            formatter.format(&insn, &mut text);
            insns.push((text, insn, decoder.get_constant_offsets(&insn)));
        }
        Self { bytes, ip, insns }
    }

    /// Instructions that match `pattern`, in which `*` stands for any text.
    pub fn all(&self, pattern: &str) -> Vec<At> {
        let texts = self.insns.iter().map(|(text, ..)| text);
        let looks = texts.enumerate().filter(|(_, text)| matches(pattern, text));
        looks.map(|(at, _)| at).collect()
    }

    /// The first match.
    ///
    /// # Panics
    ///
    /// There is no match, so the mutation is not possible.
    pub fn first(&self, pattern: &str) -> At {
        self.nth(pattern, 0)
    }

    pub fn last(&self, pattern: &str) -> At {
        let all = self.all(pattern);
        *all.last().unwrap_or_else(|| panic!("no {pattern}"))
    }

    pub fn nth(&self, pattern: &str, n: usize) -> At {
        let all = self.all(pattern);
        *all.get(n).unwrap_or_else(|| panic!("no {n} of {pattern}"))
    }

    /// The first match after `from`.
    pub fn after(&self, from: At, pattern: &str) -> At {
        let all = self.all(pattern);
        let next = all.into_iter().find(|&at| at > from);
        next.unwrap_or_else(|| panic!("no {pattern} behind {from}"))
    }

    /// The last match before `to`.
    pub fn before(&self, to: At, pattern: &str) -> At {
        let all = self.all(pattern);
        let last = all.into_iter().rev().find(|&at| at < to);
        last.unwrap_or_else(|| panic!("no {pattern} before {to}"))
    }

    pub fn text(&self, at: At) -> &str {
        &self.insns[at].0
    }

    pub fn len(&self) -> usize {
        self.insns.len()
    }

    pub fn offset(&self, at: At) -> usize {
        (self.insns[at].1.ip() - self.ip) as usize
    }

    pub fn of(&mut self, at: At) -> &mut [u8] {
        let (start, len) = (self.offset(at), self.insns[at].1.len());
        &mut self.bytes[start..start + len]
    }

    /// Replaces an instruction by nops.
    pub fn drop(&mut self, at: At) {
        self.of(at).fill(0x90);
    }

    /// Replaces an instruction by others that take at most as many bytes.
    pub fn put(&mut self, at: At, code: &[u8]) {
        self.drop(at);
        self.of(at)[..code.len()].copy_from_slice(code);
    }

    /// Adds `by` to a displacement.
    pub fn displace(&mut self, at: At, by: i32) {
        let offsets = &self.insns[at].2;
        let (from, len) = (offsets.displacement_offset(), offsets.displacement_size());
        assert!(len != 0, "{} has no displacement", self.text(at));
        add(&mut self.of(at)[from..from + len], by.into());
    }

    /// Adds `by` to an immediate or a branch target.
    pub fn change(&mut self, at: At, by: i64) {
        let offsets = &self.insns[at].2;
        let (from, len) = (offsets.immediate_offset(), offsets.immediate_size());
        assert!(len != 0, "{} has no immediate", self.text(at));
        add(&mut self.of(at)[from..from + len], by);
    }

    /// Redirects a branch to another instruction of the image.
    pub fn lead(&mut self, at: At, to: At) {
        let leads = self.insns[at].1.near_branch_target() - self.ip;
        let by = self.offset(to) as i64 - leads as i64;
        self.change(at, by);
    }
}

/// Adds to a little-endian number of any size.
fn add(number: &mut [u8], by: i64) {
    let mut wide = [0; 8];
    wide[..number.len()].copy_from_slice(number);
    let sum = i64::from_le_bytes(wide).wrapping_add(by).to_le_bytes();
    number.copy_from_slice(&sum[..number.len()]);
}

/// Whether `text` matches `pattern`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            let ends = (0..=text.len()).filter(|&end| text.is_char_boundary(end));
            rest.is_empty() || ends.into_iter().any(|from| matches(rest, &text[from..]))
        }),
    }
}
