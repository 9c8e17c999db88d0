// SPDX-License-Identifier: GPL-2.0

//! How long calls took, counted by powers of two.

use std::fmt::Write as _;

use serde::Serialize;

use super::lines::show_duration;
use super::record::BUCKETS;

/// Columns of the numbers, and of a bar at most.
const NUMBERS: usize = 35;
const BAR: usize = 40;

/// Calls by duration: number n counts those from 2^n ns to below 2^(n+1), number 0 also those of 0.
pub type Histogram = [u64; BUCKETS];

pub fn calls(histogram: &Histogram) -> u64 {
    histogram.iter().sum()
}

/// The buckets from the first to the last that is not empty: from, to, count.
fn buckets(histogram: &Histogram) -> Vec<(u64, u64, u64)> {
    let used = |(_, count): &(usize, &u64)| **count != 0;
    let first = histogram
        .iter()
        .enumerate()
        .position(|bucket| used(&bucket));
    let last = histogram.iter().enumerate().filter(used).last();
    let (Some(first), Some((last, _))) = (first, last) else {
        return Vec::new();
    };
    histogram
        .iter()
        .enumerate()
        .take(last + 1)
        .skip(first)
        .map(|(nr, count)| {
            let from = if nr == 0 { 0 } else { 1 << nr };
            let to = 2u64
                .checked_shl(nr as u32)
                .filter(|to| *to != 0)
                .unwrap_or(u64::MAX);
            (from, to, *count)
        })
        .collect()
}

/// The function's name, and a line a bucket.
pub fn text(name: &str, histogram: &Histogram, width: Option<usize>) -> String {
    let total = calls(histogram);
    let plural = if total == 1 { "" } else { "s" };
    let mut text = format!("{name}: {total} call{plural}\n");
    let largest = histogram.iter().max().copied().unwrap_or(1).max(1);
    let room = width.map_or(BAR, |width| width.saturating_sub(NUMBERS).min(BAR));
    for (from, to, count) in buckets(histogram) {
        let bar = "#".repeat(((count as u128 * room as u128).div_ceil(largest.into())) as usize);
        let line = format!(
            "  {:>8} .. {:<8} {count:>10}  {bar}",
            show_duration(from),
            show_duration(to)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[derive(Serialize)]
struct Object<'a> {
    r#type: &'static str,
    function: &'a str,
    module: Option<&'a str>,
    calls: u64,
    buckets: Vec<Bucket>,
}

#[derive(Serialize)]
struct Bucket {
    from_ns: u64,
    to_ns: u64,
    count: u64,
}

pub fn json(name: &str, module: Option<&str>, histogram: &Histogram) -> serde_json::Result<String> {
    let bucket = |(from_ns, to_ns, count)| Bucket {
        from_ns,
        to_ns,
        count,
    };
    serde_json::to_string(&Object {
        r#type: "histogram",
        function: name,
        module,
        calls: calls(histogram),
        buckets: buckets(histogram).into_iter().map(bucket).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Histogram {
        let mut histogram = [0; BUCKETS];
        histogram[10] = 3;
        histogram[11] = 80;
        histogram[13] = 1;
        histogram
    }

    #[test]
    fn buckets_have_bars() {
        insta::assert_snapshot!(text("vfs_read", &example(), Some(60)), @r"
        vfs_read: 84 calls
          1.024 us .. 2.048 us          3  #
          2.048 us .. 4.096 us         80  #########################
          4.096 us .. 8.192 us          0
          8.192 us .. 16.38 us          1  #
        ");
        assert_eq!(text("f", &[0; BUCKETS], None), "f: 0 calls\n");
    }

    #[test]
    fn the_ends_are_buckets() {
        let mut histogram = [0; BUCKETS];
        histogram[0] = 1;
        assert_eq!(buckets(&histogram), [(0, 2, 1)]);
        histogram[0] = 0;
        histogram[63] = 1;
        assert_eq!(buckets(&histogram), [(1 << 63, u64::MAX, 1)]);
    }

    #[test]
    fn json_has_the_same_buckets() {
        let mut histogram = [0; BUCKETS];
        histogram[11] = 80;
        assert_eq!(
            json("vfs_read", None, &histogram).unwrap(),
            "{\"type\":\"histogram\",\"function\":\"vfs_read\",\"module\":null,\"calls\":80,\
             \"buckets\":[{\"from_ns\":2048,\"to_ns\":4096,\"count\":80}]}"
        );
    }
}
