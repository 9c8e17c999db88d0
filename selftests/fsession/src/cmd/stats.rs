// SPDX-License-Identifier: GPL-2.0

//! `fsession stats`: what the module has counted since it was loaded.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::{look, module, screen};

const EXAMPLES: &str = "\
Examples:
  fsession stats            the counters since the module was loaded
  fsession stats --watch    every second, with how many more there are
  fsession stats --watch 10 --times 6 --json
                            a minute of it, a JSON object a line

It takes the module. Counters go up in the modes shadow and takeover.";

/// Tells what the module has counted
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Again every so many seconds [default: 1], with rates
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1",
          value_parser = interval)]
    watch: Option<Duration>,

    /// Ends after so many times
    #[arg(long, value_name = "N", requires = "watch",
          value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,

    /// As JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Seconds between two looks.
pub fn interval(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.1..=86400.0) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("from 0.1 to 86400 seconds".into()),
    }
}

/// The counters at some moment.
struct Sample {
    mode: Option<&'static str>,
    counters: Vec<(String, u64)>,
    at: Instant,
}

impl Sample {
    fn take() -> Result<Self> {
        let counters = module::stats()?;
        Ok(Self {
            // A kernel that is locked down does not tell.
            mode: module::mode().ok().map(|mode| mode.name()),
            counters,
            at: Instant::now(),
        })
    }
}

/// A counter, as it is shown.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    name: String,
    count: u64,
    /// A second, since the look before.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let mut before: Option<Sample> = None;
        let mut drawn = 0;
        let mut left = match self.watch {
            Some(_) => self.times.unwrap_or(u64::MAX),
            None => 1,
        };
        loop {
            let now = Sample::take()?;
            let lines = lines(&now, before.as_ref());
            let mut out = anstream::stdout().lock();
            if self.json {
                writeln!(out, "{}", json(now.mode, &lines)?)?;
            } else {
                // On a terminal, the last picture is drawn over.
                let in_place = can_go_back();
                match drawn {
                    0 => (),
                    _ if in_place => write!(out, "\x1b[{drawn}A\x1b[J")?,
                    _ => writeln!(out)?,
                }
                let text = table(now.mode, &lines, screen::width());
                drawn = text.len();
                for line in text {
                    writeln!(out, "{line}")?;
                }
            }
            out.flush()?;
            drop(out);
            left -= 1;
            let (Some(pause), 1..) = (self.watch, left) else {
                return Ok(ExitCode::SUCCESS);
            };
            before = Some(now);
            thread::sleep(pause);
        }
    }
}

/// Whether what is written goes to a terminal that can move its cursor.
fn can_go_back() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stdout().is_terminal() && !dumb
}

fn lines(now: &Sample, before: Option<&Sample>) -> Vec<Line> {
    let rate = |name: &str, count: u64| {
        let before = before?;
        let (_, last) = before.counters.iter().find(|(other, _)| other == name)?;
        let seconds = (now.at - before.at).as_secs_f64();
        // (They are 0 again where the module was loaded anew.)
        Some(count.saturating_sub(*last) as f64 / seconds)
    };
    let line = |(name, count): &(String, u64)| Line {
        name: name.clone(),
        count: *count,
        rate: rate(name, *count),
    };
    now.counters.iter().map(line).collect()
}

fn json(mode: Option<&str>, counters: &[Line]) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        mode: Option<&'a str>,
        counters: &'a [Line],
    }
    Ok(serde_json::to_string(&Document { mode, counters })?)
}

/// What the counters mean, as `src/hooks/stats.rs` has them.
fn meaning(name: &str) -> &'static str {
    match name {
        "built" => "images built by Rust, used by the kernel",
        "compared" => "images compared with C's",
        "identical" => "those of them that are the same",
        "different" => "images, sizes, inlined kfuncs that differ",
        "kfunc_inlined" => "calls of session kfuncs inlined by Rust",
        "kfunc_compared" => "calls of session kfuncs compared with C's",
        "refused" => "images too big for a page, C is not asked",
        "fallbacks" => "images not covered by Rust, built by C",
        "errors" => "left to C or not compared: no memory",
        _ => "",
    }
}

/// Counters that are 0 as long as all is well.
fn is_trouble(line: &Line) -> bool {
    line.count > 0 && ["different", "fallbacks", "errors"].contains(&line.name.as_str())
}

/// Narrow terminals have a meaning on a line of its own.
fn table(mode: Option<&str>, lines: &[Line], width: usize) -> Vec<String> {
    let counts: Vec<_> = lines.iter().map(|line| look::grouped(line.count)).collect();
    let rates: Vec<_> = lines.iter().map(|line| line.rate.map(rate)).collect();
    let watched = rates.iter().any(Option::is_some);
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = widest(&mut lines.iter().map(|line| line.name.len())).max("COUNTER".len());
    let numbers = widest(&mut counts.iter().map(String::len)).max("COUNT".len());
    let speeds = widest(&mut rates.iter().flatten().map(String::len)).max("RATE/s".len());

    let row = |name: &str, count: &str, rate: &str| {
        let rate = if watched {
            format!("  {rate:>speeds$}")
        } else {
            String::new()
        };
        format!("{name:<names$}  {count:>numbers$}{rate}")
    };
    let used = row("", "", "").chars().count() + 2;
    let beside = lines
        .iter()
        .all(|line| used + meaning(&line.name).len() <= width);

    let mut text = vec![
        format!(
            "mode {}",
            mode.unwrap_or("not told, the kernel is locked down")
        ),
        String::new(),
    ];
    let head = row("COUNTER", "COUNT", "RATE/s");
    text.push(look::dim(match beside {
        true => format!("{head}  MEANING"),
        false => head,
    }));
    for ((line, count), rate) in lines.iter().zip(&counts).zip(&rates) {
        let row = row(&line.name, count, rate.as_deref().unwrap_or(""));
        let row = if is_trouble(line) {
            look::bad(row)
        } else {
            row
        };
        let meaning = meaning(&line.name);
        if beside {
            text.push(format!("{row}  {meaning}").trim_end().into());
            continue;
        }
        text.push(row);
        let wrapped = look::wrap(meaning, width.saturating_sub(2));
        text.extend(wrapped.iter().map(|part| look::dim(format!("  {part}"))));
    }
    text
}

fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".into(),
        ..10.0 => format!("{per_second:.1}"),
        _ => look::grouped(per_second.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, counts: [u64; 3]) -> Sample {
        let names = ["built", "different", "of_a_later_module"];
        Sample {
            mode: Some("shadow"),
            counters: names.map(String::from).into_iter().zip(counts).collect(),
            at,
        }
    }

    fn plain(text: &[String]) -> String {
        anstream::adapter::strip_str(&text.join("\n")).to_string()
    }

    #[test]
    fn eighty_columns_have_the_meaning_beside() {
        let lines = lines(&sample(Instant::now(), [12345, 1, 3]), None);
        insta::assert_snapshot!(plain(&table(Some("shadow"), &lines, 80)), @r"
        mode shadow

        COUNTER             COUNT  MEANING
        built              12,345  images built by Rust, used by the kernel
        different               1  images, sizes, inlined kfuncs that differ
        of_a_later_module       3
        ");
    }

    #[test]
    fn forty_columns_have_it_below() {
        let begin = Instant::now();
        let before = sample(begin, [1000, 0, 3]);
        let after = sample(begin + Duration::from_secs(2), [12345, 1, 3]);
        let text = plain(&table(None, &lines(&after, Some(&before)), 40));
        assert!(text.lines().all(|line| line.len() <= 40), "{text}");
        insta::assert_snapshot!(text, @r"
        mode not told, the kernel is locked down

        COUNTER             COUNT  RATE/s
        built              12,345   5,673
          images built by Rust, used by the
          kernel
        different               1     0.5
          images, sizes, inlined kfuncs that
          differ
        of_a_later_module       3       0
        ");
    }

    #[test]
    fn json_has_rates_where_there_was_a_look_before() {
        let begin = Instant::now();
        let before = sample(begin, [5, 0, 0]);
        let after = sample(begin + Duration::from_secs(5), [10, 0, 0]);
        let first = json(Some("off"), &lines(&before, None)[..1]).unwrap();
        assert_eq!(
            first,
            r#"{"mode":"off","counters":[{"name":"built","count":5}]}"#
        );
        let second = json(None, &lines(&after, Some(&before))[..1]).unwrap();
        assert_eq!(
            second,
            r#"{"mode":null,"counters":[{"name":"built","count":10,"rate":1.0}]}"#
        );
    }

    #[test]
    fn an_interval_is_a_number_of_seconds() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "x", "NaN", "inf", "1e9"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
