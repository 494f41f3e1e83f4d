//! Memories in use.

use frmdn_engine::lstm::Tape;

use super::*;

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
        let z: Vec<f32> = data.seen.iter().map(|v| v + step as f32).collect();
        all.step(rows, &z, &data.given, &mut state, &mut scratch);
        (0..2).for_each(|m| alone[m].step(rows, &z, &data.given, &mut states[m], &mut scratch));
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
