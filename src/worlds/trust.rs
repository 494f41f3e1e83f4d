//! Which packages of Python an environment's name may import: to import one is to run its code.

use super::{WorldError, gym, name::Name};

/// Packages that every name may import: those that `docs/environments.md` says how to install.
const KNOWN: [&str; 3] = ["gymnasium", "gym_super_mario_bros", "frmdn_gym"];

/// The packages of Python that names of environments may import. Names also come from files that
/// others have written: agents, run folders.
#[derive(Clone, Debug)]
pub enum Trust {
    /// All of them.
    All,
    /// The known ones (Gymnasium's own, gym_super_mario_bros, frmdn_gym), and these.
    Packages(Vec<String>),
}

impl Default for Trust {
    /// The known ones alone.
    fn default() -> Self {
        Self::Packages(Vec::new())
    }
}

impl Trust {
    /// The known packages, and those that the environments `names` import. Names that are none are
    /// left out: they import nothing.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().filter_map(|name| Name::parse(name).ok());
        Self::Packages(names.flat_map(|name| packages(&name)).collect())
    }

    /// Refuses a name that imports another package.
    pub(super) fn check(&self, name: &Name<'_>) -> Result<(), WorldError> {
        let Self::Packages(trusted) = self else {
            return Ok(());
        };
        let stranger = packages(name)
            .into_iter()
            .find(|package| !KNOWN.contains(&&package[..]) && !trusted.contains(package));
        match stranger {
            None => Ok(()),
            Some(package) => Err(WorldError::Untrusted {
                name: name.to_string(),
                package,
            }),
        }
    }
}

/// The packages that `name` makes Gymnasium import. An option that looks like `module:ID` counts
/// too: some environments make another one that is named so.
fn packages(name: &Name<'_>) -> Vec<String> {
    let Ok(Some(id)) = gym::id(name) else {
        return Vec::new();
    };
    let values = name.options.iter().map(|(_, value)| *value);
    let modules = [id].into_iter().chain(values);
    modules
        .filter_map(|text| text.split_once(':'))
        .filter_map(|(module, _)| module.split('.').next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(trust: &Trust, name: &str) -> Option<String> {
        let outcome = trust.check(&Name::parse(name).unwrap());
        outcome.err().map(|error| error.to_string())
    }

    #[test]
    fn only_known_packages_and_those_that_were_named_are_imported() {
        let (none, all) = (Trust::default(), Trust::All);
        let named = Trust::of(["car-racing", "gym:mine.envs:A-v0,skip=4", ",,", "gym:"]);
        for name in [
            "car-racing",
            "gym:CarRacing-v3,domain_randomize=true",
            "gym:ALE/Pong-v5",
            "gym:frmdn_gym:frmdn/CarRacing-v3",
            "gym:gymnasium.envs.box2d:CarRacing-v3",
            "gym:SuperMarioBros-1-1-v0,actions=simple",
        ] {
            assert_eq!(refused(&none, name), None, "{name}");
        }
        for (name, package) in [
            ("gym:this:X", "this"),
            ("gym:antigravity.deep:X-v0,a=1", "antigravity"),
            ("gym:gymnasium_evil:X", "gymnasium_evil"),
            ("gym:GymV21Environment-v0,env_id=evil:X", "evil"),
            ("gym::X", ""),
        ] {
            for trust in [&none, &named] {
                let text = refused(trust, name).unwrap();
                assert!(
                    text.contains(name) && text.contains(&format!("package \"{package}\"")),
                    "{text}"
                );
            }
            assert_eq!(refused(&all, name), None, "{name}");
        }
        assert!(refused(&none, "gym:mine:B-v0").is_some());
        assert_eq!(refused(&named, "gym:mine:B-v0"), None);
    }
}
