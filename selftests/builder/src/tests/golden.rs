// SPDX-License-Identifier: GPL-2.0

//! Compares listings and images with a disassembler. Their bytes are compared in
//! [`builder::tests::golden`](crate::builder::tests::golden).

use super::disasm::{decode, text, Symbols};
use crate::builder::tests::fixture::{Case, IP, SYMBOLS};
use crate::builder::tests::golden;
use crate::builder::tests::listing::{Line, Marked, ROOM};
use crate::builder::Skip;

/// Names of addresses and labels, and the texts of a listing.
fn read(listing: &str) -> (Symbols, Vec<String>) {
    let names = SYMBOLS.map(|(name, address)| (address, name.into()));
    let (mut symbols, mut texts) = (Symbols::from(names), Vec::new());
    let mut len = 0;
    for line in listing.lines() {
        match Line::read(line).unwrap() {
            // Instructions do not refer to marks.
            Line::Label("fp_start" | "fp_end") | Line::Empty => {}
            Line::Label(name) => {
                let doubled = symbols.insert(IP + len, name.into());
                assert_eq!(doubled, None, "two names for one place");
            }
            Line::Insn { bytes, text } => {
                let size = |token: &str| match token.as_bytes()[0] {
                    b'#' => 8,
                    b'=' => 4,
                    _ => 1,
                };
                len += bytes.split(' ').map(size).sum::<u64>();
                texts.push(text.into());
            }
        }
    }
    // The `udb` in the poison, which a failed FineIBT check jumps to.
    symbols.insert(IP + 19, "udb".into());
    (symbols, texts)
}

fn disassembled(code: &[u8], symbols: &Symbols) -> Vec<String> {
    let insns = decode(code, IP);
    insns.iter().map(|insn| text(insn, symbols)).collect()
}

fn image(case: &Case<'_>) -> Vec<u8> {
    let (mut code, mut skips) = ([0; ROOM], [Skip::default(); 2]);
    let image = case.build(&mut code, &mut skips).unwrap();
    code[..image.code_len.into()].to_vec()
}

/// The bytes of a listing have its texts.
#[test]
fn listings_read_back() {
    for golden in golden::ALL {
        let listing = golden().unwrap().listing;
        let (symbols, texts) = read(listing);
        let marked = Marked::read(listing).unwrap();
        assert_eq!(disassembled(marked.code(), &symbols), texts);
    }
}

/// Images have the texts of their listings.
#[test]
fn images_read_like_their_listings() {
    for golden in golden::ALL {
        let golden = golden().unwrap();
        let (symbols, texts) = read(golden.listing);
        assert_eq!(disassembled(&image(&golden.case), &symbols), texts);
    }
}

/// Malformed listings are refused.
#[test]
fn bad_listings_are_refused() {
    let good = "fp_start:\n55  push rbp\nfp_end:\n";
    assert_eq!(Marked::read(good).unwrap().code(), [0x55]);
    for bad in [
        "55  push rbp",
        "fp_start:\n55\nfp_end:",
        "fp_start:\n5g  push rbp\nfp_end:",
        "fp_start:\ne8 =nowhere  call nowhere\nfp_end:",
        "fp_start:\ne8 =image  call image\nfp_end:",
    ] {
        assert!(Marked::read(bad).is_err(), "{bad}");
    }
    let long = format!("fp_start:\nfp_end:\n{}", "90  nop\n".repeat(ROOM + 1));
    assert!(Marked::read(&long).is_err());
}
