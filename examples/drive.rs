//! Loads a trained agent, drives one episode of Car-Racing, prints the score and writes a GIF with
//! the picture for people beside the agent's view.
//!
//! Type: cargo run --release --example drive [AGENT [FILE.gif]]
//! AGENT is a checkpoint or a run folder; the defaults are checkpoints/car-racing-tiny and
//! runs/drive.gif.

use std::{error::Error, path::Path};

use frmdn::{
    agent::Agent,
    pictures::{Film, Panel},
    rollout::{Actor, AgentActor, step},
    vision::SIDE,
    worlds::{Bridge, World},
};
use frmdn_env::ObservationMut;

/// A seed of the reported tests: no training has seen its track.
const SEED: u64 = 600_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or("checkpoints/car-racing-tiny".into());
    let gif = args.next().unwrap_or("runs/drive.gif".into());

    // The agent: V's encoder and M in `model`, and C.
    let agent = Agent::load(Path::new(&folder))?;
    let world = World::open(&agent.info.environment, &Bridge::default())?;
    let (model, controller) = (agent.acting_model(&world.spec()?)?, agent.controller()?);
    let mut actor = AgentActor::new(world.make()?, &model, &controller);

    let mut frame = vec![0; actor.env().observation_space().len()];
    let mut action = vec![0.0; actor.actions().width()];
    actor.env().reset(SEED, ObservationMut::Frame(&mut frame))?;
    let mut film = Film::create(Path::new(&gif), 40)?;
    let mut score = 0.0;
    for t in 0.. {
        // One frame for every fourth step: 25 per second, at twice real time.
        if t % 4 == 0 {
            let picture = actor.env().picture().ok_or("there is no picture")?;
            let picture = Panel::new(picture.width, picture.height, picture.rgb).enlarged(2);
            let view = Panel::new(SIDE, SIDE, frame.clone()).enlarged(3);
            film.push(&Panel::row(vec![
                picture.titled(&format!("SCORE {score:.0}")),
                view.titled("THE AGENT'S VIEW"),
            ]))?;
        }
        actor.act(&frame, &mut action)?;
        let outcome = step(&mut actor, &action, &mut frame)?;
        score += outcome.reward;
        if outcome.done() {
            println!("score {score:.1} after {} steps", t + 1);
            let named = actor.env().spec().measurements.iter();
            for (measurement, value) in named.zip(&outcome.measured[..]) {
                println!("{}: {value:.1} {}", measurement.name, measurement.unit);
            }
            break;
        }
    }
    film.finish()?;
    println!("the film is in {gif}");
    Ok(())
}
