// SPDX-License-Identifier: GPL-2.0

//! The x86-64 BPF trampoline builder in Rust, with a test-only attach path.
//!
//! | room         | what it is                                                            |
//! |--------------|-----------------------------------------------------------------------|
//! | `builder`    | the image builder: plain data in, machine code out; knows no kernel   |
//! | `session`    | the metadata word of a session; as pure                               |
//! | `attach`     | programs on a target, an image's life                                 |
//! | `device`     | `/dev/rust_fsession`                                                  |
//! | `uapi`       | its ioctls                                                            |
//! | `kapi`       | the kernel surface that the `kernel` crate lacks; all `unsafe` is there |

mod attach;
pub mod builder;
mod compare;
mod debugfs;
mod device;
mod hooks;
mod judge;
#[path = "../rust/mod.rs"]
mod kapi;
#[cfg(CONFIG_KUNIT = "y")]
#[path = "../selftests/builder/src/kunit/mod.rs"]
mod kunit;
mod lists;
mod platform;
pub mod session;
#[path = "uapi/abi.rs"]
pub mod uapi;

use kernel::prelude::*;

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
    debugfs: debugfs::Files,
    #[pin]
    device: kapi::miscdevice::OwnedMiscDevice<device::Descriptor>,
}

impl kernel::InPlaceModule for RustFsession {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let platform = platform::Platform::new(module)?;
            let hooks = hooks::Hooks::new(platform.clone())?;
            Ok(try_pin_init!(Self {
                debugfs <- debugfs::Files::new(hooks),
                device <- kapi::miscdevice::OwnedMiscDevice::register(
                    device::Descriptor::OPTIONS,
                    platform,
                    module,
                ),
            }))
        })
    }
}
