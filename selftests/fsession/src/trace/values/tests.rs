// SPDX-License-Identifier: GPL-2.0

//! Values of all kinds, as they are shown.

use super::super::types::examples;
use super::*;

fn read(text: &str) -> Text {
    Text::Read {
        bytes: text.into(),
        is_cut: false,
    }
}

fn show(name: &str, ty: &Ty, words: &[u64], text: Option<&Text>) -> String {
    Shown {
        name,
        ty,
        words,
        text,
        limit: None,
    }
    .text()
}

#[test]
fn numbers_have_their_width_and_sign() {
    let int = examples::int("int", 4, true);
    let byte = examples::int("u8", 1, false);
    let long = examples::int("unsigned long", 8, false);
    assert_eq!(show("x", &int, &[0xdead_0000_ffff_fffe], None), "-2");
    assert_eq!(show("x", &byte, &[0x1234], None), "52");
    assert_eq!(show("dfd", &int, &[0xffff_ff9c], None), "AT_FDCWD");
    assert_eq!(show("x", &int, &[0xffff_ff9c], None), "-100");
    assert_eq!(show("x", &long, &[u64::MAX], None), "0xffffffffffffffff");
    assert_eq!(show("x", &long, &[1 << 40], None), "1099511627776");
    assert_eq!(show("flags", &int, &[0x8000_0001], None), "0x80000001");
    assert_eq!(show("gup_flags", &long, &[0x18], None), "0x18");
    assert_eq!(
        show("x", &examples::int("gfp_t", 4, false), &[0xcc0], None),
        "0xcc0"
    );
    assert_eq!(
        show("mode", &examples::int("umode_t", 2, false), &[0o644], None),
        "0o644"
    );
    let bool = examples::ty("bool", 1, Kind::Bool);
    assert_eq!(show("x", &bool, &[0x100], None), "false");
    assert_eq!(show("x", &bool, &[0x101], None), "true");
}

#[test]
fn enums_have_names() {
    let names = vec![(0, "IDLE".into()), (1, "READ".into()), (2, "WRITE".into())];
    let kind = Kind::Enum {
        is_signed: false,
        names,
    };
    let ty = examples::ty("enum state", 4, kind);
    assert_eq!(show("x", &ty, &[0], None), "IDLE");
    assert_eq!(show("x", &ty, &[0xff_0000_0002], None), "WRITE");
    assert_eq!(show("x", &ty, &[3], None), "READ|WRITE");
    assert_eq!(show("x", &ty, &[7], None), "7");
}

#[test]
fn strings_are_quoted() {
    let (fixed, open) = (examples::text(true), examples::text(false));
    fn show(ty: &Ty, text: Option<&Text>) -> String {
        super::tests::show("x", ty, &[0x7f00], text)
    }
    assert_eq!(show(&fixed, Some(&read("a \"b\"\n"))), r#""a \"b\"\n""#);
    assert_eq!(show(&fixed, Some(&read(""))), "\"\"");
    assert_eq!(show(&fixed, Some(&read("\x01\u{e9}"))), r#""\x01\xc3\xa9""#);
    assert_eq!(show(&fixed, Some(&Text::Unreadable)), "0x7f00");
    assert_eq!(show(&fixed, None), "0x7f00");
    assert_eq!(show(&open, Some(&read("ext4"))), "\"ext4\"");
    assert_eq!(show(&open, Some(&read(""))), "0x7f00");
    assert_eq!(show(&open, Some(&read("\x01"))), "0x7f00");
    let long = "x".repeat(MAX_SHOWN + 1);
    assert_eq!(
        show(&fixed, Some(&read(&long))),
        format!("\"{}\"...", "x".repeat(MAX_SHOWN))
    );
}

#[test]
fn a_count_limits_the_string_before_it() {
    let signature = examples::write();
    let texts = [read("hello, and what was there before")];
    let shown = arguments(&signature, &[0xffff_8880_0000_1000, 0x7f00, 5, 0], &texts);
    let shown: Vec<String> = shown
        .iter()
        .map(|(name, value)| format!("{name}={}", value.text()))
        .collect();
    assert_eq!(
        shown,
        [
            "file=0xffff888000001000",
            "buf=\"hello\"",
            "count=5",
            "pos=NULL"
        ]
    );
    // A record of fewer words than the prototype has.
    assert_eq!(arguments(&signature, &[1, 2], &[]).len(), 2);
}

#[test]
fn structures_show_their_members() {
    let member = |name: &str, offset, bits, ty| Member {
        name: name.into(),
        offset,
        bits,
        ty,
    };
    let int = || examples::int("int", 4, true);
    let members = vec![
        member("a", 0, None, int()),
        member("b", 32, Some(3), int()),
        member("c", 35, Some(5), examples::int("unsigned int", 4, false)),
        member("p", 64, None, examples::pointer("void *")),
    ];
    let ty = examples::ty("struct pair", 16, Kind::Struct { members });
    let words = [0x0000_00ff_0000_0001, 0xffff_8880_0000_0000];
    assert_eq!(
        show("x", &ty, &words, None),
        "{a=1, b=-1, c=31, p=0xffff888000000000}"
    );
    let bytes = examples::ty("union u", 16, Kind::Bytes);
    assert_eq!(show("x", &bytes, &[1, 2], None), "{0x1, 0x2}");
}

#[test]
fn returned_errors_have_names() {
    let ret = |ty: &Ty, value: u64| returned(ty, &value, None).unwrap().text_or_error();
    let int = examples::int("int", 4, true);
    assert_eq!(ret(&int, 0xffff_fffe), "-ENOENT");
    assert_eq!(ret(&int, 7), "7");
    assert_eq!(
        ret(&examples::int("long", 8, true), -512i64 as u64),
        "-ERESTARTSYS"
    );
    assert_eq!(
        ret(&examples::int("u32", 4, false), 0xffff_fffe),
        "4294967294"
    );
    assert_eq!(ret(&examples::pointer("void *"), -12i64 as u64), "-ENOMEM");
    assert!(returned(&examples::ty("void", 0, Kind::Void), &0, None).is_none());
}

#[test]
fn json_keeps_numbers() {
    let signature = examples::write();
    let texts = [read("hi")];
    let words = [0xffff_8880_0000_1000, 0x7f00, u64::MAX, 0];
    let shown = arguments(&signature, &words, &texts);
    let json: Vec<String> = shown
        .iter()
        .map(|(_, value)| value.json().to_string())
        .collect();
    assert_eq!(
        json,
        [
            "\"0xffff888000001000\"",
            "\"0x7f00\"",
            "18446744073709551615",
            "\"0x0\""
        ]
    );
    assert_eq!(shown[1].1.string().as_deref(), Some("hi"));
    let value = -2i64 as u64;
    assert_eq!(
        returned(&signature.ret, &value, None).unwrap().json(),
        json!(-2)
    );
}

#[test]
fn pointers_have_the_name_of_what_they_point_to() {
    let named = examples::ty("struct file *", 8, Kind::Pointer { name: None });
    let shown = show(
        "x",
        &named,
        &[0xffff_8880_0000_1000],
        Some(&read("version")),
    );
    assert_eq!(shown, "0xffff888000001000<version>");
    let shown = show("x", &named, &[0xffff_8880_0000_1000], Some(&read("")));
    assert_eq!(shown, "0xffff888000001000");
    let shown = show("x", &named, &[0], Some(&Text::Unreadable));
    assert_eq!(shown, "NULL");
}
