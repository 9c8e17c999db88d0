// SPDX-License-Identifier: GPL-2.0

//! What a run asks of the machine: images depend on its mitigations.

use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
use std::fs;
use std::str::FromStr;

use anyhow::{bail, Error, Result};

/// Something that a machine has or lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// `cpu:ibt`: a flag of `/proc/cpuinfo`.
    CpuFlag(String),
    /// `off:ibt`: a CPU that has it, and a kernel that does not use it.
    TurnedOff(String),
    /// `retbleed:Stuffing`: what `/sys/devices/system/cpu/vulnerabilities/retbleed` tells.
    Mitigation { of: String, word: String },
}

impl FromStr for Need {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("cpu", flag)) => Ok(Self::CpuFlag(flag.into())),
            Some(("off", flag @ "ibt")) => Ok(Self::TurnedOff(flag.into())),
            Some((of, word)) if of != "off" && !of.contains('/') => Ok(Self::Mitigation {
                of: of.into(),
                word: word.into(),
            }),
            _ => bail!("{text:?} is neither cpu:FLAG, off:ibt nor VULNERABILITY:MITIGATION"),
        }
    }
}

impl Need {
    /// What the running machine lacks.
    pub fn missing(&self) -> Option<String> {
        match self {
            Self::CpuFlag(flag) => (!kernel_uses(flag)).then(|| format!("this CPU has no {flag}")),
            Self::TurnedOff(flag) if !cpu_has_ibt() => {
                Some(format!("this CPU has no {flag} that could be off"))
            }
            Self::TurnedOff(flag) => kernel_uses(flag).then(|| format!("{flag} is on")),
            Self::Mitigation { of, word } => {
                let path = format!("/sys/devices/system/cpu/vulnerabilities/{of}");
                let says = fs::read_to_string(path).unwrap_or_default();
                (!says.contains(word.as_str()))
                    .then(|| format!("{of} is {:?}, not {word:?}", says.trim()))
            }
        }
    }
}

/// As the CPU itself says, whatever the kernel makes of it.
fn cpu_has_ibt() -> bool {
    const FEATURES: u32 = 7;
    const IBT: u32 = 1 << 20;
    // SAFETY: Every CPU of this architecture has the instruction.
    unsafe { __get_cpuid_max(0).0 >= FEATURES && __cpuid_count(FEATURES, 0).edx & IBT != 0 }
}

fn kernel_uses(flag: &str) -> bool {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    has_flag(&info, flag)
}

fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    cpuinfo
        .lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|line| line.split_whitespace().any(|word| word == flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_a_flag_or_a_mitigation() {
        assert_eq!(
            "cpu:ibt".parse::<Need>().unwrap(),
            Need::CpuFlag("ibt".into())
        );
        assert_eq!(
            "retbleed:Stuffing".parse::<Need>().unwrap(),
            Need::Mitigation {
                of: "retbleed".into(),
                word: "Stuffing".into()
            }
        );
        assert_eq!(
            "off:ibt".parse::<Need>().unwrap(),
            Need::TurnedOff("ibt".into())
        );
        assert!("off:sse".parse::<Need>().is_err());
        assert!("ibt".parse::<Need>().is_err());
        assert!("../../etc:x".parse::<Need>().is_err());
    }

    #[test]
    fn a_flag_is_a_whole_word() {
        let info = "vendor_id\t: none\nflags\t\t: fpu ibtx sse\n";
        assert!(has_flag(info, "sse"));
        assert!(!has_flag(info, "ibt"));
    }
}
