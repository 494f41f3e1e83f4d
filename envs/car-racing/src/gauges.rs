//! The bar below the picture: speed, wheels, steering, turning and the score (`_render_indicators`
//! in `car_racing.py`).

use crate::car::Car;
use crate::raster::{BAR, Shrunk, WINDOW};

const WHITE: [u8; 3] = [255, 255, 255];
const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const VIOLET: [u8; 3] = [51, 0, 255];

/// Strokes of the digits 0 to 9 as bits: top, top left, top right, middle, bottom left, bottom
/// right, bottom.
const STROKES: [u8; 10] = [
    0b111_0111, 0b010_0100, 0b101_1101, 0b110_1101, 0b010_1110, 0b110_1011, 0b111_1011, 0b010_0101,
    0b111_1111, 0b110_1111,
];

/// Draws the bar into `out`, the bar's rows of an RGB picture `width` pixels wide.
pub(crate) fn draw(out: &mut [u8], width: usize, shrunk: Shrunk, car: &Car, score: f64) {
    out.fill(0);
    let mut bar = Bar {
        width,
        height: out.len() / (3 * width),
        shrunk,
        out,
    };
    let (s, h) = (WINDOW.0 / 40.0, WINDOW.1 / 40.0);
    let bottom = WINDOW.1;

    let mut upright = |place: f64, value: f64, scale: f64, color| {
        if value.abs() > 1e-4 {
            bar.rectangle(
                (place * s, bottom - (h + h * (scale * value))),
                ((place + 1.0) * s, bottom - h),
                color,
            );
        }
    };
    let hull = car.hull();
    let speed = libm::hypot(f64::from(hull.velocity.x), f64::from(hull.velocity.y));
    upright(5.0, speed, 0.02, WHITE);
    for (wheel, (place, color)) in
        car.wheels
            .iter()
            .zip([(7.0, BLUE), (8.0, BLUE), (9.0, VIOLET), (10.0, VIOLET)])
    {
        upright(place, wheel.omega, 0.01, color);
    }
    let mut level = |place: f64, value: f64, scale: f64, color| {
        if value.abs() > 1e-4 {
            bar.rectangle(
                (place * s, bottom - 4.0 * h),
                ((place + scale * value) * s, bottom - 2.0 * h),
                color,
            );
        }
    };
    level(20.0, f64::from(car.joint_angle(0)), -10.0, GREEN);
    level(30.0, f64::from(hull.spin), -0.8, RED);
    number(&mut bar, score);
}

/// The rows of the bar. Gauges can be thinner than a sample of the canvas, so their share of each
/// pixel is computed exactly.
struct Bar<'a> {
    width: usize,
    height: usize,
    shrunk: Shrunk,
    out: &'a mut [u8],
}

impl Bar<'_> {
    /// Fills the rectangle between two corners of the reference's surface, with y downwards. The
    /// pixels of both corners are part of it.
    fn rectangle(&mut self, a: (f64, f64), b: (f64, f64), color: [u8; 3]) {
        let (sx, sy) = (self.width as f64 / WINDOW.0, self.height as f64 / BAR);
        let span = |a: f64, b: f64, scale: f64, end: usize| {
            let (a, b) = (a.trunc(), b.trunc());
            let end = end as f64;
            (
                (a.min(b) * scale).clamp(0.0, end),
                ((a.max(b) + 1.0) * scale).clamp(0.0, end),
            )
        };
        let (left, right) = span(a.0, b.0, sx, self.width);
        let top = WINDOW.1 - BAR;
        let (up, down) = span(a.1 - top, b.1 - top, sy, self.height);
        let share =
            |from: f64, to: f64, k: usize| (to.min((k + 1) as f64) - from.max(k as f64)).max(0.0);
        for row in up as usize..down.ceil() as usize {
            for column in left as usize..right.ceil() as usize {
                let cover = share(up, down, row) * share(left, right, column);
                let at = (row * self.width + column) * 3;
                for (v, c) in self.out[at..at + 3].iter_mut().zip(color) {
                    *v = (f64::from(*v) + cover * (f64::from(self.shrunk.value(c)) - f64::from(*v)))
                        .round() as u8;
                }
            }
        }
    }
}

/// Draws the score with at least four characters, centred at the reference's position.
fn number(bar: &mut Bar<'_>, score: f64) {
    const WIDTH: f64 = 19.0;
    const PITCH: f64 = 26.0;
    const HALF: f64 = 16.0;
    const PEN: f64 = 5.0;
    let value = score.round_ties_even() as i64;
    let negative = score.is_sign_negative();
    let mut digits = [0u8; 20];
    let mut count = 0;
    let mut rest = value.unsigned_abs();
    while rest > 0 || count < 4 - usize::from(negative) {
        digits[count] = (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    let places = count + usize::from(negative);
    let start = 60.0 - PITCH * places as f64 / 2.0 + (PITCH - WIDTH) / 2.0;
    let middle = WINDOW.1 - WINDOW.1 * 2.5 / 40.0;
    for place in 0..places {
        let x = start + PITCH * place as f64;
        let strokes = match (negative, place) {
            (true, 0) => 0b000_1000,
            _ => STROKES[usize::from(digits[places - 1 - place])],
        };
        let (right, up, down) = (x + WIDTH, middle - HALF, middle + HALF);
        let lines = [
            ((x, up), (right, up + PEN)),
            ((x, up), (x + PEN, middle)),
            ((right - PEN, up), (right, middle)),
            ((x, middle - PEN / 2.0), (right, middle + PEN / 2.0)),
            ((x, middle), (x + PEN, down)),
            ((right - PEN, middle), (right, down)),
            ((x, down - PEN), (right, down)),
        ];
        for (bit, (from, to)) in lines.into_iter().enumerate() {
            if strokes >> bit & 1 == 1 {
                bar.rectangle(from, to, WHITE);
            }
        }
    }
}
