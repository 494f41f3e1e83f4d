//! Weights: files as they are, and intact ones of agents of any settings and shapes.
#![no_main]

#[path = "scratch.rs"]
mod scratch;

use std::sync::LazyLock;

use frmdn::{
    agent::Agent,
    run::{Checkpoint, CheckpointKind},
    worlds::{Bridge, World},
};
use frmdn_engine::Params;
use frmdn_env::EnvSpec;
use libfuzzer_sys::fuzz_target;

static SPEC: LazyLock<EnvSpec> = LazyLock::new(|| {
    World::open("car-racing", &Bridge::default())
        .unwrap()
        .spec()
        .unwrap()
});

/// The first line is the state in JSON; each further one a tensor: its name, and its sizes.
fn intact(text: &str) -> Option<Checkpoint<serde_json::Value>> {
    let mut lines = text.lines();
    let state = serde_json::from_str(lines.next()?).ok()?;
    let mut tensors = Params::default();
    for line in lines.take(64) {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let shape: Vec<usize> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let count = shape
            .iter()
            .try_fold(1usize, |n, &size| n.checked_mul(size))?;
        if count > 1 << 16 || tensors.0.iter().any(|tensor| tensor.name == name) {
            return None;
        }
        tensors.push(name, &shape, vec![0.25; count]);
    }
    Some(Checkpoint { tensors, state })
}

fuzz_target!(|data: &[u8]| {
    let text = std::str::from_utf8(data).ok();
    let path = match text.and_then(intact) {
        Some(checkpoint) => {
            let path = scratch::file("agent.safetensors", b"");
            checkpoint.save(&path, CheckpointKind::Agent).unwrap();
            path
        }
        None => scratch::file("agent.safetensors", data),
    };
    let Ok(agent) = Agent::load(&path) else {
        return;
    };
    agent.tensors();
    let _ = agent.decoder();
    let _ = agent.controller();
    if let Ok(model) = agent.acting_model(&SPEC) {
        let mut state = vec![0.0; model.memory.state_len()];
        let z = vec![0.5; model.latent];
        let action = vec![0.5; model.actions.width()];
        model
            .memory
            .step(1, &z, &action, &mut state, &mut Default::default());
    }
});
