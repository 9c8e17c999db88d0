// SPDX-License-Identifier: GPL-2.0

//! `fsession mode`: what the module does with the kernel's own trampolines.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::PossibleValue;
use clap::ValueEnum;
use uapi::debugfs::Mode;

use crate::{look, module, screen};

const EXAMPLES: &str = "\
Examples:
  fsession mode             the mode now
  fsession mode shadow      have every image of the kernel compared
  fsession mode off         leave the kernel alone

It takes the module. Images that were built stay as they are.";

/// Tells or sets what the module does with the kernel's trampolines
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The mode to set
    mode: Option<Choice>,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let was = module::mode()?;
        let text = match self.mode {
            None => sentence(was, None),
            Some(Choice(mode)) => {
                module::set_mode(mode)?;
                sentence(module::mode()?, Some(was))
            }
        };
        let mut out = anstream::stdout().lock();
        for line in look::wrap(&text, screen::width()) {
            writeln!(out, "{line}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn sentence(mode: Mode, was: Option<Mode>) -> String {
    let before = was.map_or_else(String::new, |was| format!(" (was {})", was.name()));
    format!("{}{before}: {}", mode.name(), meaning(mode))
}

pub fn meaning(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "the kernel's trampolines are built in C, the module sees none of them",
        Mode::Shadow => {
            "the kernel's trampolines are built in C, the module builds each as well and compares"
        }
        Mode::Takeover => "the kernel's trampolines are built in Rust, by the module",
    }
}

/// A mode, as an argument.
#[derive(Clone, Copy)]
struct Choice(Mode);

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(Mode::Off), Self(Mode::Shadow), Self(Mode::Takeover)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(meaning(self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_can_be_chosen() {
        let chosen: Vec<_> = Choice::value_variants().iter().map(|one| one.0).collect();
        assert_eq!(chosen, Mode::ALL);
    }

    #[test]
    fn it_says_what_the_mode_is_and_was() {
        let text = sentence(Mode::Takeover, Some(Mode::Off));
        assert!(text.starts_with("takeover (was off): "), "{text}");
        assert!(sentence(Mode::Off, None).starts_with("off: "));
    }
}
