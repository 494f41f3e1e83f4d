//! Public test programs for the console, from the package of the emulator tetanes-core: what passes
//! here, and that neither pictures nor skipped loops nor copies change anything.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use frmdn_nes::{Cartridge, Nes, Picture, State};

/// The Start button.
const START: u8 = 8;

/// Folder of the programs, where cargo keeps the sources of packages.
fn folder() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cargo"));
    let indices = std::fs::read_dir(home.join("registry/src"))
        .unwrap()
        .flatten();
    let mut packages = indices.flat_map(|index| std::fs::read_dir(index.path()).unwrap().flatten());
    let package = packages.find(|entry| entry.file_name() == "tetanes-core-0.17.0");
    package
        .expect("it is a dependency of the tests")
        .path()
        .join("test_roms")
}

fn console(name: &str) -> Nes {
    let file = std::fs::read(folder().join(name).with_extension("nes")).unwrap();
    Nes::new(Arc::new(Cartridge::new(&file).unwrap().with_work_ram()))
}

/// What is written on the screen.
fn screen(nes: &Nes) -> String {
    let letter = |tile: &u8| {
        char::from(*tile)
            .is_ascii_graphic()
            .then_some(char::from(*tile))
    };
    let tiles = nes.name_tables()[..960].iter();
    tiles.map(|tile| letter(tile).unwrap_or(' ')).collect()
}

/// What a program says at the end: the newer ones in memory at 0x6000, behind a signature, the
/// older ones on the screen.
fn outcome(nes: &Nes) -> String {
    let work = nes.work_ram().unwrap();
    if work[1..4] != [0xDE, 0xB0, 0x61] {
        return screen(nes);
    }
    let text: Vec<u8> = work[4..]
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect();
    format!("status {}: {}", work[0], String::from_utf8_lossy(&text))
}

/// Every instruction, the official ones and the others that programs use, their flags and cycles;
/// reads and writes of video memory, palettes and sprites; sprite 0 over the background, with its
/// timing; the vertical blank.
///
/// Not passed, because no cycle of the bus and no interrupt of the sound unit is imitated:
/// cpu/dummy_writes_*, exec_space_*, int_*, sprdma_*, flag_concurrency (they wait for sound),
/// ppu/open_bus, oam_stress, spr_overflow_* (when within a line it is flagged), vbl_timing,
/// vbl_nmi_{control, disable, set_time, on_timing, off_timing, suppression, timing,
/// even_odd_frames, even_odd_timing} (a few dots around the vertical blank).
#[test]
fn programs_that_test_a_console_pass() {
    let instructions = [
        "basics", "implied", "imm", "zp", "zp_xy", "abs", "abs_xy", "ind_x", "ind_y", "branches",
        "stack", "jmp_jsr", "rts", "rti", "brk", "special",
    ];
    let named = instructions.map(|name| match name {
        "implied" => "cpu/instr_imp".to_owned(),
        _ => format!("cpu/instr_{name}"),
    });
    let others = [
        "cpu/branch_basics",
        "cpu/branch_backward",
        "cpu/branch_forward",
        "cpu/timing_test",
        "ppu/palette_ram",
        "ppu/sprite_ram",
        "ppu/vram_access",
        "ppu/oam_read",
        "ppu/spr_hit_alignment",
        "ppu/spr_hit_basics",
        "ppu/spr_hit_corners",
        "ppu/spr_hit_double_height",
        "ppu/spr_hit_edge_timing",
        "ppu/spr_hit_flip",
        "ppu/spr_hit_left_clip",
        "ppu/spr_hit_right_edge",
        "ppu/spr_hit_screen_bottom",
        "ppu/spr_hit_timing_basics",
        "ppu/spr_hit_timing_order",
        "ppu/vbl_nmi_basics",
        "ppu/vbl_nmi_clear_timing",
        "ppu/vbl_nmi_frame_basics",
    ]
    .map(String::from);
    for name in named.iter().chain(&others) {
        let mut nes = console(name);
        for _ in 0..1200 {
            nes.frame(0);
        }
        let said = outcome(&nes);
        let passed = ["status 0:", "PASSED", "$01"]
            .iter()
            .any(|word| said.contains(word));
        assert!(passed, "{name}: {said}");
    }
}

/// Its own list of instructions, the unofficial ones too; it shows the number of the first fault.
#[test]
fn nestest_finds_nothing() {
    let mut nes = console("cpu/nestest");
    let press = |nes: &mut Nes, button: u8, frames: u32| {
        nes.frame(button);
        (0..frames).for_each(|_| nes.frame(0));
    };
    (0..60).for_each(|_| nes.frame(0));
    // All tests of the first page, then those of the second.
    for _ in 0..2 {
        press(&mut nes, START, 120);
        let text = screen(&nes);
        assert!(text.contains("OK") && !text.contains("ER"), "{text}");
        // Select leads to the other page.
        press(&mut nes, 4, 30);
    }
}

/// The state as bytes, by which states are compared.
fn bytes(state: &State) -> Vec<u8> {
    serde_json::to_vec(state).unwrap()
}

#[test]
fn pictures_skipped_loops_and_copies_change_nothing() {
    for name in [
        "spritecans",
        "cpu/nestest",
        "cpu/instr_brk",
        "ppu/spr_hit_basics",
        "ppu/vbl_nmi_basics",
    ] {
        let mut calm = console(name);
        let mut slow = console(name).without_skipping();
        let mut seen = console(name);
        let mut picture = Picture::default();
        let mut stored = None;
        for frame in 0..240u32 {
            // All buttons, a while each.
            let buttons = 1 << (frame / 20 % 8);
            calm.frame(buttons);
            slow.frame(buttons);
            seen.play(buttons, Some(&mut picture));
            let state = bytes(calm.state());
            assert!(state == bytes(slow.state()), "{name}: frame {frame}, loops");
            assert!(
                state == bytes(seen.state()),
                "{name}: frame {frame}, picture"
            );
            if frame == 100 {
                stored = Some(serde_json::to_string(calm.state()).unwrap());
            }
        }
        // From a stored state it goes on as it did.
        let state: State = serde_json::from_str(&stored.unwrap()).unwrap();
        let mut again = console(name);
        again.restore(&state);
        for frame in 101..240u32 {
            again.frame(1 << (frame / 20 % 8));
        }
        assert_eq!(bytes(calm.state()), bytes(again.state()), "{name}");
    }
}

/// Pictures beside those of another emulator.
#[test]
fn pictures_are_those_of_another_emulator() {
    use tetanes_core::control_deck::ControlDeck;
    for name in [
        "cpu/nestest",
        "ppu/palette",
        "cpu/instr_basics",
        "ppu/spr_hit_basics",
    ] {
        let mut other = ControlDeck::new();
        let path = folder().join(name).with_extension("nes");
        other.load_rom_path(&path).unwrap();
        let mut ours = console(name);
        let mut picture = Picture::default();
        for _ in 0..300 {
            let _ = other.clock_frame().unwrap();
            ours.play(0, Some(&mut picture));
        }
        let theirs = other.frame_buffer_raw().iter();
        let differ = theirs
            .zip(picture.colours())
            .filter(|(theirs, ours)| **theirs & 63 != u16::from(**ours));
        let differ = differ.count();
        assert!(differ == 0, "{name}: {differ} of 61440 pixels differ");
    }
}
