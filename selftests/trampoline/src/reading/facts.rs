// SPDX-License-Identifier: GPL-2.0

//! What each instruction of an image does, in the terms that an image is made of: values that are
//! known, slots of the stack frame, calls and jumps.
//!
//! An image is straight code with jumps forward, so one pass over it in the order of its
//! addresses knows what a register holds.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::Error;

/// What is known of a register's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Unknown,
    Const(u64),
    /// The address so many bytes from rbp.
    Frame(i32),
    /// What was read from the slot so many bytes from rbp.
    Slot(i32),
    /// What the register held when the image was entered.
    Initial(Register),
    /// What the call at this index returned.
    Returned(usize),
}

/// What an instruction does, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Nothing that the others say.
    Other,
    /// Stores so many bytes so far from rbp.
    Store { at: i32, bytes: u32, value: Value },
    /// Loads a register from the frame.
    Load { at: i32, to: Register },
    /// Sets a register.
    Set { to: Register, value: Value },
    /// Makes the frame so many bytes large.
    Reserve(i32),
    /// Pushes a register below the frame.
    Push { value: Value },
    /// Compares the slot with 0.
    CompareSlot { at: i32 },
    /// Calls an address, or none for a register, with what is in rdi, rsi and rdx.
    Call {
        target: Option<u64>,
        through: Value,
        args: [Value; 3],
    },
    /// Jumps forward within the image, to this index of an instruction.
    Jump { to: usize, always: bool },
    /// Leaves the image: by a return, or a jump to the return thunk.
    Return,
    /// Drops the return address, so that the image returns for the function.
    DropReturnAddress,
    /// Counts a call for the return stack (`retbleed=stuff`).
    Account,
    /// Belongs to the checks of an indirect call: ENDBR, kCFI, FineIBT.
    Preamble,
    /// Takes the frame down.
    Leave,
}

/// An instruction with what it does.
pub struct Step {
    pub insn: Instruction,
    pub fact: Fact,
}

/// Takes an image apart.
///
/// # Errors
///
/// It is none: bytes that are no instructions, jumps that lead nowhere, no frame.
pub fn steps(code: &[u8], addr: u64) -> Result<Vec<Step>, Error> {
    let insns: Vec<Instruction> = Decoder::with_ip(64, code, addr, DecoderOptions::NONE)
        .into_iter()
        .collect();
    if let Some(bad) = insns.iter().find(|insn| insn.is_invalid()) {
        return Err(Error::NoInstruction(bad.ip().wrapping_sub(addr)));
    }
    let mut walk = Walk::new(&insns, code.len());
    let steps: Vec<Step> = insns
        .iter()
        .enumerate()
        .map(|(index, insn)| Step {
            insn: *insn,
            fact: walk.step(index, insn),
        })
        .collect();
    match (walk.misled, walk.has_frame) {
        (Some(from), _) => Err(Error::JumpsAway(from.wrapping_sub(addr))),
        (None, false) => Err(Error::NoFrame),
        (None, true) => Ok(steps),
    }
}

/// The registers that a call leaves as they were.
const PRESERVED: [Register; 6] = [
    Register::RBX,
    Register::RBP,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

struct Walk<'a> {
    insns: &'a [Instruction],
    end: u64,
    registers: [Value; 16],
    /// rbp is the frame's.
    has_frame: bool,
    /// The jump that leads to no instruction of the image.
    misled: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(insns: &'a [Instruction], len: usize) -> Self {
        let mut registers = [Value::Unknown; 16];
        for (number, value) in registers.iter_mut().enumerate() {
            *value = Value::Initial(Register::RAX + number as u32);
        }
        let start = insns.first().map_or(0, Instruction::ip);
        Self {
            insns,
            end: start.wrapping_add(len as u64),
            registers,
            has_frame: false,
            misled: None,
        }
    }

    fn get(&self, register: Register) -> Value {
        let number = register.full_register().number();
        self.registers
            .get(number)
            .copied()
            .unwrap_or(Value::Unknown)
    }

    fn set(&mut self, register: Register, value: Value) -> Fact {
        let to = register.full_register();
        if let Some(held) = self.registers.get_mut(to.number()) {
            *held = value;
        }
        Fact::Set { to, value }
    }

    fn step(&mut self, index: usize, insn: &Instruction) -> Fact {
        match insn.mnemonic() {
            Mnemonic::Push => Fact::Push {
                value: self.get(insn.op0_register()),
            },
            Mnemonic::Mov => self.mov(insn),
            Mnemonic::Movsxd | Mnemonic::Movsx | Mnemonic::Movzx => {
                let value = self.read_slot(insn).map_or(Value::Unknown, Value::Slot);
                self.loaded(insn, value)
            }
            Mnemonic::Lea if self.in_frame(insn) => {
                let at = displacement(insn);
                self.set(insn.op0_register(), Value::Frame(at))
            }
            Mnemonic::Xor if insn.op0_register() == insn.op1_register() => {
                self.set(insn.op0_register(), Value::Const(0))
            }
            Mnemonic::Sub if insn.op0_register() == Register::RSP => {
                Fact::Reserve(i32::try_from(insn.immediate(1)).unwrap_or(0))
            }
            Mnemonic::Add if insn.op0_register() == Register::RSP => {
                if insn.immediate(1) == 8 {
                    Fact::DropReturnAddress
                } else {
                    Fact::Other
                }
            }
            Mnemonic::Cmp if self.in_frame(insn) => Fact::CompareSlot {
                at: displacement(insn),
            },
            Mnemonic::Call => self.call(index, insn),
            Mnemonic::Jmp => self.jump(insn, true),
            _ if insn.is_jcc_short_or_near() => self.jump(insn, false),
            Mnemonic::Ret => Fact::Return,
            Mnemonic::Leave => {
                self.has_left();
                Fact::Leave
            }
            Mnemonic::Sar | Mnemonic::Inc if insn.memory_base() != Register::RBP => Fact::Account,
            Mnemonic::Endbr64 if !self.has_frame => Fact::Preamble,
            _ if !self.has_frame && is_check(insn) => Fact::Preamble,
            _ => self.other(insn),
        }
    }

    fn mov(&mut self, insn: &Instruction) -> Fact {
        let (to, from) = (insn.op0_kind(), insn.op1_kind());
        if to == OpKind::Register && insn.op0_register() == Register::RBP {
            self.has_frame |= insn.op1_register() == Register::RSP;
            return Fact::Other;
        }
        if to == OpKind::Memory {
            let value = match from {
                OpKind::Register => self.get(insn.op1_register()),
                _ => Value::Const(insn.immediate(1)),
            };
            return if self.in_frame(insn) {
                Fact::Store {
                    at: displacement(insn),
                    bytes: insn.memory_size().size() as u32,
                    value,
                }
            } else {
                Fact::Other
            };
        }
        match from {
            OpKind::Register => {
                let value = self.get(insn.op1_register());
                self.set(insn.op0_register(), value)
            }
            OpKind::Memory => {
                let value = self.read_slot(insn).map_or(Value::Unknown, Value::Slot);
                self.loaded(insn, value)
            }
            // (A 32-bit one clears the upper half.)
            _ if !self.has_frame => {
                self.set(insn.op0_register(), Value::Const(insn.immediate(1)));
                Fact::Preamble
            }
            _ => self.set(insn.op0_register(), Value::Const(insn.immediate(1))),
        }
    }

    fn loaded(&mut self, insn: &Instruction, value: Value) -> Fact {
        let to = insn.op0_register().full_register();
        self.set(to, value);
        match value {
            Value::Slot(at) => Fact::Load { at, to },
            _ => Fact::Other,
        }
    }

    fn call(&mut self, index: usize, insn: &Instruction) -> Fact {
        let args = [Register::RDI, Register::RSI, Register::RDX].map(|register| self.get(register));
        let direct = insn.op0_kind() == OpKind::NearBranch64;
        let through = match insn.op0_kind() {
            OpKind::Register => self.get(insn.op0_register()),
            _ => Value::Unknown,
        };
        if !self.has_frame {
            // The thunk of FineIBT that reports a wrong hash.
            return Fact::Preamble;
        }
        for (number, value) in self.registers.iter_mut().enumerate() {
            if !PRESERVED.iter().any(|kept| kept.number() == number) {
                *value = Value::Unknown;
            }
        }
        self.set(Register::RAX, Value::Returned(index));
        Fact::Call {
            target: direct.then(|| insn.near_branch_target()),
            through,
            args,
        }
    }

    fn jump(&mut self, insn: &Instruction, always: bool) -> Fact {
        if insn.op0_kind() != OpKind::NearBranch64 {
            return if always { Fact::Return } else { Fact::Other };
        }
        let target = insn.near_branch_target();
        if !self.has_frame {
            return Fact::Preamble;
        }
        let start = self.insns.first().map_or(0, Instruction::ip);
        if (start..self.end).contains(&target) {
            let to = self
                .insns
                .binary_search_by_key(&target, Instruction::ip)
                .ok()
                .filter(|_| target > insn.ip());
            if to.is_none() {
                self.misled.get_or_insert(insn.ip());
            }
            return to.map_or(Fact::Other, |to| Fact::Jump { to, always });
        }
        if always {
            // To the return thunk, or to where the image stood before it was copied.
            Fact::Return
        } else {
            self.misled.get_or_insert(insn.ip());
            Fact::Other
        }
    }

    fn other(&mut self, insn: &Instruction) -> Fact {
        let writes = insn.op_count() > 0
            && insn.op0_kind() == OpKind::Register
            && !matches!(
                insn.mnemonic(),
                Mnemonic::Test | Mnemonic::Cmp | Mnemonic::Nop
            );
        if writes {
            let to = insn.op0_register();
            return self.set(to, Value::Unknown);
        }
        Fact::Other
    }

    fn has_left(&mut self) {
        self.registers = [Value::Unknown; 16];
    }

    fn in_frame(&self, insn: &Instruction) -> bool {
        self.has_frame
            && insn.memory_base() == Register::RBP
            && insn.memory_index() == Register::None
    }

    fn read_slot(&self, insn: &Instruction) -> Option<i32> {
        self.in_frame(insn).then(|| displacement(insn))
    }
}

/// Bytes from rbp.
fn displacement(insn: &Instruction) -> i32 {
    insn.memory_displacement64() as i32
}

/// What may stand before the frame, beside ENDBR and jumps.
fn is_check(insn: &Instruction) -> bool {
    matches!(
        insn.mnemonic(),
        Mnemonic::Sub | Mnemonic::Nop | Mnemonic::Lea | Mnemonic::Xor
    )
}
