// SPDX-License-Identifier: GPL-2.0

//! The records of the program in `bpf/trace.bpf.c`: the mirror of `bpf/trace.h`.

use bytemuck::{Pod, Zeroable};

/// Words of a function's arguments, at most.
pub const MAX_WORDS: usize = 12;
pub const BUCKETS: usize = 64;
/// Pointers from an argument to its text, at most.
pub const MAX_STEPS: usize = 3;
/// `struct trace_text`
const TEXT_BYTES: usize = 4 + MAX_TEXT;
/// Of a `struct trace_text`, with the terminating 0.
const MAX_TEXT: usize = 124;

/// `struct trace_config`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Config {
    pub follow: u32,
    pub records: u32,
    pub stacks: u32,
    pub texts: u32,
    pub histogram: u32,
}

/// `struct trace_text_at`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct TextAt {
    pub nr_steps: u32,
    pub steps: [u32; MAX_STEPS],
    pub last: u32,
}

/// `struct trace_function`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FunctionConfig {
    pub texts: u32,
    pub nr_texts: u32,
    pub returns_text: u32,
    pub at: [TextAt; MAX_WORDS],
    pub ret: TextAt,
}

/// `MARK_OWN`
pub const MARK_OWN: u32 = 1;

/// `struct trace_counts`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Counts {
    pub lost_entries: u64,
    pub lost_returns: u64,
}

impl Counts {
    /// Calls of which a record is lost.
    pub fn lost(&self) -> u64 {
        self.lost_entries + self.lost_returns
    }
}

/// `struct trace_record`
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Head {
    time: u64,
    entered: u64,
    function: u32,
    kind: u32,
    tgid: u32,
    tid: u32,
    cpu: u32,
    nr_words: u32,
    nr_texts: u32,
    stack_bytes: i32,
    comm: [u8; 16],
}

/// The task that a record is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    pub tgid: u32,
    pub tid: u32,
    pub cpu: u32,
    pub comm: String,
}

/// The text of an argument: what a string points to, the name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Without the terminating 0.
    Read { bytes: Vec<u8>, is_cut: bool },
    /// There is nothing to read, or not at that moment.
    Unreadable,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// In ns. With the task it names the call.
    pub entered: u64,
    /// Number of the function.
    pub function: usize,
    pub task: Task,
    pub words: Vec<u64>,
    /// The texts of those words that have one, in their order.
    pub texts: Vec<Text>,
    /// From the program outwards, empty where it was not asked for.
    pub stack: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Return {
    /// Of the entry.
    pub entered: u64,
    /// In ns.
    pub time: u64,
    pub function: usize,
    pub task: Task,
    pub value: u64,
    pub text: Option<Text>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Entry(Entry),
    Return(Return),
}

impl Record {
    /// Reads one record of the ring buffer, None if it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let head: Head = bytemuck::pod_read_unaligned(rest.take(size_of::<Head>())?);
        let words = (0..head.nr_words)
            .map(|_| rest.word())
            .collect::<Option<Vec<_>>>()?;
        let texts = (0..head.nr_texts)
            .map(|_| rest.text())
            .collect::<Option<Vec<_>>>()?;
        let task = Task {
            tgid: head.tgid,
            tid: head.tid,
            cpu: head.cpu,
            comm: String::from_utf8_lossy(until_nul(&head.comm)).into_owned(),
        };
        let function = head.function as usize;
        match head.kind {
            0 => {
                let frames = usize::try_from(head.stack_bytes).unwrap_or(0) / 8;
                let stack = (0..frames)
                    .map(|_| rest.word())
                    .collect::<Option<Vec<_>>>()?;
                Some(Self::Entry(Entry {
                    entered: head.entered,
                    function,
                    task,
                    words,
                    texts,
                    stack,
                }))
            }
            1 => Some(Self::Return(Return {
                entered: head.entered,
                time: head.time,
                function,
                task,
                value: *words.first()?,
                text: texts.into_iter().next(),
            })),
            _ => None,
        }
    }
}

impl Return {
    /// In ns.
    pub fn duration(&self) -> u64 {
        self.time.saturating_sub(self.entered)
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn word(&mut self) -> Option<u64> {
        self.take(8).map(bytemuck::pod_read_unaligned)
    }

    fn text(&mut self) -> Option<Text> {
        let bytes = self.take(TEXT_BYTES)?;
        let (len, text) = bytes.split_at_checked(4)?;
        let len: i32 = bytemuck::pod_read_unaligned(len);
        if len <= 0 {
            return Some(Text::Unreadable);
        }
        let text = text.get(..usize::try_from(len).ok()?)?;
        Some(Text::Read {
            bytes: until_nul(text).to_vec(),
            // The kernel ends what does not fit with a 0 as well.
            is_cut: text.len() == MAX_TEXT,
        })
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u32, nr_words: u32, nr_texts: u32, stack_bytes: i32) -> Vec<u8> {
        let mut comm = [0; 16];
        comm[..3].copy_from_slice(b"cat");
        bytemuck::bytes_of(&Head {
            time: 1500,
            entered: 1000,
            function: 3,
            kind,
            tgid: 10,
            tid: 11,
            cpu: 1,
            nr_words,
            nr_texts,
            stack_bytes,
            comm,
        })
        .to_vec()
    }

    fn text(len: i32, content: &[u8]) -> Vec<u8> {
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(content);
        bytes.resize(TEXT_BYTES, 0);
        bytes
    }

    fn task() -> Task {
        Task {
            tgid: 10,
            tid: 11,
            cpu: 1,
            comm: "cat".into(),
        }
    }

    #[test]
    fn entries_have_words_texts_and_frames() {
        let mut bytes = head(0, 2, 3, 16);
        bytes.extend([7u64, 8].map(u64::to_ne_bytes).concat());
        bytes.extend(text(6, b"hello"));
        bytes.extend(text(-14, b""));
        bytes.extend(text(124, &[b'x'; 123]));
        bytes.extend([0x100u64, 0x200, 0, 0].map(u64::to_ne_bytes).concat());
        let expected = Entry {
            entered: 1000,
            function: 3,
            task: task(),
            words: vec![7, 8],
            texts: vec![
                Text::Read {
                    bytes: b"hello".to_vec(),
                    is_cut: false,
                },
                Text::Unreadable,
                Text::Read {
                    bytes: vec![b'x'; 123],
                    is_cut: true,
                },
            ],
            stack: vec![0x100, 0x200],
        };
        assert_eq!(Record::parse(&bytes), Some(Record::Entry(expected)));
    }

    #[test]
    fn returns_have_a_value() {
        let mut bytes = head(1, 1, 1, 0);
        bytes.extend(9u64.to_ne_bytes());
        bytes.extend(text(3, b"ok"));
        let Some(Record::Return(ret)) = Record::parse(&bytes) else {
            panic!("no return");
        };
        assert_eq!((ret.value, ret.duration()), (9, 500));
        assert_eq!(
            ret.text,
            Some(Text::Read {
                bytes: b"ok".to_vec(),
                is_cut: false
            })
        );
    }

    #[test]
    fn what_is_short_is_no_record() {
        assert_eq!(Record::parse(&[]), None);
        assert_eq!(Record::parse(&head(0, 1, 0, 0)), None);
        assert_eq!(Record::parse(&head(0, 0, 1, 0)), None);
        assert_eq!(Record::parse(&head(0, 0, 0, 8)), None);
        assert_eq!(Record::parse(&head(1, 0, 0, 0)), None);
        assert_eq!(Record::parse(&head(2, 0, 0, 0)), None);
        let mut long = head(0, 0, 1, 0);
        long.extend(text(1000, b"x"));
        assert_eq!(Record::parse(&long), None);
    }
}
