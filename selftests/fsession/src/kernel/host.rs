// SPDX-License-Identifier: GPL-2.0

//! Which kernel on which machine.

use std::collections::BTreeMap;
use std::fs;

use trampoline::document::Host;

const CPUINFO: &str = "/proc/cpuinfo";
const MITIGATIONS: &str = "/sys/devices/system/cpu/vulnerabilities";
const MODE: &str = "/sys/kernel/debug/rust_fsession/mode";

/// What is not known stays empty.
pub fn host() -> Host {
    let uname = rustix::system::uname();
    let cpuinfo = fs::read_to_string(CPUINFO).unwrap_or_default();
    Host {
        release: uname.release().to_string_lossy().into_owned(),
        build: uname.version().to_string_lossy().into_owned(),
        cpu: cpu(&cpuinfo).unwrap_or_default().to_owned(),
        mitigations: mitigations(),
        mode: mode(),
    }
}

/// None as well where debugfs is not mounted.
fn mode() -> Option<String> {
    let mode = fs::read_to_string(MODE).ok()?;
    Some(mode.trim().to_owned()).filter(|mode| !mode.is_empty())
}

fn cpu(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn mitigations() -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(MITIGATIONS) else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let state = fs::read_to_string(entry.path()).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name, state.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_a_name() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 6\nmodel name\t: QEMU CPU: 2.5+\n";
        assert_eq!(cpu(cpuinfo), Some("QEMU CPU: 2.5+"));
        assert_eq!(cpu("model\t\t: 6\n"), None);
    }
}
