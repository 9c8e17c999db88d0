// SPDX-License-Identifier: GPL-2.0

//! A page of HTML with all that is known of some kernels: images, test results, costs.
//!
//! The page is one file. It loads nothing, and says so to the browser (`Content-Security-Policy`).
//! What comes from outside gets into it by two ways only: as text that [`maud`] escapes, and as
//! JSON by [`json`].
//!
//! | file | what it holds |
//! |---|---|
//! | [`runs`] | results from what a VM run has said |
//! | [`costs`] | plots from the documents of `make bench` |
//! | `entries` | the images of all dumps, and which of them belong side by side |
//! | `image` | one entry: its summary, and the data that the script draws |
//! | `page`, `results`, `plot` | the page, its tables, its plots |
//! | `*.css`, `*.js` | looks and behaviour, as they stand in the page |

use serde::Serialize;

use crate::document::{Dump, Host};

pub mod costs;
mod entries;
mod image;
mod page;
mod plot;
mod results;
pub mod runs;

/// What a report tells. What is empty is not shown.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub title: String,
    pub dumps: Vec<Side>,
    pub runs: runs::Runs,
    pub costs: Vec<costs::Document>,
}

/// A dump with what it is called.
#[derive(Clone, Debug)]
pub struct Side {
    /// As the images are labelled: [`Side::label`] gives one.
    pub label: String,
    pub dump: Dump,
}

impl Side {
    /// A short label: kernel and builder.
    pub fn label(host: &Host) -> String {
        let builder = match host.mode.as_deref() {
            Some("takeover") => "Rust",
            Some("shadow") => "C, Rust compares",
            _ => "C",
        };
        format!("{builder} · {}", host.release)
    }
}

impl Report {
    pub fn html(&self) -> String {
        page::page(self).into_string()
    }
}

/// JSON for a `<script>`: nothing in it ends the element.
fn json(data: &impl Serialize) -> String {
    // Numbers, strings and lists: there is nothing that could fail.
    let text = serde_json::to_string(data).unwrap_or_else(|_| "null".into());
    text.replace('<', "\\u003c")
}

/// What `text` becomes in an `id`: letters, digits, `_`, `.` and `-`.
fn slug(text: &str) -> String {
    let kept = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
    let mut slug = String::new();
    for letter in text.chars() {
        if kept(letter) {
            slug.push(letter);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_ends_no_element() {
        assert_eq!(json(&"</script><!--"), "\"\\u003c/script>\\u003c!--\"");
    }

    #[test]
    fn slugs_are_ids() {
        assert_eq!(slug("vfs_read"), "vfs_read");
        assert_eq!(slug("7.2.12+deb13 (a)"), "7.2.12-deb13-a");
        assert_eq!(slug("</script>"), "script");
    }
}
