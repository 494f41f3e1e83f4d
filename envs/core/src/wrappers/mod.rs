//! Wrappers: environments that change another one a little, each named in its rule.
//!
//! From the inside out they are made in this order: [`NoopStart`], [`Sticky`] for each frame,
//! [`FrameSkip`], [`Sticky`] for each step, [`StepLimit`], [`Perturb`], [`Forms`]; [`View`] is
//! innermost where frames have another form than an agent sees.

mod forms;
mod limit;
mod noop;
mod perturb;
mod skip;
mod sticky;
mod view;

pub use forms::Forms;
pub use limit::StepLimit;
pub use noop::NoopStart;
pub use perturb::{Perturb, Perturbation};
pub use skip::FrameSkip;
pub use sticky::Sticky;
pub use view::View;

use crate::ActionSpace;

/// A number in 0..1 that is a function of `seed`, of a wrapper's own `stream` and of `count`.
fn uniform(seed: u64, stream: u64, count: u64) -> f64 {
    let mixed = crate::scramble(seed ^ crate::scramble(stream ^ crate::scramble(count)));
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// The action closest to doing nothing: zeros as far as the range has them, or the first of the
/// discrete ones.
fn nothing(space: &ActionSpace) -> Vec<f32> {
    match space {
        ActionSpace::Box { low, high } => {
            let ends = low.iter().zip(high);
            ends.map(|(l, h)| 0.0f32.clamp(*l, *h)).collect()
        }
        ActionSpace::Discrete(_) => vec![0.0],
    }
}
