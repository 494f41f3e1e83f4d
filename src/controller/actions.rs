//! Conversion between C's outputs, the agent's action and the environment's action.

use frmdn_env::{ActionForm, ActionSpace, EnvSpec};

/// How the outputs of a controller become actions.
///
/// An agent's action, which is recorded and which M sees, has one value per dimension of a box of
/// real numbers, in the environment's units; of `n` discrete actions it is the one-hot vector of
/// length `n`.
#[derive(Clone, Debug, PartialEq)]
pub enum Actions {
    /// Each output becomes a value by its form.
    Box {
        /// Smallest values.
        low: Vec<f32>,
        /// Largest values.
        high: Vec<f32>,
        /// As many forms, as the environment declares them.
        forms: Vec<ActionForm>,
    },
    /// The largest of that many outputs is chosen.
    Discrete(usize),
}

impl Actions {
    /// The form of an agent's actions in the environment `spec`.
    pub fn of(spec: &EnvSpec) -> Self {
        match &spec.actions {
            ActionSpace::Box { low, high } => Self::Box {
                low: low.clone(),
                high: high.clone(),
                forms: if spec.action_forms.is_empty() {
                    vec![ActionForm::Scaled; low.len()]
                } else {
                    spec.action_forms.clone()
                },
            },
            ActionSpace::Discrete(n) => Self::Discrete(*n),
        }
    }

    /// Values of an agent's action.
    pub fn width(&self) -> usize {
        match self {
            Self::Box { low, .. } => low.len(),
            Self::Discrete(n) => *n,
        }
    }

    /// Turns outputs of a controller, any real numbers, into an action.
    pub fn squash(&self, raw: &mut [f32]) {
        match self {
            Self::Box { low, high, forms } => {
                for (i, x) in raw.iter_mut().enumerate() {
                    let (low, high) = (low[i], high[i]);
                    let t = libm::tanhf(*x);
                    *x = match forms[i] {
                        ActionForm::Plain => t,
                        ActionForm::Scaled | ActionForm::ScaledBy { .. } => scaled(t, low, high),
                        ActionForm::Clipped { .. } => t.clamp(low.max(0.0), high),
                    };
                }
            }
            Self::Discrete(_) => one_hot(raw, largest(raw)),
        }
    }

    /// Outputs of a controller that [`Actions::squash`] turns into `action`, none beyond ±2
    /// (tanh(2) is 0.96; larger values carry no information). Where many do, as for a brake that is
    /// not touched, one of them.
    pub fn unsquash(&self, action: &[f32], raw: &mut [f32]) {
        const MOST: f32 = 2.0;
        raw.copy_from_slice(action);
        match self {
            Self::Box { low, high, forms } => {
                for (i, x) in raw.iter_mut().enumerate() {
                    *x = match forms[i] {
                        ActionForm::Plain => *x,
                        ActionForm::Scaled | ActionForm::ScaledBy { .. } => {
                            2.0 * (*x - low[i]) / (high[i] - low[i]) - 1.0
                        }
                        ActionForm::Clipped { .. } if *x > 0.0 => *x,
                        ActionForm::Clipped { .. } => -0.5,
                    };
                }
            }
            Self::Discrete(_) => raw.iter_mut().for_each(|x| *x = 2.0 * *x - 1.0),
        }
        // The inverse of tanh.
        raw.iter_mut()
            .for_each(|x| *x = (0.5 * libm::logf((1.0 + *x) / (1.0 - *x))).clamp(-MOST, MOST));
    }

    /// Scale of each output of C at which equal steps change every action by about the same amount,
    /// as the environment declares it; 1 where it declares none.
    pub fn output_scale(&self) -> Vec<f64> {
        let scale = |form: &ActionForm| match *form {
            ActionForm::Plain | ActionForm::Scaled => 1.0,
            ActionForm::ScaledBy { output_scale } | ActionForm::Clipped { output_scale } => {
                output_scale
            }
        };
        match self {
            Self::Box { forms, .. } => forms.iter().map(scale).collect(),
            Self::Discrete(n) => vec![1.0; *n],
        }
    }

    /// Turns values in −1..1, drawn by a policy that ignores the observation, into an action: each
    /// scaled to its range (a clipped one too), or the largest of them chosen.
    pub fn scale_to_bounds(&self, values: &mut [f32]) {
        match self {
            Self::Box { low, high, forms } => {
                for (i, x) in values.iter_mut().enumerate() {
                    if forms[i] != ActionForm::Plain {
                        *x = scaled(*x, low[i], high[i]);
                    }
                }
            }
            Self::Discrete(_) => one_hot(values, largest(values)),
        }
    }

    /// As [`Actions::scale_to_bounds`], of a random walk: a clipped value is max(x − 0.5, 0) of its
    /// walk x, because with more braking a car would rarely gain speed.
    pub fn of_walk(&self, walk: &[f32], action: &mut [f32]) {
        action.copy_from_slice(walk);
        self.scale_to_bounds(action);
        if let Self::Box { forms, .. } = self {
            for (i, form) in forms.iter().enumerate() {
                if matches!(form, ActionForm::Clipped { .. }) {
                    action[i] = (walk[i] - 0.5).max(0.0);
                }
            }
        }
    }

    /// The action closest to doing nothing: zeros as far as the range has them, or the first of the
    /// discrete ones.
    pub fn none(&self, action: &mut [f32]) {
        match self {
            Self::Box { low, high, .. } => action
                .iter_mut()
                .zip(low.iter().zip(high))
                .for_each(|(x, (l, h))| *x = 0.0f32.clamp(*l, *h)),
            Self::Discrete(_) => one_hot(action, 0),
        }
    }

    /// The environment's form of an agent's action; `index` is a buffer for the number of a
    /// discrete one.
    pub fn for_env<'a>(&self, action: &'a [f32], index: &'a mut [f32; 1]) -> &'a [f32] {
        match self {
            Self::Discrete(_) => {
                index[0] = largest(action) as f32;
                index
            }
            _ => action,
        }
    }

    /// The agent's form of an environment's action.
    ///
    /// # Errors
    /// What is allowed, in words, if it is no action.
    pub fn of_env(&self, action: &[f32]) -> Result<Vec<f32>, String> {
        let space = match self {
            Self::Box { low, high, .. } => ActionSpace::Box {
                low: low.clone(),
                high: high.clone(),
            },
            Self::Discrete(n) => ActionSpace::Discrete(*n),
        };
        space.check(action).map_err(|_| space.to_string())?;
        let mut own = vec![0.0; self.width()];
        match self {
            Self::Box { .. } => own.copy_from_slice(action),
            Self::Discrete(_) => own[action[0] as usize] = 1.0,
        }
        Ok(own)
    }
}

/// A value in −1..1 at its place between `low` and `high`.
fn scaled(x: f32, low: f32, high: f32) -> f32 {
    (low + (high - low) * f32::midpoint(x, 1.0)).clamp(low, high)
}

/// The first of the largest values.
fn largest(values: &[f32]) -> usize {
    values
        .iter()
        .enumerate()
        .fold(0, |best, (i, x)| if *x > values[best] { i } else { best })
}

fn one_hot(values: &mut [f32], chosen: usize) {
    values
        .iter_mut()
        .enumerate()
        .for_each(|(i, x)| *x = if i == chosen { 1.0 } else { 0.0 });
}

#[cfg(test)]
mod tests {
    use frmdn_env::ObservationSpace;

    use super::*;

    fn of_space(space: ActionSpace) -> Actions {
        Actions::of(&EnvSpec::new("test", space, ObservationSpace::Latent(1)))
    }

    fn car_racing() -> Actions {
        Actions::of(&crate::worlds::default_spec())
    }

    #[test]
    fn car_racing_is_squashed_as_published() {
        let mut a = [0.85, 0.0, -3.0];
        car_racing().squash(&mut a);
        assert_eq!(a, [libm::tanhf(0.85), 0.5, 0.0]);
        assert_eq!(car_racing().output_scale(), [1.0, 3.0, 3.0]);
        // Another environment with the same box has no such forms.
        let mut a = [0.85, 0.0, -3.0];
        of_space(crate::worlds::default_spec().actions).squash(&mut a);
        assert!(a[2] > 0.0 && a[2] < 0.01, "{a:?}");
    }

    #[test]
    fn outputs_come_back_from_their_actions() {
        let space = |low: [f32; 3]| ActionSpace::Box {
            low: low.to_vec(),
            high: vec![1.0; 3],
        };
        for actions in [
            car_racing(),
            of_space(space([-3.0, 0.5, -1.0])),
            Actions::Discrete(3),
        ] {
            for raw in [[0.85, -0.3, 1.2], [-1.5, 0.0, -0.4], [9.0, -9.0, 0.1]] {
                let (mut action, mut inverse) = (raw, [0.0; 3]);
                actions.squash(&mut action);
                actions.unsquash(&action, &mut inverse);
                assert!(inverse.iter().all(|x| x.abs() <= 2.0), "{inverse:?}");
                let mut again = inverse;
                actions.squash(&mut again);
                // Beyond the limit the action is a smaller one in the same direction.
                let near = |(a, b): (&f32, &f32)| {
                    (a - b).abs() < 1e-5
                        || (a.abs() > 0.95 && a * b > 0.0)
                        || (*a < 0.02 && *b < 0.02)
                };
                assert!(
                    matches!(actions, Actions::Box { .. }) || action.iter().zip(&again).all(near),
                    "{action:?} {again:?}"
                );
            }
        }
    }

    #[test]
    fn boxes_are_filled_and_never_left() {
        let actions = of_space(ActionSpace::Box {
            low: vec![-3.0, 0.1],
            high: vec![1.0, 0.7],
        });
        assert_eq!(actions.width(), 2);
        for (raw, expected) in [
            ([0.0, 0.0], [-1.0, 0.4]),
            ([99.0, -99.0], [1.0, 0.1]),
            ([-99.0, 99.0], [-3.0, 0.7]),
        ] {
            let mut a = raw;
            actions.squash(&mut a);
            assert!(
                (a[0] - expected[0]).abs() < 1e-6 && (a[1] - expected[1]).abs() < 1e-6,
                "{a:?}"
            );
            assert!(
                (-3.0..=1.0).contains(&a[0]) && (0.1..=0.7).contains(&a[1]),
                "{a:?}"
            );
        }
        let mut none = [9.0; 2];
        actions.none(&mut none);
        assert_eq!(none, [0.0, 0.1]);
    }

    #[test]
    fn discrete_actions_are_one_hot_for_the_agent_and_a_number_for_the_environment() {
        let actions = of_space(ActionSpace::Discrete(4));
        let mut a = [-0.5, 0.2, 0.2, -9.0];
        actions.squash(&mut a);
        assert_eq!(a, [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(actions.for_env(&a, &mut [0.0]), [1.0]);
        let mut b = [0.0; 3];
        Actions::Discrete(3).none(&mut b);
        assert_eq!(b, [1.0, 0.0, 0.0]);
    }
}
