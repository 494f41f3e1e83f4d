//! The state of an evolution: all that is needed to continue bit for bit.

use std::{path::PathBuf, sync::Arc};

use frmdn_cma_es::{CmaError, CmaEs, CmaEsConfig, Stop};
use frmdn_engine::{Params, random::stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::seed_pool::SeedPool;
use crate::{
    controller::{Controller, Hidden, Whitening},
    run::{
        Checkpoint, CheckpointKind, ControllerConfig, LateConfig, Preset, Result, RunError,
        RunFolder,
    },
};

/// Factor of the step size where candidates score too far below their mean.
const STEP_SHRINK: f64 = 0.8;

/// A mean of the search distribution that was tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    /// Generation it was tested after.
    pub generation: u64,
    /// Mean score on the selection tracks; of an evolution in dreams the mean fitness in those of the
    /// test, until candidates around it have driven real episodes, and then their mean score there.
    pub score: f64,
    /// Its score is that of real episodes of a round of dreams.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub driven: bool,
    /// Its parameters.
    pub x: Vec<f64>,
}

/// An evolution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evolution {
    /// The optimiser.
    pub optimiser: CmaEs,
    /// Checksum of the V and M that it is for.
    pub model: String,
    /// First mean of every start.
    pub origin: Vec<f64>,
    /// Coordinates of [z, h] that its parameters multiply.
    #[serde(rename = "coordinates")]
    pub whitening: Whitening,
    /// The hidden layers, if there are any; the units of the last then stand in place of [z, h].
    #[serde(skip)]
    pub hidden: Option<Arc<Hidden>>,
    /// The temperature of its controllers.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub temperature: f64,
    /// Generations so far, over all starts.
    pub generation: u64,
    /// Frames so far, selection included.
    pub frames: u64,
    /// Tracks used so far, and the hard ones among them.
    #[serde(rename = "tracks")]
    pub seeds: SeedPool,
    /// Whether generations are larger, since a test passed the score of [`LateConfig`].
    pub late: bool,
    /// Sum of the distribution's means since the last test, and their number.
    pub means: (Vec<f64>, u64),
    /// Sum of the candidates' mean fitness since the last test.
    pub fitness: f64,
    /// The best tested means, best first; in dreams the last one stands before them.
    pub finalists: Vec<Finalist>,
    /// Last score of each start that has ended, with its optimiser until the best of them is
    /// chosen.
    pub starts: Vec<(f64, Option<CmaEs>)>,
    /// Tests since the best one.
    pub stale: u64,
    /// Restarts from the best mean.
    pub restarts: u64,
    /// Whether the final choice is made.
    pub chosen: bool,
    /// Why the optimiser stopped before the last generation, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl Evolution {
    /// The first start, at `origin`, for the V and M of the checksum `model`.
    pub fn new(
        preset: &Preset,
        model: String,
        hidden: Option<Arc<Hidden>>,
        whitening: Whitening,
        origin: Vec<f64>,
    ) -> std::result::Result<Self, CmaError> {
        let n = origin.len();
        Ok(Self {
            optimiser: optimiser(
                preset,
                &origin,
                0,
                preset.controller.sigma,
                preset.controller.population,
            )?,
            model,
            hidden,
            temperature: preset.controller.temperature,
            whitening,
            origin,
            generation: 0,
            frames: 0,
            seeds: SeedPool::default(),
            late: false,
            means: (vec![0.0; n], 0),
            fitness: 0.0,
            finalists: Vec::new(),
            starts: Vec::new(),
            stale: 0,
            restarts: 0,
            chosen: false,
            stopped: None,
        })
    }

    /// Checks that the state is of controllers of `features` values with `actions` outputs.
    ///
    /// # Errors
    /// If one of its parts has another number of parameters.
    pub fn check(&self, folder: &RunFolder, features: usize, actions: usize) -> Result<()> {
        let n = self.whitening.count(actions);
        let vectors = [&self.origin, &self.means.0].into_iter();
        let vectors = vectors.chain(self.finalists.iter().map(|finalist| &finalist.x));
        let starts = self
            .starts
            .iter()
            .filter_map(|(_, optimiser)| optimiser.as_ref());
        let inputs = self.hidden.as_ref().map_or(features, |h| h.units());
        let fits = self.whitening.features() == inputs
            && self
                .hidden
                .as_ref()
                .is_none_or(|h| h.features() == features)
            && vectors.into_iter().all(|x| x.len() == n)
            && starts
                .chain([&self.optimiser])
                .all(|o| o.config().dimension == n);
        if fits {
            return Ok(());
        }
        Err(RunError::damaged(
            &state_path(folder),
            format!("not all of its parts have {n} parameters"),
            CheckpointKind::ControllerState.recovery(),
        ))
    }

    /// Whether there are no further generations, of which the preset has `generations`.
    pub fn is_over(&self, generations: u64) -> bool {
        self.generation >= generations || self.stopped.is_some()
    }

    /// The round of dreams that it is in, from 0 on: one that has ended is in its last one.
    pub fn round(&self, config: &ControllerConfig) -> u64 {
        let Some(dreams) = &config.dreams else {
            return 0;
        };
        let ended = u64::from(self.stopped.is_some());
        let round = self.generation.saturating_sub(ended) / dreams.round;
        round.min(config.rounds() - 1)
    }

    /// Whether there is one in `folder`.
    pub fn begun(folder: &RunFolder) -> bool {
        state_path(folder).exists()
    }

    /// The state saved in `folder`, if any.
    pub fn load(folder: &RunFolder) -> Result<Option<Self>> {
        if !Self::begun(folder) {
            return Ok(None);
        }
        let path = state_path(folder);
        let kind = CheckpointKind::ControllerState;
        let Checkpoint { tensors, state } = Checkpoint::<Self>::load(&path, kind)?;
        let damaged = |what: String| RunError::damaged(&path, what, kind.recovery());
        // Their number is checked with the rest of the state.
        let features = tensors.0.first().and_then(|t| t.shape.last());
        let features = features.map_or(0, |n| n.saturating_sub(1));
        let hidden = Hidden::of(&tensors, features).map_err(damaged)?;
        Ok(Some(Self {
            hidden: hidden.map(Arc::new),
            ..state
        }))
    }

    pub(super) fn save(&self, folder: &RunFolder) -> Result<()> {
        let mut tensors = Params::default();
        if let Some(hidden) = &self.hidden {
            hidden.add_to(&mut tensors);
        }
        let checkpoint = Checkpoint {
            tensors,
            state: self,
        };
        checkpoint.save(&state_path(folder), CheckpointKind::ControllerState)
    }

    /// The controller with the parameters `x`.
    pub(super) fn controller(&self, actions: usize, x: &[f64]) -> Controller {
        let controller = self.whitening.controller(actions, x);
        let controller = controller.with_temperature(self.temperature as f32);
        controller.with_hidden(self.hidden.clone())
    }

    /// The candidates of the next generation.
    pub(super) fn candidates(&self, actions: usize) -> Vec<Controller> {
        let asked = self.optimiser.ask();
        asked.iter().map(|x| self.controller(actions, x)).collect()
    }

    /// Tracks of all candidates, how many of them may be hard ones, and further tracks of the
    /// better half.
    pub(super) fn generation_shape(&self, config: &ControllerConfig) -> [usize; 3] {
        match &config.late {
            Some(late) if self.late => [late.seeds, late.hard_seeds, late.more_seeds],
            _ => [config.seeds, config.hard_seeds, config.more_seeds],
        }
    }

    /// Most points that a candidate can lose on a track against the median; infinite where there is
    /// no limit.
    pub(super) fn loss_limit(&self, config: &ControllerConfig) -> f64 {
        match &config.late {
            Some(late) if self.late && late.loss_limit > 0.0 => late.loss_limit,
            _ => f64::INFINITY,
        }
    }

    /// Part of the mean's score that its candidates should reach.
    fn target_ratio(&self, config: &ControllerConfig) -> f64 {
        match &config.late {
            Some(late) if self.late && late.candidate_ratio > 0.0 => late.candidate_ratio,
            _ => config.candidate_ratio,
        }
    }

    /// Takes a generation's losses, and the mean of its fitness on fresh tracks.
    pub(super) fn tell(
        &mut self,
        losses: &[f64],
        fitness: f64,
    ) -> std::result::Result<(), CmaError> {
        self.optimiser.tell(losses)?;
        self.generation += 1;
        for (sum, m) in self.means.0.iter_mut().zip(self.optimiser.mean()) {
            *sum += m;
        }
        self.means.1 += 1;
        self.fitness += fitness;
        Ok(())
    }

    /// The mean of the distribution's means since the last test: the noise of single generations
    /// averages out.
    pub(super) fn average(&self) -> Vec<f64> {
        self.means
            .0
            .iter()
            .map(|sum| sum / self.means.1.max(1) as f64)
            .collect()
    }

    /// Takes a test of `x` into account. Returns whether it was the best so far.
    pub(super) fn record_test(
        &mut self,
        x: Vec<f64>,
        score: f64,
        config: &ControllerConfig,
    ) -> bool {
        let fitness = self.fitness / self.means.1.max(1) as f64;
        if score > 0.0 && fitness < self.target_ratio(config) * score {
            self.optimiser = self.optimiser.clone().with_sigma_scaled(STEP_SHRINK);
        }
        (self.means, self.fitness) = ((vec![0.0; x.len()], 0), 0.0);
        let best = self.best().is_none_or(|(best, _)| score > best);
        self.stale = if best { 0 } else { self.stale + 1 };
        let at = match &config.dreams {
            // After those with the same score: the earlier one stays ahead.
            None => self.finalists.partition_point(|f| f.score >= score),
            // A score in dreams compares with none.
            Some(_) => {
                self.finalists.retain(|f| f.driven);
                (self.finalists).sort_by(|a, b| b.score.total_cmp(&a.score));
                0
            }
        };
        self.finalists.insert(
            at,
            Finalist {
                generation: self.generation,
                score,
                driven: false,
                x,
            },
        );
        self.finalists.truncate(crate::run::FINALISTS);
        best
    }

    /// Candidates around the last mean came to `score` in the real episodes of a round of dreams. Whether
    /// that is new.
    pub(super) fn record_round(&mut self, score: f64) -> bool {
        let Some(last) = self.finalists.first_mut().filter(|last| !last.driven) else {
            return false;
        };
        (last.score, last.driven) = (score, true);
        true
    }

    /// Goes back to the mean whose candidates drove best, if the last ones drove worse by more than
    /// `most` points. Returns its generation and its score.
    pub(super) fn go_back(
        &mut self,
        most: f64,
    ) -> std::result::Result<Option<(u64, f64)>, CmaError> {
        let driven = self.finalists.iter().filter(|f| f.driven);
        let best = driven.max_by(|a, b| a.score.total_cmp(&b.score));
        let Some((best, last)) = best.zip(self.finalists.first()) else {
            return Ok(None);
        };
        if most == 0.0 || best.score - last.score <= most {
            return Ok(None);
        }
        self.optimiser = self.optimiser.clone().moved_to(&best.x)?;
        Ok(Some((best.generation, best.score)))
    }

    /// Best score on the selection tracks and its generation; in dreams those of the last one.
    pub fn best(&self) -> Option<(f64, u64)> {
        self.finalists.first().map(|f| (f.score, f.generation))
    }

    /// What follows from a test that came to `score`, and from an optimiser that stops: another
    /// start, the best of the starts, larger generations, a restart, or the end, as the preset says.
    /// Returns a note of it for the metrics.
    pub(super) fn after_test(
        &mut self,
        preset: &Preset,
        score: f64,
    ) -> std::result::Result<Option<String>, CmaError> {
        let config = &preset.controller;
        let stop = self.optimiser.stop();
        let ended = self.starts.len() as u64;
        if config.starts > 1 && ended < config.starts {
            let last = (ended + 1) * config.start_generations;
            if stop.is_some() {
                // The generations that it has left are not given to others.
                self.generation = last;
            }
            return if self.generation == last {
                self.end_start(preset, score).map(Some)
            } else {
                Ok(None)
            };
        }
        if let Some(late) = &config.late
            && !self.late
            && score >= late.score
        {
            return self.turn_late(config, late).map(Some);
        }
        // One that stops at once would do so again.
        let again = config.patience > 0 && self.optimiser.generation() > 1;
        match stop {
            Some(stop) if again => self
                .restart(preset, config.sigma, &stop.to_string())
                .map(Some),
            Some(stop) => Ok(Some(self.end(stop))),
            None if config.patience > 0 && self.stale >= config.patience => {
                let why = format!("no better for {} tests", config.patience);
                let sigma = self.optimiser.sigma() * 0.5;
                self.restart(preset, sigma, &why).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Ends before the last generation.
    fn end(&mut self, stop: Stop) -> String {
        self.stopped = Some(stop.to_string());
        format!("the evolution ends here: {stop}")
    }

    /// Ends a start that reached `score`: the next one begins, or the best of all continues.
    fn end_start(&mut self, preset: &Preset, score: f64) -> std::result::Result<String, CmaError> {
        let config = &preset.controller;
        self.starts.push((score, Some(self.optimiser.clone())));
        let ended = self.starts.len() as u64;
        if ended < config.starts {
            let (sigma, population) = (config.sigma, config.population);
            self.optimiser = optimiser(preset, &self.origin, ended, sigma, population)?;
            return Ok(format!(
                "start {ended} of {} ends at {score:.0}",
                config.starts
            ));
        }
        // The first of the best.
        let mut best = 0;
        for (i, start) in self.starts.iter().enumerate() {
            if start.0 > self.starts[best].0 {
                best = i;
            }
        }
        if let Some(optimiser) = self.starts[best].1.take() {
            self.optimiser = optimiser;
        }
        for start in &mut self.starts {
            start.1 = None;
        }
        self.stale = 0;
        Ok(format!(
            "start {ended} of {} ends at {score:.0}; going on with start {}",
            config.starts,
            best + 1
        ))
    }

    /// Larger generations from here on.
    fn turn_late(
        &mut self,
        config: &ControllerConfig,
        late: &LateConfig,
    ) -> std::result::Result<String, CmaError> {
        self.late = true;
        let recombination = late.recombination.after(config.recombination);
        let optimiser = self.optimiser.clone();
        self.optimiser = optimiser.with_generations(late.population, recombination)?;
        Ok(format!(
            "past {:.0}: generations of {} candidates from here on",
            late.score, late.population
        ))
    }

    /// Starts again from the best mean, with twice the population and steps of `sigma`.
    fn restart(
        &mut self,
        preset: &Preset,
        sigma: f64,
        why: &str,
    ) -> std::result::Result<String, CmaError> {
        let config = &preset.controller;
        self.stale = 0;
        self.restarts += 1;
        let population = self.optimiser.population() * 2;
        // Late generations stay late.
        let recombination = self.optimiser.config().recombination;
        let (best, start) = (&self.finalists[0].x, config.starts + self.restarts);
        self.optimiser = optimiser(preset, best, start, sigma, population)?
            .with_generations(population, recombination)?;
        Ok(format!(
            "{why}: again from the best mean, {population} candidates, sigma {sigma:.3}"
        ))
    }
}

fn state_path(folder: &RunFolder) -> PathBuf {
    folder.path("controller/state.safetensors")
}

/// Start number `start`, at `origin`.
fn optimiser(
    preset: &Preset,
    origin: &[f64],
    start: u64,
    sigma: f64,
    population: usize,
) -> std::result::Result<CmaEs, CmaError> {
    let seed = if start == 0 {
        preset.seed
    } else {
        stream(preset.seed, "controller/start", &[start]).random()
    };
    let ControllerConfig {
        covariance,
        recombination,
        ..
    } = preset.controller;
    let config = CmaEsConfig {
        dimension: origin.len(),
        population: Some(population),
        sigma0: sigma,
        covariance,
        recombination,
        seed,
    };
    let mut optimiser = CmaEs::new(config)?;
    optimiser.start_at(origin)?;
    Ok(optimiser)
}

#[cfg(test)]
mod tests {
    use frmdn_cma_es::Recombination;

    use super::*;
    use crate::run::{BEST, SCOUT};

    fn evolution(preset: &Preset) -> Evolution {
        Evolution::new(
            preset,
            String::new(),
            None,
            Whitening::raw(4),
            vec![0.0; 15],
        )
        .unwrap()
    }

    #[test]
    fn a_single_start_turns_late_at_its_first_good_test() {
        let preset = Preset::resolve(SCOUT, &[]).unwrap();
        let (late, mut state) = (preset.controller.late.clone().unwrap(), evolution(&preset));
        state.generation = preset.controller.start_generations;
        assert_eq!(
            (
                state.after_test(&preset, late.score - 1.0).unwrap(),
                state.late
            ),
            (None, false)
        );
        assert!(
            state
                .after_test(&preset, late.score)
                .unwrap()
                .unwrap()
                .starts_with("past 850")
        );
        assert_eq!(
            (state.late, state.optimiser.population()),
            (true, late.population)
        );
    }

    #[test]
    fn late_generations_move_the_mean_as_they_say() {
        let preset = Preset::resolve(BEST, &[]).unwrap();
        let mut state = evolution(&preset);
        assert_eq!(state.optimiser.config().recombination, Recombination::All);
        state.after_test(&preset, 900.0).unwrap().unwrap();
        assert_eq!(
            state.optimiser.config().recombination,
            Recombination::Mirrored
        );
        let steps: Vec<Vec<f64>> = state.optimiser.ask();
        let (one, other) = steps.split_at(steps.len() / 2);
        assert!(
            one.iter()
                .zip(other)
                .all(|(a, b)| a.iter().zip(b).all(|(a, b)| a == &-b)),
            "the mean lies between the sides of a pair"
        );
    }

    #[test]
    fn a_restart_stays_late() {
        let preset = Preset::resolve(BEST, &["controller.patience=1".to_owned()]).unwrap();
        let mut state = evolution(&preset);
        state.after_test(&preset, 900.0).unwrap().unwrap();
        let population = state.optimiser.population();
        state.record_test(vec![0.0; 15], 910.0, &preset.controller);
        state.record_test(vec![0.0; 15], 900.0, &preset.controller);
        assert!(
            state
                .after_test(&preset, 900.0)
                .unwrap()
                .unwrap()
                .starts_with("no better for 1 tests")
        );
        assert_eq!(
            (
                state.optimiser.population(),
                state.optimiser.config().recombination
            ),
            (2 * population, Recombination::Mirrored)
        );
    }

    /// Tells `state` the losses of a quadratic until its optimiser stops.
    fn converge(state: &mut Evolution) {
        while state.optimiser.stop().is_none() {
            let asked = state.optimiser.ask();
            let losses = asked.iter().map(|x| x.iter().map(|v| v * v).sum());
            let losses: Vec<f64> = losses.collect();
            state.tell(&losses, 0.0).unwrap();
        }
        assert!(!state.is_over(1_000_000));
    }

    #[test]
    fn an_optimiser_that_stops_ends_the_evolution_or_begins_again() {
        let preset = |patience: u64| {
            let sets = [
                "population=8",
                "generations=100000",
                "start_generations=2000",
            ];
            let mut sets = sets.map(|set| format!("controller.{set}")).to_vec();
            sets.push(format!("controller.patience={patience}"));
            sets.push(format!(
                "controller.starts={}",
                if patience == 9 { 2 } else { 1 }
            ));
            Preset::resolve("tiny", &sets).unwrap()
        };
        let tested = |patience| {
            let preset = preset(patience);
            let mut state = evolution(&preset);
            converge(&mut state);
            let x = state.average();
            state.record_test(x, 5.0, &preset.controller);
            let note = state.after_test(&preset, 5.0).unwrap().unwrap();
            (state, note, preset.controller)
        };
        let (state, note, _) = tested(0);
        assert!(
            note.starts_with("the evolution ends here: it has converged"),
            "{note}"
        );
        assert!(state.is_over(1_000_000) && state.stopped.is_some());
        let text = serde_json::to_string(&state).unwrap();
        let loaded: Evolution = serde_json::from_str(&text).unwrap();
        assert_eq!(loaded.stopped, state.stopped);
        // With patience it begins again, with steps as long as the first ones.
        let (state, note, config) = tested(3);
        assert!(
            note.starts_with("it has converged") && note.contains("16 candidates"),
            "{note}"
        );
        assert_eq!((state.optimiser.sigma(), state.restarts), (config.sigma, 1));
        assert!(!state.is_over(1_000_000) && state.optimiser.generation() == 0);
        // One of several starts ends with the generations that it had left.
        let (state, note, config) = tested(9);
        assert!(note.starts_with("start 1 of 2 ends at 5"), "{note}");
        assert_eq!(state.generation, config.start_generations);
        assert!(!state.is_over(1_000_000) && state.optimiser.generation() == 0);
    }

    /// A state of a run that did not stop has the bytes that it always had.
    #[test]
    fn the_reason_is_saved_only_where_there_is_one() {
        let state = evolution(&Preset::resolve("tiny", &[]).unwrap());
        assert!(!serde_json::to_string(&state).unwrap().contains("stopped"));
    }

    #[test]
    fn of_several_starts_the_best_goes_on_and_none_turns_late() {
        let preset = Preset::resolve(SCOUT, &["controller.starts=2".to_owned()]).unwrap();
        let (config, mut state) = (&preset.controller, evolution(&preset));
        let first = state.optimiser.config().seed;
        for (start, score) in [(1, 920.0), (2, 900.0)] {
            assert_eq!(state.optimiser.config().seed == first, start == 1);
            state.generation = start * config.start_generations;
            assert!(
                state
                    .after_test(&preset, score)
                    .unwrap()
                    .unwrap()
                    .starts_with(&format!("start {start} of 2 ends at {score}"))
            );
            assert!(!state.late);
        }
        // The better one goes on, and the others are not kept.
        assert!(
            state.optimiser.config().seed == first
                && state
                    .starts
                    .iter()
                    .all(|(_, optimiser)| optimiser.is_none())
        );
        state.generation += config.select_every;
        assert!(state.after_test(&preset, 900.0).unwrap().is_some() && state.late);
    }
}
