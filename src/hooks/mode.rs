// SPDX-License-Identifier: GPL-2.0

//! The modes of the hooks.

/// The mode of the hooks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// C is used, and nothing is compared.
    Off,
    /// C is used, Rust does the same, and the two are compared.
    Shadow,
    /// Rust is used. What it cannot do falls back to C.
    Takeover,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Off, Self::Shadow, Self::Takeover];

    /// The mode's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Takeover => "takeover",
        }
    }

    /// The mode of this name.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        let same = |mode: &Self| mode.name().as_bytes() == name;
        Self::ALL.into_iter().find(same)
    }

    pub(super) fn to_bits(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::Shadow => 1,
            Self::Takeover => 2,
        }
    }

    pub(super) fn from_bits(bits: u32) -> Self {
        let same = |mode: &Self| mode.to_bits() == bits;
        Self::ALL.into_iter().find(same).unwrap_or(Self::Off)
    }
}
