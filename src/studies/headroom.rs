//! `headroom`: how much a density can gain by knowing how the values of one step depend on each other,
//! before any is fitted.
//!
//! A linear predictor takes from the data what is foretold by the last steps. What it leaves has a
//! covariance; a density whose components are diagonal pays for the dependence in it, one with a flow
//! or a full matrix does not. The difference of the two likelihoods on sequences that were not fitted
//! is the headroom. Loud and quiet steps have covariances of their own: classes by the energy of what
//! was just seen, as a mixture's components would find them.

use super::predictor::{Predictor, Residuals, add_gram};
use crate::{
    data::{
        Dataset, Domain, Latents, Speech, held_out_batches,
        images::{self, ImageSequences, Logit, Order},
        sound,
    },
    recurrent::{Sequences, Targets},
    run::{Part, Result, RunError, RunFolder},
    stages::{self, Context},
};

/// Sequences that the predictor is fitted to, and that it is judged on.
const FITTED: usize = 150;
const JUDGED: usize = 50;
/// The same for images, which are short.
const IMAGES: usize = 20;
/// Samples of a frame of speech.
const FRAME: usize = 200;
/// Classes by energy.
const CLASSES: usize = 16;
/// Steps that a class needs for each value, that its covariance is known.
const ROWS_A_VALUE: usize = 4;
/// Added to a covariance's diagonal, in parts of its mean.
const RIDGE: f64 = 1e-7;
/// Nats a value from which on a flow is worth trying. Car-Racing's latents have 0.01 to 0.05, where no flow
/// ever gained; speech has 1.9, where it gains most.
pub const WORTH: f64 = 0.1;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Headroom {
    /// Name of the data.
    pub data: String,
    /// Values of a step.
    pub dim: usize,
    /// Steps that were fitted and judged.
    pub steps: [usize; 2],
    /// For one class, and for up to 16 if there are steps enough: their number, and nats a step
    /// with diagonal and with full covariances.
    pub rows: Vec<(usize, [f64; 2])>,
}

impl Headroom {
    /// Nats a step that dependence between values is worth, with the most classes.
    pub fn nats(&self) -> f64 {
        self.rows
            .last()
            .map_or(0.0, |(_, [diagonal, full])| diagonal - full)
    }

    /// Whether a flow is worth trying, in a sentence.
    pub fn verdict(&self) -> String {
        let (nats, value) = (self.nats(), self.nats() / self.dim as f64);
        let found = format!(
            "dependence between the {} values of a step is worth {nats:.1} nats a step, {value:.2} a \
             value",
            self.dim
        );
        match value >= WORTH {
            true => format!("A flow, or a matrix, is worth trying: {found}."),
            false => format!("No flow can gain much here: {found}."),
        }
    }
}

/// The headroom of `data`: a run folder with a trained V, or what `density speech` and `density
/// images` take.
///
/// # Errors
/// If there are no such data, or they cannot be read; if V is not trained; or if values never change.
pub fn headroom(data: &str, context: &Context<'_>) -> Result<Headroom> {
    let path = std::path::Path::new(data);
    let config = |e: &dyn std::fmt::Display| RunError::Config(e.to_string());
    if path.join("run.toml").exists() {
        return of_run(path, context);
    }
    let images = || images::open(data);
    let is_image_set = images::NAMES.contains(&data);
    match (is_image_set, path.exists()) {
        (true, _) => of_images(images().map_err(|e| config(&e))?),
        (false, true) => match images() {
            Ok(set) => of_images(set),
            Err(_) => of_speech(data),
        },
        (false, false) => of_speech(data),
    }
}

fn of_run(path: &std::path::Path, context: &Context<'_>) -> Result<Headroom> {
    let folder = RunFolder::open(path)?;
    if !folder.path("vision/weights.safetensors").exists() {
        return Err(RunError::Missing {
            what: Part::Vision,
            path: path.to_path_buf(),
        });
    }
    let actions = stages::encode(&folder, context)?.actions;
    let preset = folder.preset();
    let episodes = preset.collect.driven();
    let training: Vec<usize> = stages::training_indices(episodes).collect();
    let latents = Latents::new(&folder, &preset.memory, actions, &training)?;
    let held_out: Vec<usize> = stages::held_out_indices(episodes).collect();
    let every = training.len().div_ceil(FITTED).max(1);
    let training: Vec<usize> = training.into_iter().step_by(every).collect();
    let seed = preset.seed;
    let (fitted, _) = held_out_batches(&latents, &training, seed)?;
    let (judged, _) = held_out_batches(&latents, &held_out[..held_out.len().min(JUDGED)], seed)?;
    measure(&path.display().to_string(), &fitted, &judged, [16, 3])
}

fn of_speech(data: &str) -> Result<Headroom> {
    let corpus = sound::open(data).map_err(|e| RunError::Config(e.to_string()))?;
    let name = corpus.name.clone();
    let speech = Speech::new(corpus, FRAME)?;
    of_domain(&name, &speech, [FITTED, JUDGED], [2, 1])
}

fn of_images(set: images::ImageSet) -> Result<Headroom> {
    let name = set.name.clone();
    let logit = match set.training.channels {
        1 => Logit::MNIST,
        _ => Logit::CIFAR,
    };
    let images = ImageSequences::new(set, Order::Rows, logit);
    let counts = [FITTED, JUDGED].map(|n| n * IMAGES);
    of_domain(&name, &images, counts, [3, 0])
}

fn of_domain<D: Domain>(
    name: &str,
    data: &D,
    [fitted, judged]: [usize; 2],
    past: [usize; 2],
) -> Result<Headroom> {
    let parts = data.parts();
    let (fitted, _) = batches(data, &parts.training, fitted)?;
    let (judged, _) = batches(data, &parts.test, judged)?;
    measure(name, &fitted, &judged, past)
}

/// `count` of the sequences `indices`, from all over them.
fn batches<D: Dataset>(
    data: &D,
    indices: &[usize],
    count: usize,
) -> Result<(Vec<Sequences<D::Targets>>, f64)> {
    let every = indices.len().div_ceil(count).max(1);
    let chosen: Vec<usize> = indices.iter().copied().step_by(every).collect();
    held_out_batches(data, &chosen, 1)
}

/// The headroom of residuals on `judged` of a predictor that sees `past` values and givens, all of it
/// fitted to `fitted`.
fn measure<T: Targets>(
    name: &str,
    fitted: &[Sequences<T>],
    judged: &[Sequences<T>],
    past: [usize; 2],
) -> Result<Headroom> {
    let dim = fitted[0].seen.len() / fitted[0].steps;
    let steps = [fitted, judged].map(|batches| batches.iter().map(|b| b.steps).sum::<usize>());
    if steps[0] < ROWS_A_VALUE * dim {
        return Err(RunError::Config(format!(
            "{name}: {} steps are too few to measure how {dim} values depend on each other; {} are \
             needed",
            steps[0],
            ROWS_A_VALUE * dim
        )));
    }
    let predictor = Predictor::fit(fitted, past)?;
    let mut rows = Vec::new();
    for classes in [1, CLASSES] {
        if steps[0] < classes * ROWS_A_VALUE * dim {
            continue;
        }
        let limits = limits(fitted, classes, ROWS_A_VALUE * dim);
        let nats = nats(&predictor, fitted, judged, dim, &limits)?;
        rows.push((limits.len() + 1, nats));
    }
    Ok(Headroom {
        data: name.into(),
        dim,
        steps,
        rows,
    })
}

/// Mean square of what was just seen, at every step.
fn energies<T: Targets>(batch: &Sequences<T>) -> Vec<f32> {
    let dim = batch.seen.len() / batch.steps;
    let energy = |seen: &[f32]| seen.iter().map(|v| v * v).sum::<f32>() / dim as f32;
    batch.seen.chunks_exact(dim).map(energy).collect()
}

/// The energies between `classes` classes of about equally many steps; fewer classes where many steps
/// have the same energy, so that each has at least `least` steps.
fn limits<T: Targets>(fitted: &[Sequences<T>], classes: usize, least: usize) -> Vec<f32> {
    let mut all: Vec<f32> = fitted.iter().flat_map(|batch| energies(batch)).collect();
    all.sort_by(f32::total_cmp);
    let (mut limits, mut begun) = (Vec::new(), 0);
    for i in 1..classes {
        let limit = all[i * all.len() / classes];
        let at = all.partition_point(|energy| *energy < limit);
        if at >= begun + least && all.len() >= at + least {
            limits.push(limit);
            begun = at;
        }
    }
    limits
}

/// Nats a step of `judged` with diagonal and with full covariances of each class.
fn nats<T: Targets>(
    predictor: &Predictor,
    fitted: &[Sequences<T>],
    judged: &[Sequences<T>],
    dim: usize,
    limits: &[f32],
) -> Result<[f64; 2]> {
    let class = |energy: &f32| limits.partition_point(|limit| limit <= energy);
    let classes = limits.len() + 1;
    let mut residuals = vec![Vec::<f32>::new(); classes];
    for batch in fitted {
        let e = predictor.residuals(batch);
        for (e, energy) in e.chunks_exact(dim).zip(energies(batch)) {
            residuals[class(&energy)].extend_from_slice(e);
        }
    }
    let mut densities = Vec::with_capacity(classes);
    for e in &residuals {
        let rows = (e.len() / dim).max(1) as f64;
        let mut covariance = vec![0.0; dim * dim];
        add_gram(e, dim, e, dim, &mut covariance);
        covariance.iter_mut().for_each(|c| *c /= rows);
        let trace: f64 = (0..dim).map(|i| covariance[i * dim + i]).sum();
        let ridge = RIDGE * trace / dim as f64;
        (0..dim).for_each(|i| covariance[i * dim + i] += ridge);
        densities.push([
            Residuals::new(&covariance, dim, false)?,
            Residuals::new(&covariance, dim, true)?,
        ]);
    }
    let (mut sums, mut steps) = ([0.0; 2], 0.0);
    for batch in judged {
        let e = predictor.residuals(batch);
        for (e, energy) in e.chunks_exact(dim).zip(energies(batch)) {
            for (sum, density) in sums.iter_mut().zip(&densities[class(&energy)]) {
                *sum += density.nats(e);
            }
            steps += 1.0;
        }
    }
    Ok(sums.map(|sum| sum / f64::max(steps, 1.0)))
}

#[cfg(test)]
mod tests {
    use frmdn_engine::random::{fill_normal, stream};

    use super::*;

    /// Pairs with correlation ρ at every step, independent in time and loud at every other sequence: the
    /// headroom is −½ ln(1 − ρ²) nats, and two loudnesses cost classless Gaussians what classes know.
    fn pairs(rho: f32, seed: u64) -> Vec<Sequences> {
        let one = |index: u64| {
            let mut batch = Sequences::<()>::zeros(2000, 1, 2, 0);
            let rng = &mut stream(seed, "headroom-test", &[index]);
            let scale = if index.is_multiple_of(2) { 1.0 } else { 10.0 };
            let mut before = [0.0; 2];
            for t in 0..batch.steps {
                let mut e = [0.0f32; 2];
                fill_normal(rng, &mut e);
                let next = [e[0], rho * e[0] + (1.0 - rho * rho).sqrt() * e[1]];
                let next = next.map(|v| v * scale);
                batch.seen[2 * t..2 * t + 2].copy_from_slice(&before);
                batch.next[2 * t..2 * t + 2].copy_from_slice(&next);
                before = next;
            }
            batch
        };
        (0..20).map(one).collect()
    }

    #[test]
    fn a_correlation_is_worth_its_mutual_information() {
        for (rho, is_worth) in [(0.9f32, true), (0.0, false)] {
            let found = measure("pairs", &pairs(rho, 1), &pairs(rho, 2), [1, 0]).unwrap();
            let information = -0.5 * f64::from(1.0 - rho * rho).ln();
            assert_eq!(found.rows.len(), 2);
            for (classes, [diagonal, full]) in &found.rows {
                let worth = diagonal - full;
                assert!((worth - information).abs() < 0.03, "{classes}: {worth}");
            }
            // Classes know how loud it is.
            assert!(found.rows[1].1[1] < found.rows[0].1[1] - 0.5);
            let says = found.verdict();
            assert_eq!(says.starts_with("A flow"), is_worth, "{says}");
        }
    }
}
