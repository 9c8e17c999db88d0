// SPDX-License-Identifier: GPL-2.0

//! Calls of the test targets, with programs on them.

use anyhow::{ensure, Result};

use crate::harness::Env;
use crate::probe::{Event, Kind, Log, Phase, Spec};
use crate::targets::Targets;

/// Traces `targets_<function>()`.
pub fn spec(kind: Kind, function: &str) -> Spec {
    Spec::new(kind, &format!("targets_{function}")).this_process()
}

/// A call of a target.
pub struct Call<'a> {
    pub function: &'a str,
    /// As the calling convention has them: registers, then the stack.
    pub words: &'a [u64],
    /// As programs see them.
    pub args: &'a [u64],
    pub ret: u64,
}

impl Call<'_> {
    /// Makes the call with a fentry program, then with a session as well, then
    /// with every kind: all see the arguments, and so does the function.
    pub fn check(&self, env: &Env) -> Result<()> {
        let targets = env.targets()?;
        let log = env.log()?;
        let tramp = env.trampoline()?;
        check_eq!(
            targets.call(self.function, self.words)?,
            self.ret,
            "untraced"
        );
        let mut probes = Vec::new();
        for (kind, records) in [(Kind::Fentry, 1), (Kind::Session, 3), (Kind::Fexit, 4)] {
            let probe = log.load(spec(kind, self.function).cookie_if(kind == Kind::Session))?;
            tramp.add(&probe)?;
            probes.push(probe);
            self.run(&targets, &log, records)?;
        }
        for probe in &probes {
            tramp.remove(probe)?;
        }
        self.run(&targets, &log, 0)
    }

    /// Makes the call once more, of which `records` come.
    pub fn run(&self, targets: &Targets, log: &Log, records: usize) -> Result<()> {
        let ret = targets.call(self.function, self.words)?;
        check_eq!(ret, self.ret, "what the caller got");
        let events = log.take()?;
        check_eq!(events.len(), records, "number of records");
        events.iter().try_for_each(|event| self.saw(event))
    }

    fn saw(&self, event: &Event) -> Result<()> {
        let nr = self.args.len();
        check_eq!(event.nr_args as usize, nr, "number of arguments");
        check_eq!(event.args[..nr], *self.args, "arguments");
        ensure!(
            event.args[nr..].iter().all(|arg| *arg == 0),
            "an argument past the last: {:x?}",
            event.args
        );
        let ret = match event.phase() {
            Phase::Entry => 0,
            Phase::Return => self.ret,
        };
        check_eq!(event.ret, ret, "return value at {:?}", event.phase());
        Ok(())
    }
}

/// As `Call::check()`, for words that programs see as they are.
pub fn in_order(env: &Env, function: &str, args: &[u64], ret: u64) -> Result<()> {
    Call {
        function,
        words: args,
        args,
        ret,
    }
    .check(env)
}

/// `N` words that have nothing in common.
pub fn words<const N: usize>() -> [u64; N] {
    std::array::from_fn(|nr| (nr as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
