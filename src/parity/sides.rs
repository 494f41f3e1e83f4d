//! The two environments and their states, in the same form.

use frmdn_car_racing::CarRacing;
use frmdn_env::{Env, ObservationMut, Step};
use frmdn_gym_bridge::GymEnv;

use super::ParityError;
use crate::{
    controller::Actions,
    worlds::{Frames, car_racing, gym::Gym},
};

/// The state of the car and the track.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// 38 values: x, y, angle, velocity x and y and angular velocity of each of the four wheels and
    /// of the hull; then the wheels' rolling speeds; then their phases. World units, radians,
    /// seconds.
    pub car: Vec<f64>,
    /// Whether each of the four wheels is on the road.
    pub on_road: Vec<bool>,
    /// Whether each tile was visited.
    pub visited: Vec<bool>,
}

/// The name of value `i` of [`State::car`].
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
///
/// # Errors
/// Before the first reset.
pub fn state_of(env: &CarRacing) -> Result<State, ParityError> {
    let (Some(state), Some(visited)) = (env.state(), env.visited()) else {
        return Err(ParityError::NotStarted);
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
///
/// # Errors
/// If the server fails or answers with another number of values.
pub fn state_of_gym(env: &GymEnv) -> Result<State, ParityError> {
    let bytes = env.probe("state")?;
    let (numbers, flags) = bytes
        .split_at_checked(38 * 8)
        .filter(|(_, flags)| flags.len() > 4)
        .ok_or(ParityError::StateLength)?;
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

/// Our environment twice, with whole frames and with the agent's view of the same episode.
pub struct Native {
    env: CarRacing,
    small: CarRacing,
    actions: Actions,
    frame: Vec<u8>,
    view: Vec<u8>,
}

impl Native {
    /// The environments of the native Car-Racing `name`.
    ///
    /// # Errors
    /// If it is another environment, or has an option that does not exist.
    pub fn new(name: &str) -> Result<Self, ParityError> {
        let env = car_racing::Native::open(name, Frames::Whole)?.env();
        let small = car_racing::Native::open(name, Frames::Agent)?.env();
        let (frame, view) = (
            vec![0; env.observation_space().len()],
            vec![0; small.observation_space().len()],
        );
        Ok(Self {
            actions: Actions::of(env.spec()),
            env,
            small,
            frame,
            view,
        })
    }

    /// The environment with whole frames.
    pub fn env(&self) -> &CarRacing {
        &self.env
    }

    /// How an agent's actions become actions of the environment.
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The whole frame, `[96, 96, 3]`.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The agent's view, `[64, 64, 3]`.
    pub fn view(&self) -> &[u8] {
        &self.view
    }

    /// Starts the episode of `seed`.
    ///
    /// # Errors
    /// If the environment fails.
    pub fn reset(&mut self, seed: u64) -> Result<(), ParityError> {
        self.env
            .reset(seed, ObservationMut::Frame(&mut self.frame))?;
        self.small
            .reset(seed, ObservationMut::Frame(&mut self.view))?;
        Ok(())
    }

    /// Applies an agent's action.
    ///
    /// # Errors
    /// If the environment refuses it or fails.
    pub fn step(&mut self, action: &[f32]) -> Result<Step, ParityError> {
        let mut index = [0.0];
        let action = self.actions.for_env(action, &mut index);
        self.small
            .step(action, ObservationMut::Frame(&mut self.view))?;
        Ok(self
            .env
            .step(action, ObservationMut::Frame(&mut self.frame))?)
    }

    /// The state of the car and the track.
    ///
    /// # Errors
    /// As those of [`state_of`] and [`state_of_gym`].
    pub fn state(&self) -> Result<State, ParityError> {
        state_of(&self.env)
    }

    /// alpha, beta, x and y of each point of the track.
    ///
    /// # Errors
    /// Before the first reset, or if the server fails.
    pub fn track(&self) -> Result<Vec<f64>, ParityError> {
        let track = self.env.track().ok_or(ParityError::NotStarted)?;
        Ok(track
            .points
            .iter()
            .flat_map(|p| [p.alpha, p.beta, p.x, p.y])
            .collect())
    }
}

/// Gymnasium's environment, which draws a frame only on request.
pub struct Reference {
    env: GymEnv,
    actions: Actions,
    blank: Vec<u8>,
}

impl Reference {
    /// An environment of a `gym:` world that was opened without drawing.
    ///
    /// # Errors
    /// If its environment cannot be made.
    pub fn new(world: &Gym) -> Result<Self, ParityError> {
        let env = world.env()?;
        Ok(Self {
            actions: Actions::of(env.spec()),
            blank: vec![0; env.observation_space().len()],
            env,
        })
    }

    /// Starts the episode of `seed`.
    ///
    /// # Errors
    /// If the environment fails.
    pub fn reset(&mut self, seed: u64) -> Result<(), ParityError> {
        self.env
            .reset(seed, ObservationMut::Frame(&mut self.blank))?;
        Ok(())
    }

    /// Applies an agent's action.
    ///
    /// # Errors
    /// If the environment refuses it or fails.
    pub fn step(&mut self, action: &[f32]) -> Result<Step, ParityError> {
        let mut index = [0.0];
        let action = self.actions.for_env(action, &mut index);
        Ok(self
            .env
            .step(action, ObservationMut::Frame(&mut self.blank))?)
    }

    /// The state of the car and the track.
    ///
    /// # Errors
    /// As those of [`state_of`] and [`state_of_gym`].
    pub fn state(&self) -> Result<State, ParityError> {
        state_of_gym(&self.env)
    }

    /// alpha, beta, x and y of each point of the track.
    ///
    /// # Errors
    /// Before the first reset, or if the server fails.
    pub fn track(&self) -> Result<Vec<f64>, ParityError> {
        Ok(floats(&self.env.probe("track")?))
    }

    /// The present frame, `[96, 96, 3]`.
    ///
    /// # Errors
    /// If the server fails.
    pub fn frame(&self) -> Result<Vec<u8>, ParityError> {
        Ok(self.env.probe("frame")?)
    }
}
