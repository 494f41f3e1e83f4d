//! Names of environments, with their options.

use frmdn_car_racing::{Actions, CarRacingConfig, Perturbation, Rule};
use serde_json::{Map, Value};

use super::WorldError;

/// A parsed name.
#[derive(Debug, PartialEq)]
pub(super) enum Name {
    CarRacing(CarRacingConfig),
    Gym {
        id: String,
        kwargs: Map<String, Value>,
    },
}

/// The options of Car-Racing, without the names of the perturbations.
const OPTIONS: &str = "rule=v3|v4, domain_randomize=true|false, continuous=true|false, \
    random_start=true|false, perturb=";

impl Name {
    pub fn parse(text: &str) -> Result<Self, WorldError> {
        let mut parts = text.split(',');
        // `split` gives at least one part, which is empty where the text is.
        let name = parts.next().unwrap_or_default();
        let mut options = Vec::new();
        for option in parts {
            match option.split_once('=') {
                Some((key, value)) if !key.is_empty() => options.push((key, value)),
                _ => return Err(WorldError::Malformed(option.to_owned())),
            }
        }
        match name.split_once(':') {
            Some(("gym", "")) => Err(WorldError::EmptyGymName),
            Some(("gym", id)) => Ok(Self::Gym {
                id: id.to_owned(),
                kwargs: options
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), value(v)))
                    .collect(),
            }),
            None if name == "car-racing" => car_racing(&options).map(Self::CarRacing),
            _ => Err(WorldError::UnknownName),
        }
    }
}

fn car_racing(options: &[(&str, &str)]) -> Result<CarRacingConfig, WorldError> {
    let mut config = CarRacingConfig::default();
    for &(key, value) in options {
        let flag = match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        match (key, value, flag) {
            ("rule", "v3", _) => config.rule = Rule::V3,
            ("rule", "v4", _) => config.rule = Rule::V4,
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
                        allowed: perturbations(),
                    })?);
            }
            _ => {
                return Err(WorldError::UnknownOption {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    allowed: format!("{OPTIONS}{}", perturbations()),
                });
            }
        }
    }
    Ok(config)
}

/// The names of all perturbations.
fn perturbations() -> String {
    Perturbation::ALL.map(Perturbation::name).join("|")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_options_are_read() {
        let Name::CarRacing(config) =
            Name::parse("car-racing,rule=v4,continuous=false,random_start=true").unwrap()
        else {
            panic!()
        };
        assert_eq!(
            (
                config.rule,
                config.actions,
                config.random_start,
                config.domain_randomize
            ),
            (Rule::V4, Actions::Discrete, true, false)
        );
        let Name::Gym { id, kwargs } =
            Name::parse("gym:pkg:space/Car-v1,a=true,b=0.5,c=word,d=None").unwrap()
        else {
            panic!()
        };
        assert_eq!(id, "pkg:space/Car-v1");
        assert_eq!(
            Value::Object(kwargs),
            serde_json::json!({ "a": true, "b": 0.5, "c": "word", "d": null })
        );
    }

    #[test]
    fn what_does_not_exist_is_refused_with_what_does() {
        for (name, words) in [
            ("pong", vec!["car-racing", "gym:ID"]),
            ("gym:", vec!["gym:CarRacing-v3"]),
            ("car-racing,rule=v5", vec!["rule=v5", "rule=v3|v4"]),
            (
                "car-racing,speed=3",
                vec!["speed=3", "domain_randomize", "perturb=colour|bars"],
            ),
            (
                "car-racing,perturb=rain",
                vec!["rain", "perturb=colour|bars|blob|noise|throttle|friction"],
            ),
            ("car-racing,fast", vec!["fast", "key=value"]),
            ("atari:Pong", vec!["no such environment", "gym:ID"]),
        ] {
            let text = Name::parse(name).unwrap_err().to_string();
            for word in words {
                assert!(text.contains(word), "{name}: {text}");
            }
        }
    }
}
