//! Changes of single settings, as `--set` and the studies make them.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Preset, spelling};
use crate::run::{Result, RunError};

/// Settings that are not written where there is nothing of them.
fn unwritten() -> [(&'static str, &'static str, Value); 11] {
    [
        ("memory.model", "mask", Value::String("halves".into())),
        ("memory.model", "matrix", Value::Boolean(false)),
        ("memory.model", "log_precision_limit", Value::Float(12.0)),
        ("memory.model", "reward_hidden", Value::Integer(0)),
        ("memory.model.loss", "auxiliary_weight", Value::Float(0.0)),
        ("memory", "auxiliary", Value::String(String::new())),
        ("collect", "give_up_after", Value::Integer(0)),
        ("vision", "rare", Value::Float(0.0)),
        ("vision.model", "decoder_width", Value::Integer(0)),
        ("controller", "hidden", Value::Array(Vec::new())),
        ("controller", "temperature", Value::Float(0.0)),
    ]
}

impl Preset {
    /// This preset with `sets` (`key=value`, dotted keys) applied.
    ///
    /// # Errors
    /// If a key does not exist, or a value is of another type or impossible.
    pub fn with(self, sets: &[String]) -> Result<Self> {
        let resolved: Self = changed(self.table(), sets)?;
        resolved.validate()?;
        Ok(resolved)
    }
}

/// The settings of `table` with `sets` (`key=value`, dotted keys) applied.
///
/// # Errors
/// If a key does not exist, or a value is of another type.
pub(crate) fn changed<T: DeserializeOwned>(table: Table, sets: &[String]) -> Result<T> {
    let mut table = table;
    for (path, key, zero) in unwritten() {
        let mut part = Some(&mut table);
        for name in path.split('.') {
            part = part.and_then(|part| part.get_mut(name)?.as_table_mut());
        }
        if let Some(part) = part {
            part.entry(key).or_insert(zero);
        }
    }
    for set in sets {
        apply(&mut table, set).map_err(|what| RunError::Config(format!("{set}: {what}")))?;
    }
    table.try_into().map_err(|e: toml::de::Error| {
        RunError::Config(format!("{}: {}", sets.join(", "), e.to_string().trim()))
    })
}

/// A setting that cannot be applied.
#[derive(Debug, thiserror::Error)]
enum SetError {
    #[error("write it as key=value, for example vision.updates=500")]
    Syntax,
    #[error("there is no table `{table}`; allowed here: {allowed}")]
    UnknownTable { table: String, allowed: String },
    #[error("there is no key `{key}`; allowed here: {allowed}")]
    UnknownKey { key: String, allowed: String },
    #[error(
        "this number is out of range: at most 1.8e308, a whole one at most 9223372036854775807"
    )]
    OutOfRange,
}

/// Applies `set` (`key=value`) to the table of a preset. A key must be there already: a preset's
/// table holds all of them.
fn apply(preset: &mut Table, set: &str) -> std::result::Result<(), SetError> {
    let (path, text) = set.split_once('=').ok_or(SetError::Syntax)?;
    let (parent, key) = path.trim().rsplit_once('.').unwrap_or(("", path.trim()));
    let mut table = preset;
    for part in parent.split('.').filter(|_| !parent.is_empty()) {
        let allowed = keys(table);
        table = table
            .get_mut(part)
            .and_then(Value::as_table_mut)
            .ok_or_else(|| SetError::UnknownTable {
                table: part.to_owned(),
                allowed,
            })?;
    }
    let allowed = keys(table);
    let slot = table
        .get_mut(spelling::on_disk(parent, key))
        .ok_or_else(|| SetError::UnknownKey {
            key: key.to_owned(),
            allowed,
        })?;
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
    *slot = match (&*slot, value(text)) {
        // A word is a string; a number that TOML cannot hold is none.
        (Value::Float(_) | Value::Integer(_), Value::String(_)) if is_number(text) => {
            return Err(SetError::OutOfRange);
        }
        (Value::Float(_), Value::Integer(i)) => Value::Float(i as f64),
        (_, value) => value,
    };
    Ok(())
}

fn keys(table: &Table) -> String {
    table.keys().cloned().collect::<Vec<_>>().join(", ")
}

/// A value as TOML writes it. A bare word is a string, so that nobody has to quote quotes in a
/// shell.
fn value(text: &str) -> Value {
    toml::from_str::<Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
