// SPDX-License-Identifier: GPL-2.0

//! `fsession dump`: all trampolines in a file, to be read elsewhere.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use trampoline::document::Dump;

use crate::kernel;

/// Saves all trampolines of this kernel to a file
///
/// The file has the images, the names of what they refer to, and what is known of targets,
/// programs and owners: what list, show, diff and report need to read it on another machine.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fsession dump before.json
  fsession dump - | jq '.trampolines[].target.name'
  fsession diff before.json after.json")]
pub struct Args {
    /// File to write, - for standard output
    #[arg(default_value = "-")]
    file: PathBuf,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let dump = kernel::dump()?;
        if self.file.as_os_str() == "-" {
            write(&dump, io::stdout().lock())?;
        } else {
            save(&dump, &self.file)
                .with_context(|| format!("cannot save {}", self.file.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What was saved, or what the running kernel has.
pub fn of(from: Option<&Path>) -> Result<Dump> {
    from.map_or_else(kernel::dump, load)
}

/// Reads what was saved.
pub fn load(path: &Path) -> Result<Dump> {
    let name = path.display();
    let text = if path.as_os_str() == "-" {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(path)
    };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    Dump::parse(&text)
        .map_err(anyhow::Error::msg)
        .with_context(|| name.to_string())
}

fn write(dump: &Dump, to: impl Write) -> Result<()> {
    let mut to = io::BufWriter::new(to);
    serde_json::to_writer_pretty(&mut to, dump).map_err(io::Error::from)?;
    to.write_all(b"\n")?;
    to.flush()?;
    Ok(())
}

/// The file is whole, or it is as it was before.
fn save(dump: &Dump, path: &Path) -> Result<()> {
    // What is no file cannot be replaced: a pipe, a terminal, /dev/null.
    if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        return write(dump, File::options().write(true).open(path)?);
    }
    // In the same directory, so that it can be renamed.
    let mut name = OsString::from(".");
    name.push(path.file_name().context("that is no name of a file")?);
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let result = File::create(&temporary)
        .map_err(anyhow::Error::from)
        .and_then(|file| write(dump, &file).and_then(|()| Ok(file.sync_all()?)))
        .and_then(|()| Ok(fs::rename(&temporary, path)?));
    if result.is_err() {
        // It may not have come to be.
        let _ = fs::remove_file(&temporary);
    }
    result
}

#[cfg(test)]
mod tests {
    use trampoline::document::Host;

    use super::*;

    #[test]
    fn what_is_saved_is_read_and_nothing_else_is_left() {
        let dir = std::env::temp_dir().join(format!("fsession-dump-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let dump = Dump::new(Host {
            release: "7.2.12".into(),
            ..Host::default()
        });
        let path = dir.join("dump.json");
        fs::write(&path, "something else").unwrap();
        save(&dump, &path).unwrap();
        assert_eq!(load(&path).unwrap(), dump);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);

        assert!(save(&dump, &dir.join("none/dump.json")).is_err());
        assert!(save(&dump, &dir.join("..")).is_err());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn other_files_are_refused_in_one_line() {
        let path = Path::new("/proc/self/cmdline");
        let err = format!("{:#}", load(path).unwrap_err());
        assert!(err.contains("this is no dump"), "{err}");
        assert!(!err.contains('\n'), "{err}");
        assert!(load(Path::new("/nowhere/dump.json")).is_err());
    }
}
