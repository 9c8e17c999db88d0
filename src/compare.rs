// SPDX-License-Identifier: GPL-2.0

//! Both builders on one case: any function, any flags, programs that do not exist.
//!
//! What the C builder must not be asked (it warns, or writes past its page) it is not asked.

mod case;

use crate::{
    image::{
        self,
        code_of,
        Comparison,
        Difference,
        Refusal, //
    },
    kapi::tramp_image::FreshImage,
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

/// What both builders made of a case. Sizes are in bytes, errors negative errno values.
pub(crate) struct Outcome {
    pub(crate) rust_measured: i32,
    pub(crate) rust_built: i32,
    pub(crate) rust_code: KVec<u8>,
    pub(crate) c_measured: i32,
    pub(crate) c_built: i32,
    pub(crate) c_code: KVec<u8>,
    pub(crate) comparison: Comparison,
    /// The first byte that differs, if the difference is in the code.
    pub(crate) differs_at: Option<usize>,
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

    /// Has both builders build `case`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also where C had no memory.
    pub(crate) fn run(&mut self, case: &Case) -> Result<Outcome> {
        let own = case.plan()?;
        let plan = own.plan();
        let measured = image::measure(&self.platform, &plan, Some(self.page.place()));
        let mut outcome = Outcome {
            rust_measured: number(measured.unwrap_or_else(|refusal| Err(refusal.into()))),
            rust_built: 0,
            rust_code: KVec::new(),
            c_measured: 0,
            c_built: 0,
            c_code: KVec::new(),
            comparison: Comparison::None,
            differs_at: None,
        };
        let tried = match image::build(&self.platform, &plan, self.page.place()) {
            Ok(tried) => tried,
            Err(Refusal::NoMemory) => return Err(ENOMEM),
            Err(refusal) => {
                outcome.rust_built = number(Err(refusal.into()));
                return Ok(outcome);
            }
        };
        let ours = tried.image();
        outcome.rust_built = number(ours.map(|image| image.size()));
        if let Ok(image) = ours {
            outcome
                .rust_code
                .extend_from_slice(image.code(), GFP_KERNEL)?;
        }
        let c = image::ask_c(&tried, &mut self.page, self.platform.symbols);
        let difference = tried.diff(&c)?;
        outcome.comparison = difference.into();
        if let Some(Difference::Code(at)) = difference {
            outcome.differs_at = Some(at);
        }
        outcome.c_measured = number(c.size);
        match c.image {
            Ok(image) => {
                outcome.c_built = number(u32::try_from(image.bytes.len()).map_err(Error::from));
                outcome
                    .c_code
                    .extend_from_slice(code_of(&image), GFP_KERNEL)?;
            }
            Err(e) => outcome.c_built = number(Err(e)),
        }
        Ok(outcome)
    }
}

/// A size or a negative errno value.
fn number(size: Result<u32>) -> i32 {
    match size {
        Ok(size) => i32::try_from(size).unwrap_or(i32::MAX),
        Err(e) => e.to_errno(),
    }
}
