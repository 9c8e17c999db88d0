// SPDX-License-Identifier: GPL-2.0

//! What the host makes of the documents that the command `bench` wrote in guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{ensure, Context, Result};
use clap::{Parser, Subcommand};
use figures::{limits, report, series, Document};

/// Shows, checks and writes down what `make bench` has counted.
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Finds the document in what a guest has said, and writes it
    Take { output: PathBuf, json: PathBuf },
    /// Prints the tables of a document
    Show { json: PathBuf },
    /// Fails unless both documents are the same
    Same { first: PathBuf, second: PathBuf },
    /// Adds the times of one document to another one
    Time { json: PathBuf, from: PathBuf },
    /// Fails unless a document keeps to the limits in a file
    Check { json: PathBuf, limits: PathBuf },
    /// Writes DIR/bench.md, DIR/bench/ with the JSON and the plots, and the table in README
    Report {
        dir: PathBuf,
        readme: PathBuf,
        json: Vec<PathBuf>,
    },
}

fn main() -> Result<ExitCode> {
    let good = match Args::parse().what {
        What::Take { output, json } => take(&output, &json).map(|()| true)?,
        What::Show { json } => {
            print!("{}", report::text(&read(&json)?));
            true
        }
        What::Same { first, second } => same(&first, &second)?,
        What::Time { json, from } => {
            let mut document = read(&json)?;
            document.time = read(&from)?.time;
            write(&json, &document.to_json())?;
            true
        }
        What::Check { json, limits: file } => {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let (text, kept) = limits::check(&read(&json)?, &limits::parse(&text)?)?;
            print!("{text}");
            kept
        }
        What::Report { dir, readme, json } => write_report(&dir, &readme, &json).map(|()| true)?,
    };
    Ok(u8::from(!good).into())
}

fn read(path: &Path) -> Result<Document> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Document::from_json(&text).with_context(|| format!("{} is no document", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The document is all lines from the one that opens it to the one that closes it.
fn take(output: &Path, json: &Path) -> Result<()> {
    let text = fs::read_to_string(output)?;
    let lines = text.lines().skip_while(|line| *line != "{");
    let at = lines.clone().position(|line| line == "}");
    let at = at.context("the guest has written no document")?;
    let document: Vec<_> = lines.take(at + 1).collect();
    write(json, &Document::from_json(&document.join("\n"))?.to_json())
}

fn same(first: &Path, second: &Path) -> Result<bool> {
    let (first, second) = (read(first)?.to_json(), read(second)?.to_json());
    let pairs = first.lines().zip(second.lines()).enumerate();
    for (nr, (one, other)) in pairs.filter(|(_, (one, other))| one != other).take(20) {
        println!("line {}: {} | {}", nr + 1, one.trim(), other.trim());
    }
    Ok(first == second)
}

fn write_report(dir: &Path, readme: &Path, json: &[PathBuf]) -> Result<()> {
    ensure!(!json.is_empty(), "no documents");
    let documents = json
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>>>()?;
    let beside = dir.join("bench");
    fs::create_dir_all(&beside)?;
    for document in &documents {
        let name = format!("{}.json", series(&document.kernel));
        write(&beside.join(name), &document.to_json())?;
    }
    #[cfg(feature = "plots")]
    let plots = figures::plots::write_all(&beside, &documents)?;
    #[cfg(not(feature = "plots"))]
    let plots = Vec::new();
    let text = fs::read_to_string(readme)?;
    write(readme, &report::with_head(&text, &documents[0])?)?;
    write(&dir.join("bench.md"), &report::markdown(&documents, &plots))
}
