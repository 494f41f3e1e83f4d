//! Pictures: panels with titles, films, curves. Files are written atomically.

mod curves;
mod film;
mod font;
mod panel;
mod sound;

pub use curves::{Axes, Series, plot_curves};
pub use film::{ENDINGS, Film, ending};
pub use panel::Panel;
#[cfg(test)]
pub use panel::title_len;
pub use sound::{spectrogram, waveform};
