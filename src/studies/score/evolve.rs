//! A small evolution: CMA-ES in standardised coordinates of [z, h]; all candidates of a generation
//! drive the same tracks.

use frmdn_cma_es::{CmaError, CmaEs, CmaEsConfig, Covariance, Recombination};
use frmdn_engine::random::stream;
use rand::RngExt;

use super::{Score, data::Data, imitate};
use crate::{
    controller::{Controller, Whitening},
    rollout::{ActingModel, DriveOptions, Job},
    run::{Result, RunError, seeds},
    stages::{self, Context},
};

/// First step size from the origin, in standardised coordinates.
pub const SIGMA: f64 = 0.1;
/// First step size of an evolution that begins at a driver.
pub const SIGMA_AT_DRIVER: f64 = 0.05;
/// Tracks of a candidate.
pub const TRACKS: usize = 2;
/// Steps without progress after which a candidate's episode is given up.
const GIVE_UP: u32 = 100;

/// The evolution of a controller for one acting model.
pub struct Search<'a> {
    data: &'a Data,
    pub model: ActingModel,
    whitening: Whitening,
    optimiser: CmaEs,
    seed: u64,
}

impl<'a> Search<'a> {
    /// Starts at the origin, the controller that does nothing. The covariance is separable whatever
    /// the number of weights, so that memories differ only in what they show the controller.
    ///
    /// # Errors
    /// If the statistics of the inputs cannot be read.
    pub fn new(data: &'a Data, model: ActingModel, population: usize, seed: u64) -> Result<Self> {
        let whitening = Whitening::standard(&stages::moments(&data.folder, &model, None)?);
        let dimension = whitening.count(model.actions.width());
        let config = CmaEsConfig {
            dimension,
            population: Some(population),
            sigma0: SIGMA,
            covariance: Covariance::Separable,
            recombination: Recombination::BetterHalf,
            seed,
        };
        Ok(Self {
            data,
            model,
            whitening,
            optimiser: CmaEs::new(config).map_err(failed)?,
            seed,
        })
    }

    /// Starts at a controller that imitates the recorded drivers; at the origin if all of them
    /// ignore the observation.
    ///
    /// # Errors
    /// As [`Search::new`], and if an episode cannot be read.
    pub fn at_drivers(
        data: &'a Data,
        model: ActingModel,
        population: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut search = Self::new(data, model, population, seed)?;
        if let Some(x) = imitate::imitate_drivers(data, &search.model, &search.whitening)? {
            let config = CmaEsConfig {
                sigma0: SIGMA_AT_DRIVER,
                ..search.optimiser.config().clone()
            };
            search.optimiser = CmaEs::new(config).map_err(failed)?;
            search.optimiser.start_at(&x).map_err(failed)?;
        }
        Ok(search)
    }

    fn controller(&self, x: &[f64]) -> Controller {
        self.whitening.controller(self.model.actions.width(), x)
    }

    /// The candidates of this generation.
    pub fn candidates(&self) -> Vec<Controller> {
        self.optimiser
            .ask()
            .iter()
            .map(|x| self.controller(x))
            .collect()
    }

    /// The distribution's mean.
    pub fn mean(&self) -> Controller {
        self.controller(self.optimiser.mean())
    }

    /// Updates the distribution by a generation's fitnesses, the higher the better, in the
    /// candidates' order.
    ///
    /// # Errors
    /// If they are too few or not finite.
    pub fn tell(&mut self, fitness: &[f64]) -> Result<()> {
        self.optimiser
            .tell(&fitness.iter().map(|f| -f).collect::<Vec<_>>())
            .map_err(failed)
    }

    /// One generation in the real environment, on training tracks of its own. Returns its numbers
    /// of episodes and frames.
    ///
    /// # Errors
    /// If the environment fails or the user interrupts.
    pub fn generation(&mut self, plan: &Score, context: &Context<'_>) -> Result<[u64; 2]> {
        let candidates = self.candidates();
        let mut rng = stream(self.seed, "score/tracks", &[self.optimiser.generation()]);
        let tracks: Vec<u64> = (0..TRACKS)
            .map(|_| rng.random_range(seeds::EVOLVE))
            .collect();
        let jobs: Vec<Job<'_>> = candidates
            .iter()
            .flat_map(|controller| tracks.iter().map(move |&seed| Job::of(controller, seed)))
            .collect();
        let options = DriveOptions {
            give_up_after: Some(GIVE_UP),
            ..DriveOptions::default()
        };
        let outcomes = plan.drive(&self.model, &self.data.world, &jobs, options, context)?;
        let fitness: Vec<f64> = outcomes
            .chunks(TRACKS)
            .map(|o| o.iter().map(|o| o.fitness).sum::<f64>() / TRACKS as f64)
            .collect();
        self.tell(&fitness)?;
        Ok([
            outcomes.len() as u64,
            outcomes.iter().map(|o| u64::from(o.steps)).sum(),
        ])
    }
}

fn failed(e: CmaError) -> RunError {
    RunError::Failed(format!("compare score: {e}"))
}
