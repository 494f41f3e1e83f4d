//! Loads a trained agent, drives one episode of Car-Racing, prints the score and writes a GIF with
//! the picture for people beside the agent's view.
//!
//! Type: cargo run --release --example drive [AGENT [FILE.gif]]
//! AGENT is a checkpoint or a run folder; the defaults are checkpoints/car-racing-tiny and
//! runs/drive.gif.

use std::{error::Error, ops::ControlFlow, path::Path};

use frmdn::{
    agent::Agent,
    pictures::{Film, Panel},
    pilot::Pilot,
    rollout::Moment,
    run::{self, Interrupt},
    vision::SIDE,
    worlds::{Bridge, World},
};

/// A seed of the reported tests: no training has seen its track.
const SEED: u64 = 600_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or("checkpoints/car-racing-tiny".into());
    let gif = args.next().unwrap_or("runs/drive.gif".into());

    let agent = Agent::load(Path::new(&folder))?;
    let world = World::open(&agent.info.environment, &Bridge::default())?;
    // V, M and C, ready to drive in this world.
    let pilot = Pilot::of(agent, &world)?;

    let mut film = Film::create(Path::new(&gif), 40)?;
    // Looks on before every step.
    let mut watch = |moment: Moment<'_>| -> run::Result<ControlFlow<()>> {
        // One frame for every fourth step: 25 per second, at twice real time.
        if moment.outcome.steps.is_multiple_of(4)
            && let Some(picture) = moment.env.picture()
        {
            let score = moment.outcome.score;
            let picture = Panel::new(picture.width, picture.height, picture.rgb).enlarged(2);
            let view = Panel::new(SIDE, SIDE, moment.seen.frame().to_vec()).enlarged(3);
            film.push(&Panel::row(vec![
                picture.titled(&format!("SCORE {score:.0}")),
                view.titled("THE AGENT'S VIEW"),
            ]))?;
        }
        Ok(ControlFlow::Continue(()))
    };
    let outcome = pilot
        .driver(&world, &Interrupt::default())
        .watch(pilot.job(SEED), &mut watch)?;
    film.finish()?;

    println!("score {:.1} after {} steps", outcome.score, outcome.steps);
    let spec = world.spec()?;
    for (measurement, value) in spec.measurements.iter().zip(&outcome.measured[..]) {
        println!("{}: {value:.1} {}", measurement.name, measurement.unit);
    }
    println!("the film is in {gif}");
    Ok(())
}
