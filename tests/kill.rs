//! The real binary is killed at seeded moments in every stage, resumed with the same command, and
//! must end with the same bytes as a run that was never disturbed.

mod common;

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// Kills per stage; five stages make twenty.
const KILLS: usize = 4;

/// The stages, and what is there as soon as one has begun.
const STAGES: [(&str, &str); 5] = [
    ("collect", "episodes"),
    ("vision", "vision/metrics.jsonl"),
    ("memory", "latents"),
    ("controller", "controller/metrics.jsonl"),
    ("evaluate", "evaluation/scores.jsonl"),
];

fn start(run: &Path, threads: &str) -> Child {
    common::train(run, threads)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn finish(child: Child) {
    let output = child
        .wait_with_output()
        .expect("the program can be waited for");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Hashes of everything that is a result: data, weights, optimiser and CMA-ES state, metrics,
/// scores. Pictures are left out.
fn results(run: &Path) -> BTreeMap<String, String> {
    let mut found = common::hashes(run);
    found.retain(|name, _| !name.starts_with("pictures/"));
    found
}

/// Seconds each stage took in the calm run.
fn durations(run: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(run.join("times.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    lines
        .map(|l| {
            (
                l["stage"].as_str().unwrap().to_owned(),
                l["seconds"].as_f64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_run_killed_twenty_times_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (calm, stormy) = (dir.path().join("calm"), dir.path().join("stormy"));
    finish(start(&calm, "2"));
    let (want, durations) = (results(&calm), durations(&calm));
    for part in [
        "vision/state.safetensors",
        "memory/state.safetensors",
        "controller/state.safetensors",
        "evaluation/scores.jsonl",
    ] {
        assert!(
            want.contains_key(part),
            "{part} is not among the results: {:?}",
            want.keys()
        );
    }

    // SplitMix64 from a fixed seed gives the moments.
    let mut state = 20_261_124u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut killed = BTreeMap::new();
    for (stage, mark) in STAGES {
        for kill in 0..KILLS {
            let mut child = start(&stormy, if kill % 2 == 0 { "1" } else { "2" });
            let began = Instant::now();
            while !stormy.join(mark).exists() {
                assert!(
                    began.elapsed() < Duration::from_secs(300),
                    "{stage} never began"
                );
                assert!(
                    child.try_wait().unwrap().is_none(),
                    "the run ended before {stage} began"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
            // A stage is met four times within its length, wherever the last kill left it.
            std::thread::sleep(Duration::from_secs_f64(
                uniform() * 0.4 * durations.get(stage).copied().unwrap_or(0.1),
            ));
            if child.try_wait().unwrap().is_none() {
                child.kill().expect("SIGKILL");
                *killed.entry(stage).or_insert(0) += 1;
            }
            child.wait().unwrap();
        }
    }
    finish(start(&stormy, "2"));
    let left = common::half_written(&stormy);
    assert!(left.is_empty(), "kills left {left:?}");
    println!("killed: {killed:?}");
    assert!(
        killed.values().sum::<usize>() >= 18 && killed.len() == STAGES.len(),
        "too few kills met a running stage: {killed:?}"
    );
    let got = results(&stormy);
    assert_eq!(
        got.keys().collect::<Vec<_>>(),
        want.keys().collect::<Vec<_>>()
    );
    for (name, hash) in &want {
        assert_eq!(&got[name], hash, "{name} differs after {killed:?}");
    }
}
