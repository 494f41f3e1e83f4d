//! Keys with two spellings: that of this code, and that of the files that are on disk already.

use toml::{Table, Value};

/// Table, spelling of this code, spelling on disk.
const KEYS: [(&str, &str, &str); 9] = [
    ("controller", "seeds", "tracks"),
    ("controller", "select_seeds", "select_tracks"),
    ("controller", "hard_seeds", "hard_tracks"),
    ("controller", "more_seeds", "more_tracks"),
    ("controller", "candidate_ratio", "candidates_keep"),
    ("controller.late", "seeds", "tracks"),
    ("controller.late", "hard_seeds", "hard_tracks"),
    ("controller.late", "more_seeds", "more_tracks"),
    ("controller.late", "candidate_ratio", "candidates_keep"),
];

/// A setting that is given in both of its spellings.
#[derive(Debug, thiserror::Error)]
#[error("{table}.{new} and {table}.{old} are the same setting: write one of them")]
pub(super) struct SpelledTwice {
    table: &'static str,
    new: &'static str,
    old: &'static str,
}

/// How the key `key` of the table `table` (dotted, empty at the top) is spelled on disk.
pub(super) fn on_disk<'a>(table: &str, key: &'a str) -> &'a str {
    let found = KEYS.iter().find(|(of, new, _)| *of == table && *new == key);
    found.map_or(key, |(_, _, old)| old)
}

/// Gives all keys of a preset their spelling on disk.
///
/// # Errors
/// If a setting is given in both spellings.
pub(super) fn to_disk(preset: &mut Table) -> Result<(), SpelledTwice> {
    for (table, new, old) in KEYS {
        let Some(keys) = inner(preset, table) else {
            continue;
        };
        let Some(value) = keys.remove(new) else {
            continue;
        };
        if keys.insert(old.to_owned(), value).is_some() {
            return Err(SpelledTwice { table, new, old });
        }
    }
    Ok(())
}

/// The table with the dotted name `name`.
fn inner<'a>(preset: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    let mut table = preset;
    for part in name.split('.') {
        table = table.get_mut(part).and_then(Value::as_table_mut)?;
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{BEST, Preset};

    #[test]
    fn both_spellings_are_read_alike() {
        let preset = Preset::resolve(BEST, &[]).unwrap();
        for (name, new, old) in KEYS {
            let mut table = preset.table();
            let keys = inner(&mut table, name).unwrap();
            let value = keys.remove(old).unwrap();
            keys.insert(new.to_owned(), value);
            assert_eq!(
                table.clone().try_into::<Preset>().unwrap(),
                preset,
                "{name}.{new}"
            );
            to_disk(&mut table).unwrap();
            assert_eq!(table, preset.table(), "{name}.{new}");
            assert_eq!(on_disk(name, new), old);
        }
        assert_eq!(on_disk("collect", "seeds"), "seeds");
    }
}
