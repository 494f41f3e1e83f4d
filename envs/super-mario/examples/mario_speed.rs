//! Prints rates a CPU second of one core as a JSON object, in stage 1-1 with random actions of the set `simple`
//! that are held for 1 to 16 frames, with resets:
//! `cargo run --release -p frmdn-super-mario --example mario_speed -- GAME [SECONDS]`.
//!
//! - `console`: frames a second of the console without pictures,
//! - `drawn`: the same with a picture each,
//! - `steps`: steps of four frames a second of the environment, with the agent's view of each,
//! - `grey`: steps of four frames a second of the game, with the last four pictures as 84 × 84 shades of grey,
//!   averaged over areas: what other environments of this game show,
//! - `clone_ns`: nanoseconds to copy the console's state over another, and `state_bytes`, its size.

use std::{hint::black_box, path::Path, time::Duration};

use frmdn_env::{Env, ObservationMut, wrappers::FrameSkip};
use frmdn_nes::{HEIGHT, Nes, Picture, State, WIDTH};
use frmdn_super_mario::{Buttons, Game, MarioConfig, RGB, Rom, SIDE, SuperMario};

/// Random actions, each held for a while.
struct Held {
    state: u64,
    action: usize,
    left: u64,
}

impl Held {
    fn new() -> Self {
        Self {
            state: 1,
            action: 0,
            left: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        // A linear congruence; its high bits are the random ones.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    fn next(&mut self, actions: usize, longest: u64) -> usize {
        if self.left == 0 {
            self.action = self.random(actions as u64) as usize;
            self.left = 1 + self.random(longest);
        }
        self.left -= 1;
        self.action
    }
}

/// Time that this process has spent on a processor; since it started, where the system does not say.
fn cpu(started: std::time::Instant) -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok());
    nanoseconds.map_or_else(|| started.elapsed(), Duration::from_nanos)
}

/// Calls `work`, which does `count` things, for `span`: things a second.
fn rate<E>(count: u32, span: Duration, mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let started = std::time::Instant::now();
    let (began, mut done) = (cpu(started), 0u64);
    while cpu(started) - began < span {
        work()?;
        done += u64::from(count);
    }
    Ok(done as f64 / (cpu(started) - began).as_secs_f64())
}

/// Frames a second of the game, without what agents see.
fn frames(game: &mut Game, mut picture: Option<&mut Picture>, span: Duration) -> f64 {
    let buttons = Buttons::default().actions();
    let mut held = Held::new();
    game.reset();
    let played = rate(1000, span, || {
        for _ in 0..1000 {
            let action = held.next(buttons.len(), 16);
            if game.frame(buttons[action], picture.as_deref_mut()).done {
                game.reset();
            }
        }
        Ok::<(), std::convert::Infallible>(())
    });
    played.unwrap_or_else(|e| match e {})
}

/// Steps of four frames a second of the environment.
fn steps(env: SuperMario, span: Duration) -> Result<f64, frmdn_env::EnvError> {
    let mut env = FrameSkip::new(Box::new(env), 4, false);
    let actions = Buttons::default().actions().len();
    let mut seen = vec![0; SIDE * SIDE * 3];
    let mut held = Held::new();
    env.reset(0, ObservationMut::Frame(&mut seen))?;
    rate(250, span, || {
        for _ in 0..250 {
            let action = [held.next(actions, 4) as f32];
            if env.step(&action, ObservationMut::Frame(&mut seen))?.done() {
                env.reset(0, ObservationMut::Frame(&mut seen))?;
            }
        }
        Ok(())
    })
}

/// Side of the grey picture, and how many are shown.
const SIDE_GREY: usize = 84;
const STACK: usize = 4;

/// Grey pictures: the last ones, the newest at the end.
struct Grey {
    /// The shade of each colour.
    shades: [u32; 64],
    /// Of each row and each column of the picture: the first one of the screen in it, and their shares.
    rows: Vec<(usize, Vec<u32>)>,
    columns: Vec<(usize, Vec<u32>)>,
    line: [u32; WIDTH],
    seen: Vec<u8>,
}

/// What `SIDE_GREY` equal parts of `size` pixels cover: the first pixel, and shares of which all sum to
/// `size`.
fn parts(size: usize) -> Vec<(usize, Vec<u32>)> {
    let part = |i: usize| {
        let (begin, end) = (i * size, (i + 1) * size);
        let first = begin / SIDE_GREY;
        let pixels = first..end.div_ceil(SIDE_GREY);
        let share = |p: usize| end.min((p + 1) * SIDE_GREY) - begin.max(p * SIDE_GREY);
        (first, pixels.map(|p| share(p) as u32).collect())
    };
    (0..SIDE_GREY).map(part).collect()
}

impl Grey {
    fn new() -> Self {
        // The weights of ITU-R BT.601.
        let shade = |[red, green, blue]: [u8; 3]| {
            (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000
        };
        Self {
            shades: RGB.map(shade),
            rows: parts(HEIGHT),
            columns: parts(WIDTH),
            line: [0; WIDTH],
            seen: vec![0; STACK * SIDE_GREY * SIDE_GREY],
        }
    }

    fn see(&mut self, picture: &Picture) {
        let size = SIDE_GREY * SIDE_GREY;
        self.seen.copy_within(size.., 0);
        let newest = &mut self.seen[(STACK - 1) * size..];
        for ((first, shares), out) in self.rows.iter().zip(newest.chunks_exact_mut(SIDE_GREY)) {
            self.line = [0; WIDTH];
            let lines = picture.colours()[first * WIDTH..].chunks_exact(WIDTH);
            for (share, line) in shares.iter().zip(lines) {
                for (sum, colour) in self.line.iter_mut().zip(line) {
                    *sum += share * self.shades[usize::from(colour & 63)];
                }
            }
            for ((first, shares), shade) in self.columns.iter().zip(out) {
                let parts = shares.iter().zip(&self.line[*first..]);
                let sum: u32 = parts.map(|(share, sum)| share * sum).sum();
                *shade = (sum / (WIDTH * HEIGHT) as u32) as u8;
            }
        }
    }
}

/// Steps of four frames a second of the game, with grey pictures.
fn grey_steps(game: &mut Game, span: Duration) -> f64 {
    let buttons = Buttons::default().actions();
    let (mut held, mut grey, mut picture) = (Held::new(), Grey::new(), Picture::default());
    game.reset();
    let played = rate(250, span, || {
        for _ in 0..250 {
            let action = held.next(buttons.len(), 4);
            for frame in 0..4 {
                let drawn = (frame == 3).then_some(&mut picture);
                if game.frame(buttons[action], drawn).done {
                    game.reset();
                    break;
                }
            }
            grey.see(&picture);
            black_box(&grey.seen);
        }
        Ok::<(), std::convert::Infallible>(())
    });
    played.unwrap_or_else(|e| match e {})
}

/// Nanoseconds to copy the state of the console, some seconds into the game.
fn clone(rom: &Rom, span: Duration) -> f64 {
    let mut nes = Nes::new(rom.cartridge());
    for _ in 0..300 {
        nes.frame(0);
    }
    let mut copy = nes.state().clone();
    let copies = rate(1000, span, || {
        for _ in 0..1000 {
            copy.clone_from(black_box(nes.state()));
            black_box(&copy);
        }
        Ok::<(), std::convert::Infallible>(())
    });
    1e9 / copies.unwrap_or_else(|e| match e {})
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the file of the game is missing")?;
    let seconds = arguments.next().map_or(Ok(3.0), |text| text.parse())?;
    let span = Duration::try_from_secs_f64(seconds)?;
    let rom = Rom::load(Path::new(&path))?;
    let config = MarioConfig::default();
    let mut game = Game::new(&rom, config.stage)?;
    let console = frames(&mut game, None, span);
    let drawn = frames(&mut game, Some(&mut Picture::default()), span);
    let grey = grey_steps(&mut game, span);
    let steps = steps(SuperMario::new(&rom, config)?, span)?;
    let (clone, bytes) = (clone(&rom, span), size_of::<State>());
    println!(
        "{{\"console\": {console}, \"drawn\": {drawn}, \"steps\": {steps}, \"grey\": {grey}, \
         \"clone_ns\": {clone}, \"state_bytes\": {bytes}}}"
    );
    Ok(())
}
