// SPDX-License-Identifier: GPL-2.0

//! The kernel's tracers and kprobe events, controlled in tracefs.

use std::fs::{self, File, OpenOptions};
use std::io::Write;

use anyhow::{Context, Result};

const TRACING: &str = "/sys/kernel/tracing";

/// Appends `text` to a control file.
pub fn write(file: &str, text: &str) -> Result<()> {
    let path = format!("{TRACING}/{file}");
    let file = OpenOptions::new().append(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {text} to {path}"))
}

/// Replaces what a control file holds, as `>` of a shell does.
pub fn replace(file: &str, text: &str) -> Result<()> {
    let path = format!("{TRACING}/{file}");
    fs::write(&path, text).with_context(|| format!("cannot write {text} to {path}"))
}

pub fn read(file: &str) -> Result<String> {
    let path = format!("{TRACING}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// A tracer, until dropped.
#[must_use]
pub struct Tracer(());

impl Tracer {
    /// Starts the tracer `name` on `functions`, on all where that is empty.
    pub fn start(name: &str, functions: &[&str]) -> Result<Self> {
        let tracer = Self(());
        replace("set_ftrace_filter", &format!("{}\n", functions.join("\n")))?;
        write("current_tracer", name)?;
        write("tracing_on", "1")?;
        Ok(tracer)
    }

    /// Forgets what was traced.
    pub fn clear(&self) -> Result<()> {
        replace("trace", "\n")
    }

    /// How many lines of the trace name `function`.
    pub fn calls(&self, function: &str) -> Result<usize> {
        let trace = read("trace")?;
        let called = format!(" {function} <-");
        Ok(trace.lines().filter(|line| line.contains(&called)).count())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        write("current_tracer", "nop")
            .and_then(|()| replace("set_ftrace_filter", "\n"))
            .and_then(|()| self.clear())
            .expect("what could be set up can be taken down");
    }
}

/// A kretprobe event, until dropped.
#[must_use]
pub struct Kretprobe(String);

impl Kretprobe {
    pub fn on(function: &str) -> Result<Self> {
        let event = format!("rust_fsession_{function}");
        write("kprobe_events", &format!("r:{event} {function}\n"))?;
        let probe = Self(event);
        probe.enable("1")?;
        Ok(probe)
    }

    fn enable(&self, value: &str) -> Result<()> {
        write(&format!("events/kprobes/{}/enable", self.0), value)
    }

    /// How often the function returned.
    pub fn hits(&self) -> Result<u64> {
        let profile = read("kprobe_profile")?;
        let line = profile.lines().find(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(self.0.as_str())
        });
        let hits = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(hits.context("no line in kprobe_profile")?.parse()?)
    }
}

impl Drop for Kretprobe {
    fn drop(&mut self) {
        self.enable("0")
            .and_then(|()| write("kprobe_events", &format!("-:{}\n", self.0)))
            .expect("what could be set up can be taken down");
    }
}

/// A trace of its own for one kind of event, until dropped.
#[must_use]
pub struct EventTrace(());

const INSTANCE: &str = "instances/rust_fsession";

impl EventTrace {
    /// `None` where the kernel has no such event.
    pub fn start(event: &str) -> Result<Option<Self>> {
        if !fs::exists(format!("{TRACING}/events/{event}"))? {
            return Ok(None);
        }
        let path = format!("{TRACING}/{INSTANCE}");
        fs::create_dir(&path).with_context(|| format!("cannot make {path}"))?;
        let trace = Self(());
        write(&format!("{INSTANCE}/events/{event}/enable"), "1")?;
        Ok(Some(trace))
    }

    /// What the calling thread writes marks with, whoever it is then.
    pub fn marker(&self) -> Result<Marker> {
        let path = format!("{TRACING}/{INSTANCE}/trace_marker");
        let file = OpenOptions::new().write(true).open(&path);
        Ok(Marker(file.with_context(|| format!("cannot open {path}"))?))
    }

    /// What a thread did between its marks, the last two of these names.
    pub fn between(&self, begin: &str, end: &str) -> Result<Vec<String>> {
        let trace = read(&format!("{INSTANCE}/trace"))?;
        let lines: Vec<_> = trace.lines().collect();
        let find = |mark: &str| {
            let mark = format!("tracing_mark_write: {mark}");
            let at = lines.iter().rposition(|line| line.ends_with(&mark));
            at.with_context(|| format!("no mark '{mark}' in the trace"))
        };
        let (begin, end) = (find(begin)?, find(end)?);
        let task = lines[end].split('[').next().unwrap_or_default();
        let between = lines[begin..end].iter().skip(1);
        let own = between.filter(|line| line.starts_with(task));
        Ok(own.map(|line| (*line).to_owned()).collect())
    }
}

/// Writes marks into a trace.
pub struct Marker(File);

impl Marker {
    pub fn set(&self, mark: &str) -> std::io::Result<()> {
        (&self.0).write_all(format!("{mark}\n").as_bytes())
    }
}

impl Drop for EventTrace {
    fn drop(&mut self) {
        fs::remove_dir(format!("{TRACING}/{INSTANCE}"))
            .expect("what could be set up can be taken down");
    }
}
