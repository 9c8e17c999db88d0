// SPDX-License-Identifier: GPL-2.0

//! Plots of a document, as SVG.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{anyhow, Context, Result};
use plotters::prelude::*;

use crate::document::{Document, Programs, Who};
use crate::table::number;

const SIZE: (u32, u32) = (800, 480);

/// A line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// A plot of some lines over the number of something.
struct Plot {
    name: String,
    title: String,
    x: &'static str,
    y: &'static str,
    /// Both axes count by orders of magnitude.
    log: bool,
    lines: Vec<Line>,
}

/// Writes all plots of all documents. Gives the title of each and its path, as seen from
/// above `dir`.
pub fn write_all(dir: &Path, documents: &[Document]) -> Result<Vec<(String, String)>> {
    let mut written = Vec::new();
    for document in documents {
        for plot in plots(document) {
            let name = format!("{}-{}.svg", plot.name, crate::series(&document.kernel));
            let path = dir.join(&name);
            fs::write(&path, draw(&plot)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
            let beside = dir.file_name().unwrap_or_default().to_string_lossy();
            written.push((plot.title, format!("{beside}/{name}")));
        }
    }
    Ok(written)
}

fn plots(document: &Document) -> Vec<Plot> {
    let mut plots = vec![building(document), ratios(document), multi(document)];
    plots.retain(|plot| plot.lines.iter().any(|line| line.points.len() > 1));
    plots
}

fn building(document: &Document) -> Plot {
    let mut lines = Vec::new();
    for programs in [Programs::Fentry, Programs::WithCookie] {
        for who in [Who::C, Who::Takeover] {
            let rows = document.building.iter();
            let rows = rows.filter(|row| row.programs == programs && row.args == 1);
            let points =
                rows.filter_map(|row| Some((f64::from(row.nr), row.cost.get(&who)?.both() as f64)));
            lines.push(Line {
                name: format!("{}, {}", programs.name(), builder(who)),
                points: sorted(points),
            });
        }
    }
    Plot {
        name: "building".into(),
        title: format!("Building an image, Linux {}", document.kernel),
        x: "programs",
        y: "instructions",
        log: false,
        lines,
    }
}

fn builder(who: Who) -> &'static str {
    match who {
        Who::Takeover => "Rust",
        who => who.name(),
    }
}

fn ratios(document: &Document) -> Plot {
    let lines = Programs::ALL.map(|programs| {
        let rows = document.building.iter();
        let rows = rows.filter(|row| row.programs == programs && row.args == 1);
        let points = rows.filter_map(|row| {
            let (rust, c) = (row.cost.get(&Who::Takeover)?, row.cost.get(&Who::C)?);
            Some((f64::from(row.nr), rust.both() as f64 / c.both() as f64))
        });
        Line {
            name: programs.name().to_owned(),
            points: sorted(points),
        }
    });
    Plot {
        name: "ratio".into(),
        title: format!("Rust / C, Linux {}", document.kernel),
        x: "programs",
        y: "ratio",
        log: false,
        lines: lines.into(),
    }
}

fn multi(document: &Document) -> Plot {
    let mut lines: BTreeMap<(Programs, Who), Vec<(f64, f64)>> = BTreeMap::new();
    for row in &document.multi {
        for (who, cost) in &row.cost {
            let point = (f64::from(row.functions), cost.attach as f64);
            lines.entry((row.programs, *who)).or_default().push(point);
        }
    }
    let lines = lines.into_iter().map(|((programs, who), points)| Line {
        name: format!("{}, {}", programs.name(), builder(who)),
        points: sorted(points.into_iter()),
    });
    Plot {
        name: "multi".into(),
        title: format!("One link on many functions, Linux {}", document.kernel),
        x: "functions",
        y: "instructions",
        log: true,
        lines: lines.collect(),
    }
}

fn sorted(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut points: Vec<_> = points.collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
}

fn draw(plot: &Plot) -> Result<String> {
    let mut svg = String::new();
    let drawn = draw_into(&mut svg, plot);
    drawn.map_err(|err| anyhow!("cannot plot {}: {err}", plot.name))?;
    Ok(svg)
}

fn draw_into(svg: &mut String, plot: &Plot) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let all = || {
        plot.lines
            .iter()
            .flat_map(|line| line.points.iter().copied())
    };
    let most = |of: fn((f64, f64)) -> f64| all().map(of).fold(1.0, f64::max);
    let (right, top) = (most(|at| at.0), most(|at| at.1) * 1.05);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root);
    chart
        .caption(&plot.title, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(90);
    // The two kinds of axes have types of their own.
    macro_rules! lines {
        ($chart:expr) => {{
            let mut chart = $chart;
            chart
                .configure_mesh()
                .x_desc(plot.x)
                .y_desc(plot.y)
                .x_label_formatter(&|x| number(*x as u64))
                .y_label_formatter(&|y| axis(*y))
                .draw()?;
            for (nr, line) in plot.lines.iter().enumerate() {
                let color = Palette99::pick(nr).to_rgba();
                chart
                    .draw_series(LineSeries::new(line.points.clone(), color.stroke_width(2)))?
                    .label(&line.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
                let dots = line
                    .points
                    .iter()
                    .map(|at| Circle::new(*at, 3, color.filled()));
                chart.draw_series(dots)?;
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK)
                .draw()?;
        }};
    }
    match plot.log {
        true => {
            lines!(chart.build_cartesian_2d((1.0..right).log_scale(), (1000.0..top).log_scale())?)
        }
        false => lines!(chart.build_cartesian_2d(0.0..right, 0.0..top)?),
    }
    root.present()?;
    Ok(())
}

/// Ratios have digits behind the point.
fn axis(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 20.0 => format!("{value:.2}"),
        value => number(value as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::example;

    #[test]
    fn plots_are_svg_with_all_lines() {
        let plots = plots(&example());
        assert_eq!(plots.len(), 2, "one point is no line");
        for plot in plots {
            let svg = draw(&plot).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            for line in &plot.lines {
                assert!(svg.contains(&line.name), "{}", line.name);
            }
        }
    }
}
