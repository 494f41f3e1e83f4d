//! `car-racing`: the native one.

use std::sync::Arc;

use frmdn_car_racing::{
    Actions, CarRacing, CarRacingConfig, FrictionRange, Observation, Perturbation, Rule, observed,
};
use frmdn_env::{ActionSpace, Env, EnvSpec};

use super::{
    Expert, Frames, Gauge, Kind, Look, Maker, WorldError, name::Name, pursuit::Scripted, unknown,
};

/// Its name.
pub const NAME: &str = "car-racing";

/// The options, without the names of the perturbations.
const OPTIONS: &str = "observe=state, friction=LOW..HIGH, rule=v3|v4, domain_randomize=true|false, \
    continuous=true|false, random_start=true|false, perturb_from=STEP (0 to 1000) with \
    perturb=NAME, perturb=";

/// Names of all perturbations, and what they do.
const PERTURBATIONS: [(&str, &str); Perturbation::ALL.len()] = {
    let mut all = [("", ""); Perturbation::ALL.len()];
    let mut i = 0;
    while i < all.len() {
        let perturbation = Perturbation::ALL[i];
        all[i] = (perturbation.name(), perturbation.description());
        i += 1;
    }
    all
};

/// Those that change more than pictures.
const UNSEEN: [(&str, &str); unseen()] = {
    let mut all = [("", ""); unseen()];
    let (mut i, mut n) = (0, 0);
    while i < Perturbation::ALL.len() {
        if !Perturbation::ALL[i].is_only_seen() {
            all[n] = PERTURBATIONS[i];
            n += 1;
        }
        i += 1;
    }
    all
};

const fn unseen() -> usize {
    let (mut i, mut n) = (0, 0);
    while i < Perturbation::ALL.len() {
        if !Perturbation::ALL[i].is_only_seen() {
            n += 1;
        }
        i += 1;
    }
    n
}

fn perturbation_names() -> String {
    PERTURBATIONS.map(|(name, _)| name).join("|")
}

/// The native Car-Racing with its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Native(CarRacingConfig);

impl Native {
    /// The environment `text` with the observation `frames`.
    ///
    /// # Errors
    /// If it is no name of a Car-Racing, or has an option that does not exist.
    pub fn open(text: &str, frames: Frames) -> Result<Self, WorldError> {
        let name = Name::parse(text)?;
        if name.kind != NAME {
            return Err(unknown());
        }
        Self::of(&name.options, frames)
    }

    fn of(options: &[(&str, &str)], frames: Frames) -> Result<Self, WorldError> {
        let config = config(options)?;
        let observation = match (config.observation, frames) {
            (Observation::State, _) => Observation::State,
            (_, Frames::Agent) => Observation::Agent64,
            (_, Frames::Whole) => Observation::Full96,
        };
        Ok(Self(CarRacingConfig {
            observation,
            ..config
        }))
    }

    /// A new environment, which shows its state.
    pub fn env(&self) -> CarRacing {
        self.0.init()
    }
}

/// The kind of environment.
pub(super) struct CarRacingKind;

impl Kind for CarRacingKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn has_perturbations(&self) -> bool {
        true
    }

    fn open(&self, options: &[(&str, &str)], frames: Frames) -> Result<Arc<dyn Maker>, WorldError> {
        Ok(Arc::new(Native::of(options, frames)?))
    }
}

impl Maker for Native {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        Ok(self.0.spec())
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        Ok(Box::new(self.env()))
    }

    fn with_random_start(&self) -> Option<Arc<dyn Maker>> {
        Some(Arc::new(Self(CarRacingConfig {
            random_start: true,
            ..self.0.clone()
        })))
    }

    fn altered_from(&self, name: &str, step: u32) -> Option<Arc<dyn Maker>> {
        let found = Perturbation::ALL.into_iter().find(|p| p.name() == name);
        let perturbation = found.filter(|_| self.0.perturbation.is_none())?;
        Some(Arc::new(Self(CarRacingConfig {
            perturbation: Some(perturbation),
            perturbation_from: step,
            ..self.0.clone()
        })))
    }

    fn gauges(&self) -> &'static [Gauge] {
        if self.0.observation == Observation::State {
            return &[Gauge {
                name: "the wheels' distance from their joints in units (1.1 is half the car's width)",
                look: Look::Numbers(joint_gap),
            }];
        }
        &[
            Gauge {
                name: "on the road",
                look: Look::Frame(is_on_road),
            },
            Gauge {
                name: "before a sharp bend",
                look: Look::Frame(is_before_bend),
            },
        ]
    }

    fn perturbations(&self) -> &'static [(&'static str, &'static str)] {
        match (&self.0.perturbation, self.0.observation) {
            (None, Observation::State) => &UNSEEN,
            (None, _) => &PERTURBATIONS,
            (Some(_), _) => &[],
        }
    }

    fn expert(&self, noise: f32, root: u64, seed: u64) -> Option<Box<dyn Expert>> {
        let env = self.env();
        let is_continuous = matches!(env.action_space(), ActionSpace::Box { .. });
        is_continuous.then(|| Box::new(Scripted::new(env, noise, root, seed)) as Box<dyn Expert>)
    }
}

/// Side of the agent's view.
const SIDE: usize = 64;

/// Road and its red kerb have less green than grass.
const MOST_GREEN: u8 = 150;

/// Places around the car, which stands still in the agent's view: left, right, ahead, behind.
const AROUND: [(usize, usize); 4] = [(28, 54), (36, 54), (32, 48), (32, 60)];

/// Rows in which a bend is looked for, a third of the view ahead of the car, and the columns in the
/// middle, in which the road lies where it goes on straight.
const AHEAD: [usize; 2] = [12, 28];
const MIDDLE: [usize; 2] = [16, 48];

/// The mean of [`observed::joint_gaps`].
fn joint_gap(values: &[f32]) -> f64 {
    let values = values
        .try_into()
        .expect("the observation has so many values");
    observed::joint_gaps(values).iter().sum::<f64>() / 4.0
}

/// Whether the road ahead leaves the middle of a frame: less than a fifth of what is road there lies in
/// it. Where no road is seen at all, there is no bend.
fn is_before_bend(frame: &[u8]) -> bool {
    let (mut road, mut middle) = (0, 0);
    for row in AHEAD[0]..AHEAD[1] {
        for column in 0..SIDE {
            let green = frame[(row * SIDE + column) * 3 + 1];
            if green < MOST_GREEN {
                road += 1;
                middle += usize::from((MIDDLE[0]..MIDDLE[1]).contains(&column));
            }
        }
    }
    road > 0 && 5 * middle < road
}

/// Whether at least half of what surrounds the car in a frame is road, or its red kerb. Grass has
/// more green than either.
fn is_on_road(frame: &[u8]) -> bool {
    let green = |(x, y): (usize, usize)| frame[(y * SIDE + x) * 3 + 1];
    let road = AROUND.into_iter().filter(|&at| green(at) < MOST_GREEN);
    2 * road.count() >= AROUND.len()
}

fn config(options: &[(&str, &str)]) -> Result<CarRacingConfig, WorldError> {
    let mut config = CarRacingConfig::default();
    let mut perturb_from = None;
    for &(key, value) in options {
        let flag = match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        match (key, value, flag) {
            ("rule", "v3", _) => config.rule = Rule::V3,
            ("rule", "v4", _) => config.rule = Rule::V4,
            ("observe", "state", _) => config.observation = Observation::State,
            ("friction", range, _) if range.parse::<FrictionRange>().is_ok() => {
                config.friction = range.parse().ok();
            }
            ("domain_randomize", _, Some(on)) => config.domain_randomize = on,
            ("continuous", _, Some(on)) => {
                config.actions = if on {
                    Actions::Continuous
                } else {
                    Actions::Discrete
                }
            }
            ("random_start", _, Some(on)) => config.random_start = on,
            ("perturb", name, _) => {
                let known = Perturbation::ALL.into_iter().find(|p| p.name() == name);
                config.perturbation =
                    Some(known.ok_or_else(|| WorldError::UnknownPerturbation {
                        name: name.to_owned(),
                        allowed: perturbation_names(),
                    })?);
            }
            ("perturb_from", step, _)
                if step.parse().is_ok_and(|step: u32| step <= config.max_steps) =>
            {
                config.perturbation_from = step.parse().unwrap_or_default();
                perturb_from = Some(step);
            }
            _ => {
                return Err(WorldError::UnknownOption {
                    kind: NAME,
                    key: key.to_owned(),
                    value: value.to_owned(),
                    allowed: format!("{OPTIONS}{}", perturbation_names()),
                });
            }
        }
    }
    if let (Some(step), None) = (perturb_from, config.perturbation) {
        return Err(WorldError::UnknownOption {
            kind: NAME,
            key: "perturb_from".into(),
            value: step.to_owned(),
            allowed: format!(
                "perturb_from=STEP beside what is to begin there, perturb={}",
                perturbation_names()
            ),
        });
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use frmdn_env::{ObservationMut, ObservationSpace};

    use super::*;

    #[test]
    fn the_state_is_observed_whatever_frames_are_asked_for_and_friction_is_a_range() {
        let text = "car-racing,observe=state,friction=0.6..1.4";
        for frames in [Frames::Agent, Frames::Whole] {
            let world = Native::open(text, frames).unwrap();
            assert_eq!(world.0.friction.unwrap().to_string(), "0.6..1.4");
            let ObservationSpace::Latent(n) = world.spec().unwrap().observation else {
                panic!("numbers are observed");
            };
            assert_eq!(n, observed::COUNT);
            // In what really follows the wheels are on the hull.
            let mut env = world.make().unwrap();
            let mut values = vec![0.0; n];
            env.reset(3, ObservationMut::Latent(&mut values)).unwrap();
            for _ in 0..30 {
                let out = ObservationMut::Latent(&mut values);
                env.step(&[0.4, 1.0, 0.0], out).unwrap();
            }
            let [gauge] = world.gauges() else {
                panic!("there is one gauge");
            };
            let Look::Numbers(gap) = gauge.look else {
                panic!("it looks at numbers");
            };
            assert!((1e-9..5e-4).contains(&gap(&values)), "{}", gap(&values));
            values[observed::WHEEL] += 0.1;
            assert!((gap(&values) - 0.025).abs() < 1e-3, "{}", gap(&values));
            let perturbations = world.perturbations();
            assert!(!perturbations.is_empty() && perturbations.len() < PERTURBATIONS.len());
        }
        for wrong in [
            "observe=frames",
            "friction=1.4..0.6",
            "friction=1",
            "friction=0..1",
        ] {
            let error = Native::open(&format!("car-racing,{wrong}"), Frames::Agent).unwrap_err();
            assert!(error.to_string().contains("friction=LOW..HIGH"), "{error}");
        }
    }

    #[test]
    fn options_are_read() {
        let text = "car-racing,rule=v4,continuous=false,random_start=true";
        let Native(config) = Native::open(text, Frames::Agent).unwrap();
        assert_eq!(
            (
                config.rule,
                config.actions,
                config.random_start,
                config.domain_randomize
            ),
            (Rule::V4, Actions::Discrete, true, false)
        );
    }

    #[test]
    fn a_perturbation_begins_at_a_step_of_the_episode() {
        let open = |text: &str| Native::open(text, Frames::Agent);
        for perturbation in Perturbation::ALL {
            let name = format!("car-racing,perturb={}", perturbation.name());
            let Native(whole) = open(&name).unwrap();
            assert_eq!(open(&format!("{name},perturb_from=0")).unwrap().0, whole);
            let Native(later) = open(&format!("{name},perturb_from=100")).unwrap();
            assert_eq!(later.perturbation_from, 100);
            let rule = later.spec().rule;
            let words = format!("{} from step 100 on", perturbation.description());
            assert!(rule.ends_with(&words), "{rule}");
        }
        // In whichever order, and in numbers too.
        let text = "car-racing,perturb_from=1000,observe=state,perturb=tyre";
        let maker = open(text).unwrap();
        assert_eq!(maker.0.perturbation, Some(Perturbation::Tyre));
        assert!(maker.perturbations().is_empty());
        for (wrong, words) in [
            (
                "perturb_from=100",
                "beside what is to begin there, perturb=colour|",
            ),
            (
                "perturb_from=0",
                "beside what is to begin there, perturb=colour|",
            ),
            ("perturb=tyre,perturb_from=soon", "perturb_from=STEP"),
            ("perturb=tyre,perturb_from=-1", "(0 to 1000)"),
            ("perturb=tyre,perturb_from=1.5", "(0 to 1000)"),
            ("perturb=tyre,perturb_from=1001", "(0 to 1000)"),
            ("perturb=tyre,perturb_from=", "(0 to 1000)"),
        ] {
            let error = open(&format!("car-racing,{wrong}"))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(words) && error.contains("perturb_from="),
                "{error}"
            );
        }
    }

    #[test]
    fn scores_name_their_rule() {
        let rule = |name: &str| Native::open(name, Frames::Agent).unwrap().0.spec().rule;
        assert!(
            rule("car-racing").contains("CarRacing-v3")
                && rule("car-racing").contains("every tile")
        );
        let text =
            rule("car-racing,rule=v4,domain_randomize=true,continuous=false,random_start=true");
        for word in ["v4", "95 %", "colours", "discrete", "random tile"] {
            assert!(text.contains(word), "{text}");
        }
        for perturbation in Perturbation::ALL {
            let text = rule(&format!("car-racing,perturb={}", perturbation.name()));
            assert!(
                text.starts_with(&rule("car-racing")) && text.ends_with(perturbation.description()),
                "{text}"
            );
        }
    }
}
