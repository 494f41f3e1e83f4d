//! Lists of actions in files: text, `.npy`, or a recorded episode.

use std::path::Path;

use npyz::{NpyFile, Order};

use crate::{
    controller::Actions,
    run::{Episode, Result, RunError},
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
        Some("npz") => return of_episode(path, actions),
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

fn of_episode(path: &Path, actions: &Actions) -> Result<Vec<f32>> {
    let episode = Episode::load(path)?;
    let (found, width) = (episode.action_len, actions.width());
    if found != width {
        let what = format!("they have {found} values, {width} are needed");
        return Err(wrong(path, what));
    }
    Ok(episode.actions)
}

fn of_npy(path: &Path, width: usize) -> Result<Vec<Vec<f32>>> {
    let bytes = std::fs::read(path).map_err(RunError::io("read", path))?;
    let damaged = |e: std::io::Error| wrong(path, format!("it is no .npy file ({e})"));
    let file = NpyFile::new(&bytes[..]).map_err(damaged)?;
    let (shape, order) = (file.shape().to_vec(), file.order());
    let columns = shape.get(1).copied().unwrap_or(1);
    if shape.is_empty() || shape.len() > 2 || columns != width as u64 {
        let what = format!("their shape is {shape:?}, [steps, {width}] is needed");
        return Err(wrong(path, what));
    }
    let numbers = numbers(file).map_err(|what| wrong(path, what))?;
    let steps = numbers.len() / width;
    let at = |step: usize, i: usize| match order {
        Order::C => numbers[step * width + i],
        Order::Fortran => numbers[i * steps + step],
    };
    let row = |step| (0..width).map(|i| at(step, i) as f32).collect();
    Ok((0..steps).map(row).collect())
}

/// All numbers of a file, in the order in which they are stored.
fn numbers(file: NpyFile<&[u8]>) -> std::result::Result<Vec<f64>, String> {
    let descr = file.dtype().descr();
    let kind = descr
        .trim_matches('\'')
        .trim_start_matches(['<', '>', '|', '=']);
    fn read<T: npyz::Deserialize>(
        file: NpyFile<&[u8]>,
        as_f64: impl Fn(T) -> f64,
    ) -> std::result::Result<Vec<f64>, String> {
        let values = file.into_vec::<T>().map_err(|e| e.to_string())?;
        Ok(values.into_iter().map(as_f64).collect())
    }
    match kind {
        "f4" => read::<f32>(file, f64::from),
        "f8" => read::<f64>(file, |v| v),
        "i8" => read::<i64>(file, |v| v as f64),
        "i4" => read::<i32>(file, f64::from),
        "i2" => read::<i16>(file, f64::from),
        "i1" => read::<i8>(file, f64::from),
        "u8" => read::<u64>(file, |v| v as f64),
        "u4" => read::<u32>(file, f64::from),
        "u2" => read::<u16>(file, f64::from),
        "u1" => read::<u8>(file, f64::from),
        _ => Err(format!(
            "they are of type {descr}: write float32, float64 or whole numbers"
        )),
    }
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

    /// The files of numpy for the same six numbers, steps × 2.
    fn npy(descr: &str, fortran: bool, bytes: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (3, 2), }}");
        header.extend(std::iter::repeat_n(' ', 63 - (10 + header.len()) % 64));
        header.push('\n');
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        file
    }

    #[test]
    fn every_order_and_type_gives_the_same_actions() {
        let actions = Actions::Box {
            low: vec![-9.0; 2],
            high: vec![9.0; 2],
            forms: vec![frmdn_env::ActionForm::Plain; 2],
        };
        let c = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let fortran = [1.0f32, 3.0, 5.0, 2.0, 4.0, 6.0];
        let little = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let big = |v: &[f32]| v.iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<_>>();
        let whole: Vec<u8> = fortran
            .iter()
            .flat_map(|x| (*x as i16).to_le_bytes())
            .collect();
        let folder = tempfile::tempdir().unwrap();
        for (descr, order, bytes) in [
            ("<f4", false, little(&c)),
            ("<f4", true, little(&fortran)),
            (">f4", false, big(&c)),
            (">f4", true, big(&fortran)),
            ("<i2", true, whole),
        ] {
            let path = folder.path().join("a.npy");
            std::fs::write(&path, npy(descr, order, &bytes)).unwrap();
            assert_eq!(read(&path, &actions).unwrap(), c, "{descr} {order}");
        }
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
