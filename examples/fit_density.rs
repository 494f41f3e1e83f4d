//! Fits a Gaussian mixture (the head of an RMDN) and the same mixture behind a flow (that of an
//! FRMDN) to points in the plane; prints the log-likelihood of new points and a picture of draws.
//! Type: cargo run --release --example fit_density

use std::error::Error;

use frmdn_density::{Definition, Density, DensityConfig, FlowConfig, FlowKind, SampleScratch};
use frmdn_engine::adam::{Adam, AdamConfig};
use frmdn_engine::random::{Pcg64, fill_normal, fill_uniform, stream};

const POINTS: usize = 256;

/// Points `[POINTS, 2]` near a spiral of one and a half turns.
fn spiral(rng: &mut Pcg64) -> Vec<f32> {
    let (mut along, mut points) = ([0.0; POINTS], vec![0.0; 2 * POINTS]);
    fill_uniform(rng, 1.0, &mut along);
    fill_normal(rng, &mut points);
    for (t, point) in along.iter().zip(points.as_chunks_mut::<2>().0) {
        let (radius, (sin, cos)) = (1.25 + 0.75 * t, (4.712 * t).sin_cos());
        *point = [
            radius * cos + 0.08 * point[0],
            radius * sin + 0.08 * point[1],
        ];
    }
    points
}

/// Maximises the likelihood. The density is unconditional here: its only feature is always 1.
fn fit(config: DensityConfig) -> Result<Density, Box<dyn Error>> {
    let mut rng = stream(1, "example/points", &[]);
    let mut params = config.init(1, 1);
    let mut adam = Adam::new(&params, AdamConfig::default());
    let (features, weights) = ([1.0; POINTS], [1.0 / POINTS as f32; POINTS]);
    for _ in 0..1500 {
        let y = spiral(&mut rng);
        let mut step = Definition::loss_and_gradient(config, &params, &features, &y, &weights)?;
        adam.step(&mut params, &mut step.parameters, 5e-3);
    }
    Ok(Density::new(config, 1, &params)?)
}

/// Prints draws over −2.4..2.4 in both directions.
fn print_draws(density: &Density) {
    let mut picture = [[' '; 64]; 24];
    let mut rng = [stream(3, "example/draws", &[])];
    for _ in 0..1000 {
        let mut y = [0.0; 2];
        density.sample(&[1.0], 1.0, &mut rng, &mut y, &mut SampleScratch::default());
        let (line, column) = ((2.4 - y[1]) * 5.0, (y[0] + 2.4) * 64.0 / 4.8);
        let line = picture.get_mut(line as usize);
        if let Some(place) = line.and_then(|line| line.get_mut(column as usize)) {
            *place = '·';
        }
    }
    for line in picture {
        println!("{}", line.iter().collect::<String>());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mixture = DensityConfig::diagonal(2, 4);
    let mut with_flow = mixture;
    with_flow.flow = Some(FlowConfig::new(FlowKind::Spline, 4, 24));
    let test = spiral(&mut stream(2, "example/points", &[]));
    let fitted = [fit(mixture)?, fit(with_flow)?];
    for (name, density) in ["mixture", "mixture behind a flow"].iter().zip(&fitted) {
        let sum: f64 = density.log_prob(&[1.0; POINTS], &test).iter().sum();
        println!(
            "{name}: log-likelihood {:.2} nats per point",
            sum / POINTS as f64
        );
    }
    print_draws(&fitted[1]);
    Ok(())
}
