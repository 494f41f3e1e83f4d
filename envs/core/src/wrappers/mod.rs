//! Wrappers: environments that change another one a little, each named in its rule.
//!
//! From the inside out they are made in this order: [`NoopStart`], [`Sticky`] for each frame,
//! [`FrameSkip`], [`Sticky`] for each step, [`StepLimit`], [`Perturb`], [`Forms`]; [`View`] is
//! innermost where frames have another form than an agent sees.

/// Calls of [`crate::Env`] that a wrapper hands on to the environment in its field `inner`.
macro_rules! forward {
    ($($call:ident),+) => {
        $(forward!(@$call);)+
    };
    (@begin) => {
        fn begin(&mut self, action: &[f32]) -> Result<(), $crate::EnvError> {
            self.inner.begin(action)
        }
    };
    (@reseed) => {
        fn reseed(&mut self, seed: u64) {
            self.inner.reseed(seed);
        }
    };
    (@history) => {
        fn history(&self) -> $crate::History<'_> {
            self.inner.history()
        }
    };
    (@picture) => {
        fn picture(&mut self) -> Option<$crate::Picture> {
            self.inner.picture()
        }
    };
    (@probe) => {
        fn probe(&mut self) -> Option<&mut dyn $crate::Probe> {
            self.inner.probe()
        }
    };
    (@snapshot) => {
        fn snapshot(&self) -> Option<$crate::Snapshot> {
            self.inner.snapshot()
        }
    };
    (@restore) => {
        fn restore(&mut self, snapshot: &$crate::Snapshot) -> Result<(), $crate::EnvError> {
            self.inner.restore(snapshot)
        }
    };
}

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
