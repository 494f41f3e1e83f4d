//! `gym:ID`: environments of Python's Gymnasium, behind the bridge.

use std::sync::Arc;

use frmdn_car_racing::{CarRacingConfig, continuous_forms};
use frmdn_env::{Env, EnvSpec};
use frmdn_gym_bridge::{Fleet, GymConfig, GymEnv, Python};
use serde_json::{Map, Value};

use super::{Bridge, Frames, Maker, VIEW, WorldError, name::Name, unknown, wrap::Wrapping};

/// An environment of Gymnasium whose packages stand for all, for advice.
pub const EXAMPLE: &str = "CarRacing-v3";

/// A `gym:` environment. Clones share its servers.
#[derive(Clone)]
pub struct Gym(Arc<Fleet>);

/// The id in `name`, if it is one of these.
///
/// # Errors
/// If there is no id after `gym:`.
pub(super) fn id<'a>(name: &Name<'a>) -> Result<Option<&'a str>, WorldError> {
    match name.kind.split_once(':') {
        Some(("gym", "")) => Err(WorldError::EmptyGymName),
        Some(("gym", id)) => Ok(Some(id)),
        _ => Ok(None),
    }
}

impl Gym {
    /// The environment `text`, with the observation `frames`. Without `draw`, a Car-Racing leaves
    /// its frames empty, which makes it fifty times faster.
    ///
    /// # Errors
    /// If it is no name of such an environment, if it would import a package that is not trusted,
    /// or if there is no Python.
    pub fn open(
        text: &str,
        bridge: &Bridge,
        frames: Frames,
        draw: bool,
    ) -> Result<Self, WorldError> {
        let mut name = Name::parse(text)?;
        // They are put around it.
        Wrapping::take(&mut name)?;
        let id = id(&name)?.ok_or_else(unknown)?;
        bridge.trust.check(&name)?;
        let python = Python::find(bridge.python.as_deref(), id)?;
        let mut config = GymConfig::new(id);
        config.name = name.to_string();
        config.kwargs = kwargs(&name.options);
        config.draw = draw;
        config.processes = rayon::current_num_threads();
        if is_car_racing(id) {
            config.action_forms = continuous_forms();
            config.stall_cost = CarRacingConfig::default().spec().stall_cost;
        }
        config.view = (frames == Frames::Agent).then(|| (scene(id), VIEW));
        config.deadline = bridge.deadline;
        config.start_deadline = bridge.deadline * 3;
        Ok(Self(Fleet::new(config, python.launch())))
    }

    /// A new environment, which shows its state.
    ///
    /// # Errors
    /// If its server fails.
    pub fn env(&self) -> Result<GymEnv, WorldError> {
        Ok(self.0.make()?)
    }
}

impl Maker for Gym {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        Ok(self.0.spec()?.env.clone())
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        Ok(Box::new(self.env()?))
    }
}

/// Options as keyword arguments.
fn kwargs(options: &[(&str, &str)]) -> Map<String, Value> {
    options
        .iter()
        .map(|(key, text)| ((*key).to_owned(), value(text)))
        .collect()
}

/// The value of a keyword argument: true, false, null and numbers as such, anything else as text.
fn value(text: &str) -> Value {
    match text {
        "None" => Value::Null,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        _ => serde_json::from_str::<Value>(text)
            .ok()
            .filter(|v| !v.is_object() && !v.is_array())
            .unwrap_or_else(|| text.into()),
    }
}

/// The rows of a frame that an agent sees, of environments whose native twins show the same: above
/// Car-Racing's bar of gauges, and below Super-Mario's clock and score.
fn scene(id: &str) -> Option<std::ops::Range<usize>> {
    match id {
        _ if is_car_racing(id) => Some(0..84),
        _ if id.starts_with("SuperMarioBros") => Some(32..224),
        _ => None,
    }
}

/// Whether an id of Gymnasium is a Car-Racing.
fn is_car_racing(id: &str) -> bool {
    id.rsplit([':', '/'])
        .next()
        .is_some_and(|base| base.starts_with("CarRacing-"))
}

#[cfg(test)]
mod tests {
    use frmdn_env::AgentView;

    use super::*;

    #[test]
    fn options_become_keyword_arguments() {
        let options = [("a", "true"), ("b", "0.5"), ("c", "word"), ("d", "None")];
        assert_eq!(
            Value::Object(kwargs(&options)),
            serde_json::json!({ "a": true, "b": 0.5, "c": "word", "d": null })
        );
    }

    /// The view that the bridge makes of whole pictures is what the native console's games show.
    #[test]
    fn the_view_of_super_mario_is_the_native_one() {
        use frmdn_env::ObservationMut;
        use frmdn_super_mario::{Buttons, Homebrew, SIDE};
        assert_eq!(SIDE, VIEW);
        let rows = scene("SuperMarioBros-1-1-v0").unwrap();
        let view = AgentView::new((240, 256, 3), rows, VIEW).unwrap();
        let mut env = Homebrew::new(Buttons::Simple);
        let (mut seen, mut made) = (vec![0; view.len()], vec![0; view.len()]);
        env.reset(1, ObservationMut::Frame(&mut seen)).unwrap();
        for step in 0..300u16 {
            view.write(&env.picture().unwrap().rgb, &mut made);
            assert!(seen == made, "step {step}");
            let action = f32::from(step / 20 % 5);
            let out = ObservationMut::Frame(&mut seen);
            if env.step(&[action], out).unwrap().done() {
                env.reset(u64::from(step), ObservationMut::Frame(&mut seen))
                    .unwrap();
            }
        }
    }

    #[test]
    fn car_racings_of_gymnasium_are_known() {
        for (id, is) in [
            ("CarRacing-v3", true),
            ("frmdn_gym:frmdn/CarRacing-v3", true),
            ("ALE/Pong-v5", false),
            ("MyCarRacing-v3", false),
        ] {
            assert_eq!(is_car_racing(id), is, "{id}");
        }
    }
}
