// SPDX-License-Identifier: GPL-2.0

//! Both builders on one case: any function, any flags, programs that do not exist.
//!
//! What the C builder must not be asked (it warns, or writes past its page) it is not asked.

mod case;

use crate::{
    image::{
        self,
        code_of,
        BuiltImage,
        Comparison,
        Difference,
        Refusal, //
    },
    kapi::{
        c_builder::CImage,
        tramp_image::FreshImage,
        uapi, //
    },
    platform::Platform,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(crate) use case::Case;

/// A page of executable memory where both builders build, one after the other.
pub(crate) struct Bench {
    platform: Arc<Platform>,
    page: FreshImage,
}

/// The code of both images, empty where there is none.
#[derive(Default)]
pub(crate) struct Codes {
    pub(crate) rust: KVec<u8>,
    pub(crate) c: KVec<u8>,
}

impl Bench {
    /// # Errors
    ///
    /// `ENOMEM`, `ENODEV` while the module goes.
    pub(crate) fn new(platform: Arc<Platform>) -> Result<Self> {
        let page = image::scratch_page(&platform)?;
        Ok(Self { platform, page })
    }

    /// Address at which images of cases begin.
    pub(crate) fn addr(&self) -> u64 {
        self.page.text().addr()
    }

    /// Has both builders build `case`, and reports to `out`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also where C had no memory.
    pub(crate) fn run(&mut self, case: &Case, out: &mut uapi::Case) -> Result<Codes> {
        let own = case.plan()?;
        let plan = own.plan();
        let place = self.page.place();
        let mut codes = Codes::default();
        out.verdict = uapi::REFERENCE_NONE;
        out.differs_at = -1;
        (out.c_size, out.c_ret) = (0, 0);

        let measured = image::measure(&self.platform, &plan, Some(place));
        out.rust_size = number(measured.unwrap_or_else(|refusal| Err(refusal.into())));
        let tried = match image::build(&self.platform, &plan, place) {
            Ok(tried) => tried,
            Err(Refusal::NoMemory) => return Err(ENOMEM),
            Err(refusal) => {
                out.rust_ret = number(Err(refusal.into()));
                return Ok(codes);
            }
        };
        out.rust_ret = number(tried.image().map(BuiltImage::size));
        if let Ok(image) = tried.image() {
            codes.rust.extend_from_slice(image.code(), GFP_KERNEL)?;
        }

        let c = image::ask_c(&tried, &mut self.page, self.platform.symbols);
        out.c_size = number(c.size);
        out.c_ret = number(c.image.as_ref().map(CImage::size).map_err(|e| *e));
        if let Ok(image) = &c.image {
            codes.c.extend_from_slice(code_of(image), GFP_KERNEL)?;
        }

        let difference = tried.diff(&c)?;
        out.verdict = Comparison::from(difference).to_uapi();
        if let Some(Difference::Code(at)) = difference {
            out.differs_at = i32::try_from(at)?;
        }
        Ok(codes)
    }
}

/// A size or a negative errno value.
fn number(size: Result<u32>) -> i32 {
    match size {
        Ok(size) => i32::try_from(size).unwrap_or(i32::MAX),
        Err(e) => e.to_errno(),
    }
}
