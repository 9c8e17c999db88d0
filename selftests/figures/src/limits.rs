// SPDX-License-Identifier: GPL-2.0

//! What a document may not exceed: the guard of `make test`.
//!
//! A line of the file is `RATIO NR PROGRAMS`: building that image in takeover costs at
//! most RATIO of what it costs C. Empty lines and those with a `#` say nothing.

use anyhow::{ensure, Context, Result};

use crate::document::{Document, Programs, Who};
use crate::table::{number, ratio};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// In hundredths.
    pub percent: u64,
    pub nr: u32,
    pub programs: Programs,
}

pub fn parse(text: &str) -> Result<Vec<Limit>> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let limits: Vec<_> = lines
        .map(|line| limit(line).with_context(|| format!("no limit: '{line}'")))
        .collect::<Result<_>>()?;
    ensure!(!limits.is_empty(), "no limits");
    Ok(limits)
}

fn limit(line: &str) -> Result<Limit> {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().context("three words");
    let (whole, hundredths) = word()?.split_once('.').context("a ratio has two digits")?;
    ensure!(hundredths.len() == 2, "a ratio has two digits");
    let percent = whole.parse::<u64>()? * 100 + hundredths.parse::<u64>()?;
    let nr = word()?.parse()?;
    let name = word()?;
    let mut all = Programs::ALL.into_iter();
    let programs = all
        .find(|programs| programs.name() == name)
        .context("no such programs")?;
    Ok(Limit {
        percent,
        nr,
        programs,
    })
}

/// A line for each limit, and whether all were kept.
pub fn check(document: &Document, limits: &[Limit]) -> Result<(String, bool)> {
    let (mut text, mut kept) = (String::new(), true);
    for limit in limits {
        let fits = |programs, nr, args| (programs, nr, args) == (limit.programs, limit.nr, 1);
        let mut rows = document.building.iter();
        let row = rows.find(|row| fits(row.programs, row.nr, row.args));
        let row = row.with_context(|| format!("not counted: {limit:?}"))?;
        let cost = |who| row.cost.get(&who).map(|cost| cost.both());
        let c = cost(Who::C).context("not counted: C")?;
        let rust = cost(Who::Takeover).context("not counted: takeover")?;
        let good = rust * 100 <= c * limit.percent;
        text += &format!(
            "{} {} {}: {} of {}, {}, at most {}.{:02}\n",
            if good { "ok    " } else { "not ok" },
            limit.nr,
            limit.programs.name(),
            number(rust),
            number(c),
            ratio(rust, c),
            limit.percent / 100,
            limit.percent % 100
        );
        kept &= good;
    }
    Ok((text, kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::example;

    #[test]
    fn limits_are_read() {
        let limits = parse("# a comment\n\n0.25 1 fentry\n1.13 18 fsession, cookie\n").unwrap();
        assert_eq!(limits.len(), 2);
        assert_eq!(
            limits[1],
            Limit {
                percent: 113,
                nr: 18,
                programs: Programs::WithCookie
            }
        );
        for bad in ["", "0.25 1", "0.2 1 fentry", "x 1 fentry", "0.25 1 nothing"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    /// C's sum is 21,000 and Rust's 5,250.
    #[test]
    fn a_limit_is_kept_or_not() {
        let check = |text| check(&example(), &parse(text).unwrap());
        assert!(check("0.25 1 fentry").unwrap().1);
        assert!(!check("0.25 1 fentry\n0.24 4 fentry").unwrap().1);
        assert!(check("0.25 2 fentry").is_err(), "not counted");
    }

    #[test]
    fn the_limits_of_the_tree_are_understood() {
        parse(include_str!("../limits")).unwrap();
    }
}
