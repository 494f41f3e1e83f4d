//! How hard the levels of the homebrew game are: how often players without eyes come to the flag,
//! and how often one that tries out what follows.
//!
//! Steps have four frames, each of which repeats the last action with probability 0.25; episodes
//! end after 600 steps. `cargo run --release -p frmdn-super-mario --example homebrew_levels`

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use frmdn_env::{
    Env, ObservationMut, Snapshot, Step,
    wrappers::{FrameSkip, StepLimit, Sticky},
};
use frmdn_super_mario::{Buttons, Homebrew, SIDE};

/// Frames of a step.
const FRAMES: u32 = 4;
/// Steps of an episode.
const STEPS: u32 = 600;
/// Probability that a frame repeats the last action.
const STICKY: f64 = 0.25;
/// The first level of the test, and how many there are.
const TEST: u64 = 600_000;
const LEVELS: u64 = 100;
/// Blind lists that are tried, and the training levels on which the best one is chosen.
const LISTS: u64 = 1_000;
const TRAINING: u64 = 8;
/// Sequences of actions that the planner tries out, their steps, and how many are played.
const SEQUENCES: u32 = 48;
const AHEAD: usize = 14;
const PLAYED: usize = 2;
/// The best of them are tried again, so many and so often.
const FINALISTS: usize = 8;
const AGAIN: u32 = 3;

/// Numbers of the actions of the set `simple`.
const NOTHING: u8 = 0;
const RIGHT: u8 = 1;
const RIGHT_A: u8 = 2;
const RIGHT_B: u8 = 3;
const RIGHT_A_B: u8 = 4;
const LEFT: u8 = 6;

/// Places of the measurements.
const X: usize = 0;
const FLAG: usize = 7;
const DEATHS: [usize; 3] = [8, 9, 10];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((self.next() >> 32) * n) >> 32
    }
}

/// An environment and its observation, which nobody looks at.
struct Play {
    env: Box<dyn Env>,
    observation: Vec<u8>,
}

impl Play {
    fn new(env: Box<dyn Env>) -> Self {
        Self {
            env,
            observation: vec![0; SIDE * SIDE * 3],
        }
    }

    /// As the game is played.
    fn test() -> Self {
        let game = Box::new(Homebrew::new(Buttons::Simple));
        let sticky = Box::new(Sticky::new(game, STICKY, "frame"));
        let skip = Box::new(FrameSkip::new(sticky, FRAMES, false));
        Self::new(Box::new(StepLimit::new(skip, STEPS)))
    }

    fn reset(&mut self, seed: u64) {
        let reset = self
            .env
            .reset(seed, ObservationMut::Frame(&mut self.observation));
        reset.expect("a buffer of the right size");
    }

    fn step(&mut self, action: u8) -> Step {
        let out = ObservationMut::Frame(&mut self.observation);
        let step = self.env.step_unseen(&[action.into()], out);
        step.expect("a running episode and an action of the set")
    }

    /// Plays the level of `seed` to its end. Returns the last step.
    fn episode(&mut self, seed: u64, mut policy: impl FnMut(usize) -> u8) -> Step {
        self.reset(seed);
        let mut count = 0;
        loop {
            let step = self.step(policy(count));
            if step.done() {
                return step;
            }
            count += 1;
        }
    }
}

/// Outcomes of some levels.
#[derive(Default)]
struct Outcomes {
    levels: u32,
    flags: u32,
    x: f64,
    deaths: [u32; 3],
}

impl Outcomes {
    fn add(&mut self, last: &Step) {
        self.levels += 1;
        self.flags += u32::from(last.measured[FLAG] == 1.0);
        self.x += last.measured[X];
        for (count, place) in self.deaths.iter_mut().zip(DEATHS) {
            *count += u32::from(last.measured[place] == 1.0);
        }
    }

    fn print(&self, name: &str) {
        let levels = f64::from(self.levels);
        println!(
            "{name:<42} {:>6.1} % {:>8.0} {:>8} {:>6} {:>6}",
            100.0 * f64::from(self.flags) / levels,
            self.x / levels,
            self.deaths[0],
            self.deaths[1],
            self.levels - self.flags - self.deaths[0] - self.deaths[1],
        );
    }
}

/// Plays the test levels on all processors: `player` makes a player, which plays one level.
fn test<P: FnMut(u64) -> Step>(name: &str, player: impl Fn() -> P + Sync) {
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Outcomes::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut play = player();
                loop {
                    let level = next.fetch_add(1, Ordering::Relaxed);
                    if level >= LEVELS {
                        return;
                    }
                    let last = play(TEST + level);
                    outcomes.lock().expect("no player has panicked").add(&last);
                }
            });
        }
    });
    outcomes
        .into_inner()
        .expect("no player has panicked")
        .print(name);
}

/// A test of a policy that sees nothing: step and seed give its action.
fn blind(name: &str, policy: impl Fn(usize, u64) -> u8 + Sync) {
    test(name, || {
        let mut play = Play::test();
        let policy = &policy;
        move |seed| play.episode(seed, |count| policy(count, seed))
    });
}

/// Whether a frame repeats the last action, as in the wrapper.
fn repeats(random: &mut Random) -> bool {
    (random.below(1 << 20) as f64) < STICKY * f64::from(1 << 20)
}

/// An action that leads on, mostly.
fn onwards(random: &mut Random) -> u8 {
    match random.below(16) {
        0 => NOTHING,
        1 => LEFT,
        2..4 => RIGHT,
        4..6 => RIGHT_A,
        6..10 => RIGHT_B,
        _ => RIGHT_A_B,
    }
}

/// A list of held actions.
fn list(random: &mut Random, steps: usize, longest: u64) -> Vec<u8> {
    let mut actions = Vec::with_capacity(steps + longest as usize);
    while actions.len() < steps {
        let held = 1 + random.below(longest) as usize;
        actions.resize(actions.len() + held, onwards(random));
    }
    actions.truncate(steps);
    actions
}

/// The best of the blind lists on training levels.
fn best_list() -> Vec<u8> {
    let next = AtomicU64::new(0);
    let best = Mutex::new((0.0, Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut play = Play::test();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= LISTS {
                        return;
                    }
                    let actions = list(&mut Random(number), STEPS as usize, 12);
                    let x: f64 = (0..TRAINING)
                        .map(|seed| play.episode(seed, |count| actions[count]).measured[X])
                        .sum();
                    let mut best = best.lock().expect("no player has panicked");
                    if x > best.0 {
                        *best = (x, actions);
                    }
                }
            });
        }
    });
    best.into_inner().expect("no player has panicked").1
}

/// Tries out sequences of actions from the state of the game that is played. Frames repeat actions
/// in its own game too, but others than in that one, whose repetitions it does not know.
struct Planner {
    game: Play,
    random: Random,
    best: Vec<u8>,
}

impl Planner {
    fn new() -> Self {
        let game = Homebrew::new(Buttons::Simple);
        Self {
            game: Play::new(Box::new(game)),
            random: Random(1),
            best: Vec::new(),
        }
    }

    /// Finds the best sequence from `start` on, where `last` was the last action. The one before, as
    /// far as it was not played, is tried too. The best ones are tried again, since they may have
    /// been lucky.
    fn plan(&mut self, start: &Snapshot, last: u8) {
        let mut tried = Vec::new();
        for number in 0..SEQUENCES {
            let mut actions = list(&mut self.random, AHEAD, 8);
            if number == 0 && !self.best.is_empty() {
                let kept = self.best.len() - PLAYED;
                actions[..kept].copy_from_slice(&self.best[PLAYED..]);
            }
            tried.push((self.value(start, last, &actions), actions));
        }
        tried.sort_by(|a, b| b.0.total_cmp(&a.0));
        tried.truncate(FINALISTS);
        for (value, actions) in &mut tried {
            for _ in 0..AGAIN {
                *value += self.value(start, last, actions);
            }
        }
        let best = tried.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        self.best = best.expect("some were tried").1;
    }

    /// The sum of the rewards; a death costs more than anything else can give, an early one most.
    fn value(&mut self, start: &Snapshot, last: u8, actions: &[u8]) -> f64 {
        self.game.env.restore(start).expect("one of its kind");
        let (mut sum, mut held) = (0.0, last);
        for (i, &action) in actions.iter().enumerate() {
            for _ in 0..FRAMES {
                if !repeats(&mut self.random) {
                    held = action;
                }
                let step = self.game.step(held);
                sum += step.reward;
                if step.measured[FLAG] == 1.0 {
                    return sum + 1_000.0;
                }
                if step.terminated {
                    return sum - 1_000.0 + i as f64;
                }
            }
        }
        sum
    }

    /// Plays the level of `seed`.
    fn episode(&mut self, seed: u64) -> Step {
        let mut luck = Random(seed ^ 0x5EED);
        let mut game = Play::new(Box::new(Homebrew::new(Buttons::Simple)));
        game.reset(seed);
        self.random = Random(seed);
        self.best.clear();
        let mut last = NOTHING;
        let mut count = 0;
        loop {
            let start = game.env.snapshot().expect("the episode runs");
            self.plan(&start, last);
            for i in 0..PLAYED {
                for _ in 0..FRAMES {
                    if !repeats(&mut luck) {
                        last = self.best[i];
                    }
                    let mut step = game.step(last);
                    if step.terminated {
                        return step;
                    }
                    count += 1;
                    if count == STEPS * FRAMES {
                        step.truncated = true;
                        return step;
                    }
                }
            }
        }
    }
}

fn main() {
    println!(
        "{:<42} {:>8} {:>8} {:>8} {:>6} {:>6}",
        "player", "flags", "mean x", "killed", "fell", "late"
    );
    blind("random", |count, seed| {
        Random((seed << 16) | count as u64).below(7) as u8
    });
    blind("right with A and B, held", |_, _| RIGHT_A_B);
    for (on, off) in [(1, 1), (2, 1), (4, 1), (8, 1), (8, 2), (12, 4)] {
        let name = format!("right and B, A for {on} steps of {}", on + off);
        blind(&name, |count, _| match count % (on + off) < on {
            true => RIGHT_A_B,
            false => RIGHT_B,
        });
        let name = format!("right, A for {on} steps of {}", on + off);
        blind(&name, |count, _| match count % (on + off) < on {
            true => RIGHT_A,
            false => RIGHT,
        });
    }
    let best = best_list();
    blind(&format!("the best of {LISTS} blind lists"), |count, _| {
        best[count]
    });
    let name = format!("planner, {SEQUENCES} sequences of {AHEAD} steps");
    test(&name, || {
        let mut planner = Planner::new();
        move |seed| planner.episode(seed)
    });
}
