//! The two environments with what lies behind their frames, in the same form.

use frmdn_car_racing::CarRacing;
use frmdn_env::{Env, ObservationMut, Step};
use frmdn_gym_bridge::GymEnv;

use crate::{controller::Actions, worlds::World};

/// What lies behind a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// For the four wheels and the hull: x, y, angle, velocity x and y, spin; the wheels' rolling
    /// speeds; their phases.
    pub car: Vec<f64>,
    /// Per wheel.
    pub on_road: Vec<bool>,
    /// Per tile.
    pub visited: Vec<bool>,
}

/// What value `i` of [`State::car`] is.
pub fn name_of(i: usize) -> String {
    let body = |k: usize| {
        if k < 4 {
            format!("wheel {k}")
        } else {
            "hull".to_owned()
        }
    };
    match i {
        0..30 => format!(
            "{} of {}",
            ["x", "y", "angle", "velocity x", "velocity y", "spin"][i % 6],
            body(i / 6)
        ),
        30..34 => format!("rolling speed of {}", body(i - 30)),
        _ => format!("phase of {}", body(i - 34)),
    }
}

/// The state of the native Car-Racing.
pub fn state_of(env: &CarRacing) -> Result<State, String> {
    let (Some(state), Some(visited)) = (env.state(), env.visited()) else {
        return Err("the episode was never started".into());
    };
    let bodies = state.wheels.iter().map(|w| w.body).chain([state.hull]);
    let numbers = bodies.flat_map(|b| {
        [
            b.position[0],
            b.position[1],
            b.angle,
            b.velocity[0],
            b.velocity[1],
            b.angular_velocity,
        ]
    });
    let wheels = state.wheels.iter();
    let car = numbers
        .map(f64::from)
        .chain(wheels.clone().map(|w| w.omega))
        .chain(wheels.clone().map(|w| w.phase))
        .collect();
    Ok(State {
        car,
        on_road: wheels.map(|w| w.on_road).collect(),
        visited: visited.to_vec(),
    })
}

/// The state of Gymnasium's Car-Racing.
pub fn state_of_gym(env: &GymEnv) -> Result<State, String> {
    let bytes = env.probe("state").map_err(|e| e.to_string())?;
    let (numbers, flags) = bytes
        .split_at_checked(38 * 8)
        .filter(|(_, flags)| flags.len() > 4)
        .ok_or("a state of another length")?;
    let flags: Vec<bool> = flags.iter().map(|&b| b != 0).collect();
    Ok(State {
        car: floats(numbers),
        on_road: flags[..4].to_vec(),
        visited: flags[4..].to_vec(),
    })
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|b| f64::from_le_bytes(*b))
        .collect()
}

/// Ours: whole frames, and beside it the agent's view of the same episode.
pub struct Native {
    env: CarRacing,
    small: CarRacing,
    actions: Actions,
    frame: Vec<u8>,
    view: Vec<u8>,
}

impl Native {
    /// The environments of two native worlds.
    pub fn new(whole: &World, small: &World) -> Result<Self, String> {
        let (Some(env), Some(small)) = (whole.car_racing(), small.car_racing()) else {
            return Err("that is no car-racing".into());
        };
        let (frame, view) = (
            vec![0; env.observation_space().len()],
            vec![0; small.observation_space().len()],
        );
        Ok(Self {
            actions: Actions::of(env.action_space()),
            env,
            small,
            frame,
            view,
        })
    }

    /// The environment.
    pub fn env(&self) -> &CarRacing {
        &self.env
    }

    /// The form of its actions.
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The whole frame.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The agent's view, as it is drawn for agents.
    pub fn view(&self) -> &[u8] {
        &self.view
    }

    /// Starts the episode of `seed`.
    pub fn reset(&mut self, seed: u64) -> Result<(), String> {
        self.env
            .reset(seed, ObservationMut::Frame(&mut self.frame))
            .map_err(|e| e.to_string())?;
        self.small
            .reset(seed, ObservationMut::Frame(&mut self.view))
            .map_err(|e| e.to_string())
    }

    /// Applies an agent's action.
    pub fn step(&mut self, action: &[f32]) -> Result<Step, String> {
        let mut index = [0.0];
        let action = self.actions.for_env(action, &mut index);
        self.small
            .step(action, ObservationMut::Frame(&mut self.view))
            .map_err(|e| e.to_string())?;
        self.env
            .step(action, ObservationMut::Frame(&mut self.frame))
            .map_err(|e| e.to_string())
    }

    /// What lies behind the frame.
    pub fn state(&self) -> Result<State, String> {
        state_of(&self.env)
    }

    /// Per tile alpha, beta, x, y.
    pub fn track(&self) -> Result<Vec<f64>, String> {
        let track = self.env.track().ok_or("the episode was never started")?;
        Ok(track
            .points
            .iter()
            .flat_map(|p| [p.alpha, p.beta, p.x, p.y])
            .collect())
    }
}

/// Gymnasium's, which draws only when it is asked to.
pub struct Reference {
    env: GymEnv,
    actions: Actions,
    blank: Vec<u8>,
}

impl Reference {
    /// An environment of a `gym:` world that was opened without drawing.
    pub fn new(world: &World) -> Result<Self, String> {
        let env = world.gym()?.ok_or("that is no environment of Gymnasium")?;
        Ok(Self {
            actions: Actions::of(env.action_space()),
            blank: vec![0; env.observation_space().len()],
            env,
        })
    }

    /// Starts the episode of `seed`.
    pub fn reset(&mut self, seed: u64) -> Result<(), String> {
        self.env
            .reset(seed, ObservationMut::Frame(&mut self.blank))
            .map_err(|e| e.to_string())
    }

    /// Applies an agent's action.
    pub fn step(&mut self, action: &[f32]) -> Result<Step, String> {
        let mut index = [0.0];
        self.env
            .step(
                self.actions.for_env(action, &mut index),
                ObservationMut::Frame(&mut self.blank),
            )
            .map_err(|e| e.to_string())
    }

    /// What lies behind the frame.
    pub fn state(&self) -> Result<State, String> {
        state_of_gym(&self.env)
    }

    /// Per tile alpha, beta, x, y.
    pub fn track(&self) -> Result<Vec<f64>, String> {
        Ok(floats(&self.env.probe("track").map_err(|e| e.to_string())?))
    }

    /// The frame, drawn now.
    pub fn frame(&self) -> Result<Vec<u8>, String> {
        self.env.probe("frame").map_err(|e| e.to_string())
    }
}
