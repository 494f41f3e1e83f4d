//! Names of environments, with their options.

use frmdn_car_racing::{Actions, CarRacingConfig, Perturbation, Rule};
use serde_json::{Map, Value};

/// A name, taken apart.
#[derive(Debug, PartialEq)]
pub(super) enum Name {
    CarRacing(CarRacingConfig),
    Gym {
        id: String,
        kwargs: Map<String, Value>,
    },
}

const NAMES: &str =
    "car-racing, or gym:ID for an environment of Python's Gymnasium, for example gym:CarRacing-v3";
const OPTIONS: &str = "rule=v3|v4, domain_randomize=true|false, continuous=true|false, \
    random_start=true|false, perturb=";

impl Name {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, options) = text
            .split_once(',')
            .map_or((text, None), |(name, options)| (name, Some(options)));
        let options: Vec<(&str, &str)> = options
            .into_iter()
            .flat_map(|o| o.split(','))
            .map(|option| {
                let pair = option.split_once('=').filter(|(key, _)| !key.is_empty());
                pair.ok_or_else(|| {
                    format!("`{option}` is no option: write NAME,key=value,key=value")
                })
            })
            .collect::<Result<_, _>>()?;
        match name.split_once(':') {
            Some(("gym", "")) => Err(format!(
                "gym: needs the name of an environment, for example gym:CarRacing-v3; allowed: \
                 {NAMES}"
            )),
            Some(("gym", id)) => Ok(Self::Gym {
                id: id.to_owned(),
                kwargs: options
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), value(v)))
                    .collect(),
            }),
            None if name == "car-racing" => car_racing(&options).map(Self::CarRacing),
            _ => Err(format!("there is no such environment; allowed: {NAMES}")),
        }
    }
}

fn car_racing(options: &[(&str, &str)]) -> Result<CarRacingConfig, String> {
    let mut config = CarRacingConfig::default();
    for &(key, value) in options {
        let yes = match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        match (key, value, yes) {
            ("rule", "v3", _) => config.rule = Rule::V3,
            ("rule", "v4", _) => config.rule = Rule::V4,
            ("domain_randomize", _, Some(yes)) => config.domain_randomize = yes,
            ("continuous", _, Some(yes)) => {
                config.actions = if yes {
                    Actions::Continuous
                } else {
                    Actions::Discrete
                }
            }
            ("random_start", _, Some(yes)) => config.random_start = yes,
            ("perturb", name, _) => {
                let known = Perturbation::ALL.into_iter().find(|p| p.name() == name);
                config.perturbation = Some(known.ok_or_else(|| {
                    format!(
                        "there is no perturbation `{name}`; allowed: perturb={}",
                        perturbations()
                    )
                })?);
            }
            _ => {
                return Err(format!(
                    "car-racing has no option {key}={value}; allowed: {OPTIONS}{}",
                    perturbations()
                ));
            }
        }
    }
    Ok(config)
}

/// The names of all perturbations.
fn perturbations() -> String {
    Perturbation::ALL.map(Perturbation::name).join("|")
}

/// A keyword argument: true, false, null and numbers as such, anything else as text.
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
            let text = Name::parse(name).unwrap_err();
            for word in words {
                assert!(text.contains(word), "{name}: {text}");
            }
        }
    }
}
