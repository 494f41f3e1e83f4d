//! The processor: a 6502 without decimal arithmetic, with the opcodes that its makers did not name.
//!
//! Written from the descriptions of the processor's instructions and their cycles at nesdev.org.

use serde::{Deserialize, Serialize};

/// Registers and flags.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cpu {
    pub a: u8,
    pub x: u8,
    pub y: u8,
    /// Stack pointer, in page 1.
    pub s: u8,
    pub pc: u16,
    pub carry: bool,
    /// The last result: zero, and (bit 7 of `negative`) below zero.
    pub zero: u8,
    pub negative: u8,
    pub interrupts_off: bool,
    pub decimal: bool,
    pub overflow: bool,
    /// It met an opcode that stops it for good.
    pub jammed: bool,
}

/// What the processor reads from and writes to.
pub trait Bus {
    fn read(&mut self, address: u16) -> u8;
    fn write(&mut self, address: u16, value: u8);
    /// Reads the instruction at `address`, its first byte in the lowest bits, and what follows it: in
    /// the program's memory the program, elsewhere any value.
    fn fetch(&mut self, address: u16) -> u32;
    /// An instruction is done: it took so many cycles.
    fn tick(&mut self, cycles: i32);
    /// Cycles in which instructions can still begin.
    fn ahead(&self) -> i32;
    /// The instruction at `from` is about to jump or branch back to `to`.
    fn loops(&mut self, registers: Registers, from: u16, to: u16);
    /// The processor stops for good.
    fn halt(&mut self);
}

/// Registers and flags that decide how a loop goes on.
pub type Registers = [u8; 6];

/// Addresses of the vectors.
const NMI: u16 = 0xFFFA;
const IRQ: u16 = 0xFFFE;

// All that is done with a processor is inlined where the instructions are executed, which alone lets
// the compiler keep it in registers.
impl Cpu {
    /// The processor after power-on, whose program begins at `pc`.
    pub fn start(pc: u16) -> Self {
        Self {
            s: 0xFD,
            interrupts_off: true,
            zero: 1,
            pc,
            ..Self::default()
        }
    }

    /// The flags as a byte; bit 4 is set where a program pushes them.
    #[inline(always)]
    pub fn flags(&self, by_program: bool) -> u8 {
        u8::from(self.carry)
            | u8::from(self.zero == 0) << 1
            | u8::from(self.interrupts_off) << 2
            | u8::from(self.decimal) << 3
            | u8::from(by_program) << 4
            | 1 << 5
            | u8::from(self.overflow) << 6
            | self.negative & 0x80
    }

    #[inline(always)]
    fn set_flags(&mut self, value: u8) {
        self.carry = value & 1 != 0;
        self.zero = !value & 2;
        self.interrupts_off = value & 4 != 0;
        self.decimal = value & 8 != 0;
        self.overflow = value & 0x40 != 0;
        self.negative = value;
    }

    #[inline(always)]
    fn nz(&mut self, value: u8) -> u8 {
        self.zero = value;
        self.negative = value;
        value
    }

    #[inline(always)]
    fn push(&mut self, bus: &mut impl Bus, value: u8) {
        bus.write(0x100 | u16::from(self.s), value);
        self.s = self.s.wrapping_sub(1);
    }

    #[inline(always)]
    fn pop(&mut self, bus: &mut impl Bus) -> u8 {
        self.s = self.s.wrapping_add(1);
        bus.read(0x100 | u16::from(self.s))
    }

    #[inline(always)]
    fn push_word(&mut self, bus: &mut impl Bus, value: u16) {
        let [low, high] = value.to_le_bytes();
        self.push(bus, high);
        self.push(bus, low);
    }

    #[inline(always)]
    fn pop_word(&mut self, bus: &mut impl Bus) -> u16 {
        let low = self.pop(bus);
        u16::from_le_bytes([low, self.pop(bus)])
    }

    /// An interrupt that cannot be refused.
    #[inline(always)]
    pub fn nmi(&mut self, bus: &mut impl Bus) {
        self.interrupt(bus, NMI, false);
        bus.tick(7);
    }

    #[inline(always)]
    fn interrupt(&mut self, bus: &mut impl Bus, vector: u16, by_program: bool) {
        self.push_word(bus, self.pc);
        self.push(bus, self.flags(by_program));
        self.interrupts_off = true;
        self.pc = word(bus, vector);
    }

    /// Registers and flags that decide how a loop goes on.
    #[inline(always)]
    fn registers(&self) -> Registers {
        [self.a, self.x, self.y, self.s, self.flags(false), self.zero]
    }

    /// The address at (zero page + X).
    #[inline(always)]
    fn indexed_indirect(&self, bus: &mut impl Bus, at: u8) -> u16 {
        zero_word(bus, at.wrapping_add(self.x))
    }

    #[inline(always)]
    fn add(&mut self, value: u8) {
        let sum = u16::from(self.a) + u16::from(value) + u16::from(self.carry);
        let [low, high] = sum.to_le_bytes();
        self.carry = high != 0;
        self.overflow = (self.a ^ low) & (value ^ low) & 0x80 != 0;
        self.a = self.nz(low);
    }

    #[inline(always)]
    fn compare(&mut self, register: u8, value: u8) {
        self.carry = register >= value;
        self.nz(register.wrapping_sub(value));
    }

    #[inline(always)]
    fn shift_left(&mut self, value: u8, low: bool) -> u8 {
        self.carry = value & 0x80 != 0;
        self.nz(value << 1 | u8::from(low))
    }

    #[inline(always)]
    fn shift_right(&mut self, value: u8, high: bool) -> u8 {
        self.carry = value & 1 != 0;
        self.nz(value >> 1 | u8::from(high) << 7)
    }

    /// Executes one instruction.
    #[inline(always)]
    pub fn step(&mut self, bus: &mut impl Bus) {
        let code = bus.fetch(self.pc);
        // One in six is a branch. It is done without a jump to its opcode's place; the machine then
        // also guesses better where the others jump.
        let cycles = if code & 0x1F == 0x10 {
            self.branch(bus, code)
        } else {
            self.execute(bus, code)
        };
        bus.tick(cycles);
    }

    /// Executes the branch `code`: gives its cycles.
    #[inline(always)]
    fn branch(&mut self, bus: &mut impl Bus, code: u32) -> i32 {
        let [opcode, offset, ..] = code.to_le_bytes();
        let from = self.pc;
        self.pc = self.pc.wrapping_add(2);
        let flags = self.negative >> 7
            | u8::from(self.overflow) << 1
            | u8::from(self.carry) << 2
            | u8::from(self.zero == 0) << 3;
        // Two bits say which flag, the next one what it has to be.
        if (flags >> (opcode >> 6) ^ opcode >> 5) & 1 != 0 {
            return 2;
        }
        let offset = offset.cast_signed();
        let target = self.pc.wrapping_add_signed(offset.into());
        if offset < 0 {
            bus.loops(self.registers(), from, target);
        }
        let cycles = if target >> 8 == self.pc >> 8 { 3 } else { 4 };
        self.pc = target;
        cycles
    }

    /// Executes the instruction `code`: gives its cycles.
    #[inline(always)]
    fn execute(&mut self, bus: &mut impl Bus, code: u32) -> i32 {
        let [opcode, byte, high, _] = code.to_le_bytes();
        let word = u16::from_le_bytes([byte, high]);
        let mut cycles = 2;
        // The instruction has so many bytes.
        macro_rules! length {
            ($n:expr) => {
                self.pc = self.pc.wrapping_add($n)
            };
        }
        // Address, by mode; and the cycles of reading there, which take one more across a page.
        macro_rules! at {
            (zp) => {{
                length!(2);
                cycles = 3;
                u16::from(byte)
            }};
            (zpx) => {{
                length!(2);
                cycles = 4;
                u16::from(byte.wrapping_add(self.x))
            }};
            (zpy) => {{
                length!(2);
                cycles = 4;
                u16::from(byte.wrapping_add(self.y))
            }};
            (abs) => {{
                length!(3);
                cycles = 4;
                word
            }};
            (absx) => {{
                length!(3);
                let (address, crosses) = indexed(word, self.x);
                cycles = 4 + crosses;
                address
            }};
            (absy) => {{
                length!(3);
                let (address, crosses) = indexed(word, self.y);
                cycles = 4 + crosses;
                address
            }};
            (indx) => {{
                length!(2);
                cycles = 6;
                self.indexed_indirect(bus, byte)
            }};
            (indy) => {{
                length!(2);
                let (address, crosses) = indexed(zero_word(bus, byte), self.y);
                cycles = 5 + crosses;
                address
            }};
        }
        // Address and cycles of writing, which never depend on pages.
        macro_rules! to {
            (absx) => {{
                length!(3);
                cycles = 5;
                indexed(word, self.x).0
            }};
            (absy) => {{
                length!(3);
                cycles = 5;
                indexed(word, self.y).0
            }};
            (indy) => {{
                length!(2);
                cycles = 6;
                indexed(zero_word(bus, byte), self.y).0
            }};
            ($mode:ident) => {
                at!($mode)
            };
        }
        macro_rules! value {
            (imm) => {{
                length!(2);
                byte
            }};
            ($mode:ident) => {{
                let address = at!($mode);
                bus.read(address)
            }};
        }
        macro_rules! load {
            ($register:ident, $mode:ident) => {{
                let value = value!($mode);
                self.$register = self.nz(value);
            }};
        }
        macro_rules! store {
            ($value:expr, $mode:ident) => {{
                let value = $value;
                let address = to!($mode);
                bus.write(address, value);
            }};
        }
        macro_rules! logic {
            ($operator:tt, $mode:ident) => {{
                let value = self.a $operator value!($mode);
                self.a = self.nz(value);
            }};
        }
        macro_rules! compare {
            ($register:ident, $mode:ident) => {{
                let value = value!($mode);
                self.compare(self.$register, value);
            }};
        }
        // Reads, changes and writes back: two cycles more.
        macro_rules! change {
            ($mode:ident, |$value:ident| $new:expr) => {{
                let address = to!($mode);
                cycles += 2;
                let $value = bus.read(address);
                // The old value is written first, as the processor does.
                let new = $new;
                bus.write(address, new);
                new
            }};
        }
        macro_rules! add {
            ($mode:ident) => {{
                let value = value!($mode);
                self.add(value);
            }};
        }
        macro_rules! subtract {
            ($mode:ident) => {{
                let value = value!($mode);
                self.add(!value);
            }};
        }
        // Unofficial ones, which change memory and then do something with it.
        macro_rules! slo {
            ($mode:ident) => {{
                let new = change!($mode, |v| self.shift_left(v, false));
                self.a = self.nz(self.a | new);
            }};
        }
        macro_rules! rla {
            ($mode:ident) => {{
                let new = change!($mode, |v| self.shift_left(v, self.carry));
                self.a = self.nz(self.a & new);
            }};
        }
        macro_rules! sre {
            ($mode:ident) => {{
                let new = change!($mode, |v| self.shift_right(v, false));
                self.a = self.nz(self.a ^ new);
            }};
        }
        macro_rules! rra {
            ($mode:ident) => {{
                let new = change!($mode, |v| self.shift_right(v, self.carry));
                self.add(new);
            }};
        }
        macro_rules! dcp {
            ($mode:ident) => {{
                let new = change!($mode, |v| v.wrapping_sub(1));
                self.compare(self.a, new);
            }};
        }
        macro_rules! isc {
            ($mode:ident) => {{
                let new = change!($mode, |v| v.wrapping_add(1));
                self.add(!new);
            }};
        }
        macro_rules! lax {
            ($mode:ident) => {{
                load!(a, $mode);
                self.x = self.a;
            }};
        }
        macro_rules! implied {
            ($($work:tt)*) => {{
                length!(1);
                $($work)*
            }};
        }
        macro_rules! store_and {
            ($value:expr, $index:expr) => {{
                length!(3);
                cycles = 5;
                store_and(bus, $value, word, $index);
            }};
        }
        // A run of up to four of this instruction at once, of those that begin in time: games shift
        // and count so.
        macro_rules! run {
            (|$n:ident| $($work:tt)*) => {{
                let others = code ^ u32::from(opcode) * 0x0101_0101;
                let same = others.trailing_zeros() as i32 / 8;
                let $n = same.min((bus.ahead() + 1) / 2);
                length!($n as u16);
                cycles = 2 * $n;
                let $n = $n as u8;
                $($work)*
            }};
        }
        match opcode {
            // Loads and stores.
            0xA9 => load!(a, imm),
            0xA5 => load!(a, zp),
            0xB5 => load!(a, zpx),
            0xAD => load!(a, abs),
            0xBD => load!(a, absx),
            0xB9 => load!(a, absy),
            0xA1 => load!(a, indx),
            0xB1 => load!(a, indy),
            0xA2 => load!(x, imm),
            0xA6 => load!(x, zp),
            0xB6 => load!(x, zpy),
            0xAE => load!(x, abs),
            0xBE => load!(x, absy),
            0xA0 => load!(y, imm),
            0xA4 => load!(y, zp),
            0xB4 => load!(y, zpx),
            0xAC => load!(y, abs),
            0xBC => load!(y, absx),
            0x85 => store!(self.a, zp),
            0x95 => store!(self.a, zpx),
            0x8D => store!(self.a, abs),
            0x9D => store!(self.a, absx),
            0x99 => store!(self.a, absy),
            0x81 => store!(self.a, indx),
            0x91 => store!(self.a, indy),
            0x86 => store!(self.x, zp),
            0x96 => store!(self.x, zpy),
            0x8E => store!(self.x, abs),
            0x84 => store!(self.y, zp),
            0x94 => store!(self.y, zpx),
            0x8C => store!(self.y, abs),
            // Between registers.
            0xAA => implied!(self.x = self.nz(self.a)),
            0xA8 => implied!(self.y = self.nz(self.a)),
            0x8A => implied!(self.a = self.nz(self.x)),
            0x98 => implied!(self.a = self.nz(self.y)),
            0xBA => implied!(self.x = self.nz(self.s)),
            0x9A => implied!(self.s = self.x),
            0xE8 => run!(|n| self.x = self.nz(self.x.wrapping_add(n))),
            0xC8 => run!(|n| self.y = self.nz(self.y.wrapping_add(n))),
            0xCA => run!(|n| self.x = self.nz(self.x.wrapping_sub(n))),
            0x88 => run!(|n| self.y = self.nz(self.y.wrapping_sub(n))),
            // The stack.
            0x48 => {
                length!(1);
                cycles = 3;
                self.push(bus, self.a);
            }
            0x08 => {
                length!(1);
                cycles = 3;
                self.push(bus, self.flags(true));
            }
            0x68 => {
                length!(1);
                cycles = 4;
                let value = self.pop(bus);
                self.a = self.nz(value);
            }
            0x28 => {
                length!(1);
                cycles = 4;
                let value = self.pop(bus);
                self.set_flags(value);
            }
            // Logic.
            0x29 => logic!(&, imm),
            0x25 => logic!(&, zp),
            0x35 => logic!(&, zpx),
            0x2D => logic!(&, abs),
            0x3D => logic!(&, absx),
            0x39 => logic!(&, absy),
            0x21 => logic!(&, indx),
            0x31 => logic!(&, indy),
            0x09 => logic!(|, imm),
            0x05 => logic!(|, zp),
            0x15 => logic!(|, zpx),
            0x0D => logic!(|, abs),
            0x1D => logic!(|, absx),
            0x19 => logic!(|, absy),
            0x01 => logic!(|, indx),
            0x11 => logic!(|, indy),
            0x49 => logic!(^, imm),
            0x45 => logic!(^, zp),
            0x55 => logic!(^, zpx),
            0x4D => logic!(^, abs),
            0x5D => logic!(^, absx),
            0x59 => logic!(^, absy),
            0x41 => logic!(^, indx),
            0x51 => logic!(^, indy),
            0x24 => {
                let value = value!(zp);
                self.bit(value);
            }
            0x2C => {
                let value = value!(abs);
                self.bit(value);
            }
            // Arithmetic.
            0x69 => add!(imm),
            0x65 => add!(zp),
            0x75 => add!(zpx),
            0x6D => add!(abs),
            0x7D => add!(absx),
            0x79 => add!(absy),
            0x61 => add!(indx),
            0x71 => add!(indy),
            0xE9 => subtract!(imm),
            0xE5 => subtract!(zp),
            0xF5 => subtract!(zpx),
            0xED => subtract!(abs),
            0xFD => subtract!(absx),
            0xF9 => subtract!(absy),
            0xE1 => subtract!(indx),
            0xF1 => subtract!(indy),
            0xC9 => compare!(a, imm),
            0xC5 => compare!(a, zp),
            0xD5 => compare!(a, zpx),
            0xCD => compare!(a, abs),
            0xDD => compare!(a, absx),
            0xD9 => compare!(a, absy),
            0xC1 => compare!(a, indx),
            0xD1 => compare!(a, indy),
            0xE0 => compare!(x, imm),
            0xE4 => compare!(x, zp),
            0xEC => compare!(x, abs),
            0xC0 => compare!(y, imm),
            0xC4 => compare!(y, zp),
            0xCC => compare!(y, abs),
            // Shifts, and counting in memory.
            0x0A => run!(|n| self.a = self.shift_left(self.a << (n - 1), false)),
            0x06 => {
                change!(zp, |v| self.shift_left(v, false));
            }
            0x16 => {
                change!(zpx, |v| self.shift_left(v, false));
            }
            0x0E => {
                change!(abs, |v| self.shift_left(v, false));
            }
            0x1E => {
                change!(absx, |v| self.shift_left(v, false));
            }
            0x2A => implied!(self.a = self.shift_left(self.a, self.carry)),
            0x26 => {
                change!(zp, |v| self.shift_left(v, self.carry));
            }
            0x36 => {
                change!(zpx, |v| self.shift_left(v, self.carry));
            }
            0x2E => {
                change!(abs, |v| self.shift_left(v, self.carry));
            }
            0x3E => {
                change!(absx, |v| self.shift_left(v, self.carry));
            }
            0x4A => run!(|n| self.a = self.shift_right(self.a >> (n - 1), false)),
            0x46 => {
                change!(zp, |v| self.shift_right(v, false));
            }
            0x56 => {
                change!(zpx, |v| self.shift_right(v, false));
            }
            0x4E => {
                change!(abs, |v| self.shift_right(v, false));
            }
            0x5E => {
                change!(absx, |v| self.shift_right(v, false));
            }
            0x6A => implied!(self.a = self.shift_right(self.a, self.carry)),
            0x66 => {
                change!(zp, |v| self.shift_right(v, self.carry));
            }
            0x76 => {
                change!(zpx, |v| self.shift_right(v, self.carry));
            }
            0x6E => {
                change!(abs, |v| self.shift_right(v, self.carry));
            }
            0x7E => {
                change!(absx, |v| self.shift_right(v, self.carry));
            }
            0xE6 => {
                change!(zp, |v| self.nz(v.wrapping_add(1)));
            }
            0xF6 => {
                change!(zpx, |v| self.nz(v.wrapping_add(1)));
            }
            0xEE => {
                change!(abs, |v| self.nz(v.wrapping_add(1)));
            }
            0xFE => {
                change!(absx, |v| self.nz(v.wrapping_add(1)));
            }
            0xC6 => {
                change!(zp, |v| self.nz(v.wrapping_sub(1)));
            }
            0xD6 => {
                change!(zpx, |v| self.nz(v.wrapping_sub(1)));
            }
            0xCE => {
                change!(abs, |v| self.nz(v.wrapping_sub(1)));
            }
            0xDE => {
                change!(absx, |v| self.nz(v.wrapping_sub(1)));
            }
            // Flags.
            0x18 => implied!(self.carry = false),
            0x38 => implied!(self.carry = true),
            0x58 => implied!(self.interrupts_off = false),
            0x78 => implied!(self.interrupts_off = true),
            0xB8 => implied!(self.overflow = false),
            0xD8 => implied!(self.decimal = false),
            0xF8 => implied!(self.decimal = true),
            // Branches and jumps.
            0x10 | 0x30 | 0x50 | 0x70 | 0x90 | 0xB0 | 0xD0 | 0xF0 => {
                cycles = self.branch(bus, code);
            }
            0x4C => {
                cycles = 3;
                if word <= self.pc {
                    bus.loops(self.registers(), self.pc, word);
                }
                self.pc = word;
            }
            0x6C => {
                cycles = 5;
                // The high byte comes from the same page.
                let low = bus.read(word);
                let high = bus.read(word & 0xFF00 | word.wrapping_add(1) & 0xFF);
                self.pc = u16::from_le_bytes([low, high]);
            }
            0x20 => {
                cycles = 6;
                self.push_word(bus, self.pc.wrapping_add(2));
                self.pc = word;
            }
            0x60 => {
                cycles = 6;
                self.pc = self.pop_word(bus).wrapping_add(1);
            }
            0x40 => {
                cycles = 6;
                let flags = self.pop(bus);
                self.set_flags(flags);
                self.pc = self.pop_word(bus);
            }
            0x00 => {
                cycles = 7;
                length!(2);
                self.interrupt(bus, IRQ, true);
            }
            0xEA => length!(1),
            // Those without a name from the makers: nothing, with every mode.
            0x1A | 0x3A | 0x5A | 0x7A | 0xDA | 0xFA => length!(1),
            0x80 | 0x82 | 0x89 | 0xC2 | 0xE2 => {
                value!(imm);
            }
            0x04 | 0x44 | 0x64 => {
                value!(zp);
            }
            0x14 | 0x34 | 0x54 | 0x74 | 0xD4 | 0xF4 => {
                value!(zpx);
            }
            0x0C => {
                value!(abs);
            }
            0x1C | 0x3C | 0x5C | 0x7C | 0xDC | 0xFC => {
                value!(absx);
            }
            // Two at once.
            0xA7 => lax!(zp),
            0xB7 => lax!(zpy),
            0xAF => lax!(abs),
            0xBF => lax!(absy),
            0xA3 => lax!(indx),
            0xB3 => lax!(indy),
            0x87 => store!(self.a & self.x, zp),
            0x97 => store!(self.a & self.x, zpy),
            0x8F => store!(self.a & self.x, abs),
            0x83 => store!(self.a & self.x, indx),
            0xEB => subtract!(imm),
            0x07 => slo!(zp),
            0x17 => slo!(zpx),
            0x0F => slo!(abs),
            0x1F => slo!(absx),
            0x1B => slo!(absy),
            0x03 => slo!(indx),
            0x13 => slo!(indy),
            0x27 => rla!(zp),
            0x37 => rla!(zpx),
            0x2F => rla!(abs),
            0x3F => rla!(absx),
            0x3B => rla!(absy),
            0x23 => rla!(indx),
            0x33 => rla!(indy),
            0x47 => sre!(zp),
            0x57 => sre!(zpx),
            0x4F => sre!(abs),
            0x5F => sre!(absx),
            0x5B => sre!(absy),
            0x43 => sre!(indx),
            0x53 => sre!(indy),
            0x67 => rra!(zp),
            0x77 => rra!(zpx),
            0x6F => rra!(abs),
            0x7F => rra!(absx),
            0x7B => rra!(absy),
            0x63 => rra!(indx),
            0x73 => rra!(indy),
            0xC7 => dcp!(zp),
            0xD7 => dcp!(zpx),
            0xCF => dcp!(abs),
            0xDF => dcp!(absx),
            0xDB => dcp!(absy),
            0xC3 => dcp!(indx),
            0xD3 => dcp!(indy),
            0xE7 => isc!(zp),
            0xF7 => isc!(zpx),
            0xEF => isc!(abs),
            0xFF => isc!(absx),
            0xFB => isc!(absy),
            0xE3 => isc!(indx),
            0xF3 => isc!(indy),
            0x0B | 0x2B => {
                logic!(&, imm);
                self.carry = self.a & 0x80 != 0;
            }
            0x4B => {
                let value = self.a & value!(imm);
                self.a = self.shift_right(value, false);
            }
            0x6B => {
                let value = self.a & value!(imm);
                self.a = self.nz(value >> 1 | u8::from(self.carry) << 7);
                self.carry = self.a & 0x40 != 0;
                self.overflow = (self.a >> 6 ^ self.a >> 5) & 1 != 0;
            }
            0xAB => lax!(imm),
            0xCB => {
                let both = self.a & self.x;
                let value = value!(imm);
                self.carry = both >= value;
                self.x = self.nz(both.wrapping_sub(value));
            }
            0x9C => store_and!(self.y, self.x),
            0x9E => store_and!(self.x, self.y),
            // Some of these are not stable on a real processor (8B, 93, 9B, 9F, BB), the others stop it.
            0x02 | 0x12 | 0x22 | 0x32 | 0x42 | 0x52 | 0x62 | 0x72 | 0x8B | 0x92 | 0x93 | 0x9B
            | 0x9F | 0xB2 | 0xBB | 0xD2 | 0xF2 => {
                self.jammed = true;
                bus.halt();
            }
        }
        cycles
    }

    #[inline(always)]
    fn bit(&mut self, value: u8) {
        self.zero = value & self.a;
        self.negative = value;
        self.overflow = value & 0x40 != 0;
    }
}

/// An address and an index: their sum, and 1 if it is in another page.
#[inline(always)]
fn indexed(base: u16, index: u8) -> (u16, i32) {
    let address = base.wrapping_add(u16::from(index));
    (address, i32::from(base >> 8 != address >> 8))
}

/// Stores `value` and the high byte of the base address plus one, at base plus `index`; across a
/// page the high byte of the address is what is stored.
#[inline(always)]
fn store_and(bus: &mut impl Bus, value: u8, base: u16, index: u8) {
    let [low, carry] = (base & 0xFF).wrapping_add(index.into()).to_le_bytes();
    let stored = value & ((base >> 8) as u8).wrapping_add(1);
    let high = if carry == 0 {
        (base >> 8) as u8
    } else {
        stored
    };
    bus.write(u16::from_le_bytes([low, high]), stored);
}

/// Bytes of the instruction that begins with `opcode`.
pub fn length(opcode: u8) -> u16 {
    match opcode {
        0x20 => 3,
        0x00 | 0x40 | 0x60 => 1,
        _ => match opcode & 0x1F {
            0x02 if opcode & 0x80 == 0 => 1,
            0x08 | 0x0A | 0x12 | 0x18 | 0x1A => 1,
            0x0C..=0x0F | 0x19 | 0x1B..=0x1F => 3,
            _ => 2,
        },
    }
}

#[inline(always)]
fn word(bus: &mut impl Bus, at: u16) -> u16 {
    let low = bus.read(at);
    u16::from_le_bytes([low, bus.read(at.wrapping_add(1))])
}

/// A word of the zero page, which wraps.
#[inline(always)]
fn zero_word(bus: &mut impl Bus, at: u8) -> u16 {
    let low = bus.read(at.into());
    u16::from_le_bytes([low, bus.read(at.wrapping_add(1).into())])
}
