// SPDX-License-Identifier: GPL-2.0

//! How wide the output may be.

/// Where nothing tells.
const COLUMNS: usize = 80;

/// Columns: `COLUMNS` if it is set, or those of the terminal that it goes to, or 80.
pub fn width() -> usize {
    let set = std::env::var("COLUMNS").ok().and_then(|it| it.parse().ok());
    let terminal =
        || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
    set.or_else(terminal)
        .filter(|width| *width > 0)
        .unwrap_or(COLUMNS)
}
