// SPDX-License-Identifier: GPL-2.0

//! What building an image costs.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use figures::document::{Building, Built, Document, Pieces, Programs, Who};

use super::module::Module;
use super::programs::{Set, Source, Target};

/// The most calls that an image of tracing programs has here.
const MAX_CALLS: u32 = 36;
const COUNTS: [u32; 9] = [1, 2, 4, 8, 12, 18, 24, 30, 36];

/// What the guard of `make test` looks at.
const SHORT_COUNTS: [u32; 3] = [1, 4, 18];

/// Functions with so many arguments, for these programs.
const BY_ARGS: [(u32, &str); 6] = [
    (2, "bpf_fentry_test2"),
    (3, "bpf_fentry_test3"),
    (4, "bpf_fentry_test4"),
    (5, "bpf_fentry_test5"),
    (6, "bpf_fentry_test6"),
    (12, "targets_args_12"),
];
const PROGRAMS_BY_ARGS: [Programs; 4] = [
    Programs::Fentry,
    Programs::Fexit,
    Programs::Session,
    Programs::WithCookie,
];

/// Programs to build images for, each list kept loaded for everybody who builds.
pub struct Rows(Vec<(Building, Set)>);

impl Rows {
    pub fn load(source: &Source, test1: &Target, dir: &Path, short: bool) -> Result<Self> {
        let mut rows = Vec::new();
        let mut add = |programs, nr, args, target: &_| -> Result<()> {
            let row = Building {
                programs,
                nr,
                args,
                bytes: 0,
                pieces: Pieces::default(),
                cost: Default::default(),
            };
            rows.push((row, source.set(programs, nr, target)?));
            Ok(())
        };
        let counts: &[u32] = if short { &SHORT_COUNTS } else { &COUNTS };
        for programs in Programs::ALL {
            for nr in counts
                .iter()
                .filter(|nr| *nr * programs.calls() <= MAX_CALLS)
            {
                add(programs, *nr, 1, test1)?;
            }
        }
        for (args, function) in BY_ARGS.iter().filter(|_| !short) {
            let target = Source::target(dir, function)?;
            for programs in PROGRAMS_BY_ARGS {
                add(programs, 1, *args, &target)?;
            }
        }
        Ok(Self(rows))
    }

    /// Has everything built by who answers now.
    pub fn count(&mut self, module: &Module, who: Who) -> Result<()> {
        for (row, set) in &mut self.0 {
            let name = || format!("{} {} by {}", row.nr, row.programs.name(), who.name());
            let build = module.build(&set.fds()).with_context(name)?;
            if who == Who::C {
                row.bytes = build.bytes;
                row.pieces = Pieces {
                    place: build.place,
                    copy: build.copy,
                    scratch: build.scratch,
                };
            }
            ensure!(
                build.bytes == row.bytes,
                "{}: {} bytes, not {}",
                name(),
                build.bytes,
                row.bytes
            );
            let built = Built {
                size: build.size,
                build: build.build,
                page: build.page,
            };
            row.cost.insert(who, built);
        }
        Ok(())
    }

    /// Bytes of the image with these programs on a function with one argument.
    pub fn bytes(&self, programs: Programs, nr: u32) -> Option<u32> {
        let mut rows = self.0.iter().map(|(row, _)| row);
        let row = rows.find(|row| (row.programs, row.nr, row.args) == (programs, nr, 1))?;
        Some(row.bytes)
    }

    pub fn write(self, document: &mut Document) {
        document
            .building
            .extend(self.0.into_iter().map(|(row, _)| row));
    }
}
