//! The bar below the picture: speed, wheels, steering, turning and the score (`_render_indicators` in `car_racing.py`).

use crate::car::Car;
use crate::raster::{Canvas, Color, WINDOW};
use crate::scene::{BLACK, BLUE, GREEN, RED, VIOLET, WHITE};

/// Height of the bar on the reference's surface.
pub(crate) const BAR: f64 = 5.0 * WINDOW.1 / 40.0;

/// Strokes of the digits 0 to 9 as bits: top, top left, top right, middle, bottom left, bottom right, bottom.
const STROKES: [u8; 10] =
    [0b111_0111, 0b010_0100, 0b101_1101, 0b110_1101, 0b010_1110, 0b110_1011, 0b111_1011, 0b010_0101, 0b111_1111, 0b110_1111];

/// Draws the bar over the lower rows.
pub(crate) fn draw(canvas: &mut Canvas, car: &Car, score: f64) {
    let (s, h) = (WINDOW.0 / 40.0, WINDOW.1 / 40.0);
    let bottom = WINDOW.1;
    rectangle(canvas, (0.0, bottom - BAR), (WINDOW.0, bottom), BLACK);

    let mut upright = |place: f64, value: f64, scale: f64, color| {
        if value.abs() > 1e-4 {
            rectangle(canvas, (place * s, bottom - (h + h * (scale * value))), ((place + 1.0) * s, bottom - h), color);
        }
    };
    let hull = car.hull();
    let speed = f64::from(hull.velocity.x).hypot(f64::from(hull.velocity.y));
    upright(5.0, speed, 0.02, WHITE);
    for (wheel, (place, color)) in car.wheels.iter().zip([(7.0, BLUE), (8.0, BLUE), (9.0, VIOLET), (10.0, VIOLET)]) {
        upright(place, wheel.omega, 0.01, color);
    }
    let mut level = |place: f64, value: f64, scale: f64, color| {
        if value.abs() > 1e-4 {
            rectangle(canvas, (place * s, bottom - 4.0 * h), ((place + scale * value) * s, bottom - 2.0 * h), color);
        }
    };
    level(20.0, f64::from(car.joint_angle(0)), -10.0, GREEN);
    level(30.0, f64::from(hull.spin), -0.8, RED);
    number(canvas, score);
}

/// Fills a rectangle given by two corners, y downwards.
fn rectangle(canvas: &mut Canvas, (x0, y0): (f64, f64), (x1, y1): (f64, f64), color: Color) {
    // corners are cut to whole pixels in the reference's direction of y
    let (y0, y1) = (WINDOW.1 - 1.0 - y0.trunc(), WINDOW.1 - 1.0 - y1.trunc());
    canvas.fill(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color);
}

/// Writes the score with at least four characters around the reference's place for it.
fn number(canvas: &mut Canvas, score: f64) {
    const WIDTH: f64 = 16.0;
    const PITCH: f64 = 23.0;
    const HALF: f64 = 14.0;
    const PEN: f64 = 4.0;
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
                rectangle(canvas, from, to, WHITE);
            }
        }
    }
}
