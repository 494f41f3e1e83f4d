//! Lists of actions in files: text, `.npy`, or a recorded episode.

use std::path::Path;

use crate::{
    controller::Actions,
    run::{Recovery, Result, RunError, npy, recorded_actions},
};

/// The actions of a file, one after the other, in the agent's form.
///
/// A text has one action a line, its numbers separated by commas or blanks; a `.npy` has the shape
/// `[steps, values]`; of an episode of a run (`.npz`) its actions are taken. Discrete actions are
/// whole numbers, one a step.
///
/// # Errors
/// If the file cannot be read, or if an action is none.
pub fn read(path: &Path, actions: &Actions) -> Result<Vec<f32>> {
    let ending = path.extension().and_then(std::ffi::OsStr::to_str);
    let rows = match ending {
        Some("npz") => return recorded_actions(path, actions.width()),
        Some("npy") => of_npy(path, values(actions))?,
        _ => of_text(path, values(actions))?,
    };
    let mut all = Vec::with_capacity(rows.len() * actions.width());
    for (step, row) in rows.iter().enumerate() {
        let row = actions
            .of_env(row)
            .map_err(|allowed| wrong(path, format!("action {} is {row:?}: {allowed}", step + 1)))?;
        all.extend(row);
    }
    if all.is_empty() {
        return Err(wrong(path, "it holds no action"));
    }
    Ok(all)
}

/// Values of one action as the environment takes it.
fn values(actions: &Actions) -> usize {
    match actions {
        Actions::Discrete(_) => 1,
        Actions::Box { .. } => actions.width(),
    }
}

fn wrong(path: &Path, what: impl std::fmt::Display) -> RunError {
    RunError::Config(format!("actions of {}: {what}", path.display()))
}

fn of_npy(path: &Path, width: usize) -> Result<Vec<Vec<f32>>> {
    let bytes = std::fs::read(path).map_err(RunError::io("read", path))?;
    npy::rows(&bytes, width).map_err(|what| {
        let what = wrong(path, what).to_string();
        RunError::refused(what, Recovery::SaveActions(width))
    })
}

fn of_text(path: &Path, width: usize) -> Result<Vec<Vec<f32>>> {
    let bytes = std::fs::read(path).map_err(RunError::io("read", path))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong(path, "it is no text, and does not end in .npy or .npz"))?;
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.split([',', ' ', '\t']).filter(|part| !part.is_empty());
        let row: std::result::Result<Vec<f32>, _> = parts.map(str::parse).collect();
        match row {
            Ok(row) if row.len() == width => rows.push(row),
            _ => {
                let what = format!(
                    "line {} is `{line}`: {width} numbers apart by commas or blanks are needed",
                    number + 1
                );
                return Err(wrong(path, what));
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numpys_files_and_texts_give_the_same_actions_and_a_short_file_is_refused() {
        let actions = Actions::Box {
            low: vec![-9.0; 2],
            high: vec![9.0; 2],
            forms: vec![frmdn_env::ActionForm::Plain; 2],
        };
        let c = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let folder = tempfile::tempdir().unwrap();
        // Of Fortran's order, columns first, and of whole numbers with their large byte first.
        let fortran = npy::header(">i2", &[3, 2]);
        let at = fortran.windows(5).position(|w| w == b"False").unwrap();
        let mut fortran = [&fortran[..at], b"True ", &fortran[at + 5..]].concat();
        fortran.extend([0, 1, 0, 3, 0, 5, 0, 2, 0, 4, 0, 6]);
        let path = folder.path().join("a.npy");
        std::fs::write(&path, &fortran).unwrap();
        assert_eq!(read(&path, &actions).unwrap(), c);
        std::fs::write(&path, &fortran[..fortran.len() - 1]).unwrap();
        let error = read(&path, &actions).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("a.npy") && text.contains("needs 12 bytes, and it has 11"),
            "{text}"
        );
        let recovery = Recovery::SaveActions(2);
        assert!(matches!(error, RunError::Refused { recovery: r, .. } if r == recovery));
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "# two values\n1,2\n3 4\n5\t6\n").unwrap();
        assert_eq!(read(&path, &actions).unwrap(), c);
    }

    #[test]
    fn discrete_actions_are_numbers_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "1\n0\n").unwrap();
        let actions = Actions::Discrete(2);
        assert_eq!(read(&path, &actions).unwrap(), [0.0, 1.0, 1.0, 0.0]);
        for (text, words) in [
            ("1\n2\n", "action 2 is [2.0]: one whole number in 0..2"),
            ("0.5\n", "action 1 is [0.5]"),
            ("nan\n", "action 1 is [NaN]"),
            ("0 1\n", "line 1 is `0 1`: 1 numbers"),
            ("", "it holds no action"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path, &actions).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
