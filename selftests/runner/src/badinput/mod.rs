// SPDX-License-Identifier: GPL-2.0

//! Bad input of all kinds, drawn from a seed: requests, descriptors, addresses, lengths
//! and races. Only documented errnos may come back, and nothing may be left.
//!
//! | file     | what it knows                                       |
//! |----------|-----------------------------------------------------|
//! | `call`   | a call with its input, drawn and changed at random  |
//! | `slots`  | descriptors of all kinds                            |
//! | `memory` | addresses of all kinds                              |
//! | `errnos` | what is documented                                  |
//! | `expect` | what of it this call may answer                     |
//! | `worker` | makes the calls                                     |
//! | `shared` | the counters                                        |
//! | `kcov`   | which code was reached                              |

mod call;
pub mod errnos;
mod expect;
mod kcov;
mod memory;
mod shared;
mod slots;
mod worker;

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::Env;
use crate::hooks::{self, Mode, Stats};
use crate::kallsyms;
use crate::probe::Probe;
use crate::tests::addresses::Restrict;
use crate::userfault;
use call::Kind;
use shared::Shared;
use slots::Slots;
use worker::{Reached, Worker};

/// How a process of this program is told that it is a worker.
pub const WORKER: &str = "--worker";

/// How much, and drawn from what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub calls: u64,
    pub time: Duration,
    pub threads: u64,
    /// Whether another process works as well, which is killed time and again.
    pub process: bool,
}

/// What was done.
pub struct Report {
    pub calls: u64,
    pub seconds: f64,
    /// Distinct addresses of the module, if that is known.
    pub reached: Option<usize>,
    pub kills: u64,
    /// By kind of call.
    pub answers: String,
}

/// Makes the calls and cleans up. An error where an answer was wrong, or something was left.
pub fn run(env: &Env, plan: &Plan) -> Result<Report> {
    let restrict = Restrict::usual()?;
    restrict.kptr(1)?;
    let hooked = env.hook(Mode::Off)?;
    let before = Stats::read()?;
    let begin = Instant::now();
    let (slots, probes) = slots::fill(env)?;
    let shared = Shared::new(slots)?;
    let reached = Reached::default();
    let worked = work(plan, shared, slots, &reached);
    slots::close_all();
    let kills = worked?;
    let report = Report {
        calls: shared.calls(),
        seconds: begin.elapsed().as_secs_f64(),
        reached: Some(reached.lock().expect("nobody panics").len()).filter(|&count| count > 0),
        kills,
        answers: answers(shared),
    };
    drop(hooked);
    let wrong = shared.wrong.load(Relaxed);
    ensure!(
        wrong == 0,
        "{wrong} wrong answers (above)\n{}",
        report.answers
    );
    check_nothing_left(&probes, &before)?;
    Ok(report)
}

fn work(plan: &Plan, shared: &'static Shared, slots: Slots, reached: &Reached) -> Result<u64> {
    let end = Instant::now() + plan.time;
    with_memory(plan.seed, slots, |late| {
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for number in 0..plan.threads {
                let body = move || -> Result<()> {
                    let result = Worker::new(plan.seed, number, slots, late);
                    result
                        .inspect_err(|_| {
                            shared.stop();
                        })?
                        .run(shared, reached);
                    Ok(())
                };
                threads.push(scope.spawn(body));
            }
            let rng = &mut StdRng::seed_from_u64(plan.seed);
            let mut kills = 0;
            let mut other: Option<Child> = None;
            while !shared.is_stopped() {
                thread::sleep(Duration::from_millis(rng.random_range(50..1500)));
                if shared.calls() >= plan.calls || Instant::now() >= end {
                    shared.stop();
                }
                if let Some(mut child) = other.take() {
                    // In the middle of whatever it does.
                    child.kill().context("killing the other process")?;
                    child.wait()?;
                    kills += 1;
                }
                if plan.process && !shared.is_stopped() {
                    other = Some(start_process(plan, 1000 + kills)?);
                }
            }
            if let Some(mut child) = other {
                child.kill()?;
                child.wait()?;
            }
            for thread in threads {
                thread.join().expect("a worker does not panic")?;
            }
            Ok(kills)
        })
    })
}

fn start_process(plan: &Plan, number: u64) -> Result<Child> {
    Command::new("/proc/self/exe")
        .arg(format!("--seed={}", plan.seed))
        .arg(format!("{WORKER}={number}"))
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start another process")
}

/// What the other process does: it has its descriptors from the first one.
pub fn run_worker(seed: u64, number: u64) -> Result<()> {
    let shared = Shared::inherited()?;
    let slots = shared.slots();
    with_memory(seed ^ number, slots, |late| {
        let mut worker = Worker::new(seed, number, slots, late)?;
        worker.run(shared, &Reached::default());
        Ok(())
    })
}

/// Runs `body` while memory comes and goes.
fn with_memory<T>(seed: u64, slots: Slots, body: impl FnOnce(u64) -> Result<T>) -> Result<T> {
    let page = userfault::Page::writable().context("userfaultfd()")?;
    let mut rng = StdRng::seed_from_u64(!seed);
    let progs: Vec<_> = (0..8).map(|_| slots.prog(&mut rng)).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mover = scope.spawn(|| memory::juggle(&stop, &progs, &mut rng));
        let late = scope.spawn(|| memory::deliver(&stop, &page, progs[0]));
        let result = body(page.addr());
        stop.store(true, Relaxed);
        mover.join().expect("it does not panic")?;
        late.join().expect("it does not panic")?;
        result
    })
}

fn check_nothing_left(probes: &[Probe], before: &Stats) -> Result<()> {
    crate::tests::wait_for(
        "all images are freed",
        || Ok(kallsyms::images()?.is_empty()),
    )?;
    let sum = |probes: &[Probe]| -> Result<u64> {
        let hits = probes.iter().map(Probe::hits);
        hits.map(|hits: Result<_>| hits.map(|hits| hits.entry + hits.ret))
            .sum()
    };
    let ran = sum(probes)?;
    for probe in probes {
        probe.test_run()?;
    }
    ensure!(ran > 0, "no program ever ran");
    ensure!(sum(probes)? == ran, "a program still runs");
    before.since()?.check_clean()?;
    ensure!(hooks::mode()? == "off\n", "the mode is not off");
    Ok(())
}

/// A line for each kind of call.
fn answers(shared: &Shared) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let answers = shared.answers(kind);
        let sum: u64 = answers.values().sum();
        let _ = write!(text, "{:12} {sum:8}:", format!("{kind:?}"));
        for (errno, count) in answers {
            let _ = write!(text, " {} {count}", errnos::text(errno));
        }
        text.push('\n');
    }
    text
}
