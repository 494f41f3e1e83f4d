//! Options of every environment: its wrappers.

use std::sync::Arc;

use frmdn_env::{
    ActionForm, Env, EnvSpec,
    wrappers::{Forms, FrameSkip, NoopStart, Perturb, Perturbation, StepLimit, Sticky, View},
};

use super::{Gauge, Maker, WorldError, kind_of, name::Name};

/// The options, for messages.
pub(super) const OPTIONS: &str = "skip=FRAMES[max], sticky=P, sticky_frames=P, noops=MOST, \
    limit=STEPS, perturb=colour|bars|noise, forms=plain|scaled[:F]|clipped[:F] for all values of \
    an action, or one for each: plain/scaled/scaled";

/// Names of the perturbations that every environment with frames has, and what they do.
pub(super) const PERTURBATIONS: [(&str, &str); Perturbation::ALL.len()] = {
    let mut all = [("", ""); Perturbation::ALL.len()];
    let mut i = 0;
    while i < all.len() {
        let perturbation = Perturbation::ALL[i];
        all[i] = (perturbation.name(), perturbation.description());
        i += 1;
    }
    all
};

/// A wrapper and its value.
#[derive(Clone, Debug, PartialEq)]
enum Wrapper {
    /// Side of the square that frames are shown as.
    View(usize),
    /// Most steps of doing nothing.
    Noops(u32),
    /// Probability of a repetition, by frame.
    StickyFrames(f64),
    /// Frames a step, and whether the larger value of the last two is seen.
    Skip(u32, bool),
    /// Probability of a repetition, by step.
    Sticky(f64),
    /// Most steps.
    Limit(u32),
    /// A change of what is seen.
    Perturb(Perturbation),
    /// How a controller's outputs become actions.
    Forms(Vec<ActionForm>),
}

impl Wrapper {
    /// The wrapper that an option names. `None` inside where it cannot have this value.
    fn of(key: &str, value: &str) -> Option<Option<Self>> {
        Some(match key {
            "noops" => whole(value).map(Self::Noops),
            "sticky_frames" => share(value).map(Self::StickyFrames),
            "skip" => {
                let frames = value.strip_suffix("max");
                whole(frames.unwrap_or(value)).map(|n| Self::Skip(n, frames.is_some()))
            }
            "sticky" => share(value).map(Self::Sticky),
            "limit" => whole(value).map(Self::Limit),
            "perturb" => {
                let known = Perturbation::ALL.into_iter().find(|p| p.name() == value);
                known.map(Self::Perturb)
            }
            "forms" => {
                let forms: Option<_> = value.split('/').map(ActionForm::named).collect();
                forms.map(Self::Forms)
            }
            _ => return None,
        })
    }

    /// Its place, from the inside out.
    fn place(&self) -> usize {
        match self {
            Self::View(_) => 0,
            Self::Noops(_) => 1,
            Self::StickyFrames(_) => 2,
            Self::Skip(..) => 3,
            Self::Sticky(_) => 4,
            Self::Limit(_) => 5,
            Self::Perturb(_) => 6,
            Self::Forms(_) => 7,
        }
    }

    /// What `inner` says of itself with this wrapper.
    fn spec(&self, inner: &EnvSpec) -> Result<EnvSpec, WorldError> {
        Ok(match *self {
            Self::View(side) => View::spec(inner, side),
            Self::Noops(most) => NoopStart::spec(inner, most),
            Self::StickyFrames(p) => Sticky::spec(inner, p, "frame"),
            Self::Skip(frames, is_maximum) => FrameSkip::spec(inner, frames, is_maximum),
            Self::Sticky(p) => Sticky::spec(inner, p, "step"),
            Self::Limit(most) => StepLimit::spec(inner, most),
            Self::Perturb(perturbation) => Perturb::spec(inner, perturbation),
            Self::Forms(ref forms) => Forms::spec(inner, forms)?,
        })
    }

    /// `inner` with this wrapper.
    fn around(&self, inner: Box<dyn Env>) -> Result<Box<dyn Env>, WorldError> {
        Ok(match *self {
            Self::View(side) => Box::new(View::new(inner, side)?),
            Self::Noops(most) => Box::new(NoopStart::new(inner, most)),
            Self::StickyFrames(p) => Box::new(Sticky::new(inner, p, "frame")),
            Self::Skip(frames, is_maximum) => Box::new(FrameSkip::new(inner, frames, is_maximum)),
            Self::Sticky(p) => Box::new(Sticky::new(inner, p, "step")),
            Self::Limit(most) => Box::new(StepLimit::new(inner, most)),
            Self::Perturb(perturbation) => Box::new(Perturb::new(inner, perturbation)?),
            Self::Forms(ref forms) => Box::new(Forms::new(inner, forms)?),
        })
    }
}

/// The wrappers that a name asks for, from the inside out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wrapping(Vec<Wrapper>);

impl Wrapping {
    /// Takes the options of wrappers out of `name`. A kind with perturbations of its own keeps
    /// that option.
    ///
    /// # Errors
    /// If one of them has a value that it cannot have.
    pub fn take(name: &mut Name<'_>) -> Result<Self, WorldError> {
        let mut wrappers = Vec::new();
        let mut others = Vec::new();
        let keeps = kind_of(name).is_some_and(|kind| kind.has_perturbations());
        for &(key, value) in &name.options {
            match Wrapper::of(key, value).filter(|_| !(keeps && key == "perturb")) {
                None => others.push((key, value)),
                Some(Some(wrapper)) => wrappers.push(wrapper),
                Some(None) => {
                    return Err(WorldError::WrapperValue {
                        key: key.to_owned(),
                        value: value.to_owned(),
                        allowed: OPTIONS,
                    });
                }
            }
        }
        name.options = others;
        wrappers.sort_by_key(|wrapper| wrapper.place());
        Ok(Self(wrappers))
    }

    /// Shows the frames of `spec` as a square of `side` pixels a side, if they are not that already.
    pub fn see(&mut self, side: usize, spec: &EnvSpec) {
        if spec.observation != View::spec(spec, side).observation {
            self.0.insert(0, Wrapper::View(side));
        }
    }

    /// `maker` with these wrappers around its environments.
    pub fn around(self, maker: Arc<dyn Maker>) -> Arc<dyn Maker> {
        if self.0.is_empty() {
            return maker;
        }
        Arc::new(Wrapped {
            maker,
            wrapping: self,
        })
    }
}

/// A number of 1 or more.
fn whole(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n| (1..=1_000_000).contains(n))
}

/// A probability.
fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p))
}

/// Environments of another maker with wrappers around them.
struct Wrapped {
    maker: Arc<dyn Maker>,
    wrapping: Wrapping,
}

impl Maker for Wrapped {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        let inner = self.maker.spec()?;
        let mut wrappers = self.wrapping.0.iter();
        wrappers.try_fold(inner, |spec, wrapper| wrapper.spec(&spec))
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        let mut env = self.maker.make()?;
        for wrapper in &self.wrapping.0 {
            env = wrapper.around(env)?;
        }
        Ok(env)
    }

    fn with_random_start(&self) -> Option<Arc<dyn Maker>> {
        let maker = self.maker.with_random_start()?;
        Some(self.wrapping.clone().around(maker))
    }

    fn altered_from(&self, name: &str, step: u32) -> Option<Arc<dyn Maker>> {
        // What is inside counts steps of its own.
        let mut inner = step;
        for wrapper in &self.wrapping.0 {
            match *wrapper {
                // Those before an episode too, as many as its seed says.
                Wrapper::Noops(_) => return None,
                Wrapper::Skip(frames, _) => inner = frames * inner.saturating_sub(1) + 1,
                _ => {}
            }
        }
        let maker = self.maker.altered_from(name, inner)?;
        Some(self.wrapping.clone().around(maker))
    }

    fn gauges(&self) -> &'static [Gauge] {
        self.maker.gauges()
    }

    fn perturbations(&self) -> &'static [(&'static str, &'static str)] {
        let is_changed = |wrapper: &Wrapper| matches!(wrapper, Wrapper::Perturb(_));
        match self.wrapping.0.iter().any(is_changed) {
            true => &[],
            false => self.maker.perturbations(),
        }
    }
}

#[cfg(test)]
mod tests {
    use frmdn_env::ObservationMut;

    use super::*;
    use crate::worlds::{Bridge, World};

    #[test]
    fn a_world_is_altered_in_the_agents_step_if_it_can_be() {
        for (name, by, wanted) in [
            ("car-racing", "tyre", Some("from step 100 on")),
            // The frames of step 100 are those from 397 to 400.
            (
                "car-racing,skip=4max,rule=v4",
                "throttle",
                Some("from step 397 on"),
            ),
            ("car-racing,noops=8", "tyre", None),
            ("car-racing,perturb=bars", "tyre", None),
            ("car-racing", "flood", None),
            ("homebrew", "noise", None),
        ] {
            let world = World::open(name, &Bridge::default()).unwrap();
            let altered = world.altered_from(by, 100);
            let rule = altered.map(|world| world.spec().unwrap().rule);
            match wanted {
                None => assert_eq!(rule, None, "{name}"),
                Some(words) => assert!(rule.unwrap().contains(words), "{name}"),
            }
        }
    }

    #[test]
    fn what_is_made_is_what_is_declared() {
        let text = "car-racing,skip=4max,sticky=0.25,sticky_frames=0.1,noops=10,limit=100,rule=v4";
        let world = World::open(text, &Bridge::default()).unwrap();
        let spec = world.spec().unwrap();
        let mut env = world.make().unwrap();
        assert_eq!(*env.spec(), spec);
        assert_eq!((spec.max_steps, spec.steps_per_second), (Some(100), 12.5));
        for word in [
            "v4",
            "0 to 10 steps",
            "each frame repeats",
            "4 frames a step",
            "each step repeats",
            "after 100 steps",
        ] {
            assert!(spec.rule.contains(word), "{word}: {}", spec.rule);
        }
        let mut frame = vec![0; spec.observation.len()];
        env.reset(1, ObservationMut::Frame(&mut frame)).unwrap();
        let mut steps = 0;
        loop {
            let action = [0.0, 0.1, 0.0];
            let out = ObservationMut::Frame(&mut frame);
            steps += 1;
            if env.step(&action, out).unwrap().done() {
                break;
            }
        }
        assert_eq!(steps, 100);
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for option in [
            "skip=0",
            "skip=max",
            "sticky=1.5",
            "sticky_frames=often",
            "noops=-1",
            "limit=0",
            "forms=plain/tanh",
        ] {
            let name = format!("car-racing,{option}");
            let text = World::open(&name, &Bridge::default())
                .err()
                .unwrap()
                .to_string();
            assert!(
                text.contains(option) && text.contains("limit=STEPS"),
                "{text}"
            );
        }
    }

    #[test]
    fn forms_and_perturbations_are_for_all_and_car_racing_keeps_its_own() {
        let take = |text| Wrapping::take(&mut Name::parse(text).unwrap()).unwrap().0;
        assert_eq!(
            take("gym:Any-v0,perturb=bars,forms=plain/scaled:3"),
            [
                Wrapper::Perturb(Perturbation::Bars),
                Wrapper::Forms(vec![
                    ActionForm::Plain,
                    ActionForm::ScaledBy { output_scale: 3.0 }
                ])
            ]
        );
        assert_eq!(take("car-racing,perturb=noise"), []);
        let spec = |name: &str| World::open(name, &Bridge::default()).unwrap().spec();
        let forms = spec("car-racing,forms=scaled").unwrap().action_forms;
        assert_eq!(forms, [ActionForm::Scaled; 3]);
        let error = spec("car-racing,forms=plain").unwrap_err().to_string();
        assert!(
            error.contains("value 2 of an action of car-racing"),
            "{error}"
        );
    }
}
