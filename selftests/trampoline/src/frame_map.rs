// SPDX-License-Identifier: GPL-2.0

//! The frame map: where a trampoline's stack frame has what, for tools that walk stacks or print
//! arguments. It is JSON:
//!
//! ```json
//! {"format": "fsession-frame-map", "version": 1, "kernel": "7.2.12+deb13-amd64",
//!  "function": "vfs_read", "symbol": "bpf_trampoline_6442512345",
//!  "image": "0xffffffffc0201000", "image_size": 290,
//!  "size": 88, "ctx": -40, "nr_args": 4,
//!  "slots": [{"at": 8, "size": 8, "kind": "return_address", "into_function": false},
//!            {"at": 0, "size": 8, "kind": "saved_rbp"},
//!            {"at": -8, "size": 8, "kind": "return_value"},
//!            {"at": -16, "size": 8, "kind": "argument", "word": 3, "argument": 3, "part": 0,
//!             "name": "pos"}]}
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `image`, `image_size` | first byte of the code, and bytes of it. A return address in there, one frame down, says that this map holds |
//! | `size` | bytes of the frame below the saved rbp |
//! | `ctx` | where the context of the programs begins, in bytes from rbp; null where no program is called |
//! | `nr_args` | words of arguments from `ctx` up |
//! | `slots` | from the top down. `at`: lowest byte, in bytes from rbp; `size`: bytes; `kind`: see [`SlotKind`](crate::reading::SlotKind), with its fields |
//!
//! Bytes that no slot has are not used. A `bpf_cookie` lies in the `run_context`. Fields may be added in
//! one version; what is there keeps its meaning.

use serde::Serialize;

use crate::document::{Hex, Host, Trampoline};
use crate::reading::{Frame, Reading};

pub const FORMAT: &str = "fsession-frame-map";
pub const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub struct FrameMap<'a> {
    pub format: &'static str,
    pub version: u32,
    pub kernel: &'a str,
    pub function: Option<&'a str>,
    pub symbol: &'a str,
    pub image: Hex,
    pub image_size: usize,
    #[serde(flatten)]
    pub frame: &'a Frame,
}

impl<'a> FrameMap<'a> {
    pub fn new(host: &'a Host, trampoline: &'a Trampoline, reading: &'a Reading) -> Self {
        Self {
            format: FORMAT,
            version: VERSION,
            kernel: &host.release,
            function: trampoline
                .target
                .as_ref()
                .map(|target| target.name.as_str()),
            symbol: &trampoline.symbol,
            image: trampoline.addr,
            image_size: trampoline.code.len(),
            frame: &reading.frame,
        }
    }
}
