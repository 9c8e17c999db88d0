// SPDX-License-Identifier: GPL-2.0

//! Tasks that sleep in traced functions, while images are built, changed and freed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::Result;
use rustix::event::{eventfd, EventfdFlags};
use rustix::pipe::pipe;

use crate::stress::board::Count;
use crate::stress::turn::Turn;

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    const THREADS: usize = 3;
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE)?;
    let (reader, writer) = pipe()?;
    let stop = AtomicBool::new(false);
    let read = |nr: usize| {
        let mut word = [0; 8];
        while !stop.load(Relaxed) {
            let read = if nr == 0 {
                rustix::io::read(&reader, &mut word)
            } else {
                rustix::io::read(&event, &mut word)
            };
            if read != Ok(8) {
                return read;
            }
        }
        Ok(8)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|nr| {
                let read = &read;
                scope.spawn(move || read(nr))
            })
            .collect();
        let wake = |all: bool| -> Result<()> {
            rustix::io::write(&writer, &[1; 8])?;
            rustix::io::write(&event, &(if all { 1u64 << 20 } else { 1 }).to_ne_bytes())?;
            Ok(())
        };
        let result = (|| {
            while turn.next()? {
                turn.say("wake a sleeper")?;
                wake(false)?;
                turn.count(Count::Actions, 2);
                turn.pause(400)?;
            }
            Ok(())
        })();
        stop.store(true, Relaxed);
        wake(true)?;
        for thread in threads {
            let read = thread.join().expect("a sleeper does not panic");
            anyhow::ensure!(read == Ok(8), "a sleeper got {read:?}");
        }
        result
    })
}
