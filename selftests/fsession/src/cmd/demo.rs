// SPDX-License-Identifier: GPL-2.0

//! `fsession demo`: sessions on functions that this process then calls.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, StdoutLock, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anstream::AutoStream;
use anyhow::{bail, ensure, Context, Result};
use bytemuck::{Pod, Zeroable};
use libbpf_rs::{MapCore, Object, ObjectBuilder, OpenObject, RingBuffer, RingBufferBuilder};
use uapi::device::{Device, Info};

use crate::{look, module};

const EXAMPLES: &str = "\
Examples:
  fsession demo             as `make run` does in a virtual machine

It takes the module, and demo.bpf.o from the selftests of the module.";

/// Shows sessions with cookies on functions that it then calls itself
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Directory of the BPF objects [default: obj, beside that of this command]
    #[arg(long, value_name = "DIR", hide_default_value = true, default_value_os_t = objects())]
    bpf: PathBuf,
}

/// The objects lie beside the directory of the programs.
fn objects() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let suite = program.ancestors().nth(2).unwrap_or(Path::new("/"));
    suite.join("obj")
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

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        // What cannot be shown is not begun.
        drop(module::open()?);
        demo(&self.bpf, &mut anstream::stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }
}

type Out = AutoStream<StdoutLock<'static>>;

fn demo(objects: &Path, out: &mut Out) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    writeln!(
        out,
        "{}  on Linux {}\n",
        look::bold("rust_fsession demo"),
        release.trim_end()
    )?;

    // The work has a thread of its own, so that nothing else is traced.
    let worker = Worker::start()?;
    let object = open(objects, worker.tid)?
        .load()
        .context("cannot load the sessions")?;
    let events = Events::new(&object)?;

    let devices = attach(&object)?;
    writeln!(
        out,
        "Attached a session with a cookie to three functions:\n"
    )?;
    let infos: Vec<Info> = devices.iter().map(Device::info).collect::<Result<_, _>>()?;
    writeln!(out, "{}", look::trampoline_header())?;
    for info in &infos {
        writeln!(out, "{}", look::trampoline(info))?;
    }

    writeln!(
        out,
        "\nWrote a file, read it back and slept for {}:\n",
        look::duration(SLEEP)
    )?;
    worker.work()?;
    let seen = events.take()?;
    for event in &seen {
        writeln!(out, "{}", line(event))?;
    }

    drop(devices);
    worker.work()?;
    let late = events.take()?;
    writeln!(
        out,
        "\nDetached, and did the same again: {} events.\n",
        late.len()
    )?;

    check(&infos, &seen, &late)?;
    writeln!(
        out,
        "{}  {} events in order, {} images as the C builder's, byte for byte",
        look::good("PASS"),
        seen.len(),
        infos.len()
    )?;
    Ok(())
}

/// The sessions, for the thread `tid` only.
fn open(objects: &Path, tid: u32) -> Result<OpenObject> {
    let path = objects.join("demo.bpf.o");
    let mut object = ObjectBuilder::default()
        .open_file(&path)
        .with_context(|| format!("cannot open {}: is it built?", path.display()))?;
    let mut section = object
        .maps_mut()
        .find(|map| map.name().to_string_lossy().ends_with(".rodata.tid"));
    match section.as_mut().and_then(|map| map.initial_value_mut()) {
        Some(traced) if traced.len() == size_of_val(&tid) => {
            traced.copy_from_slice(&tid.to_ne_bytes());
        }
        _ => bail!("{} is of another build: build both again", path.display()),
    }
    Ok(object)
}

fn attach(object: &Object) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for (program, function) in SESSIONS {
        let device = module::open()?;
        let Some(prog) = object.progs().find(|prog| prog.name() == program) else {
            bail!("the object has no program {program}");
        };
        let added = device.add(prog.as_fd(), 0);
        module::explain(added, &format!("a session to {function}"))?;
        devices.push(device);
    }
    Ok(devices)
}

fn line(event: &Event) -> String {
    let (_, function) = SESSIONS[event.function as usize % SESSIONS.len()];
    if event.is_return != 0 {
        let call = format!("{function}() = {}", event.ret);
        let time = look::duration(Duration::from_nanos(event.duration));
        format!("  {}  {call:<50}{time:>14}", look::bold("return"))
    } else {
        let args = match event.function {
            SLEEP_FUNCTION => {
                format!(
                    "rqtp {}",
                    look::duration(Duration::from_nanos(event.amount))
                )
            }
            _ => format!("file \"{}\", count {}", event.file_name(), event.amount),
        };
        format!("  {}  {function}({args})", look::bold("entry "))
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
