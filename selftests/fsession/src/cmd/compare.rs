// SPDX-License-Identifier: GPL-2.0

//! `fsession compare`: both builders of the running kernel on the same cases.

use std::collections::BTreeMap;
use std::io::{StdoutLock, Write};
use std::process::ExitCode;
use std::time::Instant;

use anstream::AutoStream;
use anyhow::{ensure, Context, Result};
use comparison::{drawn_seed, Builders, Cases, Difference, Need, Spec, Verdict};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};

use crate::{look, module};

const EXAMPLES: &str = "\
Examples:
  fsession compare                  the grid, and as many cases at random
  fsession compare --cases 5000     a look of some seconds
  fsession compare --case 80001 --seed 7
                                    one case, shown whole

It takes the module. Nothing is attached, and nothing is changed. The status
is 0 if all images are the same, 1 if any differ.";

/// Status of a machine that lacks what `--need` names: what kselftest takes for skipped.
const SKIPPED: u8 = 4;

/// What every other random case grows from.
const FIXED_SEED: u64 = 1;

/// Has both builders build the same images, and tells whether they are equal
///
/// The first cases are a grid of all structural choices, the others are random, half of them
/// always the same.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How many cases [default: the grid and as many random ones]
    #[arg(long, value_name = "N")]
    cases: Option<u64>,

    /// Compares the whole grid before that many cases
    #[arg(long)]
    whole_grid: bool,

    /// What all random cases grow from [default: 1 for every other one, drawn for the rest]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// This case only, shown whole
    #[arg(long, value_name = "NUMBER")]
    case: Option<u64>,

    /// What the machine has to have, else the status is 4: cpu:FLAG or VULNERABILITY:MITIGATION
    #[arg(long, value_name = "WHAT", hide = true)]
    need: Option<Need>,

    /// How many differences are shown
    #[arg(long, value_name = "N", default_value_t = 3)]
    show: u64,
}

type Out = AutoStream<StdoutLock<'static>>;

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let mut out = anstream::stdout().lock();
        if let Some(missing) = self.need.as_ref().and_then(Need::missing) {
            writeln!(out, "not run: {missing}")?;
            return Ok(SKIPPED.into());
        }
        let builders = Builders::new(module::open()?)
            .context("cannot load a program with an arena, which some cases take")?;
        let different = match self.case {
            Some(number) => {
                let seed = self.seed.unwrap_or(FIXED_SEED);
                one(&mut out, &builders, Cases { seed }, number)?
            }
            None => many(&mut out, &builders, &self)?,
        };
        Ok(u8::from(different).into())
    }
}

/// Shows one case. Says whether it differs.
fn one(out: &mut Out, builders: &Builders, cases: Cases, number: u64) -> Result<bool> {
    let spec = cases.get(number);
    let verdict = builders.compare(&spec);
    if verdict.is_err() {
        write!(out, "{spec}")?;
    }
    let verdict = verdict.context("cannot compare this")?;
    match &verdict {
        Verdict::Different(difference) => show(out, number, cases, &spec, difference)?,
        Verdict::Identical => writeln!(out, "{spec}{}", look::good("identical"))?,
        Verdict::NotRun(why) => writeln!(out, "{spec}not run: {why}")?,
    }
    Ok(matches!(verdict, Verdict::Different(_)))
}

/// Says whether any case differs.
fn many(out: &mut Out, builders: &Builders, args: &Args) -> Result<bool> {
    let seed = args.seed.unwrap_or_else(drawn_seed);
    let fixed = args.seed.unwrap_or(FIXED_SEED);
    let grid = Cases::grid();
    let count = match (args.cases, args.whole_grid) {
        (None, _) => grid * 2,
        (Some(cases), true) => grid + cases,
        (Some(cases), false) => cases.max(1),
    };
    let of_grid = Cases::of_grid(count);
    let random = count - of_grid;
    writeln!(
        out,
        "grid of {grid} cases, {of_grid} of them and {random} random ones to compare"
    )?;
    writeln!(out, "seeds {fixed} and {seed}")?;
    let begin = Instant::now();
    let (mut identical, mut different) = (0, 0);
    let mut not_run: BTreeMap<&str, u64> = BTreeMap::new();
    // Some cases of a kernel, but not most of them, cannot be compared.
    let drawn = Cases { seed };
    for number in drawn.numbers(count).take(count as usize * 16) {
        let seed = if number % 2 == 0 { fixed } else { seed };
        let cases = Cases { seed };
        let spec = cases.get(number);
        let verdict = builders.compare(&spec).with_context(|| {
            format!(
                "cannot compare a case (fsession compare --case {number} --seed {seed} shows it)"
            )
        })?;
        match verdict {
            Verdict::Identical => identical += 1,
            Verdict::Different(difference) => {
                if different < args.show {
                    show(out, number, cases, &spec, &difference)?;
                }
                different += 1;
            }
            Verdict::NotRun(why) => {
                *not_run.entry(why).or_default() += 1;
                continue;
            }
        }
        let done = identical + different;
        if done * 10 / count != (done - 1) * 10 / count {
            let seconds = begin.elapsed().as_secs();
            writeln!(out, "  {:3} %  {seconds:4} s", done * 100 / count)?;
        }
        if done == count {
            break;
        }
    }
    for (why, cases) in &not_run {
        writeln!(out, "not run {cases}: {why}")?;
    }
    let compared = identical + different;
    writeln!(
        out,
        "compared {compared}, identical {identical}, different {different}"
    )?;
    ensure!(
        compared == count,
        "only {compared} of {count} cases could be compared"
    );
    Ok(different != 0)
}

fn show(
    out: &mut Out,
    number: u64,
    cases: Cases,
    spec: &Spec,
    difference: &Difference,
) -> Result<()> {
    let at = usize::try_from(difference.at).unwrap_or(0);
    let head = format!("case {number} differs, at byte {}", difference.at);
    writeln!(out, "\n{}:", look::bad(head))?;
    write!(out, "{spec}")?;
    for (name, side) in [("Rust", &difference.rust), ("C", &difference.c)] {
        writeln!(
            out,
            "{name} measures {}, builds {}:",
            side.measured, side.built
        )?;
        for line in around(&side.code, at, 4) {
            writeln!(out, "  {line}")?;
        }
    }
    let seed = cases.seed;
    writeln!(
        out,
        "again: fsession compare --case {number} --seed {seed}\n"
    )?;
    Ok(())
}

/// Lists the instructions of `code` around the one that byte `at` belongs to.
fn around(code: &[u8], at: usize, each_way: usize) -> Vec<String> {
    let instructions: Vec<_> = Decoder::new(64, code, DecoderOptions::NONE)
        .into_iter()
        .collect();
    let hit = instructions
        .iter()
        .rposition(|instr| instr.ip() <= at as u64)
        .unwrap_or(0);
    let mut formatter = GasFormatter::new();
    instructions
        .iter()
        .skip(hit.saturating_sub(each_way))
        .take(2 * each_way + 1)
        .map(|instr| {
            let mut text = String::new();
            formatter.format(instr, &mut text);
            format!("{:4x}: {text}", instr.ip())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instruction_of_a_byte_is_listed_with_its_neighbours() {
        // nop; mov $1,%eax; nop; ret
        let code = [0x90, 0xb8, 1, 0, 0, 0, 0x90, 0xc3];
        assert_eq!(
            around(&code, 3, 1),
            ["   0: nop", "   1: mov $1,%eax", "   6: nop"]
        );
        assert_eq!(around(&code, 99, 0), ["   7: ret"]);
        assert!(around(&[], 5, 2).is_empty());
    }
}
