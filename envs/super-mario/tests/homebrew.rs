//! The homebrew game: its file, its levels, its pictures, and how episodes end.

use std::{path::Path, process::Command};

use frmdn_env::{Env, ObservationMut, Snapshot, Step, conformance_tests};
use frmdn_super_mario::{Buttons, Homebrew, RGB, Rom, SIDE, Version};
use sha1::{Digest, Sha1};

conformance_tests!(
    mod conformance,
    Homebrew::new(Buttons::Simple),
    rewards = -15.0..=15.0
);

/// Numbers of actions.
const NOTHING: f32 = 0.0;
const RIGHT: f32 = 1.0;
const RIGHT_A: f32 = 2.0;
const RIGHT_B: f32 = 3.0;
const RIGHT_A_B: f32 = 4.0;
const LEFT: f32 = 6.0;

/// Places of the measurements.
const X: usize = 0;
const GOAL: usize = 1;
const TIME: usize = 5;
const FLAG: usize = 7;
const KILLED: usize = 8;
const FELL: usize = 9;
const LATE: usize = 10;

/// Columns of a level, and where memory has their two bytes.
const COLUMNS: usize = 192;
const SOLID: usize = 0x400;
const BLOCKS: usize = 0x500;

struct Play {
    env: Homebrew,
    observation: Vec<u8>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut play = Self {
            env: Homebrew::new(Buttons::Simple),
            observation: vec![0; SIDE * SIDE * 3],
        };
        play.reset(seed);
        play
    }

    fn reset(&mut self, seed: u64) {
        let out = ObservationMut::Frame(&mut self.observation);
        self.env.reset(seed, out).unwrap();
    }

    fn step(&mut self, action: f32) -> Step {
        let out = ObservationMut::Frame(&mut self.observation);
        self.env.step(&[action], out).unwrap()
    }

    fn step_unseen(&mut self, action: f32) -> Step {
        let out = ObservationMut::Frame(&mut self.observation);
        self.env.step_unseen(&[action], out).unwrap()
    }

    /// Plays until the episode ends.
    fn finish(&mut self, action: f32) -> Step {
        loop {
            let step = self.step_unseen(action);
            if step.done() {
                return step;
            }
        }
    }

    /// The two bytes of every column of the level.
    fn level(&self) -> (&[u8], &[u8]) {
        let ram = self.env.game().ram();
        (&ram[SOLID..][..COLUMNS], &ram[BLOCKS..][..COLUMNS])
    }
}

/// A linear congruence.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn hex(hash: Sha1) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_source_gives_the_file() {
    let found = Command::new("ca65").arg("--version").output();
    if found.is_err() {
        eprintln!("SKIPPED: there is no assembler ca65");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("homebrew");
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("homebrew.nes");
    let status = Command::new("sh")
        .arg(folder.join("build.sh"))
        .arg(&built)
        .status()
        .unwrap();
    assert!(status.success(), "the source is not assembled");
    let committed = std::fs::read(folder.join("homebrew.nes")).unwrap();
    assert_eq!(committed.len(), 40_976);
    assert!(
        std::fs::read(&built).unwrap() == committed,
        "homebrew.nes is not what build.sh makes of the source"
    );
}

#[test]
fn the_game_and_its_levels_are_those_of_the_results() {
    let file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("homebrew/homebrew.nes"));
    let mut hash = Sha1::new();
    hash.update(file.unwrap());
    assert_eq!(hex(hash), "0b88cfa556db565b8826e86e9b65fd4de3103a62");
    let mut play = Play::new(0);
    let mut hash = Sha1::new();
    for seed in 600_000..600_100 {
        play.reset(seed);
        let (solid, blocks) = play.level();
        hash.update(solid);
        hash.update(blocks);
    }
    assert_eq!(hex(hash), "38b11aa07a62a21892df54cbb1927939b61c8c87");
}

/// Things that end a run that only walks to the right: edges of pits, walls and enemies.
fn hazards(solid: &[u8], blocks: &[u8]) -> usize {
    let height = |c: usize| solid[c] & 15;
    (1..solid.len())
        .filter(|&c| {
            let is_edge = height(c) == 0 && height(c - 1) > 0;
            let is_wall = height(c - 1) > 0 && height(c) > height(c - 1);
            let is_enemy = (solid[c] | blocks[c]) & 0x80 != 0;
            is_edge || is_wall || is_enemy
        })
        .count()
}

#[test]
fn levels_have_a_free_beginning_and_enough_hazards() {
    let mut play = Play::new(0);
    for seed in (0..50).chain(600_000..600_100) {
        play.reset(seed);
        let (solid, blocks) = play.level();
        assert_eq!(hazards(&solid[..10], &blocks[..10]), 0, "seed {seed}");
        assert_eq!(hazards(&solid[180..], &blocks[180..]), 0, "seed {seed}");
        let count = hazards(solid, blocks);
        assert!(count >= 12, "the level of seed {seed} has {count} hazards");
    }
}

#[test]
fn seeds_have_levels_of_their_own() {
    assert_eq!(Homebrew::level_of(0), 0);
    let mut levels: Vec<Vec<u8>> = Vec::new();
    let mut play = Play::new(0);
    for seed in [0, 1, 2, 600_000, 600_001, 1 << 32, 1 << 63, u64::MAX] {
        play.reset(seed);
        let (solid, blocks) = play.level();
        let level = [solid, blocks].concat();
        assert!(!levels.contains(&level), "seed {seed} has another's level");
        levels.push(level);
        let seed_in_memory = &play.env.game().ram()[0x7E8..0x7EC];
        assert_eq!(seed_in_memory, Homebrew::level_of(seed).to_le_bytes());
    }
    assert_eq!(Rom::homebrew().version(), Version::Homebrew);
    assert_eq!(Version::Homebrew.to_string(), "homebrew");
}

#[test]
fn steps_that_nobody_sees_are_the_same() {
    for seed in 0..6 {
        let (mut seen, mut unseen) = (Play::new(seed), Play::new(seed));
        let mut random = Random(seed);
        let mut action = NOTHING;
        for count in 0..2_000 {
            if count % 7 == 0 {
                action = random.below(7) as f32;
            }
            let (a, b) = (seen.step(action), unseen.step_unseen(action));
            assert_eq!(a, b, "seed {seed}, frame {count}");
            assert!(seen.env.game().ram() == unseen.env.game().ram());
            if a.done() {
                assert!(seen.observation == unseen.observation);
                break;
            }
        }
    }
}

#[test]
fn walking_goes_on_to_the_right() {
    let mut play = Play::new(0);
    let mut last = 40;
    for frame in 0..60 {
        play.step(RIGHT);
        let x = play.env.game().info().x_pos;
        assert!((last..last + 3).contains(&x), "frame {frame}: {last}, {x}");
        last = x;
    }
    assert!(last > 110, "it came to {last}");
}

#[test]
fn the_left_edge_is_a_wall() {
    let mut play = Play::new(0);
    for _ in 0..100 {
        play.step(LEFT);
    }
    assert_eq!(play.env.game().info().x_pos, 0);
}

/// The first action sequences of `seed` that end as `place` measures.
fn search(place: usize) -> Step {
    for seed in 0..200 {
        let mut play = Play::new(seed);
        let mut random = Random(seed);
        for _ in 0..100 {
            let action = [RIGHT, RIGHT_B, RIGHT_A_B][random.below(3) as usize];
            let last = (0..12).map(|_| play.step_unseen(action)).find(Step::done);
            match last {
                Some(step) if step.measured[place] == 1.0 => return step,
                Some(_) => break,
                None => {}
            }
        }
    }
    panic!("no episode ends so");
}

#[test]
fn enemies_and_pits_end_episodes() {
    for (place, others) in [(KILLED, [FELL, LATE]), (FELL, [KILLED, LATE])] {
        let step = search(place);
        assert!(step.terminated && !step.truncated);
        assert_eq!(step.reward, -15.0);
        for other in others.into_iter().chain([FLAG]) {
            assert_eq!(step.measured[other], 0.0);
        }
    }
}

#[test]
fn the_time_runs_out() {
    let mut play = Play::new(0);
    let step = play.finish(NOTHING);
    assert_eq!(step.measured[LATE], 1.0);
    assert_eq!(step.measured[TIME], 0.0);
    assert_eq!(step.measured[KILLED] + step.measured[FELL], 0.0);
    assert_eq!(step.reward, -15.0);
}

/// Plays the level of `seed` by trying out some sequences of actions and keeping the best.
fn plan(seed: u64) -> Step {
    let mut play = Play::new(seed);
    let mut random = Random(seed);
    let value = |play: &mut Play, start: &Snapshot, actions: &[f32]| {
        play.env.restore(start).unwrap();
        let mut sum = 0.0;
        for &action in actions {
            for _ in 0..4 {
                let step = play.step_unseen(action);
                sum += step.reward;
                if step.done() {
                    let is_flag = step.measured[FLAG] == 1.0;
                    return sum + if is_flag { 1_000.0 } else { -1_000.0 };
                }
            }
        }
        sum
    };
    let mut kept: Vec<f32> = Vec::new();
    loop {
        let start = play.env.snapshot().unwrap();
        let mut best = (f64::NEG_INFINITY, Vec::new());
        for number in 0..20 {
            let mut actions = if number == 0 { kept.clone() } else { vec![] };
            while actions.len() < 14 {
                let any = [LEFT, RIGHT_A, RIGHT_B, RIGHT_B, RIGHT_A_B, RIGHT_A_B];
                let action = any[random.below(6) as usize];
                let held = 1 + random.below(8) as usize;
                actions.resize(actions.len() + held, action);
            }
            actions.truncate(14);
            let value = value(&mut play, &start, &actions);
            if value > best.0 {
                best = (value, actions);
            }
        }
        play.env.restore(&start).unwrap();
        for &action in &best.1[..4] {
            for _ in 0..4 {
                let step = play.step_unseen(action);
                if step.done() {
                    return step;
                }
            }
        }
        kept = best.1.split_off(4);
    }
}

#[test]
fn the_flag_ends_the_level() {
    let step = plan(0);
    assert_eq!(step.measured[FLAG], 1.0, "{:?}", step.measured);
    assert!(step.terminated);
    assert_eq!(step.measured[X], step.measured[GOAL]);
    assert_eq!(
        step.measured[KILLED] + step.measured[FELL] + step.measured[LATE],
        0.0
    );
    assert!(step.reward > 0.0);
}

#[test]
fn pictures_are_the_same_everywhere() {
    let expected = [
        (0, "4c67f75dfd750684bce08de6f8e4ce7cdbb50a12"),
        (30, "91f4ab7715c5a96fa1fd2e63d42074278532562e"),
        (90, "0800932bac2424e6883c158b3391766f9044d9c3"),
    ];
    let mut play = Play::new(0);
    for frame in 0..=90 {
        if let Some((_, expected)) = expected.iter().find(|(at, _)| *at == frame) {
            let mut hash = Sha1::new();
            hash.update(play.env.screen().colours());
            assert_eq!(hex(hash), *expected, "frame {frame}");
        }
        play.step(if frame % 30 < 12 { RIGHT_A_B } else { RIGHT_B });
    }
}

/// Red, green and blue of every pixel of the view, computed as one would say it.
fn means(colours: &[u8]) -> Vec<u8> {
    let mut means = Vec::new();
    for row in 0..SIDE {
        for column in 0..SIDE {
            let mean = |channel: usize| {
                let mut sum = 0.0;
                for y in 0..3 {
                    for x in 0..4 {
                        let pixel = (32 + 3 * row + y) * 256 + 4 * column + x;
                        sum += f64::from(RGB[usize::from(colours[pixel])][channel]);
                    }
                }
                (sum / 12.0 + 0.5).floor() as u8
            };
            means.extend([0, 1, 2].map(mean));
        }
    }
    means
}

#[test]
fn the_view_has_the_means_of_boxes() {
    let mut play = Play::new(3);
    for frame in 0..60 {
        if frame % 6 == 0 {
            assert!(
                play.observation == means(play.env.screen().colours()),
                "frame {frame}"
            );
        }
        if play.step(RIGHT_B).done() {
            break;
        }
    }
}

/// A thousand resets, each after an episode that ended elsewhere: the same hundred frames every time.
#[test]
fn nothing_is_left_of_the_episode_before() {
    let mut play = Play::new(3);
    let mut first = None;
    for reset in 0..1000u64 {
        let mut random = Random(reset);
        for _ in 0..reset % 7 {
            play.step_unseen(random.below(7) as f32);
        }
        play.reset(3);
        let mut hash = Sha1::new();
        hash.update(&play.observation);
        for i in 0..100 {
            let step = play.step_unseen([RIGHT_B, RIGHT_A_B, RIGHT][i / 20 % 3]);
            hash.update(format!("{:?}", (step.reward, step.measured)));
            hash.update(play.env.game().ram());
            if step.done() {
                break;
            }
        }
        let found = hex(hash);
        assert_eq!(*first.get_or_insert(found.clone()), found, "reset {reset}");
    }
}
