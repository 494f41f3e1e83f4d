//! How a controller's outputs become actions, said from outside.

use crate::{ActionForm, ActionSpace, Env, EnvError, EnvSpec, ObservationMut, Step};

/// Declares how outputs of a controller become the actions of another environment
/// ([`EnvSpec::action_forms`]), which knows nothing of that itself. What the environment accepts
/// stays the same, and so does the rule of its scores.
pub struct Forms {
    inner: Box<dyn Env>,
    spec: EnvSpec,
}

impl Forms {
    /// What `inner` says of itself with `forms`, one for each value of an action, or one for all.
    ///
    /// # Errors
    /// If its actions are discrete, if there are as many forms as neither, or if a value's range does
    /// not have what its form gives.
    pub fn spec(inner: &EnvSpec, forms: &[ActionForm]) -> Result<EnvSpec, EnvError> {
        let ActionSpace::Box { low, high } = &inner.actions else {
            return Err(EnvError::other(format!(
                "the actions of {} have no forms: they are {}",
                inner.name, inner.actions
            )));
        };
        let forms = match forms {
            [all] => vec![*all; low.len()],
            _ => forms.to_vec(),
        };
        if forms.len() != low.len() {
            return Err(EnvError::other(format!(
                "{} forms of actions are given; {} has {}: write one for each, or one for all",
                forms.len(),
                inner.name,
                inner.actions
            )));
        }
        for (i, form) in forms.iter().enumerate() {
            let (least, most) = match form {
                ActionForm::Scaled | ActionForm::ScaledBy { .. } => continue,
                ActionForm::Plain => (-1.0, 1.0),
                ActionForm::Clipped { .. } => (0.0, 0.0),
            };
            if low[i] > least || high[i] < most || high[i] <= 0.0 {
                return Err(EnvError::other(format!(
                    "value {} of an action of {} is in [{}, {}], which does not have the values \
                     that its form gives",
                    i + 1,
                    inner.name,
                    low[i],
                    high[i]
                )));
            }
        }
        Ok(EnvSpec {
            action_forms: forms,
            ..inner.clone()
        })
    }

    /// `inner` with `forms`.
    ///
    /// # Errors
    /// As those of [`Forms::spec`].
    pub fn new(inner: Box<dyn Env>, forms: &[ActionForm]) -> Result<Self, EnvError> {
        Ok(Self {
            spec: Self::spec(inner.spec(), forms)?,
            inner,
        })
    }
}

impl Env for Forms {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    forward!(begin, reseed, history, picture, probe, snapshot, restore);

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.inner.reset(seed, observation)
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        self.inner.step(action, observation)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        self.inner.step_unseen(action, observation)
    }
}
