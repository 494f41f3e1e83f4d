//! The marks that skidding wheels leave (`Car.step` and `_create_particle` in `car_dynamics.py`). They
//! are seen in Gymnasium's `rgb_array` alone: neither observations nor physics know them.

use crate::car::Car;
use crate::math::Vec2;

/// Number of marks that are remembered; a new one takes the place of the oldest.
const MARKS: usize = 30;
/// Number of points after which a mark ends: 30 in the reference, where the first counts twice.
const POINTS: usize = 29;

/// A line that a wheel drew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// On grass, where it is mud.
    pub grass: bool,
    points: [Vec2; POINTS],
    len: usize,
}

impl Mark {
    /// The points of the line, world units.
    pub fn points(&self) -> &[Vec2] {
        &self.points[..self.len]
    }
}

/// The last marks of all wheels.
#[derive(Clone, Debug)]
pub(crate) struct Skids {
    /// Mark `k` lies at `k % MARKS`, so that the oldest is overwritten.
    marks: [Mark; MARKS],
    /// Number of marks so far.
    begun: usize,
    wheels: [Trace; 4],
}

/// What a wheel does at the moment.
#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    /// It skids and draws nothing yet: a mark begins in the second step of skidding.
    started: bool,
    /// The number of the mark that it draws.
    mark: Option<usize>,
}

impl Default for Skids {
    fn default() -> Self {
        let mark = Mark {
            grass: false,
            points: [Vec2::new(0.0, 0.0); POINTS],
            len: 0,
        };
        Self {
            marks: [mark; MARKS],
            begun: 0,
            wheels: [Trace::default(); 4],
        }
    }
}

impl Skids {
    /// Continues, begins and ends marks after the forces of a step, before the bodies move.
    pub fn update(&mut self, car: &Car) {
        for (i, wheel) in car.wheels.iter().enumerate() {
            let trace = &mut self.wheels[i];
            if !wheel.skids {
                *trace = Trace::default();
                continue;
            }
            let (position, grass) = (car.bodies[i].transform.position, !wheel.on_road);
            // A mark that was overwritten meanwhile cannot go on.
            let begun = self.begun;
            let drawn = trace.mark.filter(|&k| k + MARKS >= begun);
            match drawn.map(|k| &mut self.marks[k % MARKS]) {
                Some(mark) if mark.grass == grass && mark.len < POINTS => {
                    mark.points[mark.len] = position;
                    mark.len += 1;
                }
                _ if trace.started => {
                    let mark = &mut self.marks[begun % MARKS];
                    (mark.grass, mark.points[0], mark.len) = (grass, position, 1);
                    (trace.started, trace.mark) = (false, Some(begun));
                    self.begun += 1;
                }
                _ => trace.started = true,
            }
        }
    }

    /// The marks, the oldest first.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        (self.begun.saturating_sub(MARKS)..self.begun).map(|k| &self.marks[k % MARKS])
    }
}
