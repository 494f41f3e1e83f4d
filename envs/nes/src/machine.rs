//! Processor, picture unit, memory and controllers together.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    cartridge::{CHR, Cartridge, PRG},
    cpu::{self, Bus, Cpu, Registers},
    picture::Picture,
    ppu::{Board, Ppu},
};

/// Dots of the picture unit in a cycle of the processor.
const DOTS: u32 = 3;
/// Cycles of the processor in a frame. The picture takes 29,780⅔ of them, or a third less, so that
/// its place in a frame moves on, by half a line in a hundred frames.
const CYCLES: i32 = 29_781;

/// Bytes of the longest loop that is looked at.
const LONGEST_LOOP: u16 = 12;
/// Bytes of the memory at 0x6000.
const WORK: usize = 0x2000;

/// Everything that changes while a game is played: a plain value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    cpu: Cpu,
    ppu: Ppu,
    #[serde(with = "crate::bytes")]
    ram: [u8; 0x800],
    /// Patterns, where the cartridge has memory for them.
    chr: Option<Vec<u8>>,
    /// Memory of the cartridge at 0x6000, where it has some.
    work: Option<Vec<u8>>,
    /// Cycles that are left of the frame; below 0 by what the last instruction took too long.
    left: i32,
    /// Whether an odd number of cycles has passed since power-on.
    is_odd: bool,
    /// Buttons of the two controllers.
    buttons: [u8; 2],
    /// What is left of them to be read.
    shift: [u8; 2],
    strobe: bool,
}

/// A console with a cartridge in it.
#[derive(Clone, Debug)]
pub struct Nes {
    cartridge: Arc<Cartridge>,
    state: State,
    /// Loops that wait are skipped.
    skips: bool,
}

/// What the processor sees all the time while a frame runs. It has the memory as a copy, and with the
/// processor's registers it is lent to nobody: so the compiler knows all that changes them, which
/// makes games half again as fast.
struct Machine<'a, 'c> {
    /// The cartridge's program.
    program: &'a [u8; PRG],
    ram: &'a mut [u8; 0x800],
    /// See [`Console::ahead`].
    ahead: i32,
    console: &'a mut Console<'c>,
}

/// What it sees seldom.
struct Console<'a> {
    cartridge: &'a Cartridge,
    /// Its processor and memory are those of the beginning of the frame.
    state: &'a mut State,
    picture: Option<&'a mut Picture>,
    /// Cycles in which instructions can still begin, from the first one of the instruction that is at
    /// work. In that one registers are read and written.
    ahead: i32,
    /// The same when the state was last counted.
    until: i32,
    /// Where the last loop jumped back, if nothing was written since.
    last_loop: Option<u16>,
    /// From its second time on, the registers there and the cycles that were left.
    before: Option<(Registers, i32)>,
    /// The status of the picture unit was read since then.
    reads_status: bool,
    skips: bool,
}

impl Nes {
    /// A console that was switched on with `cartridge` in it.
    pub fn new(cartridge: Arc<Cartridge>) -> Self {
        let mut state = State {
            cpu: Cpu::default(),
            ppu: Ppu::default(),
            ram: [0; 0x800],
            chr: cartridge.has_chr_ram.then(|| vec![0; CHR]),
            work: cartridge.has_work_ram.then(|| vec![0; WORK]),
            left: 0,
            is_odd: false,
            buttons: [0; 2],
            shift: [0; 2],
            strobe: false,
        };
        let [.., low, high, _, _] = *cartridge.prg;
        state.cpu = Cpu::start(u16::from_le_bytes([low, high]));
        Self {
            cartridge,
            state,
            skips: true,
        }
    }

    /// The same, and every turn of a loop that waits is made. Nothing but time is lost by it: for
    /// tests.
    #[must_use]
    pub fn without_skipping(self) -> Self {
        Self {
            skips: false,
            ..self
        }
    }

    /// Plays a frame with these buttons held on the first controller: bits from the lowest one are
    /// A, B, Select, Start, up, down, left, right.
    pub fn frame(&mut self, buttons: u8) {
        self.play(buttons, None);
    }

    /// The same, and draws it, if there is a picture. What of it belongs to the next picture of the
    /// console, some lines at the top, is drawn too.
    pub fn play(&mut self, buttons: u8, picture: Option<&mut Picture>) {
        self.state.buttons[0] = buttons;
        self.state.left += CYCLES;
        let mut console = Console {
            cartridge: &self.cartridge,
            state: &mut self.state,
            picture,
            ahead: 0,
            until: 0,
            last_loop: None,
            before: None,
            reads_status: false,
            skips: self.skips,
        };
        console.run();
    }

    /// The two kilobytes of memory.
    pub fn ram(&self) -> &[u8; 0x800] {
        &self.state.ram
    }

    /// The cartridge's memory at 0x6000, where it has some.
    pub fn work_ram(&self) -> Option<&[u8]> {
        self.state.work.as_deref()
    }

    /// The tiles of the two name tables, 2 × 1,024 bytes with their attributes.
    pub fn name_tables(&self) -> &[u8; 0x800] {
        &self.state.ppu.vram
    }

    /// Writes a byte of memory; `address` counts modulo 0x800.
    pub fn poke(&mut self, address: u16, value: u8) {
        self.state.ram[usize::from(address) & 0x7FF] = value;
    }

    /// Everything that changes.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Goes on from `state`, which must be of the same cartridge.
    pub fn restore(&mut self, state: &State) {
        self.state.clone_from(state);
    }

    /// Whether the processor met an opcode that stops it for good.
    pub fn is_jammed(&self) -> bool {
        self.state.cpu.jammed
    }
}

impl<'c> Console<'c> {
    /// Runs until no cycle is left.
    fn run(&mut self) {
        let mut cpu = self.state.cpu.clone();
        let mut ram = self.state.ram;
        while self.state.left > 0 {
            self.look_ahead();
            let mut machine = self.machine(&mut ram);
            while machine.ahead > 0 {
                cpu.step(&mut machine);
            }
            self.ahead = machine.ahead;
            if cpu.jammed {
                self.ahead = self.ahead.min(self.until - self.state.left.max(0));
            }
            self.catch_up();
            if self.state.ppu.nmi {
                self.state.ppu.nmi = false;
                let mut machine = self.machine(&mut ram);
                cpu.nmi(&mut machine);
                self.ahead = machine.ahead;
                self.count();
            }
        }
        self.state.cpu = cpu;
        self.state.ram = ram;
    }

    #[inline(always)]
    fn machine<'a>(&'a mut self, ram: &'a mut [u8; 0x800]) -> Machine<'a, 'c> {
        Machine {
            program: &self.cartridge.prg,
            ram,
            ahead: self.ahead,
            console: self,
        }
    }

    /// Counts what has passed before the instruction that is at work.
    fn count(&mut self) {
        let cycles = self.until - self.ahead;
        self.until = self.ahead;
        self.state.left -= cycles;
        self.state.is_odd ^= cycles & 1 == 1;
        self.state.ppu.dot += cycles.cast_unsigned() * DOTS;
    }

    /// Finds how long instructions can go on: until the frame is over, or the picture unit has to be
    /// looked at; not at all where an interrupt waits.
    fn look_ahead(&mut self) {
        let ppu = &self.state.ppu;
        let dots = ppu.next_stop().saturating_sub(ppu.dot);
        let left = self.state.left.max(0);
        self.until = match ppu.nmi {
            true => 0,
            false => dots.div_ceil(DOTS).cast_signed().min(left),
        };
        self.ahead = self.until;
    }

    fn board<'b>(cartridge: &'b Cartridge, chr: &'b mut Option<Vec<u8>>) -> Board<'b> {
        let ram = chr.as_deref_mut().and_then(|ram| ram.try_into().ok());
        Board { cartridge, ram }
    }

    /// Lets the picture unit do what has passed.
    fn catch_up(&mut self) {
        self.count();
        let state = &mut *self.state;
        let board = Self::board(self.cartridge, &mut state.chr);
        let picture = self.picture.as_deref_mut();
        state.ppu.catch_up(&board, picture);
        self.look_ahead();
    }

    #[cold]
    fn read_register(&mut self, address: u16) -> u8 {
        if address & 0xE007 == 0x2002 {
            self.reads_status = true;
        } else {
            // All other reads may change what they read.
            self.last_loop = None;
        }
        match address {
            0x2000..0x4000 => {
                self.catch_up();
                let state = &mut *self.state;
                let board = Self::board(self.cartridge, &mut state.chr);
                state.ppu.read(address, &board)
            }
            0x4016 | 0x4017 => {
                let port = usize::from(address & 1);
                let state = &mut *self.state;
                if state.strobe {
                    state.shift = state.buttons;
                }
                let bit = state.shift[port] & 1;
                // After eight bits there are ones.
                state.shift[port] = state.shift[port] >> 1 | 0x80;
                bit | 0x40
            }
            0x6000..0x8000 => {
                let work = self.state.work.as_ref();
                work.map_or(0, |work| work[usize::from(address) & (WORK - 1)])
            }
            _ => 0,
        }
    }

    #[cold]
    fn write_register(&mut self, ram: &[u8; 0x800], address: u16, value: u8) {
        match address {
            0x2000..0x4000 => {
                self.catch_up();
                let state = &mut *self.state;
                let mut board = Self::board(self.cartridge, &mut state.chr);
                state.ppu.write(address, value, &mut board);
                self.look_ahead();
            }
            0x4014 => {
                self.catch_up();
                self.copy_sprites(ram, value);
                // It waits for an even cycle; the first one counts as odd.
                self.ahead -= 513 + i32::from(!self.state.is_odd);
            }
            0x4016 => {
                let state = &mut *self.state;
                state.strobe = value & 1 != 0;
                if state.strobe {
                    state.shift = state.buttons;
                }
            }
            0x6000..0x8000 => {
                if let Some(work) = &mut self.state.work {
                    work[usize::from(address) & (WORK - 1)] = value;
                }
            }
            _ => {}
        }
    }

    /// Copies a page of memory to the sprites.
    fn copy_sprites(&mut self, ram: &[u8; 0x800], page: u8) {
        let start = u16::from(page) << 8;
        if page < 0x20 {
            for byte in &ram[usize::from(start) & 0x7FF..][..0x100] {
                self.state.ppu.write_oam(*byte);
            }
            return;
        }
        for i in 0..0x100 {
            let byte = self.read(ram, start | i);
            self.state.ppu.write_oam(byte);
        }
    }

    /// Reads any address.
    fn read(&mut self, ram: &[u8; 0x800], address: u16) -> u8 {
        match address {
            0x8000.. => self.cartridge.prg[usize::from(address) & (PRG - 1)],
            0..0x2000 => ram[usize::from(address) & 0x7FF],
            _ => self.read_register(address),
        }
    }

    /// Reads an instruction outside of the program's memory, or at its end, and nothing beyond.
    #[cold]
    fn fetch(&mut self, ram: &[u8; 0x800], address: u16) -> u32 {
        let opcode = self.read(ram, address);
        let mut code = [opcode, 0, 0, 0];
        for i in 1..cpu::length(opcode) {
            code[usize::from(i)] = self.read(ram, address.wrapping_add(i));
        }
        u32::from_le_bytes(code)
    }
}

impl Machine<'_, '_> {
    /// Does what is seldom done.
    #[inline(always)]
    fn seldom<R>(&mut self, work: impl FnOnce(&mut Console<'_>, &[u8; 0x800]) -> R) -> R {
        self.console.ahead = self.ahead;
        let result = work(self.console, self.ram);
        self.ahead = self.console.ahead;
        result
    }
}

impl Bus for Machine<'_, '_> {
    #[inline(always)]
    fn read(&mut self, address: u16) -> u8 {
        match address {
            0x8000.. => self.program[usize::from(address) & (PRG - 1)],
            0..0x2000 => self.ram[usize::from(address) & 0x7FF],
            _ => self.seldom(|console, _| console.read_register(address)),
        }
    }

    #[inline(always)]
    fn write(&mut self, address: u16, value: u8) {
        match address {
            0..0x2000 => self.ram[usize::from(address) & 0x7FF] = value,
            0x8000.. => {}
            _ => self.seldom(|console, ram| console.write_register(ram, address, value)),
        }
        self.console.last_loop = None;
    }

    #[inline(always)]
    fn fetch(&mut self, address: u16) -> u32 {
        match address {
            0x8000..0xFFFD => {
                let at = usize::from(address) - 0x8000;
                u32::from_le_bytes(std::array::from_fn(|i| self.program[at + i]))
            }
            _ => self.seldom(|console, ram| console.fetch(ram, address)),
        }
    }

    #[inline(always)]
    fn tick(&mut self, cycles: i32) {
        self.ahead -= cycles;
    }

    #[inline(always)]
    fn ahead(&self) -> i32 {
        self.ahead
    }

    #[inline(always)]
    fn halt(&mut self) {
        self.console.until -= self.ahead;
        self.ahead = 0;
    }

    /// A loop that wrote nothing since it was here last, and comes back with the same registers,
    /// waits: only the status of the picture unit, or its interrupt, can end it. Its turns until
    /// then are counted and not made.
    #[inline(always)]
    fn loops(&mut self, registers: Registers, from: u16, to: u16) {
        if from.wrapping_sub(to) > LONGEST_LOOP || !self.console.skips {
            return;
        }
        match self.console.last_loop {
            Some(place) if place == from => {
                self.seldom(|console, _| console.loops_again(registers, from));
            }
            // Most loops write.
            _ => {
                self.console.last_loop = Some(from);
                self.console.before = None;
            }
        }
    }
}

impl Console<'_> {
    /// The loop at `from` has come back with the registers `here` and has written nothing.
    #[cold]
    fn loops_again(&mut self, here: Registers, from: u16) {
        let now = self.state.left - self.until + self.ahead;
        let waits_for_status = std::mem::take(&mut self.reads_status);
        self.last_loop = Some(from);
        if let Some((registers, then)) = self.before.replace((here, now))
            && registers == here
        {
            self.skip(then - now, waits_for_status);
        }
    }

    /// Lets as many turns of `length` cycles pass as end before anything changes.
    #[cold]
    fn skip(&mut self, length: i32, waits_for_status: bool) {
        self.catch_up();
        let state = &mut *self.state;
        if state.ppu.nmi {
            return;
        }
        let change = if waits_for_status {
            if state.ppu.is_unread() {
                return;
            }
            let board = Self::board(self.cartridge, &mut state.chr);
            state.ppu.next_change(&board)
        } else {
            state.ppu.next_stop()
        };
        let dots = change.saturating_sub(state.ppu.dot);
        let cycles = (dots / DOTS).cast_signed().min(state.left);
        // The last turns are made: in them the change is seen.
        let turns = cycles / length - 2;
        if turns > 0 {
            self.ahead -= turns * length;
            self.last_loop = None;
        }
    }
}
