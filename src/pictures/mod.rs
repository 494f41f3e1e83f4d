//! Everything that draws: panels with titles, films, curves. Files appear whole or not at all.

mod curves;
mod film;
mod font;
mod panel;

pub use curves::{Axes, Series, plot_curves};
pub use film::Film;
pub use panel::Panel;
