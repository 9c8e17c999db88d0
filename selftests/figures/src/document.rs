// SPDX-License-Identifier: GPL-2.0

//! The document of one boot. All costs are instructions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The kernel's release.
    pub kernel: String,
    /// What is counted.
    pub unit: String,
    pub building: Vec<Building>,
    pub calling: Vec<Calling>,
    pub parts: Vec<Parts>,
    pub attaching: Vec<Attaching>,
    pub multi: Vec<Multi>,
    pub inlining: Vec<Inlining>,
    /// From another boot, on a real CPU.
    #[serde(default)]
    pub time: Vec<Time>,
    pub not_here: Vec<NotHere>,
}

/// Who answers where the kernel has its builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The kernel's own, before any hook was installed.
    C,
    /// The kernel's own behind hooks that are off.
    Off,
    /// Both, and they are compared.
    Shadow,
    /// The module.
    Takeover,
    /// The module, on its own device.
    Device,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Takeover => "takeover",
            Self::Device => "device",
        }
    }
}

/// The programs of a row: so many of each that the name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Programs {
    #[serde(rename = "fentry")]
    Fentry,
    #[serde(rename = "fexit")]
    Fexit,
    #[serde(rename = "fmod_ret")]
    FmodRet,
    #[serde(rename = "fentry + fexit")]
    Both,
    #[serde(rename = "fsession")]
    Session,
    #[serde(rename = "fsession, cookie")]
    WithCookie,
}

impl Programs {
    pub const ALL: [Self; 6] = [
        Self::Fentry,
        Self::Fexit,
        Self::FmodRet,
        Self::Both,
        Self::Session,
        Self::WithCookie,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Fexit => "fexit",
            Self::FmodRet => "fmod_ret",
            Self::Both => "fentry + fexit",
            Self::Session => "fsession",
            Self::WithCookie => "fsession, cookie",
        }
    }

    /// Calls in the image for each of them.
    pub fn calls(self) -> u32 {
        match self {
            Self::Fentry | Self::Fexit | Self::FmodRet => 1,
            Self::Both | Self::Session | Self::WithCookie => 2,
        }
    }
}

/// One image, built by everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Building {
    pub programs: Programs,
    pub nr: u32,
    pub args: u32,
    pub bytes: u32,
    pub pieces: Pieces,
    pub cost: BTreeMap<Who, Built>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub size: u64,
    pub build: u64,
    /// An executable page, allocated and freed, as `size` does in C: what that takes
    /// depends on what was allocated before.
    pub page: u64,
}

impl Built {
    pub fn both(self) -> u64 {
        self.size + self.build
    }

    /// Without the page.
    fn rest(self) -> u64 {
        self.both().saturating_sub(self.page)
    }
}

impl Building {
    /// What both hooks add while they are off.
    pub fn hooks_off(&self) -> Option<u64> {
        let (off, c) = (self.cost.get(&Who::Off)?, self.cost.get(&Who::C)?);
        Some(off.rest().saturating_sub(c.rest()))
    }
}

/// What a builder may be made of, each counted alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// The image's place, allocated and freed.
    pub place: u64,
    /// Copying the image there.
    pub copy: u64,
    /// A buffer of the image's size, allocated and freed.
    pub scratch: u64,
}

/// One call of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calling {
    pub programs: String,
    pub nr: u32,
    /// Bytes of the image, where there is one.
    pub bytes: Option<u32>,
    /// Above the call of the function that is not traced.
    pub cost: BTreeMap<Who, u64>,
}

/// What an image calls, each called alone, without call and return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    pub programs: Programs,
    pub enter: u64,
    pub run: u64,
    /// The second half of a session.
    pub run_return: u64,
    pub exit: u64,
    pub tramp_enter: u64,
    pub tramp_exit: u64,
}

/// Attaching one program and detaching it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attaching {
    pub programs: Programs,
    /// How many programs are there already.
    pub beside: u32,
    pub cost: BTreeMap<Who, Attached>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// What the task itself runs.
    pub attach: u64,
    pub detach: u64,
    /// How long it waits for others, mostly for grace periods, in ticks of the
    /// emulated clock, which runs one a instruction and skips idle time.
    pub attach_waits: u64,
    pub detach_waits: u64,
}

/// One link on many functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multi {
    pub programs: Programs,
    pub functions: u32,
    pub cost: BTreeMap<Who, Attached>,
    /// Bytes of all images.
    pub bytes: u64,
    /// Bytes of data that are allocated besides while the link is there.
    pub memory: u64,
    /// Images that were found identical in shadow.
    pub identical: u64,
}

/// A kfunc that is inlined, and the same called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inlining {
    pub kfunc: String,
    pub inlined: u64,
    pub called: u64,
}

/// How long a call takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// As the kernel's own benchmark calls it.
    pub name: String,
    /// For a thousand calls.
    pub ticks: u64,
}

/// What could not be counted, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotHere {
    pub what: String,
    pub why: String,
}

impl Parts {
    /// What is called for a call of the function with one such program; the rest of its
    /// cost is the image itself.
    pub fn called(&self) -> u64 {
        let around = self.tramp_enter + self.tramp_exit;
        let once = self.enter + self.run + self.exit;
        match self.programs {
            Programs::Fentry => once,
            Programs::Fexit | Programs::FmodRet => once + around,
            Programs::Both => 2 * once + around,
            Programs::Session | Programs::WithCookie => {
                once + self.enter + self.run_return + self.exit + around
            }
        }
    }
}

impl Document {
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// For reading, and for comparing versions.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("every key of the document is a string");
        text.push('\n');
        text
    }

    pub fn leave_out(&mut self, what: &str, why: impl Into<String>) {
        self.not_here.push(NotHere {
            what: what.to_owned(),
            why: why.into(),
        });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One row of everything.
    pub(crate) fn example() -> Document {
        let built = |size, build| Built {
            size,
            build,
            page: 1000,
        };
        let attached = |attach| Attached {
            attach,
            detach: attach / 2,
            attach_waits: 0,
            detach_waits: 1000,
        };
        let cost = [
            (Who::C, built(17000, 4000)),
            (Who::Off, built(17600, 4600)),
            (Who::Takeover, built(2000, 3250)),
        ];
        let building = |programs, nr, args| Building {
            programs,
            nr,
            args,
            bytes: 200,
            pieces: Pieces::default(),
            cost: cost.into(),
        };
        Document {
            kernel: "7.2.12+deb13-amd64".into(),
            unit: "instructions".into(),
            building: vec![
                building(Programs::Fentry, 1, 1),
                building(Programs::Fentry, 4, 1),
                building(Programs::WithCookie, 1, 1),
                building(Programs::WithCookie, 1, 6),
            ],
            calling: vec![Calling {
                programs: "fentry".into(),
                nr: 1,
                bytes: Some(200),
                cost: [(Who::C, 112), (Who::Takeover, 112)].into(),
            }],
            parts: vec![Parts {
                programs: Programs::Fentry,
                enter: 30,
                run: 10,
                run_return: 10,
                exit: 20,
                tramp_enter: 15,
                tramp_exit: 12,
            }],
            attaching: vec![Attaching {
                programs: Programs::Fentry,
                beside: 0,
                cost: [(Who::C, attached(90000)), (Who::Device, attached(80000))].into(),
            }],
            multi: vec![Multi {
                programs: Programs::Session,
                functions: 100,
                cost: [(Who::C, attached(9_000_000))].into(),
                bytes: 30000,
                memory: 1 << 20,
                identical: 100,
            }],
            inlining: vec![Inlining {
                kfunc: "bpf_session_cookie".into(),
                inlined: 5,
                called: 12,
            }],
            time: Vec::new(),
            not_here: vec![NotHere {
                what: "something".into(),
                why: "a reason".into(),
            }],
        }
    }

    #[test]
    fn json_and_back() {
        let document = example();
        let text = document.to_json();
        assert_eq!(Document::from_json(&text).unwrap(), document);
        // By these it is found between other lines.
        assert!(text.starts_with("{\n") && text.ends_with("\n}\n"));
    }
}
