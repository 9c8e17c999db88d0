// SPDX-License-Identifier: GPL-2.0

//! From names and globs to functions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use anyhow::{bail, ensure, Context, Result};

use crate::kernel::btf::{Btf, Function};
use crate::pattern::Pattern;

/// What ftrace can trace. tracefs is mounted at either place.
const TRACEABLE: [&str; 2] = [
    "/sys/kernel/tracing/available_filter_functions",
    "/sys/kernel/debug/tracing/available_filter_functions",
];
/// How alike a name has to be to be what was meant.
const ALIKE: f64 = 0.8;

/// How many functions of a name there are, by name and module.
pub struct Traceable(HashMap<(String, Option<String>), u32>);

impl Traceable {
    /// None where nobody tells.
    pub fn load() -> Option<Self> {
        TRACEABLE
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .map(|text| Self::parse(&text))
    }

    /// Lines are `name` or `name [module]`.
    fn parse(text: &str) -> Self {
        let mut all = HashMap::new();
        for line in text.lines() {
            let (name, module) = match line.split_once(" [") {
                Some((name, module)) => (name, Some(module.trim_end_matches(']').to_owned())),
                None => (line, None),
            };
            *all.entry((name.trim().to_owned(), module)).or_insert(0) += 1;
        }
        Self(all)
    }

    fn count(&self, function: &Function) -> u32 {
        let key = (function.name.clone(), function.module.clone());
        self.0.get(&key).copied().unwrap_or(0)
    }

    fn has(&self, name: &str) -> bool {
        self.0.keys().any(|(other, _)| other == name)
    }
}

/// `vfs_*` or `module:name`
struct Wanted<'a> {
    text: &'a str,
    module: Option<Pattern>,
    name: Pattern,
    is_glob: bool,
}

impl<'a> Wanted<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let (module, name) = match text.split_once(':') {
            Some((module, name)) => (Some(module), name),
            None => (None, text),
        };
        let pattern = |part: &str| {
            part.parse::<Pattern>()
                .with_context(|| format!("{text} is no glob"))
        };
        Ok(Self {
            text,
            module: module.map(pattern).transpose()?,
            name: pattern(name)?,
            is_glob: name.contains(['*', '?', '[', '{']),
        })
    }

    fn takes(&self, function: &Function) -> bool {
        let module = function.module.as_deref().unwrap_or("vmlinux");
        self.name.matches(&function.name)
            && self
                .module
                .as_ref()
                .is_none_or(|wanted| wanted.matches(module))
    }
}

/// A function to trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub function: Function,
    /// By its name, not by a glob.
    pub is_named: bool,
}

/// The functions to trace, each once, by name.
///
/// # Errors
///
/// A name that is unknown, ambiguous or cannot be traced; a glob that nothing fits; more than
/// `max`.
pub fn select(btf: &Btf, texts: &[String], max: usize) -> Result<Vec<Chosen>> {
    let wanted = texts
        .iter()
        .map(|text| Wanted::parse(text))
        .collect::<Result<Vec<_>>>()?;
    let known = btf.functions(|name| wanted.iter().any(|wanted| wanted.name.matches(name)))?;
    let traceable = Traceable::load();
    let mut chosen = BTreeMap::new();
    for wanted in &wanted {
        let fit = known
            .iter()
            .filter(|function| wanted.takes(function))
            .cloned()
            .collect();
        if wanted.is_glob {
            for function in all(wanted, fit, traceable.as_ref())? {
                chosen.entry(function).or_insert(false);
            }
        } else {
            let one = one(wanted.text, fit, traceable.as_ref());
            chosen.insert(one.map_err(|err| with_hint(err, btf, wanted.text))?, true);
        }
    }
    ensure!(
        chosen.len() <= max,
        "that is {} functions: narrow it down, or allow as many with --max {}",
        chosen.len(),
        chosen.len()
    );
    let chosen = chosen.into_iter();
    Ok(chosen
        .map(|(function, is_named)| Chosen { function, is_named })
        .collect())
}

/// Those of a glob that can be traced. Names that several functions have are passed over.
fn all(
    wanted: &Wanted<'_>,
    mut fit: Vec<Function>,
    traceable: Option<&Traceable>,
) -> Result<Vec<Function>> {
    let text = wanted.text;
    ensure!(
        !fit.is_empty(),
        "no function in the kernel's BTF is called {text}"
    );
    if let Some(traceable) = traceable {
        fit.retain(|function| traceable.count(function) == 1);
    }
    let mut times = HashMap::new();
    for function in &fit {
        *times
            .entry((function.name.clone(), function.object))
            .or_insert(0) += 1;
    }
    fit.retain(|function| times.get(&(function.name.clone(), function.object)) == Some(&1));
    ensure!(
        !fit.is_empty(),
        "none of the functions called {text} can be traced"
    );
    Ok(fit)
}

/// The one function of this name.
fn one(text: &str, fit: Vec<Function>, traceable: Option<&Traceable>) -> Result<Function> {
    let name = text.split_once(':').map_or(text, |(_, name)| name);
    if fit.is_empty() {
        if traceable.is_some_and(|traceable| traceable.has(name)) {
            bail!("{text} cannot be traced by BPF: the kernel's BTF does not tell its arguments");
        }
        bail!("the kernel has no function {text}");
    }
    let modules: BTreeSet<&str> = fit
        .iter()
        .map(|function| function.module.as_deref().unwrap_or("vmlinux"))
        .collect();
    if let (2.., Some(first)) = (modules.len(), modules.first()) {
        let list: Vec<&str> = modules.iter().copied().collect();
        bail!(
            "{text} is ambiguous: it is in {}. Say which one, as {first}:{name}",
            list.join(" and ")
        );
    }
    let count = traceable.map_or(1, |traceable| {
        fit.first().map_or(0, |fit| traceable.count(fit))
    });
    ensure!(
        count > 0,
        "{text} cannot be traced: the compiler has inlined it, or the kernel forbids it (notrace)"
    );
    ensure!(
        count == 1 && fit.len() == 1,
        "{text} is ambiguous: {} functions have this name",
        fit.len().max(count as usize)
    );
    fit.into_iter().next().context("no function")
}

/// Adds what may have been meant.
fn with_hint(err: anyhow::Error, btf: &Btf, text: &str) -> anyhow::Error {
    let mut best = (ALIKE, None);
    // An error here only costs the hint.
    let _ = btf.functions(|name| {
        let alike = strsim::jaro_winkler(name, text);
        if alike > best.0 && name != text {
            best = (alike, Some(name.to_owned()));
        }
        false
    });
    match best.1 {
        Some(name) if err.to_string().contains("no function") => {
            anyhow::anyhow!("{err}. There is {name}")
        }
        _ => err,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, object: u32, module: Option<&str>) -> Function {
        Function {
            name: name.into(),
            object,
            type_id: 1,
            module: module.map(str::to_owned),
        }
    }

    fn traceable() -> Traceable {
        Traceable::parse(
            "vfs_read\nvfs_write\ntwice\ntwice\next4_sync [ext4]\nplain.constprop.0\nno_btf\n",
        )
    }

    fn error(text: &str, fit: Vec<Function>) -> String {
        one(text, fit, Some(&traceable())).unwrap_err().to_string()
    }

    #[test]
    fn names_are_one_function() {
        let read = function("vfs_read", 1, None);
        assert_eq!(
            one("vfs_read", vec![read.clone()], Some(&traceable())).unwrap(),
            read
        );
        assert_eq!(one("vfs_read", vec![read.clone()], None).unwrap(), read);
        let sync = function("ext4_sync", 7, Some("ext4"));
        assert_eq!(
            one("ext4:ext4_sync", vec![sync.clone()], Some(&traceable())).unwrap(),
            sync
        );
    }

    #[test]
    fn errors_say_why() {
        assert_eq!(
            error("nothing", vec![]),
            "the kernel has no function nothing"
        );
        assert!(error("no_btf", vec![]).contains("BTF does not tell"));
        assert!(error("inlined", vec![function("inlined", 1, None)]).contains("inlined it"));
        let twice = || function("twice", 1, None);
        assert_eq!(
            error("twice", vec![twice()]),
            "twice is ambiguous: 2 functions have this name"
        );
        let two = vec![
            function("init", 2, Some("a")),
            function("init", 3, Some("b")),
        ];
        assert_eq!(
            error("init", two),
            "init is ambiguous: it is in a and b. Say which one, as a:init"
        );
    }

    #[test]
    fn globs_take_what_can_be_traced() {
        let wanted = Wanted::parse("*").unwrap();
        let known = vec![
            function("vfs_read", 1, None),
            function("twice", 1, None),
            function("inlined", 1, None),
            function("ext4_sync", 7, Some("ext4")),
        ];
        let names = |traceable: Option<&Traceable>| -> Vec<String> {
            let all = all(&wanted, known.clone(), traceable).unwrap();
            all.into_iter().map(|function| function.name).collect()
        };
        let traceable = traceable();
        assert_eq!(names(Some(&traceable)), ["vfs_read", "ext4_sync"]);
        assert_eq!(names(None).len(), 4);
        assert!(all(&wanted, vec![], None).is_err());
    }

    #[test]
    fn modules_can_be_said() {
        let of_module = Wanted::parse("ext4:*").unwrap();
        assert!(of_module.takes(&function("ext4_sync", 7, Some("ext4"))));
        assert!(!of_module.takes(&function("vfs_read", 1, None)));
        let of_kernel = Wanted::parse("vmlinux:vfs_*").unwrap();
        assert!(of_kernel.takes(&function("vfs_read", 1, None)));
        assert!(Wanted::parse("[").is_err());
    }
}
