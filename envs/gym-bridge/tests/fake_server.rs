//! The client against a server in Rust: the conformance tests, and all faults of a server.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use frmdn_env::{
    ActionSpace, Env, EnvError, ObservationMut, ObservationSpace, Step, VecEnv, conformance_tests,
};
use frmdn_gym_bridge::{Fleet, GymConfig, GymEnv, Launch};

fn fleet(args: &[&str], change: impl FnOnce(&mut GymConfig)) -> Arc<Fleet> {
    let mut config = GymConfig::new("Fake-v0");
    (config.deadline, config.start_deadline) = (Duration::from_secs(20), Duration::from_secs(20));
    change(&mut config);
    let launch = Launch::new(
        env!("CARGO_BIN_EXE_fake-gym-server"),
        args.iter().map(std::ffi::OsString::from),
    );
    Fleet::new(config, launch)
}

fn good() -> GymEnv {
    fleet(&["good"], |_| ())
        .make()
        .expect("the fake server starts")
}

conformance_tests!(mod whole_frames, good(), rewards = 0.0..=1.0);
conformance_tests!(
    mod views,
    fleet(&["discrete"], |c| c.view = Some((Some(1..5), 2)))
        .make()
        .expect("the fake server starts"),
    rewards = 0.0..=1.0
);

/// Steps an episode with a fixed pattern of actions to its end.
fn play(env: &mut GymEnv, seed: u64) -> Result<(Vec<Step>, Vec<u8>), EnvError> {
    let mut frame = vec![0; env.observation_space().len()];
    let mut seen = Vec::new();
    env.reset(seed, ObservationMut::Frame(&mut frame))?;
    let mut steps = Vec::new();
    loop {
        let action = [(steps.len() as f32 * 0.7).sin(), 1.0];
        steps.push(env.step(&action, ObservationMut::Frame(&mut frame))?);
        seen.extend_from_slice(&frame);
        if steps[steps.len() - 1].done() {
            return Ok((steps, seen));
        }
    }
}

/// The error of the first thing that goes wrong.
fn fault(args: &[&str], change: impl FnOnce(&mut GymConfig)) -> String {
    match fleet(args, change).make() {
        Ok(mut env) => play(&mut env, 3)
            .map(|_| "no error at all".to_owned())
            .unwrap_or_else(|e| e.to_string()),
        Err(e) => e.to_string(),
    }
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[test]
fn spaces_and_progress_come_through() {
    let mut env = good();
    assert_eq!(
        *env.action_space(),
        ActionSpace::Box {
            low: vec![-1.0, 0.0],
            high: vec![1.0, 2.0]
        }
    );
    assert_eq!(
        env.observation_space(),
        ObservationSpace::Frame {
            height: 6,
            width: 4,
            channels: 3
        }
    );
    assert_eq!(env.spec().max_steps, Some(20));
    let (steps, _) = play(&mut env, 3).unwrap();
    assert_eq!(
        env.spec().progress_of(&steps[4].measured),
        Some((5.0, 20.0))
    );
    assert!(steps.len() >= 12 && steps.last().is_some_and(Step::done));
    assert_eq!(env.probe("echo").unwrap(), b"echo");
    let env = fleet(&["discrete"], |c| c.view = Some((None, 5)))
        .make()
        .unwrap();
    assert_eq!(*env.action_space(), ActionSpace::Discrete(3));
    assert_eq!(
        env.observation_space(),
        ObservationSpace::Frame {
            height: 5,
            width: 5,
            channels: 3
        }
    );
}

#[test]
fn a_batch_over_two_processes_equals_one_environment_alone() {
    let fleet = fleet(&["good"], |c| c.processes = 2);
    let envs = (0..5)
        .map(|_| Box::new(fleet.make().unwrap()) as Box<dyn Env>)
        .collect();
    let mut batch = VecEnv::new(envs).unwrap();
    let width = batch.observation_space().len();
    let mut frames = vec![0; 5 * width];
    let mut steps = [None; 5];
    batch
        .reset(
            &[0, 1, 2, 3, 4].map(Some),
            ObservationMut::Frame(&mut frames),
        )
        .unwrap();
    let mut all = vec![Vec::new(); 5];
    for t in 0..20 {
        let actions: Vec<f32> = (0..5).flat_map(|_| [(t as f32 * 0.7).sin(), 1.0]).collect();
        batch
            .step(&actions, ObservationMut::Frame(&mut frames), &mut steps)
            .unwrap();
        all.iter_mut()
            .zip(steps)
            .for_each(|(list, step)| list.extend(step));
    }
    for (seed, list) in all.into_iter().enumerate() {
        assert_eq!(list, play(&mut good(), seed as u64).unwrap().0);
    }
}

#[test]
fn an_action_sent_ahead_changes_nothing_and_cannot_be_replaced() {
    let (mut ahead, mut plain) = (good(), good());
    let mut frames = [vec![0; 72], vec![0; 72]];
    for seed in 0..3 {
        ahead
            .reset(seed, ObservationMut::Frame(&mut frames[0]))
            .unwrap();
        plain
            .reset(seed, ObservationMut::Frame(&mut frames[1]))
            .unwrap();
        for t in 0..9 {
            let action = [0.1 * t as f32, 0.0];
            ahead.begin(&action).unwrap();
            let a = ahead
                .step(&action, ObservationMut::Frame(&mut frames[0]))
                .unwrap();
            assert_eq!(
                a,
                plain
                    .step(&action, ObservationMut::Frame(&mut frames[1]))
                    .unwrap()
            );
            assert_eq!(frames[0], frames[1]);
        }
        // A reset forgets it.
        ahead.begin(&[1.0, 1.0]).unwrap();
    }
    ahead
        .reset(1, ObservationMut::Frame(&mut frames[0]))
        .unwrap();
    ahead.begin(&[1.0, 1.0]).unwrap();
    assert!(
        ahead
            .step(&[0.0, 1.0], ObservationMut::Frame(&mut frames[0]))
            .is_err()
    );
    assert!(ahead.begin(&[7.0, 1.0]).is_err());
}

#[test]
fn a_lost_server_is_replaced_and_the_episode_goes_on_as_if_nothing_had_happened() {
    let calm = play(&mut good(), 3).unwrap();
    for (n, name) in [
        "crash",
        "hang",
        "closed",
        "long",
        "ticket",
        "short",
        "crash-reset",
    ]
    .into_iter()
    .enumerate()
    {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("spent");
        let fleet = fleet(&[name, mark.to_str().unwrap()], |c| {
            c.deadline = Duration::from_secs(2)
        });
        let mut env = fleet.make().unwrap();
        assert_eq!(play(&mut env, 3).unwrap(), calm, "{n} {name}");
        assert!(mark.exists(), "{name} never happened");
        // The environment still works, and so do those made later.
        assert_eq!(play(&mut env, 3).unwrap(), calm, "{name}");
        assert_eq!(play(&mut fleet.make().unwrap(), 3).unwrap(), calm, "{name}");
    }
}

#[test]
fn a_server_that_fails_again_is_an_error_with_its_last_words() {
    has(
        &fault(&["crash"], |_| ()),
        &[
            "gym:Fake-v0 ended",
            "signal: 6",
            "asked to step",
            "bad_alloc",
        ],
    );
    has(
        &fault(&["closed"], |_| ()),
        &["ended", "exit status: 0", "asked to step"],
    );
    has(
        &fault(&["crash-reset"], |_| ()),
        &["ended", "exit status: 9", "asked to reset"],
    );
    let hung = fault(&["hang"], |c| c.deadline = Duration::from_millis(500));
    has(
        &hung,
        &[
            "no answer within 0.5 s",
            "step",
            "a lock that nobody gives back",
        ],
    );
    for name in ["long", "ticket", "short"] {
        has(
            &fault(&[name], |_| ()),
            &["does not keep to the protocol", "fake server"],
        );
    }
}

#[test]
fn an_environment_that_does_not_repeat_itself_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("spent");
    let text = fault(&["crash", mark.to_str().unwrap(), "drift"], |_| ());
    has(
        &text,
        &["does not repeat itself", "step 1 of seed 3", "signal: 6"],
    );
}

#[test]
fn an_exception_is_an_error_and_the_server_goes_on() {
    let mut env = fleet(&["raise"], |_| ()).make().unwrap();
    let text = play(&mut env, 3).unwrap_err().to_string();
    has(
        &text,
        &[
            "asked to step",
            "ZeroDivisionError",
            "division by zero",
            "line 7",
        ],
    );
    let mut frame = vec![0; 72];
    assert!(matches!(
        env.step(&[0.0, 0.0], ObservationMut::Frame(&mut frame)),
        Err(EnvError::NeedsReset)
    ));
    env.reset(3, ObservationMut::Frame(&mut frame)).unwrap();
}

#[test]
fn a_server_that_cannot_be_used_says_why() {
    has(&fault(&["version"], |_| ()), &["version 10", "speaks 2"]);
    has(
        &fault(&["exit"], |_| ()),
        &["ended", "exit status: 3", "SyntaxError"],
    );
    has(
        &fault(&["silent"], |c| {
            c.start_deadline = Duration::from_millis(300)
        }),
        &["no answer within 0.3 s", "asked to start"],
    );
    has(
        &fault(&["chatter"], |_| ()),
        &["does not keep to the protocol", "announced a message"],
    );
    has(
        &fault(&["missing"], |_| ()),
        &[
            "lacks what gym:Fake-v0 needs (gymnasium)",
            "-m venv",
            "pip install",
            "gymnasium[box2d]==1.4.0",
        ],
    );
    has(
        &fault(&["refused"], |_| ()),
        &["gym:Fake-v0 cannot be used", "Text(4)"],
    );
    has(
        &fault(&["autoreset"], |_| ()),
        &["autoreset mode is next_step"],
    );
    for name in ["no-progress", "no-most", "no-end"] {
        has(
            &fault(&[name], |_| ()),
            &["does not keep to the protocol", "measurements that it does"],
        );
    }
    has(
        &fault(&["measures"], |_| ()),
        &["it measures 13 things, 12 are the most"],
    );
    has(
        &fault(&["good"], |c| c.view = Some((Some(0..84), 64))),
        &["rows 0..84", "6 × 4"],
    );
    let launch = Launch::new("/nowhere/python", []);
    let text = Fleet::new(GymConfig::new("Fake-v0"), launch)
        .make()
        .err()
        .unwrap()
        .to_string();
    has(&text, &["/nowhere/python", "cannot be started"]);
}

/// Numbers of the live children of this process whose command line contains `word`, zombies
/// included.
#[cfg(target_os = "linux")]
fn children(word: &str) -> Vec<(u32, char)> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (head, tail) = stat.rsplit_once(") ")?;
            let mut fields = tail.split(' ');
            let state = fields.next()?.chars().next()?;
            if fields.next()? != own {
                return None;
            }
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            // A zombie has a name, but no command line.
            let named = String::from_utf8_lossy(&command).contains(word)
                || state == 'Z' && head.contains("fake-gym");
            named.then(|| {
                (
                    entry.file_name().to_string_lossy().parse().unwrap_or(0),
                    state,
                )
            })
        })
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_is_left_behind() {
    fn gone(word: &str) {
        let patience = Instant::now();
        while !children(word).is_empty() {
            assert!(
                patience.elapsed() < Duration::from_secs(10),
                "{word}: {:?} are left",
                children(word)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    // Each with its own argument, which tells it from the servers of the other tests.
    let own = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mark = own("dropped");
    let fleet_ = fleet(&["good", &mark], |_| ());
    let env = fleet_.make().unwrap();
    assert_eq!(children(&mark).len(), 1);
    drop((env, fleet_));
    gone(&mark);
    for name in ["hang", "crash", "closed", "long"] {
        let mark = own(name);
        std::fs::write(&mark, "").unwrap();
        // The file exists, so the third argument is the fault, and it happens every time.
        let text = fault(&["good", &mark, name], |c| {
            c.deadline = Duration::from_millis(300)
        });
        assert!(!text.contains("no error"), "{name}");
        gone(&mark);
    }
    // One that goes on after its input was closed.
    let mark = own("silent");
    fault(&["silent", &mark], |c| {
        c.start_deadline = Duration::from_millis(200)
    });
    gone(&mark);
    assert!(Path::new(&own("dropped")).parent().is_some());
}
