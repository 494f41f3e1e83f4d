//! Validation of presets.

use std::fmt::Display;

use frmdn_cma_es::Recombination;

use super::{
    CollectConfig, ControllerConfig, ControllerInputs, ControllerStart, EvaluateConfig, FINALISTS,
    LateConfig, MemoryTraining, Preset, VisionTraining,
    memory::{self, Part},
};
use crate::{
    controller::Hidden,
    memory::{TEMPERATURES, Variant},
    run::{DriverName, Recovery, Result, RunError, existing_folder, seeds},
};

impl Preset {
    /// What it names must be there when the run begins; later the run has its own.
    ///
    /// # Errors
    /// If an earlier round's preset or a driver is not there, or a round comes back to itself.
    pub fn check_sources(&self) -> Result<()> {
        if let Some(first) = &self.first {
            first.check()?;
        }
        for policy in self.collect.policies() {
            let is_there = match &policy {
                DriverName::Agent(path) => existing_folder(path).is_some(),
                DriverName::Recorded(path) => path.is_file(),
                _ => true,
            };
            if !is_there {
                return Err(RunError::refused(
                    format!(
                        "collect.policy: `{policy}` is neither one of {}, nor the folder of a run \
                         or checkpoint, nor a file of actions that is there",
                        DriverName::NAMES
                    ),
                    Recovery::Shipped,
                ));
            }
        }
        Ok(())
    }

    /// Refuses what cannot be run, here or anywhere.
    pub(super) fn validate(&self) -> Checked {
        crate::worlds::check(&self.environment).map_err(|e| Impossible::Environment {
            name: self.environment.clone(),
            cause: e.to_string(),
        })?;
        if self.collect.random_start {
            crate::worlds::check_random_start(&self.environment).map_err(|e| {
                Impossible::RandomStart {
                    environment: self.environment.clone(),
                    cause: e.to_string(),
                }
            })?;
        }
        self.values()?;
        self.memory_is_there()
    }

    /// Refuses values that no machine can work with. The environment is not asked: it may be
    /// another program's.
    ///
    /// # Errors
    /// The first of them.
    pub(in crate::run) fn check_values(&self) -> Result<()> {
        Ok(self.values()?)
    }

    /// Refuses what needs more memory than this machine has.
    ///
    /// # Errors
    /// With the bytes, and the keys that decide them.
    pub(in crate::run) fn check_memory(&self) -> Result<()> {
        Ok(self.memory_is_there()?)
    }

    fn memory_is_there(&self) -> Checked {
        let limit = memory::of_this_machine();
        for Part { keys, bytes } in memory::parts(self) {
            if bytes > limit {
                return Err(Impossible::TooLarge { keys, bytes, limit });
            }
        }
        Ok(())
    }

    fn values(&self) -> Checked {
        if self.first.is_none() && self.collect.policies().contains(&DriverName::First) {
            return Err(Impossible::NoFirstRound);
        }
        check_collect(&self.collect)?;
        check_vision(&self.vision)?;
        check_memory(&self.memory, self.vision.model.latent, self.collect.steps)?;
        check_controller(&self.controller)?;
        let first = ControllerStart::First;
        if self.controller.start == first && !self.collect.policies().contains(&DriverName::First) {
            return Err(Impossible::StartWithoutEpisodes);
        }
        if self.controller.start == ControllerStart::Imitate
            && !self.collect.policies().iter().any(DriverName::is_expert)
        {
            return Err(Impossible::StartWithoutExperts {
                key: "controller.start = \"imitate\"",
            });
        }
        self.check_planned()?;
        self.check_archive()?;
        self.check_dreams()?;
        check_evaluate(&self.evaluate)
    }

    /// Values of actions are what planners record.
    fn check_planned(&self) -> Checked {
        let c = &self.controller;
        let hidden = || format!("{:?}", c.hidden);
        if c.hidden.len() > Hidden::LAYERS {
            let reason = format!("it must be at most {} layers", Hidden::LAYERS);
            return Err(impossible("controller.hidden", hidden(), reason));
        }
        if c.hidden.iter().any(|n| !(1..=Hidden::MOST).contains(n)) {
            let reason = format!("a layer must have 1 to {} units", Hidden::MOST);
            return Err(impossible("controller.hidden", hidden(), reason));
        }
        if !c.hidden.is_empty() && c.inputs == ControllerInputs::Principal {
            let reason = "h's principal axes are of no use behind hidden layers";
            return Err(impossible("controller.hidden", hidden(), reason));
        }
        not_negative("controller.temperature", c.temperature)?;
        if let Some(lessons) = &c.lessons {
            at_least("controller.lessons.rounds", lessons.rounds as u64, 1)?;
            at_least("controller.lessons.episodes", lessons.episodes as u64, 1)?;
        }
        if c.start != ControllerStart::Values {
            let key = match (!c.hidden.is_empty(), &c.lessons, c.temperature > 0.0) {
                (true, ..) => "controller.hidden",
                (_, Some(_), _) => "controller.lessons",
                (.., true) => "controller.temperature",
                _ => return Ok(()),
            };
            return Err(Impossible::FittedToValues { key });
        }
        match self.collect.policies().contains(&DriverName::Planner) {
            true => Ok(()),
            false => Err(Impossible::ValuesWithoutPlanner),
        }
    }

    /// Rounds of dreams.
    fn check_dreams(&self) -> Checked {
        let Some(dreams) = &self.controller.dreams else {
            return Ok(());
        };
        let key = |key: &str| format!("controller.dreams.{key}");
        at_least(&key("round"), dreams.round, 1)?;
        at_least(&key("horizon"), dreams.horizon.into(), 1)?;
        at_least(&key("episodes"), dreams.episodes as u64, 1)?;
        at_least(&key("updates"), dreams.updates, 1)?;
        if !TEMPERATURES.contains(&(dreams.temperature as f32)) {
            let reason = "from 0 to 3 is possible";
            return Err(impossible(&key("temperature"), dreams.temperature, reason));
        }
        for (name, share) in [
            ("beginning", dreams.beginning),
            ("lost", dreams.lost),
            ("beginning + lost", dreams.beginning + dreams.lost),
            ("own", dreams.own),
        ] {
            if !(0.0..=1.0).contains(&share) {
                let reason = "a share is from 0 to 1";
                return Err(impossible(&key(name), share, reason));
            }
        }
        if !(dreams.rate > 0.0 && dreams.rate <= 1.0) {
            let reason = "it must be above 0 and at most 1";
            return Err(impossible(&key("rate"), dreams.rate, reason));
        }
        not_negative(&key("price"), dreams.price)?;
        below_one(&key("dropout"), dreams.dropout)?;
        if dreams.disturbed >= dreams.episodes {
            let reason = format!(
                "it must be below the {} episodes of a round",
                dreams.episodes
            );
            return Err(impossible(&key("disturbed"), dreams.disturbed, reason));
        }
        not_negative(&key("back"), dreams.back)?;
        not_negative(&key("enough"), dreams.enough)?;
        let c = &self.controller;
        if c.finalists > 1 {
            at_least(&key("choice_tracks"), dreams.choice_seeds as u64, 1)?;
        }
        // What has no meaning where candidates do not drive in the environment, or M changes.
        let others = [
            ("controller.archive", c.archive.is_some()),
            ("controller.late", c.late.is_some()),
            ("controller.lessons", c.lessons.is_some()),
            ("controller.starts", c.starts > 1),
            ("controller.patience", c.patience > 0),
            ("controller.hard_tracks", c.hard_seeds > 0),
            ("controller.more_tracks", c.more_seeds > 0),
            ("memory.model.members", self.memory.model.members > 1),
        ];
        if let Some((key, _)) = others.into_iter().find(|(_, is_set)| *is_set) {
            return Err(Impossible::NotInDreams { key });
        }
        if let Some(holds) = self.gates.as_ref().and_then(|gates| gates.holds.as_ref()) {
            at_least("gates.holds.states", holds.states as u64, 2)?;
        }
        if !self.memory.model.is_trained() {
            return Err(Impossible::DreamsOfNothing {
                variant: self.memory.model.variant,
            });
        }
        let episodes = c.rounds().saturating_mul(dreams.episodes as u64);
        let there = seeds::COLLECT.end;
        let needed = episodes.saturating_add(self.collect.episodes as u64);
        if needed > there {
            let reason =
                format!("with collect.episodes that is {needed}, and there are {there} seeds");
            return Err(impossible(&key("episodes"), dreams.episodes, reason));
        }
        Ok(())
    }

    /// Recorded episodes are driven again, from their beginnings.
    fn check_archive(&self) -> Checked {
        let Some(archive) = &self.controller.archive else {
            return Ok(());
        };
        at_least("controller.archive.generations", archive.generations, 1)?;
        at_least("controller.archive.starts", archive.starts as u64, 1)?;
        at_least("controller.archive.steps", archive.steps.into(), 1)?;
        not_negative("controller.archive.loss", archive.loss)?;
        if archive.own > archive.starts {
            let reason = format!("a candidate has {} starts", archive.starts);
            return Err(impossible("controller.archive.own", archive.own, reason));
        }
        if self.collect.random_start {
            return Err(Impossible::ArchiveOfRandomStarts);
        }
        if !self.collect.policies().iter().any(DriverName::is_expert) {
            return Err(Impossible::StartWithoutExperts {
                key: "controller.archive",
            });
        }
        Ok(())
    }
}

/// What a preset cannot be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Impossible {
    #[error("environment = \"{name}\": {cause}")]
    Environment { name: String, cause: String },
    #[error("collect.random_start = true with environment = \"{environment}\": {cause}")]
    RandomStart { environment: String, cause: String },
    #[error(
        "collect.policy: there is no `first` agent without a table [first] that names its preset"
    )]
    NoFirstRound,
    #[error(
        "controller.start = \"first\" needs episodes of that agent: name `first` in \
         collect.policy too"
    )]
    StartWithoutEpisodes,
    #[error("{key} needs episodes of an expert: name `planner` or `scripted` in collect.policy")]
    StartWithoutExperts { key: &'static str },
    #[error(
        "controller.start = \"values\" needs episodes of a planner: name `planner` in collect.policy"
    )]
    ValuesWithoutPlanner,
    #[error("{key} goes with what planners found: it needs controller.start = \"values\"")]
    FittedToValues { key: &'static str },
    #[error("{key} has no meaning with [controller.dreams]: leave one of them out")]
    NotInDreams { key: &'static str },
    #[error(
        "[controller.dreams] needs a memory that dreams, and `{variant}` predicts nothing: set \
         memory.model.variant to frmdn or rmdn"
    )]
    DreamsOfNothing { variant: Variant },
    #[error("controller.archive needs collect.random_start = false")]
    ArchiveOfRandomStarts,
    /// A model refuses its settings.
    #[error("{table}: {cause}")]
    Model { table: String, cause: String },
    #[error(
        "{keys}: this would take {:.1} GB of memory, and this machine has {:.1} GB",
        bytes / 1e9,
        limit / 1e9
    )]
    TooLarge {
        keys: &'static str,
        bytes: f64,
        limit: f64,
    },
    #[error("{key} = {value} is impossible: {reason}")]
    Value {
        key: String,
        value: String,
        reason: String,
    },
}

impl From<Impossible> for RunError {
    fn from(error: Impossible) -> Self {
        let text = error.to_string();
        match error {
            Impossible::RandomStart { .. } => Self::refused(text, Recovery::NoRandomStart),
            _ => Self::Config(text),
        }
    }
}

type Checked = std::result::Result<(), Impossible>;

fn impossible(key: &str, value: impl Display, reason: impl Into<String>) -> Impossible {
    Impossible::Value {
        key: key.to_owned(),
        value: value.to_string(),
        reason: reason.into(),
    }
}

fn at_least(key: &str, value: u64, least: u64) -> Checked {
    if value >= least {
        return Ok(());
    }
    Err(impossible(
        key,
        value,
        format!("it must be at least {least}"),
    ))
}

fn positive(key: &str, value: f64) -> Checked {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(impossible(key, value, "it must be a number above 0"))
}

fn not_negative(key: &str, value: f64) -> Checked {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(impossible(key, value, "it must be a number of at least 0"))
}

fn below_one(key: &str, value: f64) -> Checked {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(impossible(key, value, "it must be at least 0 and below 1"))
}

fn model(table: impl Into<String>, cause: impl Display) -> Impossible {
    Impossible::Model {
        table: table.into(),
        cause: cause.to_string(),
    }
}

/// Most steps of an episode: the frames of one are an array of less than 2 GiB, which is the largest
/// that is read.
const LONGEST: usize = 150_000;

fn check_collect(c: &CollectConfig) -> Checked {
    at_least("collect.episodes", c.episodes as u64, 10)?;
    let there = seeds::COLLECT.end;
    if c.episodes as u64 > there {
        let reason = format!("there are {there} seeds");
        return Err(impossible("collect.episodes", c.episodes, reason));
    }
    at_least("collect.steps", c.steps as u64, 2)?;
    if c.steps > LONGEST {
        let reason = format!("it must be at most {LONGEST}");
        return Err(impossible("collect.steps", c.steps, reason));
    }
    Ok(())
}

fn check_vision(v: &VisionTraining) -> Checked {
    v.model.validate().map_err(|e| model("vision.model", e))?;
    positive("vision.target_kl", v.target_kl)?;
    if !(0.0..=1.0).contains(&v.rare) {
        let reason = "from 0 to 1 is possible";
        return Err(impossible("vision.rare", v.rare, reason));
    }
    if !(0.0..=1.0).contains(&v.augment) {
        let reason = "it must be a number from 0 to 1";
        return Err(impossible("vision.augment", v.augment, reason));
    }
    at_least("vision.batch", v.batch as u64, 1)?;
    at_least("vision.updates", v.updates, 1)?;
    positive("vision.learning_rate", v.learning_rate)?;
    at_least("vision.window_episodes", v.window_episodes as u64, 1)?;
    at_least("vision.window_updates", v.window_updates, 1)?;
    at_least("vision.evaluate_every", v.evaluate_every, 1)?;
    at_least("vision.patience", v.patience, 1)
}

/// `latent` is V's, `steps` the most of an episode.
fn check_memory(m: &MemoryTraining, latent: usize, steps: usize) -> Checked {
    m.model.validate().map_err(|e| model("memory.model", e))?;
    if let Some(density) = m.model.density(latent) {
        let table = format!("memory.model with vision.model.latent = {latent}");
        density.validate().map_err(|e| model(table, e))?;
    }
    at_least("memory.batch", m.batch as u64, 1)?;
    at_least("memory.sequence", m.sequence as u64, 1)?;
    if m.sequence > steps {
        let reason = format!("episodes have at most collect.steps = {steps}");
        return Err(impossible("memory.sequence", m.sequence, reason));
    }
    at_least("memory.updates", m.updates, 1)?;
    positive("memory.learning_rate", m.learning_rate)?;
    at_least("memory.window_episodes", m.window_episodes as u64, 1)?;
    at_least("memory.window_updates", m.window_updates, 1)?;
    at_least("memory.evaluate_every", m.evaluate_every, 1)?;
    at_least("memory.patience", m.patience, 1)?;
    if !(m.final_rate > 0.0 && m.final_rate <= 1.0) {
        let reason = "it must be above 0 and at most 1";
        return Err(impossible("memory.final_rate", m.final_rate, reason));
    }
    not_negative("memory.noise", m.noise)?;
    not_negative("memory.input_noise", m.input_noise)?;
    match (m.auxiliary.as_str(), m.model.loss.auxiliary_weight > 0.0) {
        ("", true) => {
            let reason = "name the measurement that memory.model.loss.auxiliary_weight is for";
            Err(impossible("memory.auxiliary", "\"\"", reason))
        }
        (name, false) if !name.is_empty() => {
            let reason = "set memory.model.loss.auxiliary_weight above 0 with it, 1 for example";
            Err(impossible("memory.auxiliary", name, reason))
        }
        _ => Ok(()),
    }
}

fn check_controller(c: &ControllerConfig) -> Checked {
    at_least("controller.population", c.population as u64, 4)?;
    at_least("controller.generations", c.generations, 1)?;
    at_least("controller.tracks", c.seeds as u64, 1)?;
    positive("controller.sigma", c.sigma)?;
    at_least("controller.select_every", c.select_every, 1)?;
    at_least("controller.select_tracks", c.select_seeds as u64, 1)?;
    check_finalists(c)?;
    paired("controller", c.recombination, c.population, c.more_seeds)?;
    check_starts(c)?;
    below_one("controller.candidates_keep", c.candidate_ratio)?;
    if c.inputs == ControllerInputs::Principal {
        at_least("controller.axes", c.axes as u64, 1)?;
    }
    if let Some(late) = &c.late {
        check_late(late, c.recombination)?;
    }
    // Products of what anybody can write must not wrap.
    let seeds = |seeds: usize, more: usize| seeds.saturating_add(more) as u64;
    let late = c.late.as_ref().map_or(0, |l| seeds(l.seeds, l.more_seeds));
    let each = seeds(c.seeds, c.more_seeds).max(late);
    let needed = c.generations.saturating_mul(each);
    let there = seeds::EVOLVE.end - seeds::EVOLVE.start;
    if needed > there {
        let key = "controller.generations × controller.tracks";
        let reason = format!("there are {there} training tracks");
        return Err(impossible(key, needed, reason));
    }
    Ok(())
}

fn check_finalists(c: &ControllerConfig) -> Checked {
    if c.finalists > FINALISTS {
        let reason = format!("{FINALISTS} tested means are remembered");
        return Err(impossible("controller.finalists", c.finalists, reason));
    }
    // Successive halving doubles the tracks with every round, after those of the tests.
    let rounds = (2 * c.finalists.max(1)).next_power_of_two() as u64;
    let first = c.choice_seeds().max(c.select_seeds);
    let halved = (first as u64).saturating_mul(rounds);
    let there = seeds::SELECTION.end - seeds::SELECTION.start;
    if halved > there {
        let reason = format!(
            "the choice among controller.finalists = {} would take {halved} selection tracks, and \
             there are {there}",
            c.finalists
        );
        return Err(impossible(
            "controller.select_tracks",
            c.select_seeds,
            reason,
        ));
    }
    Ok(())
}

fn check_starts(c: &ControllerConfig) -> Checked {
    at_least("controller.starts", c.starts, 1)?;
    if c.starts > 1 && c.generations < c.starts.saturating_mul(c.start_generations) {
        let reason = format!(
            "{} starts of {} generations take more",
            c.starts, c.start_generations
        );
        return Err(impossible("controller.generations", c.generations, reason));
    }
    at_least("controller.start_generations", c.start_generations, 1)
}

/// `before` is the recombination of the generations before.
fn check_late(late: &LateConfig, before: Recombination) -> Checked {
    paired(
        "controller.late",
        late.recombination.after(before),
        late.population,
        late.more_seeds,
    )?;
    below_one("controller.late.candidates_keep", late.candidate_ratio)?;
    not_negative("controller.late.loss_limit", late.loss_limit)?;
    at_least("controller.late.population", late.population as u64, 4)?;
    at_least("controller.late.tracks", late.seeds as u64, 1)
}

fn check_evaluate(e: &EvaluateConfig) -> Checked {
    at_least("evaluate.episodes", e.episodes as u64, 2)?;
    let there = seeds::TEST.end - seeds::TEST.start;
    if e.episodes as u64 > there {
        let reason = format!("there are {there} test tracks");
        return Err(impossible("evaluate.episodes", e.episodes, reason));
    }
    Ok(())
}

/// Mirrored generations have an even number of candidates, all of which drive the same tracks.
fn paired(
    table: &str,
    recombination: Recombination,
    population: usize,
    more_seeds: usize,
) -> Checked {
    if recombination != Recombination::Mirrored {
        return Ok(());
    }
    if population % 2 == 1 {
        let key = format!("{table}.population");
        return Err(impossible(&key, population, "pairs need an even number"));
    }
    if more_seeds > 0 {
        let key = format!("{table}.more_tracks");
        let reason = "both sides of a pair drive the same tracks, write 0";
        return Err(impossible(&key, more_seeds, reason));
    }
    Ok(())
}
