//! The lines of `runs.jsonl`.

use std::{collections::BTreeMap, io::ErrorKind, path::Path};

use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use crate::run::{Recovery, Result, RunError};

/// A line of `runs.jsonl`.
#[derive(Deserialize)]
struct Line<N, T> {
    run: N,
    result: T,
}

/// A packed run.
pub struct Packed {
    /// Number of its line, from 1.
    pub line: usize,
    pub text: String,
}

impl Packed {
    /// The line of the run called `name` with this JSON as its result. Its number is not known yet.
    pub fn new(name: &str, json: &str) -> Self {
        let (name, result) = (Value::from(name), compact(json));
        Self {
            line: 0,
            text: format!("{{\"run\":{name},\"result\":{result}}}"),
        }
    }

    /// The result in a line of the file `path`.
    ///
    /// # Errors
    /// If it is the result of something else.
    pub fn result<T: DeserializeOwned>(&self, path: &Path) -> Result<T> {
        serde_json::from_str::<Line<IgnoredAny, T>>(&self.text)
            .map(|line| line.result)
            .map_err(|e| damaged_line(path, self.line, &e))
    }
}

/// The runs packed in `path` by name; none if there is no such file.
///
/// # Errors
/// If it cannot be read, a line is no result, or two lines are of one run.
pub fn read_packed(path: &Path) -> Result<BTreeMap<String, Packed>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(RunError::io("read", path)(e)),
    };
    let mut packed: BTreeMap<String, Packed> = BTreeMap::new();
    for (i, text) in text.lines().enumerate() {
        let line = i + 1;
        if text.trim().is_empty() {
            continue;
        }
        let found: Line<String, IgnoredAny> =
            serde_json::from_str(text).map_err(|e| damaged_line(path, line, &e))?;
        if let Some(first) = packed.get(&found.run) {
            return Err(RunError::damaged(
                path,
                format!(
                    "lines {} and {line} are both of run {}",
                    first.line, found.run
                ),
                Recovery::OneOfTwoLines,
            ));
        }
        let text = text.to_owned();
        packed.insert(found.run, Packed { line, text });
    }
    Ok(packed)
}

/// `json` without the white space between its tokens: keys keep their order and numbers their
/// digits.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

fn damaged_line(path: &Path, line: usize, e: &serde_json::Error) -> RunError {
    // The text ends with the place in what was parsed, which is one line.
    let text = e.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    RunError::damaged(
        path,
        format!("line {line}, column {}: {what}", e.column()),
        Recovery::Line,
    )
}
