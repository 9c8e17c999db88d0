// SPDX-License-Identifier: GPL-2.0

//! `fsession demo`: sessions on functions that this process then calls.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use bytemuck::{Pod, Zeroable};
use libbpf_rs::{MapCore, Object, RingBuffer, RingBufferBuilder};
use runner::bpf;
use runner::device::{Device, Info};
use runner::harness::installed;

use crate::{explain, open, show};

#[derive(clap::Args)]
pub struct Args {
    /// Directory of the BPF objects
    #[arg(long, value_name = "DIR", default_value_os_t = installed("obj"))]
    bpf: PathBuf,
}

const FILE: &str = "hello.txt";
const BYTES: usize = 4096;
const SLEEP: Duration = Duration::from_millis(50);

/// By `enum demo_function`: the program, and its function's arguments.
const SESSIONS: [(&str, &str); 3] = [
    ("on_write", "vfs_write"),
    ("on_read", "vfs_read"),
    ("on_sleep", "hrtimer_nanosleep"),
];
const SLEEP_FUNCTION: u32 = 2;

/// `struct demo_event`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Event {
    function: u32,
    is_return: u32,
    amount: u64,
    ret: i64,
    duration: u64,
    file: [u8; 32],
}

pub fn run(args: &Args) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    anstream::println!(
        "{}  on Linux {}\n",
        show::bold("rust_fsession demo"),
        release.trim_end()
    );

    // The work has a thread of its own, so that nothing else is traced.
    let worker = Worker::start()?;
    let mut object = bpf::open(&args.bpf, "demo")?;
    bpf::set_globals(&mut object, ".rodata.tid", &worker.tid)?;
    let object = object.load().context("cannot load the sessions")?;
    let events = Events::new(&object)?;

    let devices = attach(&object)?;
    println!("Attached a session with a cookie to three functions:\n");
    let infos: Vec<Info> = devices.iter().map(Device::info).collect::<Result<_, _>>()?;
    show::trampoline_header();
    infos.iter().for_each(show::trampoline);

    println!(
        "\nWrote a file, read it back and slept for {}:\n",
        show::duration(SLEEP)
    );
    worker.work()?;
    let seen = events.take()?;
    seen.iter().for_each(print);

    drop(devices);
    worker.work()?;
    let late = events.take()?;
    println!(
        "\nDetached, and did the same again: {} events.\n",
        late.len()
    );

    check(&infos, &seen, &late)?;
    anstream::println!(
        "{}  {} events in order, {} images as the C builder's, byte for byte",
        show::good("PASS"),
        seen.len(),
        infos.len()
    );
    Ok(())
}

fn attach(object: &Object) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for (program, function) in SESSIONS {
        let device = open()?;
        let added = device.add(bpf::fd(object, program)?.as_fd(), 0);
        explain(added, &format!("a session to {function}"))?;
        devices.push(device);
    }
    Ok(devices)
}

fn print(event: &Event) {
    let (_, function) = SESSIONS[event.function as usize % SESSIONS.len()];
    if event.is_return != 0 {
        let call = format!("{function}() = {}", event.ret);
        let time = show::duration(Duration::from_nanos(event.duration));
        anstream::println!("  {}  {call:<50}{time:>14}", show::bold("return"));
    } else {
        let args = match event.function {
            SLEEP_FUNCTION => {
                format!(
                    "rqtp {}",
                    show::duration(Duration::from_nanos(event.amount))
                )
            }
            _ => format!("file \"{}\", count {}", event.file_name(), event.amount),
        };
        anstream::println!("  {}  {function}({args})", show::bold("entry "));
    }
}

impl Event {
    fn file_name(&self) -> String {
        let name = self
            .file
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }
}

/// Everything that was shown must be what was done.
fn check(infos: &[Info], seen: &[Event], late: &[Event]) -> Result<()> {
    for info in infos {
        ensure!(
            info.is_identical(),
            "{}: the C builder's image is not the same, the kernel log says where",
            info.target()
        );
    }
    let expected = [
        (BYTES as u64, BYTES as i64),
        // Room for more than there is.
        (2 * BYTES as u64, BYTES as i64),
        (SLEEP.as_nanos() as u64, 0),
    ];
    ensure!(
        seen.len() == 2 * expected.len(),
        "{} events instead of {}",
        seen.len(),
        2 * expected.len()
    );
    for (nr, ((amount, ret), halves)) in expected.iter().zip(seen.chunks(2)).enumerate() {
        let function = SESSIONS[nr].1;
        for (event, is_return) in halves.iter().zip([0, 1]) {
            ensure!(
                event.function as usize == nr && event.is_return == is_return,
                "{function}: the events are not in order"
            );
            ensure!(event.amount == *amount, "{function}: wrong argument");
            ensure!(
                event.ret == if is_return == 1 { *ret } else { 0 },
                "{function}: wrong return value"
            );
            ensure!(
                event.function == SLEEP_FUNCTION || event.file_name() == FILE,
                "{function}: wrong file"
            );
        }
    }
    let slept = Duration::from_nanos(seen[5].duration);
    ensure!(
        slept >= SLEEP,
        "the session cookie says it slept for {slept:?} only"
    );
    ensure!(
        late.is_empty(),
        "{} events after all was detached",
        late.len()
    );
    Ok(())
}

struct Events {
    ring: RingBuffer<'static>,
    records: Rc<RefCell<Vec<Event>>>,
}

impl Events {
    fn new(object: &Object) -> Result<Self> {
        let records = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&records);
        let Some(map) = object.maps().find(|map| map.name() == "events") else {
            bail!("the object has no ring buffer");
        };
        let mut ring = RingBufferBuilder::new();
        ring.add(&map, move |data| {
            let event = bytemuck::try_pod_read_unaligned(data);
            event.map_or(-libc::EBADMSG, |event| {
                sink.borrow_mut().push(event);
                0
            })
        })?;
        let ring = ring.build()?;
        Ok(Self { ring, records })
    }

    fn take(&self) -> Result<Vec<Event>> {
        self.ring
            .consume()
            .context("a record of another size: build everything again")?;
        Ok(self.records.take())
    }
}

/// A thread that calls the traced functions when it is told to.
struct Worker {
    tid: u32,
    go: mpsc::Sender<()>,
    done: mpsc::Receiver<Result<()>>,
}

impl Worker {
    fn start() -> Result<Self> {
        let (go, orders) = mpsc::channel();
        let (results, done) = mpsc::channel();
        let (say_tid, tid) = mpsc::channel();
        thread::spawn(move || {
            // Each send fails only when the command ends, and so does this.
            let _ = say_tid.send(
                rustix::thread::gettid()
                    .as_raw_nonzero()
                    .get()
                    .unsigned_abs(),
            );
            while let Ok(()) = orders.recv() {
                let _ = results.send(work());
            }
        });
        let tid = tid.recv()?;
        Ok(Self { tid, go, done })
    }

    fn work(&self) -> Result<()> {
        self.go.send(())?;
        self.done.recv()?
    }
}

fn work() -> Result<()> {
    let dir = std::env::temp_dir();
    fs::create_dir_all(&dir)?;
    let path = dir.join(FILE);
    File::create(&path)?.write_all(&[b'.'; BYTES])?;
    let read = File::open(&path)?.read(&mut [0; 2 * BYTES])?;
    ensure!(read == BYTES, "{read} bytes came back");
    thread::sleep(SLEEP);
    fs::remove_file(&path)?;
    Ok(())
}
