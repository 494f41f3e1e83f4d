//! One result on every machine: a micro training gives the bytes that `golden/one-result.json`
//! names as this processor is, with AVX-512 hidden from the whole process, with other caches, on
//! one thread, half on one processor and half on another; and the kernels of ARM act alike.
//!
//! After an intended change: `FRMDN_GOLDEN=write cargo test --release --test one_result`.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod common;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/one-result.json");

/// Runs of the micro preset, and what each sets beside it. The second one reaches the other
/// products: more than 512 rows in a batch of M, a decomposition in C.
const RUNS: [(&str, &[&str]); 2] = [
    ("frmdn-separable", &[]),
    (
        "rmdn-full",
        &[
            "memory.model.variant=rmdn-lowrank-cov",
            "memory.batch=16",
            "memory.sequence=59",
            "controller.covariance=full",
            "controller.generations=12",
        ],
    ),
];

/// A machine that this one pretends to be.
#[derive(Clone, Copy)]
enum Machine {
    AsItIs,
    WithoutAvx512,
    OtherCaches,
}

/// The library that pretends, compiled once; and an `lscpu` with a first level cache of one MiB.
fn disguise() -> &'static Path {
    static BUILT: OnceLock<tempfile::TempDir> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
                .args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-o"])
                .arg(dir.path().join("libother.so"))
                .arg(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/tests/support/other_machine.rs"
                ))
                .output()
                .expect("rustc is there where tests are compiled");
            common::success(&output);
            let lscpu = dir.path().join("lscpu");
            let caches = "TYPE LEVEL WAYS COHERENCY-SIZE ONE-SIZE\nData 1 8 64 1048576\n\
                          Unified 2 8 64 4194304\nUnified 3 16 64 16777216\n";
            std::fs::write(&lscpu, format!("#!/bin/sh\nprintf '{caches}'\n")).unwrap();
            let run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&lscpu, run).unwrap();
            dir
        })
        .path()
}

impl Machine {
    fn apply(self, command: &mut Command) {
        let dir = disguise();
        let hide = match self {
            Self::AsItIs => return,
            Self::WithoutAvx512 => "HIDE_AVX512",
            Self::OtherCaches => "HIDE_CACHES",
        };
        let mut path = vec![dir.to_path_buf()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        command
            .env("LD_PRELOAD", dir.join("libother.so"))
            .env(hide, "1")
            .env("PATH", std::env::join_paths(path).unwrap());
    }

    /// Whether the processor can pretend; prints why not.
    fn possible(self) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
        command.arg("doctor");
        self.apply(&mut command);
        let output = command.output().unwrap();
        if output.status.code() == Some(77) {
            common::skipped("this processor cannot fault CPUID, so AVX-512 cannot be hidden");
            return false;
        }
        if matches!(self, Self::WithoutAvx512) {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("AVX2") && !text.contains("AVX-512"), "{text}");
        }
        true
    }
}

fn train(run: &Path, settings: &[&str], threads: &str, machine: Machine) -> Command {
    let mut command = common::train(run, threads);
    for set in settings {
        command.args(["--set", set]);
    }
    machine.apply(&mut command);
    command
}

/// One hash for each stage's folder and for the agent.
fn parts(run: &Path) -> BTreeMap<String, String> {
    let mut sums: BTreeMap<String, Sha256> = BTreeMap::new();
    for (name, hash) in common::hashes(run) {
        let part = name.split('/').next().unwrap();
        if !["pictures", "run.toml"].contains(&part) {
            let sum = sums.entry(part.to_owned()).or_default();
            sum.update(format!("{name} {hash}\n"));
        }
    }
    let hex = |sum: Sha256| sum.finalize().iter().map(|b| format!("{b:02x}")).collect();
    sums.into_iter()
        .map(|(part, sum)| (part, hex(sum)))
        .collect()
}

fn golden() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = std::fs::read_to_string(GOLDEN).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Trains both runs and compares them with the golden hashes.
fn holds(threads: &str, machine: Machine) {
    if !machine.possible() {
        return;
    }
    let (dir, golden) = (tempfile::tempdir().unwrap(), golden());
    for (name, settings) in RUNS {
        let run = dir.path().join(name);
        common::success(&train(&run, settings, threads, machine).output().unwrap());
        assert_eq!(parts(&run), golden[name], "{name}");
    }
}

#[test]
fn as_the_processor_is() {
    if std::env::var_os("FRMDN_GOLDEN").is_some_and(|v| v == "write") {
        let (dir, mut all) = (tempfile::tempdir().unwrap(), BTreeMap::new());
        for (name, settings) in RUNS {
            let run = dir.path().join(name);
            common::success(
                &train(&run, settings, "2", Machine::AsItIs)
                    .output()
                    .unwrap(),
            );
            all.insert(name, parts(&run));
        }
        let text = serde_json::to_string_pretty(&all).unwrap();
        std::fs::write(GOLDEN, text + "\n").unwrap();
    }
    holds("2", Machine::AsItIs);
}

#[test]
fn on_one_thread() {
    holds("1", Machine::AsItIs);
}

#[test]
fn without_avx_512() {
    holds("2", Machine::WithoutAvx512);
}

#[test]
fn with_other_caches() {
    holds("2", Machine::OtherCaches);
}

/// Killed in the middle of V, of M and of C, and gone on with on the other processor each time.
#[test]
fn half_on_one_processor_and_half_on_another() {
    if !Machine::WithoutAvx512.possible() {
        return;
    }
    let (dir, golden) = (tempfile::tempdir().unwrap(), golden());
    let (name, settings) = RUNS[0];
    let run = dir.path().join(name);
    let mut machines = [Machine::AsItIs, Machine::WithoutAvx512]
        .into_iter()
        .cycle();
    let state: [PathBuf; 3] =
        ["vision", "memory", "controller"].map(|stage| run.join(stage).join("state.safetensors"));
    for state in &state {
        let mut child = train(&run, settings, "2", machines.next().unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The stage's first checkpoint, or the end of a run that was faster than this loop.
        let began = Instant::now();
        while !state.exists() && child.try_wait().unwrap().is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(300),
                "{}",
                state.display()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().ok();
        child.wait().unwrap();
    }
    let mut last = train(&run, settings, "2", machines.next().unwrap());
    common::success(&last.output().unwrap());
    assert_eq!(parts(&run), golden[name]);
}

/// Acting as an ARM processor computes it (four lanes, each multiply-add a call) is acting.
#[test]
fn kernels_of_arm_act_alike() {
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/car-racing-tiny");
    let scores = |instructions: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_frmdn"))
            .args(["evaluate", agent, "--episodes", "2", "--json"])
            .env("FRMDN_INSTRUCTIONS", instructions)
            .output()
            .unwrap();
        common::success(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(scores("fused"), scores(""));
}

/// What makes sums follow lanes or threads comes in by features, which cargo unites over all
/// dependencies.
#[test]
fn no_dependency_brings_wider_or_parallel_products_back() {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["-f", "{p} {f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    common::success(&output);
    let tree = String::from_utf8(output.stdout).unwrap();
    let mut seen = 0;
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        let (name, features) = (words.next().unwrap(), words.last().unwrap_or(""));
        if ![
            "gemm",
            "gemm-common",
            "gemm-f32",
            "gemm-f64",
            "burn-flex",
            "faer",
            "pulp",
        ]
        .contains(&name)
        {
            continue;
        }
        seen += 1;
        for feature in features.split(',') {
            assert!(!["x86-v4", "rayon", "simd"].contains(&feature), "{line}");
        }
    }
    assert!(seen >= 7, "{tree}");
}
