//! `compare likelihood`: resumed to the same figures, extended by what is missing only, and refused
//! where it must be.

mod common;

use std::path::Path;

use common::{error, frmdn};
use serde_json::Value;

const SETS: [&str; 15] = [
    "gates.pixel_mse=9",
    "gates.kl=99",
    "gates.active=0",
    "collect.episodes=20",
    "collect.steps=80",
    "collect.policy=brownian,scripted",
    "vision.model.width=4",
    "vision.batch=16",
    "vision.updates=40",
    "vision.evaluate_every=20",
    "memory.batch=4",
    "memory.sequence=16",
    "memory.updates=240",
    "memory.evaluate_every=20",
    "memory.model.hidden=16",
];

fn vision(run: &Path) {
    let mut args = vec!["vision", "tiny", "--run", run.to_str().unwrap()];
    SETS.iter().for_each(|set| args.extend(["--set", set]));
    let out = frmdn(&args);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

fn arguments<'a>(data: &'a str, out: &'a str, variants: &'a str) -> Vec<&'a str> {
    let fixed = [
        "--seeds",
        "1",
        "--test-episodes",
        "6",
        "--shifted",
        "frmdn",
        "--noisy",
        "rmdn",
        "--noises",
        "0.1",
    ];
    [
        &[
            "compare",
            "likelihood",
            data,
            "--out",
            out,
            "--variants",
            variants,
        ][..],
        &fixed,
    ]
    .concat()
}

/// Everything of the finished runs that is no time.
fn figures(out: &Path) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = std::fs::read_dir(out.join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // A file that a kill caught half written has another name.
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let mut value: Value =
                serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            value["seconds_per_update"].take();
            value["step_us"].take();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                value,
            )
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn killed_and_typed_again_it_comes_to_the_same_figures_and_is_extended_by_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let data = path("data");
    vision(&data);
    let (data, calm, killed) = (
        data.to_str().unwrap().to_owned(),
        path("calm"),
        path("killed"),
    );
    let run = |out: &Path, variants: &str| {
        let done = frmdn(&arguments(&data, out.to_str().unwrap(), variants));
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let report = run(&calm, "rmdn,frmdn");
    assert!(
        report.contains("nats above the floor")
            && report.contains("not as expected") | report.contains("as expected"),
        "{report}"
    );
    for file in [
        "report.md",
        "report.html",
        "report.json",
        "training.png",
        "open-loop.png",
        "pit-values.png",
        "pit-likelihoods.png",
    ] {
        assert!(calm.join(file).is_file(), "{file}");
    }
    let json: Value =
        serde_json::from_str(&std::fs::read_to_string(calm.join("report.json")).unwrap()).unwrap();
    for variant in ["rmdn", "frmdn"] {
        let v = &json[variant];
        let (above, raw, floor) = (
            v["nats_above_floor"].as_f64().unwrap(),
            v["nats_per_step"].as_f64().unwrap(),
            v["floor"].as_f64().unwrap(),
        );
        assert!(
            (raw - floor - above).abs() < 1e-6
                && v["ci95"][0].as_f64().unwrap() <= above
                && v["seeds"] == 1,
            "{v}"
        );
    }
    // Killed again and again, a little later each time, until it comes through.
    for wait in 1.. {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_frmdn"))
            .args(arguments(&data, killed.to_str().unwrap(), "rmdn,frmdn"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(150 * wait));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success() && wait > 1, "it was never killed");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(figures(&calm), figures(&killed));
    // Another variant costs its own run; the finished ones are not touched.
    let before = std::fs::metadata(calm.join("runs/data-rmdn-1.json"))
        .unwrap()
        .modified()
        .unwrap();
    let report = run(&calm, "rmdn,frmdn,rmdn:components=2");
    assert!(report.contains("rmdn:components=2"));
    assert_eq!(
        std::fs::metadata(calm.join("runs/data-rmdn-1.json"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
    assert_eq!(figures(&calm).len(), figures(&killed).len() + 1);

    // The report alone is that of what is finished, and needs no episodes; without anything
    // finished there is none.
    let move_to = |from: &str, to: &str| {
        for store in ["episodes", "latents", "test-latents"] {
            std::fs::rename(
                Path::new(&data).join(format!("{store}{from}")),
                Path::new(&data).join(format!("{store}{to}")),
            )
            .unwrap();
        }
    };
    move_to("", "-aside");
    let only = |out: &Path, more: &[&str]| {
        frmdn(
            &[
                &arguments(&data, out.to_str().unwrap(), "rmdn,frmdn,rmdn:components=2")[..],
                more,
            ]
            .concat(),
        )
    };
    let done = only(&calm, &["--report"]);
    let same = |text: &str| {
        text.lines()
            .skip_while(|line| !line.starts_with("## "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(done.status.success() && same(&String::from_utf8_lossy(&done.stdout)) == same(&report));
    assert!(error(&only(&path("nothing"), &["--report"])).contains("without --report"));
    move_to("-aside", "");
    // Another length of training, with the rate as it is.
    let longer = only(
        &path("longer"),
        &["--no-grid", "--set", "memory.updates=250"],
    );
    assert!(
        longer.status.success() && !String::from_utf8_lossy(&longer.stdout).contains("dropout")
    );
    assert!(
        figures(&path("longer"))
            .iter()
            .all(|(_, run)| run["settings"]["updates"] == 250)
    );
    assert!(
        error(&only(&path("longer"), &["--set", "vision.target_kl=16"]))
            .contains("only keys of memory")
    );

    let refused = |variants: &str, words: &[&str]| {
        let text = error(&frmdn(&arguments(&data, calm.to_str().unwrap(), variants)));
        words
            .iter()
            .for_each(|word| assert!(text.contains(word), "{text}"));
    };
    refused("rmdn,none", &["none", "no likelihood"]);
    refused("rmdn:components=0", &["components = 0", "1..=40"]);
    let refused_with = |out: &Path, more: &[&str], words: &[&str]| {
        let fixed = [
            "compare",
            "likelihood",
            &data,
            "--out",
            out.to_str().unwrap(),
            "--seeds",
            "1",
            "--variants",
            "rmdn",
        ];
        let text = error(&frmdn(&[&fixed[..], more].concat()));
        words
            .iter()
            .for_each(|word| assert!(text.contains(word), "{text}"));
    };
    refused_with(
        &calm,
        &["--noisy", "rmdn,rmdn"],
        &["--noisy names rmdn twice"],
    );
    refused_with(
        &calm,
        &["--set", "memory.noise=0.1"],
        &["memory.noise = 0.1", "--noises 0.1"],
    );
    refused_with(
        &calm,
        &[
            "--test-episodes",
            "6",
            "--report",
            "--set",
            "memory.updates=300",
        ],
        &["other settings"],
    );
    refused_with(
        &calm,
        &[],
        &["was judged on 6 test episodes, not 90: type --test-episodes 6"],
    );
    // A result that is deleted is not made again from a training with other settings.
    let longer = path("longer");
    std::fs::remove_file(longer.join("runs/data-rmdn-1.json")).unwrap();
    let other = [
        "--no-grid",
        "--test-episodes",
        "6",
        "--shifted=",
        "--noisy=",
        "--set",
        "memory.updates=260",
    ];
    refused_with(&longer, &other, &["data-rmdn-1", "other settings"]);
    // Results of other settings are not mixed with new ones.
    let file = calm.join("runs/data-rmdn-1.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"updates\": 240", "\"updates\": 241")).unwrap();
    refused(
        "rmdn,frmdn",
        &["data-rmdn-1.json", "other settings", "--out"],
    );
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    refused("rmdn,frmdn", &["data-rmdn-1.json", "damaged", "Delete it"]);
}

#[test]
fn a_folder_without_a_trained_v_is_refused_with_the_command_that_trains_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let text = error(&frmdn(&[
        "compare",
        "likelihood",
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
