//! Blackouts: for some steps z is withheld and replaced by the memory's draws.

use frmdn_engine::random::{Pcg64, stream};

use crate::memory::{Memory, NoPrediction, Prediction, Scratch};

/// When the latent z is withheld, and how the memory replaces it: for `steps` steps from every
/// multiple of `every` on.
///
/// During a blackout the memory consumes its own draws and the real actions; afterwards it consumes
/// the latents of V again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blackout {
    /// Number of steps from one blackout to the next, and before the first one.
    pub every: u32,
    /// Number of steps of a blackout, at most `every`; 0 withholds nothing.
    pub steps: u32,
    /// Temperature of the draws.
    pub temperature: f32,
    /// Root seed: the random numbers of step t on a track are the same for every memory and
    /// controller.
    pub seed: u64,
}

/// A running episode.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlackoutRow {
    /// Its row in the buffers of states and latents.
    pub row: usize,
    /// Seed of its track.
    pub track: u64,
    /// Steps since its reset.
    pub step: u32,
}

/// Buffers of [`Blackout::fill`], a row for each episode whose latent is withheld.
#[derive(Debug, Default)]
pub(super) struct BlackoutScratch {
    withheld: Vec<BlackoutRow>,
    states: Vec<f32>,
    rngs: Vec<Pcg64>,
    draws: Vec<f32>,
    predictions: Vec<Prediction>,
    memory: Scratch,
}

impl Blackout {
    /// Whether the latent of step `step`, counted from 0, is withheld.
    pub fn withholds(&self, step: u32) -> bool {
        self.every > 0 && step >= self.every && step % self.every < self.steps
    }

    /// Replaces the rows of `latents` [rows, latent] that are withheld by draws of `memory`, each
    /// from its row of `states`.
    pub(super) fn fill(
        &self,
        memory: &dyn Memory,
        rows: impl Iterator<Item = BlackoutRow>,
        states: &[f32],
        latents: &mut [f32],
        latent: usize,
        scratch: &mut BlackoutScratch,
    ) -> Result<(), NoPrediction> {
        let BlackoutScratch { withheld, rngs, .. } = scratch;
        withheld.clear();
        withheld.extend(rows.filter(|r| self.withholds(r.step)));
        if withheld.is_empty() {
            return Ok(());
        }
        let len = memory.state_len();
        scratch.states.clear();
        rngs.clear();
        for &BlackoutRow { row, track, step } in &*withheld {
            let state = &states[row * len..(row + 1) * len];
            scratch.states.extend_from_slice(state);
            rngs.push(stream(self.seed, "blackout", &[track, u64::from(step)]));
        }
        scratch.draws.resize(withheld.len() * latent, 0.0);
        let none = Prediction::default();
        scratch.predictions.resize(withheld.len(), none);
        memory.predict(
            &scratch.states,
            self.temperature,
            rngs,
            &mut scratch.draws,
            &mut scratch.predictions,
            &mut scratch.memory,
        )?;
        let draws = scratch.draws.chunks_exact(latent);
        for (&BlackoutRow { row, .. }, z) in withheld.iter().zip(draws) {
            latents[row * latent..(row + 1) * latent].copy_from_slice(z);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use frmdn_engine::random::fill_normal;

    use super::*;
    use crate::{
        controller::{Actions, Controller},
        memory::{self, MemoryConfig, Stacked, Variant},
        rollout::{ActingModel, DriveOptions, Driver, Job, Outcome},
        run::Interrupt,
        vision::{Vae, VaeConfig},
        worlds::{self, Bridge, World},
    };

    const LATENT: usize = 6;

    fn at(every: u32, steps: u32) -> Blackout {
        Blackout {
            every,
            steps,
            temperature: 1.0,
            seed: 3,
        }
    }

    /// Every 60 steps for 5: 60 to 64, 120 to 124, …; the first sixty steps are seen.
    #[test]
    fn the_steps_that_are_withheld() {
        let withheld = |blackout: Blackout, to: u32| {
            (0..to)
                .filter(|&t| blackout.withholds(t))
                .collect::<Vec<u32>>()
        };
        assert_eq!(
            withheld(at(60, 5), 190),
            [
                60, 61, 62, 63, 64, 120, 121, 122, 123, 124, 180, 181, 182, 183, 184
            ]
        );
        assert!(withheld(at(60, 0), 1000).is_empty());
        assert_eq!(withheld(at(3, 3), 7), [3, 4, 5, 6]);
        assert!(withheld(at(0, 5), 100).is_empty());
    }

    fn drive(variant: Variant, blackout: Option<Blackout>, threads: usize) -> Vec<Outcome> {
        let vision = VaeConfig {
            width: 4,
            decoder_width: 0,
            latent: LATENT,
        };
        let config = MemoryConfig {
            variant,
            hidden: 8,
            components: 2,
            flow_hidden: 8,
            ..MemoryConfig::default()
        };
        let inner = memory::load(&config, LATENT, 3, &memory::init(&config, LATENT, 3, 1)).unwrap();
        let encoder = Some(Vae::init(vision, 1).encoder());
        let memory = Box::new(Stacked::new(inner, LATENT));
        let model = ActingModel {
            encoder,
            memory,
            latent: LATENT,
            actions: Actions::of(&crate::worlds::default_spec()),
        };
        let mut weights = vec![0.0; Controller::count(2 * LATENT, 3)];
        fill_normal(&mut stream(2, "c", &[]), &mut weights);
        let controller = Controller::new(2 * LATENT, 3, weights);
        let jobs: Vec<Job<'_>> = (0..3).map(|seed| Job::of(&controller, seed)).collect();
        let world = World::open(worlds::DEFAULT, &Bridge::default()).unwrap();
        let options = DriveOptions {
            most_steps: None,
            give_up_after: Some(60),
            blackout,
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let stop = Interrupt::default();
        let driver = Driver::new(&world, &stop).with_model(&model);
        pool.install(|| driver.with_options(options).drive(&jobs))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn nothing_withheld_is_plain_driving_and_threads_do_not_matter() {
        let plain = drive(Variant::Rmdn, None, 1);
        assert_eq!(plain, drive(Variant::Rmdn, Some(at(20, 0)), 1));
        // The controller does not see h: without blackouts every memory gives the same outcomes.
        assert_eq!(plain, drive(Variant::Copy, None, 2));
        let blind = drive(Variant::Rmdn, Some(at(20, 10)), 1);
        assert_ne!(plain, blind);
        assert_eq!(blind, drive(Variant::Rmdn, Some(at(20, 10)), 2));
        assert_ne!(blind, drive(Variant::Copy, Some(at(20, 10)), 1));
    }

    /// The variant `copy` repeats the last latent before the blackout.
    #[test]
    fn copy_repeats_the_last_latent() {
        let config = MemoryConfig {
            variant: Variant::Copy,
            ..MemoryConfig::default()
        };
        let memory = Stacked::new(
            memory::load(&config, 2, 1, &memory::init(&config, 2, 1, 1)).unwrap(),
            2,
        );
        let (mut states, mut latents, mut scratch) = (
            vec![0.0; 2 * memory.state_len()],
            vec![1.0, 2.0, 3.0, 4.0],
            Scratch::default(),
        );
        memory.step(2, &latents.clone(), &[0.0, 0.0], &mut states, &mut scratch);
        for (step, seen) in [(20, [5.0, 6.0]), (21, [7.0, 8.0])] {
            latents = [seen, seen].concat();
            // The second row is one step behind.
            let rows = [0, 1].map(|row| BlackoutRow {
                row,
                track: 1,
                step: step - row as u32,
            });
            at(20, 2)
                .fill(
                    &memory,
                    rows.into_iter(),
                    &states,
                    &mut latents,
                    2,
                    &mut BlackoutScratch::default(),
                )
                .unwrap();
            assert_eq!(latents[..2], [1.0, 2.0]);
            assert_eq!(latents[2..], if step == 20 { seen } else { [5.0, 6.0] });
            memory.step(2, &latents.clone(), &[0.0, 0.0], &mut states, &mut scratch);
        }
    }
}
