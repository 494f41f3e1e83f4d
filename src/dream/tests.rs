//! Dreams of a population are those of each controller alone.

use frmdn_engine::random::fill_normal;

use super::*;
use crate::memory::{self, MemoryConfig, Variant};

pub const LATENT: usize = 6;

pub struct Setup {
    pub config: MemoryConfig,
    pub weights: frmdn_engine::Params,
    pub memory: Box<dyn Memory>,
    pub controllers: Vec<Controller>,
    pub starts: Vec<Start>,
}

pub fn setup(variant: Variant) -> Setup {
    let config = MemoryConfig {
        variant,
        hidden: 20,
        components: 3,
        flow_hidden: 8,
        ..MemoryConfig::default()
    };
    let mut weights = memory::init(&config, LATENT, 3, 1);
    // Initial weights make ends improbable; with this bias about one step in ten ends.
    for t in &mut weights.0 {
        if t.name == "done.bias" {
            t.value[0] = -2.2;
        }
    }
    let memory = memory::load(&config, LATENT, 3, &weights).unwrap();
    let count = Controller::count(LATENT + 20, 3);
    let draw = |name: &str, i: u64, n: usize| {
        let mut v = vec![0.0; n];
        fill_normal(&mut stream(9, name, &[i]), &mut v);
        v
    };
    let controllers = (0..7)
        .map(|i| Controller::new(LATENT + 20, 3, draw("c", i, count)))
        .collect();
    let starts = (0..11)
        .map(|i| Start {
            latent: draw("z", i, LATENT),
            state: draw("s", i, 40),
            chances: i,
        })
        .collect();
    Setup {
        config,
        weights,
        memory,
        controllers,
        starts,
    }
}

const CONFIG: DreamConfig = DreamConfig {
    steps: 40,
    temperature: 1.0,
    seed: 4,
    ends: true,
    dropout: 0.0,
};

fn run(
    setup: &Setup,
    controllers: &[usize],
    starts: &[Start],
    [threads, percent_hidden]: [usize; 2],
) -> Vec<DreamOutcome> {
    let controllers: Vec<&Controller> =
        controllers.iter().map(|&i| &setup.controllers[i]).collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        dream(
            setup.memory.as_ref(),
            &car_racing(),
            &controllers,
            starts,
            DreamConfig {
                dropout: percent_hidden as f32 / 100.0,
                ..CONFIG
            },
        )
    })
    .unwrap()
}

pub(super) fn car_racing() -> Actions {
    Actions::of(&crate::worlds::default_spec())
}

#[test]
fn a_dream_depends_neither_on_the_batch_nor_on_threads() {
    for (variant, hidden) in [(Variant::Rmdn, 0), (Variant::Frmdn, 0), (Variant::Rmdn, 30)] {
        let setup = setup(variant);
        let every = [0, 1, 2, 3, 4, 5, 6];
        let all = run(&setup, &every, &setup.starts, [1, hidden]);
        assert_eq!(all, run(&setup, &every, &setup.starts, [3, hidden]));
        for c in 0..7 {
            assert_eq!(
                all[c * 11..(c + 1) * 11],
                run(&setup, &[c], &setup.starts, [1, hidden]),
                "{variant} controller {c}"
            );
            // Fewer episodes: the first ones are the same.
            assert_eq!(
                all[c * 11..c * 11 + 4],
                run(&setup, &[c], &setup.starts[..4], [2, hidden])
            );
        }
        let ended = all.iter().filter(|d| d.ended).count();
        assert!(
            (1..77).contains(&ended) || all.iter().all(|d| d.steps < 40),
            "{ended}"
        );
        assert!(
            all.iter()
                .all(|d| d.reward.is_finite() && d.steps >= 1 && (d.ended || d.steps == 40))
        );
    }
}

/// The same by hand: one row, the memory's own functions, one after the other.
#[test]
fn one_dream_is_the_memory_fed_with_its_own_draws() {
    let dreams = [0.0, 0.5].map(dream_by_hand);
    assert_ne!(dreams[0], dreams[1]);
}

fn dream_by_hand(dropout: f32) -> f64 {
    let Setup {
        memory,
        controllers,
        starts,
        ..
    } = setup(Variant::Frmdn);
    let config = DreamConfig {
        ends: false,
        dropout,
        ..CONFIG
    };
    let mut rng = stream(4, "dream/dropout", &[1]);
    let mask: Vec<f32> = (0..20)
        .map(|_| match rng.random::<f32>() < dropout {
            true => 0.0,
            false => 1.0 / (1.0 - dropout),
        })
        .collect();
    let got = dream(
        memory.as_ref(),
        &car_racing(),
        &[&controllers[2]],
        &starts[..3],
        config,
    )
    .unwrap()[1];
    let Start {
        latent: mut z,
        mut state,
        ..
    } = starts[1].clone();
    let (mut reward, mut action, mut predictions, mut scratch) =
        (0.0, [0.0; 3], [Prediction::default()], Scratch::default());
    for step in 0..40 {
        controllers[2].outputs(&z, memory.hidden(&state), &mut action);
        car_racing().squash(&mut action);
        memory.step(1, &z, &action, &mut state, &mut scratch);
        let mut shown = state.clone();
        shown.iter_mut().zip(&mask).for_each(|(h, m)| *h *= m);
        memory
            .predict(
                &shown,
                1.0,
                &mut [stream(4, "dream", &[1, step])],
                &mut z,
                &mut predictions,
                &mut scratch,
            )
            .unwrap();
        reward += f64::from(predictions[0].reward);
    }
    assert_eq!(
        got,
        DreamOutcome {
            reward,
            price: 0.0,
            steps: 40,
            ..DreamOutcome::default()
        }
    );
    reward
}

/// Where nothing is paid a dream is given up, and charged what remains; where something is, not.
#[test]
fn a_dream_that_pays_nothing_is_given_up() {
    let mut setup = setup(Variant::Rmdn);
    for (reward, steps, price) in [(-0.5, 7, 3.3), (0.5, 40, 0.0)] {
        for t in &mut setup.weights.0 {
            match t.name.as_str() {
                "reward.weight" => t.value.fill(0.0),
                "reward.bias" => t.value.fill(reward),
                _ => {}
            }
        }
        let memory = memory::load(&setup.config, LATENT, 3, &setup.weights).unwrap();
        let rules = Rules {
            give_up: Some(GiveUp {
                after: 7,
                cost: 0.1,
            }),
            ..Rules::default()
        };
        let (controllers, starts) = ([&setup.controllers[0]], &setup.starts[..2]);
        let config = DreamConfig {
            ends: false,
            ..CONFIG
        };
        let actions = car_racing();
        let dreams = dream_by(
            rules,
            memory.as_ref(),
            &actions,
            &controllers,
            starts,
            config,
        );
        for dream in dreams.unwrap() {
            assert_eq!((dream.steps, dream.given_up), (steps, steps == 7));
            let expected = f64::from(reward) * f64::from(steps);
            assert!((dream.reward - expected).abs() < 1e-5, "{dream:?}");
            assert!((dream.price - price).abs() < 1e-9, "{dream:?}");
        }
    }
}

/// Rewards of either sign around a loss are no progress: a dream ends when their sum has not been
/// higher for as many steps, whatever a single step paid.
#[test]
fn a_dream_is_given_up_by_the_sum_of_its_rewards() {
    const AFTER: usize = 6;
    let mut setup = setup(Variant::Rmdn);
    for t in &mut setup.weights.0 {
        if t.name == "reward.weight" {
            t.value.iter_mut().for_each(|w| *w *= 20.0);
        }
    }
    let memory = memory::load(&setup.config, LATENT, 3, &setup.weights).unwrap();
    let (actions, controllers) = (car_racing(), [&setup.controllers[0]]);
    let run = |rules: Rules<'_>, steps: u32| {
        let config = DreamConfig {
            steps,
            ends: false,
            ..CONFIG
        };
        let memory = memory.as_ref();
        dream_by(rules, memory, &actions, &controllers, &setup.starts, config).unwrap()
    };
    let sums: Vec<_> = (1..=40).map(|n| run(Rules::default(), n)).collect();
    let give_up = GiveUp {
        after: AFTER as u32,
        cost: 0.0,
    };
    let rules = Rules {
        give_up: Some(give_up),
        ..Rules::default()
    };
    let mut paid_in_between = 0;
    for (start, dream) in run(rules, 40).iter().enumerate() {
        let sums: Vec<f64> = sums.iter().map(|dreams| dreams[start].reward).collect();
        let end = (AFTER..=40).find(|&n| {
            let last = n - AFTER;
            let before = sums[..last].iter().copied().fold(0.0, f64::max);
            sums[last..n].iter().all(|&sum| sum <= before)
        });
        assert_eq!(dream.steps as usize, end.unwrap_or(40));
        assert_eq!(dream.given_up, end.is_some());
        if let Some(n) = end {
            let rose = |i: usize| i > 0 && sums[i] > sums[i - 1];
            paid_in_between += usize::from((n - AFTER..n).any(rose));
        }
    }
    assert!(paid_in_between > 0);
}

/// A dream of half a point a step is over with the step that brings what is asked for.
#[test]
fn a_dream_ends_with_what_is_enough() {
    let mut setup = setup(Variant::Rmdn);
    for t in &mut setup.weights.0 {
        match t.name.as_str() {
            "reward.weight" => t.value.fill(0.0),
            "reward.bias" => t.value.fill(0.5),
            _ => {}
        }
    }
    let memory = memory::load(&setup.config, LATENT, 3, &setup.weights).unwrap();
    for (enough, steps) in [(Some(3.9), 8), (Some(4.0), 8), (Some(1e9), 40), (None, 40)] {
        let rules = Rules {
            enough,
            ..Rules::default()
        };
        let (controllers, starts) = ([&setup.controllers[0]], &setup.starts[..2]);
        let config = DreamConfig {
            steps: 40,
            ends: false,
            ..CONFIG
        };
        let (memory, actions) = (memory.as_ref(), &car_racing());
        let dreams = dream_by(rules, memory, actions, &controllers, starts, config);
        for dream in dreams.unwrap() {
            assert_eq!((dream.steps, dream.given_up), (steps, false));
        }
    }
}

#[test]
fn a_memory_that_predicts_nothing_cannot_dream() {
    let Setup {
        memory,
        controllers,
        starts,
        ..
    } = setup(Variant::Untrained);
    let error = dream(
        memory.as_ref(),
        &car_racing(),
        &[&controllers[0]],
        &starts,
        CONFIG,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("untrained") && error.contains("frmdn"),
        "{error}"
    );
}
