//! `compare seeds`: methods compared by the scores of the agents that several seeds of each came to.

mod report;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    rollout::Outcome,
    run::{Metrics, Part, Recovery, Result, RunError, RunFolder},
    stages,
};

/// What is to be compared.
pub struct Seeds {
    /// The methods; the first one is what the others are compared with.
    pub groups: Vec<Group>,
    /// Folder of the report.
    pub out: PathBuf,
    /// The command, for the report.
    pub command: String,
}

/// A method, and folders with the scores of its seeds: `frmdn=runs/f1,runs/f2`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Run folders, or folders with a `scores.jsonl`, in the order of the seeds.
    pub folders: Vec<PathBuf>,
}

impl FromStr for Group {
    type Err = RunError;

    fn from_str(text: &str) -> Result<Self> {
        let found = text.split_once('=').map(|(name, folders)| Self {
            name: name.trim().to_owned(),
            folders: folders.split(',').map(|f| f.trim().into()).collect(),
        });
        let is_whole = |group: &Self| {
            let empty = |folder: &PathBuf| folder.as_os_str().is_empty();
            !group.name.is_empty() && !group.folders.iter().any(empty)
        };
        found.filter(is_whole).ok_or_else(|| {
            RunError::Config(format!(
                "`{text}` is no method with its seeds: write NAME=RUN,RUN, for example \
                 rmdn=runs/rmdn-1,runs/rmdn-2"
            ))
        })
    }
}

/// The scores of one seed of a method.
struct Scored {
    folder: PathBuf,
    /// Checksum of the agent, where the file says it.
    checksum: Option<String>,
    /// First seed of the test tracks.
    first: u64,
    /// One a track, in the order of their seeds.
    outcomes: Vec<Outcome>,
    /// Name of the environment, where the folder is a run.
    environment: Option<String>,
    /// The mean of the evolution on its selection tracks: frames so far, and score.
    curve: Vec<(f64, f64)>,
}

/// A method with the scores of its seeds.
struct Method {
    name: String,
    seeds: Vec<Scored>,
}

/// Reads the scores and writes the report. Returns the path of report.md.
///
/// # Errors
/// If a folder has no scores or damaged ones, if scores are of different tracks or environments, a
/// method or an agent is there twice, or a file cannot be written.
pub fn seeds(plan: &Seeds) -> Result<PathBuf> {
    let mut methods: Vec<Method> = Vec::new();
    for group in &plan.groups {
        if methods.iter().any(|method| method.name == group.name) {
            return Err(RunError::Config(format!(
                "{} is there twice: write all its folders after one {}=",
                group.name, group.name
            )));
        }
        let seeds: Result<_> = group.folders.iter().map(|folder| scored(folder)).collect();
        methods.push(Method {
            name: group.name.clone(),
            seeds: seeds?,
        });
    }
    check(&methods)?;
    report::write(plan, &methods)
}

/// The scores in `folder`.
fn scored(folder: &Path) -> Result<Scored> {
    let scores = folder.join("scores.jsonl");
    let (run, scores, metrics) = match scores.exists() {
        true => (None, scores, folder.join("controller.jsonl")),
        false => (
            Some(RunFolder::open(folder)?),
            folder.join("evaluation/scores.jsonl"),
            folder.join("controller/metrics.jsonl"),
        ),
    };
    if !scores.exists() {
        return Err(RunError::Missing {
            what: Part::Scores,
            path: folder.to_path_buf(),
        });
    }
    let found = stages::scores(&scores)?;
    let mut curve = Vec::new();
    for line in Metrics::read(&metrics)? {
        if let (Some(frames), Some(mean)) =
            (line["frames"].as_f64(), line["selection_mean"].as_f64())
        {
            curve.push((frames, mean));
        }
    }
    Ok(Scored {
        folder: folder.to_path_buf(),
        checksum: found.checksum,
        first: found.first,
        outcomes: found.outcomes,
        environment: run.map(|run| run.preset().environment.clone()),
        curve,
    })
}

/// Refuses what cannot be set side by side.
fn check(methods: &[Method]) -> Result<()> {
    let all: Vec<&Scored> = methods.iter().flat_map(|method| &method.seeds).collect();
    let refused = |what: String| Err(RunError::refused(what, Recovery::SameTracks));
    for (i, scored) in all.iter().enumerate() {
        let Some(before) = all[..i].first() else {
            continue;
        };
        let [name, other] = [scored, before].map(|s| s.folder.display());
        let [tracks, others] = [scored, before].map(|s| (s.first, s.outcomes.len()));
        if tracks != others {
            let range = |(first, n): (u64, usize)| format!("{first}..{}", first + n as u64);
            return refused(format!(
                "{name} has scores of seeds {}, {other} of {}",
                range(tracks),
                range(others)
            ));
        }
        // Folders that are no runs do not say theirs.
        let is_other =
            |s: &&&Scored| s.environment.is_some() && s.environment != scored.environment;
        if let (Some(one), Some(run)) = (&scored.environment, all[..i].iter().find(is_other)) {
            let (other, two) = (run.folder.display(), run.environment.as_deref());
            return refused(format!(
                "{name} is of {one}, {other} of {}",
                two.unwrap_or_default()
            ));
        }
        let is_same =
            |other: &&&Scored| scored.checksum.is_some() && other.checksum == scored.checksum;
        if let Some(same) = all[..i].iter().find(is_same) {
            return Err(RunError::Config(format!(
                "{name} and {} have the same agent: leave one out",
                same.folder.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_name_and_folders() {
        let group: Group = "frmdn=runs/a, runs/b".parse().unwrap();
        assert_eq!(group.name, "frmdn");
        assert_eq!(
            group.folders,
            [PathBuf::from("runs/a"), PathBuf::from("runs/b")]
        );
        for wrong in ["frmdn", "=runs/a", "frmdn=", "frmdn=runs/a,,runs/b"] {
            let text = wrong.parse::<Group>().unwrap_err().to_string();
            assert!(text.contains("write NAME=RUN,RUN"), "{text}");
        }
    }
}
