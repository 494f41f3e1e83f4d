//! The bridge to the real Gymnasium. If it is not installed these tests print SKIPPED and why; with
//! FRMDN_REQUIRE_GYMNASIUM=1 they fail. FRMDN_PYTHON names the Python that has it.
#![cfg(target_os = "linux")]

mod common;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use common::{MICRO, error};
use frmdn::run::{Episode, Observed};
use frmdn_gym_bridge::Python;
use serde_json::Value;

/// Whether Gymnasium is installed; prints a message if not.
fn gymnasium() -> bool {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let python = Python::find(None, "CarRacing-v3").map_err(|e| e.to_string())?;
        let versions = python
            .versions(Duration::from_secs(120))
            .map_err(|e| e.to_string())?;
        for (package, wanted) in [("gymnasium", "1.4.0"), ("Box2D", "2.3.10")] {
            let there = versions.get(package).map_or("none", String::as_str);
            if there != wanted {
                return Err(format!(
                    "{} has {there} for {package}, {wanted} is needed",
                    python.program.display()
                ));
            }
        }
        Ok(())
    });
    if let Err(why) = found {
        assert!(
            std::env::var("FRMDN_REQUIRE_GYMNASIUM").is_err(),
            "Gymnasium is required, but: {why}"
        );
        common::skipped(&why.to_string());
    }
    found.is_ok()
}

fn frmdn(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_frmdn"))
        .args(args)
        .output()
        .expect("the program starts")
}

fn json(args: &[&str]) -> Value {
    let out = frmdn(args);
    assert!(
        out.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&out.stdout)))
}

#[test]
fn both_car_racings_do_the_same() {
    if !gymnasium() {
        return;
    }
    for options in ["", "continuous=false", "domain_randomize=true"] {
        let parity = json(&[
            "env",
            "parity",
            "--episodes",
            "10",
            "--tracks",
            "20",
            "--seed",
            "77",
            "--json",
            "--options",
            options,
        ]);
        // Points are `f64` by another library than Python's; the simulation takes them as `f32`.
        assert_eq!(parity["track_difference"], Value::Null, "{options}");
        assert!(parity["track_error"].as_f64().unwrap() < 1e-11, "{options}");
        let drives = parity["drives"].as_array().unwrap();
        for drive in drives {
            assert_eq!(drive["difference"], Value::Null, "{options}: {drive}");
            assert!(drive["episodes"].as_u64().unwrap() >= 2);
        }
        let sum = |key: &str| drives.iter().map(|d| d[key].as_u64().unwrap()).sum::<u64>();
        assert!(
            sum("steps") > 5000 && (!options.is_empty() || sum("laps") > 0 && sum("off_field") > 0),
            "{options}: {parity}"
        );
        let frames = &parity["frames"];
        assert!(frames["on_track"]["frames"].as_u64().unwrap() > 100);
        assert!(
            frames["on_track"]["mean"].as_f64().unwrap() <= 0.35
                && frames["on_track"]["far"].as_f64().unwrap() <= 0.005,
            "{frames}"
        );
    }
}

#[test]
fn traces_of_both_are_the_same_lines() {
    if !gymnasium() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let actions = dir.path().join("a.txt");
    let lines: Vec<String> = (0..120)
        .map(|t| {
            format!(
                "{} {} {}",
                (t as f32 * 0.1).sin(),
                f32::from(t < 90),
                f32::from(t >= 90) * 0.7
            )
        })
        .collect();
    std::fs::write(&actions, lines.join("\n")).unwrap();
    let trace = |name: &str, folder: &str| {
        let out = dir.path().join(folder);
        let out = out.to_str().unwrap();
        let done = frmdn(&[
            "env",
            "trace",
            name,
            "--seed",
            "9",
            "--actions",
            actions.to_str().unwrap(),
            "--out",
            out,
        ]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        std::fs::read_to_string(Path::new(out).join("trace.jsonl")).unwrap()
    };
    let (ours, theirs) = (trace("car-racing", "a"), trace("gym:CarRacing-v3", "b"));
    assert_eq!(ours.lines().count(), 121);
    assert_eq!(ours, theirs);
}

/// The settings of a small run in Gymnasium's Car-Racing with five actions and short episodes.
const ENVIRONMENT: &str = "gym:CarRacing-v3,continuous=false,max_episode_steps=40";

fn train(run: &Path, stage: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
    command
        .args([stage, "tiny", "--run"])
        .arg(run)
        .args(["--env", ENVIRONMENT]);
    for set in MICRO.iter().copied().chain([
        "collect.random_start=false",
        "controller.population=4",
        "controller.generations=3",
    ]) {
        command.args(["--set", set]);
    }
    command
}

#[test]
fn a_whole_agent_is_trained_in_gymnasium_and_scored_in_both() {
    if !gymnasium() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = train(dir.path(), "train").output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(
        String::from_utf8_lossy(&out.stdout).contains("gymnasium 1.4.0"),
        "the rule is not named"
    );
    // Sixty steps were asked for; each episode ends at Gymnasium's limit, without steps of the next
    // one.
    for index in 0..20 {
        let episode = Episode::load(&dir.path().join(format!("episodes/{index:06}.npz"))).unwrap();
        assert_eq!(
            (episode.steps(), episode.terminated, episode.action_len),
            (40, false, 5)
        );
        let Observed::Frames { bytes, .. } = &episode.observed else {
            panic!("no frames");
        };
        assert_eq!(bytes.len(), 41 * 64 * 64 * 3);
        for action in episode.actions.chunks(5) {
            assert!(
                action.iter().sum::<f32>() == 1.0 && action.contains(&1.0),
                "{action:?} is not one-hot"
            );
        }
    }
    let run = dir.path().to_str().unwrap();
    let native = "car-racing,continuous=false";
    let both = json(&[
        "evaluate",
        run,
        "--episodes",
        "2",
        "--against",
        native,
        "--json",
    ]);
    assert_eq!(
        (
            both["one"]["steps"].as_f64(),
            both["one"]["environment"].as_str()
        ),
        (Some(40.0), Some(ENVIRONMENT))
    );
    assert_eq!(both["other"]["environment"].as_str(), Some(native));
    let gif = dir.path().join("p.gif");
    let played = frmdn(&["play", run, "--out", gif.to_str().unwrap()]);
    assert!(
        played.status.success() && gif.exists(),
        "{}",
        String::from_utf8_lossy(&played.stderr)
    );
    // An agent with three controls cannot act in an environment with five discrete actions.
    let text = error(&frmdn(&[
        "evaluate",
        run,
        "--episodes",
        "2",
        "--env",
        "car-racing",
    ]));
    assert!(
        text.contains("acts with 5 values") && text.contains("3 values"),
        "{text}"
    );
}

#[test]
fn spaces_that_are_not_served_are_refused() {
    if !gymnasium() {
        return;
    }
    for (name, words) in [
        (
            "gym:CartPole-v1",
            vec!["images are served", "AddRenderObservation"],
        ),
        ("gym:CarRacing-v99", vec!["v99", "v3"]),
        ("gym:Nothing-v0", vec!["Nothing"]),
        ("gym:no_such_package:Thing-v0", vec!["no_such_package"]),
        ("gym:CarRacing-v3,colour=blue", vec!["colour"]),
        // What the environment raises is shown, not what another try at it would raise.
        (
            "gym:CarRacing-v3,lap_complete_percent=abc",
            vec!["asked to reset: TypeError", "'float' and 'str'"],
        ),
        ("gym:this:X", vec!["Python's this has no environment X"]),
    ] {
        let text = error(&frmdn(&[
            "evaluate",
            "--policy",
            "random",
            "--episodes",
            "2",
            "--env",
            name,
        ]));
        for word in words {
            assert!(text.contains(word), "{name}: `{word}` is missing in {text}");
        }
    }
}

/// Neither the current folder nor that of temporary files is searched for modules, and no file is
/// left in the latter, however the program ends.
#[test]
fn servers_take_and_leave_no_files() {
    if !gymnasium() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    for module in ["json.py", "temporary/struct.py"] {
        std::fs::write(dir.path().join(module), "raise SystemExit(9)").unwrap();
    }
    let out = common::frmdn_in(
        dir.path(),
        &[
            "evaluate",
            "--policy",
            "noop",
            "--episodes",
            "2",
            "--env",
            "gym:CarRacing-v3,max_episode_steps=5",
        ],
    )
    .env("TMPDIR", &temporary)
    .output()
    .unwrap();
    common::success(&out);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1);
}

/// Process numbers of the servers that `parent` started.
fn servers(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let command =
                String::from_utf8_lossy(&std::fs::read(entry.path().join("cmdline")).ok()?)
                    .into_owned();
            (fields[1] == parent.to_string()
                && fields[0] != "Z"
                && command.contains("gymnasium.make"))
            .then_some(pid)
        })
        .collect()
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{what} never came"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(pid: u32) {
    assert!(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_killed_server_costs_time_and_nothing_else() {
    if !gymnasium() {
        return;
    }
    let args = [
        "evaluate",
        "--policy",
        "brownian",
        "--episodes",
        "2",
        "--json",
        "--env",
        "gym:CarRacing-v3,max_episode_steps=300",
    ];
    let calm = json(&args);
    let child = Command::new(env!("CARGO_BIN_EXE_frmdn"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let first = wait_for("a server", || servers(child.id()).first().copied());
    // Some steps into its episode, for which it has loaded the physics.
    wait_for("the physics", || {
        let loaded = std::fs::read_to_string(format!("/proc/{first}/maps")).unwrap_or_default();
        loaded.contains("Box2D").then_some(())
    });
    std::thread::sleep(Duration::from_millis(1500));
    kill(first);
    let out = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && log.contains("played again"),
        "{log}"
    );
    assert_eq!(serde_json::from_slice::<Value>(&out.stdout).unwrap(), calm);
}

#[test]
fn servers_end_with_the_program_however_it_ends() {
    if !gymnasium() {
        return;
    }
    let args = [
        "evaluate",
        "--policy",
        "brownian",
        "--episodes",
        "9",
        "--env",
        "gym:CarRacing-v3",
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_frmdn"))
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let found = wait_for("two servers or one", || {
        Some(servers(child.id())).filter(|s| !s.is_empty())
    });
    std::thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    for pid in found {
        wait_for("the end of a server", || {
            (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }
}

/// Modules with the old interface of gym 0.26, nes-py and gym-super-mario-bros 7.4.0, without a
/// game.
const OLD: [(&str, &str); 5] = [
    (
        "gym/__init__.py",
        "class Spec:\n    entry_point = 'gym_super_mario_bros.smb_env:SuperMarioBrosEnv'\n    \
         kwargs = {'rom_mode': 'vanilla'}\ndef spec(name):\n    return Spec()\n",
    ),
    ("nes_py/__init__.py", ""),
    (
        "nes_py/wrappers.py",
        "class JoypadSpace:\n    def __init__(self, env, actions):\n        from types import \
         SimpleNamespace\n        self.env, self.actions = env, actions\n        space = \
         type('Discrete', (), {'seed': lambda self, seed: None})()\n        space.n = \
         len(actions)\n        self.action_space = space\n        self.observation_space = \
         env.observation_space\n        self.unwrapped = env\n    def reset(self, seed=None, \
         options=None, return_info=None):\n        return self.env.reset(seed)\n    def step(self, \
         action):\n        return self.env.step(128 * ('right' in self.actions[action]))\n    def \
         close(self):\n        pass\n",
    ),
    (
        "gym_super_mario_bros/actions.py",
        "RIGHT_ONLY = [['NOOP'], ['right']]\nSIMPLE_MOVEMENT = RIGHT_ONLY + [['right', \
         'A']]\nCOMPLEX_MOVEMENT = SIMPLE_MOVEMENT + [['left']]\n",
    ),
    (
        "gym_super_mario_bros/smb_env.py",
        "import numpy as np\nclass SuperMarioBrosEnv:\n    def __init__(self, rom_mode):\n        \
         box = type('Box', (), {})()\n        box.shape, box.dtype = (240, 256, 3), \
         np.dtype('uint8')\n        self.observation_space = box\n        print('a line on \
         standard output')\n    def reset(self, seed):\n        self.x = 0\n        return \
         np.zeros((240, 256, 3), np.uint8)\n    def step(self, buttons):\n        self.x += 1 if \
         buttons & 128 else 0\n        frame = np.full((240, 256, 3), self.x % 256, \
         np.uint8)\n        done = self.x >= 50\n        return frame, float(buttons & 128 > 0), \
         done, {'flag_get': done, 'x_pos': self.x}\n",
    ),
];

#[test]
fn the_old_interface_of_super_mario_is_served() {
    if !gymnasium() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in OLD {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(dir.path().join("gym_super_mario_bros/__init__.py"), "").unwrap();
    let run = |env: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
        command
            .args([
                "evaluate",
                "--policy",
                "random",
                "--episodes",
                "2",
                "--json",
                "--env",
                env,
            ])
            .env("PYTHONPATH", dir.path());
        command.output().unwrap()
    };
    let out = run("gym:SuperMarioBros-1-1-v0,actions=right_only");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let score: Value = serde_json::from_slice(&out.stdout).unwrap();
    // A step to the right has the reward 1; about half of the random actions are such steps.
    assert_eq!(
        (score["mean"].as_f64(), score["completed"].as_f64()),
        (Some(50.0), Some(1.0))
    );
    assert!(
        (60.0..200.0).contains(&score["steps"].as_f64().unwrap()),
        "{score}"
    );
    // Its seeds change nothing: two episodes of doing nothing are one.
    let shown = |env: &str, policy: &str| {
        let args = [
            "evaluate",
            "--policy",
            policy,
            "--episodes",
            "3",
            "--env",
            env,
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
        let out = command.args(args).env("PYTHONPATH", dir.path()).output();
        let out = out.unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let wrapped = "gym:SuperMarioBros-1-1-v0,actions=right_only,skip=2max,limit=20";
    let text = shown(wrapped, "noop");
    for word in [
        "0.0 in every episode",
        "20 steps an episode",
        "2 frames a step",
        "x 0.00 pixels",
        "fell 0 %",
    ] {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    let text = shown(&format!("{wrapped},sticky=0.25"), "random");
    assert!(
        text.contains("95 % interval") && text.contains("probability 0.25"),
        "{text}"
    );
    let text = error(&run("gym:SuperMarioBros-1-1-v0,actions=all"));
    assert!(
        text.contains("actions=all") && text.contains("right_only, simple, complex"),
        "{text}"
    );
    // The real nes-py, which says its version, with a numpy in which its arithmetic is an error.
    for (name, version) in [("nes_py", "8.2.1"), ("numpy", "2.1.0")] {
        let about = dir.path().join(format!("{name}-{version}.dist-info"));
        std::fs::create_dir_all(&about).unwrap();
        let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        std::fs::write(about.join("METADATA"), text).unwrap();
    }
    let text = error(&run("gym:SuperMarioBros-1-1-v0"));
    for word in [
        "does not work with numpy 2.1.0",
        "numpy==1.26.4",
        "Python 3.11",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}
