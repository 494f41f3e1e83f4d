//! Drivers that see nothing: the floor every score is read against, and the first data.

use frmdn_engine::random::{Pcg64, fill_normal, fill_uniform, stream};

/// A policy that sees nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// Uniform actions, new at each step.
    Random,
    /// Actions that wander: see [`Brownian`].
    Brownian,
    /// The action closest to none.
    Noop,
}

/// One episode's stream of actions of a [`Blind`] policy, for Car-Racing's ranges.
#[derive(Clone, Debug)]
pub enum BlindDriver {
    /// Of [`Blind::Random`].
    Random(Pcg64),
    /// Of [`Blind::Brownian`].
    Brownian(Brownian),
    /// Of [`Blind::Noop`].
    Noop,
}

impl Blind {
    /// The driver of an episode: a function of the root seed and the episode's own.
    pub fn driver(self, root: u64, seed: u64) -> BlindDriver {
        match self {
            Self::Random => BlindDriver::Random(stream(root, "rollout/random", &[seed])),
            Self::Brownian => BlindDriver::Brownian(Brownian::new(root, seed)),
            Self::Noop => BlindDriver::Noop,
        }
    }
}

impl BlindDriver {
    /// The next action.
    pub fn act(&mut self, action: &mut [f32]) {
        match self {
            Self::Random(rng) => {
                fill_uniform(rng, 1.0, action);
                // Steering is in [-1, 1], gas and brake in [0, 1].
                action[1..].iter_mut().for_each(|x| *x = f32::midpoint(*x, 1.0));
            }
            Self::Brownian(walk) => walk.act(action),
            Self::Noop => action.fill(0.0),
        }
    }
}

/// Brownian actions for Car-Racing: three values walk in [-1, 1] with steps of 0.14 (√(1/50 s)), reflected at the ends.
/// Steering is the first, gas the second moved to 0..1, the brake what the third has above a half: braking is rare, or
/// the car would hardly ever get up speed.
#[derive(Clone, Debug)]
pub struct Brownian {
    at: [f32; 3],
    rng: Pcg64,
}

impl Brownian {
    /// Standard deviation of one step.
    const STEP: f32 = 0.141_421_36;

    /// The walk of an episode: a function of the root seed and the episode's own.
    pub fn new(root: u64, seed: u64) -> Self {
        let mut rng = stream(root, "rollout/brownian", &[seed]);
        let mut at = [0.0; 3];
        fill_uniform(&mut rng, 1.0, &mut at);
        Self { at, rng }
    }

    /// The next action.
    pub fn act(&mut self, action: &mut [f32]) {
        let mut noise = [0.0; 3];
        fill_normal(&mut self.rng, &mut noise);
        for (x, n) in self.at.iter_mut().zip(noise) {
            *x += Self::STEP * n;
            if *x > 1.0 {
                *x = 2.0 - *x;
            } else if *x < -1.0 {
                *x = -2.0 - *x;
            }
            *x = x.clamp(-1.0, 1.0);
        }
        action[0] = self.at[0];
        action[1] = f32::midpoint(self.at[1], 1.0);
        action[2] = (self.at[2] - 0.5).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_stay_in_range_wander_and_repeat() {
        let walk = |seed| {
            let mut b = Brownian::new(1, seed);
            let mut out = vec![[0.0f32; 3]; 500];
            out.iter_mut().for_each(|a| b.act(a));
            out
        };
        let a = walk(3);
        assert_eq!(a, walk(3));
        assert_ne!(a, walk(4));
        for step in &a {
            assert!((-1.0..=1.0).contains(&step[0]) && (0.0..=1.0).contains(&step[1]) && (0.0..=0.5).contains(&step[2]));
        }
        let jump = a.windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max);
        let span = a.iter().map(|s| s[0]).fold(f32::MIN, f32::max) - a.iter().map(|s| s[0]).fold(f32::MAX, f32::min);
        assert!(jump < 0.8 && span > 0.8, "{jump} {span}");
    }
}
