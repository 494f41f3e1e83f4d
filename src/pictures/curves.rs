//! Curves as PNG, drawn by kuva. No other module uses the plotting library.

use std::{io::Write, path::Path};

use kuva::{
    plot::{LegendPosition, LinePlot, ScatterPlot},
    render::{layout::Layout, plots::Plot},
};

use crate::run::{Result, RunError, write_atomically};

/// Colours that can be distinguished in print and by colour-blind people (Okabe & Ito).
const COLOURS: [&str; 6] = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
];

/// Pixels per unit of the layout, so that small print is legible.
const DENSITY: f32 = 1.5;

/// How the values of a series are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Line,
    LineWithBand,
    Points,
}

/// One curve, with an optional band around it, or a row of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    /// x, y and the lower and upper end of the band, which are y if there is no band.
    points: Vec<[f64; 4]>,
    style: Style,
}

impl Series {
    /// A curve through the points (x, y), with its name in the legend. Points that are not finite
    /// are left out.
    pub fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self::of(
            name,
            points.into_iter().map(|(x, y)| [x, y, y, y]),
            Style::Line,
        )
    }

    /// A curve with a band, for example mean and standard deviation, or median and extremes. A
    /// point is `[x, y, low, high]`; points that are not finite are left out.
    pub fn banded(name: &str, points: Vec<[f64; 4]>) -> Self {
        Self::of(name, points.into_iter(), Style::LineWithBand)
    }

    /// Points (x, y) of things that have no order between them, with their name in the legend.
    /// Points that are not finite are left out.
    pub fn points(name: &str, points: Vec<(f64, f64)>) -> Self {
        let points = points.into_iter().map(|(x, y)| [x, y, y, y]);
        Self::of(name, points, Style::Points)
    }

    fn of(name: &str, points: impl Iterator<Item = [f64; 4]>, style: Style) -> Self {
        Self {
            name: name.to_owned(),
            points: points.filter(|p| p.iter().all(|v| v.is_finite())).collect(),
            style,
        }
    }

    fn drawn(&self, points: &[[f64; 4]], colour: &str) -> Plot {
        if self.style == Style::Points {
            let dots = ScatterPlot::new()
                .with_data(points.iter().map(|p| (p[0], p[1])).collect::<Vec<_>>())
                .with_color(colour)
                .with_size(4.0)
                .with_legend(self.name.clone());
            return Plot::Scatter(dots);
        }
        // A line needs two points: a single one is drawn as a short level line.
        let points = if let [[x, y, low, high]] = *points {
            &[[x, y, low, high], [x + 1e-9, y, low, high]]
        } else {
            points
        };
        let line = LinePlot::new()
            .with_data(points.iter().map(|p| (p[0], p[1])).collect::<Vec<_>>())
            .with_color(colour);
        let line = line.with_stroke_width(2.0).with_legend(self.name.clone());
        let ends = |at: usize| points.iter().map(|p| p[at]).collect::<Vec<f64>>();
        Plot::Line(if self.style == Style::LineWithBand {
            line.with_band(ends(2), ends(3))
        } else {
            line
        })
    }
}

/// Title and axes of a picture of curves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axes<'a> {
    /// Title above the picture.
    pub title: &'a str,
    /// Label of the x axis.
    pub x: &'a str,
    /// Label of the y axis, with its unit.
    pub y: &'a str,
    /// Whether the y axis is logarithmic; values at or below zero are left out.
    pub log_y: bool,
}

/// Draws `series` over common axes into the PNG `path`. Curves without points are left out; without
/// any curve nothing is written.
///
/// # Errors
/// If the picture cannot be drawn or written.
pub fn plot_curves(
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[Series],
    path: &Path,
) -> Result<()> {
    Axes {
        title,
        x: x_label,
        y: y_label,
        log_y: false,
    }
    .draw(series, path)
}

impl Axes<'_> {
    /// Draws `series` into the PNG `path`, as [`plot_curves`] does.
    ///
    /// # Errors
    /// If the picture cannot be drawn or written.
    pub fn draw(&self, series: &[Series], path: &Path) -> Result<()> {
        let visible = |s: &Series| -> Vec<[f64; 4]> {
            s.points
                .iter()
                .filter(|p| !self.log_y || p[1..].iter().all(|y| *y > 0.0))
                .copied()
                .collect()
        };
        let drawn = series
            .iter()
            .map(|s| (s, visible(s)))
            .filter(|(_, points)| !points.is_empty());
        let plots: Vec<Plot> = drawn
            .zip(COLOURS.iter().cycle())
            .map(|((s, points), colour)| s.drawn(&points, colour))
            .collect();
        if plots.is_empty() {
            return Ok(());
        }
        let layout = Layout::auto_from_plots(&plots)
            .with_title(self.title)
            .with_x_label(self.x)
            .with_y_label(self.y)
            .with_width(900.0)
            .with_height(480.0)
            .with_legend_position(LegendPosition::OutsideRightTop);
        let layout = if self.log_y {
            layout.with_log_y()
        } else {
            layout
        };
        let png = kuva::render_to_raster(plots, layout, DENSITY)
            .map_err(|e| RunError::Failed(format!("cannot draw {}: {e}", path.display())))?;
        write_atomically(path, |w| w.write_all(&png))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_become_a_picture_with_their_colours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.png");
        let rising = Series::new(
            "rising",
            (0..50).map(|i| (f64::from(i), f64::from(i * i))).collect(),
        );
        let level = Series::new("level", vec![(0.0, 500.0), (49.0, 500.0), (f64::NAN, 1.0)]);
        let dots = Series::points("dots", (0..9).map(|i| (f64::from(i), 900.0)).collect());
        plot_curves(
            "Curves",
            "step",
            "value",
            &[rising, level, dots, Series::new("none", Vec::new())],
            &path,
        )
        .unwrap();
        let image = image::open(&path).unwrap().to_rgb8();
        let count = |c: [u8; 3]| {
            image
                .pixels()
                .filter(|p| p.0.iter().zip(c).all(|(a, b)| a.abs_diff(b) < 12))
                .count()
        };
        assert!(count([0x00, 0x72, 0xB2]) > 200 && count([0xD5, 0x5E, 0x00]) > 200);
        assert!(count([0x00, 0x9E, 0x73]) > 200);
    }

    #[test]
    fn bands_are_shaded_and_an_exponential_is_straight_on_a_logarithmic_axis() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.png");
        let points = (0..60)
            .map(f64::from)
            .map(|x| {
                [
                    x,
                    (-x / 8.0).exp(),
                    (-x / 8.0).exp() * 0.5,
                    (-x / 8.0).exp() * 2.0,
                ]
            })
            .collect();
        let axes = Axes {
            title: "Loss",
            x: "update",
            y: "nats",
            log_y: true,
        };
        // Nothing of the second curve is above zero.
        axes.draw(
            &[
                Series::banded("mean, extremes", points),
                Series::new("below", vec![(0.0, 0.0), (9.0, -1.0)]),
            ],
            &path,
        )
        .unwrap();
        let image = image::open(&path).unwrap().to_rgb8();
        let near =
            |p: &image::Rgb<u8>, c: [u8; 3]| p.0.iter().zip(c).all(|(a, b)| a.abs_diff(b) < 12);
        assert!(
            image
                .pixels()
                .filter(|p| near(p, [0xD5, 0x5E, 0x00]))
                .count()
                == 0
        );
        // A fifth of the curve's blue on white.
        assert!(
            image
                .pixels()
                .filter(|p| near(p, [0xCC, 0xE3, 0xF0]))
                .count()
                > 20_000
        );
        // The rows of the curve in three columns at equal distances.
        let row = |x: u32| {
            (0..image.height())
                .find(|&y| near(image.get_pixel(x, y), [0x00, 0x72, 0xB2]))
                .map(f64::from)
                .unwrap()
        };
        let [a, b, c] = [200, 450, 700].map(row);
        assert!(
            c - a > 100.0 && (f64::midpoint(a, c) - b).abs() <= 2.0,
            "{a} {b} {c}"
        );
    }

    #[test]
    fn a_picture_that_cannot_be_written_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let error = plot_curves(
            "t",
            "x",
            "y",
            &[Series::new("one", vec![(0.0, 1.0)])],
            &file.join("c.png"),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains(&file.display().to_string()),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_to_draw_is_no_picture() {
        let dir = tempfile::tempdir().unwrap();
        plot_curves(
            "t",
            "x",
            "y",
            &[Series::new("none", Vec::new())],
            &dir.path().join("c.png"),
        )
        .unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
