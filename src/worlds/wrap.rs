//! Options of every environment: its wrappers.

use std::sync::Arc;

use frmdn_env::{
    Env, EnvSpec,
    wrappers::{FrameSkip, NoopStart, StepLimit, Sticky, View},
};

use super::{Maker, WorldError, name::Name};

/// The options, for messages.
pub(super) const OPTIONS: &str =
    "skip=FRAMES[max], sticky=P, sticky_frames=P, noops=MOST, limit=STEPS";

/// The wrappers that a name asks for, from the inside out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wrapping {
    /// Side of the square that frames are shown as.
    view: Option<usize>,
    noops: Option<u32>,
    sticky_frames: Option<f64>,
    /// Frames, and whether the larger value of the last two is seen.
    skip: Option<(u32, bool)>,
    sticky: Option<f64>,
    limit: Option<u32>,
}

impl Wrapping {
    /// Takes the options of wrappers out of `name`.
    ///
    /// # Errors
    /// If one of them has a value that it cannot have.
    pub fn take(name: &mut Name<'_>) -> Result<Self, WorldError> {
        let mut wrapping = Self::default();
        let mut refused = None;
        name.options.retain(|&(key, value)| {
            let known = match key {
                "noops" => whole(value).map(|n| wrapping.noops = Some(n)),
                "limit" => whole(value).map(|n| wrapping.limit = Some(n)),
                "sticky" => share(value).map(|p| wrapping.sticky = Some(p)),
                "sticky_frames" => share(value).map(|p| wrapping.sticky_frames = Some(p)),
                "skip" => {
                    let frames = value.strip_suffix("max");
                    whole(frames.unwrap_or(value))
                        .map(|n| wrapping.skip = Some((n, frames.is_some())))
                }
                _ => return true,
            };
            if known.is_none() {
                refused = Some(WorldError::WrapperValue {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    allowed: OPTIONS,
                });
            }
            false
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(wrapping),
        }
    }

    /// Shows the frames of `spec` as a square of `side` pixels a side, if they are not that already.
    pub fn see(&mut self, side: usize, spec: &EnvSpec) {
        let seen = View::spec(spec, side).observation;
        self.view = (spec.observation != seen).then_some(side);
    }

    /// `maker` with these wrappers around its environments.
    pub fn around(self, maker: Arc<dyn Maker>) -> Arc<dyn Maker> {
        if self == Self::default() {
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
        let Wrapping {
            view,
            noops,
            sticky_frames,
            skip,
            sticky,
            limit,
        } = self.wrapping;
        let mut spec = self.maker.spec()?;
        if let Some(side) = view {
            spec = View::spec(&spec, side);
        }
        if let Some(most) = noops {
            spec = NoopStart::spec(&spec, most);
        }
        if let Some(p) = sticky_frames {
            spec = Sticky::spec(&spec, p, "frame");
        }
        if let Some((frames, is_maximum)) = skip {
            spec = FrameSkip::spec(&spec, frames, is_maximum);
        }
        if let Some(p) = sticky {
            spec = Sticky::spec(&spec, p, "step");
        }
        if let Some(most) = limit {
            spec = StepLimit::spec(&spec, most);
        }
        Ok(spec)
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        let Wrapping {
            view,
            noops,
            sticky_frames,
            skip,
            sticky,
            limit,
        } = self.wrapping;
        let mut env = self.maker.make()?;
        if let Some(side) = view {
            env = Box::new(View::new(env, side)?);
        }
        if let Some(most) = noops {
            env = Box::new(NoopStart::new(env, most));
        }
        if let Some(p) = sticky_frames {
            env = Box::new(Sticky::new(env, p, "frame"));
        }
        if let Some((frames, is_maximum)) = skip {
            env = Box::new(FrameSkip::new(env, frames, is_maximum));
        }
        if let Some(p) = sticky {
            env = Box::new(Sticky::new(env, p, "step"));
        }
        if let Some(most) = limit {
            env = Box::new(StepLimit::new(env, most));
        }
        Ok(env)
    }

    fn with_random_start(&self) -> Option<Arc<dyn Maker>> {
        let maker = self.maker.with_random_start()?;
        Some(self.wrapping.around(maker))
    }

    fn perturbations(&self) -> &'static [(&'static str, &'static str)] {
        self.maker.perturbations()
    }
}

#[cfg(test)]
mod tests {
    use frmdn_env::ObservationMut;

    use super::*;
    use crate::worlds::{Bridge, World};

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
}
