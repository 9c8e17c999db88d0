// SPDX-License-Identifier: GPL-2.0

//! Plots of lines, as SVG that takes its colours from the page.
//!
//! A line is told from the others by its colour, its dashes and its marks.

use maud::{html, Markup};

/// A line of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: String,
    /// By x, none of which is negative.
    pub points: Vec<(f64, f64)>,
}

/// A plot of some lines over the number of something.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    pub title: String,
    pub x: &'static str,
    pub y: &'static str,
    /// Both axes count by orders of magnitude.
    pub log: bool,
    pub lines: Vec<Line>,
}

/// Looks that the style sheet has for lines.
const LOOKS: usize = 8;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

impl Plot {
    pub fn svg(&self) -> Markup {
        let all = || self.lines.iter().flat_map(|line| line.points.iter());
        let x = Axis::new(self.log, all().map(|point| point.0));
        let y = Axis::new(self.log, all().map(|point| point.1));
        let across = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
        let down = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
        html! {
            figure.plot {
                figcaption { (self.title) }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.spoken()) {
                    @for tick in y.ticks() {
                        line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(down(tick))) y2=(at(down(tick))) {}
                        text.tick x=(LEFT - 6.0) y=(at(down(tick) + 4.0)) text-anchor="end" { (number(tick)) }
                    }
                    @for tick in x.ticks() {
                        line.grid y1=(TOP) y2=(HEIGHT - BOTTOM) x1=(at(across(tick))) x2=(at(across(tick))) {}
                        text.tick x=(at(across(tick))) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (number(tick)) }
                    }
                    text.tick x=(WIDTH - RIGHT) y=(HEIGHT - 6.0) text-anchor="end" { (self.x) }
                    @for (nr, line) in self.lines.iter().enumerate() {
                        g class=(format!("look{}", nr % LOOKS)) {
                            polyline points=(points(line, across, down)) {}
                            @for (from_x, from_y) in &line.points {
                                (mark(nr, across(*from_x), down(*from_y), &format!(
                                    "{}: {} at {} {}", line.name, number(*from_y), number(*from_x), self.x
                                )))
                            }
                        }
                    }
                }
                ul.lines {
                    @for (nr, line) in self.lines.iter().enumerate() {
                        li class=(format!("look{}", nr % LOOKS)) {
                            svg viewBox="0 0 34 12" aria-hidden="true" {
                                polyline points="1,6 33,6" {}
                                (mark(nr, 17.0, 6.0, &line.name))
                            }
                            (line.name)
                        }
                    }
                }
                p.faint { (self.y) " by number of " (self.x) @if self.log { ", both logarithmic" } }
            }
        }
    }

    /// For who does not see it: where each line begins and ends.
    fn spoken(&self) -> String {
        let ends = self.lines.iter().filter_map(|line| {
            let (first, last) = (line.points.first()?, line.points.last()?);
            Some(format!(
                "{}: {} at {}, {} at {}",
                line.name,
                number(first.1),
                number(first.0),
                number(last.1),
                number(last.0)
            ))
        });
        format!("{}. {}", self.title, ends.collect::<Vec<_>>().join("; "))
    }
}

fn points(line: &Line, across: impl Fn(f64) -> f64, down: impl Fn(f64) -> f64) -> String {
    let points = line
        .points
        .iter()
        .map(|(x, y)| format!("{},{}", at(across(*x)), at(down(*y))));
    points.collect::<Vec<_>>().join(" ")
}

/// The mark of a point: a circle, a square, a triangle or a diamond.
fn mark(nr: usize, x: f64, y: f64, title: &str) -> Markup {
    let shape: &[(f64, f64)] = match nr % 4 {
        0 => {
            return html! {
                circle.mark cx=(at(x)) cy=(at(y)) r="4" { title { (title) } }
            }
        }
        1 => &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
        2 => &[(0.0, -4.8), (4.6, 3.8), (-4.6, 3.8)],
        _ => &[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)],
    };
    let corners = shape
        .iter()
        .map(|(dx, dy)| format!("{},{}", at(x + dx), at(y + dy)));
    html! {
        polygon.mark points=(corners.collect::<Vec<_>>().join(" ")) { title { (title) } }
    }
}

/// From the least to the most that is shown.
struct Axis {
    log: bool,
    from: f64,
    to: f64,
    step: f64,
}

impl Axis {
    fn new(log: bool, values: impl Iterator<Item = f64> + Clone) -> Self {
        let most = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        if log {
            let least = values.fold(most, f64::min).max(f64::MIN_POSITIVE);
            let (from, to) = (least.log10().floor(), most.log10().ceil());
            let to = to.max(from + 1.0);
            return Self {
                log,
                from,
                to,
                step: 1.0,
            };
        }
        let size = 10f64.powf((most / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|times| times * size)
            .find(|step| most / step <= 5.0)
            .unwrap_or(size);
        Self {
            log,
            from: 0.0,
            to: (most / step).ceil() * step,
            step,
        }
    }

    /// Where a value is, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.from) / (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.to - self.from) / self.step).round() as u32;
        let values = (0..=count).map(|nr| self.from + f64::from(nr) * self.step);
        values
            .map(|value| if self.log { 10f64.powf(value) } else { value })
            .collect()
    }
}

/// A place in the picture.
fn at(place: f64) -> String {
    format!("{place:.1}")
}

/// Three digits, or thousands and millions.
fn number(value: f64) -> String {
    let (value, unit) = match value {
        1e9.. => (value / 1e9, " G"),
        1e6.. => (value / 1e6, " M"),
        1e4.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let short = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{short}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [
            0.0,
            0.25,
            36.0,
            1829.0,
            20000.0,
            12_617_130.0,
            409_100_000.0,
        ];
        assert_eq!(
            all.map(number),
            ["0", "0.25", "36", "1829", "20 k", "12.6 M", "409 M"]
        );
    }

    #[test]
    fn axes_hold_all_values() {
        let axis = Axis::new(false, [3.0, 36.0].into_iter());
        assert_eq!(axis.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        let axis = Axis::new(true, [1.0, 5625.0].into_iter());
        assert_eq!(axis.ticks(), [1.0, 10.0, 100.0, 1000.0, 10000.0]);
        assert!((axis.place(100.0) - 0.5).abs() < 1e-9);
        // One value, or none, is no division by zero.
        assert!(Axis::new(true, [1.0].into_iter()).place(1.0).is_finite());
        assert!(Axis::new(false, [].into_iter()).place(1.0).is_finite());
    }
}
