//! Memories between this program and PyTorch, in both directions.
//!
//! `golden/memories.json` was made by `golden/generate.py` with the shipped PyTorch module in
//! float64. The other direction needs a Python with PyTorch: set `FRMDN_TORCH_PYTHON` to it, else
//! that test is skipped.

mod common;

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

/// Sizes of the golden sequences.
struct Sizes {
    latent: usize,
    actions: usize,
    steps: usize,
    batch: usize,
}

#[test]
fn every_variant_gives_pytorchs_likelihoods_rewards_and_ends() {
    let golden: Value = serde_json::from_str(include_str!("golden/memories.json")).unwrap();
    let size = |name: &str| golden["sizes"][name].as_u64().unwrap() as usize;
    let sizes = Sizes {
        latent: size("latent"),
        actions: size("actions"),
        steps: size("steps"),
        batch: size("batch"),
    };
    let mut seen: Vec<Variant> = Vec::new();
    for case in golden["memories"].as_array().unwrap() {
        let config: MemoryConfig = serde_json::from_value(case["config"].clone()).unwrap();
        seen.push(config.variant);
        let params = golden_params(case, &config, &sizes);
        let data = SequenceBatch {
            seen: narrow(&case["z"]),
            given: narrow(&case["actions"]),
            next: narrow(&case["z_next"]),
            ..SequenceBatch::zeros(sizes.steps, sizes.batch, sizes.latent, sizes.actions)
        };
        let trainer = MemoryTrainer::new(&config, sizes.latent, sizes.actions, 0)
            .with_weights(&params)
            .unwrap();
        let log_prob = trainer.log_prob(&data);
        for (got, want) in log_prob.into_iter().zip(floats(&case["log_prob"])) {
            assert!(close(got, want), "{}: {got} {want}", config.variant);
        }
        check_predictions(case, &config, &sizes, &params, &data);
    }
    assert!(
        Variant::trained().all(|v| seen.contains(&v)),
        "a variant has no golden numbers"
    );
}

/// The weights of a case; they must have the shapes of this program.
fn golden_params(case: &Value, config: &MemoryConfig, sizes: &Sizes) -> Params {
    let mut params = Params::default();
    for expected in &memory::init(config, sizes.latent, sizes.actions, 0).0 {
        let tensor = &case["tensors"][&expected.name];
        let shape: Vec<usize> = floats(&tensor["shape"])
            .into_iter()
            .map(|n| n as usize)
            .collect();
        assert_eq!(shape, expected.shape, "{}", expected.name);
        params.push(&expected.name, &shape, narrow(&tensor["value"]));
    }
    params
}

/// Compares the predicted rewards and ends of a memory in use.
fn check_predictions(
    case: &Value,
    config: &MemoryConfig,
    sizes: &Sizes,
    params: &Params,
    data: &SequenceBatch,
) {
    let &Sizes {
        latent,
        actions,
        steps,
        batch,
    } = sizes;
    let memory = memory::load(config, latent, actions, params).unwrap();
    let mut state = vec![0.0; batch * memory.state_len()];
    let mut scratch = Scratch::default();
    let mut z = vec![0.0; batch * latent];
    let mut predictions = vec![Prediction::default(); batch];
    for t in 0..steps {
        let z_t = &data.seen[t * batch * latent..(t + 1) * batch * latent];
        let a_t = &data.given[t * batch * actions..(t + 1) * batch * actions];
        memory.step(batch, z_t, a_t, &mut state, &mut scratch);
        let mut rngs = vec![stream(0, "t", &[]); batch];
        memory
            .predict(
                &state,
                1.0,
                &mut rngs,
                &mut z,
                &mut predictions,
                &mut scratch,
            )
            .unwrap();
        for (row, prediction) in predictions.iter().enumerate() {
            let want = |key: &str| case[key][t * batch + row].as_f64().unwrap();
            assert!(
                close(f64::from(prediction.reward), want("reward"))
                    && close(f64::from(prediction.done), want("done"))
            );
        }
    }
}

#[test]
fn pytorch_loads_trained_weights_and_gives_their_likelihoods() {
    let Some(python) = std::env::var_os("FRMDN_TORCH_PYTHON") else {
        common::skipped("set FRMDN_TORCH_PYTHON to a Python with PyTorch");
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
        for part in [&mut data.seen, &mut data.given, &mut data.next] {
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
        let check = json!({ "z": nested(&data.seen, latent),
            "actions": nested(&data.given, actions), "z_next": nested(&data.next, latent),
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
