// SPDX-License-Identifier: GPL-2.0

//! `fsession report`: a page of HTML from dumps and from what runs have said.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use trampoline::report::{costs, Report, Side};

use super::dump;

/// Writes a page of HTML: images, test results, costs
///
/// The page is one file that loads nothing. It has each image's stack frame beside its listing,
/// and images of the same function from two dumps side by side. Press ? in it for its keys.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fsession report --dump dump.json -o report.html
  fsession report --dump c.json --dump rust.json --tests vmtest.log
  fsession report --bench doc/bench/7.2.json --bench doc/bench/7.3.json
  fsession report report.json

A list of files is JSON, with paths as seen from where it is:
  {\"title\": \"A run\", \"dumps\": [{\"file\": \"c.json\", \"label\": \"C\"}],
   \"tests\": [\"vmtest.log\"], \"bench\": [\"7.2.json\"]}")]
pub struct Args {
    /// List of the files to report, JSON
    #[arg(value_name = "LIST")]
    list: Option<PathBuf>,

    /// A dump, of `fsession dump`
    #[arg(long, value_name = "FILE")]
    dump: Vec<PathBuf>,

    /// What `make vmtest`, `make compare` or `make matrix` has printed
    #[arg(long, value_name = "FILE")]
    tests: Vec<PathBuf>,

    /// A document of `make bench`
    #[arg(long, value_name = "FILE")]
    bench: Vec<PathBuf>,

    /// Title of the page
    #[arg(long)]
    title: Option<String>,

    /// The page, - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
}

/// A list of files.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct List {
    title: Option<String>,
    dumps: Vec<Listed>,
    tests: Vec<PathBuf>,
    bench: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    file: PathBuf,
    /// In place of builder and kernel.
    label: Option<String>,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let list = self.list()?;
        if list.dumps.is_empty() && list.tests.is_empty() && list.bench.is_empty() {
            bail!("nothing to report: name files with --dump, --tests or --bench");
        }
        let page = list.report()?.html();
        if self.output.as_os_str() == "-" {
            let mut out = io::stdout().lock();
            out.write_all(page.as_bytes())?;
            out.flush()?;
        } else {
            fs::write(&self.output, page)
                .with_context(|| format!("cannot write {}", self.output.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// All files, those that the list names first.
    fn list(&self) -> Result<List> {
        let mut list = match &self.list {
            Some(path) => List::read(path)?,
            None => List::default(),
        };
        let dumps = self.dump.iter().map(|file| Listed {
            file: file.clone(),
            label: None,
        });
        list.dumps.extend(dumps);
        list.tests.extend_from_slice(&self.tests);
        list.bench.extend_from_slice(&self.bench);
        list.title = self.title.clone().or(list.title);
        Ok(list)
    }
}

impl List {
    fn read(path: &Path) -> Result<Self> {
        let mut list: Self = serde_json::from_str(&read(path)?)
            .with_context(|| format!("{}: this is no list of files", path.display()))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let dumps = list.dumps.iter_mut().map(|listed| &mut listed.file);
        for file in dumps.chain(&mut list.tests).chain(&mut list.bench) {
            *file = dir.join(&file);
        }
        Ok(list)
    }

    fn report(&self) -> Result<Report> {
        let mut report = Report {
            title: self.title.clone().unwrap_or("BPF trampolines".into()),
            ..Report::default()
        };
        for listed in &self.dumps {
            let dump = dump::load(&listed.file)?;
            let label = listed.label.clone();
            report.dumps.push(Side {
                label: label.unwrap_or_else(|| Side::label(&dump.host)),
                dump,
            });
        }
        for (nr, listed) in self.dumps.iter().enumerate() {
            tell_apart(&mut report.dumps, nr, &listed.file);
        }
        for path in &self.tests {
            report.runs.read(&read(path)?, &stem(path));
        }
        for path in &self.bench {
            let document = costs::Document::parse(&read(path)?).map_err(anyhow::Error::msg);
            let document = document.with_context(|| path.display().to_string())?;
            report.costs.push(document);
        }
        Ok(report)
    }
}

/// Adds the file's name to a label that another dump has as well.
fn tell_apart(sides: &mut [Side], nr: usize, path: &Path) {
    let Some(label) = sides.get(nr).map(|side| side.label.clone()) else {
        return;
    };
    let with_name = |label: &str| format!("{label} ({})", stem(path));
    let others = sides.iter().enumerate().filter(|(other, _)| *other != nr);
    let mut labels = others.map(|(_, side)| side.label.as_str());
    // (One that has been told apart begins with the same.)
    if labels.any(|other| other == label || other.starts_with(&format!("{label} ("))) {
        if let Some(side) = sides.get_mut(nr) {
            side.label = with_name(&label);
        }
    }
}

/// A file's name without what tells its kind.
fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use trampoline::document::{Dump, Host};

    use super::*;

    fn side(label: &str) -> Side {
        Side {
            label: label.into(),
            dump: Dump::new(Host::default()),
        }
    }

    #[test]
    fn equal_labels_are_told_apart() {
        let mut sides = [side("C"), side("C"), side("Rust")];
        for (nr, name) in ["before.json", "dir/after.json", "rust.json"]
            .iter()
            .enumerate()
        {
            tell_apart(&mut sides, nr, Path::new(name));
        }
        let labels = sides.map(|side| side.label);
        assert_eq!(labels, ["C (before)", "C (after)", "Rust"]);
    }

    #[test]
    fn lists_name_files_as_seen_from_them() {
        let dir = std::env::temp_dir().join(format!("fsession-report-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("report.json");
        fs::write(&path, r#"{"dumps": [{"file": "a.json"}], "tests": ["/b"]}"#).unwrap();
        let list = List::read(&path).unwrap();
        assert_eq!(list.dumps[0].file, dir.join("a.json"));
        assert_eq!(list.tests, [Path::new("/b")]);

        let old = r#"{"format": "fsession-dump", "version": 0}"#;
        fs::write(dir.join("a.json"), old).unwrap();
        let err = format!("{:#}", list.report().unwrap_err());
        assert!(err.ends_with("a.json: this dump has version 0, and version 1 can be read"));

        fs::write(&path, r#"{"dump": []}"#).unwrap();
        let err = format!("{:#}", List::read(&path).unwrap_err());
        assert!(err.contains("this is no list of files: unknown field"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
