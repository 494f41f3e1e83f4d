//! The car's inner state, to see what an agent can know of it.

use frmdn_env::{Better, EnvError, Measurement, Probe, ProbeSpec};

use crate::CarRacing;

/// Tiles ahead of the car that count, about as far as the agent sees: 16 tiles of 3.5 units.
const AHEAD: usize = 16;

/// What can be read of the car.
const PROBE: ProbeSpec = ProbeSpec {
    quantities: &[
        Measurement::new("forward speed", "units/s", Better::Higher),
        Measurement::new("sideways speed", "units/s", Better::Neither),
        Measurement::new("turning", "rad/s", Better::Neither),
        Measurement::new(
            "sharpest bend in the next 16 tiles",
            "rad/unit",
            Better::Neither,
        ),
        Measurement::new("gas", "", Better::Neither),
        Measurement::new("brake", "", Better::Neither),
        Measurement::new("a wheel off the road", "", Better::Lower),
    ],
    readable: &[0, 1, 2, 3],
    driving: &[0, 4, 5, 6],
    bands_by: 3,
    // The sharpest bends of the game lie beyond 0.08.
    bands: &[0.02, 0.04, 0.08],
    start_steps: 100,
};

impl Probe for CarRacing {
    fn probe_spec(&self) -> &'static ProbeSpec {
        &PROBE
    }

    fn read(&mut self, out: &mut [f64]) -> Result<(), EnvError> {
        let last = self.last_nearest();
        let (Some(car), Some(road)) = (self.state(), self.track()) else {
            return Err(EnvError::NeedsReset);
        };
        let [x, y] = car.hull.position.map(f64::from);
        let here = road.nearest((x, y), last);
        let [forward, sideways] = car.hull.forward_and_sideways();
        let rear = car.wheels[3];
        let beside = car.wheels.iter().any(|w| !w.on_road);
        let read = [
            forward,
            sideways,
            f64::from(car.hull.angular_velocity),
            road.max_curvature(here, AHEAD),
            rear.gas,
            rear.brake,
            f64::from(u8::from(beside)),
        ];
        self.set_nearest(here);
        out.copy_from_slice(&read);
        Ok(())
    }
}
