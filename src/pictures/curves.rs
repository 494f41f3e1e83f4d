//! Curves as PNG, drawn by kuva. The one place that knows the plotting library.

use std::{io::Write, path::Path};

use kuva::{
    plot::{LegendPosition, LinePlot},
    render::{layout::Layout, plots::Plot},
};

use crate::run::{Result, RunError, write_atomically};

/// Colours that are told apart in print and by the colour-blind (Okabe & Ito).
const COLOURS: [&str; 6] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// A curve through `points`, named in the legend. Points that are not finite are left out.
    pub fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), points: points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect() }
    }
}

/// Draws `series` over common axes into the PNG `path`. Curves without points are left out; without any curve nothing is written.
pub fn plot_curves(title: &str, x_label: &str, y_label: &str, series: &[Series], path: &Path) -> Result<()> {
    let drawn = series.iter().filter(|s| !s.points.is_empty()).zip(COLOURS.iter().cycle());
    let plots: Vec<Plot> = drawn
        .map(|(s, colour)| {
            // A single point has no line: it is drawn as a short level one.
            let points = if let [(x, y)] = s.points[..] { vec![(x, y), (x + 1e-9, y)] } else { s.points.clone() };
            Plot::Line(LinePlot::new().with_data(points).with_color(*colour).with_stroke_width(2.0).with_legend(s.name.clone()))
        })
        .collect();
    if plots.is_empty() {
        return Ok(());
    }
    let layout = Layout::auto_from_plots(&plots)
        .with_title(title)
        .with_x_label(x_label)
        .with_y_label(y_label)
        .with_width(900.0)
        .with_height(480.0)
        .with_legend_position(LegendPosition::OutsideRightTop);
    let png = kuva::render_to_raster(plots, layout, 1.0).map_err(|e| RunError::Failed(format!("cannot draw {}: {e}", path.display())))?;
    write_atomically(path, |w| w.write_all(&png))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_become_a_picture_with_their_colours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.png");
        let rising = Series::new("rising", (0..50).map(|i| (f64::from(i), f64::from(i * i))).collect());
        let level = Series::new("level", vec![(0.0, 500.0), (49.0, 500.0), (f64::NAN, 1.0)]);
        plot_curves("Curves", "step", "value", &[rising, level, Series::new("none", Vec::new())], &path).unwrap();
        let image = image::open(&path).unwrap().to_rgb8();
        let count = |c: [u8; 3]| image.pixels().filter(|p| p.0.iter().zip(c).all(|(a, b)| a.abs_diff(b) < 12)).count();
        assert!(count([0x00, 0x72, 0xB2]) > 200 && count([0xD5, 0x5E, 0x00]) > 200);
    }

    #[test]
    fn nothing_to_draw_is_no_picture() {
        let dir = tempfile::tempdir().unwrap();
        plot_curves("t", "x", "y", &[Series::new("none", Vec::new())], &dir.path().join("c.png")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
