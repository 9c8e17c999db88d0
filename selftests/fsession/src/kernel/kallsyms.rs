// SPDX-License-Identifier: GPL-2.0

//! `/proc/kallsyms`: what the kernel calls an address, and where its images are.

use std::cell::OnceCell;
use std::fs;

use anyhow::{ensure, Context, Result};
use trampoline::document::Kind;

const PATH: &str = "/proc/kallsyms";

/// The kernel's own text and that of modules and BPF programs is above this address.
const TEXT: u64 = 0xffff_ffff_8000_0000;
/// No function is larger. What is farther from the symbol before it belongs to something else.
const LARGEST_FUNCTION: u64 = 1 << 20;
/// No image is larger.
pub const PAGE: u64 = 4096;

/// How the kernel names the images of BPF links, by the trampoline's key.
const IMAGE: &str = "bpf_trampoline_";
/// How the module names its images, by the traced function.
const DEVICE_IMAGE: &str = "bpf_trampoline_rust_fsession_";
/// How the kernel names the images of struct_ops (since Linux 6.13).
const STRUCT_OPS_IMAGE: &str = "bpf__";
/// What stands for a module behind the symbols that BPF adds.
const BPF: &str = "bpf";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    pub addr: u64,
    pub name: &'a str,
    /// None for the kernel itself, `bpf` for what BPF adds.
    pub module: Option<&'a str>,
}

/// The symbol of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub addr: u64,
    pub symbol: String,
    pub kind: Kind,
    /// Of [`Kind::Kernel`].
    pub key: Option<u64>,
    /// Bytes until the next symbol, at most a page: the image is not longer.
    pub room: u64,
}

/// All symbols, as they were at one time.
pub struct Kallsyms {
    text: String,
    /// By address; symbols of one address as they were in the file.
    lines: Vec<Line>,
    /// Numbers of `lines`, by name.
    by_name: OnceCell<Vec<u32>>,
}

/// Places in the text.
struct Line {
    addr: u64,
    name: (usize, usize),
    module: Option<(usize, usize)>,
}

impl Kallsyms {
    /// # Errors
    ///
    /// The kernel has no such file, or hides addresses.
    pub fn load() -> Result<Self> {
        let bytes = fs::read(PATH).with_context(|| format!("cannot read {PATH}"))?;
        let all = Self::parse(String::from_utf8_lossy(&bytes).into_owned());
        ensure!(
            all.lines.iter().any(|line| line.addr != 0),
            "{PATH} hides addresses: run this as root, and with kernel.kptr_restrict at 0 or 1 \
             (sysctl kernel.kptr_restrict=1)"
        );
        Ok(all)
    }

    /// From the text of the file. Lines of another form are passed over.
    pub fn parse(text: String) -> Self {
        let start = text.as_ptr() as usize;
        let place = |part: &str| {
            let from = part.as_ptr() as usize - start;
            (from, from + part.len())
        };
        let mut lines: Vec<Line> = text
            .lines()
            .filter_map(|line| {
                let symbol = parse_line(line)?;
                Some(Line {
                    addr: symbol.addr,
                    name: place(symbol.name),
                    module: symbol.module.map(place),
                })
            })
            .collect();
        lines.sort_by_key(|line| line.addr);
        Self {
            text,
            lines,
            by_name: OnceCell::new(),
        }
    }

    fn symbol(&self, line: &Line) -> Symbol<'_> {
        let part = |(from, to): (usize, usize)| self.text.get(from..to).unwrap_or_default();
        Symbol {
            addr: line.addr,
            name: part(line.name),
            module: line.module.map(part),
        }
    }

    /// How many symbols are below `addr`.
    fn below(&self, addr: u64) -> usize {
        self.lines.partition_point(|line| line.addr < addr)
    }

    /// The symbol at `addr`. Of several, the first, as the kernel does it.
    pub fn at(&self, addr: u64) -> Option<Symbol<'_>> {
        let line = self.lines.get(self.below(addr))?;
        (line.addr == addr).then(|| self.symbol(line))
    }

    /// `name`, or `name+0x5` inside of a function. None for what is no symbol's: the heap, user
    /// space.
    pub fn name(&self, addr: u64) -> Option<String> {
        if let Some(symbol) = self.at(addr) {
            return Some(symbol.name.to_owned());
        }
        let before = self.lines.get(self.below(addr).checked_sub(1)?)?;
        let symbol = self.at(before.addr)?;
        let offset = addr - symbol.addr;
        let is_near = symbol.addr >= TEXT && offset < LARGEST_FUNCTION;
        is_near.then(|| format!("{}+{offset:#x}", symbol.name))
    }

    /// All symbols of this name: there may be several.
    pub fn find(&self, name: &str) -> Vec<Symbol<'_>> {
        let line = |nr: &u32| self.lines.get(*nr as usize);
        let name_of = |nr: &u32| line(nr).map(|line| self.symbol(line).name);
        let by_name = self.by_name.get_or_init(|| {
            let mut all: Vec<u32> = (0..).take(self.lines.len()).collect();
            all.sort_by_key(&name_of);
            all
        });
        let first = by_name.partition_point(|nr| name_of(nr) < Some(name));
        by_name
            .iter()
            .skip(first)
            .filter_map(line)
            .map(|line| self.symbol(line))
            .take_while(|symbol| symbol.name == name)
            .collect()
    }

    /// The images of trampolines, by address. Among them are those that only wait for their last
    /// task to leave.
    pub fn images(&self) -> Vec<Image> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(nr, line)| {
                let symbol = self.symbol(line);
                let (kind, key) = image(&symbol)?;
                let next = self
                    .lines
                    .iter()
                    .skip(nr)
                    .find(|next| next.addr > line.addr);
                Some(Image {
                    addr: symbol.addr,
                    symbol: symbol.name.to_owned(),
                    kind,
                    key,
                    room: next.map_or(PAGE, |next| PAGE.min(next.addr - line.addr)),
                })
            })
            .collect()
    }
}

/// Whether a symbol is an image's: of which kind, with which key.
fn image(symbol: &Symbol<'_>) -> Option<(Kind, Option<u64>)> {
    if symbol.module != Some(BPF) {
        return None;
    }
    if symbol.name.starts_with(DEVICE_IMAGE) {
        return Some((Kind::Device, None));
    }
    if let Some(key) = symbol.name.strip_prefix(IMAGE) {
        return Some((Kind::Kernel, Some(key.parse().ok()?)));
    }
    symbol
        .name
        .starts_with(STRUCT_OPS_IMAGE)
        .then_some((Kind::StructOps, None))
}

/// The function that the module's image is for, as its symbol says.
pub fn device_target(symbol: &str) -> Option<&str> {
    symbol.strip_prefix(DEVICE_IMAGE)
}

/// The table and the member that a struct_ops image is for, in one: `tcp_congestion_ops_init`.
pub fn struct_ops_member(symbol: &str) -> Option<&str> {
    symbol.strip_prefix(STRUCT_OPS_IMAGE)
}

/// `address type name [module]`.
fn parse_line(line: &str) -> Option<Symbol<'_>> {
    let mut words = line.split_ascii_whitespace();
    let addr = u64::from_str_radix(words.next()?, 16).ok()?;
    let name = words.nth(1)?;
    let module = words
        .next()
        .and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
    Some(Symbol { addr, name, module })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
0000000000000000 A __per_cpu_start
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81200000 T vfs_read
ffffffff81200400 t helper
ffffffffa0000000 t helper\t[ext4]
ffffffffc0201000 t bpf_trampoline_6442512345\t[bpf]
ffffffffc0201200 t bpf_prog_6deef7357e7b4530_on_read\t[bpf]
ffffffffc0202000 t bpf__tcp_congestion_ops_init\t[bpf]
ffffffffc0203000 t bpf_trampoline_rust_fsession_vfs_read\t[bpf]
ffffffff81300000 t bpf_trampoline_get
not a line
";

    fn all() -> Kallsyms {
        Kallsyms::parse(TEXT.to_owned())
    }

    #[test]
    fn lines_are_taken_apart() {
        let line = "ffffffffc0201000 t bpf_trampoline_6442512345\t[bpf]";
        let symbol = parse_line(line).unwrap();
        assert_eq!(symbol.addr, 0xffff_ffff_c020_1000);
        assert_eq!(symbol.name, "bpf_trampoline_6442512345");
        assert_eq!(symbol.module, Some("bpf"));
        assert_eq!(parse_line("ffffffff81000000 T _text").unwrap().module, None);
        assert_eq!(parse_line(""), None);
        assert_eq!(parse_line("ffffffff81000000 T"), None);
        assert_eq!(parse_line("not a line"), None);
    }

    #[test]
    fn addresses_are_named() {
        let all = all();
        let name = |addr| all.name(addr);
        assert_eq!(name(0xffff_ffff_8100_0000).unwrap(), "_text");
        assert_eq!(name(0xffff_ffff_8100_0004).unwrap(), "_text+0x4");
        assert_eq!(name(0xffff_ffff_8120_0005).unwrap(), "vfs_read+0x5");
        // The heap, and what is far from everything.
        assert_eq!(name(0xffff_8880_0123_4567), None);
        assert_eq!(name(0xffff_ffff_8180_0000), None);
        assert_eq!(name(0).unwrap(), "__per_cpu_start");
        assert_eq!(name(1), None);
        assert_eq!(Kallsyms::parse(String::new()).name(5), None);
    }

    #[test]
    fn all_symbols_of_a_name_are_found() {
        let all = all();
        let modules: Vec<_> = all.find("helper").iter().map(|it| it.module).collect();
        assert_eq!(modules, [None, Some("ext4")]);
        assert_eq!(all.find("vfs_read").len(), 1);
        assert!(all.find("vfs_rea").is_empty());
        assert!(all.find("zzz").is_empty());
    }

    #[test]
    fn images_are_told_from_functions() {
        let images: Vec<_> = all()
            .images()
            .into_iter()
            .map(|image| (image.kind, image.key, image.room))
            .collect();
        assert_eq!(
            images,
            [
                (Kind::Kernel, Some(6_442_512_345), 0x200),
                (Kind::StructOps, None, 0x1000),
                (Kind::Device, None, 0x1000),
            ]
        );
    }
}
