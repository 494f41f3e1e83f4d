//! How much memory a run takes, reckoned before it takes any.
//!
//! These are sums of the arrays that grow with the settings: enough to refuse what this machine could
//! never hold, with the keys to change. Measured on the preset `tiny`, with batches of 2048: V took
//! 1.6 GB where 1.8 are reckoned, M 0.40 GB where 0.38 are.

use frmdn_cma_es::Covariance;
use frmdn_env::{EnvSpec, ObservationSpace};

use super::{ControllerInputs, Preset};
use crate::{controller::Actions, vision::FRAME, worlds};

/// What a machine is taken to have that does not say: 16 GiB.
const UNKNOWN: f64 = 16.0 * GIB;
const GIB: f64 = (1u64 << 30) as f64;

/// Arrays as large as all weights that a training has: weights, gradients, two moments, the forms
/// for products, and what is being saved.
const COPIES: f64 = 10.0;
/// Frames and sequences in a shard of a batch; each shard has gradients of its own.
const SHARDS: [f64; 2] = [16.0, 4.0];
/// Bytes of a value.
const F32: f64 = 4.0;
const F64: f64 = 8.0;
/// Bytes that are kept of a driven episode of a generation, about.
const OUTCOME: f64 = 256.0;

/// A part of a run.
pub(super) struct Part {
    /// The keys that decide how large it is.
    pub keys: &'static str,
    /// Bytes that it takes.
    pub bytes: f64,
}

/// Memory of this machine in bytes, or what the process may have of it.
pub(super) fn of_this_machine() -> f64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let total = || {
        let text = read("/proc/meminfo")?;
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        Some(1024.0 * line.split_whitespace().nth(1)?.parse::<f64>().ok()?)
    };
    // Without a limit it is the word `max`, or a number beyond all machines.
    let allowed = |path: &str| read(path)?.trim().parse::<f64>().ok();
    let limits = [
        total(),
        allowed("/sys/fs/cgroup/memory.max"),
        allowed("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ];
    let least = limits.into_iter().flatten().reduce(f64::min);
    least.unwrap_or(UNKNOWN)
}

/// The parts of a run of `preset`. They are not all there at once, but each of them has to be.
pub(super) fn parts(preset: &Preset) -> Vec<Part> {
    // What is behind the bridge shows frames, and says more only once Python was started; its
    // actions are few.
    let spec = worlds::declared(&preset.environment);
    let observed = match &spec {
        Some(EnvSpec {
            observation: ObservationSpace::Latent(n),
            ..
        }) => F32 * *n as f64,
        _ => FRAME as f64,
    };
    let actions = spec.map_or(4, |spec| Actions::of(&spec).width());
    let part = |keys, bytes| Part { keys, bytes };
    vec![
        part(
            "collect.steps × vision.window_episodes",
            windows(preset, preset.vision.window_episodes) * observed,
        ),
        part("vision.batch, vision.model", vision(preset)),
        part(
            "collect.steps × memory.window_episodes",
            latents(preset, actions),
        ),
        part(
            "memory.batch × memory.sequence, memory.model",
            memory(preset, actions),
        ),
        part(
            "controller.population × controller.tracks, controller.starts, memory.model",
            controller(preset, actions),
        ),
    ]
}

/// Moments of the episodes in memory: one window that holds all, or two.
fn windows(preset: &Preset, episodes: usize) -> f64 {
    let all = preset.collect.episodes;
    let held = if episodes >= all {
        all
    } else {
        2 * episodes.min(all)
    };
    held as f64 * (preset.collect.steps as f64 + 1.0)
}

fn count(tensors: Vec<(String, Vec<usize>)>) -> f64 {
    let size = |(_, shape): (String, Vec<usize>)| shape.iter().map(|&n| n as f64).product::<f64>();
    tensors.into_iter().map(size).sum()
}

fn vision(preset: &Preset) -> f64 {
    let (model, batch) = (&preset.vision.model, preset.vision.batch as f64);
    let weights = count(model.tensors());
    let images = [31.0, 14.0, 6.0, 2.0]
        .into_iter()
        .zip(model.encoder_filters());
    let pictures = [5.0, 13.0, 30.0, 64.0]
        .into_iter()
        .zip(model.decoder_filters());
    let images: f64 = images
        .map(|(side, filters)| side * side * filters as f64)
        .sum();
    let pictures: f64 = pictures
        .map(|(side, (_, filters))| side * side * filters as f64)
        .sum();
    // Values and gradients, and the frame as bytes and as values.
    let frame = 2.0 * (images + pictures) + 2.0 * FRAME as f64;
    F32 * (weights * (COPIES + batch / SHARDS[0]) + batch * frame)
}

/// Latents, actions and rewards of the episodes in memory, and those of the held-out batches.
fn latents(preset: &Preset, actions: usize) -> f64 {
    let row = 2 * preset.vision.model.latent + actions + 3;
    let held_out = preset.collect.episodes.min(100) as f64 * preset.collect.steps as f64;
    F32 * row as f64 * (windows(preset, preset.memory.window_episodes) + held_out)
}

fn memory(preset: &Preset, actions: usize) -> f64 {
    let (m, latent) = (&preset.memory, preset.vision.model.latent);
    if !m.model.is_recurrent() {
        return 0.0;
    }
    let (hidden, inputs) = (m.model.hidden as f64, (latent + actions) as f64);
    let density = m.model.density(latent);
    let outputs = density.map_or(0.0, |density| density.outputs() as f64);
    let of_density = density.map_or(0.0, |d| count(d.tensors(m.model.features(latent))));
    let weights = 4.0 * hidden * (inputs + hidden + 1.0) + of_density;
    let rows = m.batch as f64 * m.sequence as f64;
    // The recurrence keeps what every step was; the density has the rows of a few shards at a time.
    let step = 9.0 * hidden + 4.0 * inputs;
    let shards = SHARDS[1] * std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let density_rows = rows.min(shards * m.sequence as f64);
    let trained = weights * (COPIES + m.batch as f64 / SHARDS[1]);
    let members = m.model.members as f64 * weights;
    F32 * (trained + members + rows * step + 6.0 * density_rows * outputs)
}

fn controller(preset: &Preset, actions: usize) -> f64 {
    let (c, latent) = (&preset.controller, preset.vision.model.latent);
    let features = (latent + preset.memory.model.hidden_len(latent)) as f64;
    let coordinates = match c.inputs {
        ControllerInputs::Principal => features.min((latent + c.axes) as f64),
        ControllerInputs::Raw | ControllerInputs::Whitened => features,
    };
    let parameters = actions as f64 * (coordinates + 1.0);
    let full = match c.covariance {
        Covariance::Auto => parameters <= 200.0,
        Covariance::Separable => false,
        Covariance::Full => true,
    };
    let covariance = if full {
        parameters * parameters
    } else {
        parameters
    };
    let late = c.late.as_ref();
    let candidates = c.population.max(late.map_or(0, |late| late.population)) as f64;
    let episodes = |seeds: usize, more: usize| seeds as f64 + more as f64;
    let late = late.map_or(0.0, |late| episodes(late.seeds, late.more_seeds));
    let episodes = late.max(episodes(c.seeds, c.more_seeds));
    let optimisers = c.starts as f64 + 3.0;
    F64 * (3.0 * features * features + optimisers * covariance + 4.0 * candidates * parameters)
        + OUTCOME * candidates * episodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::SHIPPED;

    #[test]
    fn shipped_presets_stay_below_four_gibibytes_whatever_the_episodes_say() {
        for (name, _) in SHIPPED {
            let preset = Preset::resolve(name, &[]).unwrap();
            let all: f64 = parts(&preset).iter().map(|part| part.bytes).sum();
            assert!(all > 0.1 * GIB && all < 4.0 * GIB, "{name}: {all:e}");
        }
    }

    #[test]
    fn what_no_machine_holds_is_refused_with_its_keys_and_its_bytes() {
        for (set, key) in [
            ("vision.batch=18446744073709551", "vision.batch"),
            ("vision.batch=1099511627776", "vision.batch"),
            ("memory.batch=1099511627776", "memory.batch"),
            (
                "controller.population=1099511627776",
                "controller.population",
            ),
            ("collect.steps=1099511627776", "collect.steps"),
            (
                "controller.starts=9007199254740992",
                "controller.generations",
            ),
            ("controller.tracks=9007199254740992", "controller.tracks"),
        ] {
            let error = Preset::resolve("tiny", &[set.to_owned()]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(key), "{set}: {text}");
            assert!(
                text.contains("GB of memory") || text.contains("impossible"),
                "{set}: {text}"
            );
        }
        let sets = [
            "memory.model.variant=rmdn-full",
            "memory.model.hidden=4096",
            "memory.model.components=40",
            "vision.model.latent=1024",
        ]
        .map(String::from);
        let text = Preset::resolve("tiny", &sets).unwrap_err().to_string();
        assert!(
            text.contains("memory.model") && text.contains("GB of memory"),
            "{text}"
        );
    }
}
