//! Twenty runs that gym-super-mario-bros 7.4.0 played too (`reference.py`): rewards, ends and what it
//! tells of every frame are equal. They need the game, which is not part of this: FRMDN_SMB_ROM
//! names its file, in the European version.

use std::{fmt::Write, path::Path};

use frmdn_nes::Picture;
use frmdn_super_mario::{Game, Rom, Status, Version};
use sha1::{Digest, Sha1};

const FRAMES: u32 = 2000;

/// Stage of each run, and the hash of all its lines.
const RUNS: [(&str, &str); 20] = [
    ("1-1", "7e56415e27b7dcf8a8ab7cb77562b869f02dc42e"),
    ("1-2", "3b56939ea5103d270f3e62d2594f0489df18458c"),
    ("1-3", "487dd1a2e2a8bd23da75993b71801c096a5149ed"),
    ("1-4", "65fb5e77ba606c318efe2452240cb7e1572fb3b3"),
    ("2-1", "a1ab17cf7ad836a2e5f845f4237b78611a33941a"),
    ("2-2", "8825418d6552a24cca52ad0b0c396332cb2464f0"),
    ("3-1", "5e946b0e3266ae9392675dbf665b5477eecb5eec"),
    ("4-1", "266f754eb319bb09e580553372526e5f27c21b67"),
    ("4-2", "beda355141bea2b910283d977e0e96e78f8a6a83"),
    ("5-1", "d6212926d3162f46a1e9632957738c43cfdf7f3f"),
    ("5-2", "84489f1bdcd9ad84d27e309d7689e3bfe3724c96"),
    ("6-1", "d1c7a27da07b7bc15d7aae5007dd5572f8b507c9"),
    ("6-3", "5453f36c0e678b83d792008dd5843499dd113962"),
    ("7-1", "340e9a5befddc84a3cd7484c9a009c076f88e991"),
    ("7-2", "bf1dc22cce29189ab6e3422b18eeeb8aefc32994"),
    ("8-1", "5e150b5fa822bd8707c875ea29a7047edb3cd74b"),
    ("8-2", "656613b977d721f35ad7e5c3c9190176ea503eee"),
    ("8-3", "4a2a085a80d71514286a1beb9ad9f2c15b59033f"),
    ("8-4", "92cb2d67a200adee28bd66ba847ae192cc831e4d"),
    ("3-4", "025ac4ca3568aa28a00e0867f2048422d5ec6299"),
];

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
            writeln!(
                line,
                "{} {} {} {} {} {} {} {status} {} {} {} {} ",
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

/// The same of the game itself, with pictures of the last frames.
#[test]
fn a_thousand_resets_begin_the_same_episode() {
    let Some(path) = std::env::var_os("FRMDN_SMB_ROM") else {
        eprintln!("SKIPPED: FRMDN_SMB_ROM names no file of the game");
        return;
    };
    let rom = Rom::load(Path::new(&path)).unwrap();
    let mut game = Game::new(&rom, "1-1".parse().unwrap()).unwrap();
    let (mut first, mut picture) = (None, Picture::default());
    for reset in 0..1000 {
        for _ in 0..reset % 7 {
            game.frame(if reset % 2 == 0 { 0x83 } else { 0x40 }, None);
        }
        game.reset();
        let mut hash = Sha1::new();
        hash.update(game.first_picture().colours());
        for i in 0..100 {
            let seen = (i == 99).then_some(&mut picture);
            let frame = game.frame(if i % 40 < 25 { 0x83 } else { 0x80 }, seen);
            hash.update(format!("{frame:?}"));
            hash.update(game.ram());
        }
        hash.update(picture.colours());
        let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(*first.get_or_insert(found.clone()), found, "reset {reset}");
    }
}
