// SPDX-License-Identifier: GPL-2.0

//! The images of one trampoline.

use super::TrampImage;
use kernel::{
    new_condvar, new_mutex,
    prelude::*,
    sync::{
        Arc,
        CondVar,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::msecs_to_jiffies,
};

/// All images of one trampoline that are not freed yet: the current one, and older ones that tasks
/// may still be in.
#[pin_data]
pub(crate) struct Images {
    #[pin]
    live: Mutex<Live>,
    #[pin]
    freed: CondVar,
}

#[derive(Default)]
struct Live {
    images: KVec<Arc<TrampImage>>,
    /// Number of these, and of those that are being freed.
    count: usize,
}

impl Images {
    /// An empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            live <- new_mutex!(Live::default()),
            freed <- new_condvar!(),
        })
    }

    pub(super) fn insert(&self, image: &Arc<TrampImage>) -> Result {
        let mut live = self.live.lock();
        live.images.push(image.clone(), GFP_KERNEL)?;
        live.count += 1;
        Ok(())
    }

    /// Frees an image that no task is in. Who waits for that finds the image's reference on the
    /// module gone as well.
    pub(super) fn free(image: Arc<TrampImage>) {
        let images = image.images.clone();
        let others = |other: &mut Arc<TrampImage>| !Arc::ptr_eq(other, &image);
        images.live.lock().images.retain(others);
        drop(image);
        images.live.lock().count -= 1;
        images.freed.notify_all();
    }

    /// Waits until all images are freed, for 2 seconds at most or until a signal comes: a task may
    /// sleep in the traced function for as long as it likes.
    pub(crate) fn wait_until_freed(&self) {
        const MOST_MS: u32 = 2000;

        let mut live = self.live.lock();
        let mut left = msecs_to_jiffies(MOST_MS);
        while live.count != 0 {
            match self.freed.wait_interruptible_timeout(&mut live, left) {
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Timeout | CondVarTimeoutResult::Signal { .. } => return,
            }
        }
    }

    /// Patches the program at address `prog` out of every image: no task enters it from now on.
    ///
    /// # Errors
    ///
    /// Those of text poking; some image may still call the program.
    pub(in super::super) fn skip(&self, prog: u64) -> Result {
        let live = self.live.lock();
        live.images
            .iter()
            .map(|image| image.skip(prog))
            .fold(Ok(()), Result::and)
    }
}
