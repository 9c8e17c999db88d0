// SPDX-License-Identifier: GPL-2.0

//! The x86-64 BPF trampoline builder in Rust, with a test-only attach path.
//!
//! | room       | what it is                                                                |
//! |------------|---------------------------------------------------------------------------|
//! | `builder`  | the image builder: plain data in, machine code out; knows no kernel       |
//! | `session`  | the metadata word and the kfuncs of sessions; as pure                     |
//! | `image`    | from the kernel's request to an image, and two images compared            |
//! | `attach`   | a trampoline: programs on a target, images swapped                        |
//! | `hooks`    | the kernel's own calls of the C builder, compared or taken over           |
//! | `compare`  | both builders on any case                                                 |
//! | `device`   | `/dev/rust_fsession`                                                      |
//! | `debugfs`  | `/sys/kernel/debug/rust_fsession`                                         |
//! | `platform` | the running kernel in the builder's terms                                 |
//! | `kapi`     | `rust/`: what the `kernel` crate lacks; all `unsafe` is there             |
//!
//! Each room uses those below it:
//!
//! ```text
//! device       debugfs
//! attach  compare  hooks
//!        image
//!       platform
//! builder session      kapi
//! ```

mod attach;
pub mod builder;
mod compare;
mod debugfs;
mod device;
mod hooks;
mod image;
#[path = "../rust/mod.rs"]
mod kapi;
mod platform;
pub mod session;

use kernel::{
    prelude::*,
    sync::Arc, //
};

module! {
    type: RustFsession,
    name: "rust_fsession",
    authors: ["The rust_fsession developers"],
    description: "BPF trampolines with fsession programs, built in Rust",
    license: "GPL",
}

/// The loaded module. Dropped from the first field on.
#[pin_data]
struct RustFsession {
    #[pin]
    device: kapi::miscdevice::OwnedMiscDevice<device::Descriptor>,
    _debugfs: debugfs::Files,
}

impl kernel::InPlaceModule for RustFsession {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let mut platform = platform::Platform::new(module)?;
            image::probe_quirks(&mut platform)?;
            let platform = Arc::new(platform, GFP_KERNEL)?;
            let hooks = hooks::Hooks::new(platform.clone())?;
            Ok(try_pin_init!(Self {
                _debugfs: debugfs::Files::new(hooks, platform.clone())?,
                // Last: nothing may fail once somebody can open the device.
                device <- kapi::miscdevice::OwnedMiscDevice::register(
                    device::Descriptor::OPTIONS,
                    platform,
                    module,
                ),
            }))
        })
    }
}
