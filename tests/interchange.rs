//! Memories between this program and PyTorch, both ways.
//!
//! `golden/memories.json` was made by `golden/generate.py` with the shipped PyTorch module in
//! float64. The other way needs a Python with PyTorch: set `FRMDN_TORCH_PYTHON` to it, else that
//! test is skipped.

use std::path::Path;

use frmdn::{
    memory::{self, MemoryConfig, MemoryTrainer, Prediction, Scratch, SequenceBatch, Variant},
    run::{Checkpoint, CheckpointKind},
};
use frmdn_engine::{
    Params,
    random::{fill_normal, stream},
};
use serde_json::{Value, json};

fn floats(v: &Value) -> Vec<f64> {
    v.as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn narrow(v: &Value) -> Vec<f32> {
    floats(v).into_iter().map(|v| v as f32).collect()
}

fn close(got: f64, want: f64) -> bool {
    (got - want).abs() < 1e-5 * want.abs().max(1.0)
}

#[test]
fn every_variant_gives_pytorchs_likelihoods_rewards_and_ends() {
    let golden: Value = serde_json::from_str(include_str!("golden/memories.json")).unwrap();
    let size = |name: &str| golden["sizes"][name].as_u64().unwrap() as usize;
    let (latent, actions, steps, batch) = (
        size("latent"),
        size("actions"),
        size("steps"),
        size("batch"),
    );
    let memories = golden["memories"].as_array().unwrap();
    let mut seen: Vec<Variant> = Vec::new();
    for case in memories {
        let config: MemoryConfig = serde_json::from_value(case["config"].clone()).unwrap();
        seen.push(config.variant);
        let mut params = Params::default();
        for expected in &memory::init(&config, latent, actions, 0).0 {
            let tensor = &case["tensors"][&expected.name];
            let shape: Vec<usize> = floats(&tensor["shape"])
                .into_iter()
                .map(|n| n as usize)
                .collect();
            assert_eq!(shape, expected.shape, "{}", expected.name);
            params.push(&expected.name, &shape, narrow(&tensor["value"]));
        }
        let data = SequenceBatch {
            z: narrow(&case["z"]),
            actions: narrow(&case["actions"]),
            z_next: narrow(&case["z_next"]),
            ..SequenceBatch::zeros(steps, batch, latent, actions)
        };
        let trainer = MemoryTrainer::new(&config, latent, actions, 0)
            .with_weights(&params)
            .unwrap();
        for (got, want) in trainer
            .log_prob(&data)
            .into_iter()
            .zip(floats(&case["log_prob"]))
        {
            assert!(close(got, want), "{}: {got} {want}", config.variant);
        }
        let acting = memory::load(&config, latent, actions, &params).unwrap();
        let mut state = vec![0.0; batch * acting.state_len()];
        for t in 0..steps {
            let rows =
                |v: &[f32], width: usize| v[t * batch * width..(t + 1) * batch * width].to_vec();
            acting.step(
                batch,
                &rows(&data.z, latent),
                &rows(&data.actions, actions),
                &mut state,
                &mut Scratch::default(),
            );
            let mut rngs = vec![stream(0, "t", &[]); batch];
            let (mut z, mut foreseen) = (
                vec![0.0; batch * latent],
                vec![Prediction::default(); batch],
            );
            acting
                .predict(
                    &state,
                    1.0,
                    &mut rngs,
                    &mut z,
                    &mut foreseen,
                    &mut Scratch::default(),
                )
                .unwrap();
            for (row, foreseen) in foreseen.into_iter().enumerate() {
                let want = |key: &str| case[key][t * batch + row].as_f64().unwrap();
                assert!(
                    close(f64::from(foreseen.reward), want("reward"))
                        && close(f64::from(foreseen.done), want("done"))
                );
            }
        }
    }
    assert!(
        Variant::trained().all(|v| seen.contains(&v)),
        "a variant has no golden numbers"
    );
}

#[test]
fn pytorch_loads_trained_weights_and_gives_their_likelihoods() {
    let Some(python) = std::env::var_os("FRMDN_TORCH_PYTHON") else {
        println!("SKIPPED: set FRMDN_TORCH_PYTHON to a Python with PyTorch");
        return;
    };
    let (latent, actions, steps, batch) = (6, 3, 12, 4);
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/memory/python/frmdn_torch.py");
    for variant in Variant::trained() {
        let config = MemoryConfig {
            variant,
            hidden: 16,
            flow_hidden: 12,
            residual: variant == Variant::FrmdnTied,
            ..MemoryConfig::default()
        };
        let mut data = SequenceBatch::zeros(steps, batch, latent, actions);
        let mut rng = stream(1, "interchange", &[]);
        for part in [&mut data.z, &mut data.actions, &mut data.z_next] {
            fill_normal(&mut rng, part);
        }
        data.mask.fill(1.0);
        let mut trainer = MemoryTrainer::new(&config, latent, actions, 1);
        for update in 0..20 {
            trainer.step(&data, 1e-2, update).unwrap();
        }
        let (weights, reference) = (
            dir.path().join("weights.safetensors"),
            dir.path().join("check.json"),
        );
        Checkpoint {
            tensors: trainer.weights().clone(),
            state: config,
        }
        .save(&weights, CheckpointKind::Memory)
        .unwrap();
        let nested = |v: &[f32], width: usize| -> Value {
            v.chunks(batch * width)
                .map(|t| t.chunks(width).map(<[f32]>::to_vec).collect::<Vec<_>>())
                .collect::<Vec<_>>()
                .into_iter()
                .map(|t| json!(t))
                .collect()
        };
        let log_prob: Value = trainer
            .log_prob(&data)
            .chunks(batch)
            .map(|t| json!(t))
            .collect();
        let check = json!({ "z": nested(&data.z, latent),
            "actions": nested(&data.actions, actions), "z_next": nested(&data.z_next, latent),
            "log_prob": log_prob });
        std::fs::write(&reference, check.to_string()).unwrap();
        let out = std::process::Command::new(&python)
            .arg(&script)
            .arg(&weights)
            .arg(&reference)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success(),
            "{variant}: {said}{}",
            String::from_utf8_lossy(&out.stderr)
        );
        println!("{variant}: {}", said.trim());
    }
}
