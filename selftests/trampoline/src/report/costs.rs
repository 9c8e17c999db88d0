// SPDX-License-Identifier: GPL-2.0

//! What `make bench` has counted, as plots.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::plot::{Line, Plot};

/// The part of a document of `make bench` that is drawn. All costs are instructions.
#[derive(Clone, Debug, Deserialize)]
pub struct Document {
    /// The kernel's release.
    pub kernel: String,
    #[serde(default)]
    building: Vec<Building>,
    #[serde(default)]
    calling: Vec<Calling>,
    #[serde(default)]
    multi: Vec<Multi>,
}

/// An image, built by each of some builders.
#[derive(Clone, Debug, Deserialize)]
struct Building {
    programs: String,
    nr: u32,
    args: u32,
    cost: BTreeMap<String, Built>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Built {
    size: u64,
    build: u64,
}

impl Building {
    /// What both calls of a builder cost.
    fn both(&self, who: &str) -> Option<f64> {
        let cost = self.cost.get(who)?;
        Some((cost.size + cost.build) as f64)
    }
}

/// A call of a function with so many programs.
#[derive(Clone, Debug, Deserialize)]
struct Calling {
    programs: String,
    nr: u32,
    cost: BTreeMap<String, u64>,
}

/// One link on many functions.
#[derive(Clone, Debug, Deserialize)]
struct Multi {
    programs: String,
    functions: u32,
    cost: BTreeMap<String, Attached>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Attached {
    attach: u64,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// One line: it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|err| format!("this is no document of the bench: {err}"))
    }

    pub(super) fn plots(&self) -> Vec<Plot> {
        let mut plots = vec![
            self.building(),
            self.ratios(),
            self.calling(),
            self.attaching(),
        ];
        for plot in &mut plots {
            plot.lines.retain(|line| line.points.len() > 1);
        }
        plots.retain(|plot| !plot.lines.is_empty());
        plots
    }

    /// The images for a function of one argument.
    fn rows(&self) -> impl Iterator<Item = &Building> {
        self.building.iter().filter(|row| row.args == 1)
    }

    fn building(&self) -> Plot {
        let mut lines = Lines::default();
        for programs in ["fentry", "fsession, cookie"] {
            for who in ["c", "takeover"] {
                for row in self.rows().filter(|row| row.programs == programs) {
                    let name = format!("{programs}, {}", builder(who));
                    lines.add(name, row.nr, row.both(who));
                }
            }
        }
        Plot {
            title: "Building an image".into(),
            x: "programs",
            y: "instructions",
            log: false,
            lines: lines.done(),
        }
    }

    fn ratios(&self) -> Plot {
        let mut lines = Lines::default();
        for row in self.rows() {
            let ratio = row.both("takeover").zip(row.both("c"));
            let ratio = ratio.map(|(rust, c)| rust / c.max(1.0));
            lines.add(row.programs.clone(), row.nr, ratio);
        }
        Plot {
            title: "Building an image, Rust / C".into(),
            x: "programs",
            y: "ratio",
            log: false,
            lines: lines.done(),
        }
    }

    fn calling(&self) -> Plot {
        let mut lines = Lines::default();
        for row in &self.calling {
            let of = |who: &str| row.cost.get(who).map(|cost| *cost as f64);
            let (c, rust) = (of("c"), of("takeover"));
            if c == rust {
                lines.add(format!("{}, C and Rust", row.programs), row.nr, c);
            } else {
                lines.add(format!("{}, C", row.programs), row.nr, c);
                lines.add(format!("{}, Rust", row.programs), row.nr, rust);
            }
        }
        Plot {
            title: "Calling through an image".into(),
            x: "programs",
            y: "instructions",
            log: false,
            lines: lines.done(),
        }
    }

    fn attaching(&self) -> Plot {
        let mut lines = Lines::default();
        for row in &self.multi {
            for (who, cost) in &row.cost {
                let name = format!("{}, {}", row.programs, builder(who));
                lines.add(name, row.functions, Some(cost.attach as f64));
            }
        }
        Plot {
            title: "One link on many functions".into(),
            x: "functions",
            y: "instructions",
            log: true,
            lines: lines.done(),
        }
    }
}

fn builder(who: &str) -> &str {
    match who {
        "c" => "C",
        "takeover" => "Rust",
        who => who,
    }
}

/// Lines by name, in the order in which they are first told.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, name: String, x: u32, y: Option<f64>) {
        let Some(y) = y else { return };
        let point = (f64::from(x), y);
        match self.0.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => self.0.push(Line {
                name,
                points: vec![point],
            }),
        }
    }

    fn done(mut self) -> Vec<Line> {
        for line in &mut self.0 {
            line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_point_is_no_line() {
        let built = |nr, who: &str| {
            format!(
                r#"{{"programs": "fentry", "nr": {nr}, "args": 1,
                    "cost": {{"{who}": {{"size": 1, "build": 2}}}}}}"#
            )
        };
        let text = format!(
            r#"{{"kernel": "7.2", "building": [{}, {}, {}]}}"#,
            built(4, "c"),
            built(1, "c"),
            built(1, "takeover"),
        );
        let plots = Document::parse(&text).unwrap().plots();
        let [plot] = &plots[..] else {
            panic!("{plots:?}");
        };
        let [line] = &plot.lines[..] else {
            panic!("{plot:?}");
        };
        assert_eq!(line.name, "fentry, C");
        assert_eq!(line.points, [(1.0, 3.0), (4.0, 3.0)]);
    }
}
