//! What every variant must do.

use burn::tensor::{Device, activation::sigmoid};
use frmdn_density::{Definition, constant, gradient, tracked};
use frmdn_engine::{
    Params,
    lstm::{Lstm, Tape},
    random::{fill_normal, stream},
};

use super::*;

const LATENT: usize = 4;
const ACTIONS: usize = 2;

fn config(variant: Variant) -> MemoryConfig {
    MemoryConfig {
        variant,
        hidden: 8,
        components: 3,
        flow_hidden: 6,
        ..MemoryConfig::default()
    }
}

/// z turns slowly under the action; the last quarter of the last sequence is padding.
fn batch(steps: usize, size: usize) -> SequenceBatch {
    let mut b = SequenceBatch::zeros(steps, size, LATENT, ACTIONS);
    let mut rng = stream(2, "memory-test", &[]);
    fill_normal(&mut rng, &mut b.actions);
    fill_normal(&mut rng, &mut b.z);
    for row in 0..steps * size {
        for i in 0..LATENT {
            b.z_next[row * LATENT + i] =
                0.8 * b.z[row * LATENT + (i + 1) % LATENT] + 0.2 * b.actions[row * ACTIONS];
        }
        b.reward[row] = b.z[row * LATENT];
        b.done[row] = f32::from(b.z[row * LATENT + 1] > 1.5);
        b.mask[row] = f32::from(!(row % size == size - 1 && row / size >= steps * 3 / 4));
    }
    b
}

/// The engine's LSTM with `weights`.
fn packed(c: &MemoryConfig, weights: &Params) -> Lstm {
    let mut weight = weights.value("lstm.weight_input").to_vec();
    weight.extend_from_slice(weights.value("lstm.weight_hidden"));
    let mut lstm = Lstm::new(LATENT + ACTIONS, c.hidden);
    lstm.load(&weight, weights.value("lstm.bias"));
    lstm.load_backward(&weight);
    lstm
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}

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
            z: cut(&whole.z),
            actions: cut(&whole.actions),
            z_next: cut(&whole.z_next),
            reward: cut(&whole.reward),
            done: cut(&whole.done),
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

/// Means that are changes: a latent that only drifts is predicted from the start.
#[test]
fn residual_means_count_from_the_present_latent() {
    let c = MemoryConfig {
        residual: true,
        ..config(Variant::Frmdn)
    };
    let mut weights = init(&c, LATENT, ACTIONS, 1);
    // A network that does not look at the latent.
    for p in &mut weights.0 {
        let width = p.shape[p.shape.len() - 1];
        match p.name.as_str() {
            "lstm.weight_input" => p.value[..LATENT * width].fill(0.0),
            name if name.starts_with("head") && name.ends_with("weight") => {
                p.value[c.hidden * width..].fill(0.0)
            }
            _ => {}
        }
    }
    let memory = load(&c, LATENT, ACTIONS, &weights).unwrap();
    let (mut state, mut scratch) = (vec![0.0; memory.state_len()], Scratch::default());
    let mut centre = |z: [f32; LATENT]| {
        state.fill(0.0);
        memory.step(1, &z, &[0.0; ACTIONS], &mut state, &mut scratch);
        let mut out = [0.0; LATENT];
        memory.predict_mean(&state, &mut out).unwrap();
        out
    };
    // The flow is the identity at first: a latent that is moved by 5 moves the prediction by 5.
    let (near, far) = (centre([0.0; LATENT]), centre([5.0; LATENT]));
    assert!(
        near.iter()
            .zip(&far)
            .all(|(a, b)| (b - a - 5.0).abs() < 1e-5),
        "{near:?} {far:?}"
    );
}

#[test]
fn padding_counts_nowhere() {
    let clean = batch(8, 4);
    let mut dirty = clean.clone();
    for row in (0..32).filter(|&row| clean.mask[row] == 0.0) {
        dirty.z_next[row * LATENT..(row + 1) * LATENT].fill(50.0);
        dirty.z[row * LATENT..(row + 1) * LATENT].fill(-7.0);
        dirty.actions[row * ACTIONS..(row + 1) * ACTIONS].fill(3.0);
        (dirty.reward[row], dirty.done[row]) = (99.0, 1.0);
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
    data.z_next[5] = f32::NAN;
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
    data.z_next[5] = 0.0;
    data.z[0] = f32::INFINITY;
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

#[test]
fn acting_gives_a_row_the_same_bits_in_any_batch_and_equals_training() {
    for variant in [Variant::Frmdn, Variant::Untrained] {
        let c = MemoryConfig {
            hidden: 32,
            ..config(variant)
        };
        let weights = init(&c, LATENT, ACTIONS, 3);
        let memory = load(&c, LATENT, ACTIONS, &weights).unwrap();
        let (steps, rows) = (5, 17);
        let draw = |name: &str, n: usize| {
            let mut v = vec![0.0; n];
            fill_normal(&mut stream(4, name, &[]), &mut v);
            v
        };
        let (z, a) = (
            draw("z", steps * rows * LATENT),
            draw("a", steps * rows * ACTIONS),
        );
        let mut scratch = Scratch::default();
        let mut run = |first: usize, n: usize| {
            let mut state = vec![0.0; n * memory.state_len()];
            for t in 0..steps {
                let at = |width: usize| (t * rows + first) * width..(t * rows + first + n) * width;
                memory.step(n, &z[at(LATENT)], &a[at(ACTIONS)], &mut state, &mut scratch);
            }
            state
        };
        let all = run(0, rows);
        for n in [1, 2, 3, 16] {
            for first in [0, rows - n] {
                let len = memory.state_len();
                assert_eq!(
                    run(first, n),
                    all[first * len..(first + n) * len],
                    "{variant}: {n} rows from {first}"
                );
            }
        }
        let lstm = packed(&c, &weights);
        let x: Vec<f32> = z
            .chunks(LATENT)
            .zip(a.chunks(ACTIONS))
            .flat_map(|(z, a)| [z, a].concat())
            .collect();
        let mut tape = Tape::default();
        lstm.forward(&x, steps, rows, &mut tape);
        let last = &tape.hidden()[(steps - 1) * rows * 32..];
        for (row, h) in last.chunks(32).enumerate() {
            for (a, b) in h.iter().zip(memory.hidden(&all[row * 64..(row + 1) * 64])) {
                assert!((a - b).abs() < 1e-5, "{variant}: {a} {b}");
            }
        }
    }
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
        let y = &data.z_next[t * size * LATENT..(t + 1) * size * LATENT];
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
    let y = constant(&data.z_next, steps * size, LATENT, &device);
    let loss = definition.log_prob(tracked_hidden.clone(), y).neg().sum() / (steps * size) as f64;
    let d_hidden = gradient(&tracked_hidden, &loss.backward());
    let got = super::train::lstm_gradients(&lstm, &mut tape, &d_hidden);
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
    let all = Variant::trained().map(plain).chain([MemoryConfig {
        residual: true,
        loss: options,
        ..config(Variant::FrmdnConditional)
    }]);
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

/// `stack2` shows the latent before, `copy` predicts the present one.
#[test]
fn the_variants_without_a_network_hold_the_latent() {
    let of = |variant| load(&config(variant), LATENT, ACTIONS, &Params::default()).unwrap();
    let (stack, copy) = (of(Variant::Stack2), of(Variant::Copy));
    assert_eq!(
        (
            stack.hidden_len(),
            config(Variant::Stack2).hidden_len(LATENT),
            copy.hidden_len()
        ),
        (LATENT, LATENT, 0)
    );
    let (seen, mut scratch) = ([1.0, 2.0, 3.0, 4.0], Scratch::default());
    for memory in [&stack, &copy] {
        let mut state = vec![0.0; memory.state_len()];
        memory.step(1, &seen, &[0.0; ACTIONS], &mut state, &mut scratch);
        assert_eq!(state, seen);
    }
    assert_eq!(stack.hidden(&seen), seen);
    let mut z = [0.0; LATENT];
    copy.predict(
        &seen,
        1.0,
        &mut [stream(0, "t", &[])],
        &mut z,
        &mut [Prediction::default()],
        &mut scratch,
    )
    .unwrap();
    assert_eq!(z, seen);
}

#[test]
fn what_predicts_nothing_says_so_and_none_has_no_state() {
    for variant in [Variant::None, Variant::Untrained, Variant::Stack2] {
        let c = config(variant);
        let memory = load(&c, LATENT, ACTIONS, &init(&c, LATENT, ACTIONS, 1)).unwrap();
        let state = vec![0.0; memory.state_len()];
        let mut z = [0.0; LATENT];
        let error = memory
            .predict(
                &state,
                1.0,
                &mut [stream(0, "t", &[])],
                &mut z,
                &mut [Prediction::default()],
                &mut Scratch::default(),
            )
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&variant.to_string()) && error.contains("frmdn"),
            "{error}"
        );
    }
    let c = config(Variant::None);
    let none = load(&c, LATENT, ACTIONS, &init(&c, LATENT, ACTIONS, 1)).unwrap();
    assert_eq!(
        (none.hidden_len(), none.state_len(), c.hidden_len(LATENT)),
        (0, 0, 0)
    );
}

/// Two members: each keeps its own state, a draw is one member's, the mean is the mean of both, and
/// at temperature 0 the first member is used.
#[test]
fn an_ensemble_is_the_mixture_of_its_members() {
    let c = MemoryConfig {
        members: 2,
        residual: true,
        ..config(Variant::Frmdn)
    };
    let weights = init(&c, LATENT, ACTIONS, 5);
    let all = load(&c, LATENT, ACTIONS, &weights).unwrap();
    let alone = [0, 1].map(|m| {
        load(
            &c.member(),
            LATENT,
            ACTIONS,
            &weights.part(&format!("member{m}.")),
        )
        .unwrap()
    });
    assert_eq!(all.hidden_len(), 2 * c.hidden);
    let rows = 3;
    let (mut state, mut scratch) = (vec![0.0; rows * all.state_len()], Scratch::default());
    let mut states = [0, 1].map(|m: usize| vec![0.0; rows * alone[m].state_len()]);
    for step in 0..4 {
        let data = batch(1, rows);
        let z: Vec<f32> = data.z.iter().map(|v| v + step as f32).collect();
        all.step(rows, &z, &data.actions, &mut state, &mut scratch);
        (0..2).for_each(|m| alone[m].step(rows, &z, &data.actions, &mut states[m], &mut scratch));
    }
    for row in 0..rows {
        let whole = &state[row * all.state_len()..(row + 1) * all.state_len()];
        let of =
            |m: usize| &states[m][row * alone[m].state_len()..(row + 1) * alone[m].state_len()];
        assert_eq!(
            all.hidden(whole),
            [alone[0].hidden(of(0)), alone[1].hidden(of(1))].concat()
        );
        let mean = |memory: &dyn Memory, state: &[f32]| {
            let mut z = [0.0; LATENT];
            let predicted = memory.predict_mean(state, &mut z).unwrap();
            (z, predicted)
        };
        let (both, first, second) = (
            mean(all.as_ref(), whole),
            mean(alone[0].as_ref(), of(0)),
            mean(alone[1].as_ref(), of(1)),
        );
        assert!((0..LATENT).all(|i| (both.0[i] - (first.0[i] + second.0[i]) / 2.0).abs() < 1e-6));
        assert!((both.1.reward - (first.1.reward + second.1.reward) / 2.0).abs() < 1e-6);
        let mut draw = |memory: &dyn Memory, state: &[f32], temperature: f32, seed: u64| {
            let (mut z, mut predicted) = ([0.0; LATENT], [Prediction::default()]);
            memory
                .predict(
                    state,
                    temperature,
                    &mut [stream(seed, "ensemble", &[])],
                    &mut z,
                    &mut predicted,
                    &mut scratch,
                )
                .unwrap();
            (z, predicted[0])
        };
        assert_eq!(
            draw(all.as_ref(), whole, 0.0, 1),
            draw(alone[0].as_ref(), of(0), 0.0, 1)
        );
        // The predicted reward tells which member was drawn: both are, about as often.
        let rewards: Vec<f32> = (0..400)
            .map(|seed| draw(all.as_ref(), whole, 1.0, seed).1.reward)
            .collect();
        let drawn = |m: f32| rewards.iter().filter(|r| **r == m).count();
        let (a, b) = (drawn(first.1.reward), drawn(second.1.reward));
        assert!(a + b == 400 && a.abs_diff(200) < 50, "{a} {b}");
    }
}

/// Hand calculation: rewards 1, 2, 3 against 2, 4, 6 correlate fully, against 6, 4, 2 fully the
/// other way; means are by step.
#[test]
fn figures_are_means_over_steps() {
    let evaluated = |predicted: [f64; 3]| {
        let mut all = EvaluationSums::default();
        for (r, p) in [1.0, 2.0, 3.0].into_iter().zip(predicted) {
            let one = EvaluationSums {
                steps: 1.0,
                nll: 2.0 * r,
                squares: (r - p) * (r - p),
                cross_entropy: 0.5,
                rewards: [r, p, r * r, p * p, r * p],
            };
            all += one;
        }
        all.evaluation()
    };
    let up = evaluated([2.0, 4.0, 6.0]);
    assert!(
        (up.reward_correlation - 1.0).abs() < 1e-12
            && (evaluated([6.0, 4.0, 2.0]).reward_correlation + 1.0).abs() < 1e-12
    );
    assert!(
        (up.nll - 4.0).abs() < 1e-12
            && (up.reward_mse - 14.0 / 3.0).abs() < 1e-12
            && (up.done_bce - 0.5).abs() < 1e-12
    );
    assert_eq!(evaluated([2.0; 3]).reward_correlation, 0.0);
}

/// Latents that a memory drew itself have uniform ranks, up to noise; latents it would never draw do
/// not.
#[test]
fn ranks_of_a_memorys_own_draws_are_uniform() {
    let c = config(Variant::FrmdnConditional);
    let trainer = MemoryTrainer::new(&c, LATENT, ACTIONS, 1);
    let mut data = SequenceBatch {
        mask: vec![1.0; 3000],
        ..batch(3000, 1)
    };
    let memory = load(&c, LATENT, ACTIONS, trainer.weights()).unwrap();
    let (mut state, mut scratch) = (vec![0.0; memory.state_len()], Scratch::default());
    for t in 0..data.steps {
        memory.step(
            1,
            &data.z[t * LATENT..][..LATENT],
            &data.actions[t * ACTIONS..][..ACTIONS],
            &mut state,
            &mut scratch,
        );
        let rng = &mut [stream(9, "own", &[t as u64])];
        let z = &mut data.z_next[t * LATENT..][..LATENT];
        memory
            .predict(
                &state,
                1.0,
                rng,
                z,
                &mut [Prediction::default()],
                &mut scratch,
            )
            .unwrap();
    }
    let ranks = trainer.calibrate(&data, 1, 1);
    let n: u64 = ranks.likelihoods.iter().sum();
    assert_eq!(n, 3000);
    let (error, expected) = (
        Calibration::error(&ranks.likelihoods),
        Calibration::expected_error(n),
    );
    assert!(
        error < 2.0 * expected && error > 0.3 * expected,
        "{error} {expected}"
    );
    data.z_next.iter_mut().for_each(|v| *v *= 2.0);
    assert!(Calibration::error(&trainer.calibrate(&data, 1, 1).likelihoods) > 4.0 * expected);
}
