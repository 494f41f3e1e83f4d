//! Public test programs for the console, from the package of the emulator tetanes-core: what passes
//! here, and that neither pictures nor skipped loops nor copies change anything.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use frmdn_nes::{Cartridge, CartridgeError, Nes, Picture, State, WIDTH};

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
const PASSED: [&str; 39] = [
    "cpu/branch_backward",
    "cpu/branch_basics",
    "cpu/branch_forward",
    "cpu/instr_abs",
    "cpu/instr_abs_xy",
    "cpu/instr_basics",
    "cpu/instr_branches",
    "cpu/instr_brk",
    "cpu/instr_imm",
    "cpu/instr_imp",
    "cpu/instr_ind_x",
    "cpu/instr_ind_y",
    "cpu/instr_jmp_jsr",
    "cpu/instr_rti",
    "cpu/instr_rts",
    "cpu/instr_special",
    "cpu/instr_stack",
    "cpu/instr_zp",
    "cpu/instr_zp_xy",
    "cpu/timing_test",
    "ppu/oam_read",
    "ppu/oam_stress",
    "ppu/palette_ram",
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
    "ppu/sprite_ram",
    "ppu/vbl_nmi_basics",
    "ppu/vbl_nmi_clear_timing",
    "ppu/vbl_nmi_frame_basics",
    "ppu/vram_access",
];

/// Not passed, and what they ask for that is not imitated.
const FAILED: [(&str, &str); 30] = [
    ("cpu/dummy_writes_oam", BUS),
    ("cpu/dummy_writes_ppumem", BUS),
    ("cpu/exec_space_apu", BUS),
    ("cpu/exec_space_ppuio", BUS),
    ("cpu/flag_concurrency", SOUND),
    ("cpu/int_branch_delays_irq", SOUND),
    ("cpu/int_cli_latency", SOUND),
    ("cpu/int_irq_and_dma", SOUND),
    ("cpu/int_nmi_and_brk", DOTS),
    ("cpu/int_nmi_and_irq", SOUND),
    ("cpu/ram_after_reset", RESET),
    ("cpu/regs_after_reset", RESET),
    ("cpu/sprdma_and_dmc_dma", SOUND),
    ("cpu/sprdma_and_dmc_dma_512", SOUND),
    ("ppu/open_bus", BUS),
    ("ppu/spr_overflow_basics", OVERFLOW),
    ("ppu/spr_overflow_details", OVERFLOW),
    ("ppu/spr_overflow_emulator", OVERFLOW),
    ("ppu/spr_overflow_obscure", OVERFLOW),
    ("ppu/spr_overflow_timing", OVERFLOW),
    ("ppu/vbl_nmi_control", DOTS),
    ("ppu/vbl_nmi_disable", DOTS),
    ("ppu/vbl_nmi_even_odd_frames", DOTS),
    ("ppu/vbl_nmi_even_odd_timing", DOTS),
    ("ppu/vbl_nmi_off_timing", DOTS),
    ("ppu/vbl_nmi_on_timing", DOTS),
    ("ppu/vbl_nmi_set_time", DOTS),
    ("ppu/vbl_nmi_suppression", DOTS),
    ("ppu/vbl_nmi_timing", DOTS),
    ("ppu/vbl_timing", DOTS),
];
const BUS: &str = "what each cycle puts on the bus";
const SOUND: &str = "interrupts and reads of memory by the sound unit";
const RESET: &str = "somebody who presses the reset button";
const OVERFLOW: &str =
    "when within a picture, and after which faulty reads, nine sprites are flagged";
const DOTS: &str =
    "single dots around the vertical blank, at its interrupt and at the shorter frame";

/// They say nothing themselves: somebody judges the picture, or holds the light gun.
const NO_VERDICT: [&str; 10] = [
    "cpu/overclock",
    "input/zapper_flip",
    "input/zapper_light",
    "input/zapper_stream",
    "input/zapper_trigger",
    "ppu/color",
    "ppu/ntsc_torture",
    "ppu/palette",
    "ppu/scanline",
    "ppu/tv",
];

/// For cartridges with a mapper, which are refused.
const OTHER_MAPPER: [&str; 5] = [
    "cpu/dummy_reads",
    "cpu/instr_misc",
    "cpu/instr_timing",
    "ppu/_240pee",
    "ppu/read_buffer",
];

/// Every program for processor, picture unit and controllers has the outcome that is listed above;
/// nestest has a test of its own. Those for the sound unit and for mappers are for other consoles.
#[test]
fn programs_that_test_a_console_have_the_outcomes_that_are_listed() {
    let mut listed: Vec<&str> = PASSED.to_vec();
    listed.extend(FAILED.map(|(name, _)| name));
    listed.extend(NO_VERDICT);
    listed.extend(OTHER_MAPPER);
    listed.push("cpu/nestest");
    listed.sort_unstable();
    let mut found = Vec::new();
    for part in ["cpu", "ppu", "input"] {
        for file in std::fs::read_dir(folder().join(part)).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            found.extend(
                name.strip_suffix(".nes")
                    .map(|name| format!("{part}/{name}")),
            );
        }
    }
    found.sort_unstable();
    assert_eq!(found, listed);

    let said = |name: &str| {
        let mut nes = console(name);
        (0..2400).for_each(|_| nes.frame(0));
        outcome(&nes)
    };
    let is_passed = |said: &str| {
        let words = ["status 0:", "PASSED", "$01"];
        words.iter().any(|word| said.contains(word))
    };
    for name in PASSED {
        let said = said(name);
        assert!(is_passed(&said), "{name}: {said}");
    }
    for (name, why) in FAILED {
        let said = said(name);
        assert!(
            !is_passed(&said),
            "{name} passes now, though it asks for {why}: {said}"
        );
    }
    for name in OTHER_MAPPER {
        let file = std::fs::read(folder().join(name).with_extension("nes")).unwrap();
        let refused = Cartridge::new(&file);
        assert!(matches!(refused, Err(CartridgeError::Mapper(_))), "{name}");
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

/// Frames of our own game.
const FRAMES: u32 = 4000;
/// Buttons by digit, each held for four frames, from frame 120 on: to the flag of level 0.
const TO_FLAG: &[u8] = b"202324300204233134343234344431234424432134132423321323022232132444224423443443234323232343031342222423023334342323213334334031331332033203244324414434442344032033022243234441223422440323343443323413303342422223423334333432020222301303442312334320223233443034324343343402324223402224244131334442023332422343323444303203431121303320";

/// What is held in a frame of it: Start until the level begins, the list, and then to the right with
/// jumps, into what is deadly, and Start now and then.
fn press(frame: u32) -> u8 {
    let Some(played) = frame.checked_sub(120) else {
        return if frame % 20 == 19 { START } else { 0 };
    };
    match TO_FLAG.get(played as usize / 4) {
        Some(digit) => [0x80, 0x81, 0x82, 0x83, 0][usize::from(digit - b'0')],
        None if frame % 100 == 99 => START,
        None => 0x80 | u8::from(frame / 25 % 3 != 0),
    }
}

/// Cycles of the processor from power-on to the end of a frame: those of all frames, and what the last
/// instruction took beyond them.
fn cycles(nes: &Nes, frame: u32) -> u32 {
    let state = serde_json::to_value(nes.state()).unwrap();
    let left = state["left"].as_i64().unwrap();
    u32::try_from(i64::from(frame + 1) * 29_781 - left).unwrap()
}

/// Whether the picture unit shows anything.
fn shows(nes: &Nes) -> bool {
    let state = serde_json::to_value(nes.state()).unwrap();
    state["ppu"]["mask"].as_u64().unwrap() & 0x18 != 0
}

/// Cycles by which the other one is later: it asks for the second blank in the very dot in which it
/// begins, and so misses it, as a console does, which is a frame of 29,781 cycles; its pictures begin
/// a line of 113⅔ cycles earlier; and it counts 7 of them before the first instruction.
const LATER: u32 = 29_674;
/// How near to the same cycle the two are compared. The program finds the blank by asking again and
/// again, and so at times that differ by some cycles.
const NEAR: u32 = 24;

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

/// Ember Run, frame by frame beside another emulator that stops after as many cycles: every byte of
/// memory in every frame, and the pictures, from power-on over the title and a level to its flag, and
/// on to deaths. Of the pictures all but the first line and the last column is compared: there the
/// other one shows what is left of the last line's sprites, and no sprites.
#[test]
fn our_own_game_is_that_of_another_emulator() {
    use tetanes_core::{
        control_deck::{Config, ControlDeck},
        input::{JoypadBtnState, Player},
        memory::RamState,
    };
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../super-mario/homebrew/homebrew.nes");
    let file = std::fs::read(&path).unwrap();
    let mut ours = Nes::new(Arc::new(Cartridge::new(&file).unwrap()));
    let mut other = ControlDeck::with_config(Config::default().with_ram_state(RamState::AllZeros));
    other.load_rom("homebrew", &mut &file[..]).unwrap();
    let mut picture = Picture::default();
    let (mut is_on, mut pictures) = (false, 0);
    let mut states = std::collections::BTreeSet::new();
    for frame in 0..FRAMES {
        let buttons = press(frame);
        ours.play(buttons, Some(&mut picture));
        let pad = other.joypad_mut(Player::One);
        pad.buttons = JoypadBtnState::from_bits_truncate(buttons.into());
        let end = cycles(&ours, frame) + LATER;
        let alike = |at: usize, other: &ControlDeck| ours.ram()[at] == other.wram()[at];
        let mut is_equal = false;
        while other.bus().cpu.cycle < end + NEAR && !is_equal {
            other.clock_instr().unwrap();
            // Below the stack pointer is what interrupts have left there.
            let dead = 0x100..0x101 + usize::from(other.bus().cpu.sp);
            is_equal = other.bus().cpu.cycle + NEAR > end
                && (0..0x800).all(|at| dead.contains(&at) || alike(at, &other));
        }
        let differ: Vec<usize> = (0..0x800).filter(|at| !alike(*at, &other)).collect();
        assert!(is_equal, "frame {frame}: memory at {differ:03X?}");
        // What a console shows while it draws a level, with its screen off, is not imitated.
        let was_on = std::mem::replace(&mut is_on, shows(&ours));
        if !(was_on && is_on) {
            continue;
        }
        pictures += 1;
        let pixels = other.frame_buffer_raw().iter().zip(picture.colours());
        let inside = pixels
            .enumerate()
            .filter(|(at, _)| *at >= WIDTH && at % WIDTH != WIDTH - 1);
        let differ = inside.filter(|(_, (theirs, ours))| **theirs & 63 != u16::from(**ours));
        let differ = differ.count();
        assert!(differ == 0, "frame {frame}: {differ} pixels differ");
        states.insert(ours.ram()[0x0E]);
    }
    // It played (8), touched the flag (4), and died (11) of an enemy.
    assert!(
        [4, 8, 11].iter().all(|state| states.contains(state)),
        "{states:?}"
    );
    assert!(pictures > 3800, "{pictures} pictures");
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
