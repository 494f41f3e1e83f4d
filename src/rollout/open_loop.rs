//! Policies that ignore the observation: a lower reference for scores, and the source of the first
//! data.

use frmdn_engine::random::{Pcg64, fill_normal, fill_uniform, stream};
use rand::RngExt;

use crate::controller::Actions;

/// A policy that ignores the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenLoop {
    /// An independent uniform action at each step.
    Random,
    /// A random walk, see [`Brownian`].
    Brownian,
    /// A random walk with held actions in between, see [`Bursts`].
    Bursts,
    /// No action, or the one closest to it, at every step.
    Noop,
}

/// The actions of an [`OpenLoop`] policy in one episode.
#[derive(Clone, Debug)]
pub enum OpenLoopDriver {
    /// Of [`OpenLoop::Random`].
    Random(Pcg64, Actions),
    /// Of [`OpenLoop::Brownian`].
    Brownian(Brownian),
    /// Of [`OpenLoop::Bursts`].
    Bursts(Box<(Brownian, Bursts)>),
    /// Of [`OpenLoop::Noop`].
    Noop(Actions),
}

impl OpenLoop {
    /// The actions of an episode, a function of the root seed `root` and the episode's `seed`.
    pub fn driver(self, actions: &Actions, root: u64, seed: u64) -> OpenLoopDriver {
        match self {
            Self::Random => {
                OpenLoopDriver::Random(stream(root, "rollout/random", &[seed]), actions.clone())
            }
            Self::Brownian => OpenLoopDriver::Brownian(Brownian::new(actions, root, seed)),
            Self::Bursts => {
                let walk = Brownian::new(actions, root, seed);
                OpenLoopDriver::Bursts(Box::new((walk, Bursts::new(actions, root, seed))))
            }
            Self::Noop => OpenLoopDriver::Noop(actions.clone()),
        }
    }
}

impl OpenLoopDriver {
    /// Writes the next action, in the agent's form ([`Actions::width`] values).
    pub fn act(&mut self, action: &mut [f32]) {
        match self {
            Self::Random(rng, actions) => {
                fill_uniform(rng, 1.0, action);
                actions.scale_to_bounds(action);
            }
            Self::Brownian(walk) => walk.act(action),
            Self::Bursts(both) => {
                let (walk, bursts) = both.as_mut();
                walk.act(action);
                bursts.interrupt(action);
            }
            Self::Noop(actions) => actions.none(action),
        }
    }
}

/// Brownian actions: each value of an action is a random walk in [-1, 1] with normal steps of
/// standard deviation 0.14 (√(1/50 s)), reflected at the ends. The walks are scaled to the range of
/// their values ([`Actions::of_walk`]); with discrete actions the largest one is chosen.
#[derive(Clone, Debug)]
pub struct Brownian {
    at: Vec<f32>,
    noise: Vec<f32>,
    actions: Actions,
    rng: Pcg64,
}

impl Brownian {
    /// Standard deviation of one step.
    const STEP: f32 = 0.141_421_36;

    /// The walk of an episode, a function of the root seed `root` and the episode's `seed`.
    pub fn new(actions: &Actions, root: u64, seed: u64) -> Self {
        let mut rng = stream(root, "rollout/brownian", &[seed]);
        let mut at = vec![0.0; actions.width()];
        fill_uniform(&mut rng, 1.0, &mut at);
        Self {
            noise: vec![0.0; at.len()],
            at,
            actions: actions.clone(),
            rng,
        }
    }

    /// Writes the next action, in the agent's form ([`Actions::width`] values).
    pub fn act(&mut self, action: &mut [f32]) {
        fill_normal(&mut self.rng, &mut self.noise);
        for (x, n) in self.at.iter_mut().zip(&self.noise) {
            *x += Self::STEP * n;
            if *x > 1.0 {
                *x = 2.0 - *x;
            } else if *x < -1.0 {
                *x = -2.0 - *x;
            }
            *x = x.clamp(-1.0, 1.0);
        }
        self.actions.of_walk(&self.at, action);
    }
}

/// Bursts that interrupt a driver: one action, held for a while. What held controls lead to (a car at
/// full gas into a bend, on its brakes, lost, standing) a driver alone hardly shows, and a memory that
/// has not seen it dreams something better.
///
/// A step outside of a burst begins one with a probability of 1/40. It lasts 5 to 60 steps, so that
/// nearly half of all steps lie in bursts. The held action is nothing, or of a box of real numbers one
/// or all of its values at a random end of their ranges, or any of the discrete ones.
#[derive(Clone, Debug)]
pub struct Bursts {
    actions: Actions,
    rng: Pcg64,
    held: Vec<f32>,
    left: u32,
}

impl Bursts {
    /// Probability that a step begins a burst.
    const BEGINS: f32 = 1.0 / 40.0;
    /// Steps of a burst.
    const STEPS: std::ops::RangeInclusive<u32> = 5..=60;

    /// The bursts of an episode, a function of the root seed `root` and the episode's `seed`.
    pub fn new(actions: &Actions, root: u64, seed: u64) -> Self {
        Self {
            actions: actions.clone(),
            rng: stream(root, "rollout/bursts", &[seed]),
            held: vec![0.0; actions.width()],
            left: 0,
        }
    }

    /// Holds the driver's next action back in a burst, and leaves it as it is in between; in the
    /// agent's form ([`Actions::width`] values).
    pub fn interrupt(&mut self, action: &mut [f32]) {
        if self.left == 0 && self.rng.random::<f32>() < Self::BEGINS {
            self.left = self.rng.random_range(Self::STEPS);
            self.choose();
        }
        if self.left > 0 {
            self.left -= 1;
            action.copy_from_slice(&self.held);
        }
    }

    /// Chooses what is held.
    fn choose(&mut self) {
        self.actions.none(&mut self.held);
        let width = self.held.len();
        match &self.actions {
            Actions::Discrete(_) => {
                self.held.fill(0.0);
                self.held[self.rng.random_range(0..width)] = 1.0;
            }
            Actions::Box { low, high, .. } => {
                // One of the values, all of them, or none.
                let which = self.rng.random_range(0..width + 2);
                for (i, value) in self.held.iter_mut().enumerate() {
                    let end = [low[i], high[i]][usize::from(self.rng.random::<bool>())];
                    if which == i || which == width {
                        *value = end;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that are the same as the one before.
    fn held(actions: &Actions, steps: u32) -> (Vec<Vec<f32>>, f64) {
        let mut driver = OpenLoop::Bursts.driver(actions, 1, 3);
        let mut all = vec![vec![0.0; actions.width()]; steps as usize];
        all.iter_mut().for_each(|action| driver.act(action));
        let same = all.windows(2).filter(|pair| pair[0] == pair[1]).count();
        (all, same as f64 / f64::from(steps))
    }

    #[test]
    fn bursts_hold_every_end_and_leave_half_of_the_steps_to_the_walk() {
        let actions = Actions::of(&crate::worlds::default_spec());
        let (all, share) = held(&actions, 20_000);
        assert_eq!(all, held(&actions, 20_000).0);
        assert!((0.3..0.6).contains(&share), "{share}");
        let runs = |wanted: [f32; 3]| {
            all.windows(5)
                .filter(|w| w.iter().all(|a| *a == wanted))
                .count()
        };
        for wanted in [
            [0.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [1.0, 1.0, 1.0],
        ] {
            assert!(runs(wanted) > 50, "{wanted:?}: {}", runs(wanted));
        }
        let (all, _) = held(&Actions::Discrete(4), 5_000);
        for button in 0..4 {
            let is_held = |w: &[Vec<f32>]| w.iter().all(|a| a[button] == 1.0);
            assert!(all.windows(20).any(is_held), "{button}");
        }
    }

    /// Whoever is interrupted has all actions but those of bursts, which hold one for 5 to 60 steps each.
    #[test]
    fn a_driver_is_left_alone_between_bursts() {
        let actions = Actions::of(&crate::worlds::default_spec());
        let mut bursts = Bursts::new(&actions, 1, 3);
        let own = |t: u32| [0.2 + 1e-5 * t as f32, 0.3, 0.1];
        let (mut held, mut lengths) = (None, vec![0]);
        for t in 0..20_000 {
            let mut action = own(t);
            bursts.interrupt(&mut action);
            if action == own(t) {
                held = None;
                continue;
            }
            if held != Some(action) {
                lengths.push(0);
            }
            held = Some(action);
            *lengths.last_mut().unwrap() += 1;
        }
        assert!(lengths.len() > 200, "{}", lengths.len());
        assert!(lengths[1..].iter().all(|n| (5..=120).contains(n)));
        let steps: u32 = lengths.iter().sum();
        assert!((6_000..12_000).contains(&steps), "{steps}");
    }

    fn walk(actions: &Actions, seed: u64) -> Vec<Vec<f32>> {
        let mut b = Brownian::new(actions, 1, seed);
        let mut out = vec![vec![0.0f32; actions.width()]; 500];
        out.iter_mut().for_each(|a| b.act(a));
        out
    }

    #[test]
    fn actions_stay_in_range_wander_and_repeat() {
        let actions = Actions::of(&crate::worlds::default_spec());
        let a = walk(&actions, 3);
        assert_eq!(a, walk(&actions, 3));
        assert_ne!(a, walk(&actions, 4));
        for step in &a {
            assert!(
                (-1.0..=1.0).contains(&step[0])
                    && (0.0..=1.0).contains(&step[1])
                    && (0.0..=0.5).contains(&step[2])
            );
        }
        let jump = a
            .windows(2)
            .map(|w| (w[1][0] - w[0][0]).abs())
            .fold(0.0, f32::max);
        let span = a.iter().map(|s| s[0]).fold(f32::MIN, f32::max)
            - a.iter().map(|s| s[0]).fold(f32::MAX, f32::min);
        assert!(jump < 0.8 && span > 0.8, "{jump} {span}");
    }

    #[test]
    fn discrete_actions_last_a_while_and_change() {
        let steps = walk(&Actions::Discrete(5), 3);
        assert!(
            steps
                .iter()
                .all(|a| a.iter().sum::<f32>() == 1.0 && a.iter().all(|x| *x == 0.0 || *x == 1.0))
        );
        let changes = steps.windows(2).filter(|w| w[0] != w[1]).count();
        assert!(
            (20..250).contains(&changes),
            "{changes} changes in 500 steps"
        );
    }
}
