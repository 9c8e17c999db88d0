// SPDX-License-Identifier: GPL-2.0

//! The tables of tests and of comparisons.

use std::collections::{BTreeMap, BTreeSet};

use maud::{html, Markup};

use super::runs::{Comparison, Outcome, Test, Way};

/// A test by its name, in all runs.
struct Row<'a> {
    name: &'a str,
    runs: Vec<&'a Test>,
}

impl Row<'_> {
    /// The worst of the runs decides.
    fn is(&self, wanted: Verdict) -> bool {
        self.verdict() == wanted
    }

    fn verdict(&self) -> Verdict {
        let all = self.runs.iter().map(|run| Verdict::of(&run.outcome));
        all.min().unwrap_or(Verdict::Passed)
    }

    /// All runs came out the same.
    fn is_equal(&self) -> bool {
        let mut outcomes = self.runs.iter().map(|run| &run.outcome);
        let first = outcomes.next();
        outcomes.all(|outcome| Some(outcome) == first)
    }

    fn ways(&self) -> BTreeSet<Way> {
        self.runs.iter().map(|run| run.way).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Failed,
    Skipped,
    Passed,
}

impl Verdict {
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Failed => Self::Failed,
            Outcome::Skipped(_) => Self::Skipped,
            Outcome::Passed => Self::Passed,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Passed => "passed",
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Failed => "✗",
            Self::Skipped => "–",
            Self::Passed => "✓",
        }
    }
}

/// What each kernel said of each test. What failed is unfolded.
pub fn tests(tests: &[Test]) -> Markup {
    let mut kernels: Vec<&str> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for test in tests {
        if !kernels.contains(&test.kernel.as_str()) {
            kernels.push(&test.kernel);
        }
        let nr = *known.entry(&test.name).or_insert(rows.len());
        match rows.get_mut(nr) {
            Some(row) => row.runs.push(test),
            None => rows.push(Row {
                name: &test.name,
                runs: vec![test],
            }),
        }
    }
    html! {
        @for verdict in [Verdict::Failed, Verdict::Skipped, Verdict::Passed] {
            @let these: Vec<&Row> = rows.iter().filter(|row| row.is(verdict)).collect();
            @if !these.is_empty() {
                details.tests open[verdict == Verdict::Failed] {
                    summary {
                        span class={ "outcome " (verdict.name()) } { (verdict.sign()) " " (verdict.name()) }
                        " " (these.len()) @if these.len() == 1 { " test" } @else { " tests" }
                        @if verdict == Verdict::Passed { " in each of their runs" }
                        @else { " in one of their runs or more" }
                    }
                    div.wide {
                        table {
                            thead { tr { th scope="col" { "test" }
                                @for kernel in &kernels { th scope="col" { (kernel) } } } }
                            tbody { @for row in these { (line(row, &kernels)) } }
                        }
                    }
                }
            }
        }
    }
}

fn line(row: &Row, kernels: &[&str]) -> Markup {
    let on: BTreeSet<&str> = row.runs.iter().map(|run| run.kernel.as_str()).collect();
    let failed = row.runs.iter().filter(|run| !run.said.is_empty());
    html! {
        tr data-words=(format!("test:{}\nis:{}", row.name, row.verdict().name()).to_lowercase()) {
            th scope="row" { (row.name) }
            @if row.is_equal() && on.len() == kernels.len() {
                td colspan=(kernels.len()) { (equal(row, kernels.len())) }
            } @else {
                @for kernel in kernels {
                    td {
                        @for run in row.runs.iter().filter(|run| run.kernel == *kernel) {
                            div { (one(run, row.ways().len() > 1)) }
                        }
                    }
                }
            }
        }
        @for run in failed {
            tr.said data-words=(format!("test:{}\nis:failed", row.name).to_lowercase()) {
                td colspan=(kernels.len() + 1) {
                    p.faint { (run.kernel) ", " (run.way.name()) }
                    pre { (run.said.join("\n")) }
                }
            }
        }
    }
}

/// Runs that came out the same, as one.
fn equal(row: &Row, kernels: usize) -> Markup {
    let ways: Vec<_> = row.ways().into_iter().map(Way::name).collect();
    let seconds = || row.runs.iter().filter_map(|run| run.seconds);
    let (least, most) = (
        seconds().fold(f64::INFINITY, f64::min),
        seconds().fold(0.0, f64::max),
    );
    html! {
        @if let Some(run) = row.runs.first() { (outcome(&run.outcome)) }
        @if kernels > 1 { ", " (kernels) " kernels" }
        @if ways.len() > 1 { ", " (ways.join(" and ")) }
        @if least <= most {
            span.time { (time(least)) @if time(least) != time(most) { " to " (time(most)) } }
        }
    }
}

fn one(run: &Test, with_way: bool) -> Markup {
    html! {
        (outcome(&run.outcome))
        @if with_way { ", " (run.way.name()) }
        @if let Some(seconds) = run.seconds { span.time { (time(seconds)) } }
    }
}

fn outcome(outcome: &Outcome) -> Markup {
    let verdict = Verdict::of(outcome);
    html! {
        span class={ "outcome " (verdict.name()) } { (verdict.sign()) " " (verdict.name()) }
        @if let Outcome::Skipped(reason) = outcome {
            @if !reason.is_empty() { ": " (reason) }
        }
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        10.0.. => format!("{seconds:.0} s"),
        _ => format!("{seconds:.1} s"),
    }
}

/// How many images were the same, by kernel and machine.
pub fn comparisons(comparisons: &[Comparison]) -> Markup {
    html! {
        div.wide {
            table.numbers {
                thead { tr {
                    @for name in ["kernel", "machine", "compared", "identical", "different"] {
                        th scope="col" { (name) }
                    }
                } }
                tbody {
                    @for row in comparisons {
                        tr data-words=(format!("kernel:{}\nmachine:{}", row.kernel, row.machine).to_lowercase()) {
                            th scope="row" { (row.kernel) }
                            td { (row.machine) }
                            td { (count(row.compared)) }
                            td { (count(row.identical)) }
                            td class=[(row.different != 0).then_some("failed")] {
                                (count(row.different))
                                @if row.different != 0 { " ✗" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A number with commas.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nr, digit) in digits.chars().enumerate() {
        if nr > 0 && (digits.len() - nr) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::runs::Runs;

    fn shown(said: &str) -> String {
        let mut runs = Runs::default();
        runs.read(said, "file");
        tests(&runs.tests).into_string()
    }

    #[test]
    fn equal_runs_are_one_line() {
        let page = shown(
            "  VM  Linux a (tcg)\nok 1 one # 1.0s\nok 2 takeover.one # 2.0s\n\
             \x20 VM  Linux b (tcg)\nok 1 one # 1.5s\nok 2 takeover.one # 1.2s\n",
        );
        assert_eq!(page.matches("<tr").count(), 2, "{page}");
        assert!(page.contains(", 2 kernels, device and takeover"), "{page}");
        assert!(page.contains("1.0 s to 2.0 s"), "{page}");
        assert!(!page.contains("<details class=\"tests\" open"), "{page}");
    }

    #[test]
    fn what_failed_is_open_and_tells_why() {
        let page = shown(
            "  VM  Linux a (tcg)\nok 1 one # 1.0s\n  VM  Linux b (tcg)\n\
             # left <3>\nnot ok 1 one # 1.5s\n",
        );
        assert!(page.contains("<details class=\"tests\" open"), "{page}");
        assert!(page.contains("<pre>left &lt;3&gt;</pre>"), "{page}");
        assert!(page.contains("✓ passed") && page.contains("✗ failed"));
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!(
            [0, 999, 20_000, 1_234_567].map(count),
            ["0", "999", "20,000", "1,234,567"]
        );
    }
}
