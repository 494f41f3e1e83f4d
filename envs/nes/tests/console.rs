//! A program of our own on the console: neither pictures nor skipped loops nor copies change
//! anything. The public test programs are in `oracle/`.

use std::sync::Arc;

use frmdn_nes::{Cartridge, CartridgeError, Nes, Picture, State, WIDTH};

/// Waits for the vertical blank by its interrupt and by its flag, waits for sprite 0, reads the
/// controller, copies sprites, scrolls, and counts all of it.
fn program() -> Vec<u8> {
    let start: &[u8] = &[
        0x78, 0xA2, 0xFF, 0x9A, // SEI, LDX #$FF, TXS
        0xAD, 0x02, 0x20, 0x10, 0xFB, // wait for the flag: LDA $2002, BPL
        0xAD, 0x02, 0x20, 0x10, 0xFB, // and again
        0xA9, 0x20, 0x8D, 0x06, 0x20, 0xA9, 0x60, 0x8D, 0x06, 0x20, // address $2060
        0xA2, 0x00, 0xA9, 0x01, 0x8D, 0x07, 0x20, 0xCA, 0xD0, 0xFA, // 256 tiles of number 1
        0xA9, 0x1F, 0x8D, 0x00, 0x02, // sprite 0 in line $20
        0xA9, 0x01, 0x8D, 0x01, 0x02, 0xA9, 0x40, 0x8D, 0x03, 0x02, // tile 1, column $40
        0xA9, 0x1E, 0x8D, 0x01, 0x20, // show everything
        0xA9, 0x80, 0x8D, 0x00, 0x20, // interrupt at the vertical blank
        0x4C, 0x3B, 0x80, // for ever
    ];
    let interrupt: &[u8] = &[
        0xE6, 0x10, // INC $10
        0xA9, 0x02, 0x8D, 0x14, 0x40, // sprites from page 2
        0xA9, 0x01, 0x8D, 0x16, 0x40, 0x4A, 0x8D, 0x16, 0x40, // latch the buttons
        0xAD, 0x16, 0x40, 0x29, 0x01, 0x18, 0x65, 0x11, 0x85, 0x11, // count A in $11
        0xAD, 0x02, 0x20, 0x29, 0x40, 0xD0, 0xF9, // until the flag of sprite 0 is cleared
        0xAD, 0x02, 0x20, 0x29, 0x40, 0xF0, 0xF9, // until it is set
        0xA5, 0x10, 0x8D, 0x05, 0x20, 0xA9, 0x00, 0x8D, 0x05, 0x20, // scroll by $10
        0xE6, 0x12, 0x40, // INC $12, RTI
    ];
    assert_eq!(start.len(), 0x3E, "the loop for ever is at $803B");
    file(start, interrupt)
}

/// A cartridge whose program begins with `start` at $8000; at $8100 is its interrupt.
fn file(start: &[u8], interrupt: &[u8]) -> Vec<u8> {
    let mut file = b"NES\x1A\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut prg = vec![0xEA; 0x4000];
    prg[..start.len()].copy_from_slice(start);
    prg[0x100..0x100 + interrupt.len()].copy_from_slice(interrupt);
    prg[0x3FFA..].copy_from_slice(&[0x00, 0x81, 0x00, 0x80, 0x00, 0x80]);
    file.extend(prg);
    let mut chr = vec![0; 0x2000];
    // Tile 1: stripes from above.
    for (row, line) in chr[16..24].iter_mut().enumerate() {
        *line = if row % 2 == 0 { 0xFF } else { 0 };
    }
    file.extend(chr);
    file
}

fn console() -> Nes {
    Nes::new(Arc::new(Cartridge::new(&program()).unwrap()))
}

/// The state as bytes, by which states are compared.
fn bytes(state: &State) -> Vec<u8> {
    serde_json::to_vec(state).unwrap()
}

#[test]
fn it_runs_once_a_frame_and_reads_the_controller() {
    let mut nes = console();
    for frame in 0..100 {
        nes.frame(u8::from(frame >= 50));
    }
    let [counted, buttons, met] = [0x10, 0x11, 0x12].map(|at| nes.ram()[at]);
    // Two frames pass before the first interrupt; the last one is still waiting for sprite 0.
    assert_eq!((counted, buttons, met), (98, 50, 97));
}

#[test]
fn pictures_skipped_loops_and_copies_change_nothing() {
    let (mut calm, mut slow, mut seen) = (console(), console().without_skipping(), console());
    let mut picture = Picture::default();
    let mut stored = None;
    for frame in 0..120u8 {
        calm.frame(frame & 1);
        slow.frame(frame & 1);
        seen.play(frame & 1, Some(&mut picture));
        let state = bytes(calm.state());
        assert!(state == bytes(slow.state()), "frame {frame}, loops");
        assert!(state == bytes(seen.state()), "frame {frame}, picture");
        if frame == 60 {
            stored = Some(state);
        }
    }
    let mut again = console();
    again.restore(&serde_json::from_slice(&stored.unwrap()).unwrap());
    for frame in 61..120u8 {
        again.frame(frame & 1);
    }
    assert_eq!(bytes(calm.state()), bytes(again.state()));
}

/// A line shows eight sprites, the first ones in memory, and more of them are flagged.
#[test]
fn a_line_shows_eight_sprites() {
    /// The line of the sprites.
    const LINE: u8 = 0x40;
    for count in [8u8, 10] {
        let start: &[u8] = &[
            0x78,
            0xA2,
            0xFF,
            0x9A, // SEI, LDX #$FF, TXS
            0xAD,
            0x02,
            0x20,
            0x10,
            0xFB, // wait for the flag: LDA $2002, BPL
            0xAD,
            0x02,
            0x20,
            0x10,
            0xFB, // and again
            0xA9,
            0x3F,
            0x8D,
            0x06,
            0x20,
            0xA9,
            0x11,
            0x8D,
            0x06,
            0x20, // address $3F11
            0xA9,
            0x30,
            0x8D,
            0x07,
            0x20, // white
            0xA2,
            0x00,
            0xA9,
            0xFF,
            0x9D,
            0x00,
            0x02,
            0xE8,
            0xD0,
            0xFA, // no sprite is seen
            0xA2,
            0x00,
            0xA0,
            count, // X: place in memory, Y: sprites
            0xA9,
            LINE - 1,
            0x9D,
            0x00,
            0x02, // its line
            0xA9,
            0x01,
            0x9D,
            0x01,
            0x02, // tile 1
            0xA9,
            0x00,
            0x9D,
            0x02,
            0x02, // in front, the first colours
            0x8A,
            0x0A,
            0x0A,
            0x9D,
            0x03,
            0x02, // in column 4 X: 16 pixels apart
            0xE8,
            0xE8,
            0xE8,
            0xE8,
            0x88,
            0xD0,
            0xE4, // the next one
            0xA9,
            0x02,
            0x8D,
            0x14,
            0x40, // copy them
            0xA9,
            0x1E,
            0x8D,
            0x01,
            0x20, // show everything
            0xAD,
            0x02,
            0x20,
            0x29,
            0x20,
            0x05,
            0x10,
            0x85,
            0x10, // the flag, kept in $10
            0x4C,
            0x50,
            0x80, // for ever
        ];
        assert_eq!(start.len(), 0x5D, "the loop for ever is at $8051");
        let mut nes = Nes::new(Arc::new(Cartridge::new(&file(start, &[0x40])).unwrap()));
        let mut picture = Picture::default();
        for _ in 0..6 {
            nes.play(0, Some(&mut picture));
        }
        let line = &picture.colours()[usize::from(LINE) * WIDTH..][..WIDTH];
        for (column, colour) in line.iter().enumerate() {
            let is_sprite = column % 16 < 8 && column / 16 < 8;
            assert_eq!(
                *colour & 0x3F == 0x30,
                is_sprite,
                "{count}: column {column}"
            );
        }
        assert_eq!(nes.ram()[0x10] != 0, count > 8, "{count}: the flag");
    }
}

#[test]
fn runs_of_an_instruction_do_what_single_ones_do() {
    let start: &[u8] = &[
        0xA2, 0x1F, // copy the routine: LDX #$1F
        0xBD, 0x00, 0x81, 0x9D, 0x00, 0x03, 0xCA, 0x10, 0xF7, // from $8100 to $0300
        0xA9, 0xB7, 0xA2, 0x03, 0xA0, 0xFA, 0x20, 0x00, 0x81, 0x08, // A, X, Y, JSR $8100, PHP
        0x85, 0x10, 0x86, 0x11, 0x84, 0x12, 0x68, 0x85, 0x13, // keep them and the flags
        0xA9, 0xB7, 0xA2, 0x03, 0xA0, 0xFA, 0x20, 0x00, 0x03, 0x08, // the same, JSR $0300
        0x85, 0x20, 0x86, 0x21, 0x84, 0x22, 0x68, 0x85, 0x23, // keep them
        0x4C, 0x31, 0x80, // for ever
    ];
    assert_eq!(start.len(), 0x34, "the loop for ever is at $8031");
    let routine: &[u8] = &[
        0x0A, 0x0A, 0x0A, // ASL × 3
        0x4A, 0x4A, 0x4A, 0x4A, 0x4A, // LSR × 5
        0xC8, 0xC8, 0xC8, 0xC8, 0xC8, 0xC8, // INY × 6
        0xE8, 0xE8, 0xCA, 0xCA, 0xCA, 0xCA, // INX × 2, DEX × 4
        0x88, 0x88, // DEY × 2
        0xEA, 0xEA, 0xEA, 0xEA, 0xEA, 0xEA, 0x60, // NOP × 6, RTS
    ];
    let mut nes = Nes::new(Arc::new(Cartridge::new(&file(start, routine)).unwrap()));
    nes.frame(0);
    let [there, here] = [0x10, 0x20].map(|at| &nes.ram()[at..at + 4]);
    assert_eq!(there, here, "in the memory instructions come one by one");
    assert_eq!(there, [0x05, 0x01, 0xFE, 0xB5]);
}

#[test]
fn files_that_are_no_cartridges_are_refused_by_what_is_wrong() {
    let good = program();
    let error = |file: &[u8]| Cartridge::new(file).unwrap_err();
    assert_eq!(error(b"GIF89a"), CartridgeError::Magic);
    assert_eq!(
        error(&good[..9]),
        CartridgeError::Length {
            found: 9,
            expected: 16
        }
    );
    let short = &good[..good.len() - 1];
    let lengths = CartridgeError::Length {
        found: short.len(),
        expected: good.len(),
    };
    assert_eq!(error(short), lengths);
    let with = |at: usize, value: u8| {
        let mut file = good.clone();
        file[at] = value;
        error(&file)
    };
    assert_eq!(with(6, 0x11), CartridgeError::Mapper(1));
    assert!(matches!(with(4, 3), CartridgeError::Size { banks: 3, .. }));
    assert!(matches!(with(5, 2), CartridgeError::Size { banks: 2, .. }));
}
