//! Environments of gym-rs 0.3.0 behind [`frmdn_env::Env`], and ours as `gym_rs::core::Env`.
//!
//! gym-rs draws with SDL2, so everything is behind the feature `gym-rs`, which is off by default.
//! With it (`cargo test -p frmdn-gym-rs --features gym-rs`; Debian needs `cmake libsdl2-dev
//! libsdl2-gfx-dev`) there are `FromGymRs`, with `cart_pole` and `mountain_car`, and `ToGymRs`.

#[cfg(feature = "gym-rs")]
mod from;
#[cfg(feature = "gym-rs")]
mod to;

#[cfg(feature = "gym-rs")]
pub use from::{FromGymRs, cart_pole, mountain_car};
#[cfg(feature = "gym-rs")]
pub use to::{Observed, ToGymRs};
