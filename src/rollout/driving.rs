//! How an agent drives, by what lies ahead, in an environment whose inner state can be read.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::{ActingModel, DriveError, Driver, Job, Moment};
use crate::{controller::Controller, run::Interrupt, worlds::World};

/// Means over the steps of one band.
#[derive(Clone, Debug, PartialEq)]
pub struct Driving {
    /// Upper limit of the band, infinite for the last one; `None` for the start of all episodes.
    pub below: Option<f64>,
    /// Share of all steps, 0 to 1.
    pub share: f64,
    /// Mean and standard deviation of each quantity of [`frmdn_env::ProbeSpec::driving`].
    pub moments: Vec<[f64; 2]>,
}

/// Of each band the number of steps, then of each quantity the sum and the sum of squares.
type Sums = Vec<Vec<f64>>;

/// Drives `controller` on `tracks` and returns the means of the start phase, then of each band of
/// [`frmdn_env::ProbeSpec::bands_by`]. `None` if interrupted.
///
/// # Errors
/// If the inner state of `world` cannot be read, or if it refuses a call.
pub fn driving(
    model: &ActingModel,
    controller: &Controller,
    world: &World,
    tracks: std::ops::Range<u64>,
    stop: &Interrupt,
) -> Result<Option<Vec<Driving>>, DriveError> {
    let by_track: Vec<Sums> = tracks
        .into_par_iter()
        .map(|seed| track(model, controller, world, seed, stop))
        .collect::<Result<_, _>>()?;
    if stop.is_set() {
        return Ok(None);
    }
    let spec = world.probe_spec()?;
    let mut sums = empty(spec.bands.len(), spec.driving.len());
    for of_track in &by_track {
        let of_track = of_track.iter().flatten();
        for (sum, x) in sums.iter_mut().flatten().zip(of_track) {
            *sum += x;
        }
    }
    let all: f64 = sums.iter().map(|s| s[0]).sum();
    let limits = spec.bands.iter().copied().chain([f64::INFINITY]);
    let bands = [None].into_iter().chain(limits.map(Some));
    let of_band = bands
        .zip(sums)
        .map(|(below, sums)| {
            let n = sums[0];
            let moments = sums[1..].chunks_exact(2).map(|sum| {
                let [mean, square] = [0, 1].map(|i| sum[i] / n.max(1.0));
                [mean, (square - mean.powi(2)).max(0.0).sqrt()]
            });
            Driving {
                below,
                share: n / all.max(1.0),
                moments: moments.collect(),
            }
        })
        .collect();
    Ok(Some(of_band))
}

/// No steps in any band: the start, and one more than there are limits.
fn empty(limits: usize, quantities: usize) -> Sums {
    vec![vec![0.0; 1 + 2 * quantities]; limits + 2]
}

/// The sums of the episode of `seed`.
fn track(
    model: &ActingModel,
    controller: &Controller,
    world: &World,
    seed: u64,
    stop: &Interrupt,
) -> Result<Sums, DriveError> {
    let spec = world.probe_spec()?;
    let mut sums = empty(spec.bands.len(), spec.driving.len());
    let mut read = vec![0.0; spec.quantities.len()];
    let mut look = |moment: Moment<'_>| {
        if let Some(probe) = moment.env.probe() {
            probe.read(&mut read)?;
        }
        let ahead = read[spec.bands_by];
        let band = if moment.outcome.steps < spec.start_steps {
            0
        } else {
            1 + spec.bands.partition_point(|most| ahead >= *most)
        };
        let sum = &mut sums[band];
        sum[0] += 1.0;
        for (sum, i) in sum[1..].chunks_exact_mut(2).zip(spec.driving) {
            sum[0] += read[*i];
            sum[1] += read[*i] * read[*i];
        }
        Ok(ControlFlow::Continue(()))
    };
    let driver = Driver::new(world, stop).with_model(model);
    driver.watch(Job::of(controller, seed), &mut look)?;
    Ok(sums)
}
