//! `compare score`: all experiments go through, resume to the same bytes, are extended by what is
//! missing only, and refused where they must be.

mod common;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use common::{error, frmdn};
use serde_json::Value;

const SETS: [&str; 16] = [
    "gates.pixel_mse=9",
    "gates.kl=99",
    "gates.active=0",
    "collect.episodes=20",
    "collect.steps=60",
    "collect.policy=brownian,scripted",
    "vision.model.width=4",
    "vision.model.latent=8",
    "vision.batch=16",
    "vision.updates=20",
    "vision.evaluate_every=20",
    "memory.batch=4",
    "memory.sequence=16",
    "memory.updates=20",
    "memory.evaluate_every=10",
    "memory.model.hidden=8",
];

fn arguments<'a>(data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "compare",
        "score",
        data,
        "--quick",
        "--seeds",
        "1",
        "--controllers",
        "1",
        "--budget",
        "64",
        "--out",
        out,
    ];
    [&fixed[..], more].concat()
}

/// All pieces with their bytes, times left out, and when they were written.
fn pieces(out: &Path) -> Vec<(PathBuf, Value, SystemTime)> {
    fn still(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("seconds");
                map.values_mut().for_each(still);
            }
            Value::Array(all) => all.iter_mut().for_each(still),
            _ => {}
        }
    }
    let mut all: Vec<_> = std::fs::read_dir(out.join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let mut value: Value =
                serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            still(&mut value);
            let name = PathBuf::from(path.file_name().unwrap());
            (
                name,
                value,
                std::fs::metadata(&path).unwrap().modified().unwrap(),
            )
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn figures(out: &Path) -> Vec<(PathBuf, Value)> {
    pieces(out)
        .into_iter()
        .map(|(name, value, _)| (name, value))
        .collect()
}

#[test]
fn all_experiments_go_through_resume_and_are_extended_by_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let data = path("data").to_str().unwrap().to_owned();
    let mut vision = vec!["vision", "tiny", "--run", &data];
    SETS.iter().for_each(|set| vision.extend(["--set", set]));
    assert!(frmdn(&vision).status.success());
    let run = |out: &Path, threads: &str, more: &[&str]| {
        let done = frmdn(
            &[
                &["--threads", threads][..],
                &arguments(&data, out.to_str().unwrap(), more),
            ]
            .concat(),
        );
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let (calm, killed) = (path("calm"), path("killed"));
    let two = ["--variants", "rmdn,frmdn"];
    let report = run(&calm, "1", &two);
    for word in [
        "E1",
        "E2",
        "E3",
        "E4",
        "expected",
        "came out",
        "(primary)",
        "hold the last z",
        "cannot dream",
        "say nothing",
    ] {
        assert!(report.contains(word), "{word}: {report}");
    }
    // One evolution tells of no interval.
    let written = std::fs::read_to_string(calm.join("report.md")).unwrap();
    let alone = written
        .lines()
        .find(|line| line.starts_with("| 8 | rmdn | 1 |"))
        .unwrap();
    assert!(!alone.contains('['), "{alone}");
    for file in [
        "report.html",
        "report.json",
        "e1-bank.png",
        "e1-temperature.png",
        "e2-blackout.png",
        "e3-population8-seconds.png",
    ] {
        assert!(calm.join(file).is_file(), "{file}");
    }
    // Two parts of the bank; E1 and E4 of the two that dream, E2 of these and of two baselines, E3
    // of three populations.
    assert_eq!(pieces(&calm).len(), 2 + 2 + 4 + 6 + 2);
    // No recorded episode came to an end, so no memory was taught what ends one: their dreams go on
    // to the last step.
    let ended = |(name, piece, _): (PathBuf, Value, SystemTime)| {
        let temperatures = if name.to_string_lossy().starts_with("e1-") {
            piece["outcome"]["temperatures"].as_array().unwrap().clone()
        } else {
            Vec::new()
        };
        temperatures
            .into_iter()
            .map(|t| t["ended"].as_f64().unwrap())
    };
    let ended: Vec<f64> = pieces(&calm).into_iter().flat_map(ended).collect();
    assert_eq!(ended, [0.0; 8]);

    // Killed again and again, on another number of threads, until it comes through.
    for wait in 1.. {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_frmdn"))
            .args(["--threads", "2"])
            .args(arguments(&data, killed.to_str().unwrap(), &two))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1500 * wait));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success() && wait > 1, "it was never killed");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(figures(&calm), figures(&killed));

    // One more memory costs its own pieces: what is there is not touched.
    let before = pieces(&calm);
    let more = ["--variants", "rmdn,frmdn,untrained", "--experiments", "e3"];
    run(&calm, "1", &more);
    let after = pieces(&calm);
    assert_eq!(after.len(), before.len() + 3);
    assert!(before.iter().all(|piece| after.contains(piece)));

    // The report alone is that of what is finished, and needs no episodes.
    let move_to = |from: &str, to: &str| {
        for store in ["episodes", "latents"] {
            std::fs::rename(
                Path::new(&data).join(format!("{store}{from}")),
                Path::new(&data).join(format!("{store}{to}")),
            )
            .unwrap();
        }
    };
    move_to("", "-aside");
    let only = |out: &Path, more: &[&str]| frmdn(&arguments(&data, out.to_str().unwrap(), more));
    let again = only(&calm, &[&two[..], &["--report"]].concat());
    let same = |text: &str| {
        text.lines()
            .skip_while(|line| !line.starts_with("## "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(
        again.status.success() && same(&String::from_utf8_lossy(&again.stdout)) == same(&report)
    );
    assert!(error(&only(&path("nothing"), &["--report"])).contains("without --report"));
    move_to("-aside", "");

    assert!(error(&only(&calm, &["--variants", "gru"])).contains("gru"));
    assert!(error(&only(&calm, &["--variants", "rmdn,frmdn,rmdn"])).contains("names rmdn twice"));
    assert!(error(&only(&calm, &[&data])).contains("two of the data folders are called data"));
    let other = path("other").to_str().unwrap().to_owned();
    assert!(
        frmdn(
            &[
                &vision[..3],
                &[&other],
                &vision[4..],
                &["--set", "memory.updates=30"]
            ]
            .concat()
        )
        .status
        .success()
    );
    assert!(
        error(&only(&calm, &[&other]))
            .contains("data and other train memories with other settings")
    );
    assert!(error(&only(&calm, &["--set", "vision.target_kl=16"])).contains("only keys of memory"));
    let text = error(&only(
        &calm,
        &[&two[..], &["--set", "memory.updates=30"]].concat(),
    ));
    assert!(text.contains("other settings"), "{text}");
    let experiment = frmdn(&arguments(
        &data,
        calm.to_str().unwrap(),
        &["--experiments", "e5"],
    ));
    let text = String::from_utf8_lossy(&experiment.stderr).into_owned();
    assert!(
        !experiment.status.success() && text.contains("write e1, e2, e3 or e4"),
        "{text}"
    );
}

#[test]
fn a_folder_without_a_trained_v_is_refused_with_the_command_that_trains_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let text = error(&frmdn(&[
        "compare",
        "score",
        dir.path().to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]));
    assert!(
        text.contains("no run folder") && text.contains("frmdn train"),
        "{text}"
    );
    assert!(!out.exists());
}
