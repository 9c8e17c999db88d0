// SPDX-License-Identifier: GPL-2.0

//! What programs take a second, of two samples.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::sample::{Counted, Program, Sample};

/// A program between two samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The program's number.
    pub id: u32,
    pub program: String,
    pub kind: String,
    pub target: String,
    /// `bpf_trampoline_<key>`, in decimal as kallsyms has it.
    pub trampoline: Option<String>,
    pub calls_per_second: f64,
    /// Of the calls meanwhile.
    pub ns_per_call: Option<f64>,
    /// Of one CPU.
    pub cpu_percent: f64,
    /// Calls that were left out, a second.
    pub misses_per_second: f64,
}

/// All programs between two samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    pub seconds: f64,
    pub programs: Vec<Row>,
}

impl Rates {
    pub fn between(before: &Sample, after: &Sample) -> Self {
        let elapsed = after.at - before.at;
        let earlier: BTreeMap<u32, &Counted> = before
            .programs
            .iter()
            .map(|counted| (counted.program.id, counted))
            .collect();
        let programs = after
            .programs
            .iter()
            .map(|now| row(earlier.get(&now.program.id).copied(), now, elapsed))
            .collect();
        Self {
            seconds: elapsed.as_secs_f64(),
            programs,
        }
    }
}

/// A program that was not there before has run nothing till then.
fn row(before: Option<&Counted>, now: &Counted, elapsed: Duration) -> Row {
    let (calls, nanoseconds, misses) =
        before.map_or((0, 0, 0), |it| (it.calls, it.nanoseconds, it.misses));
    let seconds = elapsed.as_secs_f64();
    let a_second = |more: u64| {
        if seconds > 0.0 {
            more as f64 / seconds
        } else {
            0.0
        }
    };
    let calls = now.calls.saturating_sub(calls);
    let nanoseconds = now.nanoseconds.saturating_sub(nanoseconds);
    let Program {
        id,
        name,
        kind,
        target,
        key,
    } = &now.program;
    Row {
        id: *id,
        program: name.clone(),
        kind: kind.clone(),
        target: target.clone(),
        trampoline: key.map(|key| format!("bpf_trampoline_{key}")),
        calls_per_second: a_second(calls),
        ns_per_call: (calls > 0).then(|| nanoseconds as f64 / calls as f64),
        cpu_percent: a_second(nanoseconds) / 1e9 * 100.0,
        misses_per_second: a_second(now.misses.saturating_sub(misses)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sample(at: Instant, calls: u64, nanoseconds: u64) -> Sample {
        Sample {
            at,
            programs: vec![Counted {
                program: Program {
                    id: 5,
                    name: "on_write".into(),
                    ..Program::default()
                },
                calls,
                nanoseconds,
                misses: 0,
            }],
        }
    }

    #[test]
    fn rates_are_of_what_came_in_between() {
        let begin = Instant::now();
        let before = sample(begin, 1000, 50_000);
        let after = sample(begin + Duration::from_secs(2), 3000, 450_000);
        let rates = Rates::between(&before, &after);
        let row = &rates.programs[0];
        assert_eq!(rates.seconds, 2.0);
        assert_eq!(row.calls_per_second, 1000.0);
        assert_eq!(row.ns_per_call, Some(200.0));
        assert!((row.cpu_percent - 0.02).abs() < 1e-9);
    }

    #[test]
    fn a_new_program_has_run_all_that_it_has_meanwhile() {
        let begin = Instant::now();
        let mut before = sample(begin, 1000, 0);
        before.programs.clear();
        let after = sample(begin + Duration::from_secs(1), 10, 10);
        let rates = Rates::between(&before, &after);
        assert_eq!(rates.programs[0].calls_per_second, 10.0);
    }

    #[test]
    fn without_a_call_there_is_no_time_of_one() {
        let begin = Instant::now();
        let [before, after] = [sample(begin, 7, 7), sample(begin, 7, 7)];
        let rates = Rates::between(&before, &after);
        assert_eq!(rates.programs[0].ns_per_call, None);
        assert_eq!(rates.programs[0].calls_per_second, 0.0);
    }
}
