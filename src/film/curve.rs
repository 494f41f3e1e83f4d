//! The curve of surprise under a film.

use crate::{
    dream::Surprise,
    pictures::Panel,
    rollout::{ActingModel, Moment},
    run::{Result, RunError},
};

/// Height of the curve in pixels.
const HEIGHT: usize = 60;
/// Nats at its upper edge; a sixth of it, below the line in the middle of nothing, at its lower one.
const MOST: f64 = 60.0;
/// The height of no surprise, in pixels from above.
const NOTHING: usize = HEIGHT * 6 / 7;
/// From so many nats on it is shown as an alarm.
const ALARM: f64 = 20.0;

/// Colours of the ground, the line of nothing, surprise, and alarm.
const COLOURS: [[u8; 3]; 4] = [[24, 26, 32], [90, 96, 110], [90, 200, 140], [240, 90, 70]];

/// Surprise of all steps so far.
pub struct Curve<'a> {
    model: &'a ActingModel,
    surprise: Surprise,
    nats: Vec<f64>,
}

impl<'a> Curve<'a> {
    /// Of what the memory of `model` says.
    pub fn new(model: &'a ActingModel) -> Self {
        Self {
            model,
            surprise: Surprise::default(),
            nats: Vec::new(),
        }
    }

    /// Takes a moment of the episode.
    ///
    /// # Errors
    /// If the memory has no density.
    pub fn add(&mut self, moment: &Moment<'_>) -> Result<()> {
        let nats = self.surprise.at(self.model, moment);
        let nats = nats.map_err(|e| RunError::Config(format!("--surprise: {e}")))?;
        self.nats.push(nats);
        Ok(())
    }

    /// The last steps, one a column, the latest on the right.
    pub fn panel(&self, width: usize) -> Panel {
        let [ground, line, calm, alarm] = COLOURS;
        let mut rgb = ground.repeat(width * HEIGHT);
        let mut paint = |x: usize, y: usize, colour: [u8; 3]| {
            rgb[(y * width + x) * 3..][..3].copy_from_slice(&colour);
        };
        for x in 0..width {
            paint(x, NOTHING, line);
        }
        let shown = &self.nats[self.nats.len().saturating_sub(width)..];
        for (i, &nats) in shown.iter().enumerate() {
            let x = width - shown.len() + i;
            let colour = if nats >= ALARM { alarm } else { calm };
            let height = (nats / MOST * NOTHING as f64).round();
            let y = (NOTHING as f64 - height).clamp(0.0, (HEIGHT - 1) as f64) as usize;
            for y in y.min(NOTHING)..=y.max(NOTHING) {
                paint(x, y, colour);
            }
        }
        let now = self.nats.last().copied().unwrap_or(0.0);
        Panel::new(width, HEIGHT, rgb).titled(&format!("SURPRISE {now:+.0} NATS"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agent::Agent, worlds::World};

    #[test]
    fn the_latest_step_is_on_the_right_and_alarms_are_red() {
        let agent = Agent::load("car-racing-tiny".as_ref()).unwrap();
        let world = World::open(&agent.info.environment, &Default::default()).unwrap();
        let model = agent.acting_model(&world.spec().unwrap()).unwrap();
        let curve = Curve {
            nats: vec![10.0, 30.0],
            ..Curve::new(&model)
        };
        let panel = curve.panel(4);
        let below = panel.height() - HEIGHT;
        let at = |x: usize, y: usize| &panel.rgb()[((below + y) * 4 + x) * 3..][..3];
        let [ground, line, calm, alarm] = COLOURS;
        assert_eq!(at(0, NOTHING), line);
        assert_eq!([at(2, NOTHING - 1), at(3, NOTHING - 1)], [calm, alarm]);
        // 10 of 60 nats are a sixth of the way up, 30 the half.
        let tops = [2, 3].map(|x| (0..HEIGHT).find(|&y| at(x, y) != ground));
        assert_eq!(tops, [Some(NOTHING - 9), Some(NOTHING - 26)]);
    }
}
