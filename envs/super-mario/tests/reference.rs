//! Twenty runs that gym-super-mario-bros 7.4.0 played too (`reference.py`): rewards, ends and what it
//! tells of every frame are equal. They need the game, which is not part of this: FRMDN_SMB_ROM
//! names its file, in the European version.

use std::{fmt::Write, path::Path};

use frmdn_super_mario::{Game, Rom, Status, Version};
use sha1::{Digest, Sha1};

const FRAMES: u32 = 2000;

/// Stage of each run, and the hash of all its lines.
const RUNS: [(&str, &str); 20] = [];

/// Mostly to the right, with jumps: the same list as in reference.py.
fn buttons(run: u64) -> impl Iterator<Item = u8> {
    let (mut state, mut held, mut left) = (run + 1, 0, 0);
    (0..FRAMES).map(move |_| {
        if left == 0 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let bits = state >> 33;
            held = if bits & 15 != 0 { 128 } else { 64 };
            held |= if bits & 16 != 0 { 2 } else { 0 };
            held |= if bits & 32 != 0 { 1 } else { 0 };
            left = 3 + (bits >> 6) % 32;
        }
        left -= 1;
        held
    })
}

#[test]
fn rewards_ends_and_information_are_those_of_the_reference() {
    let Some(path) = std::env::var_os("FRMDN_SMB_ROM") else {
        eprintln!("SKIPPED: FRMDN_SMB_ROM names no file of the game");
        return;
    };
    let rom = Rom::load(Path::new(&path)).unwrap();
    assert_eq!(
        rom.version(),
        Version::Pal,
        "the reference is the European version"
    );
    for (run, (stage, expected)) in (0..).zip(RUNS) {
        let mut game = Game::new(&rom, stage.parse().unwrap()).unwrap();
        let mut hash = Sha1::new();
        for held in buttons(run) {
            let frame = game.frame(held, None);
            let info = frame.info;
            let status = match info.status {
                Status::Small => "small",
                Status::Tall => "tall",
                Status::Fireball => "fireball",
            };
            let mut line = String::new();
            write!(
                line,
                "{} {} {} {} {} {} {} {status} {} {} {} {} \n",
                frame.reward,
                u8::from(frame.done),
                info.coins,
                u8::from(info.flag_get),
                info.life,
                info.score,
                info.stage,
                info.time,
                info.world,
                info.x_pos,
                info.y_pos,
            )
            .unwrap();
            hash.update(&line);
            if frame.done {
                game.reset();
            }
        }
        let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, expected, "run {run}, stage {stage}");
    }
}
