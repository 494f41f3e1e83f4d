//! Training on the engine, against burn and on a device.

use burn::tensor::{Device, activation::sigmoid};
use frmdn_density::{Definition, constant, gradient, tracked};
use frmdn_engine::lstm::Tape;

use super::*;
use crate::recurrent::lstm_gradients;

#[test]
fn every_variant_learns_and_is_the_same_on_any_number_of_threads() {
    let data = batch(12, 20);
    for variant in Variant::trained() {
        let run = |threads| {
            pool(threads).install(|| {
                let mut trainer = MemoryTrainer::new(&config(variant), LATENT, ACTIONS, 1);
                let first = trainer.step(&data, 1e-2, 0).unwrap();
                let mut last = first;
                for update in 1..60 {
                    last = trainer.step(&data, 1e-2, update).unwrap();
                }
                (trainer.tensors(), first, last)
            })
        };
        let (one, first, last) = run(1);
        assert_eq!(one, run(2).0, "{variant}");
        assert!(
            last.nll < first.nll - 1.0 && last.reward_mse < 0.7 * first.reward_mse,
            "{variant}: {first:?} {last:?}"
        );
    }
}

#[test]
fn saved_and_restored_in_the_middle_training_goes_on_bit_for_bit() {
    let data = batch(9, 10);
    let mut a = MemoryTrainer::new(&config(Variant::Frmdn), LATENT, ACTIONS, 1);
    for update in 0..5 {
        a.step(&data, 1e-2, update).unwrap();
    }
    let state = serde_json::from_str(&serde_json::to_string(&a.state()).unwrap()).unwrap();
    let mut b = MemoryTrainer::restore(
        &config(Variant::Frmdn),
        LATENT,
        ACTIONS,
        1,
        &a.tensors(),
        &state,
    )
    .unwrap();
    for update in 5..9 {
        a.step(&data, 1e-2, update).unwrap();
        b.step(&data, 1e-2, update).unwrap();
    }
    assert_eq!(a.tensors(), b.tensors());
    assert_eq!(a.state(), b.state());
}

/// Two halves, the second from where the first ended, have the likelihood of the whole; from zeros
/// they do not.
#[test]
fn carried_states_join_segments_to_a_sequence() {
    let whole = SequenceBatch {
        mask: vec![1.0; 10 * 3],
        ..batch(10, 3)
    };
    let half = |from: usize| {
        let cut = |v: &[f32]| v[from * v.len() / 10..(from + 5) * v.len() / 10].to_vec();
        SequenceBatch {
            seen: cut(&whole.seen),
            given: cut(&whole.given),
            next: cut(&whole.next),
            targets: Outcomes {
                reward: cut(&whole.targets.reward),
                done: cut(&whole.targets.done),
                measured: cut(&whole.targets.measured),
            },
            mask: cut(&whole.mask),
            ..SequenceBatch::zeros(5, 3, LATENT, ACTIONS)
        }
    };
    for device in [None, Some(crate::device::device_under_test())] {
        let mut trainer =
            MemoryTrainer::new(&config(Variant::Frmdn), LATENT, ACTIONS, 1).on(device.as_ref());
        let mut nll = |batch: &SequenceBatch| {
            (
                trainer.step(batch, 0.0, 0).unwrap().nll,
                trainer.last().to_vec(),
            )
        };
        let (want, end) = nll(&whole);
        let (first, state) = nll(&half(0));
        let (second, joined) = nll(&SequenceBatch {
            start: state,
            ..half(5)
        });
        assert!(
            ((first + second) / 2.0 - want).abs() < 1e-5 * want.abs(),
            "{first} {second} {want}"
        );
        assert!(end.iter().zip(&joined).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(((first + nll(&half(5)).0) / 2.0 - want).abs() > 1e-3);
    }
}

/// Dropout and scheduled sampling act in training alone, are the same on any number of threads and
/// another at every update.
#[test]
fn dropout_and_scheduled_sampling_are_functions_of_seed_and_update() {
    let data = batch(12, 20);
    for loss in [
        LossConfig {
            dropout: 0.5,
            ..LossConfig::default()
        },
        LossConfig {
            scheduled_sampling: 0.5,
            ..LossConfig::default()
        },
    ] {
        let c = MemoryConfig {
            loss,
            ..config(Variant::Frmdn)
        };
        let step = |c: &MemoryConfig, threads: usize, update: u64| {
            pool(threads).install(|| {
                MemoryTrainer::new(c, LATENT, ACTIONS, 1)
                    .step(&data, 1e-2, update)
                    .unwrap()
            })
        };
        assert_eq!(step(&c, 1, 3), step(&c, 2, 3));
        assert_ne!(step(&c, 1, 3), step(&c, 1, 4));
        let plain = config(Variant::Frmdn);
        assert_ne!(step(&c, 1, 3), step(&plain, 1, 3));
        let evaluated = |c: &MemoryConfig| {
            MemoryTrainer::new(c, LATENT, ACTIONS, 1).evaluate(std::slice::from_ref(&data))
        };
        assert_eq!(evaluated(&c), evaluated(&plain));
    }
}

#[test]
fn padding_counts_nowhere() {
    let clean = batch(8, 4);
    let mut dirty = clean.clone();
    for row in (0..32).filter(|&row| clean.mask[row] == 0.0) {
        dirty.next[row * LATENT..(row + 1) * LATENT].fill(50.0);
        dirty.seen[row * LATENT..(row + 1) * LATENT].fill(-7.0);
        dirty.given[row * ACTIONS..(row + 1) * ACTIONS].fill(3.0);
        (dirty.targets.reward[row], dirty.targets.done[row]) = (99.0, 1.0);
    }
    assert_ne!(clean, dirty);
    let step = |data: &SequenceBatch| {
        let mut t = MemoryTrainer::new(&config(Variant::Frmdn), LATENT, ACTIONS, 1);
        let metrics = t.step(data, 1e-2, 0).unwrap();
        let tensors = t
            .tensors()
            .0
            .into_iter()
            .filter(|p| p.name != "last")
            .collect::<Vec<_>>();
        (metrics, tensors, t.evaluate(std::slice::from_ref(data)))
    };
    assert_eq!(step(&clean), step(&dirty));
}

#[test]
fn a_loss_that_is_not_finite_is_refused_and_changes_nothing() {
    let mut data = batch(6, 3);
    data.next[5] = f32::NAN;
    let mut t = MemoryTrainer::new(&config(Variant::Rmdn), LATENT, ACTIONS, 1);
    let before = t.tensors();
    assert_eq!(
        t.step(&data, 1e-2, 17).unwrap_err(),
        NonFinite {
            tensor: "loss".into(),
            update: 17
        }
    );
    assert_eq!(t.tensors(), before);
    // A finite loss whose gradient is not names the tensor.
    data.next[5] = 0.0;
    data.seen[0] = f32::INFINITY;
    let error = t.step(&data, 1e-2, 18).unwrap_err();
    assert_eq!(error.update, 18);
    assert!(
        error.tensor == "loss"
            || before
                .0
                .iter()
                .any(|p| p.name == format!("weights.{}", error.tensor)),
        "{error:?}"
    );
    assert_eq!(t.tensors(), before);
}

/// Negative log-likelihood of a batch from a zero state, and its gradients, in burn alone.
struct BurnGradients {
    /// Nats a step.
    nll: f64,
    /// By the density's tensors.
    density: Params,
    /// By the input weights, the recurrent weights and the bias of the LSTM.
    lstm: [Vec<f32>; 3],
}

fn burn_gradients(
    definition: &Definition,
    hidden_len: usize,
    weights: &Params,
    data: &SequenceBatch,
) -> BurnGradients {
    let (steps, size, h) = (data.steps, data.batch, hidden_len);
    let device = Device::flex().autodiff();
    let tensor = |name: &str, rows: usize| {
        let v = weights.value(name);
        tracked(v, rows, v.len() / rows, &device)
    };
    let (wx, wh, b) = (
        tensor("lstm.weight_input", LATENT + ACTIONS),
        tensor("lstm.weight_hidden", h),
        tensor("lstm.bias", 1),
    );
    let mut hidden = constant(&vec![0.0; size * h], size, h, &device);
    let mut cells = hidden.clone();
    let mut nll = 0.0;
    let mut loss = hidden.clone().sum();
    let inputs = data.inputs();
    for (t, x) in inputs.chunks(size * (LATENT + ACTIONS)).enumerate() {
        let gates = constant(x, size, LATENT + ACTIONS, &device).matmul(wx.clone())
            + hidden.clone().matmul(wh.clone())
            + b.clone();
        let gate = |k: usize| gates.clone().slice([0..size, k * h..(k + 1) * h]);
        cells = sigmoid(gate(1)) * cells + sigmoid(gate(0)) * gate(2).tanh();
        hidden = sigmoid(gate(3)) * cells.clone().tanh();
        let y = &data.next[t * size * LATENT..(t + 1) * size * LATENT];
        let y = constant(y, size, LATENT, &device);
        let step = definition.log_prob(hidden.clone(), y).neg().sum();
        nll += f64::from(step.clone().into_scalar::<f32>());
        loss = loss + step;
    }
    let count = (steps * size) as f64;
    let gradients = (loss / count).backward();
    BurnGradients {
        nll: nll / count,
        density: definition.gradients(&gradients),
        lstm: [&wx, &wh, &b].map(|tensor| gradient(tensor, &gradients)),
    }
}

/// The likelihood of one shard in burn alone, the recurrence included, against engine and burn
/// together.
#[test]
fn engine_and_burn_together_give_the_gradients_of_burn_alone() {
    let c = config(Variant::Frmdn);
    let (steps, size, h) = (5, 3, c.hidden);
    let data = SequenceBatch {
        mask: vec![1.0; steps * size],
        ..batch(steps, size)
    };
    let weights = init(&c, LATENT, ACTIONS, 1);
    let device = Device::flex().autodiff();
    let density = c.density(LATENT).unwrap();
    let definition = Definition::new(density, h, &weights, &device).unwrap();
    let alone = burn_gradients(&definition, h, &weights, &data);
    // The first moments after the trainer's first Adam update are the gradients times 1 − β₁ (and
    // the clipping factor, which is 1 for a norm below the limit).
    let mut trainer = MemoryTrainer::new(&c, LATENT, ACTIONS, 1);
    let metrics = trainer.step(&data, 1e-3, 0).unwrap();
    assert!(
        (metrics.nll - alone.nll).abs() < 1e-5 * alone.nll.abs().max(1.0),
        "{} {}",
        metrics.nll,
        alone.nll
    );
    let moments = trainer.tensors();
    let scale = (c.loss.clip_norm / metrics.gradient_norm).min(1.0);
    // The heads of reward and end share h, and their part of the recurrent gradients is missing in
    // burn's loss here: so these are compared below, without the heads.
    for want in &alone.density.0 {
        let got = moments.value(&format!("adam.first.{}", want.name));
        let most = want.value.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        for (g, w) in got.iter().zip(&want.value) {
            let g = f64::from(*g) / (0.1 * scale);
            assert!(
                (g - f64::from(*w)).abs() < 1e-4 * f64::from(most.max(1e-3)),
                "{}: {g} {w}",
                want.name
            );
        }
    }
    let lstm = packed(&c, &weights);
    let mut tape = Tape::default();
    lstm.forward(&data.inputs(), steps, size, &mut tape);
    let tracked_hidden = tracked(tape.hidden(), steps * size, h, &device);
    let y = constant(&data.next, steps * size, LATENT, &device);
    let loss = definition.log_prob(tracked_hidden.clone(), y).neg().sum() / (steps * size) as f64;
    let d_hidden = gradient(&tracked_hidden, &loss.backward());
    let got = lstm_gradients(&lstm, &mut tape, &d_hidden);
    for (got, want) in got.0.iter().zip(&alone.lstm) {
        let most = want.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        for (g, w) in got.value.iter().zip(want) {
            assert!((g - w).abs() < 1e-4 * most, "{}: {g} {w}", got.name);
        }
    }
}

/// Three updates of every variant, reward and end heads included: engine and burn's own device.
#[test]
fn a_device_trains_like_the_engine() {
    let plain = |variant| MemoryConfig {
        loss: LossConfig {
            done_positive_weight: 3.0,
            ..LossConfig::default()
        },
        ..config(variant)
    };
    let options = LossConfig {
        dropout: 0.3,
        scheduled_sampling: 0.4,
        ..LossConfig::default()
    };
    let all = Variant::trained().map(plain).chain([
        MemoryConfig {
            residual: true,
            loss: options,
            ..config(Variant::FrmdnConditional)
        },
        MemoryConfig {
            reward_hidden: 5,
            ..plain(Variant::Rmdn)
        },
        MemoryConfig {
            loss: LossConfig {
                auxiliary_weight: 0.8,
                ..LossConfig::default()
            },
            ..plain(Variant::RmdnFactored)
        },
    ]);
    for c in all {
        let variant = c.variant;
        let data = batch(6, 9);
        let mut engine = MemoryTrainer::new(&c, LATENT, ACTIONS, 1);
        let mut device = MemoryTrainer::new(&c, LATENT, ACTIONS, 1)
            .on(Some(&crate::device::device_under_test()));
        for update in 0..3 {
            let (a, b) = (
                engine.step(&data, 1e-3, update).unwrap(),
                device.step(&data, 1e-3, update).unwrap(),
            );
            for (a, b) in [
                (a.nll, b.nll),
                (a.reward_mse, b.reward_mse),
                (a.done_bce, b.done_bce),
                (
                    a.auxiliary_mse.unwrap_or(0.0),
                    b.auxiliary_mse.unwrap_or(0.0),
                ),
                (a.gradient_norm, b.gradient_norm),
            ] {
                assert!(
                    (a - b).abs() < 1e-4 * a.abs().max(1e-2),
                    "{variant} update {update}: {a} {b}"
                );
            }
        }
        // First moments are sums of gradients: tensor by tensor.
        let (a, b) = (engine.tensors(), device.tensors());
        for (a, b) in
            a.0.iter()
                .zip(&b.0)
                .filter(|(a, _)| a.name.starts_with("adam.first"))
        {
            assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
            let most = a.value.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
            for (x, y) in a.value.iter().zip(&b.value) {
                assert!((x - y).abs() < 1e-3 * most, "{variant} {}: {x} {y}", a.name);
            }
        }
    }
}
