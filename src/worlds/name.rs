//! Names of environments: a kind and options after commas.

use super::WorldError;

/// A parsed name: `car-racing,rule=v4` is the kind `car-racing` with one option.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name<'a> {
    /// What stands before the first comma.
    pub kind: &'a str,
    /// Keys and values, in order; a key stands there once.
    pub options: Vec<(&'a str, &'a str)>,
}

impl<'a> Name<'a> {
    pub fn parse(text: &'a str) -> Result<Self, WorldError> {
        let mut parts = text.split(',');
        // `split` gives at least one part, which is empty where the text is.
        let kind = parts.next().unwrap_or_default();
        let mut options: Vec<(&str, &str)> = Vec::new();
        for option in parts {
            let Some((key, value)) = option.split_once('=').filter(|(key, _)| !key.is_empty())
            else {
                return Err(WorldError::Malformed(option.to_owned()));
            };
            if options.iter().any(|(other, _)| *other == key) {
                return Err(WorldError::Twice(key.to_owned()));
            }
            options.push((key, value));
        }
        Ok(Self { kind, options })
    }

    /// What stands after a colon: the id of `gym:`, the agent of `dream:`.
    pub fn subject(&self) -> Option<&'a str> {
        self.kind.split_once(':').map(|(_, subject)| subject)
    }
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind)?;
        for (key, value) in &self.options {
            write!(f, ",{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_options_are_read() {
        let name = Name::parse("gym:pkg:space/Car-v1,a=true,b=").unwrap();
        assert_eq!(name.kind, "gym:pkg:space/Car-v1");
        assert_eq!(name.options, [("a", "true"), ("b", "")]);
        assert_eq!(name.to_string(), "gym:pkg:space/Car-v1,a=true,b=");
        assert_eq!(Name::parse("car-racing").unwrap().options, []);
        for (text, word) in [
            ("car-racing,fast", "fast"),
            ("car-racing,=3", "=3"),
            ("car-racing,rule=v4,rule=v3", "rule"),
        ] {
            let error = Name::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
